"""Readers among writers see whole values, and a folder that is deleted under its writers is made anew."""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from crews import METHODS, Method, run_crew, same, times
from workers import (
    DELETIONS,
    LockKind,
    checked,
    delete_folder,
    race,
    read_checked,
    temporary_names,
    write_checked,
    write_under_deletion,
    write_where_all_is_deleted,
)

from perkey import FileDirDict
from perkey.files import replacing as placing
from perkey.files.folder import TEMPORARY
from perkey.naming import naming
from perkey.stores.folder.store import DirectoryStore, Durability

REWRITES = times(300, 5000)

every_method = pytest.mark.parametrize("method", METHODS)


def check_readers(seen_by_readers: list[list[tuple[int, int]]], writers: int) -> None:
    """Readers saw values in the order in which each writer wrote them."""
    for seen in seen_by_readers:
        for writer in range(writers):
            numbers = [number for who, number in seen if who == writer]
            assert numbers == sorted(numbers)


@pytest.mark.parametrize("file_type", ["txt", "pkl"])
@every_method
def test_readers_see_whole_values_in_order_while_they_are_rewritten(
    tmp_path: Path, method: Method, file_type: str
) -> None:
    """Text has no checksum: a torn value would be read without complaint, and found by its marks here."""
    target = FileDirDict[str](tmp_path, file_type, durability="none")
    target["a", "value"] = checked(0, 0, 10)
    writers = same(2, write_checked, target, ("a", "value"), REWRITES, 20_000)
    readers = same(2, read_checked, target, ("a", "value"), 2)
    *_, first, second = run_crew(method, writers + readers)
    check_readers([first, second], 2)
    assert target["a", "value"] in {checked(me, REWRITES - 1, 20_000 + (REWRITES - 1) % 7) for me in range(2)}


def test_readers_see_whole_streamed_values_while_they_are_rewritten(tmp_path: Path) -> None:
    """Values above a mebibyte are read piece by piece, from a file that has been replaced meanwhile."""
    target = FileDirDict[str](tmp_path, durability="none")
    target["value"] = checked(0, 0, 10)
    rewrites = times(40, 500)
    writers = same(2, write_checked, target, "value", rewrites, 1_500_000)
    *_, first, second = run_crew("fork", writers + same(2, read_checked, target, "value", 2))
    check_readers([first, second], 2)


@pytest.mark.parametrize(
    ("method", "durability", "locks"),
    [(method, durability, "folder") for method in METHODS for durability in ("sync", "none")]
    + [("fork", "none", "file")],
)
def test_a_folder_deleted_again_and_again_is_remade_by_its_writers(
    tmp_path: Path, method: Method, durability: Durability, locks: LockKind
) -> None:
    target = FileDirDict[Any](tmp_path, digest_len=0, durability=durability)
    writers = same(3, write_under_deletion, target, times(60, 1000))
    deleter = partial(delete_folder, target, tmp_path / "a", 3)
    *_, deletions = race(method, [*writers, deleter], locks=locks)
    assert deletions >= DELETIONS
    for me in range(3):
        target["a", "b", str(me)] = me
    assert {key[2]: value for key, value in target.items() if key[:2] == ("a", "b")} == {
        "0": 0,
        "1": 1,
        "2": 2,
    }
    assert not list(tmp_path.rglob(TEMPORARY + "*"))


def test_the_base_folder_deleted_again_and_again_is_remade_by_its_writers(tmp_path: Path) -> None:
    """Not only folders for parts of keys: the dictionary's own, and the one that it is in."""
    target = FileDirDict[int](tmp_path / "outer" / "base", durability="none")
    told = FileDirDict[Any](tmp_path / "told")

    writers = same(3, write_where_all_is_deleted, target, told, times(100, 2000))
    deleter = partial(delete_folder, told, tmp_path / "outer", 3)
    *_, deletions = run_crew("fork", [*writers, deleter])
    assert deletions >= DELETIONS
    target["a"] = 1
    assert target["a"] == 1


def test_hosts_with_one_process_number_never_share_a_temporary_name() -> None:
    """Told apart by a random mark of the process, renewed in forked children."""
    workers, each = 4, 500
    jobs = [*same(workers, temporary_names, each)]
    methods: list[Method] = ["fork", "forkserver", "spawn"]
    names = [name for method in methods for found in run_crew(method, jobs) for name in found]
    assert len(names) == len(set(names)) == 3 * workers * 4 * each
    key_of = naming(0, "pkl").key_of
    assert not [name for name in names if key_of((name,)) or key_of((name + ".pkl",))]


def test_a_temporary_file_of_another_writer_is_never_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if names met, the file is created exclusively."""
    store = DirectoryStore(tmp_path)
    taken = tmp_path / (TEMPORARY + "taken")
    taken.write_bytes(b"another's")
    monkeypatch.setattr(placing, "temporary_name", lambda: taken.name)
    with pytest.raises(FileExistsError):
        store.write(("a.pkl",), b"ours")
    assert taken.read_bytes() == b"another's"
    assert os.listdir(tmp_path) == [taken.name]


@pytest.mark.parametrize("after", [0, 1, 15, 29])
def test_a_batch_whose_folder_is_deleted_while_its_files_are_written_is_stored_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Whatever was deleted of it is written again, and nothing else is left."""
    target = FileDirDict[int](tmp_path, digest_len=0)
    items = {("a", str(number)): number for number in range(30)}
    write = os.write
    written = 0

    def write_and_delete(fd: int, data: bytes) -> int:
        nonlocal written
        written += 1
        if written == after + 1:
            shutil.rmtree(tmp_path / "a")
        return write(fd, data)

    monkeypatch.setattr(os, "write", write_and_delete)
    target.update(items)
    assert written > len(items)
    assert dict(target.items()) == items
    assert not list(tmp_path.rglob(TEMPORARY + "*"))
