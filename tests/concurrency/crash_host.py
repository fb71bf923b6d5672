"""A process with nothing in it but an operation; it forks one child after another, killed ever later.

It is run as a program by `crashes.crash_everywhere`, because a fork costs what the memory of a process does.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Final, NoReturn

CALLS: Final = frozenset(("posix", "fcntl", "io", "_io"))
"""Modules of C functions that ask the system for something; in the long form all C functions count."""


def serve(parent: Connection[Any, Any]) -> None:
    """Answer each number of a point with the exit code of a process that was killed there."""
    sys.path[:] = parent.recv()
    prepare, act, long = parent.recv()
    arguments = () if prepare is None else (prepare(),)
    parent.send(_rehearse(act, arguments))
    while True:
        try:
            point = parent.recv()
        except EOFError:
            return
        child = os.fork()
        if child == 0:
            _run_until(point, long, act, arguments)
        parent.send(_exit_code(child))


def _rehearse(act: Callable[..., Any], arguments: tuple[Any, ...]) -> int:
    """Do all in a child, for the modules that are imported at first use: no points are spent on that."""
    known = set(sys.modules)
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        _run(act, arguments, lambda: os.write(writable, "\n".join(set(sys.modules) - known).encode()))
    os.close(writable)
    with open(readable) as names:
        for name in names.read().split():
            importlib.import_module(name)
    return _exit_code(child)


def _run_until(point: int, long: bool, act: Callable[..., Any], arguments: tuple[Any, ...]) -> NoReturn:
    passed = 0

    def pass_by(frame: Any, event: str, function: Any) -> None:
        nonlocal passed
        if event in {"c_call", "c_return", "c_exception"} and (long or _asks_the_system(function)):
            passed += 1
            if passed == point:
                os.kill(os.getpid(), signal.SIGKILL)

    threading.setprofile(pass_by)
    sys.setprofile(pass_by)
    _run(act, arguments, lambda: None)


def _run(act: Callable[..., Any], arguments: tuple[Any, ...], then: Callable[[], Any]) -> NoReturn:
    try:
        act(*arguments)
        sys.setprofile(None)
        then()
        os._exit(0)
    except BaseException:  # noqa: BLE001 - the exit code tells
        sys.setprofile(None)
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(1)


def _asks_the_system(function: Any) -> bool:
    if function.__module__ is not None:
        return function.__module__ in CALLS
    return type(function.__self__).__module__ in CALLS  # a method, of a file say


def _exit_code(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    with Connection(int(sys.argv[1])) as channel:
        serve(channel)
