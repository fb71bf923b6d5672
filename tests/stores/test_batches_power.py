"""Batches survive a loss of power: what is acknowledged is on the disk, and no value there is torn."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from power_loss import Disk

from perkey import FileDirDict, copy
from perkey.content import TimedBytes
from perkey.expectations import ABSENT, ANY
from perkey.naming import Name
from perkey.stores import DirectoryStore
from perkey.stores.folder import batches
from perkey.tools.copying import Copied

COUNT = 150


def names() -> Iterator[Name]:
    return ((f"folder{n % 3}", f"in{n % 2}", f"item{n}") if n % 4 else (f"item{n}",) for n in range(COUNT))


@pytest.fixture(params=["syncfs", "fsync of each"], autouse=True)
def _syncs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the file system's own sync, whose effect the disk is told, and on systems that have none."""

    def sync_all(folder: Any) -> bool:
        for place, _, files in os.walk(folder.path, topdown=False):
            for path in (*(os.path.join(place, name) for name in files), place):
                fd = os.open(path, os.O_RDONLY)
                try:
                    os.fsync(fd)
                finally:
                    os.close(fd)
        return True

    does = request.param == "syncfs"
    monkeypatch.setattr(batches, "sync_file_system", sync_all if does else lambda _: False)


class Streamed:
    """Data that comes in pieces."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def write_to(self, file: Any) -> None:
        file.write(self.content[:1])
        file.write(self.content[1:])


def timed(content: bytes) -> TimedBytes:
    data = TimedBytes(content)
    data.mtime_ns = 1_700_000_000_123_456_700
    return data


class Image:
    """What a store's folder holds after a loss of power at this moment."""

    def __init__(self, disk: Disk, base: str, place: Path) -> None:
        self._disk, self._base, self._place = disk, base, place
        self._number = 0

    def now(self) -> dict[str, bytes]:
        self._number += 1
        target = self._place / f"image{self._number}"
        self._disk.write(self._base, target)
        return {
            str(path.relative_to(target)): path.read_bytes()
            for path in target.rglob("*")
            if path.is_file() and not path.name.startswith(".@")
        }


@pytest.mark.parametrize("expect", [ABSENT, ANY, "version"])
@pytest.mark.parametrize("kind", [bytes, timed, Streamed])
def test_what_is_yielded_is_on_the_disk_and_all_else_is_old_or_new(
    tmp_path: Path, kind: Callable[[bytes], Any], expect: Any
) -> None:
    store = DirectoryStore(tmp_path / "base")
    old: dict[str, bytes] = {}
    versions: dict[Name, Any] = {}
    if expect is not ABSENT:
        versions = dict(store.write_many((name, b"old " + name[-1].encode()) for name in names()))
        old = {"/".join(name): b"old " + name[-1].encode() for name in names()}
    new = {"/".join(name): b"new " + name[-1].encode() * 9 for name in names()}
    disk = Disk(store.base)
    image = Image(disk, store.base, tmp_path)
    renamed = 0

    def check(*_: object) -> None:
        nonlocal renamed
        renamed += 1
        if renamed % 40 == 1:
            for name, content in image.now().items():
                assert content in {old.get(name), new[name]}

    items = ((name, kind(new["/".join(name)])) for name in names())
    written: set[str] = set()
    with disk.recording(check):
        expectation: Any = versions.__getitem__ if expect == "version" else expect
        for name, version in store.write_many(items, expect=expectation):
            assert isinstance(version, str)
            written.add("/".join(name))
            if len(written) in {1, COUNT}:
                there = image.now()
                assert {each: there.get(each) for each in written} == {each: new[each] for each in written}
    assert len(written) == COUNT


@pytest.mark.parametrize("overwrites", [False, True])
def test_what_a_copy_reports_is_on_the_disk(tmp_path: Path, overwrites: bool) -> None:
    src = FileDirDict[str](tmp_path / "src", "txt", durability="none")
    src.update({name: "new" + name[-1] for name in names()})
    dst = FileDirDict[str](tmp_path / "dst", "txt")
    if overwrites:
        dst.update(dict.fromkeys(names(), "old"))
    disk = Disk(tmp_path / "dst")
    image = Image(disk, str(tmp_path / "dst"), tmp_path)
    copied: list[str] = []

    def note(item: Copied) -> None:
        copied.append("new" + item.key[-1])
        if len(copied) in {1, COUNT}:
            there = {content.decode() for content in image.now().values()}
            assert set(copied) <= there

    with disk.recording():
        assert copy(src, dst, on_item=note).copied == COUNT
    assert sorted(content.decode() for content in image.now().values()) == sorted(copied)
