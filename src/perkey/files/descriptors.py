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
from itertools import chain, compress
from typing import Final

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
