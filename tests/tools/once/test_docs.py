"""The page about computing once tells the truth."""

import doctest
from pathlib import Path

import pytest

import perkey
from perkey.tools import once

PAGE = Path(__file__).parents[3] / "docs" / "compute_once.md"


def test_the_examples_of_the_page_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    results = doctest.testfile(str(PAGE), module_relative=False)
    assert results.failed == 0
    assert results.attempted > 15


def test_the_page_names_every_function_and_error() -> None:
    page = PAGE.read_text()
    errors = ("BusyError", "ClaimLostError", "ComputationFailedError")
    functions = [name for name in once.__all__ if name.islower() and name != "remove_stale"]
    for name in (*functions, *errors):
        assert f"`{name}" in page, name
        assert name in perkey.__all__
