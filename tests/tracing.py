"""What is asked of the operating system."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

MODULES = frozenset(("posix", "fcntl", "io", "_io"))
CALLED_IN_C = ("access", "close", "dup", "open", "replace", "unlink")


def system_calls(function: Callable[[], Any]) -> list[str]:
    """Return the names of the calls into the operating system that a function makes."""
    calls = []

    def note(frame: Any, event: str, called: Any) -> None:
        if event == "c_call" and called.__module__ in MODULES:
            calls.append(called.__name__)

    with all_calls_visible():
        sys.setprofile(note)
        try:
            function()
        finally:
            sys.setprofile(None)
    return calls


@contextmanager
def all_calls_visible() -> Iterator[None]:
    """Let a profiler see functions of `os` also where a function in C, such as `map`, calls them."""
    with ExitStack() as patches:
        for name in CALLED_IN_C:
            patches.enter_context(mock.patch.object(os, name, _visibly(getattr(os, name))))
        yield


def _visibly(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        return function(*arguments, **named)

    return call
