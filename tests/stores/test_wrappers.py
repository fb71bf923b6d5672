"""Stores that wrap another one forward every verb, so that its own way of doing many things is reached."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tracing import system_calls

from perkey import CachedDict, FileDirDict, LocalDict, PersiDict
from perkey.naming import naming
from perkey.stores import CachedStore, DirectoryStore, MemoryStore
from perkey.stores.base import WrapperStore
from perkey.testing import FaultyStore

WAYS: dict[str, Callable[[Path], PersiDict[Any]]] = {
    "wrapper": lambda path: PersiDict(WrapperStore(DirectoryStore(path))),
    "prefix": lambda path: FileDirDict(path).get_subdict("part"),
    "cached": lambda path: CachedDict(FileDirDict(path), LocalDict()),
    "faulty": lambda path: PersiDict(FaultyStore(DirectoryStore(path))),
    "all": lambda path: PersiDict(
        FaultyStore(CachedStore(FaultyStore(DirectoryStore(path)), MemoryStore()))
    ).get_subdict(("a", "b")),
}


@pytest.mark.parametrize("way", WAYS)
def test_batches_share_their_syncs_behind_every_wrapper(way: str, tmp_path: Path) -> None:
    d = WAYS[way](tmp_path)
    d["first"] = 0  # makes the folders
    calls = system_calls(lambda: d.set_many({f"k{n}": n for n in range(100)}))
    assert calls.count("fsync") <= 2
    assert d.get_many(["k7", "k99"]) == {("k7",): 7, ("k99",): 99}
    calls = system_calls(lambda: d.delete_many(f"k{n}" for n in range(100)))
    assert calls.count("fsync") <= 2
    assert len(d) == 1


@pytest.mark.parametrize("way", WAYS)
def test_times_are_told_without_a_look_at_contents(way: str, tmp_path: Path) -> None:
    d = WAYS[way](tmp_path)
    for n in range(5):
        d[f"k{n}"] = n
    for path in tmp_path.rglob("*.pkl"):
        os.utime(path, (1_700_000_000, 1_700_000_000))  # as archives leave them
    for tell in (
        lambda: d.timestamp("k1"),
        lambda: d.newest_keys(3),
        d.oldest_keys,
        lambda: list(d.keys_and_timestamps()),
    ):
        assert "read" not in system_calls(tell)
    assert d.timestamp("k1") == 1_700_000_000
    assert {written for _, written in d.keys_and_timestamps()} == {1_700_000_000}


def test_an_etag_that_needs_the_content_reads_it_once_when_the_file_is_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    d = FileDirDict[Any](tmp_path, durability="none")
    d["a"] = 1
    (path,) = tmp_path.iterdir()
    os.utime(path, (1_700_000_000, 1_700_000_000))
    changed = os.stat(path).st_ctime_ns
    young = d.etag("a")
    assert "read" in system_calls(lambda: d.etag("a")), "a change within a tick of the clock would not show"
    monkeypatch.setattr("time.time_ns", lambda: changed + 3_000_000_000)
    assert d.etag("a") == young
    assert "read" not in system_calls(lambda: d.etag("a"))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    assert d.etag("a") != young


def test_a_cache_keeps_no_content_under_the_version_of_another(tmp_path: Path) -> None:
    store = CachedStore(DirectoryStore(tmp_path, durability="none"), MemoryStore())
    name = naming(8, "pkl").name_of("a")
    list(store.write_many([(name, b"one"), (name, b"two")]))
    assert store.read(name) == (b"two", store.stat(name).version)
    list(store.write_many([(name, b"three")]))
    assert store.read(name) == (b"three", store.stat(name).version)
