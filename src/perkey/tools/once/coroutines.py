"""Memoised coroutine functions: claims and items are looked at in a few threads, never in the event loop."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any, Final, TypeVar

from perkey.answers import answer
from perkey.parallel import submit
from perkey.tools.once.compute import ABSENT, Computation, Found, Turn
from perkey.tools.once.holders import at_fork_in_child
from perkey.waiting import no_loop

T = TypeVar("T")

THREADS: Final = 16
"""How many operations of memoised coroutine functions are under way at a time in one process."""


class _Pool:
    """The threads of this process, which are started as they are needed."""

    def __init__(self) -> None:
        self._executor: ThreadPoolExecutor | None = None

    def submit(self, act: Callable[[], T]) -> Future[T]:
        if self._executor is None:
            self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="perkey_once")
        return submit(self._executor, partial(contextvars.copy_context().run, act))

    def reset(self) -> None:
        self._executor = None


_pool: Final = _Pool()
at_fork_in_child(_pool.reset)


async def in_thread(act: Callable[[], T]) -> T:
    """Call a function in a thread; raises RuntimeError outside asyncio."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError as error:
        raise no_loop("a memoized coroutine function") from error
    return await asyncio.wrap_future(_pool.submit(act), loop=loop)


async def driven(make: Callable[[], Computation[Any]], function: Callable[[], Awaitable[Any]]) -> Any:
    """Drive a computation from an event loop."""
    driver = _Driver(make())
    try:
        result = await driver.run(function)
    except GeneratorExit:
        driver.close()  # the event loop was closed, so that nothing can be awaited
        raise
    except BaseException:
        await driver.closed()
        raise
    await driver.closed()
    return result


class _Driver:
    """One computation: each of its methods is called in a thread, one at a time."""

    def __init__(self, computation: Computation[Any]) -> None:
        self._computation = computation
        self._pending: Future[Any] | None = None

    async def run(self, function: Callable[[], Awaitable[Any]]) -> Any:
        computation = self._computation
        while True:
            step = await self._call(computation.step)
            if isinstance(step, Found):
                return step.value
            if isinstance(step, Turn):
                break
            await computation.until_changed(step.seconds)
            computation.waited()
        return await self._compute(function)

    async def _compute(self, function: Callable[[], Awaitable[Any]]) -> Any:
        computation = self._computation
        try:
            with computation.computing():
                value = await function()
        except answer(Exception) as error:
            old = await self._call(partial(computation.fail, error))
            if old is ABSENT:
                raise
            return old
        return await self._call(partial(computation.insert, value))

    async def _call(self, act: Callable[[], T]) -> T:
        pending = self._pending = _pool.submit(act)
        return await asyncio.wrap_future(pending)

    async def closed(self) -> None:
        """End the computation, also if the caller is cancelled meanwhile."""
        await asyncio.shield(asyncio.wrap_future(self.close()))

    def close(self) -> Future[None]:
        """End the computation when the call under way is over: its caller may have been cancelled."""
        pending, computation = self._pending, self._computation

        def close() -> None:
            if pending is not None:
                wait([pending])
            computation.close()

        return _pool.submit(close)
