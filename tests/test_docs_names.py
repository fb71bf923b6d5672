"""The description of the code names what exists: modules, folders, and every identifier in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import perkey

SOURCE = Path(perkey.__file__).parent
ROOT = SOURCE.parents[1]
PAGE = ROOT / "docs" / "architecture.md"

PATHS = re.compile(r"(?:[\w-]+/)*[\w-]+\.(?:py|md|toml)|(?:[\w-]+/)+")
CODE = re.compile(r"``(.+?)``|`([^`]+)`")
WORDS = re.compile(r"[A-Za-z_]{3}\w*")


def code_on(page: str) -> Iterator[str]:
    """Yield each piece of code in the running text of a page."""
    for match in CODE.finditer(re.sub(r"```.*?```", "", page, flags=re.DOTALL)):
        yield match[1] or match[2]


def missing_paths(page: str) -> list[str]:
    """List the files and folders that a page names and that do not exist.

    They are relative to the package, its parent, the repository, or a folder that the same paragraph names.
    """
    found = []
    for paragraph in re.split(r"\n(?:\n|(?=[|*-] ))", page):
        named = [piece for piece in code_on(paragraph) if PATHS.fullmatch(piece)]
        folders = [SOURCE, SOURCE.parent, ROOT, *(SOURCE / piece for piece in named if piece.endswith("/"))]
        found += [piece for piece in named if not any((folder / piece).exists() for folder in folders)]
    return found


def missing_words(page: str, known: set[str]) -> list[str]:
    """List the identifiers that a page names and that are nowhere in the code."""
    return [
        f"{word} in {piece}" for piece in code_on(page) for word in WORDS.findall(piece) if word not in known
    ]


@pytest.fixture(scope="module")
def known() -> set[str]:
    here = Path(__file__)
    files = [*SOURCE.rglob("*.py"), *(path for path in (ROOT / "tests").rglob("*.py") if path != here)]
    words = {word for path in [*files, ROOT / "pyproject.toml"] for word in WORDS.findall(path.read_text())}
    return words | {part for path in [*files, *(ROOT / "docs").glob("*.md")] for part in path.parts} | {
        path.stem for path in files
    }  # fmt: skip


def test_each_module_and_folder_on_the_page_exists() -> None:
    assert missing_paths(PAGE.read_text()) == []


def test_each_identifier_on_the_page_is_in_the_code(known: set[str]) -> None:
    assert missing_words(PAGE.read_text(), known) == []


def test_each_link_on_the_page_leads_to_a_page() -> None:
    links = re.findall(r"\]\(([^)#]+)", PAGE.read_text())
    assert [link for link in links if not (PAGE.parent / link).exists()] == []


def test_each_package_has_its_section() -> None:
    packages = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    headings = set(re.findall(r"^## (\w+)$", PAGE.read_text(), flags=re.MULTILINE))
    assert packages - headings == set()


def test_each_module_of_the_vocabulary_is_described() -> None:
    modules = {path.name for path in SOURCE.glob("*.py")} - {"__init__.py"}
    assert modules - set(code_on(PAGE.read_text())) == set()


def test_the_search_finds_names_that_are_gone(known: set[str]) -> None:
    page = (
        "The modules of `tools/once/`: `leases.py` and `gone.py`, on `stores/gone.py`; see `gone_and_lost`."
    )
    assert missing_paths(page) == ["gone.py", "stores/gone.py"]
    assert [found for found in missing_words(page, known) if "gone_and" in found] == [
        "gone_and_lost in gone_and_lost"
    ]
