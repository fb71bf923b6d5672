"""Each link within the repository leads to a file, and to a heading of it."""

from __future__ import annotations

import posixpath
import re

import pytest

from documentation.pages import ROOT, pages

LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


def anchors(page: str) -> set[str]:
    """Return the anchors of the headings of a page, as Python-Markdown makes them."""
    content = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.*)$", content, re.MULTILINE):
        text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").replace("*", "")
        plain = re.sub(r"[^\w\s-]", "", text.encode("ascii", "ignore").decode()).strip().lower()
        slug = re.sub(r"[-\s]+", "-", plain)
        count = 0
        while (anchor := slug if not count else f"{slug}_{count}") in found:
            count += 1
        found.add(anchor)
    return found


def broken(page: str, content: str) -> list[str]:
    """List the links of a page that lead nowhere."""
    lost = []
    for target, anchor in LINK.findall(CODE.sub("", content)):
        if ":" in target:
            continue
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page), target)) if target else page
        if not (ROOT / path).exists() or (anchor and anchor not in anchors(path)):
            lost.append(f"{page}: {target}#{anchor}")
    return lost


@pytest.mark.parametrize("page", pages())
def test_each_link_leads_somewhere(page: str) -> None:
    assert broken(page, (ROOT / page).read_text()) == []


def test_the_search_finds_broken_links() -> None:
    text = (
        "[a](docs/gone.md), [b](docs/s3.md#gone), [c](docs/s3.md#rights), [d](https://example.org), `[e](f)`"
    )
    assert broken("README.md", text) == ["README.md: docs/gone.md#", "README.md: docs/s3.md#gone"]
