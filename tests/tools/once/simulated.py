"""A clock and a place that tests have in their hands."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from itertools import repeat
from threading import Condition
from typing import TypeVar

from perkey.content import Content, Data, bytes_of
from perkey.expectations import ANY, Expectation, Version
from perkey.naming import CLAIM_ENDING, Name
from perkey.stores import MemoryStore, WrapperStore
from perkey.tools.once.holders import Clock

R = TypeVar("R")


class SimulatedClock(Clock):
    """Time that passes when a test says so.

    Attributes:
        now: What `monotonic` shows.
        wall_offset: How much greater the date is.
        slept: For how long the machine was suspended, which `monotonic` does not count.
        while_asleep: Called after each sleep.
    """

    def __init__(self) -> None:
        self.now = 1000.0
        self.wall_offset = 0.0
        self.slept = 0.0
        self.while_asleep: Callable[[], object] = lambda: None

    def monotonic(self) -> float:
        return self.now

    def running(self) -> float:
        return self.now + self.slept

    def wall(self) -> float:
        return self.now + self.wall_offset

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.while_asleep()

    def wait(self, condition: Condition, seconds: float) -> None:
        del condition
        self.sleep(seconds)


class HashedStore(MemoryStore):
    """A place whose versions are digests, as the etags of S3 are: equal content has an equal version."""

    def write(self, name: Name, data: Data, *, expect: Expectation = ANY) -> Version:
        content = bytes_of(data)
        self._numbers = repeat(sha256(content).hexdigest())  # type: ignore[assignment] # it is in the version
        return super().write(name, content, expect=expect)


class ScriptedStore(WrapperStore):
    """A place in which each request may take time, be overtaken by others, or lose its reply.

    Attributes:
        before: Called before each request takes effect; it may raise.
        after: Called when it has taken effect, before the caller knows; it may raise.
        requests: How many there were.
        is_claim: Whether the last one was about a claim.
        is_read: Whether the last one was a read, whose outcome is never unknown.
        latency: Seconds that pass before a request takes effect, and again until the caller knows.

    Args:
        clock: The clock by which they pass.
    """

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__(HashedStore())
        self.clock = clock
        self.latency = 0.0
        self.before: Callable[[], object] = lambda: None
        self.after: Callable[[], object] = lambda: None
        self.requests = 0
        self.is_read = False
        self.is_claim = False

    def _do(self, name: Name, act: Callable[[], R], *, is_read: bool = False) -> R:
        self.requests += 1
        self.is_read = is_read
        self.is_claim = bool(name) and name[-1].endswith(CLAIM_ENDING)
        self.clock.now += self.latency
        self.before()
        result = act()
        self.clock.now += self.latency
        self.after()
        return result

    def read(
        self, name: Name, *, unless: Version | None = None, limit: int | None = None
    ) -> tuple[Content, Version] | None:
        return self._do(name, lambda: self.inner.read(name, unless=unless, limit=limit), is_read=True)

    def content(self, name: Name, *, limit: int | None = None) -> Content:
        return self._do(name, lambda: self.inner.content(name, limit=limit), is_read=True)

    def try_write(self, name: Name, data: Data, *, expect: Expectation) -> Version:
        return self._do(name, lambda: self.inner.write(name, data, expect=expect))

    def remove(self, name: Name, *, expect: Expectation = ANY) -> None:
        self._do(name, lambda: self.inner.remove(name, expect=expect))
