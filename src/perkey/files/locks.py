"""Advisory locks on open files and folders, and a record of the locks that each thread holds.

A signal handler, or the finaliser of an object, may write where the write that it interrupted holds the lock.
The thread cannot wait for itself. So it notes what it locks (`Hold`), and a nested write that finds the lock
taken by its own thread goes on under the lock of the outer write. If both concern the same item, the nested
write takes away the turn of the outer one, which compares again (`Turn`).
"""

from __future__ import annotations

import errno
import gc
import os
import sys
import threading
import time
from collections.abc import Callable
from itertools import compress, starmap
from operator import length_hint
from typing import Final

from perkey.answers import system_answer
from perkey.files.descriptors import Handle, in_child

if sys.platform != "win32":
    import fcntl

_UNSUPPORTED: Final = frozenset((errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP))
_TAKEN: Final = frozenset((errno.EWOULDBLOCK, errno.EACCES))


class Turn:
    """The right of one write to change an item that it has compared, until a nested write takes it away."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = [True]

    def take(self, act: Callable[..., object], *arguments: object) -> bool:
        """Call a C function unless the turn was taken away; return whether it was called.

        Looking and calling is one bytecode, and the collector is off because it may call finalisers in it.
        """
        collects = gc.isenabled()
        try:
            gc.disable()
            return bool([*starmap(act, compress((arguments,), self._left))])
        finally:
            if collects:
                gc.enable()

    def take_away(self) -> None:
        """End the turn, if the act is still to come."""
        self._left.clear()


class FileTurn(Turn):
    """A turn to change a file.

    Args:
        folder: The descriptor of its folder.
        leaf: Its name there.
        file: The descriptor of the file that is to take its place; -1 if it is to be removed.
    """

    __slots__ = ("file", "folder", "leaf")

    def __init__(self, folder: int, leaf: str, file: int) -> None:
        self._left = [True]
        self.folder = folder
        self.leaf = leaf
        self.file = file


class Hold:
    """A lock that a thread has, or is about to take or to release.

    Args:
        handle: Owns the descriptor.

    Attributes:
        fd: The descriptor that is locked, or is about to be; -1 without a lock.
        published: The status of the turn's file in the item's place, if a nested write replaced it.
    """

    __slots__ = ("_pending", "_turn", "fd", "published")

    def __init__(self, handle: Handle) -> None:
        self.fd = -1
        self.published: os.stat_result | None = None
        self._pending = handle.pending  # not the handle, which is closed when it is garbage
        self._turn: FileTurn | None = None

    def is_alive(self) -> bool:
        """Return whether the handle is open."""
        return length_hint(self._pending) > 0

    def begin(self, turn: FileTurn) -> None:
        """Note what is about to be done under the lock."""
        self.published = None
        self._turn = turn

    def overtake(self, other: FileTurn) -> None:
        """Take away the turn that is under way, if `other` is about to change the same item."""
        turn = self._turn
        if (
            turn is None
            or turn.leaf != other.leaf
            or not self.is_alive()
            or not _same(turn.folder, other.folder)
        ):
            return
        turn.take_away()
        if turn.file >= 0 and self.published is None:
            mine = os.fstat(turn.file)
            try:
                there = os.stat(turn.leaf, dir_fd=turn.folder, follow_symlinks=False)
            except system_answer(FileNotFoundError):
                return
            if os.path.samestat(mine, there):
                self.published = mine

    def excludes(self, fd: int) -> bool:
        """Return whether this is another descriptor's lock on the file or folder `fd`."""
        return self.fd not in {fd, -1} and self.is_alive() and _same(fd, self.fd)


class _Mine(threading.local):
    """The locks of this thread, the outermost first."""

    def __init__(self) -> None:
        self.holds: list[Hold] = []


_mine = _Mine()


@in_child
def _forget() -> None:
    _mine.holds.clear()


def begin(handle: Handle) -> Hold:
    """Note that this thread is about to lock a descriptor of a handle; `end` it after unlocking."""
    holds = _mine.holds
    if holds:  # an interrupt may have left some
        holds[:] = [hold for hold in holds if hold.is_alive()]
    hold = Hold(handle)
    holds.append(hold)
    return hold


def end(hold: Hold) -> None:
    """Note that a lock was released."""
    holds = _mine.holds
    if hold in holds:
        holds.remove(hold)


def is_nested(fd: int) -> bool:
    """Return whether this thread locks the same file or folder already, by another descriptor."""
    return any(hold.excludes(fd) for hold in _mine.holds)


def begin_turn(hold: Hold | None, folder: int, leaf: str, file: int = -1) -> Turn:
    """Note that an item is about to be compared and changed, and take that away from outer writes.

    Args:
        hold: The lock under which that is done, if any.
        folder: The descriptor of the item's folder.
        leaf: Its name there.
        file: The descriptor of the file that is to take its place; -1 if it is to be removed.
    """
    turn = FileTurn(folder, leaf, file)
    if hold is not None:
        hold.begin(turn)
    for outer in _mine.holds:
        if outer is not hold:
            outer.overtake(turn)
    return turn


def locked_for_outer(fd: int, try_lock: Callable[[int], bool]) -> bool:
    """Return whether `fd` needs no lock, or has it now, because this thread interrupted a write that has it.

    An outer write that is about to lock, or has unlocked, does not have the lock: then `fd` gets it.

    Args:
        fd: The descriptor that is to be locked.
        try_lock: Locks a descriptor without waiting, and returns whether it is locked now.
    """
    outer = [hold.fd for hold in _mine.holds if hold.excludes(fd)]
    return bool(outer) and any(try_lock(each) for each in (fd, *outer))


def lock(fd: int) -> bool:
    """Lock an open file or folder, waiting for its holder; return False if the file system has no locks.

    If the holder is a write that this thread was in when a signal handler or a finaliser ran, this returns at
    once: the caller works under that write's lock.

    Raises:
        OSError: It failed for another reason.
    """
    if sys.platform == "win32":  # pragma: not on Linux
        return _lock_byte(fd)
    try:
        holds = _mine.holds
        # The first is the outermost: if it is the caller's own, the thread has no outer locks.
        if not holds or holds[0].fd == fd or not locked_for_outer(fd, _try_lock):
            fcntl.flock(fd, fcntl.LOCK_EX)
    except system_answer(OSError) as error:
        if error.errno not in _UNSUPPORTED:
            raise
        return False
    return True


def unlock(fd: int) -> None:
    """Release a lock; also one that a forked child would otherwise go on holding."""
    if sys.platform == "win32":  # pragma: not on Linux
        _unlock_byte(fd)
    else:
        fcntl.flock(fd, fcntl.LOCK_UN)


def _same(one: int, other: int) -> bool:
    return os.path.samestat(os.fstat(one), os.fstat(other))


if sys.platform == "win32":  # pragma: not on Linux
    import msvcrt

    # Windows locks bytes of files; untested until it has run there.

    def _lock_byte(fd: int) -> bool:
        while True:
            try:
                os.lseek(fd, 0, os.SEEK_SET)
                msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
            except system_answer(PermissionError):
                time.sleep(0.001)
            else:
                return True

    def _unlock_byte(fd: int) -> None:
        os.lseek(fd, 0, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)

else:

    def _try_lock(fd: int) -> bool:
        """Lock if no other descriptor holds the lock; `fd` keeps a lock that it holds already."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except system_answer(OSError) as error:
            if error.errno not in _TAKEN:
                raise
            return False
        return True
