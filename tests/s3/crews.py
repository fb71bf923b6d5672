"""Processes that do the same at the same moment; kept for all tests, because starting them costs."""

import contextlib
import os
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any, Final

from crews import HANG, Barrier, adopt, process_context, receive

SIZE: Final = 8


class Crew:
    """Eight processes.

    They are forked from a server that has imported what they need and has never had a connection.
    """

    def __init__(self) -> None:
        context: Any = process_context("forkserver")
        self._start = context.Barrier(SIZE)
        self._pipes: list[Connection[Any, Any]] = []
        self._processes = []
        for number in range(SIZE):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_serve, args=(number, theirs, self._start, dict(os.environ)), daemon=True
            )
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)

    def run(self, work: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Call a module's function in each process, its number first; return the results in their order.

        Raises:
            AssertionError: A worker failed, died or hangs; the message is its traceback.
        """
        for pipe in self._pipes:
            pipe.send((work, arguments))
        return [receive(pipe) for pipe in self._pipes]

    def close(self) -> None:
        """End all processes."""
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(1)
            process.kill()
            process.join()


@contextlib.contextmanager
def crew() -> Iterator[Crew]:
    """Keep a crew until the block is left."""
    started = Crew()
    try:
        yield started
    finally:
        started.close()


def _serve(number: int, pipe: "Connection[Any, Any]", start: Barrier, environment: dict[str, str]) -> None:
    adopt(environment)
    with contextlib.suppress(EOFError):
        while True:
            work, arguments = pipe.recv()
            try:
                start.wait(HANG)
                answer = True, work(number, *arguments)
            except BaseException:  # noqa: BLE001 - whatever it is, the test is told
                answer = False, traceback.format_exc()
            pipe.send(answer)
