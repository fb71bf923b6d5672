"""Each item that is there throughout is listed exactly once, although others replace it meanwhile."""

import os
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from perkey.files import Folder, Handle, entries, entries_of, syscalls
from perkey.files.file_systems import FileSystem
from perkey.naming import Name, naming
from perkey.stores import DirectoryStore

COUNT = 6000
"""So many that a listing takes several system calls."""
SHAPE = naming(8, "pkl").shape
NAMES = [naming(8, "pkl").name_of(f"item{number}") for number in range(COUNT)]

MEMORY = "/dev/shm"
"""On tmpfs a file that replaces another one gets a new place in listings."""


@pytest.fixture(params=["as it is", "read by one call", *(["tmpfs"] if os.path.isdir(MEMORY) else [])])
def base(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """An absent folder, on some file system."""
    if request.param == "read by one call":
        monkeypatch.setattr(FileSystem, "keeps_places", False)
    with tempfile.TemporaryDirectory(dir=MEMORY if request.param == "tmpfs" else tmp_path) as folder:
        yield f"{folder}/d"


def scanned(store: DirectoryStore) -> list[Name]:
    return list(store.scan())


def with_stats(store: DirectoryStore) -> list[Name]:
    return [name for name, _ in store.scan_stats()]


@pytest.mark.parametrize("listed", [scanned, with_stats])
def test_what_is_replaced_is_listed_exactly_once(
    base: str, listed: Callable[[DirectoryStore], list[Name]]
) -> None:
    store = DirectoryStore(base, durability="none")
    list(store.write_many((name, b"x") for name in NAMES))
    once = Counter(NAMES)
    with replacing(base):
        for _ in range(5):
            found = Counter(listed(store))
            assert found == once, f"{len(once - found)} are missing, {len(found - once)} are there twice"
            assert store.count(SHAPE) == COUNT


def test_a_server_that_lists_a_replaced_file_in_a_new_place_too_makes_no_item_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = DirectoryStore(tmp_path / "d", durability="none", locking="shared")
    for name in NAMES[:3]:
        store.write(name, b"x")
    stock = Folder.scan

    def scan(folder: Folder) -> Any:
        with stock(folder) as found:
            entries = list(found)
        return nullcontext(iter([*entries, *entries[:2]]))

    monkeypatch.setattr(Folder, "scan", scan)
    assert Counter(store.scan()) == Counter(with_stats(store)) == Counter(NAMES[:3])
    assert store.count(SHAPE) == 3


class replacing:  # noqa: N801 - used as a function
    """A thread that replaces one item after the other."""

    def __init__(self, base: str) -> None:
        self._store = DirectoryStore(base, durability="none")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def _work(self) -> None:
        while not self._over.is_set():
            for name in NAMES[:: len(NAMES) // 97]:
                self._store.write(name, b"y")

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *about: object) -> None:
        self._over.set()
        self._thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    """An open folder of 300 files, a folder and a link, which is to be read by one call."""
    for number in range(300):
        (tmp_path / f"file{number}").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("file1")
    with Folder.at(str(tmp_path), (), lockable=False) as opened:
        opened.keeps_places = False
        yield opened


def described(listed: Any) -> list[tuple[str, bool, bool, int]]:
    with listed as found:
        return sorted(
            (
                entry.name,
                entry.is_file(follow_symlinks=False),
                entry.is_dir(follow_symlinks=False),
                entry.stat(follow_symlinks=False).st_ino,
            )
            for entry in found
        )


@pytest.mark.parametrize("page", [600, 4096, 1 << 17])
def test_entries_are_those_of_scandir_whatever_the_size_of_the_buffer(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(entries, "_PAGE", page)
    assert described(entries_of(folder)) == described(folder.scan())


@pytest.mark.parametrize("page", [4096, 1 << 17])
def test_a_file_system_that_returns_less_than_there_is_room_for_is_asked_again(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    stock = syscalls.getdents()
    assert stock is not None

    def short(fd: int, buffer: Any, size: int) -> int:
        assert stock is not None
        return stock(fd, buffer, min(size, 1000))

    monkeypatch.setattr(entries, "_PAGE", page)
    monkeypatch.setattr(syscalls, "getdents", lambda: short)
    assert described(entries_of(folder)) == described(folder.scan())


def test_types_that_a_file_system_does_not_list_are_asked_for(folder: Folder) -> None:
    found = described(entries_of(folder))
    for entry, known in zip(sorted(e.name for e in os.scandir(folder.path)), found, strict=True):
        unknown = entries._Entry(folder.fileno(), entry, 0)
        assert unknown.is_dir(follow_symlinks=False) == known[2]
        assert unknown.is_file(follow_symlinks=False) == known[1]
    gone = entries._Entry(folder.fileno(), "absent", 0)
    assert not gone.is_file(follow_symlinks=False)
    assert not gone.is_dir(follow_symlinks=False)


def test_without_proc_the_folder_is_opened_by_its_descriptor(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = described(folder.scan())
    stock = Handle.open

    def without_proc(
        handle: Handle, path: str, flags: int, mode: int = 0o777, dir_fd: int | None = None
    ) -> int:
        return stock(handle, path.replace("/proc/", "/absent/"), flags, mode, dir_fd)

    monkeypatch.setattr(Handle, "open", without_proc)
    assert described(entries_of(folder)) == expected


def test_a_folder_that_was_removed_has_no_entries(folder: Folder, tmp_path: Path) -> None:
    for entry in list(os.scandir(tmp_path)):
        Path(entry).rmdir() if entry.is_dir(follow_symlinks=False) else Path(entry).unlink()
    tmp_path.rmdir()
    with entries_of(folder) as found:
        assert list(found) == []
    tmp_path.mkdir()
