"""How many calls an NFS client makes to its server for each operation: counted in /proc/self/mountstats.

    python round_trips.py A B

A and B are the same folder as two clients see it; those of A are counted. vm/README.md says how to run it.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from perkey import ETAG_IS_THE_SAME, FileDirDict

_TIMES: Final = 7
_WARM: Final = 2
"""The first ones fill the caches."""
_VALUE: Final = "x" * 98


def calls(folder: str) -> Counter[str]:
    """Return the calls of the mount so far, by their names."""
    found: Counter[str] = Counter()
    here = counting = False
    for line in Path("/proc/self/mountstats").read_text().splitlines():
        if line.startswith("device "):
            here, counting = f" mounted on {folder} " in line, False
        elif "per-op statistics" in line:
            counting = here
        elif counting and ":" in line:
            name, numbers = line.strip().split(":")
            found[name] = int(numbers.split()[0])
    return found


def measure(folder: str, what: str, act: Callable[[int], object], before: Callable[[], object] = int) -> None:
    """Count the calls of an act several times, and print what is typical."""
    counts = []
    for turn in range(_TIMES):
        before()
        begun = calls(folder)
        act(turn)
        counts.append(calls(folder) - begun)
    totals = [count.total() for count in counts[_WARM:]]
    typical = statistics.median_low(totals)
    which = next(count for count in counts[_WARM:] if count.total() == typical)
    print(f"{what:40} {typical:3} ({min(totals)}-{max(totals)})  {dict(sorted(which.items()))}", flush=True)


def floor(path: str, *, durable: bool) -> Callable[[int], None]:
    """Return an act that replaces a file by a new one, and nothing else."""

    def act(turn: int) -> None:
        fd = os.open(f"{path}/new{turn}", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        os.write(fd, _VALUE.encode())
        if durable:
            os.fsync(fd)
        os.close(fd)
        os.rename(f"{path}/new{turn}", f"{path}/name")

    return act


def operations(one: str, other: str) -> Iterator[tuple[str, Callable[[int], object], Callable[[], object]]]:
    """Yield what is measured: its name, the act, and what another client does before."""
    d = FileDirDict[str](one, file_type="json")
    rival = FileDirDict[str](other, file_type="json")
    d["k"] = d["folder", "k"] = _VALUE
    rival["warm"] = ""
    etags: list[str] = []

    def swap(_: int) -> None:
        result = d.set_item_if("k", value=_VALUE, condition=ETAG_IS_THE_SAME, expected_etag=etags[-1])
        assert result.condition_was_satisfied

    yield "get, unchanged", lambda _: d["k"], int
    yield "get, changed by the other client", lambda _: d["k"], lambda: rival.__setitem__("k", _VALUE)
    yield "in", lambda _: "k" in d, int
    yield "set", lambda _: d.__setitem__("k", _VALUE), int
    yield "set, in a sub-folder", lambda _: d.__setitem__(("folder", "k"), _VALUE), int
    yield "insert, new", lambda turn: d.setdefault_if(f"new{turn}", default_value=_VALUE), int
    yield "insert, there already", lambda _: d.setdefault_if("k", default_value=_VALUE), int
    yield "swap", swap, lambda: etags.append(str(d.etag("k")))
    yield "transform_item", lambda _: d.transform_item("k", transformer=lambda value: value), int
    yield "del", lambda turn: d.__delitem__(f"new{turn}"), int


def main(one: str, other: str) -> None:
    """Measure everything on A."""
    place = f"{one}/round-trips"
    os.makedirs(f"{place}/floor")
    measure(one, "floor: temporary file and rename", floor(f"{place}/floor", durable=False))
    measure(one, "floor: the same with fsync", floor(f"{place}/floor", durable=True))
    for what, act, before in operations(f"{place}/dict", f"{other}/round-trips/dict"):
        measure(one, what, act, before)


if __name__ == "__main__":
    main(*sys.argv[1:])
