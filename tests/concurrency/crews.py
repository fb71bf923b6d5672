"""Workers that start at the same moment, as threads or as processes, and what they bring back."""

from __future__ import annotations

import os
import threading
import traceback
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any, Final, Literal, Protocol, TypeAlias

Method: TypeAlias = Literal["thread", "fork", "spawn"]

METHODS: Final[tuple[Method, ...]] = ("thread", "fork", "spawn")
LONG: Final = bool(os.environ.get("PERKEY_LONG"))
HANG: Final = 3600.0 if LONG else 120.0
"""Seconds after which a worker is taken to hang; nothing is measured by it."""

Job: TypeAlias = Callable[[], Any]
"""What a worker does; a `partial` of a module's function, so that it reaches spawned processes."""


class Barrier(Protocol):
    """What barriers of threads and of processes have in common."""

    def wait(self, timeout: float | None = None) -> int: ...


def times(short: int, long: int) -> int:
    """Choose between the bounded and the long form of a stress."""
    return long if LONG else short


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


def _run_processes(method: Literal["fork", "spawn"], crew: list[Job]) -> list[Any]:
    context = get_context("fork") if method == "fork" else get_context("spawn")
    barrier = context.Barrier(len(crew))
    workers, receivers = [], []
    try:
        for job in crew:
            receiver, sender = context.Pipe(duplex=False)
            worker = context.Process(target=_report, args=(job, barrier, sender), daemon=True)
            worker.start()
            sender.close()
            workers.append(worker)
            receivers.append(receiver)
        return [_receive(receiver) for receiver in receivers]
    finally:
        for receiver in receivers:
            receiver.close()
        for worker in workers:
            worker.join(1)
            worker.kill()
            worker.join()
            worker.close()


def _receive(receiver: Connection[Any, Any]) -> Any:
    assert wait([receiver], HANG), "a worker hangs"
    try:
        succeeded, result = receiver.recv()
    except EOFError:
        raise AssertionError("a worker died") from None
    assert succeeded, result
    return result


def _report(job: Job, barrier: Barrier, sender: Connection[Any, Any]) -> None:
    try:
        barrier.wait(HANG)
        sender.send((True, job()))
    except BaseException:  # noqa: BLE001 - whatever it is, the parent is told
        sender.send((False, traceback.format_exc()))
    finally:
        sender.close()
