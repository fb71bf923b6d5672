"""Tests that run with each engine."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from s3.places import ENGINES

each_engine = pytest.mark.parametrize("engine", ENGINES)
"""For what an engine translates: requests, errors, retries."""

any_engine = pytest.mark.parametrize("engine", ["boto3", pytest.param("obstore", marks=pytest.mark.long)])
"""For what lies above the engines, or is sent by boto3 in any case; the long form of the tests takes both."""


def each_fault_meets_each(names: Iterable[str], faults: Mapping[str, Any]) -> pytest.MarkDecorator:
    """Let each fault spoil each operation by one engine, in turns; the long form of the tests takes both.

    So each fault meets each engine, and each operation is tried by each engine.
    """
    cases = [
        pytest.param(
            engine,
            fault,
            name,
            id=f"{name}-{kind}-{engine}",
            marks=() if (row + column + which) % 2 == 0 else pytest.mark.long,
        )
        for row, name in enumerate(names)
        for column, (kind, fault) in enumerate(faults.items())
        for which, engine in enumerate(ENGINES)
    ]
    return pytest.mark.parametrize(("engine", "fault", "name"), cases)
