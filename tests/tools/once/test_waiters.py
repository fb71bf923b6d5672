"""Calls of one process that wait for one value return as soon as it is there, not one after the other."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from perkey import FileDirDict, LocalDict, PersiDict, compute_once, memoize
from perkey.aio import AsyncDict
from perkey.aio.driving import can_drive
from perkey.content import Content
from perkey.naming import Name
from perkey.stores import MemoryStore, WrapperStore
from perkey.tools.once.compute import Computation

WAITERS = 20


class Meeting(WrapperStore):
    """A place whose reads, once it is asked to, return only when several are under way."""

    def __init__(self) -> None:
        super().__init__(MemoryStore())
        self.barrier: threading.Barrier | None = None
        self.reads: Counter[str] = Counter()

    def content(self, name: Name, *, limit: int | None = None) -> Content:
        self.reads[name[-1].rpartition(".")[-1]] += 1
        if self.barrier is not None:
            self.barrier.wait(30)
        return self.inner.content(name, limit=limit)


def test_waiters_load_the_value_at_the_same_time_and_each_once() -> None:
    store = Meeting()
    d = PersiDict[Any](store)
    began, end = threading.Event(), threading.Event()
    waits: list[int] = []

    def compute() -> int:
        began.set()
        assert end.wait(60)
        # From now on a read waits until all the other calls read, too.
        store.reads.clear()
        store.barrier = threading.Barrier(WAITERS)
        return 7

    busy = Computation._busy

    def counted(self: Computation[Any]) -> Any:
        waits.append(1)
        return busy(self)

    with ThreadPoolExecutor(WAITERS + 1) as pool, mock.patch.object(Computation, "_busy", counted):
        first = pool.submit(compute_once, d, "a", compute)
        assert began.wait(60)
        others = [pool.submit(compute_once, d, "a", int) for _ in range(WAITERS)]
        while len(waits) < WAITERS:
            time.sleep(0.002)
        end.set()
        assert [each.result(60) for each in [first, *others]] == [7] * (WAITERS + 1)
    assert store.reads["pkl"] == WAITERS


@pytest.mark.parametrize("kind", ["folder", "memory"])
@pytest.mark.skipif(not can_drive, reason="greenlet")
def test_calls_in_one_loop_are_woken_and_do_not_poll(kind: str, tmp_path: Path) -> None:
    d: PersiDict[Any] = FileDirDict(tmp_path, durability="none") if kind == "folder" else LocalDict()
    steps: list[int] = []
    step = Computation.step

    def counted(self: Computation[Any]) -> Any:
        steps.append(1)
        return step(self)

    def compute() -> int:
        from perkey import waiting

        waiting.sleep(0.5)
        return 7

    async def run() -> list[Any]:
        async with AsyncDict(d) as a:
            once = [a.run(lambda plain: compute_once(plain, "k", compute)) for _ in range(WAITERS)]
            return await asyncio.gather(*once)

    with mock.patch.object(Computation, "step", counted):
        assert asyncio.run(run()) == [7] * WAITERS
    assert len(steps) <= 3 * WAITERS


def test_memoised_coroutines_are_woken_and_do_not_poll() -> None:
    steps: list[int] = []
    step = Computation.step

    def counted(self: Computation[Any]) -> Any:
        steps.append(1)
        return step(self)

    @memoize(LocalDict[int](), name="f")
    async def f() -> int:
        await asyncio.sleep(0.5)
        return 7

    async def run() -> list[int]:
        return await asyncio.gather(*(f() for _ in range(WAITERS)))

    with mock.patch.object(Computation, "step", counted):
        assert asyncio.run(run()) == [7] * WAITERS
    assert len(steps) <= 3 * WAITERS
