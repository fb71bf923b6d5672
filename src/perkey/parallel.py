"""Many requests at a time, with a bound on how many and on the memory that they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, Final, TypeVar

from perkey.answers import answer

A = TypeVar("A")
R = TypeVar("R")

_END: Final[Any] = object()


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
    the iteration early waits for the calls under way, and makes no further ones.

    Args:
        function: What to call, in threads.
        arguments: Drawn in the calling thread; an exception from there is raised when all that was drawn
            before is done and told.
        workers: How many threads.
        discard: Is given the results that nobody took, when the iteration is left early.
        weigh: Tells as how many arguments one is to be counted, for those that take much memory.
    """
    source = _Source(arguments)
    with ThreadPoolExecutor(workers, thread_name_prefix="perkey") as pool:
        running: dict[Future[R], A] = {}
        load = 0
        done: SimpleQueue[Future[R]] = SimpleQueue()  # unlike wait(), at no cost for those that still run
        try:
            while True:
                while load < 2 * workers:
                    argument = next(source, _END)
                    if argument is _END:
                        break
                    load += weigh(argument)
                    future = pool.submit(function, argument)
                    running[future] = argument
                    future.add_done_callback(done.put)
                if not running:
                    break
                future = done.get()
                error = future.exception()
                if error is not None and not isinstance(error, Exception):
                    raise error
                argument = running.pop(future)
                load -= weigh(argument)
                yield argument, future.result() if error is None else error
        finally:
            for future in running:
                if not future.cancel() and future.exception() is None:
                    discard(future.result())
    if source.failure is not None:
        raise source.failure


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
