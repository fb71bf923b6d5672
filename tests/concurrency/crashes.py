"""A process that kills itself before or after the n-th call into the operating system, for every n."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NoReturn

from crews import LONG

CALLS: Final = frozenset(("posix", "fcntl", "io", "_io"))
"""Modules of C functions that ask the system for something; in the long form all C functions count."""


def crash_everywhere(
    template: Path, folder: Path, operation: Callable[[], Any], step: int = 1
) -> Iterator[int]:
    """Run an operation on a copy of `template`, killed at its first point, its second, and so on.

    Two points are counted for each call of a C function of `CALLS`: before it begins, and after it
    returned. Yields the number of each point when the process is dead, for the state of the folder to be
    checked; ends when the operation was completed before its n-th point. With a `step`, not every point is
    tried, but the long form does.
    """
    step = 1 if LONG else step
    point = 1
    while True:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(template, folder)
        child = os.fork()
        if child == 0:
            _run_until(point, operation)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code == 0:
            return
        assert code == -signal.SIGKILL, f"the operation failed by itself at point {point}"
        yield point
        point += step


def _run_until(point: int, operation: Callable[[], Any]) -> NoReturn:
    passed = 0

    def pass_by(frame: Any, event: str, function: Any) -> None:
        nonlocal passed
        if event in {"c_call", "c_return", "c_exception"} and (LONG or _asks_the_system(function)):
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
