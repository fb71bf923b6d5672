"""Blocks of code that may be entered again and again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self


class Block(AbstractContextManager[None]):
    """A ``with`` block that can be entered many times, one after another, nested, or by several threads.

    Calling it returns it: signac has methods where synced_collections has properties, and programs write
    both ``with d.buffered:`` and ``with d.buffered():``.

    Args:
        make: Returns what one entry enters and leaves.
    """

    def __init__(self, make: Callable[[], AbstractContextManager[None]]) -> None:
        self._make = make
        # All of them do the same, so it does not matter which of two threads leaves which.
        self._entered: list[AbstractContextManager[None]] = []

    def __call__(self) -> Self:
        """Return this block."""
        return self

    def __enter__(self) -> None:
        inner = self._make()
        inner.__enter__()
        self._entered.append(inner)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        return self._entered.pop().__exit__(kind, error, trace)
