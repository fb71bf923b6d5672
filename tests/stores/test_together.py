"""Files of a folder that are read, written and published together: as one by one, at the cost of less."""

from __future__ import annotations

import errno
import os
import pickle
import resource
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tracing import system_calls

from perkey.content import Data, TimedBytes, read_all
from perkey.errors import ConflictError
from perkey.expectations import ABSENT, ANY, Expectation
from perkey.files import AT_ONCE, LOCK_FILE, TEMPORARY, Handle, many, stat_all
from perkey.naming import Name
from perkey.stores import DirectoryStore, PrefixStore, ReadOnlyStore
from perkey.stores.folder import batches, listing, tmpfile
from perkey.stores.folder.store import Durability
from perkey.testing import FaultyStore
from perkey.tools.locating import plain_folder

COUNT = 3 * AT_ONCE + 10
ITEMS: list[tuple[Name, bytes]] = [
    ((f"folder{n // 150}", f"item{n}.pkl") if n % 3 else (f"item{n}.pkl",), b"content %d" % n)
    for n in range(COUNT)
]


@pytest.fixture(params=["sync", "none"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> DirectoryStore:
    durability: Durability = request.param
    return DirectoryStore(tmp_path / "base", durability=durability)


def contents(store: DirectoryStore) -> dict[Name, bytes]:
    return {name: read_all(store.content(name)) for name in store.scan()}


def check_clean(store: DirectoryStore) -> None:
    files = {name for _, _, names in os.walk(store.base) for name in names}
    assert not {name for name in files if name.startswith(TEMPORARY)}


# --- Writing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("expect", [ABSENT, None])
def test_all_are_written_and_the_versions_are_theirs(store: DirectoryStore, expect: Any) -> None:
    found = dict(store.write_many(ITEMS, expect=expect or ANY))
    assert contents(store) == dict(ITEMS)
    assert found == {name: store.stat(name).version for name, _ in ITEMS}
    check_clean(store)


def test_nothing_is_synced_where_that_is_not_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("synced")

    monkeypatch.setattr(os, "fsync", fail)
    monkeypatch.setattr(batches, "sync_file_system", fail)
    store = DirectoryStore(tmp_path, durability="none")
    assert not [each for _, each in store.write_many(ITEMS) if isinstance(each, Exception)]


def test_each_kind_of_data_and_of_expectation_in_one_batch(store: DirectoryStore) -> None:
    class Streamed:
        def write_to(self, file: Any) -> None:
            file.write(b"streamed")

    timed = TimedBytes(b"timed")
    timed.mtime_ns = 1_700_000_000_123_456_700
    there = {name: store.write(name, b"there") for name, _ in ITEMS[::7]}

    def data_of(number: int) -> Data:
        return Streamed() if number % 5 == 0 else timed if number % 5 == 1 else b"new %d" % number

    def expect(name: Name) -> Expectation:
        number = int(name[-1][4:-4])
        if number % 14 == 0:
            return there[name]
        return "another version" if number % 7 == 0 else ABSENT if number % 2 else ANY

    items = [(name, data_of(number)) for number, (name, _) in enumerate(ITEMS)]
    found = dict(store.write_many(items, expect=expect))
    for number, (name, _) in enumerate(ITEMS):
        if number % 7 == 0 and number % 14:
            conflict = found[name]
            assert isinstance(conflict, ConflictError)
            assert conflict.found == there[name]
            assert store.read(name) == (b"there", there[name])
            continue
        content = [b"streamed", b"timed", *[b"new %d" % number] * 3][number % 5]
        assert store.read(name) == (content, found[name])
        if number % 5 == 1:
            assert os.stat(store.describe(name)).st_mtime_ns == timed.mtime_ns
    check_clean(store)


@pytest.mark.parametrize("taken", [[0], [AT_ONCE - 1], [AT_ONCE], range(0, COUNT, 9), range(COUNT)])
def test_items_that_are_there_conflict_and_no_other(store: DirectoryStore, taken: Any) -> None:
    names = [name for name, _ in ITEMS]
    there = {names[number]: store.write(names[number], b"there") for number in taken}
    found = dict(store.write_many(ITEMS, expect=ABSENT))
    conflicts = {name: each.found for name, each in found.items() if isinstance(each, ConflictError)}
    assert conflicts == there
    assert contents(store) == {**dict(ITEMS), **dict.fromkeys(there, b"there")}
    check_clean(store)


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_not_an_item_is_in_the_way_of_one_only(
    store: DirectoryStore, make: Callable[[str], None]
) -> None:
    name = ITEMS[70][0]
    os.makedirs(os.path.dirname(store.describe(name)), exist_ok=True)
    make(store.describe(name))
    found = dict(store.write_many(ITEMS, expect=ABSENT))
    assert {each: type(result) for each, result in found.items() if not isinstance(result, str)} == {
        name: FileExistsError
    }


@pytest.mark.parametrize("way", ["fails", "is short"])
def test_a_disk_that_is_full_for_a_moment(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    real = os.write

    def write(fd: int, data: Any) -> int:
        if bytes(data).startswith(b"content 7"):
            if way == "fails":
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(fd, data[:3])
        return real(fd, data)

    monkeypatch.setattr(os, "write", write)
    found = dict(store.write_many(ITEMS))
    monkeypatch.undo()
    failed = {name for name, data in ITEMS if data.startswith(b"content 7") and way == "fails"}
    assert {name for name, each in found.items() if isinstance(each, Exception)} == failed
    for name in failed:
        error = found[name]
        assert isinstance(error, OSError)
        assert (error.errno, error.filename) == (errno.ENOSPC, store.describe(name))
    assert contents(store) == {name: data for name, data in ITEMS if name not in failed}
    check_clean(store)


@contextmanager
def few_descriptors(left: int) -> Iterator[None]:
    """Let this process open so few files more."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1 + left, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.parametrize("left", [8, 20])
def test_few_descriptors_suffice(store: DirectoryStore, left: int) -> None:
    with few_descriptors(left):
        found = dict(store.write_many(ITEMS, expect=ABSENT))
        read = dict(store.read_ahead([name for name, _ in ITEMS], limit=100))
    assert {name: (data, found[name]) for name, data in ITEMS} == read
    check_clean(store)


@pytest.mark.parametrize("step", ["stage_first", "publish_first"])
def test_files_that_are_swept_too_early_are_written_again(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """As by a listing of a program whose clock is an hour ahead; or with their folder."""
    real = getattr(batches, step)

    def sweep_first(folder: Any, *arguments: Any) -> Any:
        done = real(folder, *arguments) if step == "stage_first" else None
        for name in os.listdir(folder.path):
            if name.startswith(TEMPORARY) and name[-1] in "13579bdf":
                os.unlink(f"{folder.path}/{name}")
        return done if step == "stage_first" else real(folder, *arguments)

    monkeypatch.setattr(batches, step, sweep_first)
    found = dict(store.write_many(ITEMS, expect=ABSENT))
    assert found == {name: store.stat(name).version for name, _ in ITEMS}
    assert contents(store) == dict(ITEMS)


def test_items_of_a_slow_source_do_not_wait_for_a_full_batch(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that is killed has lost the results of a second, and not of 500 long computations."""
    monkeypatch.setattr(batches, "_MOST_SECONDS", 0.05)
    there: list[int] = []

    def source() -> Iterator[tuple[Name, bytes]]:
        for number in range(10):
            there.append(len(contents(store)))
            yield (f"{number}.pkl",), b"content"
            time.sleep(0.06)

    list(store.write_many(source()))
    assert max(number - seen for number, seen in enumerate(there)) <= 2


def test_a_store_that_must_not_make_its_folder_does_not(store: DirectoryStore) -> None:
    arrived: DirectoryStore = pickle.loads(pickle.dumps(store))
    list(arrived.write_many(ITEMS))
    shutil.rmtree(store.base)
    with pytest.raises(FileNotFoundError, match="only a constructor"):
        list(arrived.write_many(ITEMS))
    assert not os.path.exists(store.base)


@pytest.mark.parametrize(("durability", "last"), [("none", "link"), ("sync", "stat")])
def test_each_file_takes_few_calls(durability: Durability, last: str, tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path, durability=durability)
    items = [((f"{n}.pkl",), b"content") for n in range(400)]
    list(store.write_many(items[:20]))
    calls = Counter(system_calls(lambda: list(store.write_many(items[20:], expect=ABSENT))))
    per_item = {name: round(count / 380, 1) for name, count in calls.items() if count > 100}
    assert per_item == dict.fromkeys(("open", "write", "fstat", "close", "utime", last), 1.0)


# --- Reading ------------------------------------------------------------------------------------------------


def test_reading_ahead_is_reading(store: DirectoryStore) -> None:
    list(store.write_many(ITEMS))
    names = [name for name, _ in ITEMS]
    os.utime(store.describe(names[5]), ns=(10**18, 10**18))  # its version has a digest
    os.unlink(store.describe(names[66]))
    store.write(names[67], b"x" * 5000)
    os.unlink(store.describe(names[68]))
    os.mkfifo(store.describe(names[68]))
    os.unlink(store.describe(names[69]))
    os.symlink("/etc/passwd", store.describe(names[69]))
    store.write(names[70], b"")
    asked = [*names, ("no", "where.pkl"), ("..", "up.pkl"), ("x/y.pkl",)]
    ahead = list(store.read_ahead(asked, limit=1000))
    assert [name for name, _ in ahead] == asked
    for (name, mine), (_, theirs) in zip(ahead, store.read_many(asked, limit=1000), strict=True):
        assert plainly(mine) == plainly(theirs), name
    assert plainly(next(store.read_ahead([names[67]], limit=1000))[1])[0] == b"x" * 5000


def plainly(found: Any) -> Any:
    if isinstance(found, Exception):
        return type(found), str(found)
    with_file = not isinstance(found[0], bytes)
    content = read_all(found[0])
    if with_file:
        found[0].close()
    return content, found[1]


def test_contents_that_are_read_ahead_are_bounded(store: DirectoryStore) -> None:
    names = [(f"{n}.pkl",) for n in range(20)]
    for name in names:
        store.write(name, b"x" * (1 << 20))
    reading = store.read_ahead(names, limit=1 << 20)
    reads = system_calls(lambda: next(reading)).count("read")
    assert reads == 4
    rest = [found for _, found in reading if isinstance(found, tuple)]
    assert sum(len(read_all(content)) for content, _ in rest) == 19 << 20


def test_only_a_plain_folder_is_read_ahead(tmp_path: Path) -> None:
    """A store that wraps one may change what is read."""
    store = DirectoryStore(tmp_path)
    below = PrefixStore(ReadOnlyStore(PrefixStore(store, ("a",))), ("b",))
    found = plain_folder(below)
    assert found is not None
    assert (found[0].base, found[1]) == (store.base, ("a", "b"))
    assert plain_folder(FaultyStore(store)) is None
    assert plain_folder(PrefixStore(FaultyStore(store), ("a",))) is None

    class Own(DirectoryStore):
        pass

    assert plain_folder(Own(tmp_path)) is None


# --- Listing ------------------------------------------------------------------------------------------------


def test_what_is_removed_while_it_is_listed_is_passed_over(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(store.write_many(ITEMS))
    real = stat_all
    removed: set[str] = set()

    def remove_some(folder: Any, leaves: Any) -> Any:
        for leaf in leaves[::5]:
            os.unlink(f"{folder.path}/{leaf}")
            removed.add(leaf)
        return real(folder, leaves)

    monkeypatch.setattr(listing, "stat_all", remove_some)
    found = dict(store.scan_stats())
    assert set(found) == {name for name, _ in ITEMS if name[-1] not in removed}
    assert len(removed) > COUNT / 6
    for name, status in found.items():
        assert status == store.stat(name)


def test_a_listing_with_times_passes_other_files_over(store: DirectoryStore) -> None:
    list(store.write_many(ITEMS))
    Path(store.base, LOCK_FILE).touch()
    Path(store.base, TEMPORARY + "young").touch()
    old = Path(store.base, TEMPORARY + "old")
    old.touch()
    os.utime(old, (0, 0))
    os.symlink("item0.pkl", Path(store.base, "link.pkl"))
    assert {name for name, _ in store.scan_mtimes()} == {name for name, _ in ITEMS}
    assert not old.exists()


# --- Descriptors --------------------------------------------------------------------------------------------


@contextmanager
def descriptors_limited_to(most: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize("folders", [1, 200])
def test_few_descriptors_are_enough(store: DirectoryStore, folders: int) -> None:
    items = [((f"folder{n % folders}", f"item{n}"), b"%d" % n) for n in range(400)]
    list(store.write_many([((f"z{n}", "item"), b"") for n in range(20)]))  # what is loaded late
    with descriptors_limited_to(50):
        found = dict(store.write_many(items, expect=ABSENT))
        read = dict(store.read_ahead([name for name, _ in items], limit=100))
    assert not [each for each in found.values() if isinstance(each, Exception)]
    assert read == {name: (data, found[name]) for name, data in items}


def test_threads_together_leave_most_descriptors_to_others(tmp_path: Path) -> None:
    """Each may have files open together; all of them have few of those that the process may have."""
    paths = [str(tmp_path / f"file{n}") for n in range(AT_ONCE)]
    for path in paths:
        Path(path).write_bytes(b"")
    with descriptors_limited_to(200), ExitStack() as stack:
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4
        handles = [stack.enter_context(Handle()) for _ in range(12)]
        opened = [len(handle.open_first(paths, os.O_RDONLY)) for handle in handles]
        assert opened[0] == min(AT_ONCE, most)
        assert sum(opened) <= most
    with Handle() as handle:
        assert len(handle.open_first(paths, os.O_RDONLY)) == AT_ONCE  # what was closed counts no more


def test_a_child_forked_meanwhile_keeps_no_file_open(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for the folder; a child may also close what other tests left open."""
    left: list[int] = []

    def of_the_store() -> int:
        paths = [os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")]
        return sum(path.startswith(str(store.base)) for path in paths)

    def fork_before(real: Callable[..., Any]) -> Callable[..., Any]:
        def act(*args: Any) -> Any:
            assert of_the_store() > 20
            if (child := os.fork()) == 0:
                os._exit(of_the_store())
            left.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            return real(*args)

        return act

    for module, write_first in ((many, many.write_first), (tmpfile, many.write_first)):
        monkeypatch.setattr(module, "write_first", fork_before(write_first))
    monkeypatch.setattr(many, "_fitting_sizes", fork_before(many._fitting_sizes))
    items = ITEMS[1 : AT_ONCE + 1 : 3] + ITEMS[2 : AT_ONCE + 2 : 3]
    found = dict(store.write_many(items, expect=ABSENT))
    assert dict(store.read_ahead(sorted(found), limit=100)) == {
        name: (data, found[name]) for name, data in items
    }
    assert left
    assert max(left) <= 1  # of the folder
