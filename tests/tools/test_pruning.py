"""The oldest items go, each only if it is still as it was seen."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from perkey import (
    CachedDict,
    FileDirDict,
    LocalDict,
    MutationPolicyError,
    PersiDict,
    UnsupportedConditionError,
    WriteOnceDict,
    claim,
    claims,
    compute_once,
    prune,
    usage,
    verify,
)
from perkey.naming import naming
from perkey.stores import CachedStore, DirectoryStore, MemoryStore, Stat
from perkey.stores.folder.cache import CacheFolder
from perkey.testing import FaultyStore
from perkey.tools import pruning
from perkey.tools.pruning import Pruned

HOUR = 3600.0


def aged(path: Path, ages: dict[str, float], **params: Any) -> FileDirDict[Any]:
    """Return a dictionary of items of given ages in seconds, each of ten bytes."""
    d = FileDirDict[Any](path, "txt", durability="none", **params)
    now = time.time()
    for key, age in ages.items():
        d[key] = "0123456789"
        os.utime(d.path(key), (now - age, now - age))
    return d


def aged_memory(ages: dict[str, float]) -> LocalDict[Any]:
    d = LocalDict[Any]("txt")
    now = time.time()
    items = d.store._items  # type: ignore[attr-defined] # the times of a memory cannot be set otherwise
    for key, age in ages.items():
        d[key] = "0123456789"
        name = next(name for name in items if name[0].startswith(f"{key}_"))
        content, stat = items[name]
        items[name] = (content, stat._replace(mtime=now - age))
    return d


PLACES: dict[str, Callable[[Path, dict[str, float]], PersiDict[Any]]] = {
    "folder": aged,
    "memory": lambda _, ages: aged_memory(ages),
    "cached": lambda path, ages: CachedDict(aged(path, ages), LocalDict()),
    "part": lambda path, ages: PersiDict(aged(path, ages).store, file_type="txt").get_subdict(),
}
AGES = {f"k{n}": n * HOUR for n in range(10)}


def keys(d: PersiDict[Any]) -> set[str]:
    return {key[0] for key in d}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("limits", "left"),
    [
        ({"older_than": 4.5 * HOUR}, 5),
        ({"older_than": timedelta(hours=4.5)}, 5),
        ({"older_than": 100 * HOUR}, 10),
        ({"older_than": float("inf")}, 10),
        ({"max_items": 3}, 3),
        ({"max_items": 0}, 0),
        ({"max_items": 10}, 10),
        ({"max_bytes": 35}, 3),
        ({"max_bytes": 0}, 0),
        ({"older_than": 4.5 * HOUR, "max_items": 7}, 5),
        ({"older_than": 6.5 * HOUR, "max_items": 4, "max_bytes": 29}, 2),
    ],
)
def test_the_oldest_go_and_a_dry_run_says_the_same(
    place: str, limits: dict[str, Any], left: int, tmp_path: Path
) -> None:
    d = PLACES[place](tmp_path, AGES)
    planned: list[Pruned] = []
    plan = prune(d, **limits, dry_run=True, on_item=planned.append)
    assert len(d) == 10
    done: list[Pruned] = []
    report = prune(d, **limits, on_item=done.append)
    assert keys(d) == {f"k{n}" for n in range(left)}
    assert (report.removed, report.removed_bytes) == (10 - left, 10 * (10 - left))
    assert (report.kept, report.kept_bytes, report.conflicts, report.failed) == (left, 10 * left, 0, 0)
    assert sorted(planned, key=lambda it: it.key) == sorted(done, key=lambda it: it.key)
    assert {**plan.as_dict(), "dry_run": False} == report.as_dict() == json.loads(report.to_json())
    assert report.exit_code == 0


@pytest.mark.parametrize("seed", range(5))
def test_rounds_in_bounded_memory_remove_what_one_sort_would(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "_ROUND", 3)
    chosen = random.Random(seed)
    ages = {f"k{n}": float(chosen.randrange(5000, 5010)) for n in range(30)}
    d = aged(tmp_path, ages)
    most = chosen.randrange(30)
    names = {key: d.store.describe(naming(d.digest_len, d.file_type).name_of(key)) for key in ages}
    expected = (
        sorted(ages, key=lambda key: (os.stat(names[key]).st_mtime, names[key]))[-most:] if most else []
    )
    assert prune(d, max_items=most, dry_run=True).removed == 30 - most
    assert prune(d, max_items=most).removed == 30 - most
    assert keys(d) == set(expected)


def test_only_what_is_below_the_prefix_is_looked_at(tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path)
    d.update({("x", f"k{n}"): n for n in range(5)} | {"k": 0, ("y", "k"): 0})
    assert prune(d, "x", max_items=1).removed == 4
    assert sorted(d) == [("k",), ("x", "k4"), ("y", "k")]


def test_other_dictionaries_and_files_and_claims_stay(tmp_path: Path) -> None:
    d = aged(tmp_path, AGES)
    FileDirDict[Any](tmp_path, "json")["k1"] = 1
    (tmp_path / "held_by.txt-claim").write_text("x")
    (tmp_path / "README.txt").write_text("x")
    prune(d, max_items=0)
    assert len(list(tmp_path.iterdir())) == 3


def test_claims_that_no_process_holds_are_removed(tmp_path: Path) -> None:
    d = aged(tmp_path, AGES)
    with pytest.raises(ZeroDivisionError):
        compute_once(d, "failed", lambda: 1 / 0)  # leaves a free claim, which remembers the failure
    assert len(claims(d, free=True)) == 1
    with claim(d, "held") as mine:
        assert mine
        assert prune(d, max_items=0, dry_run=True).claims == 0
        assert prune(d, max_items=0).claims == 1
        assert [info.key for info in claims(d, free=True)] == [("held",)]
    assert verify(d).ok
    assert usage(d).items == 0


class Rewriting(FaultyStore):
    """Lets another writer in after the listing."""

    def __init__(self, path: Path, act: Callable[[], object]) -> None:
        super().__init__(DirectoryStore(path))
        self.act = act

    def scan_sizes(self, prefix: Any = ()) -> Any:
        found = list(super().scan_sizes(prefix))
        self.act()
        self.act = lambda: None
        return iter(found)


@pytest.mark.parametrize("limits", [{"older_than": HOUR}, {"max_items": 0}, {"max_items": 3}])
@pytest.mark.parametrize("fine", [True, False])
def test_what_was_written_or_removed_since_it_was_seen_stays(
    limits: dict[str, Any], fine: bool, tmp_path: Path
) -> None:
    d = aged(tmp_path, {f"k{n}": 10 * HOUR for n in range(6)})
    if not fine:
        for file in tmp_path.iterdir():
            os.utime(file, (1000, 1000))  # a time for which a version needs the content

    def change() -> None:
        d["k1"] = "newer"
        del d["k2"]

    pruned = PersiDict[Any](Rewriting(tmp_path, change), file_type="txt")
    report = prune(pruned, **limits)
    assert report.conflicts == 2
    if limits == {"max_items": 0}:
        assert keys(d) == set()  # the second round has seen the new value
    else:
        assert d["k1"] == "newer"
        assert keys(d) >= {"k1"}


def test_items_that_are_always_written_again_end_it(tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path, "txt", durability="none")
    d["a"] = "x"

    class Restless(DirectoryStore):
        def scan_sizes(self, prefix: Any = ()) -> Any:
            for found in list(super().scan_sizes(prefix)):
                d["a"] = "y"
                yield found

    report = prune(PersiDict(Restless(tmp_path), file_type="txt"), max_items=0)
    assert (report.removed, report.kept) == (0, 1)
    assert report.conflicts == pruning._IN_VAIN
    assert dict(d) == {("a",): "y"}


def test_items_that_cannot_be_removed_are_reported(tmp_path: Path) -> None:
    store = FaultyStore(DirectoryStore(tmp_path))
    d = PersiDict[Any](store, file_type="txt")
    d.update({"a": "x", "b": "y"})
    store.on("remove", lambda: (_ for _ in ()).throw(PermissionError(13, "not allowed")), nth=1)
    report = prune(d, older_than=0)
    assert (report.removed, report.failed, report.exit_code) == (1, 1, 1)
    assert "not allowed" in next(iter(report.as_dict()["failures"].values()))


def test_limits_are_checked(tmp_path: Path) -> None:
    d = aged(tmp_path, {"a": 0.0})
    with pytest.raises(ValueError, match="older_than, max_items or max_bytes"):
        prune(d)
    for wrong in (-1, float("nan"), timedelta(seconds=-1)):
        with pytest.raises(ValueError, match="older_than"):
            prune(d, older_than=wrong)
    with pytest.raises(TypeError, match="older_than"):
        prune(d, older_than="1h")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_items"):
        prune(d, max_items=-1)
    with pytest.raises(ValueError, match="by must be"):
        prune(d, max_items=1, by="size")  # type: ignore[arg-type]
    assert len(d) == 1


def test_policies_hold(tmp_path: Path) -> None:
    d = aged(tmp_path, AGES)
    for refusing in (FileDirDict[Any](tmp_path, "txt", immutable_items=True), WriteOnceDict(d)):
        with pytest.raises(MutationPolicyError):
            prune(refusing, max_items=0)
    assert len(d) == 10


def test_a_place_that_cannot_compare_is_refused_unless_told_otherwise(tmp_path: Path) -> None:
    d = aged(tmp_path, AGES, locking="none")
    if d.store.supports("remove", "version"):
        pytest.skip("this file system compares all the same")
    with pytest.raises(UnsupportedConditionError, match="unconditional=True"):
        prune(d, max_items=2)
    assert len(d) == 10
    assert prune(d, max_items=2, dry_run=True).removed == 8
    assert prune(d, max_items=2, unconditional=True).removed == 8
    assert keys(d) == {"k0", "k1"}


class WithClock(MemoryStore):
    """A place whose clock is two hours ahead of this machine's."""

    def now(self) -> float:
        return time.time() + 2 * HOUR


def test_ages_are_by_the_clock_of_the_place() -> None:
    store = WithClock()
    d = PersiDict[Any](store, file_type="txt")
    d["a"] = "x"
    assert prune(d, older_than=3 * HOUR).removed == 0
    report = prune(d, older_than=HOUR)
    assert (report.removed, report.clock) == (1, "place")


def test_in_a_folder_a_writer_whose_clock_is_behind_makes_older_items(tmp_path: Path) -> None:
    """That is documented: writers set the times there."""
    d = aged(tmp_path, {"behind": HOUR, "right": 0.0, "ahead": -HOUR})
    report = prune(d, older_than=HOUR / 2)
    assert report.clock == "machine"
    assert keys(d) == {"right", "ahead"}


def test_by_last_use_where_a_cache_notes_that(tmp_path: Path) -> None:
    main = aged(tmp_path / "main", {"used": 9 * HOUR, "unused": 5 * HOUR, "fresh": 0.0})
    cache = CacheFolder(tmp_path / "cache", max_bytes=1 << 20)
    d = PersiDict[Any](CachedStore(main.store, cache), file_type="txt")
    for handle in (d, d.get_subdict(), d.read_only()):
        assert handle["used"] == "0123456789"
    assert prune(d, older_than=HOUR, by="use", dry_run=True).removed == 1
    assert prune(d, max_items=2, by="use").removed == 1
    assert keys(d) == {"used", "fresh"}
    assert prune(d, max_items=1).removed == 1
    assert keys(d) == {"fresh"}
    with pytest.raises(ValueError, match="by='write'"):
        prune(main, max_items=1, by="use")


# --- Among writers ------------------------------------------------------------------------------------------


MANY = 4000


def rewrite(path: Path, number: int, rounds: int, go: Any, results: Any) -> None:
    """Rewrite items at random, and report the last value of each."""
    d = FileDirDict[Any](path, "txt", durability="none")
    chosen = random.Random(number)
    mine = {}
    go.wait()
    for count in range(rounds):
        key = f"k{4 * chosen.randrange(MANY // 4) + number}"
        mine[key] = d[key] = f"{number}-{count}"
    results.put(mine)


@pytest.mark.parametrize("round_size", [37, 100_000])
def test_among_four_writers_nothing_that_was_written_again_is_removed(
    round_size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "_ROUND", round_size)
    d = aged(tmp_path, {f"k{n}": 10 * HOUR for n in range(MANY)})
    context = multiprocessing.get_context("spawn")
    go, results = context.Barrier(5), context.Queue()
    writers = [
        context.Process(target=rewrite, args=(tmp_path, number, 300, go, results)) for number in range(4)
    ]
    for writer in writers:
        writer.start()
    go.wait()
    removed = 0
    while any(writer.is_alive() for writer in writers) and results.qsize() < 4:
        removed += prune(d, older_than=5 * HOUR).removed
    written: dict[str, str] = {}
    for _ in writers:
        written |= results.get(timeout=60)
    for writer in writers:
        writer.join()
    removed += prune(d, older_than=5 * HOUR).removed
    assert {key[0]: value for key, value in d.items()} == written
    assert removed >= MANY - len(written)
    prune(d, max_items=50, max_bytes=1000)
    assert usage(d).items <= 50
    assert usage(d).bytes <= 1000


def test_a_bound_holds_as_the_last_listing_saw_it_while_others_write(tmp_path: Path) -> None:
    d = aged(tmp_path, {f"k{n}": 10 * HOUR for n in range(100)})
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set() and number < 300:
            d[f"new{number % 20}"] = "0123456789"
            number += 1

    writers = [threading.Thread(target=write) for _ in range(4)]
    for writer in writers:
        writer.start()
    report = prune(d, max_items=60)
    stop.set()
    for writer in writers:
        writer.join()
    assert report.kept <= 60
    assert prune(d, max_items=40).kept == len(d) == 40


def test_a_stat_of_the_wrong_file_is_not_taken_for_the_one_seen() -> None:
    """A listing may have no version; then time and length must be those that were seen."""

    class Coarse(MemoryStore):
        def scan_sizes(self, prefix: Any = ()) -> Any:
            for name, found in list(super().scan_sizes(prefix)):
                self.write(name, b"another")
                yield name, Stat("", found.mtime, found.size)

    d = PersiDict[Any](Coarse(), file_type="txt")
    d["a"] = "x"
    assert prune(d, older_than=0).conflicts == 1
    assert d["a"] == "another"
