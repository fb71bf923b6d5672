"""What other processes do in the tests of claims; imports little."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from pathlib import Path
from typing import Any

from perkey import FileDirDict, PersiDict, claim, compute_once


def folder(path: str, **params: Any) -> PersiDict[Any]:
    return FileDirDict(path, durability="none", **params)


def hold_until_killed(path: str, key: str, lease: float) -> None:
    """Say on the output that the claim is held, and never give it back."""
    with claim(folder(path), key, lease) as mine:
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


def compute_many(path: str, logs: str, count: str, seconds: str) -> None:
    """Ask for every key; write down each computation before and each answer after."""
    import random

    d = folder(path)
    keys = [f"k{number}" for number in range(int(count))]
    random.shuffle(keys)
    for key in keys:
        compute_once(d, key, compute, args=(logs, key, float(seconds)), lease=2.0)
    Path(logs, f"done-{os.getpid()}").touch()


def compute(logs: str, key: str, seconds: float) -> list[Any]:
    """Note that the computation has begun, in one system call."""
    descriptor = os.open(os.path.join(logs, "computed"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(descriptor, f"{key} {os.getpid()}\n".encode())
    finally:
        os.close(descriptor)
    time.sleep(seconds)
    return [key, os.getpid()]


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    if name in {"hold_until_killed", "hold_interpreter"}:
        path, key, lease, *more = arguments
        globals()[name](path, key, float(lease), *more)
    else:
        globals()[name](*arguments)
