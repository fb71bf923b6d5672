"""What each thread locks, for writes within a write of the same thread.

A signal handler, or the finaliser of an object, may write where the write that it interrupted holds the lock.
The thread cannot wait for itself. So it notes what it locks (`Hold`). A nested write that finds the lock
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
from collections.abc import Callable, Iterable, Iterator
from itertools import compress, starmap
from operator import length_hint
from typing import Final

from perkey.answers import ignore_system_answer, system_answer

if sys.platform != "win32":
    import fcntl

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


class ManyTurns:
    """Files that get their names by one system call each, which compares, too: so no turn can be taken away.

    Args:
        folder: The descriptor of their folder.
        leaves: Their names there.

    Attributes:
        replaced: The status of each file in an item's place, before the first nested write changed that.
    """

    __slots__ = ("folder", "leaves", "replaced")

    def __init__(self, folder: int, leaves: Iterable[str]) -> None:
        self.folder = folder
        self.leaves = frozenset(leaves)
        self.replaced: dict[str, os.stat_result] = {}

    def note(self, other: FileTurn) -> None:
        """Note what is in the place of an item that a nested write is about to change."""
        leaf = other.leaf
        if leaf in self.leaves and leaf not in self.replaced and _same(self.folder, other.folder):
            with ignore_system_answer(FileNotFoundError):
                self.replaced[leaf] = os.stat(leaf, dir_fd=self.folder, follow_symlinks=False)

    def before(self, leaf: str, mine: os.stat_result) -> os.stat_result:
        """Return the status that a file had in its place until a nested write replaced it.

        Args:
            leaf: The name.
            mine: Another status of the file, returned if that is not known.
        """
        found = self.replaced.get(leaf)
        return mine if found is None or found.st_ino != mine.st_ino else found


class Hold:
    """A lock that a thread has, or is about to take or to release.

    Attributes:
        pending: The open descriptors of the handle that owns the lock; not the handle, which is closed when
            it is garbage.
        fd: The descriptor that is locked, or is about to be; -1 without a lock.
        published: The status of the turn's file in the item's place, if a nested write replaced it.
        many: The files that are being given their names together, if any.
    """

    pending: Iterator[int]
    fd = -1
    published: os.stat_result | None = None
    many: ManyTurns | None = None
    _turn: FileTurn | None = None

    def is_alive(self) -> bool:
        """Return whether the handle is open."""
        return length_hint(self.pending) > 0

    def begin(self, turn: FileTurn) -> None:
        """Note what is about to be done under the lock."""
        self.published = None
        self._turn = turn

    def overtake(self, other: FileTurn) -> None:
        """Take away the turn that is under way, if `other` is about to change the same item."""
        if self.many is not None and self.is_alive():
            self.many.note(other)
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


mine = _Mine()


def _forget() -> None:
    mine.holds.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def is_nested(fd: int) -> bool:
    """Return whether this thread locks the same file or folder already, by another descriptor."""
    return any(hold.excludes(fd) for hold in mine.holds)


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
    for outer in mine.holds:
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
    outer = [hold.fd for hold in mine.holds if hold.excludes(fd)]
    return bool(outer) and any(try_lock(each) for each in (fd, *outer))


def _same(one: int, other: int) -> bool:
    return os.path.samestat(os.fstat(one), os.fstat(other))


if sys.platform == "win32":  # pragma: not on Linux
    import msvcrt

    # Windows locks bytes of files; untested until it has run there.

    def lock_byte(fd: int) -> bool:
        """Lock a file, waiting for its holder."""
        while True:
            try:
                os.lseek(fd, 0, os.SEEK_SET)
                msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
            except system_answer(PermissionError):
                time.sleep(0.001)
            else:
                return True

    def unlock_byte(fd: int) -> None:
        """Release the lock of `lock_byte`."""
        os.lseek(fd, 0, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)

else:

    def try_lock(fd: int) -> bool:
        """Lock if no other descriptor holds the lock; `fd` keeps a lock that it holds already."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except system_answer(OSError) as error:
            if error.errno not in _TAKEN:
                raise
            return False
        return True
