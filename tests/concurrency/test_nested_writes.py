"""Writes of a signal handler within a write of the same thread, at every bytecode under its lock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Final, TypeAlias
from unittest import mock

import pytest
from combinations import combinations
from crews import sample
from tracing import at_opcode
from workers import LockKind, with_locks

from perkey.content import Data
from perkey.errors import ConflictError
from perkey.expectations import ABSENT, ANY, Expectation, Version
from perkey.naming import Name
from perkey.stores import DirectoryStore, MemoryStore, Store
from perkey.stores.folder import batches
from perkey.stores.folder.store import Durability
from perkey.testing.histories import Event, Recorder, assert_linearisable

Act: TypeAlias = Callable[[Store, Recorder, Version], Event]

NAME: Final = ("x", "a.pkl")

OUTER: Final[dict[str, Act]] = {
    "write": lambda store, item, _: item.write(store, b"outer"),
    "write the version": lambda store, item, version: item.write(store, b"outer", expect=version),
    "remove": lambda store, item, _: item.remove(store),
    "remove the version": lambda store, item, version: item.remove(store, expect=version),
    "insert": lambda store, item, _: item.write(store, b"outer", expect=ABSENT),
}
INNER: Final[dict[str, Act]] = {
    "write": lambda store, item, _: item.write(store, b"inner"),
    "write the version": lambda store, item, version: item.write(store, b"inner", expect=version),
    "insert": lambda store, item, _: item.write(store, b"inner", expect=ABSENT),
    "remove": lambda store, item, _: item.remove(store),
    "read": lambda store, item, _: item.read(store),
}
OUTER_OF_BATCHES: Final = ("write", "write the version", "insert")
INNER_OF_BATCHES: Final = (*INNER, "read and write")
LOCK_KINDS: Final = ("folder", "file")
DURABILITIES: Final = ("none", "sync")
YES_OR_NO: Final = (True, False)


def nest_everywhere(
    store: Store, where: str, outer: Act, inner: Act, *, initially: bool, numbers: Iterator[int]
) -> int:
    for number in numbers:
        version = store.write(NAME, b"old")
        if not initially:
            store.remove(NAME)
        initial = (b"old", version) if initially else None
        item = Recorder(NAME)

        def nested(item: Recorder = item, version: Version = version, number: int = number) -> None:
            inner(store, item, version)
            item.read(store)
            store.write(("x", "other.pkl"), b"%d" % number)

        reached = at_opcode(number, nested, lambda: outer(store, item, version), where=where)  # noqa: B023 - called at once
        item.read(store)
        assert_linearisable(item.events, initial)
        if not reached:
            return number
        assert store.read(("x", "other.pkl"))[0] == b"%d" % number  # type: ignore[index]
    raise AssertionError


@pytest.mark.parametrize("initially", YES_OR_NO)
@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize("outer", OUTER)
@pytest.mark.parametrize("kind", LOCK_KINDS)
def test_nested_writes_into_a_folder_are_linearisable(
    kind: LockKind, outer: str, inner: str, initially: bool, request: pytest.FixtureRequest
) -> None:
    store = DirectoryStore(request.getfixturevalue("tmp_path"), durability="none")
    where = "remove" if outer.startswith("remove") else "place"
    chosen = (OUTER, outer), (INNER, inner), (LOCK_KINDS, kind), (YES_OR_NO, initially)
    numbers = sample(29, *chosen)

    def nest() -> int:
        return nest_everywhere(store, where, OUTER[outer], INNER[inner], initially=initially, numbers=numbers)

    assert with_locks(kind, nest) > 50


class Together(DirectoryStore):
    """Writes each item together with neighbours, which are new."""

    numbers = count()

    def write(self, name: Name, data: Data, *, expect: Expectation = ANY) -> Version:
        number = next(self.numbers)
        before, behind = ((*name[:-1], f"{number}{end}.pkl") for end in "ab")
        found = dict(self.write_many([(before, b"1"), (name, data), (behind, b"2")], expect=expect))
        if isinstance(expect, str):
            assert {type(found.pop(each)) for each in (before, behind)} == {ConflictError}
        result = found[name]
        if isinstance(result, Exception):
            raise result
        return result


ALWAYS: Final = [
    ("none", "write", "write", True),
    ("none", "write the version", "remove", True),
    ("none", "insert", "read and write", False),
    ("sync", "write", "insert", False),
]


@pytest.mark.parametrize(
    ("durability", "outer", "inner", "initially"),
    combinations(DURABILITIES, OUTER_OF_BATCHES, INNER_OF_BATCHES, YES_OR_NO, always=ALWAYS),
)
def test_nested_writes_into_a_batch_are_linearisable(
    durability: Durability, outer: str, inner: str, initially: bool, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue("tmp_path")
    together, store = Together(folder, durability=durability), DirectoryStore(folder, durability="none")
    chosen = (OUTER_OF_BATCHES, outer), (INNER_OF_BATCHES, inner)
    numbers = sample(29, *chosen, (DURABILITIES, durability), (YES_OR_NO, initially))

    def write(_: Store, item: Recorder, version: Version) -> Event:
        with mock.patch.object(batches, "_FEW", 1):
            return OUTER[outer](together, item, version)

    def act(store: Store, item: Recorder, version: Version) -> Event:
        if inner == "read and write":
            item.read(store)
            return item.write(store, b"inner")
        return INNER[inner](store, item, version)

    tried = nest_everywhere(store, "write", write, act, initially=initially, numbers=numbers)
    assert tried > 50


@pytest.mark.parametrize("initially", YES_OR_NO)
@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize("outer", OUTER)
def test_nested_writes_into_memory_are_linearisable(outer: str, inner: str, initially: bool) -> None:
    numbers = sample(5, (OUTER, outer), (INNER, inner), (YES_OR_NO, initially))
    tried = nest_everywhere(
        MemoryStore(), "", OUTER[outer], INNER[inner], initially=initially, numbers=numbers
    )
    assert tried > 30
