"""Going through a folder and those below it, in constant memory and without following symbolic links.

Each function takes over an open folder and closes it, a generator once it was begun. What is removed while
it is listed is passed over. Listing sweeps away stale temporary files on its way; counting does not.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

from perkey.answers import system_answer
from perkey.files import OURS, STALE_SECONDS, TEMPORARY, Folder, sweep
from perkey.naming import Name, Shape


def names_in(folder: Folder, parts: Name) -> Iterator[Name]:
    """Yield the name of each item in and below an open folder."""
    with folder, folder.scan() as entries:
        for entry in entries:
            leaf = entry.name
            if not entry.is_file(follow_symlinks=False):
                inner = _enter(folder, entry)
                if inner is not None:
                    yield from names_in(inner, (*parts, leaf))
            elif leaf[0] != OURS[0] or not leaf.startswith(OURS):
                yield (*parts, leaf)
            elif leaf.startswith(TEMPORARY):
                sweep(folder, entry, STALE_SECONDS)


def items_in(folder: Folder, parts: Name) -> Iterator[tuple[Folder, Name]]:
    """Yield each item in and below an open folder, with its own folder, which is open for that moment."""
    for inner, name, entry in _files_in(folder, parts):
        if not entry.name.startswith(OURS):
            yield inner, name
        elif entry.name.startswith(TEMPORARY):
            sweep(inner, entry, STALE_SECONDS)


def count_in(folder: Folder, shape: Shape) -> int:
    """Count the files of a shape in and below an open folder.

    Raises:
        LookupError: Not possible on this file system, see `dirents.count`.
    """
    from perkey.stores.folder.counting import count

    counted = 0
    with folder:
        try:
            for files, folders in count(folder.fileno(), shape):
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
    """Remove the temporary files not written to for `min_age` seconds, and return how many there were.

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


def _files_in(folder: Folder, parts: Name) -> Iterator[tuple[Folder, Name, os.DirEntry[str]]]:
    """Yield each regular file in and below an open folder, with its folder, open for that moment."""
    with folder, folder.scan() as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                yield folder, (*parts, entry.name), entry
            else:
                inner = _enter(folder, entry)
                if inner is not None:
                    yield from _files_in(inner, (*parts, entry.name))


def _enter(folder: Folder, entry: os.DirEntry[str]) -> Folder | None:
    """Return the folder of an entry, open for listing; None if it is not a folder any more."""
    if not entry.is_dir(follow_symlinks=False):
        return None
    try:
        return folder.enter(entry.name)
    except system_answer(FileNotFoundError, NotADirectoryError):
        return None
