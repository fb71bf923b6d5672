"""New files that have no name until they are whole (O_TMPFILE of Linux), for writes without syncs.

Such a file gets its only name by link(2), which is atomic and refuses a name that is taken. So an insertion
needs no lock: whoever compares under the lock compares with a file that is there, which nobody can insert, or
inserts by a call that refuses, too. That takes three quarters of the time of a temporary name and a rename
under the lock, and a dead writer leaves nothing behind.

Durable writes go the other way: in ext4 without a journal a power failure could leave the name of a file
whose inode says that it has none.
"""

from __future__ import annotations

import errno
import os
from typing import Final

from perkey.content import Data
from perkey.naming import Name
from perkey.stores import stamps
from perkey.stores.placing import fill
from perkey.stores.ways import enter

_UNNAMED: Final = os.O_RDWR | getattr(os, "O_TMPFILE", 0)
_PROCESS: Final = "/proc/self/fd"
_UNABLE: Final = frozenset(
    (errno.EINVAL, errno.EISDIR, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EXDEV)
)

_POSSIBLE = hasattr(os, "O_TMPFILE") and os.path.isdir(_PROCESS)

_in_vain: set[str] = set()
"""Base folders on file systems that cannot do it, so that it is tried once."""


def insert_unnamed(base: str, name: Name, data: Data) -> bool:
    """Insert an item if it is absent, without durability.

    The version is not to be had: a moment later the item may have been replaced, which changes its file's
    change time.

    Args:
        base: The base folder.
        name: The item.
        data: Its content.

    Returns:
        Whether it was inserted. If there is an item already, or this cannot be done, nothing was changed, and
        a write under the lock does it, or says why not.

    Raises:
        OSError: The data cannot be written; nothing was changed.
    """
    if base in _in_vain or not _POSSIBLE:
        return False
    if len(name) == 1:
        return _insert(base, name, None, data)
    try:
        folder = enter(base, name[:-1])
    except OSError:
        return False
    try:
        return _insert(base, name, folder, data)
    finally:
        os.close(folder)


def _insert(base: str, name: Name, folder: int | None, data: Data) -> bool:
    """Insert as `insert_unnamed`, into the base folder or into one that is open."""
    if folder is None:
        here, leaf = base, f"{base}/{name[0]}"
    else:
        here, leaf = ".", name[-1]
    if os.access(leaf, os.F_OK, dir_fd=folder):
        return False  # seen before the cost of a file
    try:
        fd = os.open(here, _UNNAMED, 0o666, dir_fd=folder)
    except OSError as error:
        _remember(base, error)
        return False
    try:
        fill(fd, data, leaf if folder is None else "/".join((base, *name)))
        stamp = stamps.next_time(None)
        os.utime(fd, ns=(stamp, stamp))
        try:
            # With a descriptor of a folder, which an absolute path does not need, links are followed.
            os.link(f"{_PROCESS}/{fd}", leaf, src_dir_fd=fd, dst_dir_fd=folder, follow_symlinks=True)
        except OSError as error:
            _remember(base, error)
            return False
        return True
    finally:
        os.close(fd)


def _remember(base: str, error: OSError) -> None:
    if error.errno in _UNABLE:
        _in_vain.add(base)
