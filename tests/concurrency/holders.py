"""Writers that stop in the middle, holding the lock of their folder, and ways to see that they do."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeAlias
from unittest import mock

from crews import HANG
from workers import LockKind, with_locks

from perkey import FileDirDict
from perkey.files import folder as descriptors
from perkey.files.folder import LOCK_FILE

Way: TypeAlias = Literal["os.fork", "multiprocessing", "subprocess"]


def is_locked(path: Path) -> bool:
    """Tell whether anybody holds the lock of a file or folder."""
    fd = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def lock_of(folder: Path, kind: LockKind) -> Path:
    """Return what is locked where locks are of some kind."""
    return folder / LOCK_FILE if kind == "file" else folder


@contextmanager
def stopped_writer(base: Path, key: str, value: Any) -> Iterator[None]:
    """Let a thread write an item and stop just before it renames, under the lock; it goes on at the end."""
    holding, go_on = threading.Event(), threading.Event()
    replace = os.replace
    writers = set()

    def stop(*arguments: Any, **names: Any) -> None:
        if threading.current_thread() in writers:
            holding.set()
            assert go_on.wait(HANG)
        replace(*arguments, **names)

    def write() -> None:
        FileDirDict[Any](base)[key] = value

    writer = threading.Thread(target=write)
    writers.add(writer)
    with mock.patch.object(os, "replace", stop):
        writer.start()
        try:
            assert holding.wait(HANG)
            yield
        finally:
            go_on.set()
            writer.join(HANG)
    assert not writer.is_alive()


class Survivor:
    """A child of a writer that was killed while it held the lock; alive until it is released."""

    def __init__(self, base: Path, way: Way, *, kind: LockKind = "folder", forgetful: bool = False) -> None:
        self._release, release = os.pipe()[::-1]
        alive, self._alive = os.pipe()[::-1]
        parent = os.fork()
        if parent == 0:
            with_locks(kind, _die_holding, base, way, release, alive, forgetful)
        os.close(release)
        os.close(alive)
        _, status = os.waitpid(parent, 0)
        assert os.WIFSIGNALED(status)
        assert os.WTERMSIG(status) == signal.SIGKILL
        assert os.read(self._alive, 1) == b"+"

    def is_alive(self) -> bool:
        """Tell whether the child still has its end of a pipe open."""
        os.set_blocking(self._alive, False)
        try:
            return os.read(self._alive, 1) != b""
        except BlockingIOError:
            return True

    def release(self) -> None:
        """Let the child end, and wait for it."""
        os.write(self._release, b"-")
        os.close(self._release)
        os.set_blocking(self._alive, True)
        while os.read(self._alive, 1):
            pass
        os.close(self._alive)


def _die_holding(base: Path, way: Way, release: int, alive: int, forgetful: bool) -> NoReturn:
    """Start a child while another thread holds the lock, then die at once."""
    try:
        with stopped_writer(base, "a", "killed"):
            if forgetful:
                descriptors._lockable.clear()  # as if it were not known which descriptors are locked
            _START[way](release, alive)
            os.kill(os.getpid(), signal.SIGKILL)
    finally:
        os._exit(1)
    raise AssertionError


def _live(release: int, alive: int) -> None:
    os.write(alive, b"+")
    os.read(release, 1)
    os._exit(0)


def _by_fork(release: int, alive: int) -> None:
    if os.fork() == 0:
        _live(release, alive)


def _by_multiprocessing(release: int, alive: int) -> None:
    get_context("fork").Process(target=_live, args=(release, alive)).start()


def _by_subprocess(release: int, alive: int) -> None:
    code = "import os; os.write(1, b'+'); os.read(0, 1)"
    subprocess.Popen([sys.executable, "-S", "-c", code], stdin=release, stdout=alive)


_START: dict[Way, Callable[[int, int], None]] = {
    "os.fork": _by_fork,
    "multiprocessing": _by_multiprocessing,
    "subprocess": _by_subprocess,
}
