"""A bounded pool of threads, for calls that block."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Context, copy_context
from functools import partial
from typing import Any, Generic, TypeVar

from perkey.parallel import submit, working_for

T = TypeVar("T")


class Pool:
    """Calls functions in threads, which are started as they are needed.

    Args:
        size: How many threads at most.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._executor: ThreadPoolExecutor | None = None
        self._calls: set[Future[Any]] = set()
        self._owner = 0

    async def run(self, function: Callable[[], T], context: Context | None = None) -> T:
        """Call a function in a thread and return its result; without `context` in a copy of this context.

        If the caller is cancelled, a call that has not begun is not made. A call under way goes on to its
        end, but it repeats no failed request.
        """
        call = _Call(function)
        future = self._submit(call, context or copy_context())
        try:
            await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            call.leave()
            raise
        return call.result()

    def leave(self, function: Callable[[], object]) -> None:
        """Let a thread call a function whose result is not needed; call it here if the threads have ended."""
        if self._executor is None or self._owner != os.getpid():
            function()
        else:
            self._submit(_Call(function), copy_context())

    async def close(self) -> None:
        """Wait for all calls and end all threads."""
        if self._executor is None or self._owner != os.getpid():
            return
        while self._calls:
            under_way = map(asyncio.wrap_future, tuple(self._calls))
            await asyncio.shield(asyncio.gather(*under_way, return_exceptions=True))
        self._executor.shutdown()  # its threads have nothing left to do
        self._executor = None

    def _submit(self, call: _Call[Any], context: Context) -> Future[None]:
        if self._executor is None or self._owner != os.getpid():
            # A fork copies no threads, and their calls belong to the parent process.
            self._executor = ThreadPoolExecutor(self._size, thread_name_prefix="perkey_aio")
            self._calls = set()
            self._owner = os.getpid()
        future = submit(self._executor, partial(context.run, call))
        self._calls.add(future)
        future.add_done_callback(self._calls.discard)
        return future


class _Call(Generic[T]):
    """A call in a thread.

    A future is not given the exception: it cannot carry a StopIteration of a user's function.
    """

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._left = False
        self._value: T
        self._error: BaseException | None = None

    def __call__(self) -> None:
        try:
            with working_for(self):
                self._value = self._function()
        except BaseException as error:  # noqa: BLE001 - `result` raises it
            self._error = error

    def leave(self) -> None:
        """Note that the caller no longer waits for the result."""
        self._left = True

    def is_left(self) -> bool:
        """Return whether the caller no longer waits for the result."""
        return self._left

    def result(self) -> T:
        """Return what the function returned, or raise what it raised."""
        if self._error is not None:
            try:
                raise self._error
            finally:
                del self._error  # it refers to this frame
        return self._value
