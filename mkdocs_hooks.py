"""Hooks of the documentation site: pages made from other files of the repository, and links to them.

The README is the first page. The changelog, the rules for contributors, the policy for vulnerabilities and
the examples are pages, too. Links between them work in the repository as they stand. Here they are changed
to those of the site.
"""

from __future__ import annotations

import ast
import posixpath
import re
import runpy
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security_policy.md",
    "examples/README.md": "examples/index.md",
}
"""Files of the repository outside of docs/, and the pages made from them."""

BEHIND = ("api/", "architecture.md", "changelog.md", "contributing.md")
"""Pages that the search lists last: their titles are words of many questions that other pages answer."""

LINK = re.compile(r"(?P<before>\]\()(?P<target>[^)#\s:]+)(?P<anchor>#[^)\s]*)?(?=\))")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Take the site's address from the one constant, and list the examples in the navigation."""
    config.site_url = runpy.run_path(str(ROOT / "src/perkey/pages.py"))["ADDRESS"]
    for section in config.nav or []:
        for entry in next(iter(section.values())):
            if isinstance(entry, dict) and "Examples" in entry:
                entry["Examples"] = [
                    "examples/index.md",
                    *(page_of(f"examples/{name}") for name in examples()),
                ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made from other files."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text()))
    for name in examples():
        page = f"examples/{Path(name).stem}.md"
        files.append(File.generated(config, page, content=example_page(ROOT / "examples" / name)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Change links to files of the repository to links to their pages, and rank the page for the search."""
    here = page.file.src_uri
    if here.startswith(BEHIND):
        page.meta["search"] = {"boost": 0.1}
    origin = next((source for source, made in PAGES.items() if made == here), f"docs/{here}")

    def to_page(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(origin), link["target"]))
        path = posixpath.relpath(page_of(target), posixpath.dirname(here) or ".")
        return f"{link['before']}{path}{link['anchor'] or ''}"

    return LINK.sub(to_page, markdown)


def page_of(source: str) -> str:
    """Return the page that is made from a file of the repository."""
    if source in PAGES:
        return PAGES[source]
    if source in {"examples", "docs/examples"}:
        return "examples/index.md"
    if source.startswith("examples/"):
        return source.removesuffix(".py") + ".md"
    return source.removeprefix("docs/")


def examples() -> list[str]:
    """List the names of the example programs."""
    return sorted(path.name for path in (ROOT / "examples").glob("*.py"))


def example_page(program: Path) -> str:
    """Return the page of an example: its description, the program, and what it prints."""
    source = program.read_text()
    description = ast.get_docstring(ast.parse(source)) or ""
    title, _, rest = description.partition("\n\n")
    code = source.split('"""\n', 2)[-1] if description.count('"""') == 0 else source
    text = f"# {program.stem.replace('_', ' ').capitalize()}\n\n{title}\n\n{rest}\n\n"
    text += f'```python title="examples/{program.name}"\n{code.strip()}\n```\n'
    output = program.parent / "output" / f"{program.stem}.txt"
    if output.exists():
        text += f"\n## What it prints\n\n```text\n{output.read_text().strip()}\n```\n"
    return text
