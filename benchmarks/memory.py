"""Memory: a folder of a million keys, and an array of 1 GiB.

    python -m benchmarks.memory                    # both, in a temporary folder
    python -m benchmarks.memory --keys 100000 --gib 0.25 --folder /some/disk

Each measurement runs in a process of its own; growth is the difference of its peak resident memory (VmHWM)
from what it had when it began.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MIB = 1 << 20


def peak() -> int:
    """Return the largest resident memory that this process ever had, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("this kernel does not tell VmHWM")


def _report(connection: Any, task: Callable[..., str], arguments: tuple[Any, ...]) -> None:
    import numpy as np  # noqa: F401 - loaded before the measurement begins

    import perkey  # noqa: F401

    before, began = peak(), time.perf_counter()
    said = task(*arguments)
    connection.send((said, peak() - before, time.perf_counter() - began))


def measure(name: str, task: Callable[..., str], *arguments: Any) -> int:
    """Run `task` in a new process and print what it said, its memory growth and its time."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_report, args=(theirs, task, arguments))
    process.start()
    said, growth, seconds = ours.recv()
    process.join()
    print(f"{name:<28} {growth / MIB:10.1f} MiB {seconds:9.2f} s   {said}", flush=True)
    return int(growth)


def fill(folder: str, keys: int) -> str:
    """Make a folder of many small values, by bare system calls."""
    from perkey.dicts import FileDirDict
    from perkey.formats import PickleFormat
    from perkey.naming import naming

    FileDirDict(folder)
    data = PickleFormat().encode({"value": 1})
    assert isinstance(data, bytes)
    names = naming(8, "pkl")
    for number in range(keys):
        fd = os.open(f"{folder}/{names.name_of(f'key-{number}')[0]}", os.O_WRONLY | os.O_CREAT, 0o666)
        os.write(fd, data)
        os.close(fd)
    return f"{keys:,} files made"


def first_key(folder: str) -> str:
    from perkey import FileDirDict

    return str(next(iter(FileDirDict[Any](folder))))


def iterate(folder: str) -> str:
    from perkey import FileDirDict

    count = sum(1 for _ in FileDirDict[Any](folder))
    return f"{count:,} keys"


def length(folder: str) -> str:
    from perkey import FileDirDict

    return f"len = {len(FileDirDict[Any](folder)):,}"


def some_values(folder: str) -> str:
    from perkey import FileDirDict

    count = sum(1 for _ in itertools.islice(FileDirDict[Any](folder).values(), 20_000))
    return f"{count:,} values"


def newest(folder: str) -> str:
    from perkey import FileDirDict

    return f"{len(FileDirDict[Any](folder).newest_keys(10))} newest keys"


def array_of(gib: float) -> Any:
    import numpy as np

    return np.random.default_rng(0).random(int(gib * (1 << 30)) // 8)


def store_array(folder: str, gib: float) -> str:
    from perkey import FileDirDict

    array = array_of(gib)
    FileDirDict[Any](folder)["array"] = array
    return f"array of {array.nbytes / MIB:,.0f} MiB stored"


def load_array(folder: str, gib: float) -> str:
    from perkey import FileDirDict

    array = FileDirDict[Any](folder)["array"]
    assert array.nbytes == int(gib * (1 << 30)) // 8 * 8
    return f"array of {array.nbytes / MIB:,.0f} MiB loaded"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--gib", type=float, default=1.0)
    parser.add_argument(
        "--folder", default=None, help="where to work; a new folder in it is used and removed"
    )
    options = parser.parse_args()
    work = tempfile.mkdtemp(prefix="perkey-memory-", dir=options.folder)
    try:
        many, large = f"{work}/many", f"{work}/large"
        measure("fill", fill, many, options.keys)
        grown = [
            measure("first key", first_key, many),
            measure("iteration", iterate, many),
            measure("len", length, many),
            measure("20,000 values", some_values, many),
            measure("newest_keys(10)", newest, many),
        ]
        beyond = [
            measure(name, task, large, options.gib) - int(options.gib * (1 << 30))
            for name, task in (("store array", store_array), ("load array", load_array))
        ]
    finally:
        shutil.rmtree(work)
    print(f"largest growth over the keys: {max(grown) / MIB:.1f} MiB (at most 50)")
    print(f"largest beyond the array:     {max(beyond) / MIB:.1f} MiB (at most {options.gib * 256:.0f})")
    return int(max(grown) > 50 * MIB or max(beyond) > options.gib * 256 * MIB)


if __name__ == "__main__":
    sys.exit(main())
