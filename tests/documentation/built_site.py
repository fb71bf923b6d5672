"""Check a built documentation site: `python tests/documentation/built_site.py FOLDER`.

Each link leads to a page and to an anchor of it; nothing is loaded from another host; each public name has
its place in the API reference; and the search lists the guides before that reference. Needs the packages of
the extra `docs` and perkey itself, and no others.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

LOADED = {
    ("script", "src"),
    ("img", "src"),
    ("iframe", "src"),
    ("source", "src"),
    ("video", "src"),
    ("image", "href"),
}
LOADING_LINKS = {
    "stylesheet",
    "icon",
    "preconnect",
    "preload",
    "prefetch",
    "dns-prefetch",
    "modulepreload",
    "manifest",
}
OF_DEVELOPERS = ("architecture/", "changelog/", "contributing/")
MODULES = ("perkey", "perkey.aio", "perkey.dataspace", "perkey.query", "perkey.synced")
"""Modules whose names the site must have. `perkey.testing` needs pytest; the tests compare its names."""


class Page(HTMLParser):
    """The anchors, links and loaded things of a page."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        self.anchors.update(value for name in ("id", "name") if (value := named.get(name)))
        if tag == "a" and "href" in named:
            self.links.append(named["href"])
        if tag == "link" and LOADING_LINKS & set(named.get("rel", "").split()):
            self.loaded.append(named.get("href", ""))
        self.loaded.extend(value for name, value in named.items() if (tag, name) in LOADED)


def faults(site: Path) -> Iterator[str]:
    """Yield each fault of a site."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        if path.name == "404.html":
            continue  # its links are absolute, because it is shown at any address
        where = path.relative_to(site)
        for target in page.loaded:
            if urlsplit(target).netloc or not _file(path, target).is_file():
                yield f"{where} loads {target}"
        for link in page.links:
            if not _leads_somewhere(path, link, pages):
                yield f"{where} links to {link}"
    anchors = {anchor for page in pages.values() for anchor in page.anchors}
    for module in MODULES:
        for name in importlib.import_module(module).__all__:
            if f"{module}.{name}" not in anchors:
                yield f"the API reference does not have {module}.{name}"
    yield from _of_search(site)


def _of_search(site: Path) -> Iterator[str]:
    """Yield the faults of the search: methods have the words of many questions as their names."""
    entries = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))["docs"]
    for entry in entries:
        is_reference = entry["location"].startswith("api/")
        if is_reference != (entry.get("boost", 1) < 1) and not entry["location"].startswith(OF_DEVELOPERS):
            yield f"the search ranks {entry['location']} as {'a guide' if is_reference else 'reference'}"
    if not any(entry["location"].startswith("start/questions/#") for entry in entries):
        yield "the search does not have the page of questions"


def _leads_somewhere(path: Path, link: str, pages: dict[Path, Page]) -> bool:
    target, anchor = urldefrag(link)
    parts = urlsplit(target)
    if parts.scheme or parts.netloc:
        return True  # another site
    file = _file(path, target) if target else path
    if file not in pages:
        return file.is_file()
    return not anchor or anchor.startswith("__") or unquote(anchor) in pages[file].anchors


def _file(page: Path, target: str) -> Path:
    found = (page.parent / unquote(urlsplit(target).path)).resolve()
    return found / "index.html" if found.is_dir() else found


def main(folder: str) -> int:
    """Print the faults of a site, and return the exit code."""
    site = Path(folder).resolve()
    count = len(list(site.rglob("*.html")))
    found = list(faults(site))
    for fault in found:
        print(fault, file=sys.stderr)
    print(f"{count} pages, {len(found)} faults")
    return 1 if found or not count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
