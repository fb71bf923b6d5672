"""Dictionaries in an event loop: 1,000 reads at once, against obstore's own asynchronous client and threads.

Two things are measured: the time for one read, and the longest time for which another task waited for its
turn (the median of all rounds). What the benchmark itself has loaded is hidden from the collector of
garbage, because a full collection of it would be the longest stall of all.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

from benchmarks.measuring import FLOOR, Outcome, Settings
from benchmarks.s3 import LATENCY, environment, open_perkey, relay, server
from benchmarks.values import keys, small_dict
from perkey.aio import AsyncDict
from perkey.stores.objects import ObjectStore

_AT_ONCE = 48
"""How many requests the bare client makes at a time: as many as ours."""


def run(settings: Settings) -> Iterator[Outcome]:
    """Read many objects at once in one loop."""
    with environment(), server(f"{settings.folder}/aio") as port, relay(port) as late:
        for suite, where in (("event loop", port), (f"event loop, {LATENCY} ms away", late)):
            d = open_perkey(f"http://127.0.0.1:{where}", "obstore")
            names = keys(settings.pick(100, 1000))
            d.set_many({name: small_dict(number) for number, name in enumerate(names)})
            gc.collect()
            gc.freeze()
            try:
                yield from asyncio.run(_measured(suite, d, names, settings.pick(2, 7)))
            finally:
                gc.unfreeze()


async def _measured(suite: str, d: Any, names: list[str], rounds: int) -> list[Outcome]:
    assert isinstance(d.store, ObjectStore)
    bare = _Bare(d)
    async with AsyncDict(d) as native:
        assert native.is_native
        contenders: dict[str, Callable[[str], Awaitable[Any]]] = {
            "perkey": native.get,
            FLOOR: bare.get,
            "asyncio.to_thread": partial(asyncio.to_thread, d.get),
        }
        taken: dict[str, list[float]] = {name: [] for name in contenders}
        stalls: dict[str, list[float]] = {name: [] for name in contenders}
        for turn in range(rounds + 1):
            order = list(contenders)
            for name in order[turn % 3 :] + order[: turn % 3]:
                gc.collect()
                seconds, stall = await _read_all(contenders[name], names)
                if turn:
                    taken[name].append(seconds / len(names))
                    stalls[name].append(stall)
    many = f"{len(names)} reads at once"
    measured = {many: taken, f"longest stall in {many}": stalls}
    return [
        Outcome(suite, what, {name: statistics.median(found) for name, found in times.items()})
        for what, times in measured.items()
    ]


async def _read_all(read: Callable[[str], Awaitable[Any]], names: list[str]) -> tuple[float, float]:
    """Return how long it took, and for how long at most another task had to wait for its turn."""
    longest = 0.0

    async def beat() -> None:
        nonlocal longest
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - began - 0.001)

    beating = asyncio.create_task(beat())
    await asyncio.sleep(0.005)
    began = time.perf_counter()
    await asyncio.gather(*map(read, names))
    seconds = time.perf_counter() - began
    await asyncio.sleep(0.002)
    beating.cancel()
    return seconds, longest


class _Bare:
    """obstore's own asynchronous calls for the objects of a dictionary, moving bytes."""

    def __init__(self, d: Any) -> None:
        from obstore.store import S3Store

        options: Any = {"endpoint": d.get_params()["endpoint_url"], "region": "us-east-1"}
        self._store = S3Store(d.bucket_name, **options, client_options={"allow_http": True})
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def get(self, name: str) -> bytes:
        async with self._gate:
            result = await self._store.get_async(f"{name}.pkl")
            return bytes(await result.bytes_async())
