"""Copies: equal at the end, resumable, and never over what another writer has written meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tracing import system_calls

import perkey
from perkey import (
    CachedDict,
    FileDirDict,
    LocalDict,
    MutationPolicyError,
    PersiDict,
    ReadOnlyError,
    UnsupportedConditionError,
    WriteOnceDict,
    claim,
    sync,
)
from perkey.expectations import Expectations
from perkey.naming import Name
from perkey.stores import Data, MemoryStore, Version, WrapperStore
from perkey.tools.copying import Copied, CopyReport

copy = perkey.copy

PLACES: dict[str, Callable[[Path], PersiDict[Any]]] = {
    "folder": lambda path: FileDirDict(path, "json", durability="none"),
    "durable": lambda path: FileDirDict(path, "json"),
    "pickles": lambda path: FileDirDict(path, "pkl", digest_len=0, durability="none"),
    "memory": lambda _: LocalDict("json"),
    "cached": lambda path: CachedDict(FileDirDict(path, "json"), LocalDict("json")),
    "part": lambda path: FileDirDict(path, "json", durability="none").get_subdict(("deep", "er")),
    "write once": lambda path: WriteOnceDict(FileDirDict(path, "json", durability="none")),
}
VALUES: dict[tuple[str, ...], Any] = {
    **{("x", f"k{n}"): {"n": n} for n in range(30)},
    ("top",): "t",
    ("y", "z", "deep"): [1, 2],
}


def plain(d: PersiDict[Any]) -> dict[tuple[str, ...], Any]:
    return {tuple(key): value for key, value in d.items()}


def filled(path: Path, file_type: str = "json", **params: Any) -> FileDirDict[Any]:
    d = FileDirDict[Any](path, file_type, durability="none", **params)
    d.update(VALUES)
    return d


@pytest.mark.parametrize("target", PLACES)
@pytest.mark.parametrize("source", PLACES)
def test_all_is_copied_once(source: str, target: str, tmp_path: Path) -> None:
    src, dst = PLACES[source](tmp_path / "src"), PLACES[target](tmp_path / "dst")
    for key, value in VALUES.items():
        src[key] = value
    with claim(src, ("x", "k1")):
        report = copy(src, dst)
        assert (report.copied, report.skipped, report.failed) == (len(VALUES), 0, 0)
    assert plain(dst) == VALUES
    again = copy(src, dst)
    assert (again.copied, again.skipped, again.conflicts) == (0, len(VALUES), 0)
    assert len(list(dst.store.scan())) == len(VALUES)


@pytest.mark.parametrize("below", [0, 123_456_000, 123_456_789])
def test_times_are_kept_and_versions_stay_cheap(below: int, tmp_path: Path) -> None:
    nanoseconds = 1_700_000_000_000_000_000 + below
    src, dst = filled(tmp_path / "src"), FileDirDict[Any](tmp_path / "dst", "json")
    for key in src:
        os.utime(src.path(key), ns=(nanoseconds, nanoseconds))
    copy(src, dst)
    for key in src:
        there = os.stat(dst.path(key)).st_mtime_ns
        assert there % 1000
        assert abs(there - nanoseconds) <= 1000
    assert copy(src, dst).skipped == len(VALUES)


def test_what_has_changed_is_copied_and_nothing_else(tmp_path: Path) -> None:
    src, dst = filled(tmp_path / "src"), FileDirDict[Any](tmp_path / "dst", "json")
    copy(src, dst)
    src["x", "k1"], src["x", "k2"] = {"n": 9}, {"n": "longer"}
    seen: list[Copied] = []
    report = copy(src, dst, on_item=seen.append)
    replaced = {item.key for item in seen if item.action == "replace"}
    assert replaced == {("x", "k1"), ("x", "k2")}
    assert (report.copied, report.skipped) == (2, len(VALUES) - 2)
    assert plain(dst) == plain(src)


@pytest.mark.parametrize("mtime", [0, -1, -86_400 * 365 * 50, "in an hour", 10_413_792_000])
def test_what_is_equal_is_not_copied_again_whatever_its_time(mtime: Any, tmp_path: Path) -> None:
    """Also of writers whose clock is wrong, or of programs that set times of their own."""
    mtime = time.time() // 1 + 3600 if isinstance(mtime, str) else mtime
    src, dst = (FileDirDict[Any](tmp_path / name, "json", durability="none") for name in ("src", "dst"))
    src.update({"a": 1, "b": 2})
    os.utime(src.path("a"), (mtime, mtime))
    assert perkey.copy(src, dst).copied == 2
    written = dst.etag("a")
    for _ in range(2):
        report = perkey.copy(src, dst)
        assert (report.copied, report.skipped) == (0, 2)
    assert dst.etag("a") == written
    src["a"] = 3
    os.utime(src.path("a"), (mtime, mtime))
    assert perkey.copy(src, dst).copied == 1
    assert dst["a"] == 3


def test_checksum_finds_what_times_hide(tmp_path: Path) -> None:
    src, dst = filled(tmp_path / "src"), FileDirDict[Any](tmp_path / "dst", "json")
    copy(src, dst)
    times = os.stat(dst.path(("x", "k1")))
    dst.path(("x", "k1")).write_bytes(src.path(("x", "k2")).read_bytes())
    os.utime(dst.path(("x", "k1")), ns=(times.st_atime_ns, times.st_mtime_ns))
    assert copy(src, dst).copied == 0
    assert copy(src, dst, checksum=True).copied == 1
    assert plain(dst) == VALUES


def test_nothing_is_decoded_between_equal_formats(tmp_path: Path) -> None:
    src, dst = filled(tmp_path / "src", "pkl"), FileDirDict[Any](tmp_path / "dst", "pkl")
    src.path(("x", "k1")).write_bytes(b"not a pickle")
    assert copy(src, dst).failed == 0
    assert dst.path(("x", "k1")).read_bytes() == b"not a pickle"


def test_errors_are_raised_or_collected(tmp_path: Path) -> None:
    src, dst = filled(tmp_path / "src", "pkl"), FileDirDict[Any](tmp_path / "dst", "json")
    src.path(("x", "k1")).write_bytes(b"not a pickle")
    report = copy(src, dst, on_error="collect")
    assert (report.failed, list(report.errors), report.copied) == (1, [("x", "k1")], len(VALUES) - 1)
    assert report.exit_code == 1
    assert json.loads(report.to_json())["errors"].keys() == {"x/k1"}
    with pytest.raises(perkey.PerkeyError, match="k1"):
        copy(src, dst)
    mirrored = sync(src, dst, delete=True, on_error="collect")
    assert (mirrored.delete_refused, mirrored.deleted) == (True, 0)


@pytest.mark.parametrize("file_type", ["pkl", "json"])
def test_large_values_are_neither_held_nor_open(file_type: str, tmp_path: Path) -> None:
    src = FileDirDict[Any](tmp_path / "src", "pkl", durability="none")
    for number in range(40):
        src[f"k{number}"] = os.urandom(1 << 20 if number % 2 else 3 << 19).hex()
    dst = FileDirDict[Any](tmp_path / "dst", file_type, durability="none")
    assert copy(src, dst).copied == 40
    assert plain(dst) == plain(src)
    assert copy(src, dst).skipped == 40


class Meddling(WrapperStore):
    """Lets another writer be at work after all was planned, and before anything is written."""

    meddle: Callable[[], object] = bool

    def write_many(
        self, items: Iterable[tuple[Name, Data]], *, expect: Expectations = perkey.stores.ANY
    ) -> Iterator[tuple[Name, Version | Exception]]:
        planned = list(items)
        self.meddle()
        return self.inner.write_many(planned, expect=expect)


@pytest.mark.parametrize("place", ["folder", "durable", "memory"])
@pytest.mark.parametrize("unconditional", [False, True])
def test_what_others_write_meanwhile_stays_unless_asked(
    place: str, unconditional: bool, tmp_path: Path
) -> None:
    src, inner = filled(tmp_path / "src"), PLACES[place](tmp_path / "dst")
    inner["x", "k1"] = "old"
    store = Meddling(inner.store)
    dst = PersiDict[Any](store, file_type="json", digest_len=inner.digest_len)

    def meddle() -> None:
        inner["x", "k1"] = inner["x", "k2"] = "meanwhile"

    store.meddle = meddle
    report = copy(src, dst, unconditional=unconditional)
    if unconditional:
        assert (report.conflicts, plain(dst)) == (0, VALUES)
    else:
        assert (report.conflicts, report.exit_code) == (2, 1)
        assert dst["x", "k1"] == dst["x", "k2"] == "meanwhile"


def test_existing_items_stay_with_overwrite_false(tmp_path: Path) -> None:
    src, dst = filled(tmp_path / "src"), LocalDict[Any]("json")
    dst["x", "k1"] = "mine"
    report = copy(src, dst, overwrite=False)
    assert (report.copied, report.skipped, dst["x", "k1"]) == (len(VALUES) - 1, 1, "mine")


def test_immutable_items_are_never_replaced(tmp_path: Path) -> None:
    src, dst = filled(tmp_path / "src"), FileDirDict[Any](tmp_path / "dst", "json", immutable_items=True)
    dst["x", "k1"] = "mine"
    report = copy(src, dst)
    assert (report.conflicts, dst["x", "k1"]) == (1, "mine")
    with pytest.raises(MutationPolicyError):
        sync(src, dst, delete=True)


def test_a_dry_run_says_what_a_run_does_then(tmp_path: Path) -> None:
    src, dst = filled(tmp_path / "src"), LocalDict[Any]("json")
    dst.update({("x", "k1"): {"n": 1}, ("x", "k2"): 5, ("more",): 1, ("x", "more"): 1})
    before = plain(dst)
    plan: list[Copied] = []
    done: list[Copied] = []
    planned = sync(src, dst, delete=True, dry_run=True, on_item=plan.append)
    assert plain(dst) == before
    report = sync(src, dst, delete=True, on_item=done.append)
    assert sorted(plan, key=str) == sorted(done, key=str)
    fields = ("copied", "skipped", "deleted", "bytes")
    assert [getattr(planned, name) for name in fields] == [getattr(report, name) for name in fields]
    assert plain(dst) == VALUES


def test_only_a_prefix(tmp_path: Path) -> None:
    src, dst = filled(tmp_path / "src"), FileDirDict[Any](tmp_path / "dst", "pkl")
    dst["x", "more"] = dst["other"] = 1
    report = sync(src, dst, prefix="x", delete=True, force=True)
    assert (report.copied, report.deleted) == (30, 1)
    assert plain(dst) == {**{key: value for key, value in VALUES.items() if key[0] == "x"}, ("other",): 1}


# --- Guards of sync ---------------------------------------------------------------------------------------


def test_deletion_from_an_empty_or_vanished_source_is_refused(tmp_path: Path) -> None:
    dst = filled(tmp_path / "dst")
    src = FileDirDict[Any](tmp_path / "src", "json")
    with pytest.raises(ValueError, match="no items"):
        sync(src, dst, delete=True, force=True)
    (tmp_path / "src").rmdir()
    with pytest.raises(FileNotFoundError):
        sync(src, dst, delete=True, force=True)
    assert plain(dst) == VALUES


def test_more_than_half_takes_force(tmp_path: Path) -> None:
    src, dst = LocalDict[Any]("json"), filled(tmp_path / "dst")
    src["new"] = 1
    with pytest.raises(ValueError, match=r"32 of 32 items.*force=True"):
        sync(src, dst, delete=True)
    assert plain(dst) == VALUES
    assert sync(src, dst, delete=True, force=True).deleted == len(VALUES)
    assert plain(dst) == {("new",): 1}


def test_a_source_that_vanishes_while_items_are_deleted_stops_it(tmp_path: Path) -> None:
    src, dst = filled(tmp_path / "src"), filled(tmp_path / "dst")
    dst.update({f"more{n}": n for n in range(10)})

    def vanish(item: Copied) -> None:
        if item.key == ("top",):
            src.clear()

    with pytest.raises(ValueError, match="no items"):
        sync(src, dst, delete=True, on_item=vanish)
    assert len(dst) == len(VALUES) + 10


def test_what_was_written_again_is_not_deleted(tmp_path: Path) -> None:
    src, dst = filled(tmp_path / "src"), filled(tmp_path / "dst")
    dst.update({f"more{n}": n for n in range(5)})

    class Late(WrapperStore):
        def remove_many(self, names: Any, *, expect: Expectations = perkey.stores.ANY) -> Any:
            doomed = list(names)
            dst["more1"] = "again"
            return self.inner.remove_many(doomed, expect=expect)

    report = sync(src, PersiDict[Any](Late(dst.store), file_type="json", digest_len=8), delete=True)
    assert (report.deleted, report.conflicts, dst["more1"]) == (4, 1, "again")


@pytest.mark.parametrize("through", ["path", "link", "part", "above"])
def test_overlapping_places_are_refused(through: str, tmp_path: Path) -> None:
    src = filled(tmp_path / "src")
    (tmp_path / "link").symlink_to(tmp_path / "src")
    dst: PersiDict[Any] = {
        "path": lambda: FileDirDict[Any](tmp_path / "src", "json"),
        "link": lambda: FileDirDict[Any](tmp_path / "link", "json"),
        "part": lambda: src.get_subdict("x"),
        "above": lambda: FileDirDict[Any](tmp_path, "json"),
    }[through]()
    for call in (copy, sync, lambda *both: sync(*both, delete=True, force=True)):
        with pytest.raises(ValueError, match="overlap"):
            call(src, dst)
    assert plain(src) == VALUES
    assert copy(src.get_subdict("x"), src.get_subdict("beside")).copied == 30


def test_places_of_one_memory_overlap() -> None:
    store = MemoryStore()
    first, second = LocalDict[Any]("json", backend=store), LocalDict[Any]("json", backend=store)
    with pytest.raises(ValueError, match="overlap"):
        copy(first, second)


# --- Places that cannot do all ------------------------------------------------------------------------------


class Opaque(MemoryStore):
    """As object services whose versions are not digests, and which may not compare."""

    compares = True

    def supports(self, verb: Any, kind: Any) -> bool:
        del verb, kind
        return self.compares


def test_without_times_and_digests_checksum_is_required(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    src = filled(tmp_path / "src")
    dst = LocalDict[Any]("json", backend=Opaque())
    monkeypatch.setattr("perkey.tools.copying.MemoryStore", type("Other", (), {}))
    copy(src, dst)
    with pytest.raises(ValueError, match="checksum=True"):
        copy(src, dst)
    assert copy(src, dst, checksum=True).skipped == len(VALUES)
    assert copy(src, dst, overwrite=False).skipped == len(VALUES)


def test_without_conditions_it_takes_unconditional(tmp_path: Path) -> None:
    src, store = filled(tmp_path / "src"), Opaque()
    store.compares = False
    dst = LocalDict[Any]("json", backend=store)
    with pytest.raises(UnsupportedConditionError, match="unconditional=True"):
        copy(src, dst)
    assert len(dst) == 0
    assert copy(src, dst, unconditional=True).copied == len(VALUES)


def states(folder: Path) -> dict[Path, tuple[int, int]]:
    files = {path: path.stat() for path in folder.rglob("*") if path.is_file()}
    return {path: (found.st_ino, found.st_ctime_ns) for path, found in files.items()}


def test_a_read_only_destination_is_refused_and_a_source_is_only_read(tmp_path: Path) -> None:
    src, dst = filled(tmp_path / "src"), filled(tmp_path / "dst")
    with pytest.raises(ReadOnlyError):
        copy(src, dst.read_only())
    before = states(tmp_path / "src")
    copy(src.read_only(), LocalDict[Any]("json"))
    assert states(tmp_path / "src") == before


def test_progress_has_totals() -> None:
    src, dst = LocalDict[Any]("json"), LocalDict[Any]("json")
    src.update({f"k{n}": n for n in range(10)})
    seen: list[tuple[int, int | None]] = []

    def progress(report: CopyReport, total: int | None) -> None:
        seen.append((report.done, total))

    copy(src, dst, progress=progress)
    assert seen == [(n, 10) for n in range(1, 11)]


@pytest.mark.parametrize("durability", ["none", "sync"])
def test_of_two_copies_and_a_writer_each_item_is_inserted_by_one(durability: Any, tmp_path: Path) -> None:
    keys = [f"k{n}" for n in range(700)]
    target = FileDirDict[str](tmp_path / "dst", "txt", durability=durability)
    barrier = threading.Barrier(3)
    inserted: dict[str, list[str]] = {"first": [], "second": [], "writer": []}

    def copy_from(which: str) -> None:
        source = FileDirDict[str](tmp_path / which, "txt", durability="none")
        source.update(dict.fromkeys(keys, which))
        barrier.wait()
        place = FileDirDict[str](tmp_path / "dst", "txt", durability=durability)
        copy(source, place, overwrite=False, on_item=note(which))

    def note(which: str) -> Callable[[Copied], object]:
        def note_copied(item: Copied) -> None:
            if item.action == "copy":
                inserted[which].append(item.key[0])

        return note_copied

    def write() -> None:
        barrier.wait()
        for key in reversed(keys):
            if target.setdefault(key, "writer") == "writer":
                inserted["writer"].append(key)

    acts: list[Callable[[], object]] = [partial(copy_from, "first"), partial(copy_from, "second"), write]
    threads = [threading.Thread(target=act) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(key for each in inserted.values() for key in each) == sorted(keys)
    assert {key: which for which, found in inserted.items() for key in found} == {
        key: target[key] for key in keys
    }


# --- Cost ---------------------------------------------------------------------------------------------------


def test_an_item_costs_few_calls_between_folders(tmp_path: Path) -> None:
    """The bare loop opens, looks, reads and closes, then opens, writes, closes, sets the time and renames."""
    costs = []
    for durability in ("none", "sync"):
        calls: Counter[str] = Counter()
        functions = 0
        for count, sign in ((40, -1), (440, 1)):  # the difference is what 400 items cost
            here = tmp_path / f"{durability}{count}"
            src = FileDirDict[Any](here / "src", "json", durability="none")
            src.update({f"{durability}{count}-{n}": n for n in range(count)})
            dst = FileDirDict[Any](here / "dst", "json", durability=durability)
            for name in system_calls(lambda src=src, dst=dst: copy(src, dst)):  # type: ignore[misc]
                calls[name] += sign
            shutil.rmtree(here / "dst")
            dst = FileDirDict[Any](here / "dst", "json", durability=durability)
            functions += sign * python_calls(lambda src=src, dst=dst: copy(src, dst))  # type: ignore[misc]
        costs.append({name: round(number / 400) for name, number in calls.items() if number > 200})
        assert functions / 400 < 42
    # One look each in the listing, while reading, and when the file is there; and for versions under renames.
    usual = {"stat": 1, "open": 2, "fstat": 2, "read": 1, "close": 2, "write": 1, "utime": 1}
    assert costs == [{**usual, "link": 1}, {**usual, "stat": 2}]


def python_calls(function: Callable[[], Any]) -> int:
    """Return how many Python functions a function calls."""
    count = 0

    def note(_: Any, event: str, __: Any) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count


# --- Killed -------------------------------------------------------------------------------------------------

ITEMS = 2000
PROGRAM = """
import sys, perkey
src = perkey.FileDirDict(sys.argv[1], "json", durability="none")
dst = perkey.FileDirDict(sys.argv[2], "json", durability=sys.argv[3])
print(perkey.copy(src, dst).copied, flush=True)
"""


@pytest.mark.parametrize("durability", ["none", "sync"])
def test_a_copy_that_is_killed_goes_on_where_it_was(durability: str, tmp_path: Path) -> None:
    src = FileDirDict[Any](tmp_path / "src", "json", durability="none")
    src.update({(f"p{n % 7}", f"k{n}"): {"n": n, "text": "x" * 100} for n in range(ITEMS)})
    target = tmp_path / "dst"
    dst = FileDirDict[Any](target, "json")
    arguments = [sys.executable, "-c", PROGRAM, str(tmp_path / "src"), str(target), durability]
    complete: dict[str, int] = {}
    for kill in range(3):
        with subprocess.Popen(arguments, stdout=subprocess.PIPE) as program:
            end = time.monotonic() + 20
            while len(dst) < (kill + 1) * 300 and program.poll() is None and time.monotonic() < end:
                time.sleep(0.002)
            program.send_signal(signal.SIGKILL)
        there = {str(path): path.stat().st_ino for path in target.rglob("*.json")}
        assert complete.items() <= there.items()  # none that was complete is written again
        for key, value in dst.items():
            assert src[key] == value  # none is torn
        complete = there
    finished = subprocess.run(arguments, check=True, capture_output=True, text=True)
    assert int(finished.stdout) <= ITEMS - len(complete)
    assert plain(dst) == plain(src)
    there = {str(path): path.stat().st_ino for path in target.rglob("*.json")}
    assert complete.items() <= there.items()
