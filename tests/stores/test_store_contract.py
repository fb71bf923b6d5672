"""The contract of stores, over every store and wrapper."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from in_folders import FolderContract

from perkey.expectations import Version
from perkey.files import LOCK_FILE, lock, use
from perkey.files import folder as folder_module
from perkey.naming import Name
from perkey.stores import CachedStore, DirectoryStore, MemoryStore, PrefixStore, Store
from perkey.stores.folder import store as directory_module
from perkey.testing import FaultyStore, InsertingStoreContract, StoreContract
from perkey.testing.stores.suite import A


class SharedMemory(StoreContract):
    """In memory there is one handle a place, and what is pickled is a copy."""

    pickles_share_the_place = False

    def make_store(self) -> Store:
        return MemoryStore()

    def reopen(self, store: Store) -> Store:
        return store


class TestMemoryStore(SharedMemory):
    pass


class TestDirectoryStore(FolderContract):
    def make_store(self) -> Store:
        return DirectoryStore(self.tmp_path / "place")

    def test_content_replaced_between_opening_and_looking_is_read_anew(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Losing its name changes a file's change time, which is a part of its version."""
        other = self.reopen(store)
        store.write(A, b"old")
        newer: list[Version] = []

        def open_and_be_overtaken(
            base: str, name: Name, flags: int, act: Callable[..., Any], *arguments: Any
        ) -> Any:
            def wait_and_act(*arguments: Any) -> Any:
                if len(newer) < 3:
                    newer.append(other.write(A, b"new"))
                return act(*arguments)

            return use(base, name, flags, wait_and_act, *arguments)

        monkeypatch.setattr(directory_module, "use", open_and_be_overtaken)
        assert store.read(A) == (b"new", newer[-1])
        assert len(newer) == 3


@pytest.mark.slow
class TestDirectoryStoreOnTheDisk(TestDirectoryStore):
    """Usual runs have their folders in memory, those of the slow tests have them on the disk."""


class TestDirectoryStoreWithoutDurability(FolderContract):
    empty_places_take_long = True

    def make_store(self) -> Store:
        return DirectoryStore(self.tmp_path / "place", durability="none")


class TestDirectoryStoreWhereFoldersCannotBeLocked(FolderContract):
    """A lock file stands in."""

    empty_places_take_long = True

    @pytest.fixture(autouse=True)
    def _no_folder_locks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        forget_linux(monkeypatch)
        monkeypatch.setattr(folder_module, "lock", lambda fd: not is_folder(fd) and lock(fd))

    def make_store(self) -> Store:
        return DirectoryStore(self.tmp_path / "place", durability="none")

    def test_the_lock_file_is_really_what_is_locked(self) -> None:
        store = self.make_store()
        store.write(("x", "a.pkl"), b"one")
        assert (self.tmp_path / "place" / "x" / LOCK_FILE).exists()
        assert list(store.scan()) == [("x", "a.pkl")]


class TestDirectoryStoreWithoutAnyLocks(InsertingStoreContract):
    """Conditions on versions are refused, and of many that insert one still wins."""

    empty_places_take_long = True

    versions_are_told_once = False

    @pytest.fixture(autouse=True)
    def _no_locks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        forget_linux(monkeypatch)
        monkeypatch.setattr(folder_module, "lock", lambda _: False)

    def make_store(self) -> Store:
        return DirectoryStore(self.tmp_path / "place", durability="none")


class TestPrefixStoreOverMemory(SharedMemory):
    empty_places_take_long = True

    def make_store(self) -> Store:
        return PrefixStore(MemoryStore(), ("in", "side"))


class TestPrefixStoreOverAFolder(FolderContract):
    empty_places_take_long = True

    def make_store(self) -> Store:
        return PrefixStore(DirectoryStore(self.tmp_path / "place", durability="none"), ("inside",))


class TestPrefixStoreAmongOtherItems(FolderContract):
    """What lies beside the prefix, or looks like it, is neither seen nor touched."""

    @pytest.fixture(autouse=True)
    def _others(self, own_folder: None) -> None:
        self.inner = DirectoryStore(self.tmp_path / "place", durability="none")
        for name in (("a.pkl",), ("inside.pkl",), ("insider", "a.pkl"), ("in", "inside", "a.pkl")):
            self.inner.write(name, b"beside")

    def make_store(self) -> Store:
        return PrefixStore(PrefixStore(self.inner, ("inside",)), ("deeper",))


class TestCachedStoreInMemory(SharedMemory):
    """The cache is the handles' common one."""

    empty_places_take_long = True

    def make_store(self) -> Store:
        return CachedStore(MemoryStore(), MemoryStore())


class TestCachedStoreOverAFolder(FolderContract):
    """Each handle has a cache of its own, so that what it remembers grows old."""

    def make_store(self) -> Store:
        return CachedStore(DirectoryStore(self.tmp_path / "place", durability="none"), MemoryStore())


class TestCachedStoreWithASharedFolderAsCache(FolderContract):
    empty_places_take_long = True

    def make_store(self) -> Store:
        return CachedStore(
            DirectoryStore(self.tmp_path / "place", durability="none"),
            DirectoryStore(self.tmp_path / "cache", durability="none"),
        )


class TestFaultyStoreWithoutFaults(FolderContract):
    empty_places_take_long = True

    def make_store(self) -> Store:
        return FaultyStore(DirectoryStore(self.tmp_path / "place", durability="none"))


def forget_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do without the system calls that file systems of a network do not know."""
    monkeypatch.setattr("perkey.stores.folder.tmpfile.POSSIBLE", False)
    monkeypatch.setattr("perkey.files.syscalls._renameat2", lambda: None)
    monkeypatch.setattr("perkey.files.folder.Folder.may_have_unnamed", lambda _: False)


def is_folder(fd: int) -> bool:
    return os.path.isdir(f"/proc/self/fd/{fd}")
