"""Tests with parameters of which some combinations always run, and the others with ``-m slow``."""

from __future__ import annotations

from collections.abc import Collection
from itertools import product
from typing import Any

import pytest


def combinations(*values: Collection[Any], always: Collection[tuple[Any, ...]]) -> list[Any]:
    """Return all combinations of the values of several parameters, for `pytest.mark.parametrize`.

    Args:
        values: For each parameter its values, which have an id of their own.
        always: The combinations that are not marked as slow.
    """
    every = list(product(*values))
    assert set(always) <= set(every)
    return [pytest.param(*each, marks=() if each in always else pytest.mark.slow) for each in every]


def mostly_slow(values: Collection[Any], *always: Any) -> list[Any]:
    """Return the values of one parameter; all but those of `always` are marked as slow."""
    return combinations(values, always=[(each,) for each in always])
