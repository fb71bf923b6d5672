"""A process killed anywhere leaves the old value or the new one, and nothing in anybody's way."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from operator import methodcaller
from pathlib import Path
from typing import Any, Final

import crash_acts
import persidict
import pytest
from combinations import combinations
from crashes import crash_everywhere, folder_in_memory
from holders import is_locked

from perkey import ANY_ETAG, ITEM_NOT_AVAILABLE, FileDirDict
from perkey.files.folder import OURS, TEMPORARY, Folder
from perkey.stores.folder.store import DirectoryStore, Durability

ABSENT: Final = object()
OLD, NEW, LARGE = "old value", "the new value", os.urandom(4096) * 600
START: Final[dict[tuple[str, ...], Any]] = {("a",): OLD, ("b", "c"): OLD, ("b", "d"): OLD, ("e",): OLD}


@dataclass(frozen=True)
class Change:
    """An operation, the items that it changes, and what they are when it is done.

    Attributes:
        run: The operation.
        after: Each item that it changes, with the value when it is completed, or ABSENT.
        calls: At least so many calls into the system must be found in it.
        inserts: Whether it does nothing but insert an item, which without durability leaves nothing.
    """

    run: Callable[[FileDirDict[Any]], Any]
    after: dict[tuple[str, ...], Any]
    calls: int
    inserts: bool = False


SEVERAL: Final = {("a",): NEW, ("new",): NEW, ("b", "c"): NEW, ("x", "y"): NEW}


COPIED: Final = {("new",): NEW, ("newer",): NEW, ("b", "new"): NEW, ("x", "y"): NEW}


def assign(key: str | tuple[str, ...], value: Any) -> Callable[[FileDirDict[Any]], Any]:
    return methodcaller("__setitem__", key, value)


CHANGES: Final = {
    "write of a new item": Change(assign("new", NEW), {("new",): NEW}, 6, inserts=True),
    "overwrite": Change(assign("a", NEW), {("a",): NEW}, 10),
    "write into folders to be made": Change(assign(("x", "y", "z"), NEW), {("x", "y", "z"): NEW}, 20),
    "streamed overwrite of a large item": Change(assign("a", LARGE), {("a",): LARGE}, 12),
    "streamed write of a large new item": Change(
        assign(("b", "new"), LARGE), {("b", "new"): LARGE}, 10, inserts=True
    ),
    "update of several": Change(methodcaller("update", SEVERAL), SEVERAL, 40),
    "update in one batch": Change(partial(crash_acts.update_in_one_batch, items=SEVERAL), SEVERAL, 40),
    "copy in one batch": Change(crash_acts.copy_in_one_batch, COPIED, 40, inserts=True),
    "transform_item": Change(partial(crash_acts.transform, value=NEW), {("a",): NEW}, 12),
    "transform_item that deletes": Change(crash_acts.transform_to_delete, {("a",): ABSENT}, 8),
    "setdefault_if": Change(partial(crash_acts.insert_if_absent, value=NEW), {("new",): NEW}, 10),
    "set_item_if": Change(partial(crash_acts.compare_and_swap, value=NEW), {("a",): NEW}, 10),
    "delete": Change(methodcaller("__delitem__", "a"), {("a",): ABSENT}, 6),
    "delete in a folder": Change(methodcaller("__delitem__", ("b", "c")), {("b", "c"): ABSENT}, 6),
    "pop": Change(methodcaller("pop", "a"), {("a",): ABSENT}, 8),
    "clear": Change(methodcaller("clear"), dict.fromkeys(START, ABSENT), 20),
}


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder in memory, if there is one."""
    with folder_in_memory() as folder:
        yield folder


@pytest.fixture
def template(place: Path) -> Path:
    """A folder with some items, to be copied."""
    folder = place / "template"
    FileDirDict[Any](folder, durability="none").update(START)
    return folder


ALWAYS: Final = [
    ("write into folders to be made", "sync"),
    ("overwrite", "none"),
    ("streamed overwrite of a large item", "sync"),
    ("transform_item", "sync"),
    ("set_item_if", "none"),
    ("pop", "sync"),
    ("clear", "none"),
    ("copy in one batch", "none"),
]


@pytest.mark.parametrize(("name", "durability"), combinations(CHANGES, ["sync", "none"], always=ALWAYS))
def test_a_process_killed_anywhere_leaves_the_old_value_or_the_new_one(
    template: Path,
    place: Path,
    name: str,
    durability: Durability,
    record_property: Callable[[str, object], None],
) -> None:
    """And nobody sees what it left unfinished, waits for it, or is kept from removing it."""
    change, folder = CHANGES[name], place / "d"
    seen_before: set[tuple[str, ...]] = set()
    seen_after: set[tuple[str, ...]] = set()
    left = points = 0
    act = partial(crash_acts.change, folder, durability, change.run)
    for points in crash_everywhere(template, folder, act):
        found = FileDirDict[Any](folder, durability=durability)
        for key, after in change.after.items():
            value = found.get(key, ABSENT)
            assert value in (START.get(key, ABSENT), after), f"{key} is torn at point {points}"
            (seen_after if value == after else seen_before).add(key)
        left += len(leftovers(folder))
        check_nothing_in_the_way(found, folder, change)
    complete = FileDirDict[Any](folder)
    assert {key: complete.get(key, ABSENT) for key in change.after} == change.after
    print(f"{name}, durability={durability}: killed at {points} points, {left} times with leftovers")
    record_property("crash points", points)
    assert points >= 2 * change.calls
    # Points were found on both sides of the moment that counts, for each item.
    assert seen_before == seen_after == set(change.after)
    nameless = change.inserts and durability == "none"
    assert (left > 0) == (ABSENT not in change.after.values() and not nameless)


def leftovers(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.startswith(OURS)]


def check_nothing_in_the_way(found: FileDirDict[Any], folder: Path, change: Change) -> None:
    """Listings and other items are as they should be; writing goes on; leftovers can be removed."""
    present = {key for key in START.keys() | change.after.keys() if key in found}
    assert START.keys() - change.after.keys() <= present
    assert {tuple(key) for key in found} == present
    assert len(found) == len(present)
    assert set(found.subdicts()) == {key[0] for key in present if len(key) > 1}
    check_persidict(folder, present)
    for key in START.keys() - change.after.keys():
        assert found[key] == OLD
    for place in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        assert not is_locked(place)
    for key in change.after:
        found[key] = "next"
        assert found[key] == "next"
    store = found.store
    assert isinstance(store, DirectoryStore)
    unfinished = len(leftovers(folder))
    assert store.sweep(min_age=0) == unfinished
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} == {".pkl"}
    assert not leftovers(folder)


def check_persidict(folder: Path, present: set[tuple[str, ...]]) -> None:
    """The other library does not see what was left, either."""
    theirs: Any = persidict.FileDirDict(base_dir=str(folder), digest_len=8)
    assert {tuple(key.strings) for key in theirs} == present
    assert len(theirs) == len(present)
    assert {part for part, inner in theirs.subdicts().items() if len(inner)} == {
        key[0] for key in present if len(key) > 1
    }


def leave(folder: Path, name: str, *, age: float) -> Path:
    """Leave a temporary file as a dead writer would, last written to `age` seconds ago."""
    path = folder / (TEMPORARY + name)
    path.write_bytes(b"unfinished")
    then = time.time() - age
    os.utime(path, (then, then))
    return path


@pytest.mark.parametrize(
    "listing", [list, lambda d: d.random_key(), lambda d: d.copy(), lambda d: d.newest_keys(1)]
)
def test_stale_leftovers_are_swept_by_a_plain_listing(
    tmp_path: Path, listing: Callable[[FileDirDict[Any]], Any]
) -> None:
    """In every folder that it comes by; what was written lately may have a living writer, and stays."""
    target = FileDirDict[str](tmp_path)
    target["inner", "a"] = OLD
    inner = next(path for path in tmp_path.iterdir() if path.is_dir())
    stale, fresh = leave(inner, "1", age=7200), leave(inner, "2", age=60)
    listing(target)
    assert fresh.exists()
    assert not stale.exists()
    assert dict(target.items()) == {("inner", "a"): OLD}


def test_a_sweep_by_hand_removes_all_leftovers_and_nothing_else(tmp_path: Path) -> None:
    target = FileDirDict[str](tmp_path)
    target["inner", "a"] = target["b"] = OLD
    inner = next(path for path in tmp_path.iterdir() if path.is_dir())
    another = tmp_path / "notes.txt"
    another.write_text("not ours")
    fresh = [leave(tmp_path, "1", age=60), leave(inner, "2", age=0), leave(inner, "3", age=7200)]
    assert target.store.sweep() == 1
    assert target.store.sweep(min_age=0) == 2
    assert not [path for path in fresh if path.exists()]
    assert another.read_text() == "not ours"
    assert len(target) == 2


@pytest.mark.parametrize("change", ["assignment", "insertion", "transformation"])
def test_a_living_writer_whose_temporary_file_is_swept_away_writes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    target = FileDirDict[str](tmp_path)
    if change != "insertion":
        target["a"] = OLD
    swept: list[int] = []
    lock = Folder.lock

    def sweep_before(folder: Folder) -> bool:
        if not swept:
            swept.append(target.store.sweep(min_age=0))
        return lock(folder)

    monkeypatch.setattr(Folder, "lock", sweep_before)
    if change == "assignment":
        target["a"] = NEW
    elif change == "insertion":
        assert target.setdefault("a", NEW) == NEW
    else:
        target.transform_item("a", transformer=lambda _: NEW)
    assert swept == [1]
    assert target["a"] == NEW
    assert not leftovers(tmp_path)


def test_an_insertion_without_locks_is_told_its_success_though_its_temporary_file_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1. here: linked   2. another: swept the temporary name. The item is there, and it is ours."""
    target = FileDirDict[str](tmp_path)
    link = os.link

    def link_then_lose(*arguments: Any, **names: Any) -> None:
        link(*arguments, **names)
        assert target.store.sweep(min_age=0) == 1

    monkeypatch.setattr("perkey.files.folder.lock", lambda _: False)
    monkeypatch.setattr("perkey.files.syscalls._renameat2", lambda: None)
    monkeypatch.setattr(os, "link", link_then_lose)
    assert target.setdefault_if(
        "a", default_value=NEW, condition=ANY_ETAG, expected_etag=ITEM_NOT_AVAILABLE
    ).value_was_mutated
    assert target["a"] == NEW
    assert not [path for path in leftovers(tmp_path) if path.name.startswith(TEMPORARY)]
