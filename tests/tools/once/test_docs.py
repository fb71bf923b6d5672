"""The page about computing once tells the truth."""

from pathlib import Path

import perkey
from perkey.tools import once

PAGE = Path(__file__).parents[3] / "docs" / "compute_once.md"


def test_the_page_names_every_function_and_error() -> None:
    page = PAGE.read_text()
    errors = ("BusyError", "ClaimLostError", "ComputationFailedError")
    functions = [name for name in once.__all__ if name.islower() and name != "remove_stale"]
    for name in (*functions, *errors):
        assert f"`{name}" in page, name
        assert name in perkey.__all__
