"""Advisory locks on open files and folders that a fork cannot prolong.

An flock belongs to the open file, which a forked child shares: while the child lives, its copy of the
descriptor would keep the lock of a parent that was killed. So every descriptor that may be locked is
registered here, and a child closes its copies at once (closing does not unlock the parent; unlocking would).
"""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Final, ParamSpec

from perkey.answers import system_answer

if sys.platform != "win32":
    import fcntl

P = ParamSpec("P")

_UNSUPPORTED = frozenset((errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP))

_PATIENCE: Final = 100

_lockable: set[int] = set()
_forking: set[int] = set()
_forks = 0


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
    while _lockable:
        os.close(_lockable.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_begin_fork, after_in_parent=_end_fork, after_in_child=_close_copies)


def open_lockable(opener: Callable[P, int], *args: P.args, **kwargs: P.kwargs) -> int:
    """Return the descriptor that `opener` opens, registered so that no forked child keeps it.

    Close it with `close_lockable`.
    """
    for _ in range(_PATIENCE):
        forks = _forks
        fd = opener(*args, **kwargs)
        _lockable.add(fd)
        if forks == _forks and not _forking:
            return fd
        # 1. here: opened   2. another thread: forked   3. here: registered, too late for that child.
        # The child keeps an open file that is never locked; take a new one.
        close_lockable(fd)
        if _forking:
            time.sleep(0.001)
    # A fork that does not end: one of its hooks may be waiting for this very thread.
    fd = opener(*args, **kwargs)
    _lockable.add(fd)
    return fd


def close_lockable(fd: int) -> None:
    """Close a descriptor of `open_lockable`, which must not be locked any more."""
    if fd not in _lockable:
        return  # inherited by a fork, which closed it; the number may be another file's now
    # In this order: the number may be another file's as soon as it is closed.
    _lockable.discard(fd)
    os.close(fd)


def lock(fd: int) -> bool:
    """Lock an open file or folder, waiting for its holder; False where the file system has no such locks.

    Raises:
        OSError: It failed for another reason.
    """
    if sys.platform == "win32":  # pragma: not on Linux
        return _lock_byte(fd)
    try:
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
