"""How much there is: by one listing, of the items of the dictionary and nothing else."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perkey import CachedDict, FileDirDict, LocalDict, PersiDict, WriteOnceDict, usage
from perkey.stores import DirectoryStore
from perkey.testing import FaultyStore

PLACES: dict[str, Callable[[Path], PersiDict[Any]]] = {
    "folder": lambda path: FileDirDict(path, "txt"),
    "memory": lambda _: LocalDict("txt"),
    "part": lambda path: FileDirDict(path, "txt").get_subdict(("p", "q")),
    "cached": lambda path: CachedDict(FileDirDict(path, "txt"), LocalDict()),
    "write once": lambda path: WriteOnceDict(FileDirDict(path, "txt")),
    "read only": lambda path: FileDirDict(path, "txt").read_only(),
}


@pytest.mark.parametrize("place", PLACES)
def test_items_bytes_ages_and_prefixes(place: str, tmp_path: Path) -> None:
    d = PLACES[place](tmp_path)
    items = {("x", "a"): "one", ("x", "y", "b"): "two2", ("z", "c"): "", ("d",): "12345"}
    (FileDirDict[Any](tmp_path, "txt") if place == "read only" else d).update(items)
    found = usage(d)
    assert (found.items, found.bytes, found.place) == (4, 12, d.store.describe())
    times = dict(d.keys_and_timestamps())
    assert found.oldest is not None
    assert found.newest is not None
    assert found.oldest.time == min(times.values())
    assert found.newest.time == max(times.values())
    assert times[found.newest.key] == found.newest.time  # type: ignore[index] # keys are equal to tuples
    assert {key: (part.items, part.bytes) for key, part in found.by_prefix.items()} == {
        ("x",): (2, 7),
        ("z",): (1, 0),
        (): (1, 5),
    }
    assert usage(d, depth=2).by_prefix.keys() == {("x",), ("x", "y"), ("z",), ()}
    assert usage(d, depth=0).by_prefix == {}
    below = usage(d, "x")
    assert (below.items, below.bytes, set(below.by_prefix)) == (2, 7, {("x",), ("x", "y")})
    assert usage(d, "nothing").as_dict()["oldest"] is None
    assert json.loads(found.to_json()) == found.as_dict()
    assert [d.size(key) for key in items] == [3, 4, 0, 5]


def test_what_is_not_an_item_is_not_counted(tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path, "json")
    d["a"] = 1
    FileDirDict[Any](tmp_path, "pkl")["a"] = 1
    (tmp_path / "held_by.json-claim").write_text("x")
    for name in (".@perkey-tmp-1", "README.md", "a_aaaaaaaa.json"):
        (tmp_path / name).write_text("x" * 100)
    assert (usage(d).items, usage(d).bytes) == (1, 1)


def test_it_takes_one_listing_and_reads_nothing(tmp_path: Path) -> None:
    store = FaultyStore(DirectoryStore(tmp_path))
    d = PersiDict[Any](store)
    d.update({f"k{n}": n for n in range(10)})
    for file in tmp_path.iterdir():
        os.utime(file, (1, 1))  # a time for which a version needs the content
    store.calls.clear()
    assert usage(d).items == 10
    assert dict(store.calls) == {"scan_stats": 1}
    assert d.size("k1") > 0
    assert dict(store.calls) == {"scan_stats": 1, "stat": 1}


def test_the_size_of_what_is_not_there_is_a_key_error(tmp_path: Path) -> None:
    for d in (FileDirDict[Any](tmp_path), LocalDict[Any]()):
        with pytest.raises(KeyError, match="absent"):
            d.size("absent")


def test_paths_and_addresses(tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path / "a b", "json")
    d["x", "y"] = 1
    for handle, key in ((d, ("x", "y")), (d.get_subdict("x"), "y"), (d.read_only(), ("x", "y"))):
        assert json.loads(handle.path(key).read_text()) == 1
        assert handle.url(key) == handle.path(key).as_uri()
    assert "a%20b" in d.url("absent")
    assert not d.path("absent").exists()
    memory = LocalDict[Any]()
    assert memory.url("a").startswith("memory:")
    with pytest.raises(io.UnsupportedOperation, match=r"url\(\)"):
        memory.path("a")
