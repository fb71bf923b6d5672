"""Plain functions in an event loop: each runs on a stack of its own, and is suspended where it waits.

A greenlet is such a stack. `Driving` is the `perkey.waiting.Driver` that code finds there. Code that
waits gives it a function that makes an awaitable; the task of the event loop awaits that, and resumes the
code with the result. So an operation of a dictionary is part of a task of the loop, and needs no thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from typing import Any, Final, Generic, TypeVar, cast
from weakref import WeakKeyDictionary

from perkey.aio.pool import Pool
from perkey.answers import answer
from perkey.errors import MissingExtraError
from perkey.parallel import Done
from perkey.waiting import CURRENT, driver, no_loop

try:
    from greenlet import greenlet
except ImportError:
    greenlet = None  # operations run in threads then

A = TypeVar("A")
R = TypeVar("R")
T = TypeVar("T")

SLICE_SECONDS: Final = 0.005
"""For how long operations are begun or go on in a round of the loop, before other tasks have their turn."""

can_drive: Final = greenlet is not None
"""Whether functions can be driven by an event loop here."""


def require_greenlet(what: str) -> None:
    """Raise MissingExtraError if functions cannot be driven by an event loop here."""
    if not can_drive:
        raise MissingExtraError(what, "aio", "greenlet")


class Workplace:
    """What the operations of some dictionaries share: threads, requests at a time, and turns in each loop.

    Args:
        threads: How many threads at most.
        requests: How many requests at a time in each loop.

    Attributes:
        pool: The threads.
    """

    def __init__(self, threads: int, requests: int) -> None:
        self.pool = Pool(threads)
        self._requests = requests
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = WeakKeyDictionary()
        self._closed = False

    @contextmanager
    def operation(self) -> Iterator[None]:
        """Count an operation as under way in the loop that runs.

        Raises:
            RuntimeError: The dictionary is closed.
        """
        if self._closed:
            raise RuntimeError("this AsyncDict is closed")
        turns = self.turns()
        turns.begin()
        try:
            yield
        finally:
            turns.end()

    async def close(self) -> None:
        """Refuse new operations, and wait for those of this loop and for all threads."""
        self._closed = True
        await self.turns().until_idle()
        await self.pool.close()

    def turns(self) -> Turns:
        """Return the turns in the loop that runs."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError as error:
            raise no_loop("an AsyncDict") from error
        found = self._loops.get(loop)
        if found is None:
            found = self._loops[loop] = Turns(loop, self._requests)
        return found


class Turns:
    """Lets operations take turns in one loop, so that it does not stall, and bounds the requests under way.

    Args:
        loop: The loop.
        requests: How many requests at a time.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, requests: int) -> None:
        self.gate = asyncio.Semaphore(requests)
        # Of many operations most wait before they take memory: the collector's work would be a stall.
        self.entrance = asyncio.Semaphore(2 * requests)
        self._call_soon = loop.call_soon
        self._began: float | None = None
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def begin(self) -> None:
        """Count an operation as under way."""
        self._under_way += 1
        self._idle.clear()

    def end(self) -> None:
        """Count an operation as ended."""
        self._under_way -= 1
        if not self._under_way:
            self._idle.set()

    async def until_idle(self) -> None:
        """Wait until no operation is under way."""
        await self._idle.wait()

    async def turn(self) -> None:
        """Wait until a round of the loop has time for an operation."""
        while self._is_over():  # noqa: ASYNC110 - a round ends soon, and has no event
            await asyncio.sleep(0)

    async def through_gate(self, begin: Callable[[], Awaitable[T]]) -> T:
        """Make a request when fewer than so many are under way."""
        async with self.gate:
            return await begin()

    def _is_over(self) -> bool:
        now = time.perf_counter()
        if self._began is None:
            self._began = now
            self._call_soon(self._next_round)
        return now - self._began > SLICE_SECONDS

    def _next_round(self) -> None:
        self._began = None


class Driving:
    """Runs one function, and suspends it where it waits: a `perkey.waiting.Driver`.

    Args:
        place: What it shares with other operations.
    """

    def __init__(self, place: Workplace) -> None:
        self._place = place
        self._turns = place.turns()
        self._stack: Any = None
        self._closing = False

    async def run(self, function: Callable[[], T]) -> T:
        """Return what the function returns."""
        context = copy_context()
        context.run(CURRENT.set, self)
        stack = self._stack = greenlet(function)
        stack.gr_context = context
        await self._turns.turn()
        try:
            begin = stack.switch()
            while not stack.dead:
                try:
                    result = await begin()
                    await self._turns.turn()
                except BaseException as error:  # noqa: BLE001 - it belongs to the function that waits
                    # Nothing can be awaited any more where the loop has abandoned this task.
                    self._closing = isinstance(error, GeneratorExit)
                    begin = stack.throw(error)
                else:
                    begin = stack.switch(result)
        finally:
            self._stack = None  # else the context, the stack and this refer to each other in a circle
        return cast("T", begin)

    def wait(self, begin: Callable[[], Awaitable[T]]) -> T:
        if self._closing:
            raise RuntimeError("the event loop has abandoned this operation: it cannot wait for anything")
        return cast("T", self._stack.parent.switch(begin))

    def request(self, begin: Callable[[], Awaitable[T]]) -> T:
        return self.wait(partial(self._turns.through_gate, begin))

    def in_thread(self, function: Callable[[], T]) -> T:
        context = copy_context()
        context.run(CURRENT.set, None)
        return self.wait(partial(self._place.pool.run, function, context))

    def sleep(self, seconds: float) -> None:
        self.wait(partial(asyncio.sleep, seconds))

    def workers(self, function: Callable[[A], R], most: int, discard: Callable[[R], object]) -> _Tasks[A, R]:
        return _Tasks(self._place, function, most, discard)


class _Tasks(Generic[A, R]):
    """Calls a function in tasks of the loop; the same for a `Driver` as the threads of `perkey.parallel`.

    Attributes:
        running: How many calls were submitted and not taken.
    """

    def __init__(
        self, place: Workplace, function: Callable[[A], R], most: int, discard: Callable[[R], object]
    ) -> None:
        self._place = place
        self._function = function
        self._discard = discard
        self._loop = asyncio.get_running_loop()
        self._slots = asyncio.Semaphore(most)
        self._done: asyncio.Queue[Done[A, R]] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._left = False
        self.running = 0

    def submit(self, argument: A) -> None:
        """Let a task call the function."""
        self.running += 1
        task = self._loop.create_task(self._call(argument))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def take(self) -> Done[A, R]:
        """Return what was done next."""
        driving = driver()
        if driving is None:
            raise RuntimeError(
                "an iteration that began in an event loop was continued outside of it; finish it in the loop"
            )
        done = driving.wait(self._done.get)
        self.running -= 1
        return done

    def end(self) -> None:
        """Do nothing: no task is left."""

    def leave(self) -> None:
        """Make no further calls, cancel those under way, and discard their results."""
        self._left = True
        if not self._loop.is_closed():
            # It may be a finaliser in another thread.
            self._loop.call_soon_threadsafe(self._cancel)
        while not self._done.empty():
            self._discard_result(self._done.get_nowait().result)

    def _cancel(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()

    async def _call(self, argument: A) -> None:
        async with self._slots:
            try:
                result: R | Exception = await Driving(self._place).run(partial(self._function, argument))
            except answer(Exception) as error:  # reported to the caller, who decides
                result = error
        if self._left:
            self._discard_result(result)
        else:
            self._done.put_nowait(Done(argument, result))

    def _discard_result(self, result: R | Exception) -> None:
        if not isinstance(result, Exception):
            self._discard(result)
