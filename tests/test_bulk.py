"""Many items at once: as if done one by one; what fails is told with its key, and the rest is done."""

import gc
import os
import pickle
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
from contracts.dicts.raising import Bad, RaisingFormat

from perkey import (
    BulkOperationError,
    CorruptValueError,
    FileDirDict,
    LocalDict,
    MissingExtraError,
    MutationPolicyError,
    PersiDict,
    UnstorableValueError,
)
from perkey.content import Content, Data
from perkey.expectations import ANY, Expectation, Version
from perkey.formats import Format
from perkey.jokers import DELETE_CURRENT, KEEP_CURRENT
from perkey.keys import NonEmptySafeStrTuple
from perkey.mapping import items_of
from perkey.naming import Name
from perkey.stores import MemoryStore
from perkey.stores.base import Store
from perkey.testing import FaultyStore

T = TypeVar("T")

WORKERS = 6


class SlowStore(FaultyStore):
    """A place where several operations at a time are worthwhile, and that counts them."""

    read_many, write_many, remove_many = Store.read_many, Store.write_many, Store.remove_many

    def __init__(self) -> None:
        super().__init__(MemoryStore(), latency=0.002)
        self.workers = WORKERS
        self.lock = threading.Lock()
        self.inside = self.most = self.reads = self.writes = 0
        self.broken: dict[Name, Exception] = {}

    def read(
        self, name: Name, *, unless: Version | None = None, limit: int | None = None
    ) -> tuple[Content, Version] | None:
        return self._counted(
            name, "reads", lambda: super(SlowStore, self).read(name, unless=unless, limit=limit)
        )

    def try_write(self, name: Name, data: Data, *, expect: Expectation) -> Version:
        return self._counted(
            name, "writes", lambda: super(SlowStore, self).try_write(name, data, expect=expect)
        )

    def remove(self, name: Name, *, expect: Expectation = ANY) -> None:
        self._counted(name, "writes", lambda: super(SlowStore, self).remove(name, expect=expect))

    def _counted(self, name: Name, what: str, act: Callable[[], T]) -> T:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        try:
            if name in self.broken:
                raise self.broken[name]
            return act()
        finally:
            with self.lock:
                self.inside -= 1
                setattr(self, what, getattr(self, what) + 1)


@pytest.fixture
def store() -> SlowStore:
    return SlowStore()


@pytest.fixture
def slow(store: SlowStore) -> PersiDict[Any]:
    return PersiDict(store, digest_len=0)


@pytest.fixture(params=["slow", "durable folder", "quick folder", "memory"])
def d(request: pytest.FixtureRequest, slow: PersiDict[Any], tmp_path: Path) -> PersiDict[Any]:
    """A dictionary of each kind: in parallel, in batches, one by one."""
    if request.param == "slow":
        return slow
    if request.param == "memory":
        return LocalDict(digest_len=0)
    durability = "sync" if request.param == "durable folder" else "none"
    return FileDirDict(tmp_path / "d", digest_len=0, durability=durability)  # type: ignore[arg-type] # one of both


def key(*parts: str) -> NonEmptySafeStrTuple:
    return NonEmptySafeStrTuple(*parts)


def numbered(count: int) -> dict[str, int]:
    return {f"k{number}": number for number in range(count)}


# --- All goes well ----------------------------------------------------------------------------------


def test_many_are_set_got_and_deleted(d: PersiDict[Any]) -> None:
    d.set_many(numbered(60))
    assert d.get_many(numbered(60)) == {key(k): number for k, number in numbered(60).items()}
    assert d == numbered(60)
    d.delete_many(f"k{number}" for number in range(0, 60, 2))
    assert d == {k: number for k, number in numbered(60).items() if number % 2}
    d.clear()
    assert len(d) == 0


def test_none_at_all_is_no_work(d: PersiDict[Any]) -> None:
    d.set_many([])
    d.update()
    d.delete_many([])
    d.clear()
    assert d.get_many([]) == {}


def test_absent_keys_are_left_out_and_are_no_error(d: PersiDict[Any]) -> None:
    d["a"] = None
    assert d.get_many(["a", "b", ("c", "d")]) == {key("a"): None}
    d.delete_many(["a", "b", ("c", "d")])
    assert len(d) == 0


def test_keys_come_in_all_forms_and_more_than_once(d: PersiDict[Any]) -> None:
    d.set_many([("a", 1), (("b", "c"), 2), (["d"], 3)])
    assert d.get_many(["a", ("a",), ["a"], ("b", "c"), key("d")]) == {
        key("a"): 1,
        key("b", "c"): 2,
        key("d"): 3,
    }
    d.delete_many(["a", "a", ("a",)])
    assert d == {("b", "c"): 2, "d": 3}


def test_of_several_values_for_one_key_the_last_one_stays(d: PersiDict[Any]) -> None:
    """As in any dictionary, though they might be written at the same time."""
    pairs = [(f"k{number % 5}", number) for number in range(200)]
    d.update(pairs)
    assert d == dict(pairs)


def test_a_later_value_does_not_overtake_an_earlier_one(slow: PersiDict[Any], store: SlowStore) -> None:
    store.on("write", lambda: time.sleep(0.1), nth=1)
    slow.set_many([("a", 1), ("b", 2), ("a", 3), ("c", 4)])
    assert slow == {"a": 3, "b": 2, "c": 4}


def test_jokers_act_in_their_turn(d: PersiDict[Any]) -> None:
    d.update(numbered(5))
    d.set_many(
        [
            ("k0", KEEP_CURRENT),
            ("k1", DELETE_CURRENT),
            ("k2", DELETE_CURRENT),
            ("k2", "anew"),
            ("k3", "gone"),
            ("k3", DELETE_CURRENT),
            ("none", DELETE_CURRENT),
            ("none", KEEP_CURRENT),
        ]
    )
    assert d == {"k0": 0, "k2": "anew", "k4": 4}


def test_update_takes_what_a_dict_takes(d: PersiDict[Any]) -> None:
    d.update({"a": 1}, b=2)
    d.update([("c", 3)], d=4)
    d.update(LocalDict[Any]())
    d |= {"e": 5}
    assert d == {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}
    with pytest.raises((TypeError, ValueError)):
        d.update([("only one",)])


# --- In parallel, and in little memory --------------------------------------------------------------


OPERATIONS: dict[str, Callable[[PersiDict[Any]], object]] = {
    "get_many": lambda d: d.get_many(numbered(100)),
    "set_many": lambda d: d.set_many(numbered(100)),
    "update": lambda d: d.update(numbered(100)),
    "delete_many": lambda d: d.delete_many(numbered(100)),
    "values": lambda d: sorted(d.values()),
    "items": lambda d: dict(d.items()),
    "copy": lambda d: d.copy(),
    "clear": lambda d: d.clear(),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_as_many_are_under_way_at_a_time_as_the_place_can_take(
    name: str, slow: PersiDict[Any], store: SlowStore
) -> None:
    slow.set_many(numbered(100))
    store.most = 0
    OPERATIONS[name](slow)
    assert 1 < store.most <= WORKERS


def test_values_to_be_set_are_drawn_only_a_little_ahead(slow: PersiDict[Any], store: SlowStore) -> None:
    def source() -> Iterator[tuple[str, int]]:
        for number in range(300):
            assert number - store.writes <= 2 * WORKERS
            yield f"k{number}", number

    slow.set_many(source())
    assert len(slow) == 300


def test_keys_to_be_got_or_deleted_are_drawn_only_a_little_ahead(
    slow: PersiDict[Any], store: SlowStore
) -> None:
    slow.set_many(numbered(200))

    def source(what: str) -> Iterator[str]:
        before = getattr(store, what)
        for number in range(200):
            assert number - (getattr(store, what) - before) <= 2 * WORKERS
            yield f"k{number}"

    assert len(slow.get_many(source("reads"))) == 200
    slow.delete_many(source("writes"))
    assert len(slow) == 0


@pytest.mark.parametrize("view", ["values", "items"])
def test_only_a_few_values_are_read_ahead_of_whoever_goes_through_them(
    view: str, slow: PersiDict[Any], store: SlowStore
) -> None:
    slow.set_many(numbered(200))
    before = store.reads
    for seen, _ in enumerate(getattr(slow, view)(), 1):
        assert store.reads - before - seen <= 2 * WORKERS


def test_leaving_values_early_reads_no_more_of_them(slow: PersiDict[Any], store: SlowStore) -> None:
    slow.set_many(numbered(200))
    before = store.reads
    values = iter(slow.values())
    next(values)
    values.close()  # type: ignore[attr-defined] # it is a generator
    assert store.reads - before <= 2 * WORKERS + 1
    assert store.inside == 0


def test_a_folder_draws_an_endless_source_in_batches(tmp_path: Path) -> None:
    """What was drawn before the source fails is stored."""

    def source() -> Iterator[tuple[str, int]]:
        for number in range(5000):
            yield f"k{number % 50}-{number}", number
        raise RuntimeError("the source failed")

    d = FileDirDict[int](tmp_path / "d", durability="none")
    with pytest.raises(RuntimeError, match="the source failed"):
        d.set_many(source())
    assert len(d) == 5000


# --- Some fail --------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["get_many", "set_many", "update", "delete_many", "clear"])
def test_one_that_fails_is_told_with_its_key_and_the_rest_is_done(
    operation: str, slow: PersiDict[Any], store: SlowStore
) -> None:
    slow.set_many(numbered(20))
    store.broken["k7.pkl",] = OSError("a bad block")
    act = {
        "get_many": lambda: slow.get_many(numbered(20)),
        "set_many": lambda: slow.set_many({k: number + 100 for k, number in numbered(20).items()}),
        "update": lambda: slow.update({k: number + 100 for k, number in numbered(20).items()}),
        "delete_many": lambda: slow.delete_many(numbered(20)),
        "clear": slow.clear,
    }[operation]
    with pytest.raises(OSError, match="a bad block") as caught:
        act()
    assert caught.value.__notes__ == ["This was for the key ('k7',); done: 19 other items."]
    store.broken.clear()
    if operation in {"delete_many", "clear"}:
        assert slow == {"k7": 7}
    elif operation != "get_many":
        assert slow == {k: number + 100 * (number != 7) for k, number in numbered(20).items()}


@pytest.mark.parametrize("operation", ["get_many", "set_many", "delete_many", "clear"])
def test_several_that_fail_are_all_told(operation: str, slow: PersiDict[Any], store: SlowStore) -> None:
    slow.set_many(numbered(20))
    store.broken = {(f"k{number}.pkl",): OSError(f"bad block {number}") for number in (3, 5, 8)}
    act: Callable[[], object] = {
        "get_many": lambda: slow.get_many(numbered(20)),
        "set_many": lambda: slow.set_many(numbered(20)),
        "delete_many": lambda: slow.delete_many(numbered(20)),
        "clear": slow.clear,
    }[operation]
    with pytest.raises(BulkOperationError) as caught:
        act()
    told = caught.value
    assert {tuple(k): str(error) for k, error in told.failures.items()} == {
        (f"k{number}",): f"bad block {number}" for number in (3, 5, 8)
    }
    assert told.succeeded == 17
    assert "3 items failed; done: 17:" in str(told)
    assert "('k3',): bad block 3" in str(told)
    twin = pickle.loads(pickle.dumps(told))
    assert str(twin) == str(told)
    assert twin.succeeded == 17


def test_values_that_cannot_be_stored_are_told_and_the_others_are_stored(d: PersiDict[Any]) -> None:
    d["bad"] = "old"
    with pytest.raises(UnstorableValueError) as caught:
        d.set_many([("a", 1), ("bad", lambda: None), ("b", 2)])
    assert caught.value.key == key("bad")
    assert "done: 2 other items" in caught.value.__notes__[0]
    assert d == {"a": 1, "bad": "old", "b": 2}
    with pytest.raises(BulkOperationError) as several:
        d.set_many({"bad": lambda: None, "worse": lambda: None, "c": 3})
    assert set(several.value.failures) == {key("bad"), key("worse")}
    assert d == {"a": 1, "bad": "old", "b": 2, "c": 3}


def test_values_of_a_wrong_class_are_told_and_the_others_are_stored(slow: PersiDict[Any]) -> None:
    numbers = PersiDict[Any](slow.store, base_class_for_values=int)
    with pytest.raises(TypeError, match="values must be of int"):
        numbers.set_many({"a": 1, "b": "two", "c": 3})
    assert numbers == {"a": 1, "c": 3}


def test_a_key_that_is_none_keeps_no_other_value_from_being_stored(d: PersiDict[Any]) -> None:
    with pytest.raises(ValueError, match="bad/key") as caught:
        d.set_many([*numbered(30).items(), ("bad/key", 1), ("after", 2)])
    assert caught.value.__notes__ == ["This was for the key 'bad/key'; done: 31 other items."]
    assert d == {**numbered(30), "after": 2}
    wrong: list[tuple[Any, int]] = [(([5],), 1), ("a", 3), (5, 2)]
    with pytest.raises(BulkOperationError, match="2 items failed; done: 1:") as several:
        d.set_many(wrong)
    assert {type(error) for error in several.value.failures.values()} == {TypeError}
    assert d["a"] == 3


def test_a_damaged_value_is_told_and_the_others_are_returned_by_what_goes_on(d: PersiDict[Any]) -> None:
    d.update(numbered(5))
    d.store.write(("k2.pkl",), b"damaged")
    with pytest.raises(CorruptValueError) as caught:
        d.get_many(numbered(5))
    assert caught.value.key == key("k2")
    with pytest.raises(CorruptValueError):
        list(d.values())
    d.delete_many(["k2"])
    assert len(d.get_many(numbered(5))) == 4


# --- Immutable items --------------------------------------------------------------------------------


def test_immutable_items_are_inserted_and_existing_ones_told(d: PersiDict[Any]) -> None:
    immutable = PersiDict[Any](d.store, digest_len=0, immutable_items=True)
    immutable.set_many({"a": 1, "b": 2})
    with pytest.raises(MutationPolicyError) as caught:
        immutable.set_many({"b": 3, "c": 4})
    assert caught.value.key == key("b")
    assert immutable == {"a": 1, "b": 2, "c": 4}
    with pytest.raises(BulkOperationError) as several:
        immutable.update({"a": 3, "b": 3, "d": 5})
    assert set(several.value.failures) == {key("a"), key("b")}
    assert several.value.succeeded == 1


def test_immutable_items_are_not_deleted(d: PersiDict[Any]) -> None:
    immutable = PersiDict[Any](d.store, digest_len=0, immutable_items=True)
    immutable.set_many({"a": 1, "b": 2})
    with pytest.raises(MutationPolicyError):
        immutable.delete_many(["a"])
    with pytest.raises(MutationPolicyError):
        immutable.clear()
    assert immutable == {"a": 1, "b": 2}


# --- Progress ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["get_many", "set_many", "delete_many"])
def test_progress_is_shown_if_wanted(
    operation: str, d: PersiDict[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    d.set_many(numbered(10))
    assert capsys.readouterr().err == ""
    argument: Any = numbered(10) if operation == "set_many" else list(numbered(10))
    getattr(d, operation)(argument, progress=True)
    shown = capsys.readouterr().err
    assert operation in shown
    assert "10item" in shown


@pytest.mark.parametrize("operation", ["get_many", "set_many", "delete_many"])
def test_progress_without_tqdm_names_the_extra_and_does_nothing(
    operation: str, d: PersiDict[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    d["a"] = 1
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    argument: Any = {"a": 2} if operation == "set_many" else ["a"]
    with pytest.raises(MissingExtraError, match=r"perkey\[progress\]"):
        getattr(d, operation)(argument, progress=True)
    assert d == {"a": 1}


def test_an_exception_of_a_value_leaves_no_listing_open(tmp_path: Path) -> None:
    """The folder is closed when the exception is gone, not when garbage is collected some time later."""
    d = FileDirDict[Any](tmp_path)
    items_of(d).format = RaisingFormat(items_of(d).format, ValueError(), "decode")
    d.update({f"k{number}": Bad() for number in range(3)})
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    gc.disable()
    try:
        for verb in (list, dict, lambda it: next(iter(it)), lambda it: None in it):
            with suppress(ValueError):
                verb(d.items() if verb is dict else d.values())
        assert len(os.listdir("/proc/self/fd")) == before
    finally:
        gc.enable()


def test_membership_among_items_passes_what_a_format_raises(tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path)
    items_of(d).format = RaisingFormat(items_of(d).format, KeyError("old"), "decode")
    d["a"] = Bad()
    d["b"] = 1
    items: Any = d.items()
    pairs: set[Any] = {(("a",), 1)}
    asked: list[Callable[[], object]] = [
        lambda: ("a", 1) in items,
        lambda: items & pairs,
        lambda: pairs - items,
        lambda: items.isdisjoint(pairs),
        lambda: items >= pairs,
    ]
    for ask in asked:
        with pytest.raises(KeyError, match="old"):
            ask()
    assert ("b", 1) in items
    assert ("b", 2) not in items
    assert ("c", 1) not in items


@pytest.mark.parametrize("returned", ["text", None, 1, [b"x"], bytearray(b"x"), memoryview(b"x")])
def test_a_format_that_returns_no_bytes_is_named(tmp_path: Path, returned: Any) -> None:
    d = FileDirDict[Any](tmp_path)
    d["a"] = 1

    class Odd(Format):
        def encode(self, value: Any) -> Any:
            return returned

        def decode(self, content: Content) -> Any:
            raise AssertionError

    odd = FileDirDict[Any](tmp_path)
    items_of(odd).format = Odd()
    with pytest.raises(TypeError, match=r"encode\(\) of the format Odd must return bytes"):
        odd["a"] = 2
    assert d["a"] == 1
