"""What other processes do in the tests of claims; imports little."""

from __future__ import annotations

import ctypes
import json
import os
import random
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from perkey import FileDirDict, OverlappingMultiDict, PersiDict, claim, compute_once, run_all
from perkey.errors import BackendError
from perkey.naming import digest

R = TypeVar("R")

BELOW: Final = "below"


def folder(path: str, **params: Any) -> PersiDict[Any]:
    return FileDirDict(path, durability="none", **params)


def hold_until_killed(path: str, key: str, lease: float, renewal: str = "thread") -> None:
    """Say on the output that the claim is held, and never give it back."""
    with claim(folder(path), key, lease, renewal=renewal) as mine:  # type: ignore[arg-type] # text
        print(bool(mine), flush=True)
        time.sleep(600)


def hold_interpreter(path: str, key: str, lease: float, renewal: str) -> None:
    """Hold the interpreter's lock for three leases within a claim; say whether it was held at the end."""
    libc = ctypes.PyDLL(None)  # does not release the lock, as C extensions that were not made to
    with claim(folder(path), key, lease, renewal=renewal) as mine:  # type: ignore[arg-type] # text
        print(bool(mine), flush=True)
        libc.usleep(int(3 * lease * 1e6))
        try:
            mine.check()
        except RuntimeError as error:
            print(type(error).__name__, error, flush=True)
        else:
            print("held", flush=True)


HOUR: Final = 3600.0


@dataclass(frozen=True)
class Handle:
    """One of the handles of the same items.

    Attributes:
        d: The dictionary.
        prefix: What is before each key in it.
    """

    d: PersiDict[Any]
    prefix: tuple[str, ...] = ()

    def key(self, name: str) -> tuple[str, ...]:
        """Return the key of an item."""
        return (*self.prefix, name)


HANDLES: Final = ("root", "sub-dictionary", "multi", "own place")
"""The handles of the items below one part of a key."""


def open_place(place: str, kind: str = "sub-dictionary") -> Handle:
    """Open a folder or a bucket by one of several handles."""
    opened, params = _class_of(place)
    if kind == "root":
        return Handle(opened(**params), (BELOW,))
    if kind == "multi":
        multi = OverlappingMultiDict(opened, params, pkl={}, json={})
        return Handle(multi.pkl.get_subdict(BELOW))
    if kind == "own place" and "base_dir" in params:
        own = Path(params["base_dir"]) / f"{BELOW}_{digest(BELOW, 8)}"
        return Handle(opened(**{**params, "base_dir": own}))
    return Handle(opened(**params).get_subdict(BELOW))


def _class_of(place: str) -> tuple[Any, dict[str, Any]]:
    if not place.startswith("s3|"):
        return FileDirDict, {"base_dir": place, "durability": "none"}
    from perkey import BasicS3Dict

    _, engine, bucket, endpoint = place.split("|")
    return BasicS3Dict, {
        "bucket_name": bucket,
        "region": "us-east-1",
        "engine": engine,
        "endpoint_url": endpoint,
        "trust_service": True,
    }


def live_elsewhere() -> str:
    """Let this process have a date of its own, as on another machine; return the handle that it uses."""
    offset = HOUR * (os.getpid() % 2)
    seconds, nanoseconds = time.time, time.time_ns
    clock: Any = time
    clock.time = lambda: seconds() + offset
    clock.time_ns = lambda: nanoseconds() + int(offset * 1e9)
    return HANDLES[os.getpid() // 2 % len(HANDLES)]


def compute_many(place: str, logs: str, count: str, seconds: str, lease: str) -> None:
    """Ask for every key in an order of its own, with a date of its own, sometimes with a fork within."""
    handle = open_place(place, live_elsewhere())
    names = [f"k{number}" for number in range(int(count))]
    random.shuffle(names)
    for name in names:
        call = partial(compute, logs, name, float(seconds))
        value = as_any_program_would(
            partial(compute_once, handle.d, handle.key(name), call, lease=float(lease))
        )
        assert value[0] == name
    Path(logs, f"done-{os.getpid()}").touch()


def run_many(place: str, logs: str, count: str, seconds: str, lease: str) -> None:
    """Do all tasks together with other processes, with a date of its own."""
    handle = open_place(place, live_elsewhere())
    tasks = {handle.key(f"k{number}"): f"k{number}" for number in range(int(count))}
    work = partial(compute, logs, seconds=float(seconds))
    as_any_program_would(lambda: run_all(handle.d, work, tasks, lease=float(lease))).check()
    Path(logs, f"done-{os.getpid()}").touch()


def as_any_program_would(act: Callable[[], R]) -> R:
    """Call a function again if the place was away before anything was computed."""
    while True:
        try:
            return act()
        except BackendError:
            continue


def stampede(place: str, logs: str, threads: str) -> None:
    """Ask for one key in many threads at once."""
    with ThreadPoolExecutor(int(threads)) as pool:
        d = open_place(place).d
        futures = [
            pool.submit(compute_once, d, "a", compute, args=(logs, "a", 1.0, False))
            for _ in range(int(threads))
        ]
        print(*{json.dumps(future.result()) for future in futures}, flush=True)


def compute(logs: str, name: str, seconds: float, forks: bool = True) -> list[Any]:
    """Note that the computation has begun, in one system call.

    Only the main thread may fork here: in a thread of a pool the child would go on to wait for work.
    """
    with Path(logs, "computed").open("ab", buffering=0) as file:
        file.write(f"{name} {os.getpid()} {time.monotonic()}\n".encode())
    if forks and random.random() < 0.05:
        child = os.fork()
        if not child:
            raise SystemExit(0)  # leaves the claim's block as its parent does
        os.waitpid(child, 0)
    time.sleep(seconds * random.uniform(0.5, 1.5))
    return [name, os.getpid()]


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    if name in {"hold_until_killed", "hold_interpreter"}:
        path, key, lease, *more = arguments
        globals()[name](path, key, float(lease), *more)
    else:
        globals()[name](*arguments)
