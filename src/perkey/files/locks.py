"""Descriptors and locks: neither an interrupt can lose them nor a fork keep them.

**Interrupts.** The handler of a signal (Ctrl-C, an alarm) may raise an exception between any two bytecodes,
also between the call that opens a file and the assignment of its number. So each descriptor is opened and
noted within one call of a function written in C (``opened.extend(map(os.open, ...))``), and forgotten and
closed within one (``any(map(os.close, ...))`` over the iterator of that list). Python calls no handler in
between.

**Forks.** An flock belongs to the open file, which a forked child shares: while the child lives, its copy of
the descriptor would keep the lock of a parent that was killed. So each `Handle` whose files may be locked is
registered here, and a child closes its copies at once (closing does not unlock the parent; unlocking would).

**Nested writes.** A signal handler, or the finaliser of an object, may write where the write that it
interrupted holds the lock. The thread cannot wait for itself. So it notes what it locks (`Hold`). A nested
write that finds the lock taken by its own thread goes on under the lock of the outer write. If both concern
the same item, the nested write takes away the turn of the outer one, which compares again (`Turn`).
"""

from __future__ import annotations

import errno
import gc
import io
import os
import sys
import threading
import time
from _thread import RLock
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, compress, starmap
from operator import length_hint
from typing import Final

from perkey.answers import system_answer

_PATIENCE: Final = 100

_lockable: dict[int, list[Iterator[object]]] = {}
"""Handles, by their ids, to the stages of their closing."""

_forking: set[int] = set()
_forks = 0
_in_child: list[Callable[[], object]] = []


class Handle(io.IOBase):
    """Owns descriptors; a ``with`` block closes all of them, in the order of their opening.

    `close` and ``__exit__`` are C functions (those of `io.IOBase`), so that no handler of a signal runs
    between their beginning and the closing. A handle that is garbage closes what is still open.

    Args:
        lockable: Whether the files may be locked. Children forked meanwhile close their copies then.

    Attributes:
        pending: An iterator over the descriptors that are open; only its length may be asked for.
    """

    def __init__(self, *, lockable: bool = False) -> None:
        opened: list[int] = []
        self._opened = opened
        self.pending = iter(opened)
        closing = map(os.close, self.pending)
        stages: list[Iterator[object]] = [closing]
        self._stages = stages
        self._lockable = lockable
        if lockable:
            # Draws what `pop` returns, and yields nothing.
            stages.append(compress(map(_lockable.pop, (id(self),), (None,)), (False,)))
        # All stages yield None or nothing, so that one call goes through all; `__exit__` returns its result.
        self.close = partial(any, chain.from_iterable(stages))  # type: ignore[method-assign, assignment]
        if lockable:
            _lockable[id(self)] = stages  # at last: from now on, closing removes it

    def open(self, path: str, flags: int, mode: int = 0o777, dir_fd: int | None = None) -> int:
        """Open a file as `os.open`, and return its descriptor, which belongs to this handle."""
        act = os.open if dir_fd is None else partial(os.open, dir_fd=dir_fd)
        opened = self._opened
        if not self._lockable:
            opened.extend(map(act, (path,), (flags,), (mode,)))
            return opened[-1]
        for _ in range(_PATIENCE):
            if _forking:
                time.sleep(0.001)
                continue
            forks = _forks
            opened.extend(map(act, (path,), (flags,), (mode,)))
            if forks == _forks and not _forking:
                return opened[-1]
            # 1. here: opened   2. another thread: forked   3. here: noted, too late for that child.
            # The child keeps an open file that is never locked; take a new one.
        # A fork that does not end: one of its hooks may be waiting for this very thread.
        opened.extend(map(act, (path,), (flags,), (mode,)))
        return opened[-1]

    def redirect(self, fd: int, other: int) -> None:
        """Close what a descriptor of this handle leads to, and let it lead to what `other` leads to.

        Its number belongs to this handle throughout, so that no interrupt can lose it.
        """
        os.dup2(other, fd, inheritable=False)

    def before_closing(self, stage: Iterator[object]) -> None:
        """Exhaust an iterator when this is closed, before the descriptors are; a forked child does not."""
        self._stages.insert(0, stage)


def in_child(act: Callable[[], object]) -> None:
    """Call a function in each forked child, after the copies of lockable descriptors are closed."""
    _in_child.append(act)


def _begin_fork() -> None:
    global _forks  # noqa: PLW0603 - a process forks as a whole
    _forking.add(threading.get_ident())
    _forks += 1


def _end_fork() -> None:
    global _forks  # noqa: PLW0603 - as above
    _forks += 1
    _forking.discard(threading.get_ident())


def _close_copies() -> None:
    _forking.clear()
    handles = list(_lockable.values())
    _lockable.clear()
    for stages in handles:
        closing = stages[-2]
        stages.clear()  # what else is to be done when a handle is closed, the parent does
        any(closing)
    for act in _in_child:
        act()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_begin_fork, after_in_parent=_end_fork, after_in_child=_close_copies)


class ProcessLock(RLock):  # type: ignore[misc] # final for type checkers only
    """A lock that a forked child gets anew: the thread that held it does not exist there.

    For locks that live as long as their module: each is renewed in every child from then on. Entering and
    leaving a ``with`` block are C functions, in which no signal handler runs. A signal handler or a finaliser
    that wants the lock of its own thread gets it; the module that uses the lock decides what it may do.
    """

    def __init__(self) -> None:
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._at_fork_reinit)  # type: ignore[attr-defined] # as threading does


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

    def is_over(self) -> bool:
        """Return whether it was taken away."""
        return not self._left


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
