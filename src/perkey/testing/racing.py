"""Threads that start at the same moment, and what they bring back."""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Generic, TypeVar

T = TypeVar("T")

HANG: Final = 60.0
"""Seconds after which a thread is taken to hang; nothing is measured by it."""

_EAGER_SWITCHES: Final = 1e-5
_MEETING_SECONDS: Final = 0.05


class _Worker(threading.Thread, Generic[T]):
    """A thread that keeps the result of its job, or the error."""

    def __init__(self, job: Callable[[], T], start: threading.Barrier) -> None:
        super().__init__(daemon=True)
        self._job = job
        self._line = start
        self.results: list[T] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._line.wait(HANG)
            self.results.append(self._job())
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            self.error = error


@contextmanager
def eager_switches() -> Iterator[None]:
    """Let the interpreter switch between threads as often as it can, so that races are met sooner."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(_EAGER_SWITCHES)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def together(jobs: Sequence[Callable[[], T]]) -> list[T]:
    """Run each job in a thread of its own, all from the same moment, and return their results in order.

    Raises:
        AssertionError: A thread hangs.
        Whatever the first of the failing jobs raised.
    """
    start = threading.Barrier(len(jobs))
    workers = [_Worker(job, start) for job in jobs]
    with eager_switches():
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(HANG)
    for worker in workers:
        if worker.error is not None:
            raise worker.error
        assert not worker.is_alive(), "a thread hangs"
    return [result for worker in workers for result in worker.results]


def elsewhere(job: Callable[[], T]) -> T:
    """Run a job in another thread and return its result; a deadlock shows as an AssertionError."""
    return together([job])[0]


class Meeting:
    """Holds each that arrives until another one has arrived, too, or for a moment if no other thread arrives.

    Placed in a gap between two steps of an operation, it makes those that race for the gap be in it at the
    same time. Where they exclude each other, no other thread arrives, and each goes on alone.
    """

    def __init__(self, seconds: float = _MEETING_SECONDS) -> None:
        self._seconds = seconds
        self._arrivals = itertools.count(1)
        self._pairs: dict[int, threading.Event] = {}

    def __call__(self) -> None:
        """Wait for the next one."""
        number = next(self._arrivals)
        # 1 and 2 meet, 3 and 4 meet, ...; setdefault is one step under the interpreter's lock.
        pair = self._pairs.setdefault((number + 1) // 2, threading.Event())
        if number % 2:
            pair.wait(self._seconds)
        else:
            pair.set()
