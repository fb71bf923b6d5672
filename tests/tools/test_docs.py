"""The page about looking after a dictionary tells the truth."""

import doctest
import inspect
import re
from pathlib import Path
from typing import get_args

import pytest

from perkey import convert, copy, prune, sync, to_dataframe, verify, watch
from perkey.tools import checking

UNSAID = {"d", "prefix", "workers", "on_fault", "repair", "src", "dst", "source"}
PAGE = Path(__file__).parents[2] / "docs" / "looking_after.md"


def test_every_block_of_the_page_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    results = doctest.testfile(str(PAGE), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert results.failed == 0
    assert results.attempted > 25
    blocks = re.findall(r"```(\w*)\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert all(language == "python" and text.startswith(">>> ") for language, text in blocks)


def test_the_page_names_every_kind_and_option() -> None:
    page = PAGE.read_text()
    for kind in get_args(checking.Kind):
        assert f"| `{kind}` |" in page
    for function in (prune, verify, copy, sync, convert, to_dataframe, watch):
        for name in inspect.signature(function).parameters:
            assert (
                name in {"d", "prefix", "workers", "on_fault", "repair", "src", "dst", "source"}
                or f"{name}" in page
            ), name
