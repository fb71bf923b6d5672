"""Synced documents beside synced_collections: speed, and what is left of the edits of several processes.

    python -m benchmarks.synced            # pip install 'perkey[bench]'; about half a minute

A document of 2,000 keys in a JSON file. Both write a new file and rename it, and neither waits for the disk.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from benchmarks.measuring import Act, Contest, Outcome, Settings

OURS, PEER = "perkey", "synced_collections"
MODULES: Final = {OURS: "perkey.synced", PEER: "synced_collections.backends.collection_json"}
KEYS: Final = 2000
WORKERS: Final = 4


def contenders() -> list[str]:
    """Return those that are installed."""
    return [name for name in MODULES if name == OURS or find_spec(name) is not None]


def opener(contender: str, cls: str = "JSONDict") -> Callable[[Path], Any]:
    """Return a contender's class."""
    found: Callable[[Path], Any] = getattr(import_module(MODULES[contender]), cls)
    return found


# --- Speed ------------------------------------------------------------------------------------------


def run(settings: Settings) -> Iterator[Outcome]:
    """Measure what is done with one key of the document."""
    rounds, count = settings.pick(3, 9), settings.pick(10, 50)
    for cls in ("JSONDict", "BufferedJSONDict", "MemoryBufferedJSONDict"):
        way = {"JSONDict": "direct", "BufferedJSONDict": "buffered"}.get(cls, "memory buffered")
        documents = {name: _filled(settings, name, cls) for name in contenders()}
        for what, act in ACTS.items():
            acts: dict[str, Act] = {
                name: partial(_repeat, act, d, count, cls) for name, d in documents.items()
            }
            yield Contest(f"{what}, {way}", count, acts, rounds=rounds).hold("synced")
    yield Contest("open and look, small", 1, _openings(settings), rounds=rounds * 10).hold("synced")


ACTS: Final[dict[str, Callable[[Any, int], Any]]] = {
    "read a key": lambda d, _: d["k7"],
    "read a nested key": lambda d, _: d["nested"]["a"][1]["b"],
    "write a key": lambda d, n: d.__setitem__("k7", n),
    "write a nested key": lambda d, n: d["nested"]["a"][1].__setitem__("b", n),
}


def _filled(settings: Settings, contender: str, cls: str) -> Any:
    d = opener(contender, cls)(Path(settings.folder, f"{contender}-{cls}.json"))
    d.reset({**{f"k{n}": n for n in range(KEYS)}, "nested": {"a": [0, {"b": 1}]}})
    return d


def _repeat(act: Callable[[Any, int], Any], d: Any, count: int, cls: str) -> None:
    if cls == "JSONDict":
        for n in range(count):
            act(d, n)
    else:
        with d.buffered:
            for n in range(count):
                act(d, n)


def _openings(settings: Settings) -> dict[str, Act]:
    path = Path(settings.folder, "small.json")
    path.write_text('{"a": 1}')
    return {name: partial(_open_and_look, opener(name), path) for name in contenders()}


def _open_and_look(opening: Callable[[Path], Any], path: Path) -> Any:
    return opening(path)["a"]


# --- Many writers -----------------------------------------------------------------------------------


def races(folder: Path) -> Iterator[str]:
    """Yield a line for each race: how much is left of what several processes wrote."""
    for name in contenders():
        left = len(_raced(folder / f"{name}-keys.json", _set_keys, name))
        yield f"{name:<20} {WORKERS} processes x 200 keys:        {left:>5} of 800 keys"
    for name in contenders():
        left = _raced(folder / f"{name}-n.json", _count_up, name).get("n", 0)
        yield f"{name:<20} {WORKERS} processes x 250 increments:  {left:>5} of 1000"


def _raced(path: Path, work: Callable[..., None], contender: str) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(WORKERS)
    processes = [
        context.Process(target=work, args=(contender, path, start, number)) for number in range(WORKERS)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    left: dict[str, Any] = json.loads(path.read_text())
    return left


def _set_keys(contender: str, path: Path, start: Any, number: int) -> None:
    d = opener(contender)(path)
    start.wait()
    for n in range(200):
        d[f"{number}-{n}"] = n


def _count_up(contender: str, path: Path, start: Any, number: int) -> None:
    """Count by the atomic form where there is one."""
    del number
    d = opener(contender)(path)
    start.wait()
    for _ in range(250):
        if contender == OURS:
            d.transform(lambda data: {"n": data.get("n", 0) + 1})
        else:
            d["n"] = d.get("n", 0) + 1


def main() -> int:
    """Print both; returns the exit status."""
    if PEER not in contenders():
        print(f"{PEER} is not installed (pip install 'perkey[bench]'): perkey alone")
    with tempfile.TemporaryDirectory(prefix="perkey-bench-") as folder:
        for outcome in run(Settings(folder)):
            times = ", ".join(f"{name} {seconds * 1e6:9.1f} µs" for name, seconds in outcome.seconds.items())
            ratios = "".join(f"   {ratio:6.1f} x" for _, ratio in outcome.ratios())
            print(f"{outcome.name:<36} {times}{ratios}", flush=True)
        for line in races(Path(folder)):
            print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
