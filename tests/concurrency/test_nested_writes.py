"""Writes of a signal handler within a write of the same thread, at every bytecode under its lock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

import pytest
from crews import LONG
from tracing import at_opcode
from workers import LockKind, with_locks

from perkey.stores import ABSENT, DirectoryStore, MemoryStore, Store, Version
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


def nest_everywhere(store: Store, where: str, outer: Act, inner: Act, *, initially: bool, step: int) -> int:
    reached, number = True, 0
    while reached:
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
        if reached:
            assert store.read(("x", "other.pkl"))[0] == b"%d" % number  # type: ignore[index]
        number += step
    return number


@pytest.mark.parametrize("initially", [True, False])
@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize("outer", OUTER)
@pytest.mark.parametrize("kind", ["folder", "file"])
def test_nested_writes_into_a_folder_are_linearisable(
    tmp_path: Path, kind: LockKind, outer: str, inner: str, initially: bool
) -> None:
    store = DirectoryStore(tmp_path, durability="none")
    step = 1 if LONG else 17
    for where in ("place", "remove"):

        def nest(where: str = where) -> int:
            return nest_everywhere(store, where, OUTER[outer], INNER[inner], initially=initially, step=step)

        with_locks(kind, nest)


@pytest.mark.parametrize("initially", [True, False])
@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize("outer", OUTER)
def test_nested_writes_into_memory_are_linearisable(outer: str, inner: str, initially: bool) -> None:
    tried = nest_everywhere(
        MemoryStore(), "", OUTER[outer], INNER[inner], initially=initially, step=1 if LONG else 5
    )
    assert tried > 30
