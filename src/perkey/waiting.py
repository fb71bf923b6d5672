"""How code waits: by blocking its thread, or by handing over to the event loop that drives it.

Dictionaries, stores and engines are plain functions. `perkey.aio` runs them in an event loop without a thread
for each: it sets a `Driver` in their context. The few places that wait for something ask here first, so that
everything else is written once.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Final, Protocol, TypeVar

T = TypeVar("T")


class Driver(Protocol):
    """Runs plain functions in an event loop, and suspends them where they wait."""

    def wait(self, begin: Callable[[], Awaitable[T]]) -> T:
        """Return what an awaitable returns, which `begin` makes; other tasks run meanwhile."""
        ...

    def request(self, begin: Callable[[], Awaitable[T]]) -> T:
        """Return the same for a request to a service: only so many are under way at a time."""
        ...

    def in_thread(self, function: Callable[[], T]) -> T:
        """Return what a function returns that blocks its thread, or that computes for long."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let the time pass."""
        ...

    def workers(self, function: Callable[[Any], Any], most: int, discard: Callable[[Any], object]) -> Any:
        """Return what calls a function for many arguments at a time, as the threads of `perkey.parallel`."""
        ...


CURRENT: Final[ContextVar[Driver | None]] = ContextVar("perkey_driver", default=None)
"""What drives the code of this context; None if it may block its thread."""

driver: Final = CURRENT.get
"""Return what drives the code that asks; None if it may block its thread."""


def sleep(seconds: float) -> None:
    """Let the time pass."""
    driving = driver()
    if driving is None:
        time.sleep(seconds)
    else:
        driving.sleep(seconds)


def blocking(function: Callable[[], T]) -> T:
    """Call a function that blocks its thread, or that computes for long."""
    driving = driver()
    return function() if driving is None else driving.in_thread(function)


def no_loop(what: str) -> RuntimeError:
    """Return the error for something that needs an event loop of asyncio, outside one."""
    return RuntimeError(
        f"{what} needs a running event loop of asyncio, which this thread does not have (trio has "
        "another kind of loop); call it in a coroutine that asyncio.run runs"
    )
