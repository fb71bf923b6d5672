"""A process with nothing in it but an operation; it forks one child after another, killed ever later.

It is run as a program by `crashes.crash_everywhere`, because a fork costs what the memory of a process does.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, Final, NoReturn

CALLS: Final = frozenset(("posix", "fcntl", "io", "_io"))
"""Modules of C functions that ask the system for something; in the long form all C functions count."""


def serve(parent: Connection[Any, Any]) -> None:
    """Do the operation once, then answer each number of a point with the exit code of a child killed there.

    It is done once, and told by a 0, so that no points are spent on what is imported or cached at first use.
    """
    sys.path[:] = _told(parent)
    prepare, act, long = _told(parent)
    import tracing

    visible = tracing.all_calls_visible()
    visible.__enter__()  # for the rest of the process
    _prepared(prepare, act)()
    _show_renames()
    parent.send(0)
    point = _told(parent)
    operation = _prepared(prepare, act)  # anew, because the folder is
    while True:
        child = os.fork()
        if child == 0:
            _run_until(point, operation, long=long)
        parent.send(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        point = _told(parent)


def _show_renames() -> None:
    """Let the renames that refuse, which are called by way of ctypes, be points, too."""
    syscalls: Any = sys.modules.get("perkey.files.syscalls")
    rename = None if syscalls is None else syscalls._renameat2()
    if syscalls is not None and rename is not None:

        def visible(*arguments: Any) -> Any:
            os.getpid()
            result = rename(*arguments)
            os.getpid()
            return result

        syscalls._renameat2 = lambda: visible


def _told(parent: Connection[Any, Any]) -> Any:
    try:
        return parent.recv()
    except EOFError:
        sys.exit()  # it has gone


def _prepared(prepare: Callable[[], Any] | None, act: Callable[..., Any]) -> Callable[[], Any]:
    return act if prepare is None else partial(act, prepare())


def _run_until(point: int, operation: Callable[[], Any], *, long: bool) -> NoReturn:
    passed = 0

    def pass_by(frame: Any, event: str, function: Any) -> None:
        nonlocal passed
        if event in {"c_call", "c_return", "c_exception"} and (long or _asks_the_system(function)):
            passed += 1
            if passed == point:
                os.kill(os.getpid(), signal.SIGKILL)

    try:
        threading.setprofile(pass_by)
        sys.setprofile(pass_by)
        operation()
        sys.setprofile(None)
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


if __name__ == "__main__":
    channel = Connection(int(sys.argv[1]))  # open to the end: when it closes, an error has been printed
    serve(channel)
