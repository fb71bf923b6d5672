"""What other processes do in the tests of claims; imports little."""

from __future__ import annotations

import ctypes
import json
import os
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from perkey import FileDirDict, OverlappingMultiDict, PersiDict, claim, compute_once, run_all
from perkey.errors import BackendError
from perkey.naming import digest
from perkey.tools.once.holders import Clock


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


def open_place(place: str) -> PersiDict[Any]:
    """Open a folder, by one of several handles, or a bucket."""
    if place.startswith("s3|"):
        from perkey import BasicS3Dict

        _, engine, bucket, endpoint = place.split("|")
        params: Any = {"engine": engine}
        return BasicS3Dict(
            bucket,
            "us-east-1",
            **params,
            endpoint_url=endpoint,
            trust_service=True,
        ).get_subdict("below")
    params = {"base_dir": place, "durability": "none"}
    kind = os.getpid() % 3
    if kind == 0:
        return OverlappingMultiDict(FileDirDict, params, pkl={}, json={}).pkl.get_subdict("below")
    if kind == 1:
        return FileDirDict[Any](**params).get_subdict("below")
    return FileDirDict[Any](Path(place) / f"below_{digest('below', 8)}", durability="none")


def compute_many(place: str, logs: str, count: str, seconds: str, lease: str) -> None:
    """Ask for every key in an order of its own, with a clock of its own, sometimes with a fork within."""
    clock: Any = Clock
    offset = 3600.0 * (os.getpid() % 2)
    clock.wall = lambda _: time.time() + offset  # as on another machine
    d = open_place(place)
    keys = [f"k{number}" for number in range(int(count))]
    random.shuffle(keys)
    for key in keys:
        while True:
            try:
                value = compute_once(d, key, compute, args=(logs, key, float(seconds)), lease=float(lease))
            except BackendError:
                continue  # an outage before anything was computed: as any program would
            break
        assert value[0] == key
    Path(logs, f"done-{os.getpid()}").touch()


def run_many(place: str, logs: str, count: str, seconds: str, lease: str) -> None:
    """Do all tasks together with other processes, with a clock of its own; print what was computed here."""
    clock: Any = Clock
    offset = 3600.0 * (os.getpid() % 2)
    clock.wall = lambda _: time.time() + offset  # as on another machine
    tasks = {f"k{number}": f"k{number}" for number in range(int(count))}
    d = open_place(place)
    while True:
        try:
            report = run_all(d, lambda key: compute(logs, key, float(seconds)), tasks, lease=float(lease))
        except BackendError:
            continue  # an outage at the first request: as any program would
        break
    report.check()
    print(len(report.computed), report.takeovers, flush=True)
    Path(logs, f"done-{os.getpid()}").touch()


def stampede(place: str, logs: str, threads: str) -> None:
    """Ask for one key in many threads at once."""
    with ThreadPoolExecutor(int(threads)) as pool:
        d = open_place(place)
        futures = [
            pool.submit(compute_once, d, "a", compute, args=(logs, "a", 1.0, False))
            for _ in range(int(threads))
        ]
        print(*{json.dumps(future.result()) for future in futures}, flush=True)


def compute(logs: str, key: str, seconds: float, forks: bool = True) -> list[Any]:
    """Note that the computation has begun, in one system call.

    Only the main thread may fork here: in a thread of a pool the child would go on to wait for work.
    """
    with Path(logs, "computed").open("ab", buffering=0) as file:
        file.write(f"{key} {os.getpid()}\n".encode())
    if forks and random.random() < 0.05:
        child = os.fork()
        if not child:
            raise SystemExit(0)  # leaves the claim's block as its parent does
        os.waitpid(child, 0)
    time.sleep(seconds * random.uniform(0.5, 1.5))
    return [key, os.getpid()]


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    if name in {"hold_until_killed", "hold_interpreter"}:
        path, key, lease, *more = arguments
        globals()[name](path, key, float(lease), *more)
    else:
        globals()[name](*arguments)
