"""The page about synced documents tells the truth."""

import doctest
import re
from pathlib import Path

import pytest

import perkey.synced

PAGE = Path(__file__).parents[2] / "docs" / "synced.md"


def test_the_examples_of_the_page_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    results = doctest.testfile(str(PAGE), module_relative=False)
    assert results.failed == 0
    assert results.attempted > 20


def test_the_page_names_every_class() -> None:
    page = PAGE.read_text()
    generic = re.compile(
        r"(Memory)?Buffered\w|.*Collection$|Wrong|JSONFile|PersiItem|SyncedItem|pair|Detached"
    )
    for name in perkey.synced.__all__:
        assert f"`{name}" in page or generic.match(name), name
