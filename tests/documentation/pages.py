"""The pages that people read, and the blocks of code in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import perkey

ROOT = Path(perkey.__file__).parents[2]

BLOCK = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
NOT_RUN = re.compile(r"<!-- not run: [^\n]+ -->\n\Z")
RECIPE = re.compile(r"<!-- runs: [\w.]+ -->\n\Z")


@dataclass(frozen=True)
class Block:
    """A block of code of a page."""

    page: str
    line: int
    language: str
    text: str
    title: str | None
    """The file that the reader saves it as."""
    is_recipe: bool
    """Whether tests/integrations runs it, with workers that are killed."""

    is_excused: bool
    """Whether the page says why no test runs it."""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[str]:
    """List all pages, by their paths in the repository."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*.md")]
    return sorted(str(path.relative_to(ROOT)) for path in found)


def blocks(page: str) -> Iterator[Block]:
    """Yield the blocks of code of a page, in order."""
    content = (ROOT / page).read_text()
    for match in BLOCK.finditer(content):
        indent = match["indent"]
        text = re.sub(rf"^{indent}", "", match["text"], flags=re.MULTILINE) if indent else match["text"]
        yield Block(
            page=page,
            line=content.count("\n", 0, match.start()) + 1,
            language=match["language"],
            text=text,
            title=match["title"],
            is_recipe=RECIPE.search(content, 0, match.start()) is not None,
            is_excused=NOT_RUN.search(content, 0, match.start()) is not None,
        )
