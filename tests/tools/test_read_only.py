"""A handle that only reads: every write is refused, through every wrapper, before anything is encoded."""

from __future__ import annotations

import copy
import inspect
import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import perkey
from perkey import (
    ANY_ETAG,
    DELETE_CURRENT,
    ITEM_NOT_AVAILABLE,
    KEEP_CURRENT,
    CachedDict,
    FileDirDict,
    LocalDict,
    PersiDict,
    ReadOnlyError,
    WriteOnceDict,
    prune,
    verify,
)
from perkey.stores import ReadOnlyStore


class Encoded:
    """Notes that it is encoded."""

    seen = 0

    def __reduce__(self) -> Any:
        Encoded.seen += 1
        return Encoded, ()


def never(_: object) -> Any:
    raise AssertionError("called")


VALUE = Encoded()
WRITES: dict[str, Callable[[PersiDict[Any]], object]] = {
    "__setitem__": lambda d: d.__setitem__("new", VALUE),
    "__delitem__": lambda d: d.__delitem__("a"),
    "__ior__": lambda d: d.__ior__({"new": VALUE}),
    "setdefault": lambda d: d.setdefault("new", VALUE),
    "setdefault_if": lambda d: d.setdefault_if("new", VALUE),
    "set_item_if": lambda d: d.set_item_if(
        "a", value=VALUE, condition=ANY_ETAG, expected_etag=ITEM_NOT_AVAILABLE
    ),
    "discard": lambda d: d.discard("a"),
    "delete_if_exists": lambda d: d.delete_if_exists("a"),
    "discard_if": lambda d: d.discard_if("a", condition=ANY_ETAG, expected_etag=ITEM_NOT_AVAILABLE),
    "transform_item": lambda d: d.transform_item("a", never),
    "pop": lambda d: d.pop("a"),
    "popitem": lambda d: d.popitem(),
    "clear": lambda d: d.clear(),
    "update": lambda d: d.update({"new": VALUE, "more": VALUE}),
    "set_many": lambda d: d.set_many([("new", VALUE), ("more", VALUE)]),
    "delete_many": lambda d: d.delete_many(["a", "b"]),
}
MORE_WRITES: dict[str, Callable[[PersiDict[Any]], object]] = {
    "a joker that deletes": lambda d: d.__setitem__("a", DELETE_CURRENT),
    "a conditional joker": lambda d: d.set_item_if(
        "a", value=DELETE_CURRENT, condition=ANY_ETAG, expected_etag=ITEM_NOT_AVAILABLE
    ),
    "sweep": lambda d: d.store.sweep(),
    "prune": lambda d: prune(d, max_items=0),
    "quarantine": lambda d: verify(d, "quarantine"),
    "unquarantine": perkey.unquarantine,
}
READS = frozenset(
    (
        *("etag", "find", "fromkeys", "get", "get_item_if", "get_many", "get_params", "get_subdict"),
        *("get_with_etag", "items", "items_and_timestamps", "keys", "keys_and_timestamps", "newest_keys"),
        *("newest_values", "oldest_keys", "oldest_values", "path", "random_key", "read_only", "size"),
        *("subdicts", "timestamp", "url", "values", "values_and_timestamps", "copy"),
    )
)

HANDLES: dict[str, Callable[[PersiDict[Any]], PersiDict[Any]]] = {
    "itself": lambda d: d.read_only(),
    "twice": lambda d: d.read_only().read_only(),
    "pickled": lambda d: pickle.loads(pickle.dumps(d.read_only())),
    "copied": lambda d: copy.copy(d.read_only()),
    "cached": lambda d: CachedDict(d.read_only(), LocalDict()),
    "cached, then read only": lambda d: CachedDict(d, LocalDict()).read_only(),
    "write once": lambda d: WriteOnceDict(d.read_only(), 1),
    "write once, then read only": lambda d: WriteOnceDict(d, 1).read_only(),
    "by parameters": lambda d: PersiDict(d.read_only().store),
    "of parameters": lambda d: CachedDict(**CachedDict(d, LocalDict()).read_only().get_params()),
}
PLACES: dict[str, Callable[[Path], PersiDict[Any]]] = {
    "folder": lambda path: FileDirDict(path, durability="none"),
    "memory": lambda _: LocalDict(),
}


def test_every_public_method_is_a_read_or_a_write() -> None:
    public = {name for name, each in inspect.getmembers(PersiDict, callable) if not name.startswith("_")}
    assert public - READS - WRITES.keys() == set()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("handle", HANDLES)
def test_every_write_is_refused_before_anything_is_encoded(handle: str, place: str, tmp_path: Path) -> None:
    d = PLACES[place](tmp_path)
    d.update({"a": 1, "b": 2, ("x", "a"): 3})
    before = {key: d.etag(key) for key in d}
    wrapped = HANDLES[handle](d)
    if handle == "pickled" and place == "memory":
        before = dict.fromkeys(before, "")  # a copy of the items
    for verb, act in (WRITES | MORE_WRITES).items():
        Encoded.seen = 0
        with pytest.raises(ReadOnlyError) as caught:
            act(wrapped)
        assert Encoded.seen == 0, verb
        assert isinstance(caught.value, io.UnsupportedOperation | PermissionError), verb
    part = wrapped.get_subdict("x")
    with pytest.raises(ReadOnlyError):
        part["a"] = VALUE
    assert {key: d.etag(key) if before[key] else "" for key in d} == before
    assert part["a"] == 3


@pytest.mark.parametrize("place", PLACES)
def test_reading_works_as_before(place: str, tmp_path: Path) -> None:
    d = PLACES[place](tmp_path)
    d.update({"a": 1, ("x", "y"): {"n": 2}})
    reader = d.read_only()
    assert dict(reader) == dict(d) == {("a",): 1, ("x", "y"): {"n": 2}}
    assert reader.etag("a") == d.etag("a")
    assert reader.setdefault("a", 5) == 1
    assert list(reader.find({"n": 2})) == [(("x", "y"), {"n": 2})]
    assert (reader.timestamp("a"), reader.size("a")) == (d.timestamp("a"), d.size("a"))
    reader["a"] = KEEP_CURRENT
    assert dict(reader.get_subdict("x")) == {("y",): {"n": 2}}
    assert reader.subdicts().keys() == {"x"}
    assert repr(reader).endswith(".read_only()")
    assert reader.get_params().keys() == d.get_params().keys()
    d["a"] = 2
    assert reader["a"] == 2


def test_parts_of_a_handle_have_the_parameters_of_parts(tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path)
    assert d.get_subdict("x").read_only().get_params() == d.read_only().get_subdict("x").get_params()
    assert d.get_subdict("x").read_only().base_dir == d.get_subdict("x").base_dir


def test_a_cache_that_is_only_read_does_without() -> None:
    main = LocalDict[Any]()
    cached = CachedDict(main, LocalDict().read_only())
    cached["a"] = 1
    assert cached["a"] == 1


def test_the_error_survives_a_pickle_and_says_what_to_do(tmp_path: Path) -> None:
    reader = FileDirDict[Any](tmp_path).read_only()
    with pytest.raises(ReadOnlyError, match='open the place with mode="r\\+"') as caught:
        reader["a"] = 1
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again), again.place) == (ReadOnlyError, str(caught.value), caught.value.place)
    for kind in (OSError, ValueError, PermissionError, io.UnsupportedOperation):
        assert isinstance(again, kind)


def test_a_read_only_store_never_makes_its_folder(tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path / "place")
    reader = d.read_only()
    (tmp_path / "place").rmdir()
    with pytest.raises(FileNotFoundError):
        list(reader)
    assert not (tmp_path / "place").exists()
    assert isinstance(reader.store, ReadOnlyStore)
