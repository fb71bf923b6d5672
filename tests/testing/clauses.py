"""Clauses of a suite called without pytest, in all their forms."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from perkey.errors import PerkeyError

Caught = (AssertionError, pytest.fail.Exception, PerkeyError, KeyError)
"""How a clause says no: itself, by `pytest.raises`, or by what was raised where nothing was due."""


def parameters(clause: Callable[..., Any]) -> Iterator[dict[str, Any]]:
    """Yield each set of arguments that pytest would call a clause with."""
    marks = [mark for mark in getattr(clause, "pytestmark", []) if mark.name == "parametrize"]
    sets: list[dict[str, Any]] = [{}]
    for mark in marks:
        sets = [{**known, mark.args[0]: value} for known in sets for value in mark.args[1]]
    yield from sets


def check(
    suite: type[Any], clause: str, folder: Path, prepare: Callable[[Any], dict[str, Any]], **fixtures: Any
) -> None:
    """Call a clause as pytest does.

    Args:
        suite: The suite's class.
        clause: The name of its test.
        folder: A folder to work in.
        prepare: Returns the suite's own fixtures, given an instance.
        **fixtures: Those of pytest.
    """
    wanted = inspect.signature(getattr(suite, clause)).parameters
    for number, arguments in enumerate(parameters(getattr(suite, clause))):
        bound = suite()
        bound.tmp_path = folder / str(number)
        bound.tmp_path.mkdir()
        known = {**arguments, **fixtures, **prepare(bound)}
        getattr(bound, clause)(**{name: value for name, value in known.items() if name in wanted})
