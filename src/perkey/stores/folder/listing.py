"""Going through a folder and those below it, without following symbolic links.

Memory is constant where `Folder.keeps_places`; elsewhere it holds the names of a folder and of those above.

Each function takes over an open folder and closes it, a generator once it was begun. What is removed while
it is listed is passed over. Listing sweeps away stale temporary files on its way; counting does not.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterator
from itertools import islice

from perkey.answers import system_answer
from perkey.files import (
    AT_ONCE,
    LOCK_FILE,
    OURS,
    STALE_SECONDS,
    TEMPORARY,
    Entry,
    Folder,
    entries_of,
    read_whole,
    stat_all,
    sweep,
)
from perkey.naming import Name, Shape
from perkey.stores.base import Leftover


def names_in(folder: Folder, parts: Name, *, tidy: bool = True) -> Iterator[Name]:
    """Yield the name of each item in and below an open folder; sweep stale files if it is to be tidied."""
    with folder, entries_of(folder) as entries:
        for entry in entries:
            leaf = entry.name
            if not entry.is_file(follow_symlinks=False):
                inner = _enter(folder, entry)
                if inner is not None:
                    yield from names_in(inner, (*parts, leaf), tidy=tidy)
            elif leaf[0] != OURS[0] or not leaf.startswith(OURS):
                yield (*parts, leaf)
            elif tidy and leaf.startswith(TEMPORARY):
                sweep(folder, entry, STALE_SECONDS)


def stats_in(folder: Folder, parts: Name, *, tidy: bool = True) -> Iterator[tuple[Name, os.stat_result]]:
    """Yield each item in and below an open folder with its status; up to 64 are looked at together.

    Stale temporary files are swept away if it is to be tidied.
    """
    with folder, entries_of(folder) as entries:
        while group := list(islice(entries, AT_ONCE)):
            leaves = []
            for entry in group:
                leaf = entry.name
                if not entry.is_file(follow_symlinks=False):
                    inner = _enter(folder, entry)
                    if inner is not None:
                        yield from stats_in(inner, (*parts, leaf), tidy=tidy)
                elif leaf[0] != OURS[0] or not leaf.startswith(OURS):
                    leaves.append(leaf)
                elif tidy and leaf.startswith(TEMPORARY):
                    sweep(folder, entry, STALE_SECONDS)
            for leaf, found in zip(leaves, stat_all(folder, leaves), strict=True):
                if found is not None:  # else removed since it was seen
                    yield (*parts, leaf), found


def entries_in(folder: Folder, parts: Name) -> Generator[tuple[Folder, Name] | None, None, None]:
    """Yield for each entry in and below an open folder an item and its folder, or None; sweep nothing."""
    with folder, folder.scan() as entries:
        for entry in entries:
            name = (*parts, entry.name)
            if entry.is_file(follow_symlinks=False):
                yield None if entry.name.startswith(OURS) else (folder, name)
                continue
            yield None
            inner = _enter(folder, entry)
            if inner is not None:
                yield from entries_in(inner, name)


def leftovers_in(folder: Folder) -> Iterator[Leftover]:
    """Yield what lies in and below an open folder that is not an item."""
    now = time.time()
    with folder:
        yield from _leftovers_in(folder, now)


def _leftovers_in(folder: Folder, now: float) -> Generator[Leftover, None, bool]:
    """Yield as `leftovers_in`, and return whether the folder has nothing but empty folders."""
    empty = True
    with folder.scan() as entries:
        for entry in entries:
            place = f"{folder.path}/{entry.name}"
            if entry.is_file(follow_symlinks=False):
                if entry.name == LOCK_FILE:
                    continue
                empty = False
                if entry.name.startswith(TEMPORARY):
                    age = _age(entry, now)
                    yield Leftover("leftover", place, "an unfinished write", age, age >= STALE_SECONDS)
            elif entry.is_dir(follow_symlinks=False):
                inner = None if entry.name.startswith(OURS) else _enter(folder, entry)
                if inner is None:
                    empty = False
                    continue
                with inner:
                    if (yield from _leftovers_in(inner, now)):
                        yield Leftover("empty_folder", place, "an empty folder", _age(entry, now))
                    else:
                        empty = False
            else:
                empty = False
                what = "a symbolic link" if entry.is_symlink() else "neither a file nor a folder"
                yield Leftover("not_a_file", place, f"{what}, which is not read", _age(entry, now))
    return empty


def _age(entry: os.DirEntry[str], now: float) -> float:
    try:
        return max(0.0, now - entry.stat(follow_symlinks=False).st_mtime)
    except system_answer(FileNotFoundError):
        return 0.0  # removed since it was seen


def count_in(folder: Folder, shape: Shape) -> int:
    """Count the files of a shape in and below an open folder.

    Raises:
        LookupError: Not possible on this file system, see `dirents.count`.
    """
    from perkey.stores.folder.counting import count

    counted = 0
    with folder:
        try:
            whole = None if folder.keeps_places else read_whole(folder)
            for files, folders in count(folder.fileno(), shape, whole):
                counted += files
                for name in folders:
                    try:
                        counted += count_in(folder.enter(name), shape)
                    except system_answer(FileNotFoundError, NotADirectoryError):
                        pass  # removed since it was seen
        except system_answer(FileNotFoundError):
            pass  # removed while it was listed
    return counted


def sweep_in(folder: Folder, parts: Name, min_age: float, is_name: Callable[[Name], bool]) -> int:
    """Remove the temporary files not written to for `min_age` seconds, and return how many were removed.

    The folders below that could be of items, and are empty for as long, are removed, too.

    Args:
        folder: The folder, which is closed; it stays.
        parts: Its name.
        min_age: The age in seconds.
        is_name: Returns whether items may have a name.
    """
    swept = 0
    with folder, folder.scan() as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                if entry.name.startswith(TEMPORARY):
                    swept += sweep(folder, entry, min_age)
                continue
            name = (*parts, entry.name)
            inner = _enter(folder, entry)
            if inner is not None:
                idle = time.time() - os.fstat(inner.fileno()).st_mtime >= min_age
                found = sweep_in(inner, name, min_age, is_name)
                swept += found
                if (idle or found) and is_name(name):
                    try:
                        os.rmdir(entry.name, dir_fd=folder.fileno())
                    except system_answer(OSError):
                        pass  # it is not empty, or may not be removed
    return swept


def _enter(folder: Folder, entry: Entry) -> Folder | None:
    """Return the folder of an entry, open for listing; None if it is not a folder any more."""
    if not entry.is_dir(follow_symlinks=False):
        return None
    try:
        return folder.enter(entry.name)
    except system_answer(FileNotFoundError, NotADirectoryError):
        return None
