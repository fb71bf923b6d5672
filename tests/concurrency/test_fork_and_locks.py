"""Locks and forks: a dead writer's lock dies with it, a living one's stays, and nobody releases another's."""

from __future__ import annotations

import gc
import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from crews import HANG, run_crew, times
from holders import Survivor, Way, is_locked, lock_of, stopped_writer
from workers import LockKind, with_locks

from perkey import ANY_ETAG, ETAG_IS_THE_SAME, ITEM_NOT_AVAILABLE, FileDirDict, MutationPolicyError
from perkey.files import folder as folders
from perkey.files.folder import LOCK_FILE, Folder


def set_item(target: FileDirDict[Any], key: str, value: Any) -> None:
    target[key] = value


def exit_code(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("kind", ["folder", "file"])
@pytest.mark.parametrize("way", ["os.fork", "multiprocessing", "subprocess"])
def test_a_writer_killed_under_the_lock_blocks_nobody_though_its_child_lives(
    tmp_path: Path, way: Way, kind: LockKind
) -> None:
    target = FileDirDict[str](tmp_path)
    target["a"] = "before"
    survivor = Survivor(tmp_path, way, kind=kind)
    assert survivor.is_alive()
    assert not is_locked(lock_of(tmp_path, kind))
    assert target["a"] == "before"
    run_crew("fork", [partial(with_locks, kind, set_item, target, "a", "after")])
    assert survivor.is_alive()
    survivor.release()
    assert target["a"] == "after"
    assert list(target) == [("a",)]


def test_without_care_such_a_child_would_keep_the_lock(tmp_path: Path) -> None:
    """The danger is real, and the test above would see it."""
    survivor = Survivor(tmp_path, "os.fork", forgetful=True)
    assert survivor.is_alive()
    assert is_locked(tmp_path)
    survivor.release()
    deadline = time.monotonic() + HANG
    while is_locked(tmp_path):  # it has closed the pipe, and may not yet have come to the folder
        assert time.monotonic() < deadline


def test_a_fork_under_the_lock_does_not_release_it(tmp_path: Path) -> None:
    """Not when the child begins, works, or ends."""
    target = FileDirDict[str](tmp_path)
    target["other"] = "there"
    with stopped_writer(tmp_path, "a", "written"):
        child = os.fork()
        if child == 0:
            try:
                assert is_locked(tmp_path)
                assert dict(target.items()) == {("other",): "there"}
                target["inner", "b"] = "child's"
            finally:
                os._exit(0 if is_locked(tmp_path) else 1)
        assert exit_code(child) == 0
        assert is_locked(tmp_path)
        assert "a" not in target
    assert not is_locked(tmp_path)
    assert dict(target.items()) == {("a",): "written", ("other",): "there", ("inner", "b"): "child's"}


def test_dictionaries_of_one_process_do_not_release_each_others_locks(tmp_path: Path) -> None:
    """Reading, listing and closing through another handle, and writing next to the locked folder."""
    with stopped_writer(tmp_path, "a", "written"):
        another = FileDirDict[str](tmp_path)
        assert another.get("a") is None
        assert list(another) == []
        another["inner", "b"] = "elsewhere"
        assert another.pop(("inner", "b")) == "elsewhere"
        del another
        gc.collect()
        assert is_locked(tmp_path)
    assert not is_locked(tmp_path)


def test_writers_of_one_folder_never_overlap_under_the_lock(tmp_path: Path) -> None:
    """Many dictionaries and threads of one process; whoever renames finds nobody else doing so."""
    inside, overlaps = 0, 0
    replace = os.replace

    def watched(*arguments: Any, **names: Any) -> None:
        nonlocal inside, overlaps
        inside += 1
        overlaps += inside > 1
        time.sleep(0.0001)
        replace(*arguments, **names)
        overlaps += inside > 1
        inside -= 1

    def write(me: int) -> None:
        target = FileDirDict[int](tmp_path, durability="none")
        for number in range(times(100, 2000)):
            target[str(number % 3)] = me

    with mock.patch.object(os, "replace", watched):
        run_crew("thread", [partial(write, me) for me in range(4)])
        assert overlaps == 0
        with mock.patch("perkey.files.folder.lock", return_value=True):  # the watch does see overlaps
            run_crew("thread", [partial(write, me) for me in range(4)])
    assert overlaps > 0


def test_no_operation_leaves_a_descriptor_open(tmp_path: Path) -> None:
    """Whether it succeeds, finds nothing, is refused, or is given up half-way."""
    target = FileDirDict[Any](tmp_path, durability="none")
    immutable = FileDirDict[Any](tmp_path, immutable_items=True)

    def work() -> None:
        target["a", "b"] = b"x" * 3_000_000
        assert target["a", "b"]
        assert target.get("missing") is None
        target["c"] = target["d"] = 1
        with pytest.raises(MutationPolicyError):
            immutable["c"] = 2
        with pytest.raises(KeyError):
            del target["missing"]
        next(iter(target))
        assert set(target.subdicts()) == {"a"}
        target.setdefault_if("c", default_value=1, condition=ANY_ETAG, expected_etag=ITEM_NOT_AVAILABLE)
        target.set_item_if("c", value=1, condition=ETAG_IS_THE_SAME, expected_etag="another")
        target.transform_item("c", transformer=lambda value: value + 1)
        assert target.pop("d") == 1
        target.clear()
        gc.collect()

    work()
    before = set(os.listdir("/dev/fd"))
    known = set(folders._lockable)  # CPython loses frames, and their handles, where tracing raises
    for kind in ("folder", "file"):
        with_locks(kind, work)
    assert set(os.listdir("/dev/fd")) == before
    assert set(folders._lockable) == known


def test_a_child_forked_within_an_iteration_closes_nothing_of_its_own(tmp_path: Path) -> None:
    """The iterator that it inherits ends in the child without closing files that the child has opened."""
    target = FileDirDict[int](tmp_path, durability="none")
    target["a"] = target["b", "c"] = target["b", "d"] = 1
    iterator = iter(target)
    next(iterator)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            opened = [os.open("/dev/null", os.O_RDONLY) for _ in range(50)]
            del iterator
            gc.collect()
            for fd in opened:
                os.fstat(fd)
            code = 0
        finally:
            os._exit(code)
    assert exit_code(child) == 0
    assert len(list(iterator)) == 2


LATE_FORK = """\
import os, sys, threading
sys.path[:0] = sys.argv[2:]
opened, forked = threading.Event(), threading.Event()

from holders import is_locked
from perkey.files import folder as folders

stock = os.open

def opener(*arguments, **named):
    fd = stock(*arguments, **named)
    opened.set()
    forked.wait(60)
    return fd

def hold():
    handle = folders.Handle(lockable=True)
    os.open = opener
    fd = handle.open(sys.argv[1], os.O_RDONLY)
    os.open = stock
    assert folders.lock(fd)
    os.close(fd)  # as when a process is killed: closed, but never unlocked

holder = threading.Thread(target=hold)
release, end = os.pipe()
holder.start()
opened.wait(60)
child = os.fork()
if child == 0:
    os.read(release, 1)
    os._exit(0)
forked.set()
holder.join()
kept = is_locked(sys.argv[1])
os.write(end, b"-")
os.waitpid(child, 0)
sys.exit("the child keeps the lock" if kept else 0)
"""


def test_a_folder_opened_while_a_fork_is_under_way_is_not_kept_by_the_child(tmp_path: Path) -> None:
    """1. a thread opens   2. another one forks   3. the first one notes what it has opened."""
    found = subprocess.run(
        [sys.executable, "-c", LATE_FORK, str(tmp_path), str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert found.stderr == ""
    assert found.returncode == 0


def fork_elsewhere() -> None:
    """Fork in another thread; the child ends at once."""

    def fork() -> None:
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)

    thread = threading.Thread(target=fork)
    thread.start()
    thread.join()


WRITES: dict[str, Callable[[FileDirDict[Any]], object]] = {
    "set": lambda d: set_item(d, "a", 1),
    "transform": lambda d: d.transform_item("a", transformer=lambda _: 1),
    "insert": lambda d: d.setdefault("a", 1),
    "set_many": lambda d: d.set_many({"a": 1} | {f"k{n}": n for n in range(40)}),
    "large": lambda d: set_item(d, "a", bytes(3 << 20)),
    "pop": lambda d: d.pop("missing", d.setdefault("a", 1)),
}


@pytest.mark.parametrize("durability", ["sync", "none"])
@pytest.mark.parametrize("kind", ["folder", "file"])
@pytest.mark.parametrize("name", WRITES)
def test_a_fork_as_a_file_is_opened_fails_no_write(
    tmp_path: Path, name: str, kind: LockKind, durability: Any
) -> None:
    target = FileDirDict[Any](tmp_path / "d", durability=durability)
    real, opened = os.open, [""]

    def open_and_fork(path: str, *arguments: Any, **named: Any) -> int:
        fd = real(path, *arguments, **named)
        if opened[-1] != path:  # else it is opened again because of the fork
            opened.append(path)
            fork_elsewhere()
        return fd

    with mock.patch.object(os, "open", open_and_fork):
        with_locks(kind, WRITES[name], target)
    assert target["a"] in {1, bytes(3 << 20)}
    assert {path.suffix for path in (tmp_path / "d").iterdir() if path.name != LOCK_FILE} == {".pkl"}


def test_writers_are_not_held_up_for_ever_by_a_fork_that_does_not_end(tmp_path: Path) -> None:
    """A hook of another library may wait, during a fork, for what a writer holds."""
    folders._begin_fork()
    try:
        run_crew("thread", [partial(set_item, FileDirDict[int](tmp_path), "a", 1)])
    finally:
        folders._forking.clear()
    assert FileDirDict[int](tmp_path)["a"] == 1


def test_a_lock_file_that_was_deleted_while_it_was_waited_for_is_not_relied_upon(tmp_path: Path) -> None:
    """Others would lock its successor; so the lock counts only on the file that is in the folder."""
    original = folders.lock
    waited = 0

    def lock(fd: int) -> bool:
        nonlocal waited
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            return False
        waited += 1
        if waited == 1:
            (tmp_path / LOCK_FILE).unlink()
        return original(fd)

    folder = Folder.at(str(tmp_path), ())
    with mock.patch("perkey.files.folder.lock", lock):
        assert folder.lock()
    assert waited == 2
    assert is_locked(tmp_path / LOCK_FILE)
    folder.unlock()
    assert not is_locked(tmp_path / LOCK_FILE)
    folder.close()


def test_an_item_whose_folder_is_deleted_before_the_lock_file_is_opened_is_absent(tmp_path: Path) -> None:
    """Deleting it finds nothing, and says so as always."""
    target = FileDirDict[int](tmp_path)

    def lock(fd: int) -> bool:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            shutil.rmtree(next(tmp_path.iterdir()), ignore_errors=True)
            return False
        return True

    for change in (target.discard, partial(target.pop, default=None)):
        target["a", "b"] = 1
        with mock.patch("perkey.files.folder.lock", lock):
            assert not change(("a", "b"))
        assert list(target) == []
