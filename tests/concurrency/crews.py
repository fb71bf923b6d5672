"""Workers that start at the same moment, as threads or as processes, and what they bring back."""

from __future__ import annotations

import os
import threading
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from typing import Any, Final, Literal, Protocol, TypeAlias

ProcessMethod: TypeAlias = Literal["fork", "forkserver", "spawn"]
Method: TypeAlias = Literal["thread"] | ProcessMethod

METHODS: Final[tuple[Method, ...]] = ("thread", "fork", "forkserver")
"""The ways to work at the same time that differ in what workers share: all, what there was before, nothing.

Spawned processes share as little as those of a fork server, and take a hundred times as long to start.
"""

PRELOADED: Final = [
    *("concurrent.futures.thread", "unittest.mock", "boto3", "redis"),
    *("perkey.dataspace", "perkey.dicts.s3", "perkey.stores.objects.boto", "perkey.synced"),
]
"""What a worker may need that takes long to import; the fork server does so once, and connects to nothing."""

LONG: Final = bool(os.environ.get("PERKEY_LONG"))
HANG: Final = 3600.0 if LONG else 120.0
"""Seconds after which a worker is taken to hang; nothing is measured by it."""

Job: TypeAlias = Callable[[], Any]
"""What a worker does; a `partial` of a module's function, so that it reaches other processes.

That module is best one that imports little, because each process imports it.
"""


class Barrier(Protocol):
    """What barriers of threads and of processes have in common."""

    def wait(self, timeout: float | None = None) -> int: ...


def times(short: int, long: int) -> int:
    """Choose between the bounded and the long form of a stress."""
    return long if LONG else short


def sample(step: int, *chosen: tuple[Collection[Any], Any]) -> Iterator[int]:
    """Yield 0, 1, 2, ...; in the bounded form only every `step`-th number.

    The first is the number of the test among those of its parametrisation, modulo `step`: as many tests
    in a row as there are steps try every number together.

    Args:
        step: The distance of two numbers.
        chosen: For each parameter all its values, and the value of this test.
    """
    first = 0
    for values, value in chosen:
        first = first * len(values) + list(values).index(value)
    return count() if LONG else count(first % step, step)


def run_crew(method: Method, jobs: Iterable[Job]) -> list[Any]:
    """Run each job in a thread or process of its own, all from the same moment; return their results.

    Raises:
        AssertionError: A worker failed, died or hangs; the message is its traceback.
    """
    crew = list(jobs)
    return _run_threads(crew) if method == "thread" else _run_processes(method, crew)


def same(count: int, work: Callable[..., Any], *arguments: Any) -> list[Job]:
    """Return jobs that do the same, each with its own number as first argument."""
    return [partial(work, number, *arguments) for number in range(count)]


def _run_threads(crew: list[Job]) -> list[Any]:
    barrier = threading.Barrier(len(crew))

    def start(job: Job) -> Any:
        barrier.wait(HANG)
        return job()

    with ThreadPoolExecutor(len(crew)) as pool:
        return [future.result(HANG) for future in [pool.submit(start, job) for job in crew]]


def _run_processes(method: ProcessMethod, crew: list[Job]) -> list[Any]:
    context: Any = process_context(method)
    barrier = context.Barrier(len(crew))
    workers, receivers = [], []
    try:
        for job in crew:
            receiver, sender = context.Pipe(duplex=False)
            arguments = job, barrier, sender, dict(os.environ)
            worker = context.Process(target=_report, args=arguments, daemon=True)
            worker.start()
            sender.close()
            workers.append(worker)
            receivers.append(receiver)
        return [receive(receiver) for receiver in receivers]
    finally:
        for receiver in receivers:
            receiver.close()
        for worker in workers:
            worker.join(1)
            worker.kill()
            worker.join()
            worker.close()


def process_context(method: ProcessMethod) -> BaseContext:
    """Return what starts processes in a way; the fork server is one for all tests of the session."""
    context = get_context(method)
    context.set_forkserver_preload(PRELOADED)
    return context


def adopt(environment: dict[str, str]) -> None:
    """Let the environment be that of the test: a fork server's is what it was when that was started."""
    os.environ.clear()
    os.environ.update(environment)


def receive(pipe: Connection[Any, Any]) -> Any:
    """Return what a worker answers.

    Raises:
        AssertionError: It failed, died or hangs; the message is its traceback.
    """
    assert wait([pipe], HANG), "a worker hangs"
    try:
        succeeded, result = pipe.recv()
    except EOFError:
        raise AssertionError("a worker died") from None
    assert succeeded, result
    return result


def _report(job: Job, barrier: Barrier, sender: Connection[Any, Any], environment: dict[str, str]) -> None:
    try:
        adopt(environment)
        barrier.wait(HANG)
        sender.send((True, job()))
    except BaseException:  # noqa: BLE001 - whatever it is, the parent is told
        sender.send((False, traceback.format_exc()))
    finally:
        sender.close()
