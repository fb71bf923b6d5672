"""Folders that are deleted or read-only: a clear error at once, the old value intact, no litter."""

import errno
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from strangers import make_filled, needs_mount, tree, without_rights

from perkey import (
    ETAG_IS_THE_SAME,
    ITEM_NOT_AVAILABLE,
    KEEP_CURRENT,
    FileDirDict,
    WriteOnceDict,
)
from perkey.errors import BulkOperationError
from perkey.stores import DirectoryStore

pytestmark = pytest.mark.timeout(120)


READS: dict[str, Callable[[FileDirDict[Any]], object]] = {
    "get": lambda d: (d["a"], d["x", "y"], d.get("none"), ("a",) in list(d)),
    "list": lambda d: (len(d), sorted(d), sorted(d.items()), d.random_key() is None),
    "parts": lambda d: (sorted(d.subdicts()), d.get_subdict("x").copy(), len(d.get_subdict("none"))),
    "times": lambda d: (d.timestamp("a") > 0, len(d.newest_keys()), d.oldest_values() != []),
    "etags": lambda d: (d.etag("a") == d.get_with_etag("a").actual_etag, d.get_with_etag("a").new_value),
    "no change": lambda d: (
        d.setdefault("a", 0),
        d.transform_item("a", transformer=lambda _: KEEP_CURRENT).new_value,
    ),
}

WRITES: dict[str, Callable[[FileDirDict[Any]], object]] = {
    "new": lambda d: d.__setitem__("new", 1),
    "existing": lambda d: d.__setitem__("a", 2),
    "existing, large": lambda d: d.__setitem__("a", np.arange(300_000)),
    "in a folder": lambda d: d.__setitem__(("x", "y"), 2),
    "new in a folder": lambda d: d.__setitem__(("x", "new"), 2),
    "in a new folder": lambda d: d.__setitem__(("new", "z"), 1),
    "delete": lambda d: d.__delitem__("a"),
    "delete in a folder": lambda d: d.__delitem__(("x", "y")),
    "pop": lambda d: d.pop("a"),
    "popitem": lambda d: d.popitem(),
    "clear": lambda d: d.clear(),
    "setdefault": lambda d: d.setdefault("new", 1),
    "setdefault_if": lambda d: d.setdefault_if(
        "new", default_value=1, condition=ETAG_IS_THE_SAME, expected_etag=ITEM_NOT_AVAILABLE
    ),
    "set_item_if": lambda d: d.set_item_if(
        "a", value=2, condition=ETAG_IS_THE_SAME, expected_etag=d.etag("a")
    ),
    "transform_item": lambda d: d.transform_item("a", transformer=lambda v: v + 1),
    "update": lambda d: d.update({("a",): 5, ("new",): 6}),
}


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    make_filled(tmp_path / "d")
    return tmp_path / "d"


def chmod_all(folder: Path, folders: int) -> None:
    for path in [folder, *(p for p in folder.rglob("*") if p.is_dir())]:
        path.chmod(folders)


@pytest.fixture
def read_only(filled: Path) -> Iterator[Path]:
    """Yield a filled folder that may be read only."""
    chmod_all(filled, 0o555)
    yield filled
    chmod_all(filled, 0o755)


def expect_failure(folder: str | Path, act: Callable[[FileDirDict[Any]], object], number: int) -> None:
    """Run a write that must fail with an error that has a number and the whole path of what it is about."""
    with pytest.raises((OSError, BulkOperationError)) as caught:
        act(FileDirDict(folder))
    raised = caught.value
    for error in raised.failures.values() if isinstance(raised, BulkOperationError) else [raised]:
        assert isinstance(error, OSError)
        assert (error.errno, str(error.filename).startswith(f"{folder}/")) == (number, True), error


class TestReadOnlyFolder:
    @pytest.mark.parametrize("way", READS)
    def test_can_be_opened_and_read(self, read_only: Path, way: str) -> None:
        before = tree(read_only)
        seen = without_rights(read_only, lambda here: READS[way](FileDirDict(here)))
        assert seen == READS[way](FileDirDict(read_only.parent / "d"))
        assert without_rights(read_only, lambda here: FileDirDict(here)["a"]) == 1
        assert set(before) - set(tree(read_only)) <= {".@perkey-tmp-dead-1"}

    @pytest.mark.parametrize("way", WRITES)
    def test_refuses_every_write_at_once(self, read_only: Path, way: str) -> None:
        before = tree(read_only)
        without_rights(read_only, lambda here: expect_failure(here, WRITES[way], errno.EACCES))
        assert tree(read_only) == before

    def test_lets_a_write_once_value_be_compared(self, read_only: Path) -> None:
        def write_same(here: str) -> int:
            d = WriteOnceDict[Any](FileDirDict(here), 1)
            d.setdefault("a", 1)
            return d.consistency_checks_passed

        assert without_rights(read_only, write_same) == 0


class TestMissingRights:
    def test_a_value_that_may_not_be_read_says_so_and_is_not_damaged(self, filled: Path) -> None:
        (path,) = filled.glob("a_*.pkl")
        path.chmod(0)

        def read(here: str) -> tuple[object, int]:
            with pytest.raises(PermissionError, match=path.name):
                FileDirDict(here)["a"]
            return FileDirDict(here)["x", "y"], len(FileDirDict(here))

        assert without_rights(filled, read) == ({"deep": "value"}, 2)

    @pytest.mark.parametrize("mode", [0o000, 0o444])
    def test_a_folder_that_may_not_be_entered_is_not_taken_for_empty(self, filled: Path, mode: int) -> None:
        (inner,) = filled.glob("x_*")
        inner.chmod(mode)

        def use(here: str) -> None:
            d = FileDirDict[Any](here)
            uses: list[Callable[[], object]] = [
                lambda: d["x", "y"], lambda: d.get(("x", "y")), lambda: d.__contains__(("x", "y")), d.copy,
                lambda: d.setdefault(("x", "y"), 1), lambda: d.__setitem__(("x", "y"), 1),
                lambda: d.etag(("x", "y")),
            ]  # fmt: skip
            for act in uses:
                with pytest.raises(PermissionError, match=inner.name):
                    act()

        without_rights(filled, use)
        inner.chmod(0o755)
        assert FileDirDict(filled)["x", "y"] == {"deep": "value"}

    def test_a_folder_that_may_not_be_made_says_so(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o555)

        def build(here: str) -> None:
            for path in (f"{here}/new", f"{here}/new/deeper"):
                with pytest.raises(PermissionError, match="new"):
                    FileDirDict(path)

        without_rights(tmp_path, build)
        tmp_path.chmod(0o755)
        assert tree(tmp_path) == {}

    def test_a_file_where_the_folder_should_be_says_so(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        for path in (tmp_path / "file", tmp_path / "file" / "deeper"):
            with pytest.raises(NotADirectoryError, match="file"):
                FileDirDict(path)


@needs_mount
class TestReadOnlyMount:
    @pytest.fixture
    def mounted(self, tmp_path: Path) -> Iterator[Path]:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path], check=True)
        make_filled(tmp_path / "d")
        subprocess.run(["mount", "-o", "remount,ro", tmp_path], check=True)
        yield tmp_path / "d"
        subprocess.run(["umount", tmp_path], check=True)

    @pytest.mark.parametrize("way", READS)
    def test_can_be_opened_and_read(self, mounted: Path, way: str) -> None:
        before = tree(mounted)
        assert READS[way](FileDirDict(mounted))
        assert tree(mounted) == before

    def test_refuses_every_write_at_once(self, mounted: Path) -> None:
        before = tree(mounted)
        for act in WRITES.values():
            expect_failure(mounted, act, errno.EROFS)
        assert tree(mounted) == before

    def test_refuses_a_new_folder(self, mounted: Path) -> None:
        with pytest.raises(OSError, match=r"Read-only.*new"):
            FileDirDict(mounted.parent / "new")


class DeletesItsFolder:
    """Data during whose writing somebody deletes the folder, so many times."""

    def __init__(self, folder: Path, times: int) -> None:
        self.folder = folder
        self.times = times

    def write_to(self, file: BinaryIO) -> None:
        if self.times:
            self.times -= 1
            shutil.rmtree(self.folder)
        file.write(b"data")


class TestDeletedFolder:
    @pytest.mark.parametrize("durability", ["sync", "none"])
    @pytest.mark.parametrize("key", ["a", ("x", "y"), ("x", "y", "z")])
    def test_is_empty_and_made_anew_by_the_next_write(self, filled: Path, durability: Any, key: Any) -> None:
        d = FileDirDict[Any](filled, durability=durability)
        inner = d.get_subdict("x")
        shutil.rmtree(filled)
        assert (len(d), list(d), d.get("a"), d.subdicts(), len(inner), d.random_key()) == (
            0,
            [],
            None,
            {},
            0,
            None,
        )
        assert not d.discard("a")
        d.clear()
        with pytest.raises(KeyError):
            del d["x", "y"]
        assert not filled.exists()
        d[key] = "new"
        assert d[key] == "new"
        assert len(d) == 1

    @pytest.mark.parametrize("name", [("a.pkl",), ("x", "a.pkl"), ("x", "y", "a.pkl")])
    @pytest.mark.parametrize("times", [1, 5])
    def test_under_a_write_is_made_anew(self, tmp_path: Path, name: Any, times: int) -> None:
        store = DirectoryStore(tmp_path / "d")
        store.write(name, b"old")
        version = store.write(name, DeletesItsFolder(tmp_path / "d", times))
        assert store.read(name) == (b"data", version)
        assert [path for path in tree(tmp_path) if path.endswith(".pkl")] == ["/".join(("d", *name))]
        assert not [path for path in tree(tmp_path) if "tmp" in path]

    def test_that_somebody_replaced_by_another_is_written_to(self, filled: Path) -> None:
        """The handle holds nothing open: it is the path that counts."""
        d = FileDirDict[Any](filled)
        filled.rename(filled.parent / "aside")
        FileDirDict[Any](filled)["b"] = 2
        d["c"] = 3
        assert d == {"b": 2, "c": 3}
        assert FileDirDict(filled.parent / "aside")["a"] == 1
