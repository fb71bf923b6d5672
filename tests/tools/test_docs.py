"""The page about looking after a dictionary tells the truth."""

import inspect
from pathlib import Path
from typing import get_args

from perkey import convert, copy, prune, sync, to_dataframe, verify, watch
from perkey.tools import checking

UNSAID = {"d", "prefix", "workers", "on_fault", "repair", "src", "dst", "source"}
PAGE = Path(__file__).parents[2] / "docs" / "looking_after.md"


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
