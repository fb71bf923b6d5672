"""Where stores are: below caches, in the same place, one within another; and listings to look up in."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from copy import copy as shallow_copy
from itertools import islice
from typing import TypeVar, cast

from perkey.answers import answer, system_answer
from perkey.naming import Name
from perkey.stores import (
    CachedStore,
    DirectoryStore,
    PrefixStore,
    ReadOnlyStore,
    Stat,
    Store,
    WrapperStore,
)

T = TypeVar("T")


def bare_store(store: Store) -> Store:
    """Return a store without the caches in it; copies of other wrappers that lie above one."""
    if isinstance(store, CachedStore):
        return bare_store(store.main)
    if not isinstance(store, WrapperStore):
        return store
    inner = bare_store(store.inner)
    if isinstance(store, PrefixStore):
        return PrefixStore(inner, store.prefix)
    return _with_inner(store, inner)


def _with_inner(store: WrapperStore, inner: Store) -> Store:
    if inner is store.inner:
        return store
    changed = shallow_copy(store)
    changed.inner = inner
    return changed


def with_workers(store: Store, workers: int | None) -> Store:
    """Return a store that makes so many requests at a time, if it makes several."""
    if workers is None or store.workers in {1, workers}:
        return store
    changed = shallow_copy(store)
    if isinstance(changed, WrapperStore):
        changed.inner = with_workers(changed.inner, workers)
    changed.workers = workers
    return changed


def innermost(store: Store) -> Store:
    """Return the store below all wrappers."""
    while isinstance(store, WrapperStore):
        store = store.inner
    return store


def plain_folder(store: Store) -> tuple[DirectoryStore, Name] | None:
    """Return the folder that a store is, and where its names begin there; None for any other store.

    A store that wraps a folder and may change its content is another one.
    """
    below: Name = ()
    while type(store) in {ReadOnlyStore, PrefixStore}:
        wrapper = cast("WrapperStore", store)
        if isinstance(wrapper, PrefixStore):
            below = (*wrapper.prefix, *below)
        store = wrapper.inner
    return (store, below) if type(store) is DirectoryStore else None


def location(store: Store) -> tuple[object, tuple[object, ...]]:
    """Return where a store is: something that distinguishes places, and a path there.

    Parts of the path of folders that exist are devices and inodes, so that links and mounts do not matter.
    """
    below: Name = ()
    while isinstance(store, WrapperStore):
        if isinstance(store, PrefixStore):
            below = (*store.prefix, *below)
        store = store.inner
    base = store.path_of()
    if base is not None:
        return "folder", _chain(os.path.realpath(os.path.join(base, *below)))
    engine = getattr(store, "engine", None)
    if engine is not None:
        return str(getattr(engine, "endpoint", "")), (*store.describe().rstrip("/").split("/"), *below)
    return id(store), below


def _chain(path: str) -> tuple[object, ...]:
    """Return what identifies the root, and each folder down to a path."""
    chain: list[object] = []
    while True:
        try:
            found = os.stat(path)
            chain.append((found.st_dev, found.st_ino))
        except system_answer(OSError):
            chain.append(os.path.basename(path))
        above = os.path.dirname(path)
        if above == path:
            return tuple(reversed(chain))
        path = above


def overlap(first: Store, second: Store) -> bool:
    """Return whether one of two stores is the other one, or lies within it."""
    (place, path), (other_place, other_path) = location(first), location(second)
    if place != other_place:
        return False
    if place == "folder":
        return path[-1] in other_path or other_path[-1] in path
    shorter = min(len(path), len(other_path))
    return path[:shorter] == other_path[:shorter]


def lies_within(target: Store | str, folder: str) -> bool:
    """Return whether a store, or a path, is a folder or lies in it; both may not exist."""
    if isinstance(target, str):
        place: object = "folder"
        path = _chain(os.path.realpath(target))
    else:
        place, path = location(target)
    return place == "folder" and _chain(os.path.realpath(folder))[-1] in path


class Listed:
    """A listing that is looked up by name; on disk, so that memory stays flat.

    Args:
        found: Names and their status in a listing.
    """

    def __init__(self, found: Iterable[tuple[Name, Stat]]) -> None:
        import sqlite3

        self._table = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._table.execute("PRAGMA synchronous=OFF")
        self._table.execute(
            "CREATE TABLE items (name TEXT PRIMARY KEY, version TEXT, mtime REAL, size INTEGER) WITHOUT ROWID"
        )
        self._table.execute("BEGIN")
        self._table.executemany(
            "INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?)",
            (("/".join(name), *stat) for name, stat in found),
        )
        self._table.execute("COMMIT")

    def find(self, name: Name) -> Stat | None:
        """Return the status of an item in the listing, or None."""
        row = self._table.execute(
            "SELECT version, mtime, size FROM items WHERE name = ?", ("/".join(name),)
        ).fetchone()
        return None if row is None else Stat(*row)

    def close(self) -> None:
        """Remove it from the disk."""
        self._table.close()


def grouped(items: Iterable[T], size: int) -> Iterator[tuple[T, ...]]:
    """Yield the items in groups of a size."""
    source = iter(items)
    while group := tuple(islice(source, size)):
        yield group


def stat_or_none(store: Store, name: Name) -> Stat | None:
    """Return the status of an item, or None if it does not exist."""
    try:
        return store.stat(name)
    except answer(KeyError):
        return None
