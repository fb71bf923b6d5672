"""A full disk: each write fails at once with a clear error, the old value is intact, nothing is left."""

import errno
import os
import resource
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from strangers import in_child, make_filled, needs_mount, tree

from perkey import FileDirDict

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    make_filled(tmp_path / "d")
    return tmp_path / "d"


class TestFullDisk:
    def check(self, folder: Path, large: object) -> None:
        """Write more than there is room for, in every way, and look at what is left."""
        d = FileDirDict[Any](folder)
        before = tree(folder)
        writes: list[Callable[[], object]] = [
            lambda: d.__setitem__("a", large), lambda: d.__setitem__("new", large),
            lambda: d.__setitem__(("x", "y"), large), lambda: d.setdefault("new", large),
            lambda: d.transform_item("a", transformer=lambda _: large), lambda: d.update({("a",): large}),
        ]  # fmt: skip
        for write in writes:
            with pytest.raises(OSError, match=r"large|space") as caught:
                write()
            assert caught.value.errno in {errno.ENOSPC, errno.EFBIG}
            assert str(caught.value.filename).startswith(str(folder))
            assert tree(folder) == before
        d["a"] = 2
        assert (d["a"], d["x", "y"]) == (2, {"deep": "value"})

    @pytest.mark.parametrize("size", [50_000, 3_000_000])
    def test_by_a_limit_for_files(self, filled: Path, size: int) -> None:
        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

        large = np.random.default_rng(0).bytes(size)
        in_child(lambda: self.check(filled, large), limit)

    @pytest.mark.parametrize("first", [0, 1])
    def test_by_a_write_that_fails_at_once_or_halfway(
        self, filled: Path, monkeypatch: pytest.MonkeyPatch, first: int
    ) -> None:
        write = os.write
        written: list[int] = []

        def run_out(fd: int, data: Any) -> int:
            if len(data) < 1000:
                return write(fd, data)
            written.append(fd)
            if len(written) <= first:
                return write(fd, memoryview(data)[: len(data) // 2])
            written.clear()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        large = np.random.default_rng(0).bytes(50_000)
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", run_out)
            self.check(filled, large)

    @needs_mount
    @pytest.mark.parametrize("size", [200_000, 3_000_000])
    def test_of_a_real_file_system(self, tmp_path: Path, size: int) -> None:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", tmp_path], check=True)
        try:
            make_filled(tmp_path / "d")
            self.check(tmp_path / "d", np.random.default_rng(0).bytes(size))
        finally:
            subprocess.run(["umount", tmp_path], check=True)

    @needs_mount
    def test_that_is_filled_by_small_values_keeps_them_all(self, tmp_path: Path) -> None:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", tmp_path], check=True)
        try:
            d = FileDirDict[bytes](tmp_path, digest_len=0)
            values: dict[str, bytes] = {}
            with pytest.raises(OSError, match="No space"):  # noqa: PT012 - which of them fails is not known
                for number in range(1000):
                    value = np.random.default_rng(number).bytes(3000)
                    d[f"k{number}"] = value
                    values[f"k{number}"] = value
            assert len(values) > 10
            assert d == {(key,): value for key, value in values.items()}
            del d["k0"]
            d["k0"] = values["k0"]
            assert sorted(os.listdir(tmp_path)) == sorted(f"{key}.pkl" for key in values)
        finally:
            subprocess.run(["umount", tmp_path], check=True)

    @pytest.mark.parametrize("key", ["a", "new", ("x", "y")])
    def test_that_shows_at_the_sync_fails_the_write_and_is_not_tried_again(
        self, filled: Path, monkeypatch: pytest.MonkeyPatch, key: Any
    ) -> None:
        """A second fsync would report success although the data is lost."""
        d = FileDirDict[Any](filled)
        before = tree(filled)
        tried: list[int] = []

        def fail(fd: int) -> None:
            tried.append(fd)
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            with pytest.raises(OSError, match=f"{os.strerror(errno.EIO)}.*pkl"):
                d[key] = 5
        assert len(tried) == 1
        assert tree(filled) == before
