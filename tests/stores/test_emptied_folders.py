"""Bulk removals and sweeping leave no empty folders, and no writer fails because its folder is removed."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from perkey import FileDirDict
from perkey.files import folder as folder_module
from perkey.files.folder import lock
from perkey.stores import DirectoryStore

LONG = bool(os.environ.get("PERKEY_LONG"))


def folders_in(path: Path) -> list[str]:
    return sorted(
        os.path.relpath(os.path.join(at, name), path) for at, names, _ in os.walk(path) for name in names
    )


@pytest.mark.parametrize("durability", ["none", "sync"])
@pytest.mark.parametrize("lockable", [True, False])
def test_clear_and_delete_many_remove_the_folders_that_they_emptied(
    tmp_path: Path, durability: str, lockable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not lockable:  # a lock file stands in

        def lock_files(fd: int) -> bool:
            return not os.path.isdir(f"/proc/self/fd/{fd}") and lock(fd)

        monkeypatch.setattr(folder_module, "lock", lock_files)
    d = FileDirDict[int](tmp_path / "d", digest_len=0, durability=durability)  # type: ignore[arg-type]
    for number in range(300):
        d[f"job{number}", "inner", "value"] = number
    d["job0", "other"] = d["top"] = 1
    (tmp_path / "d" / "foreign").mkdir()
    d.delete_many([(f"job{number}", "inner", "value") for number in range(299)])
    assert folders_in(tmp_path / "d") == ["foreign", "job0", "job299", "job299/inner"]
    d.clear()
    assert folders_in(tmp_path / "d") == ["foreign"]
    d["job0", "other"] = 2
    assert dict(d.items()) == {("job0", "other"): 2}


def test_a_single_removal_leaves_the_folder_and_sweep_removes_it(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    for name in (("x", "y", "a.pkl"), ("x", "b.pkl")):
        store.write(name, b"")
    store.remove(("x", "y", "a.pkl"))
    store.remove(("x", "b.pkl"))
    (tmp_path / "not a name").mkdir()
    assert folders_in(tmp_path) == ["not a name", "x", "x/y"]
    assert store.sweep() == 0
    assert folders_in(tmp_path) == ["not a name", "x", "x/y"]
    assert store.sweep(min_age=0) == 0
    assert folders_in(tmp_path) == ["not a name"]


def insert_and_delete(base: Path, me: int, seconds: float, durability: str) -> None:
    d = FileDirDict[int](base, durability=durability)  # type: ignore[arg-type]
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end:
        number += 1
        keys = [("jobs", f"inner{n}", f"{me}-{number}") for n in range(3)]
        d[keys[0]] = number
        assert d.setdefault(keys[1], number) == number
        d.transform_item(keys[2], transformer=lambda _, number=number: number)  # type: ignore[misc]
        assert d[keys[0]] == d[keys[1]] == d[keys[2]] == number
        d.delete_many(keys)
        assert keys[0] not in d


@pytest.mark.parametrize("durability", ["none", "sync"])
def test_eight_processes_that_insert_and_delete_under_one_prefix_meet_no_error(
    tmp_path: Path, durability: str
) -> None:
    context = multiprocessing.get_context("fork")
    seconds = 10.0 if LONG else 1.0
    crew = [
        context.Process(target=insert_and_delete, args=(tmp_path, me, seconds, durability)) for me in range(8)
    ]
    for process in crew:
        process.start()
    for process in crew:
        process.join(120)
    assert [process.exitcode for process in crew] == [0] * 8
    d = FileDirDict[int](tmp_path)
    assert len(d) == 0
    d.store.sweep(min_age=0)
    assert folders_in(tmp_path) == []
