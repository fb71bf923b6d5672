"""An operation that is killed before and after each of its calls into the operating system."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import crash_host
from crews import HANG, LONG


def crash_everywhere(
    template: Path,
    folder: Path,
    act: Callable[..., Any],
    *,
    prepare: Callable[[], Any] | None = None,
    step: int = 1,
) -> Iterator[int]:
    """Run an operation on a copy of `template`, killed at its first point, its second, and so on.

    Two points are counted for each call of a C function of `crash_host.CALLS`: before it begins, and after
    it returned. Yields the number of each point when the process is dead, for the state of the folder to be
    checked; ends when the operation was completed before its n-th point.

    Args:
        template: The state before the operation.
        folder: Where the copy is.
        act: The operation: a function, or a `partial` of one, of a module that imports nothing heavy.
        prepare: As `act`; called beforehand, so that no points are spent on it. `act` is given its result.
        step: With one, not every point is tried, but the long form does.
    """
    step = 1 if LONG else step
    with _host() as host:
        _copy(template, folder)
        host.send(sys.path)
        host.send((prepare, act, LONG))
        _answer(host)
        point = 1
        while True:
            _copy(template, folder)
            host.send(point)
            code = _answer(host)
            if code == 0:
                return
            assert code == -signal.SIGKILL, f"the operation failed by itself at point {point}"
            yield point
            point += step


@contextmanager
def folder_in_memory() -> Iterator[Path]:
    """Make a folder in memory, if there is one: each point costs a copy of all files."""
    memory = "/dev/shm"
    with tempfile.TemporaryDirectory(
        prefix="perkey-", dir=memory if os.access(memory, os.W_OK) else None
    ) as folder:
        yield Path(folder)


@contextmanager
def _host() -> Iterator[Connection[Any, Any]]:
    """Start a process where forks are cheap; it ends with the block, and so does what it started."""
    here, there = Pipe()
    with here, there:
        program = [sys.executable, "-W", "error", crash_host.__file__, str(there.fileno())]
        with subprocess.Popen(program, pass_fds=[there.fileno()], process_group=0) as process:
            there.close()
            try:
                yield here
            finally:
                os.killpg(process.pid, signal.SIGKILL)


def _answer(host: Connection[Any, Any]) -> int:
    assert host.poll(HANG), "the operation hangs"
    try:
        code: int = host.recv()
    except EOFError:
        raise AssertionError("the operation failed by itself, without being killed") from None
    return code


def _copy(template: Path, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(template, folder)
