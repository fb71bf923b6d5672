"""Stores that wrap another one forward every verb, so that its own way of doing many things is reached."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from tracing import system_calls

import perkey
from perkey import CachedDict, FileDirDict, LocalDict, PersiDict
from perkey.errors import MissingExtraError
from perkey.naming import naming
from perkey.stores import CachedStore, DirectoryStore, MemoryStore, PrefixStore, ReadOnlyStore
from perkey.stores.base import Store, WrapperStore
from perkey.testing import FaultyStore

FACTS = {"read_only", "workers"}
"""What a wrapper takes over when it is made."""
VERBS = sorted(name for name in vars(Store) if not name.startswith("_") and name not in FACTS)


def stores() -> Iterator[type[Store]]:
    """Yield every class of a store in perkey."""
    for module in pkgutil.walk_packages(perkey.__path__, "perkey."):
        if not module.name.endswith("__main__"):
            try:
                members = vars(importlib.import_module(module.name))
            except MissingExtraError:
                continue
            for cls in members.values():
                if isinstance(cls, type) and issubclass(cls, Store) and cls.__module__ == module.name:
                    yield cls


def wraps_another(cls: type[Store]) -> bool:
    """Tell whether the constructor takes a store."""
    hints = get_type_hints(cls.__init__) if "__init__" in vars(cls) else {}
    return any(isinstance(hint, type) and issubclass(hint, Store) for hint in hints.values())


WRAPPERS = [cls for cls in stores() if wraps_another(cls)]


def test_every_store_that_takes_another_one_is_a_wrapper() -> None:
    assert {PrefixStore, CachedStore, ReadOnlyStore, FaultyStore, WrapperStore} <= set(WRAPPERS)
    assert [cls for cls in WRAPPERS if not issubclass(cls, WrapperStore)] == []


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("cls", WRAPPERS)
def test_every_verb_is_forwarded_or_overridden(cls: type[Store], verb: str) -> None:
    found = inspect.getattr_static(cls, verb)
    assert found is not inspect.getattr_static(Store, verb), "it does not reach the inner store"


def test_a_wrapper_asks_the_inner_store_with_the_same_arguments() -> None:
    class Asked(MemoryStore):
        workers = 7
        read_only = True

    inner: Any = Asked()
    store = WrapperStore(inner)
    assert (store.workers, store.read_only) == (7, True)
    for verb in VERBS:
        parameters = list(inspect.signature(getattr(Store, verb)).parameters.values())[1:]
        positional = [object() for each in parameters if each.kind is not each.KEYWORD_ONLY]
        named = {each.name: object() for each in parameters if each.kind is each.KEYWORD_ONLY}
        answer = object()
        asked: list[Any] = []

        def note(*args: Any, _answer: object = answer, _asked: list[Any] = asked, **kwargs: Any) -> object:
            _asked.append((list(args), kwargs))
            return _answer

        setattr(inner, verb, note)
        result = getattr(store, verb)(*positional, **named)
        assert asked == [(positional, named)], verb
        assert result is (None if verb in {"put", "try_put", "remove", "move"} else answer), verb


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
