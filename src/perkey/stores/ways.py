"""The way from a base folder to a file, which does not follow symbolic links, and what is said of it.

Only the base folder's own path may contain symbolic links.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Final, NoReturn

from perkey.answers import system_answer
from perkey.naming import Name

FOLDER: Final = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
"""How a folder is opened, for listing or for locking."""

PASSAGE: Final = getattr(os, "O_PATH", os.O_RDONLY) | FOLDER
"""How a folder is opened that is only passed through."""

# O_NONBLOCK: a planted FIFO must not block its reader.
READ: Final = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""How a file is opened for reading."""

UNNAMED: Final = os.O_RDWR | getattr(os, "O_TMPFILE", os.O_DIRECTORY)
"""How a folder is opened to make a file in it that has no name; fails where there is no such thing."""

NEEDS_NAME: Final = frozenset((errno.EINVAL, errno.EISDIR, errno.ENOSYS, errno.EOPNOTSUPP))
"""What systems and file systems say for which each file has a name; EISDIR if they never heard of it."""


def open_file(base: str, name: Name) -> int:
    """Open the file `name` below `base` for reading.

    Raises:
        FileNotFoundError, NotADirectoryError: It is not there.
        OSError: A symbolic link is in the way (ELOOP), or rights are missing.
    """
    if len(name) == 1:
        path = f"{base}/{name[0]}"
        try:
            return os.open(path, READ)
        except system_answer(OSError) as error:
            explain(error, path)
    passage = enter(base, name[:-1])
    try:
        return os.open(name[-1], READ, dir_fd=passage)
    except system_answer(OSError) as error:
        explain(error, "/".join((base, *name)))
    finally:
        os.close(passage)


def stat_file(base: str, name: Name) -> os.stat_result:
    """Return the status of the file `name` below `base`; raises as `open_file`."""
    if len(name) == 1:
        found = os.stat(f"{base}/{name[0]}", follow_symlinks=False)
    else:
        passage = enter(base, name[:-1])
        try:
            found = os.stat(name[-1], dir_fd=passage, follow_symlinks=False)
        except system_answer(OSError) as error:
            explain(error, "/".join((base, *name)))
        finally:
            os.close(passage)
    if stat.S_ISLNK(found.st_mode):
        refuse_link("/".join((base, *name)))
    return found


def enter(base: str, parts: Name, flags: int = PASSAGE) -> int:
    """Return a descriptor of the folder `parts` below `base`, following no symbolic link below `base`."""
    path = base
    fd = -1
    for part in parts:
        path = f"{path}/{part}"
        try:
            inner = os.open(path, flags) if fd < 0 else os.open(part, flags, dir_fd=fd)
        except system_answer(OSError) as error:
            explain(error, path)
        finally:
            if fd >= 0:
                os.close(fd)
        fd = inner
    return fd


def explain(error: OSError, path: str) -> NoReturn:
    """Raise `error`, of a system call, with the full path, and say so if it is due to a symbolic link.

    The error itself is raised, not another one of its class, which may take other arguments.
    """
    if error.errno == errno.ELOOP or (error.errno == errno.ENOTDIR and os.path.islink(path)):
        refuse_link(path)
    error.filename = path
    if error.filename2 is not None:
        del error.filename2
    raise error


def is_folder(path: str) -> bool:
    """Return whether a path leads to a folder; what a signal handler raises passes, unlike in `isdir`."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except system_answer(OSError):
        return False


def refuse_link(path: str) -> NoReturn:
    """Raise the error about a symbolic link that is in the way."""
    raise OSError(
        errno.ELOOP,
        "a symbolic link inside a dictionary's folder is not followed; remove or replace it",
        path,
    )
