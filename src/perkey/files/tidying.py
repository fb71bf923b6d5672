"""Folders made and removed, and temporary files that their writers left behind."""

from __future__ import annotations

import errno
import os
import time
from typing import Final

from perkey.answers import system_answer
from perkey.files.entries import Entry
from perkey.files.folder import Folder
from perkey.files.reading import explain, is_folder, refuse_dangling
from perkey.naming import Name

STALE_SECONDS: Final = 3600.0
"""After so long without being written to, a temporary file is taken for a dead writer's."""

_KEEPS_FOLDER: Final = frozenset(
    (
        errno.ENOTEMPTY,
        errno.EEXIST,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.ELOOP,
        errno.EBUSY,
        errno.EINVAL,
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ESTALE,
    )
)
"""Why a folder that may be empty stays."""

_NOT_OURS_TO_TIDY: Final = frozenset((errno.ENOENT, errno.ESTALE, errno.EACCES, errno.EPERM, errno.EROFS))


def make_folder(base: str, parts: Name, *, durable: bool) -> None:
    """Make a folder and all above it, as the umask wants; those that exist are left as they are.

    Args:
        base: The base folder.
        parts: The folder below it.
        durable: Whether the new folders are on disk when this returns.
    """
    make_base(base, durable=durable)
    for depth in range(len(parts)):
        with Folder.at(base, parts[:depth]) as above:
            try:
                os.mkdir(parts[depth], dir_fd=above.fileno())
                if durable:
                    above.sync()
            except system_answer(FileExistsError):
                pass
            except system_answer(OSError) as error:
                explain(error, f"{above.path}/{parts[depth]}")


def remove_emptied(base: str, parts: Name) -> None:
    """Remove a folder and those above it, but not the base folder, as long as they are empty.

    A writer that is about to put something there notices, and makes the folder again.
    """
    for depth in range(len(parts), 0, -1):
        try:
            with Folder.at(base, parts[: depth - 1], lockable=False) as above:
                os.rmdir(parts[depth - 1], dir_fd=above.fileno())
        except system_answer(OSError) as error:
            if error.errno not in _KEEPS_FOLDER:
                raise
            return


def make_base(base: str, *, durable: bool) -> None:
    """Make the base folder and all above it, unless they exist.

    Raises:
        NotADirectoryError: A file is in its place.
    """
    missing = []
    path = base
    while not is_folder(path):
        missing.append(path)
        path = os.path.dirname(path)
    for path in reversed(missing):
        try:
            os.mkdir(path)
        except system_answer(FileExistsError):
            refuse_dangling(path)
            if not is_folder(path):
                raise NotADirectoryError(
                    errno.ENOTDIR, "a file is where the folder should be", path
                ) from None
        if durable:
            with Folder.at(os.path.dirname(path), (), lockable=False) as above:
                above.sync()


def discard(folder: Folder, temporary: str) -> None:
    """Remove a temporary file of our own, if it is still there under that name."""
    try:
        folder.unlink(temporary)
    except system_answer(FileNotFoundError):
        pass  # renamed already, or gone with its folder


def sweep(folder: Folder, entry: Entry, min_age: float) -> bool:
    """Remove a temporary file that was not written to for `min_age` seconds; return whether it was removed.

    If its writer lives after all, it notices, and writes again.
    """
    try:
        if time.time() - entry.stat(follow_symlinks=False).st_mtime < min_age:
            return False
        folder.unlink(entry.name)
    except system_answer(OSError) as error:
        if error.errno not in _NOT_OURS_TO_TIDY:
            raise
        return False
    return True
