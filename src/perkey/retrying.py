"""Trying again: for how long, with which pauses, and with a line in the log for each retry."""

from __future__ import annotations

import contextlib
import math
import random
import time
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from perkey.parallel import is_abandoned
from perkey.waiting import sleep

RETRY_FOR: Final = 30.0
"""Seconds for which a request is repeated, by default."""

IDLE_SECONDS: Final = 20.0
"""Seconds without a received byte after which an attempt ends; less than `RETRY_FOR`: another follows."""

UPLOAD_IDLE_SECONDS: Final = 300.0
"""The same for a client that counts the time of a whole upload as a time without a byte from the service."""

LONGEST_GIVING_WAY = 0.02
"""Seconds that an overtaken conditional change waits at most."""

_MOST_DOUBLINGS: Final = 16  # 2 ** attempts must not overflow in a day of attempts


@dataclass(frozen=True)
class Retry:
    """How long an operation goes on trying.

    Args:
        retry_for: Seconds since the beginning of an operation during which what failed is tried again; 0 for
            one attempt only.
        timeout: Seconds that the whole operation may take, all attempts included; None for no limit. An
            attempt that is under way ends when no byte arrives for a while.

    Raises:
        TypeError: An argument is not a number.
        ValueError: An argument is negative or not a number at all (nan), or `timeout` is 0.
    """

    retry_for: float = RETRY_FOR
    timeout: float | None = None

    def __post_init__(self) -> None:
        _check("retry_for", self.retry_for)
        if self.timeout is not None:
            _check("timeout", self.timeout)
            if self.timeout == 0:
                raise ValueError("timeout must be positive or None, not 0")

    def idle(self, most: float = IDLE_SECONDS) -> float:
        """Return after how many seconds without a byte an attempt ends."""
        return most if self.timeout is None else min(most, self.timeout)

    def attempts(self, *, quiet: bool = False) -> Attempts:
        """Begin an operation; see `Attempts` for the argument."""
        return Attempts(self, quiet=quiet)


class Attempts:
    """The attempts of one operation, and of the requests that are parts of it.

    Args:
        retry: For how long.
        began: When the operation began, as `time.monotonic` counts; None means now.
        quiet: Whether retries are not logged, and the requests that are parts of the operation are repeated
            for no longer than it is: for a look that nothing depends on.

    Attributes:
        count: How many attempts have failed.
        end: When the time of the whole operation is over, as `time.monotonic` counts.
        last: When the time for another attempt is over.
        quiet: Whether retries are not logged.
        first_pause: The most that the first pause takes, in seconds.
        longest_pause: The most that any pause takes.
    """

    first_pause = 0.05
    longest_pause = 5.0

    def __init__(self, retry: Retry, began: float | None = None, *, quiet: bool = False) -> None:
        self._began = time.monotonic() if began is None else began
        self.quiet = quiet
        self.count = 0
        whole: Attempts | None = _current.get()
        end = math.inf if retry.timeout is None else self._began + retry.timeout
        self.end: float = end if whole is None else min(end, whole.end)
        self.last: float = min(self._began + retry.retry_for, self.end)
        if whole is not None and whole.quiet:
            self.quiet = True
            self.last = min(self.last, whole.last)

    @property
    def timed_out(self) -> bool:
        """Whether the time of the whole operation is over."""
        return time.monotonic() >= self.end

    @property
    def over(self) -> bool:
        """Whether the time for another attempt is over."""
        return time.monotonic() >= self.last

    def pause(self, failure: Exception, *, wanted: float | None = None) -> bool:
        """Wait before another attempt, and log it unless quiet; return False at once if the time is over.

        The same if the caller has left the iteration that this is a part of, for example by Ctrl-C.

        The first pause is 25 to 50 ms, each further one twice as long, up to 5 s.

        Args:
            failure: Why the last attempt failed.
            wanted: Seconds that the service asked to wait (Retry-After), if it did.
        """
        now = time.monotonic()
        left = self.last - now
        longest = min(self.longest_pause, self.first_pause * 2 ** min(self.count, _MOST_DOUBLINGS))
        seconds = longest * random.uniform(0.5, 1)  # noqa: S311 - no secret
        self.count += 1
        if left <= 0 or (wanted is not None and wanted >= left) or is_abandoned():
            return False
        seconds = min(max(seconds, wanted or 0), left)
        if not self.quiet:
            _log(failure, self.count + 1, seconds, now - self._began)
        sleep(seconds)
        return True

    @contextlib.contextmanager
    def shared(self) -> Iterator[None]:
        """Let the requests that are made inside the block end with this operation."""
        before = _current.set(self)
        try:
            yield
        finally:
            _current.reset(before)


# Of the context, not of the thread: an event loop has many operations under way in one thread.
_current: ContextVar[Attempts | None] = ContextVar("perkey_attempts", default=None)


def pause(attempts: int, duration: float) -> None:
    """Wait after a conflict, so that other writers can finish; the more conflicts, the shorter.

    Args:
        attempts: How many attempts have met a conflict. The first one causes no wait.
        duration: The seconds that the last attempt took.
    """
    if attempts > 1:
        sleep(min(LONGEST_GIVING_WAY, random.uniform(0, 8 * duration / attempts)))  # noqa: S311 - no secret


def _check(name: str, seconds: object) -> None:
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, not {type(seconds).__name__}")
    if not seconds >= 0:
        raise ValueError(f"{name} must be at least 0 seconds, not {seconds!r}")


def _log(failure: Exception, attempt: int, seconds: float, since: float) -> None:
    import logging  # noqa: PLC0415 - it is needed only when something fails

    logging.getLogger(__name__).warning(
        "%s; attempt %d follows in %.2f s (the operation began %.1f s ago)", failure, attempt, seconds, since
    )
