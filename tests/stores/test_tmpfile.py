"""Insertions by files that have no name until they are whole; and the other way where that cannot be."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any, BinaryIO
from unittest import mock

import pytest
from tracing import system_calls

from perkey.content import read_all
from perkey.errors import ConflictError
from perkey.expectations import ABSENT
from perkey.files.folder import lock
from perkey.naming import Name
from perkey.stores import DirectoryStore

FLAT: Name = ("a.pkl",)
NESTED: Name = ("x", "y", "a.pkl")
BOTH = pytest.mark.parametrize("name", [FLAT, NESTED], ids=["flat", "nested"])


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    store = DirectoryStore(tmp_path / "place", durability="none")
    store.write(("x", "y", "other.pkl"), b"")
    store.put(("first.pkl",), b"")  # finds out whether it can be done here
    store.remove(("first.pkl",))
    return store


@pytest.fixture
def locked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The descriptors that were locked."""
    found: list[int] = []

    def note_and_lock(fd: int) -> bool:
        found.append(fd)
        return lock(fd)

    monkeypatch.setattr("perkey.files.folder.lock", note_and_lock)
    return found


def failing(monkeypatch: pytest.MonkeyPatch, call: str, number: int) -> list[Any]:
    """Let a call fail where a file without a name is made or gets one; return what it was tried for."""
    stock = getattr(os, call)
    tried: list[Any] = []

    def fail(target: Any, flags: Any, *arguments: Any, **names: Any) -> Any:
        if call == "link" or flags & os.O_TMPFILE == os.O_TMPFILE:
            tried.append(target)
            raise OSError(number, os.strerror(number), target)
        return stock(target, flags, *arguments, **names)

    monkeypatch.setattr(os, call, fail)
    return tried


class Breaking:
    """Data that comes to an error half-way."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def write_to(self, file: BinaryIO) -> None:
        file.write(b"half")
        raise self._error


@BOTH
def test_an_insertion_locks_nothing(store: DirectoryStore, locked: list[int], name: Name) -> None:
    store.put(name, b"one")
    store.put((*name[:-1], "b.pkl"), b"two", expect=ABSENT)
    assert not locked
    store.put(name, b"three")
    assert len(locked) == 1
    assert sorted(read_all(store.content(each)) for each in store.scan()) == [b"", b"three", b"two"]


def test_an_insertion_costs_six_calls_and_two_more_for_each_folder(store: DirectoryStore) -> None:
    flat = ["access", "open", "write", "utime", "link", "close"]
    assert system_calls(lambda: store.put(FLAT, b"data")) == flat
    assert system_calls(lambda: store.put(NESTED, b"data")) == ["open", "open", "close", *flat, "close"]


@BOTH
def test_nobody_sees_a_file_before_it_is_whole(
    store: DirectoryStore, name: Name, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even under a temporary name, so that a dead writer leaves nothing."""
    link = os.link
    seen = []

    def look_and_link(*arguments: Any, **names: Any) -> None:
        before = sorted(path.name for path in Path(store.base).rglob("*"))
        link(*arguments, **names)
        seen.append((before, store.content(name)))

    monkeypatch.setattr(os, "link", look_and_link)
    store.put(name, b"data")
    assert seen == [(["other.pkl", "x", "y"], b"data")]


@BOTH
def test_the_rights_are_those_of_any_new_file(store: DirectoryStore, name: Name) -> None:
    before = os.umask(0o027)
    try:
        store.put(name, b"data")
    finally:
        os.umask(before)
    found = os.stat(f"{store.base}/{'/'.join(name)}")
    assert stat.S_IMODE(found.st_mode) == 0o640
    assert found.st_nlink == 1


@BOTH
def test_who_comes_between_looking_and_linking_is_seen(
    store: DirectoryStore, name: Name, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(name, b"theirs")
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    with pytest.raises(ConflictError):
        store.put(name, b"ours", expect=ABSENT)
    assert store.content(name) == b"theirs"
    store.put(name, b"ours")
    assert store.content(name) == b"ours"


@BOTH
@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EISDIR], ids=["file system", "old kernel"])
def test_where_files_need_a_name_it_is_tried_once(
    store: DirectoryStore, locked: list[int], name: Name, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = failing(monkeypatch, "open", number)
    store.put(name, b"one")
    store.put(("x", "y", "b.pkl"), b"two", expect=ABSENT)
    assert len(tried) == 1
    assert len(locked) == 2
    assert (store.content(name), store.content(("x", "y", "b.pkl"))) == (b"one", b"two")


@pytest.mark.parametrize("number", [errno.EPERM, errno.EACCES, errno.EXDEV, errno.EINVAL])
def test_where_nameless_files_cannot_be_linked_it_is_tried_once(
    store: DirectoryStore, locked: list[int], number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = failing(monkeypatch, "link", number)
    store.put(FLAT, b"one")
    store.put(NESTED, b"two")
    assert len(tried) == 1
    assert len(locked) == 2
    assert (store.content(FLAT), store.content(NESTED)) == (b"one", b"two")


@pytest.mark.parametrize("call", ["open", "link"])
def test_what_may_pass_is_tried_again(
    store: DirectoryStore, locked: list[int], call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patches:
        failing(patches, call, errno.EMFILE)
        store.put(FLAT, b"one")
    assert len(locked) == 1
    store.put(NESTED, b"two")
    assert len(locked) == 1


def test_without_proc_files_get_a_name_at_once(tmp_path: Path) -> None:
    program = """
import os, sys
stock = os.path.isdir
os.path.isdir = lambda path: path != "/proc/self/fd" and stock(path)
from perkey.stores import DirectoryStore
os.link = None
store = DirectoryStore(sys.argv[1], durability="none")
store.put(("a.pkl",), b"data")
assert store.content(("a.pkl",)) == b"data"
"""
    subprocess.run([sys.executable, "-c", program, tmp_path], check=True, timeout=60)


def test_where_proc_has_gone_files_get_a_name(
    store: DirectoryStore, locked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = failing(monkeypatch, "link", errno.ENOENT)
    monkeypatch.setattr(os.path, "isdir", lambda path: path != "/proc/self/fd")
    store.put(FLAT, b"one")
    store.put(NESTED, b"two")
    assert len(tried) == 1
    assert len(locked) == 2


@pytest.mark.parametrize("umask", [0o027, 0])
def test_where_such_files_do_not_get_the_rights_of_others_they_get_a_name(
    tmp_path: Path, umask: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in kernels that forget the umask, and with C libraries that forget the mode."""
    stock, tried = os.open, []

    def forget(path: Any, flags: int, *arguments: Any, **names: Any) -> int:
        fd = stock(path, flags, *arguments, **names)
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            tried.append(path)
            os.fchmod(fd, 0o666 if umask else 0)
        return fd

    before = os.umask(umask)
    try:
        store = DirectoryStore(tmp_path / "place", durability="none")
        monkeypatch.setattr(os, "open", forget)
        store.put(FLAT, b"one")
        store.put(NESTED, b"two")
    finally:
        os.umask(before)
    for name in (FLAT, NESTED):
        assert stat.S_IMODE(os.stat(f"{store.base}/{'/'.join(name)}").st_mode) == 0o666 & ~umask
    assert len(tried) == 1


def test_a_locked_insertion_sees_one_without_a_lock_also_where_no_rename_refuses(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a C library that does not know renameat2, or with an old ZFS."""
    monkeypatch.setattr("perkey.files.syscalls._renameat2", lambda: None)
    utime = os.utime

    def insert_meanwhile(*arguments: Any, **names: Any) -> None:
        utime(*arguments, **names)
        monkeypatch.setattr(os, "utime", utime)
        store.put(FLAT, b"theirs", expect=ABSENT)

    monkeypatch.setattr(os, "utime", insert_meanwhile)
    with pytest.raises(ConflictError):
        store.write(FLAT, b"ours", expect=ABSENT)
    assert store.content(FLAT) == b"theirs"
    version = store.write(NESTED, b"ours", expect=ABSENT)
    assert store.read(NESTED) == (b"ours", version)
    assert {path.suffix for path in Path(store.base).rglob("*") if path.is_file()} == {".pkl"}


@BOTH
def test_without_ctypes_items_can_be_inserted_if_absent(store: DirectoryStore, name: Name) -> None:
    with mock.patch.dict(sys.modules, {"perkey.files.syscalls": None}):
        store.write(name, b"data", expect=ABSENT)
        with pytest.raises(ConflictError):
            store.write(name, b"other", expect=ABSENT)
    assert store.content(name) == b"data"


def test_a_name_that_leads_out_is_refused(store: DirectoryStore) -> None:
    for name in [("..", "a.pkl"), ("../a.pkl",), ("x", "..", "..", "a.pkl"), ("",), (".",)]:
        with pytest.raises(ValueError, match="not the name of an item"):
            store.put(name, b"data")


def test_an_absent_item_is_at_no_version(store: DirectoryStore) -> None:
    with pytest.raises(ConflictError):
        store.put(FLAT, b"data", expect=store.write(NESTED, b"data"))
    assert not store.exists(FLAT)


@BOTH
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), ValueError("no such value")], ids=repr)
def test_data_that_cannot_be_written_leave_nothing(
    store: DirectoryStore, name: Name, error: Exception
) -> None:
    before = len(os.listdir("/dev/fd"))
    with pytest.raises(type(error)) as caught:
        store.put(name, Breaking(error))
    assert caught.value is error
    assert str(error) in {"[Errno 28] full", "no such value"}, "an exception of the data was changed"
    assert list(store.scan()) == [("x", "y", "other.pkl")]
    assert len(os.listdir("/dev/fd")) == before


def test_a_folder_that_does_not_exist_is_made(store: DirectoryStore) -> None:
    store.put(("new", "folder", "a.pkl"), b"data")
    assert store.content(("new", "folder", "a.pkl")) == b"data"


def test_a_link_that_leads_nowhere_is_replaced_and_not_followed(
    store: DirectoryStore, tmp_path: Path
) -> None:
    os.symlink(tmp_path / "outside", f"{store.base}/a.pkl")
    store.put(FLAT, b"data")
    assert not (tmp_path / "outside").exists()
    assert store.content(FLAT) == b"data"


def test_durable_writes_have_a_name_that_a_power_failure_leaves(tmp_path: Path, locked: list[int]) -> None:
    DirectoryStore(tmp_path).put(FLAT, b"data")
    assert len(locked) == 1
