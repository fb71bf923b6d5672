"""Several processes at once: on keys of their own, and on one."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.measuring import Outcome, Settings
from benchmarks.values import keys, small_dict
from perkey import ITEM_NOT_AVAILABLE, FileDirDict


def run(settings: Settings) -> Iterator[Outcome]:
    """Measure 1 and 4 writers of disjoint keys."""
    writes = settings.pick(200, 2_000)
    for durability in ("sync", "none"):
        seconds = {
            f"{crowd} processes": _median(settings, crowd, _write, writes, durability) for crowd in (1, 4)
        }
        yield Outcome("processes", f"set new, disjoint keys, durability {durability}", seconds)


def increments(settings: Settings) -> Outcome:
    """Measure 1 and 8 that increment one key."""
    count = settings.pick(160, 2_000)
    seconds = {f"{crowd} processes": _median(settings, crowd, _increment, count, "none") for crowd in (1, 8)}
    return Outcome("processes", "transform_item of one key, durability none", seconds)


def _median(settings: Settings, crowd: int, work: Callable[..., None], count: int, durability: str) -> float:
    """Return seconds for one of `count` operations, shared out among a crowd."""
    rounds = settings.pick(3, 5)
    taken = sorted(_crowd(settings, crowd, work, count // crowd, durability) for _ in range(rounds))
    return taken[rounds // 2] / count


_places = iter(range(1 << 30))


def _crowd(settings: Settings, count: int, work: Callable[..., None], each: int, durability: str) -> float:
    """Return how long `count` processes take for `each` operations each, from when all are ready."""
    context = multiprocessing.get_context("fork")
    folder = f"{settings.folder}/crowd-{next(_places)}"
    FileDirDict[Any](folder)["warm"] = 0
    start, end = context.Barrier(count + 1), context.Barrier(count + 1)
    crowd = [
        context.Process(target=_take_part, args=(start, end, work, folder, number, each, durability))
        for number in range(count)
    ]
    for process in crowd:
        process.start()
    os.sync()  # what others left to be written is not theirs
    start.wait()
    began = time.perf_counter()
    end.wait()
    taken = time.perf_counter() - began
    for process in crowd:
        process.join()
    return taken


def _take_part(start: Any, end: Any, work: Callable[..., None], *arguments: Any) -> None:
    start.wait()
    work(*arguments)
    end.wait()


def _write(folder: str, number: int, each: int, durability: Any) -> None:
    d = FileDirDict[Any](folder, durability=durability)
    for key in keys(each):
        d[f"{key}-{number}"] = small_dict(0)


def _increment(folder: str, number: int, each: int, durability: Any) -> None:
    del number
    d = FileDirDict[int](folder, durability=durability)
    for _ in range(each):
        d.transform_item("n", transformer=lambda n: 1 if n is ITEM_NOT_AVAILABLE else n + 1)
