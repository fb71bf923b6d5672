"""Many files at once: as atomic and durable as one by one, with far fewer syncs."""

import errno
import gc
import importlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO
from unittest.mock import Mock

import pytest

from perkey.errors import ConflictError, UnstorableValueError
from perkey.expectations import ABSENT, ANY, Expectation
from perkey.files import folder as folders_module
from perkey.stores import DirectoryStore
from perkey.stores.folder import batches as batches_module

Items = list[tuple[tuple[str, ...], Any]]


def some_items(count: int = 40) -> Items:
    return [
        ((f"folder{n % 3}", f"item{n}.pkl") if n % 2 else (f"item{n}.pkl",), b"%d" % n) for n in range(count)
    ]


def files_below(base: Path) -> set[str]:
    return {name for _, _, names in os.walk(base) for name in names}


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "base")


@pytest.fixture(params=["syncfs", "fsync of each"])
def either_sync(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the file system's own sync, and on systems that have none."""
    if request.param == "fsync of each":
        monkeypatch.setattr(batches_module, "libc_function", lambda *_: None)


@pytest.mark.usefixtures("either_sync")
def test_all_items_are_there_with_the_versions_told(store: DirectoryStore) -> None:
    told = dict(store.write_many(some_items()))
    assert {name: store.read(name) for name, _ in some_items()} == {
        name: (data, told[name]) for name, data in some_items()
    }


@pytest.mark.usefixtures("either_sync")
def test_nothing_else_stays_in_the_folders(store: DirectoryStore) -> None:
    list(store.write_many(some_items()))
    assert files_below(Path(store.base)) == {name[-1] for name, _ in some_items()}


def spy(monkeypatch: pytest.MonkeyPatch, where: str) -> Mock:
    """Count the calls of a function, which are made as ever."""
    module, name = where.rsplit(".", 1)
    counted = Mock(wraps=getattr(importlib.import_module(module), name))
    monkeypatch.setattr(where, counted)
    return counted


def test_the_syncs_are_few(store: DirectoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """One for the data and one for each folder, those made anew with their parents."""
    of_folders = spy(monkeypatch, "perkey.files.folder.sync")
    of_data = spy(monkeypatch, "perkey.stores.folder.batches.sync_file_system")
    list(store.write_many(some_items(300)))
    assert of_data.call_count == 1
    assert of_folders.call_count == 3 + 4  # three folders made, four published into


def test_without_syncfs_each_file_is_synced(store: DirectoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches_module, "libc_function", lambda *_: None)
    of_files = spy(monkeypatch, "perkey.stores.folder.batches.sync")
    list(store.write_many(some_items(50)))
    assert of_files.call_count == 50


def test_of_two_items_of_one_name_the_later_stays(store: DirectoryStore) -> None:
    list(store.write_many([*some_items(20), (("item0.pkl",), b"later")]))
    assert store.read(("item0.pkl",)) is not None
    assert (store.read(("item0.pkl",)) or (b"", ""))[0] == b"later"


def test_items_that_exist_conflict_where_absence_is_expected(store: DirectoryStore) -> None:
    store.write(("item0.pkl",), b"first")
    told = dict(store.write_many(some_items(), expect=ABSENT))
    assert [name for name, result in told.items() if isinstance(result, ConflictError)] == [("item0.pkl",)]
    assert (store.read(("item0.pkl",)) or (b"", ""))[0] == b"first"


class Broken:
    def write_to(self, file: BinaryIO) -> None:
        file.write(b"half")
        raise UnstorableValueError("broken in the middle")


def test_one_that_fails_keeps_no_other_from_being_written(store: DirectoryStore) -> None:
    store.write(("item2.pkl",), b"old")
    items = [(name, Broken() if name == ("item2.pkl",) else data) for name, data in some_items()]
    told = dict(store.write_many(items))
    failed = {name for name, result in told.items() if isinstance(result, Exception)}
    assert failed == {("item2.pkl",)}
    assert isinstance(told["item2.pkl",], UnstorableValueError)
    assert (store.read(("item2.pkl",)) or (b"", ""))[0] == b"old"
    assert not [name for name in files_below(Path(store.base)) if name.startswith(".@")]


def test_what_was_drawn_before_the_source_failed_is_written(store: DirectoryStore) -> None:
    def source() -> Iterator[tuple[tuple[str, ...], bytes]]:
        yield from some_items(30)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        list(store.write_many(source()))
    assert set(store.scan()) == {name for name, _ in some_items(30)}


def test_a_folder_deleted_before_the_renames_is_made_anew(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = batches_module.sync_file_system

    def sync_and_delete(folder: Any) -> bool:
        done = real(folder)
        shutil.rmtree(Path(store.base) / "folder1")
        return done

    monkeypatch.setattr(batches_module, "sync_file_system", sync_and_delete)
    told = dict(store.write_many(some_items()))
    assert not [result for result in told.values() if isinstance(result, Exception)]
    assert set(store.scan()) == {name for name, _ in some_items()}


def test_if_the_disk_refuses_the_common_sync_nothing_is_changed(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write(("item0.pkl",), b"old")

    def refuse(folder: Any) -> bool:
        raise OSError(5, "Input/output error", folder.path)

    monkeypatch.setattr(batches_module, "sync_file_system", refuse)
    with pytest.raises(OSError, match="Input/output error"):
        list(store.write_many(some_items()))
    assert list(store.scan()) == [("item0.pkl",)]
    assert files_below(Path(store.base)) == {"item0.pkl"}


def test_a_folder_whose_sync_fails_fails_its_items(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(store.write_many(some_items()))
    real = folders_module.Folder.sync

    def refuse(folder: folders_module.Folder) -> None:
        if folder.path.endswith("folder1"):
            raise OSError(5, "Input/output error", folder.path)
        real(folder)

    monkeypatch.setattr(folders_module.Folder, "sync", refuse)
    told = dict(store.write_many(some_items()))
    assert {name[0] for name, result in told.items() if isinstance(result, OSError)} == {"folder1"}


STEPS = ["lock", "sync", "is_nested", "remove_lock_file"]
"""What a batch does with a folder after opening it; each may fail for lack of descriptors or rights."""


@pytest.fixture(params=["durable", "not durable"])
def either_store(request: pytest.FixtureRequest, tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "base", durability="sync" if request.param == "durable" else "none")


def failing_in(patches: pytest.MonkeyPatch, step: str, *folders: str) -> None:
    """Let a step fail in folders whose paths end so."""
    real = getattr(folders_module.Folder, step)

    def fail(folder: folders_module.Folder, *arguments: Any) -> Any:
        if folder.path.endswith(folders):
            raise OSError(errno.EMFILE, "Too many open files", folder.path)
        return real(folder, *arguments)

    patches.setattr(folders_module.Folder, step, fail)


@pytest.mark.parametrize("expect", [ANY, ABSENT], ids=["any", "absent"])
@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_fails_in_one_folder_fails_no_item_of_another(
    either_store: DirectoryStore, step: str, expect: Expectation
) -> None:
    with pytest.MonkeyPatch.context() as patches:
        failing_in(patches, step, "folder1")
        told = dict(either_store.write_many(some_items(), expect=expect))
    failed = {name for name, result in told.items() if isinstance(result, OSError)}
    assert set(told) == {name for name, _ in some_items()}
    assert {name[0] for name in failed} <= {"folder1"}
    assert set(either_store.scan()) >= set(told) - failed
    assert not [name for name in files_below(Path(either_store.base)) if name.startswith(".@")]


@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_fails_in_one_folder_keeps_no_item_of_another(
    either_store: DirectoryStore, step: str
) -> None:
    names = [name for name, _ in some_items()]
    list(either_store.write_many(some_items()))
    with pytest.MonkeyPatch.context() as patches:
        failing_in(patches, step, "folder1")
        told = dict(either_store.remove_many(names))
    failed = {name for name, result in told.items() if isinstance(result, OSError)}
    assert set(told) == set(names)
    assert {name[0] for name in failed} <= {"folder1"}
    assert set(either_store.scan()) <= failed


@pytest.mark.parametrize("opened", ["folder1", "base"])
def test_a_folder_that_cannot_be_opened_fails_its_items(
    either_store: DirectoryStore, monkeypatch: pytest.MonkeyPatch, opened: str
) -> None:
    list(either_store.write_many(some_items()))

    def refusing(real: Callable[..., folders_module.Folder]) -> Callable[..., folders_module.Folder]:
        def refuse(base: str, parts: tuple[str, ...], *arguments: Any, **named: Any) -> folders_module.Folder:
            if "/".join((base, *parts)).endswith(opened):
                raise OSError(errno.EMFILE, "Too many open files", base)
            return real(base, parts, *arguments, **named)

        return refuse

    for name in "open_folder", "open_local_folder":
        monkeypatch.setattr(batches_module, name, refusing(getattr(batches_module, name)))
    items = [(name, data) for name, data in some_items() if opened == "folder1" or len(name) > 1]
    for told in (
        dict(either_store.write_many(items)),
        dict(either_store.remove_many([name for name, _ in items])),
    ):
        assert set(told) == {name for name, _ in items}
        failed = {name[0] for name, result in told.items() if isinstance(result, OSError)}
        assert failed <= ({"folder1"} if opened == "folder1" else {name[0] for name, _ in items})
        assert "folder1" in failed or opened == "base"


def test_many_folders_do_not_use_up_the_descriptors(store: DirectoryStore) -> None:
    items = [((f"f{n}", "item.pkl"), b"x") for n in range(600)]
    gc.collect()  # what earlier tests left
    before = len(os.listdir("/proc/self/fd"))
    seen = [len(os.listdir("/proc/self/fd")) for _ in store.write_many(items)]
    assert max(seen) - before < 200
    assert len(os.listdir("/proc/self/fd")) <= before


def test_removing_many_tells_which_were_absent(store: DirectoryStore) -> None:
    list(store.write_many(some_items(20)))
    told = dict(
        store.remove_many([("item0.pkl",), ("absent.pkl",), ("folder1", "item1.pkl"), ("no", "where.pkl")])
    )
    assert {name: type(result) for name, result in told.items()} == {
        ("item0.pkl",): type(None),
        ("absent.pkl",): KeyError,
        ("folder1", "item1.pkl"): type(None),
        ("no", "where.pkl"): KeyError,
    }
    assert len(list(store.scan())) == 18
