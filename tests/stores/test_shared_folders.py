"""Folders that several machines use, tried on a local file system: the same lock, the same looks."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO
from unittest import mock

import pytest
from contracts.dicts import PLAIN, DictSmoke
from crews import HANG, LONG, run_crew
from in_folders import FolderContract
from tracing import at_opcode

from perkey import ETAG_IS_THE_SAME, ITEM_NOT_AVAILABLE, FileDirDict
from perkey.errors import ConflictError, LockTimeoutError, UnsupportedConditionError
from perkey.expectations import ABSENT
from perkey.files import shared, sharing
from perkey.files.file_systems import classify
from perkey.files.folder import LOCK_FILE, TEMPORARY, ways
from perkey.stores import DirectoryStore, Store
from perkey.synced import JSONDict
from perkey.testing import InsertingStoreContract
from perkey.testing.histories import Event, Recorder, assert_linearisable

NAME = ("x", "a.pkl")


@pytest.fixture(autouse=True)
def _settle_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let local openers look at each write, so that other machines need not wait for them."""
    ways.clear()
    monkeypatch.setattr(sharing, "SETTLING_SECONDS", 0.0)
    monkeypatch.setattr("perkey.files.folder.LOOK_AGAIN_SECONDS", -1.0)
    monkeypatch.delenv(sharing.VARIABLE, raising=False)


def times_open(path: Path) -> int:
    """Return how many descriptors of this process lead to a file."""
    numbers = [number for number in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{number}")]
    return sum(os.path.samefile(f"/proc/self/fd/{number}", path) for number in numbers)


class TestSharedStore(FolderContract):
    empty_places_take_long = True

    def make_store(self) -> Store:
        return DirectoryStore(self.tmp_path / "place", durability="none", locking="shared")


class TestSharedDurableStore(FolderContract):
    empty_places_take_long = True
    rounds = 5

    def make_store(self) -> Store:
        return DirectoryStore(self.tmp_path / "place", locking="shared")


class TestStoreWithoutLocks(InsertingStoreContract):
    """Conditions on versions are refused, and of many that insert one still wins."""

    empty_places_take_long = True
    versions_are_told_once = False

    def make_store(self) -> Store:
        return DirectoryStore(self.tmp_path / "place", durability="none", locking="none")


class TestMixedStore(FolderContract):
    """One handle knows that other machines use the folder, the other ones see it by the lock file."""

    empty_places_take_long = True
    rounds = 10

    def make_store(self) -> Store:
        return DirectoryStore(self.tmp_path / "place", durability="none", locking="shared")

    def reopen(self, store: Store) -> Store:
        del store
        return DirectoryStore(self.tmp_path / "place", durability="none")


class TestSharedDict(DictSmoke):
    values = PLAIN

    def make_dict(self, **params: Any) -> FileDirDict[Any]:
        settings = {"durability": "none", "locking": "shared", "file_type": "json", **params}
        return FileDirDict(self.tmp_path / "place", **settings)


def increment(base: Path, locking: Any, turns: int) -> None:
    d = FileDirDict[int](base, "json", durability="none", locking=locking)
    for _ in range(turns):
        d.transform_item(("x", "n"), transformer=lambda n: 1 if n is ITEM_NOT_AVAILABLE else n + 1)


def edit(path: Path, mark: str, turns: int) -> None:
    document = JSONDict(path)
    for turn in range(turns):
        document[f"{mark}-{turn}"] = turn


def is_locked(path: Path) -> bool:
    """Return whether a process holds the record lock of a file."""
    fd = os.open(path, os.O_RDWR)
    try:
        fcntl.fcntl(fd, sharing._SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    except OSError as error:
        if error.errno not in sharing._TAKEN:
            raise
        return True
    finally:
        os.close(fd)
    return False


@pytest.fixture
def open_descriptors() -> Iterator[Callable[[], int]]:
    """Yield what counts open descriptors, and see at the end that there are no more than before."""

    def count() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = count()
    yield count
    assert count() == before


class TestLocalOpeners:
    """Programs on the server itself, where the folder is on a local file system."""

    @pytest.mark.parametrize("method", ["thread", "fork"])
    def test_and_shared_ones_lose_no_update(self, tmp_path: Path, method: Any) -> None:
        turns = 100 if LONG else 20
        # Others look for the lock file once a second only; it is there before they do.
        FileDirDict[int](tmp_path, "json", durability="none", locking="shared")["x", "other"] = 0
        jobs = [partial(increment, tmp_path, locking, turns) for locking in ("shared", "auto") * 2]
        run_crew(method, jobs)
        assert FileDirDict[int](tmp_path, "json")["x", "n"] == 4 * turns

    def test_see_a_lock_file_that_appears_later(self, tmp_path: Path) -> None:
        here = FileDirDict[int](tmp_path)
        here["a"] = 1
        assert not sharing.way_of(here.base_dir).shared
        FileDirDict[int](tmp_path, locking="shared")["a"] = 2
        here["a"] = 3
        assert sharing.way_of(here.base_dir).shared
        assert not list(tmp_path.glob(f"{TEMPORARY}*"))

    @pytest.mark.parametrize("write", ["stream", "many"])
    def test_see_it_also_while_they_write_for_long(self, tmp_path: Path, write: str) -> None:
        """The folder was opened before the lock file was there; the writer waits for its holder."""
        store = DirectoryStore(tmp_path, durability="none" if write == "stream" else "sync")
        store.write(NAME, b"old")
        begun, go_on = threading.Event(), threading.Event()

        class Slow:
            def write_to(self, file: BinaryIO) -> None:
                begun.set()
                assert go_on.wait(HANG)
                file.write(b"new")

        def act() -> None:
            if write == "stream":
                store.write(NAME, Slow())
            else:
                list(store.write_many([(("x", f"{n}.pkl"), b"") for n in range(20)] + [(NAME, Slow())]))

        writer = threading.Thread(target=act)
        writer.start()
        assert begun.wait(HANG)
        other = DirectoryStore(tmp_path, locking="shared")
        other.write(("x", "b.pkl"), b"")
        with held(tmp_path / "x" / LOCK_FILE):
            go_on.set()
            writer.join(0.3)
            assert writer.is_alive()
            assert store.read(NAME)[0] == b"old"  # type: ignore[index]
        writer.join(HANG)
        assert store.read(NAME)[0] == b"new"  # type: ignore[index]

    def test_other_machines_wait_before_their_first_write_and_never_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        waits: list[float] = []
        monkeypatch.setattr(sharing, "SETTLING_SECONDS", 123.0)
        monkeypatch.setattr(time, "sleep", waits.append)
        FileDirDict[int](tmp_path, locking="shared")["a"] = 1
        FileDirDict[int](tmp_path, locking="shared")["x", "b"] = 2
        ways.clear()  # as in another process
        FileDirDict[int](tmp_path, locking="shared")["a"] = 1
        assert waits.count(123.0) == 1

    def test_the_wait_is_longer_than_the_time_between_looks(self) -> None:
        """The values as they are, not those of the fixture."""
        values = "sharing.SETTLING_SECONDS > 2 * folder.LOOK_AGAIN_SECONDS"
        code = f"from perkey.files import folder, sharing; print({values})"
        assert subprocess.check_output([sys.executable, "-c", code]) == b"True\n"

    def test_and_shared_ones_edit_one_document(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        turns = 15
        (tmp_path / LOCK_FILE).write_bytes(sharing.SETTLED)
        jobs = [partial(edit, tmp_path / "d.json", str(number), turns) for number in range(3)]
        run_crew("fork", jobs)
        monkeypatch.setenv(sharing.VARIABLE, "shared")
        ways.clear()
        edit(tmp_path / "d.json", "mine", turns)
        assert len(JSONDict(tmp_path / "d.json")()) == 4 * turns

    def test_a_server_of_smb_refuses_conditions_of_its_own_processes(self, tmp_path: Path) -> None:
        (tmp_path / LOCK_FILE).write_bytes(sharing.SETTLED_SMB)
        d = FileDirDict[int](tmp_path)
        d["a"] = 1
        with pytest.raises(UnsupportedConditionError, match="by the same share"):
            d.set_item_if("a", value=2, condition=ETAG_IS_THE_SAME, expected_etag=d.etag("a"))

    def test_a_client_of_nfs_refuses_conditions_where_clients_of_smb_write_too(self, tmp_path: Path) -> None:
        (tmp_path / LOCK_FILE).write_bytes(sharing.SETTLED_SMB)
        d = FileDirDict[int](tmp_path, locking="shared")
        d["a"] = 1
        with pytest.raises(UnsupportedConditionError, match="by the same share"):
            d.set_item_if("a", value=2, condition=ETAG_IS_THE_SAME, expected_etag=d.etag("a"))
        assert (tmp_path / LOCK_FILE).read_bytes() == sharing.SETTLED_SMB


class held:  # noqa: N801 - used as a function
    """Holds the record lock of a file, in a process of its own."""

    CODE = (
        "import fcntl, os, struct, sys, time; fd = os.open(sys.argv[1], os.O_RDWR);"
        "fcntl.fcntl(fd, 37, struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, 0, 0, 0));"
        "os.write(1, b'+'); os.read(0, 1)"
    )

    def __init__(self, path: Path) -> None:
        arguments = [sys.executable, "-S", "-c", self.CODE, str(path)]
        self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> subprocess.Popen[bytes]:
        assert self.process.stdout is not None
        assert self.process.stdout.read(1) == b"+"
        return self.process

    def __exit__(self, *_: object) -> None:
        self.process.communicate(b"-")


class TestLock:
    def test_a_held_lock_ends_in_an_error_that_names_the_holder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_descriptors: Callable[[], int]
    ) -> None:
        d = FileDirDict[int](tmp_path, locking="shared")
        d["a"] = 1
        monkeypatch.setenv("PERKEY_LOCK_SECONDS", "0.2")
        mine = tmp_path / sharing.signed_name()
        mine.write_bytes(b"")
        with held(tmp_path / LOCK_FILE), pytest.raises(LockTimeoutError) as caught:
            d["a"] = 2
        assert caught.value.holder == f"host {os.uname().nodename}, process {os.getpid()}"
        text = str(caught.value)
        for part in (str(tmp_path), "0.2 s", os.uname().nodename, str(os.getpid()), "PERKEY_LOCK_SECONDS"):
            assert part in text
        assert isinstance(caught.value, TimeoutError)
        assert d["a"] == 1
        d["a"] = 3  # the lock is free again, and nothing is left of the failed write
        assert [path for path in tmp_path.glob(f"{TEMPORARY}*") if path != mine] == []
        assert open_descriptors() > 0

    def test_a_holder_without_unfinished_writes_is_not_known(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = DirectoryStore(tmp_path, locking="shared")
        store.write(NAME, b"")
        monkeypatch.setenv("PERKEY_LOCK_SECONDS", "0.1")
        with held(tmp_path / "x" / LOCK_FILE), pytest.raises(LockTimeoutError, match="not known"):
            store.remove(NAME)
        assert store.exists(NAME)

    @pytest.mark.parametrize("act", ["replace", "insert", "remove"])
    def test_a_holder_that_was_away_for_long_begins_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: str
    ) -> None:
        """Its machine was suspended after it had compared; another machine has the lock meanwhile."""
        store = DirectoryStore(tmp_path, durability="none", locking="shared")
        name = ("a.json",)
        store.write(("other.json",), b"")
        expect = ABSENT if act == "insert" else store.write(name, b"1")
        seconds = shared._seconds
        looks: list[float] = []

        def away() -> float:
            looks.append(seconds())
            if len(looks) == 2:
                (tmp_path / "a.json").unlink(missing_ok=True)
                (tmp_path / "a.json").write_bytes(b"of another machine")
                return looks[-1] + 60
            return looks[-1]

        monkeypatch.setattr(shared, "_seconds", away)
        change = partial(store.remove, name) if act == "remove" else partial(store.write, name, b"2")
        with pytest.raises(ConflictError):
            change(expect=expect)
        assert len(looks) >= 2
        assert (tmp_path / "a.json").read_bytes() == b"of another machine"
        assert [path for path in tmp_path.iterdir() if path.name.startswith(TEMPORARY)] == []

    @pytest.mark.parametrize(
        ("options", "waits"),
        [("cache=strict", True), ("cache=none,nolease", True), ("cache=none,nolease,nobrl", False)],
    )
    def test_writers_on_smb_lock_though_their_conditions_are_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str, waits: bool
    ) -> None:
        """Or they would replace an item that a client with better options has just compared."""
        monkeypatch.setattr(sharing, "file_system_of", lambda _: classify("cifs", options))
        monkeypatch.setenv("PERKEY_LOCK_SECONDS", "0.1")
        d = FileDirDict[int](tmp_path)
        d["a"] = 1
        (tmp_path / LOCK_FILE).touch()
        with held(tmp_path / LOCK_FILE):
            if waits:
                with pytest.raises(LockTimeoutError):
                    d["a"] = 2
                with pytest.raises(LockTimeoutError):
                    del d["a"]
            else:
                d["a"] = 2
        d["b"] = 3
        assert (d["a"], d["b"]) == (1 if waits else 2, 3)

    def test_waiting_on_smb_keeps_no_lock_of_a_killed_program_alive(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The server releases such a lock when all programs of the client have closed the lock file.

        Programs may share a handle of the server if they open a file with the same flags.
        """
        monkeypatch.setattr(sharing, "file_system_of", lambda _: classify("cifs", "cache=none,nolease"))
        monkeypatch.setenv("PERKEY_LOCK_SECONDS", "20")
        monkeypatch.setattr(sharing, "_SMB_OPEN_SECONDS", 0.0)
        d = FileDirDict[int](tmp_path)
        d["a"] = 1
        lock_file = tmp_path / LOCK_FILE
        opened: list[int] = []
        locked: list[bool] = []
        try_lock = sharing._try_lock

        def look(_: float) -> None:
            opened.append(times_open(lock_file))
            if len(opened) == 3:
                holder.__exit__(None, None, None)

        def try_and_note(fd: int) -> bool:
            assert fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY
            locked.append(try_lock(fd))
            return locked[-1]

        monkeypatch.setattr(time, "sleep", look)
        monkeypatch.setattr(sharing, "_try_lock", try_and_note)
        holder = held(lock_file)
        holder.__enter__()
        before = len(os.listdir("/proc/self/fd"))
        d["a"] = 2
        assert opened == [0, 0, 0]
        assert locked == [False, False, False, True]
        assert d["a"] == 2
        assert len(os.listdir("/proc/self/fd")) <= before

    def test_waiting_on_smb_ends_when_the_folder_is_deleted(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sharing, "file_system_of", lambda _: classify("cifs", "cache=none,nolease"))
        monkeypatch.setenv("PERKEY_LOCK_SECONDS", "20")
        monkeypatch.setattr(sharing, "_SMB_OPEN_SECONDS", 0.0)
        d = FileDirDict[int](tmp_path / "d", digest_len=0)
        d["folder", "a"] = 1
        folder = tmp_path / "d" / "folder"
        with held(folder / LOCK_FILE):
            monkeypatch.setattr(time, "sleep", lambda _: shutil.rmtree(folder, ignore_errors=True))
            d["folder", "a"] = 2
        assert dict(d) == {("folder", "a"): 2}

    def test_a_nested_write_works_under_a_lock_whose_conditions_are_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sharing, "file_system_of", lambda _: classify("cifs", "cache=strict"))
        monkeypatch.setenv("PERKEY_LOCK_SECONDS", "0.2")
        d = FileDirDict[int](tmp_path)
        d["a"] = 1
        replace = os.replace

        def interrupted(*arguments: Any, **named: Any) -> None:
            monkeypatch.setattr(os, "replace", replace)
            d["b"] = 2
            replace(*arguments, **named)

        monkeypatch.setattr(os, "replace", interrupted)
        d["a"] = 3
        assert (d["a"], d["b"]) == (3, 2)

    def test_insertions_are_refused_where_there_are_neither_locks_nor_links(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def no_links(*_: Any, **__: Any) -> None:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

        monkeypatch.setattr(os, "link", no_links)
        d = FileDirDict[int](tmp_path, locking="none")
        with pytest.raises(UnsupportedConditionError, match="link"):
            d.setdefault_if("a", default_value=1)
        assert ("a" in d, os.listdir(tmp_path)) == (False, [])
        assert FileDirDict[int](tmp_path, locking="shared").setdefault_if("a", default_value=1)

    def test_readers_do_not_wait(self, tmp_path: Path) -> None:
        d = FileDirDict[int](tmp_path, locking="shared")
        d["a"] = 1
        with held(tmp_path / LOCK_FILE):
            assert (d["a"], list(d), len(d), d.etag("a") != "") == (1, [("a",)], 1, True)

    def test_a_killed_holder_blocks_no_writer(self, tmp_path: Path) -> None:
        d = FileDirDict[int](tmp_path, locking="shared")
        d["a"] = 1
        with held(tmp_path / LOCK_FILE) as process:
            process.kill()
            d["a"] = 2
        assert d["a"] == 2

    def test_a_child_that_lives_on_does_not_keep_the_lock_of_a_killed_writer(self, tmp_path: Path) -> None:
        FileDirDict[int](tmp_path, locking="shared")["a"] = 1
        release_read, release = os.pipe()
        runs_read, runs = os.pipe()
        parent = os.fork()
        if parent == 0:
            os.close(release)
            replace = os.replace

            def fork_and_die(*arguments: Any, **named: Any) -> None:
                assert is_locked(tmp_path / LOCK_FILE)
                if os.fork() == 0:
                    os.write(runs, b".")
                    os.read(release_read, 1)
                    os._exit(0)
                os.read(runs_read, 1)  # the child has let go of what it inherited
                os.kill(os.getpid(), signal.SIGKILL)
                replace(*arguments, **named)

            with mock.patch.object(os, "replace", fork_and_die):
                FileDirDict[int](tmp_path, locking="shared")["a"] = 2
            os._exit(1)
        for fd in (release_read, runs_read, runs):
            os.close(fd)
        assert os.WTERMSIG(os.waitpid(parent, 0)[1]) == signal.SIGKILL
        try:
            assert not is_locked(tmp_path / LOCK_FILE)
            d = FileDirDict[int](tmp_path, locking="shared")
            assert d["a"] == 1
            d["a"] = 3
        finally:
            os.close(release)
        assert d["a"] == 3

    def test_a_fork_under_the_lock_does_not_release_it(self, tmp_path: Path) -> None:
        d = FileDirDict[int](tmp_path, locking="shared")
        d["a"] = 1
        seen: list[bool] = []
        replace = os.replace

        def fork_first(*arguments: Any, **named: Any) -> None:
            child = os.fork()
            if child == 0:
                os._exit(0 if is_locked(tmp_path / LOCK_FILE) else 1)
            seen.append(os.waitpid(child, 0)[1] == 0)
            seen.append(is_locked(tmp_path / LOCK_FILE))
            replace(*arguments, **named)

        with mock.patch.object(os, "replace", fork_first):
            d["a"] = 2
        assert seen == [True, True]
        assert not is_locked(tmp_path / LOCK_FILE)

    @pytest.mark.parametrize("stops", range(1, 8 if LONG else 5))
    def test_a_writer_killed_at_any_moment_leaves_the_old_or_the_new_value(
        self, tmp_path: Path, stops: int
    ) -> None:
        d = FileDirDict[int](tmp_path, locking="shared")
        d["a"] = 0
        child = os.fork()
        if child == 0:
            for number in range(1, 1_000_000):
                d["a"] = number
        time.sleep(0.02 * stops)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        before = d["a"]
        d.transform_item("a", transformer=lambda n: n + 1)
        assert d["a"] == before + 1
        assert list(d) == [("a",)]


Act = Callable[[Store, Recorder, str], Event]

OUTER: dict[str, Act] = {
    "write": lambda store, item, _: item.write(store, b"outer"),
    "write the version": lambda store, item, version: item.write(store, b"outer", expect=version),
    "remove": lambda store, item, _: item.remove(store),
    "remove the version": lambda store, item, version: item.remove(store, expect=version),
    "insert": lambda store, item, _: item.write(store, b"outer", expect=ABSENT),
}
INNER: dict[str, Act] = {
    "write": lambda store, item, _: item.write(store, b"inner"),
    "write the version": lambda store, item, version: item.write(store, b"inner", expect=version),
    "remove": lambda store, item, _: item.remove(store),
    "insert": lambda store, item, _: item.write(store, b"inner", expect=ABSENT),
}


@pytest.mark.parametrize("initially", [True, False])
@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize("outer", OUTER)
def test_nested_writes_of_handlers_are_linearisable(
    tmp_path: Path, outer: str, inner: str, initially: bool
) -> None:
    store = DirectoryStore(tmp_path, durability="none", locking="shared")
    step = 1 if LONG else 37
    for where in ("place", "remove"):
        reached, number = True, 0
        while reached:
            version = store.write(NAME, b"old")
            if not initially:
                store.remove(NAME)
            item = Recorder(NAME)

            def nested(item: Recorder = item, version: str = version) -> None:
                INNER[inner](store, item, version)
                item.read(store)

            reached = at_opcode(
                number,
                nested,
                lambda item=item, version=version: OUTER[outer](store, item, version),  # type: ignore[misc]
                where=where,
            )
            item.read(store)
            assert_linearisable(item.events, (b"old", version) if initially else None)
            number += step
