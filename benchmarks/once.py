"""Computing once: the cost of a hit beside other caches, a stampede, and the requests of a waiter."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from typing import Any

from benchmarks.measuring import FLOOR, Act, Contest, Outcome, Settings
from perkey import FileDirDict, compute_once, memoize
from perkey.tools.once.claims import LEASE, pause_after

_ARGUMENTS = {"lr": 0.1, "layers": [64, 64], "seed": 3}
_SECONDS = 1.0
"""How long the computation takes that all want."""


def run(settings: Settings) -> Iterator[Outcome]:
    """Measure hits, misses and a stampede."""
    yield _hits(settings)
    yield _misses(settings)
    for name, seconds in _stampede(settings).items():
        yield Outcome("once", name, {"perkey": seconds})
    print(f"once: requests of a waiter for a task of an hour: {_requests_of_a_waiter(3600.0)}")


def function(**parameters: Any) -> int:
    """Return something small."""
    return len(parameters)


def _hits(settings: Settings) -> Outcome:
    """A result that is there; the floor is the key of the arguments and the read of the value."""
    d = FileDirDict[int](f"{settings.folder}/once-hits", durability="none")
    memoized = memoize(d, name="function")(function)
    memoized(**_ARGUMENTS)
    acts: dict[str, Act] = {
        FLOOR: lambda: d[memoized.key(**_ARGUMENTS)],
        "perkey": partial(memoized, **_ARGUMENTS),
        **_others(f"{settings.folder}/once-others"),
    }
    for act in acts.values():
        act()
    return Contest("hit", 1, acts).repeated(settings.pick(200, 2000)).hold("once")


def _others(folder: str) -> dict[str, Act]:
    acts: dict[str, Act] = {}
    if find_spec("joblib"):
        from joblib import Memory

        acts["joblib.Memory"] = partial(Memory(f"{folder}-joblib", verbose=0).cache(function), **_ARGUMENTS)
    if find_spec("diskcache"):
        from diskcache import Cache

        cached = Cache(f"{folder}-diskcache").memoize()(function)
        acts["diskcache"] = partial(cached, **{**_ARGUMENTS, "layers": (64, 64)})
    return acts


def _misses(settings: Settings) -> Outcome:
    """A result that is computed at once; the floor is its insertion."""
    numbers = iter(range(1 << 40))
    d = FileDirDict[int](f"{settings.folder}/once-misses", durability="none")
    acts: dict[str, Act] = {
        FLOOR: lambda: d.setdefault(f"f{next(numbers)}", 1),
        "perkey": lambda: compute_once(d, f"k{next(numbers)}", int),
    }
    return Contest("miss", 1, acts).repeated(settings.pick(50, 500)).hold("once")


def _stampede(settings: Settings) -> dict[str, float]:
    """Return how long after the result the callers have it: 8 processes of 50 threads that want one key."""
    context = multiprocessing.get_context("fork")
    crowd, threads = settings.pick(2, 8), 50
    answers = context.SimpleQueue()
    folder = f"{settings.folder}/once-stampede"
    processes = [context.Process(target=_take_part, args=(folder, threads, answers)) for _ in range(crowd)]
    for process in processes:
        process.start()
    results = [each for _ in processes for each in answers.get()]
    for process in processes:
        process.join()
    computed = {value for value, _ in results}
    if len(computed) != 1:
        raise RuntimeError(f"{len(computed)} computations instead of 1")
    (ended,) = computed
    late = sorted(returned - ended for _, returned in results)
    who = f"{crowd} processes of {threads} threads, after a computation of {_SECONDS:g} s"
    return {
        f"latency of half of the callers: {who}": late[len(late) // 2],
        f"latency of the last caller: {who}": late[-1],
    }


def _requests_of_a_waiter(seconds: float) -> int:
    """Return how often a waiter reads the claim, which is once after each pause."""
    waited, requests = 0.0, 1
    while waited < seconds:
        waited += pause_after(waited, LEASE)
        requests += 1
    return requests


def _take_part(folder: str, threads: int, answers: Any) -> None:
    d = FileDirDict[float](folder, durability="none")

    def ask(_: int) -> tuple[float, float]:
        value = compute_once(d, "a", _compute)
        return value, time.time()

    with ThreadPoolExecutor(threads) as pool:
        answers.put(list(pool.map(ask, range(threads))))


def _compute() -> float:
    """Return when the computation ended, by the date, which the processes share."""
    time.sleep(_SECONDS)
    return time.time()
