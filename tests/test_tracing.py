"""The tests' own tracing leaves nothing behind."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

from tracing import at_opcode

from perkey import FileDirDict


class InterruptError(Exception):
    """What is raised between two opcodes."""


def interrupt() -> None:
    raise InterruptError


def test_an_interruption_leaves_no_exception_as_the_handled_one(tmp_path: Path) -> None:
    """It would be the context of the exceptions of all later tests of this process."""
    target = FileDirDict[int](tmp_path, durability="none")
    number, interrupted = 0, True
    while interrupted:
        with suppress(InterruptError):
            interrupted = at_opcode(number, interrupt, lambda: target.get("missing"))
        assert sys.exception() is None, number
        number += 1
    assert number > 50
