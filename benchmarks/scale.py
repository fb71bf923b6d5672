"""How costs grow with the number of keys: in one flat folder, and for nested keys."""

from __future__ import annotations

import itertools
import os
import random
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from benchmarks.measuring import Act, Contest, Outcome, Settings
from benchmarks.values import keys, small_dict
from perkey import FileDirDict
from perkey.formats import format_of
from perkey.naming import naming

SAMPLE = 500


def run(settings: Settings) -> Iterator[Outcome]:
    """Measure get, set and `in` of a sample of keys, and listings per key, in folders of rising size."""
    counts = [1_000, settings.pick(2_000, 100_000)] + ([1_000_000] if settings.full else [])
    places = {f"{count:,} keys": _filled(f"{settings.folder}/flat-{count}", count) for count in counts}
    sampled = {who: _sample(count) for who, count in zip(places, counts, strict=True)}
    value = small_dict(0)
    suite = "scale"
    acts = {
        "get": lambda d, names: [d[name] for name in names],
        "in": lambda d, names: [name in d for name in names],
        "set old, durability none": lambda d, names: [d.__setitem__(name, value) for name in names],
    }
    for name, act in acts.items():
        does: dict[str, Act] = {who: partial(act, d, sampled[who]) for who, d in places.items()}
        yield Contest(name, SAMPLE, does, rounds=settings.pick(3, 9)).hold(suite)
    for name, whole in (("len, for each key", len), ("iteration, for each key", _walk)):
        seconds = {
            who: _best(partial(whole, d)) / count
            for (who, d), count in zip(places.items(), counts, strict=True)
        }
        yield Outcome(suite, name, seconds)
    once = {
        "first key": lambda d: next(iter(d)),
        "bool": bool,
        "random_key": lambda d: d.random_key(),
        "newest_keys(10)": lambda d: d.newest_keys(10),
    }
    for name, ask in once.items():
        yield Outcome(suite, name, {who: _best(partial(ask, d)) for who, d in places.items()})
    yield _nesting(settings)


def _filled(folder: str, count: int) -> FileDirDict[Any]:
    """Fill a folder by bare system calls: what is measured comes later."""
    os.makedirs(folder)
    content = format_of("pkl").encode(small_dict(0))
    assert isinstance(content, bytes)
    name_of = naming(8, "pkl").name_of
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    for key in keys(count):
        fd = os.open(name_of(key)[0], os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666, dir_fd=at)
        os.write(fd, content)
        os.close(fd)
    os.close(at)
    return FileDirDict[Any](folder, durability="none")


def _sample(count: int) -> list[str]:
    return random.Random(1).sample(keys(count), SAMPLE)


def _walk(d: FileDirDict[Any]) -> None:
    for _ in d:
        pass


def _best(act: Act) -> float:
    """Return the least of three times: a listing is long, and disturbed rather than hastened."""
    taken = []
    for _ in range(3):
        began = time.perf_counter()
        act()
        taken.append(time.perf_counter() - began)
    return min(taken)


def _nesting(settings: Settings) -> Outcome:
    count = settings.pick(200, 1_000)
    d = FileDirDict[Any](f"{settings.folder}/nested", durability="none")
    value = small_dict(0)
    depths: dict[str, list[tuple[str, ...]]] = {
        f"{depth} parts": [(*itertools.repeat("part", depth - 1), key) for key in keys(count)]
        for depth in (1, 2, 4)
    }
    for names in depths.values():
        for name in names:
            d[name] = value
    acts: dict[str, Act] = {
        who: partial(lambda names: [d[name] for name in names], names) for who, names in depths.items()
    }
    return Contest("get of nested keys", count, acts, rounds=settings.pick(3, 9)).hold("scale")
