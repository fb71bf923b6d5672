"""What is asked of the operating system."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import perkey

SOURCE = os.path.dirname(perkey.__file__)
MODULES = frozenset(("posix", "fcntl", "io", "_io"))
CALLED_IN_C = (
    *("access", "close", "dup", "fstat", "link", "open", "read"),
    *("replace", "stat", "unlink", "utime", "write"),
)


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


def with_own_exceptions(function: Callable[[], object]) -> None:
    """Call a function so that no exception stays the handled one after it.

    CPython ends an ``except`` clause by an opcode. If tracing raises just before it, the exception of the
    clause stays the handled one of the thread, and becomes the ``__context__`` of all later ones. Signal
    handlers do not run there. A generator has handled exceptions of its own, which end with it.
    """

    def run() -> Iterator[None]:
        function()
        yield

    next(iter(run()))


def at_opcode(number: int, act: Callable[[], None], function: Callable[[], Any], *, where: str = "") -> bool:
    """Call a function, and `act` before the opcode of that number which perkey executes in it.

    So every place is tried at which Python could run a signal handler, and more.

    Args:
        number: Which opcode, counted from 0.
        act: What is done there, untraced; it may raise.
        function: The function.
        where: The name of a function in whose calls, and in all calls made there, opcodes are counted.

    Returns:
        Whether there are so many.
    """
    passed = 0
    inside = 0 if where else 1
    interrupted = False

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal passed, inside, interrupted
        if not frame.f_code.co_filename.startswith(SOURCE):
            return None
        frame.f_trace_opcodes = True
        if where and frame.f_code.co_name == where:
            inside += (event == "call") - (event == "return")
        if event == "opcode" and inside:
            passed += 1
            if passed == number + 1:
                sys.settrace(None)
                interrupted = True
                act()
                interrupted = False
        return trace

    sys.settrace(trace)
    try:
        with_own_exceptions(function)
    finally:
        sys.settrace(None)
        if interrupted:
            gc.enable()  # tracing interrupts also between the bytecodes of a ``finally`` that calls it
    return passed > number
