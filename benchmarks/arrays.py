"""Large arrays: against NumPy's own files, with compression and without."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from typing import Any

from benchmarks import floor, peers
from benchmarks.measuring import FLOOR, Act, Contest, Outcome, Settings
from perkey import FileDirDict, register_format
from perkey.formats import PickleFormat

MIB = 1 << 20


def run(settings: Settings) -> Iterator[Outcome]:
    """Get and set arrays of random bytes, which do not compress, in the page cache."""
    import numpy as np

    register_format("rawpkl", PickleFormat(compression=None), replace=True)
    for size in (settings.pick(1, 10) * MIB,):
        folder = f"{settings.folder}/arrays-{size}"
        os.makedirs(folder)
        array = np.random.default_rng(1).integers(0, 256, size, dtype=np.uint8)
        path = f"{folder}/array.npy"
        np.save(path, array)
        places: dict[str, Any] = {
            "perkey": FileDirDict[Any](f"{folder}/raw", file_type="rawpkl", durability="none"),
            "perkey lz4": FileDirDict[Any](f"{folder}/lz4", durability="none"),
        }
        if "persidict" in peers.installed(peers.PEERS):
            places["persidict"] = peers.persidict(f"{folder}/persidict")
        for place in places.values():
            place["array"] = array

        def save(array: Any = array, path: str = path) -> None:
            np.save(path + "~.npy", array)
            os.replace(path + "~.npy", path)

        suite = f"{size // MIB} MiB array"
        gets: dict[str, Act] = {who: partial(place.__getitem__, "array") for who, place in places.items()}
        sets: dict[str, Act] = {
            who: partial(place.__setitem__, "array", array) for who, place in places.items()
        }
        rounds = settings.pick(3, 9)
        load: dict[str, Act] = {"numpy": partial(np.load, path), FLOOR: partial(floor.read, path)}
        yield Contest("get", 1, {**gets, **load}, rounds=rounds).hold(suite)
        yield Contest("set", 1, {**sets, "numpy": save}, rounds=rounds).hold(suite)
