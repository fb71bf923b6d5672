"""Descriptors that neither an interrupt can lose nor a fork keep.

**Interrupts.** The handler of a signal (Ctrl-C, an alarm) may raise an exception between any two bytecodes,
also between the call that opens a file and the assignment of its number. So each descriptor is opened and
noted within one call of a function written in C (``opened.extend(map(os.open, ...))``), and forgotten and
closed within one (``any(map(os.close, ...))`` over the iterator of that list). Python calls no handler in
between.

**Forks.** An flock belongs to the open file, which a forked child shares: while the child lives, its copy of
the descriptor would keep the lock of a parent that was killed. So each `Handle` whose files may be locked is
registered here, and a child closes its copies at once (closing does not unlock the parent; unlocking would).
"""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from operator import length_hint, not_
from typing import Any, Final
from weakref import ref

_PATIENCE: Final = 100

_lockable: dict[int, ref[Handle]] = {}
_forking: set[int] = set()
_forks = 0
_in_child: list[Callable[[], object]] = []


class Handle(io.IOBase):
    """Owns descriptors; a ``with`` block closes all of them, in the order of their opening.

    `close` and ``__exit__`` are C functions (those of `io.IOBase`), so that no handler of a signal runs
    between their beginning and the closing. A handle that is garbage closes what is still open.

    Args:
        lockable: Whether the files may be locked. Children forked meanwhile close their copies then.
    """

    def __init__(self, *, lockable: bool = False) -> None:
        self._opened: list[int] = []
        self._pending = iter(self._opened)
        self._closing = map(os.close, self._pending)
        self._lockable = lockable
        stages: list[Iterator[Any]] = [self._closing]
        if lockable:
            _lockable[id(self)] = ref(self)
            stages.append(map(not_, map(_lockable.pop, (id(self),))))
        self._stages = stages
        # All stages yield what is false, so that one call goes through all; `__exit__` returns its result.
        self.close = partial(next, filter(None, chain.from_iterable(stages)), None)  # type: ignore[method-assign]

    def open(self, path: str, flags: int, mode: int = 0o777, dir_fd: int | None = None) -> int:
        """Open a file as `os.open`, and return its descriptor, which belongs to this handle."""
        act = partial(os.open, flags=flags, mode=mode, dir_fd=dir_fd)
        if not self._lockable:
            self._opened.extend(map(act, (path,)))
            return self._opened[-1]
        for _ in range(_PATIENCE):
            if _forking:
                time.sleep(0.001)
                continue
            forks = _forks
            self._opened.extend(map(act, (path,)))
            if forks == _forks and not _forking:
                return self._opened[-1]
            # 1. here: opened   2. another thread: forked   3. here: noted, too late for that child.
            # The child keeps an open file that is never locked; take a new one.
        # A fork that does not end: one of its hooks may be waiting for this very thread.
        self._opened.extend(map(act, (path,)))
        return self._opened[-1]

    def close_oldest(self) -> None:
        """Close the descriptor that was opened first of those that are still open; there must be one."""
        next(self._closing)

    def watch(self) -> Callable[[], int]:
        """Return a function that counts open descriptors, without keeping this handle alive."""
        return partial(length_hint, self._pending)

    def _leave_to_parent(self) -> None:
        """Close the copies of a forked child, and leave everything else to its parent."""
        self._stages.clear()
        any(self._closing)


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
    handles = [handle for each in _lockable.values() if (handle := each()) is not None]
    _lockable.clear()
    for handle in handles:
        handle._leave_to_parent()
    for act in _in_child:
        act()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_begin_fork, after_in_parent=_end_fork, after_in_child=_close_copies)
