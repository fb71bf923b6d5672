"""Many requests at a time, with a bound on how many and on the memory that they hold.

The threads are daemons of this module's own, because those of `concurrent.futures` cannot be had in exit
handlers, and keep a program from ending while a service does not answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread, local, main_thread
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from perkey.answers import answer
from perkey.waiting import driver

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

A = TypeVar("A")
R = TypeVar("R")

_END: Final[Any] = object()
_LEAVING_SECONDS: Final = 0.5
"""For how long calls under way are waited for when the iteration is left early, for example by Ctrl-C."""


def map_unordered(
    function: Callable[[A], R],
    arguments: Iterable[A],
    *,
    workers: int,
    discard: Callable[[R], object],
    weigh: Callable[[A], int] = lambda _: 1,
) -> Iterator[tuple[A, R | Exception]]:
    """Yield each argument with its result, or the exception raised for it, as they are completed.

    At most twice `workers` arguments, as `weigh` counts them, are drawn ahead of what was yielded. Leaving
    the iteration early, also by an interrupt, makes no further calls. It waits half a second for the calls
    under way; those that take longer are left to themselves, and see it by `is_abandoned`.

    Args:
        function: What to call, in threads; in the calling thread where the interpreter starts none any more.
        arguments: Drawn in the calling thread; an exception from there is raised when all that was drawn
            before is done and yielded.
        workers: How many threads.
        discard: Is given the results that were not consumed, when the iteration is left early.
        weigh: Returns as how many arguments one is counted, for those that take much memory.
    """
    source = _Source(arguments)
    driving = driver()
    threads: _Threads[A, R] = (
        _Threads(function, workers, discard)
        if driving is None
        else driving.workers(function, workers, discard)
    )
    load = 0
    try:
        while True:
            while load < 2 * workers:
                argument = next(source, _END)
                if argument is _END:
                    break
                load += weigh(argument)
                threads.submit(argument)
            if not threads.running:
                break
            done = threads.take()
            load -= weigh(done.argument)
            yield done.argument, done.result
        threads.end()
    finally:
        threads.leave()
    if source.failure is not None:
        raise source.failure


def is_abandoned() -> bool:
    """Return whether this thread works for an iteration that was left, for example by Ctrl-C.

    Code that waits or tries again asks before it does so, and raises the last error instead: its caller takes
    no result any more. False in threads that are not workers of `map_unordered`.
    """
    return _current.worker_of is not None and _current.worker_of.is_left()


def submit(executor: Executor, act: Callable[[], R]) -> Future[R]:
    """Let a thread of an executor call a function; call it here when the program ends.

    After the end of the main thread, as in exit handlers, executors refuse all calls.
    """
    try:
        return executor.submit(act)
    except RuntimeError:
        if main_thread().is_alive():
            raise
    from concurrent.futures import Future  # noqa: PLC0415 - heavy, and for this moment only

    future: Future[R] = Future()
    try:
        future.set_result(act())
    except BaseException as error:  # noqa: BLE001 - the future raises it
        future.set_exception(error)
    return future


class Caller(Protocol):
    """What takes the results of a thread's work, or has left."""

    def is_left(self) -> bool:
        """Return whether no result is taken any more."""
        ...


@contextmanager
def working_for(caller: Caller) -> Iterator[None]:
    """Let `is_abandoned` return, inside the block and in this thread, whether the caller has left."""
    before, _current.worker_of = _current.worker_of, caller
    try:
        yield
    finally:
        _current.worker_of = before


@dataclass(slots=True)
class Done(Generic[A, R]):
    """What a call returned or raised.

    Attributes:
        argument: What the function was given.
        result: What it returned, or the Exception that it raised.
        interrupt: What it raised that is not an Exception.
    """

    argument: A
    result: R | Exception
    interrupt: BaseException | None = None


class _Threads(Generic[A, R]):
    """Calls a function in threads, which are started as they are needed.

    Args:
        function: The function.
        most: How many threads at most.
        discard: Is given the results that were not taken.

    Attributes:
        running: How many calls were submitted and not taken.
    """

    def __init__(self, function: Callable[[A], R], most: int, discard: Callable[[R], object]) -> None:
        self._function = function
        self._most = most
        self._discard = discard
        self._threads: list[Thread] = []
        self._todo: SimpleQueue[A] = SimpleQueue()
        self._done: SimpleQueue[Done[A, R]] = SimpleQueue()
        self._left = False
        self._outer = _current.worker_of
        self.running = 0

    def submit(self, argument: A) -> None:
        """Let a thread call the function."""
        self.running += 1
        self._todo.put(argument)
        if len(self._threads) < min(self._most, self.running):
            thread = Thread(target=self._work, name=f"perkey_{len(self._threads)}", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no more threads: the interpreter is about to end, or a limit is reached
                self._most = len(self._threads)
            else:
                self._threads.append(thread)

    def take(self) -> Done[A, R]:
        """Return what was done next; raise what the function raised if it is not an Exception."""
        done = self._done.get() if self._threads else self._call(self._todo.get())
        self.running -= 1
        if done.interrupt is not None:
            raise done.interrupt
        return done

    def end(self) -> None:
        """Wait for the threads, which have nothing left to do."""
        self._todo.put(_END)
        for thread in self._threads:
            thread.join()

    def leave(self) -> None:
        """Make no further calls; discard the results of those under way, and wait a little for them."""
        self._left = True
        try:
            while True:
                self._todo.get_nowait()
        except Empty:
            self._todo.put(_END)
        end = time.monotonic() + _LEAVING_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        self._discard_rest()

    def is_left(self) -> bool:
        """Return whether the iteration was left, or the one in whose worker it runs."""
        return self._left or (self._outer is not None and self._outer.is_left())

    def _work(self) -> None:
        _current.worker_of = self
        while (argument := self._todo.get()) is not _END:
            self._done.put(self._call(argument))
            if self._left:
                self._discard_rest()
        self._todo.put(_END)  # for the next thread

    def _call(self, argument: A) -> Done[A, R]:
        try:
            return Done(argument, self._function(argument))
        except answer(Exception) as error:  # reported to the caller, who decides
            return Done(argument, error)
        except BaseException as error:  # noqa: BLE001 - `take` raises it
            return Done(argument, RuntimeError(), error)

    def _discard_rest(self) -> None:
        try:
            while True:
                done = self._done.get_nowait()
                if not isinstance(done.result, Exception):
                    self._discard(done.result)
        except Empty:
            pass


class _Current(local):
    """What a thread works for."""

    worker_of: Caller | None = None


_current = _Current()


class _Source(Iterator[A]):
    """Ends where the arguments do, and where drawing one fails.

    Attributes:
        failure: Why it failed.
    """

    def __init__(self, arguments: Iterable[A]) -> None:
        self._arguments = iter(arguments)
        self.failure: Exception | None = None

    def __next__(self) -> A:
        try:
            if self.failure is None:
                return next(self._arguments)
        except StopIteration:
            raise
        except answer(Exception) as error:  # raised when what was drawn before is done
            self.failure = error
        raise StopIteration
