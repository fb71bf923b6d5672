"""New files that have no name until they are whole (O_TMPFILE of Linux), for writes without syncs.

Such a file gets its only name by link(2), which is atomic and refuses a name that is taken. So an insertion
needs no lock: a writer that compares under the lock compares with a file that exists, which cannot be
inserted, or inserts by a call that refuses, too. That takes three quarters of the time of a temporary name
and a rename under the lock, and a dead writer leaves nothing behind.

Durable writes go the other way: in ext4 without a journal a power failure could leave the name of a file
whose inode has a link count of zero.
"""

from __future__ import annotations

import errno
import os
import stat as modes
from collections.abc import Sequence
from functools import partial
from itertools import repeat
from typing import Final

from perkey.answers import system_answer
from perkey.content import Data
from perkey.files import (
    NEEDS_NAME,
    PASSAGE,
    UNNAMED,
    Folder,
    Handle,
    begin_many,
    fill,
    next_time,
    use,
    write_first,
)
from perkey.naming import Name

_ALL_MAY: Final = 0o666  # as far as the umask lets them
_PROCESS: Final = "/proc/self"
POSSIBLE = hasattr(os, "O_TMPFILE") and os.path.isdir(f"{_PROCESS}/fd")
_REFUSALS: Final = NEEDS_NAME | {errno.EACCES, errno.EPERM, errno.EXDEV}
"""Errors of link(2) where it is never allowed, although the folder can be written to."""

_able: dict[str, bool] = {}
"""Base folders to whether it can be done there, so that this is checked once."""


def insert_tmpfile(base: str, name: Name, data: Data) -> bool:
    """Insert an item if it is absent, without durability.

    No version is returned: a moment later the item may have been replaced, which changes its file's
    change time.

    Args:
        base: The base folder.
        name: The item.
        data: Its content.

    Returns:
        Whether it was inserted. If there is an item already, or this cannot be done, nothing was changed, and
        a write under the lock does it or raises.

    Raises:
        OSError: The data cannot be written; nothing was changed.
    """
    if not _able.get(base, POSSIBLE):
        return False
    if len(name) == 1:
        return _insert(base, name, data, [], None)
    entered: list[int] = []
    try:
        return use(base, name[:-1], PASSAGE, _insert, base, name, data, entered)
    except system_answer(OSError):
        if entered:
            raise
        return False


def _insert(base: str, name: Name, data: Data, entered: list[int], folder: int | None) -> bool:
    """Insert as `insert_tmpfile`, into the base folder or an open one, which is added to `entered`."""
    if folder is None:
        here, leaf = base, f"{base}/{name[0]}"
    else:
        entered.append(folder)
        here, leaf = ".", name[-1]
    if os.access(leaf, os.F_OK, dir_fd=folder):
        return False  # seen before the cost of a file
    with Handle() as file:
        try:
            fd = file.open(here, UNNAMED, _ALL_MAY, folder)
        except system_answer(OSError) as error:
            if error.errno in NEEDS_NAME:
                _able[base] = False
            return False
        if base not in _able and not _has_right_mode(base, fd):
            return False
        fill(fd, data, leaf if folder is None else "/".join((base, *name)))
        stamp = next_time(None)
        os.utime(fd, ns=(stamp, stamp))
        try:
            # With a descriptor of a folder, which an absolute path does not need, links are followed.
            os.link(f"{_PROCESS}/fd/{fd}", leaf, src_dir_fd=fd, dst_dir_fd=folder, follow_symlinks=True)
        except system_answer(OSError) as error:
            if error.errno in _REFUSALS or not os.path.isdir(f"{_PROCESS}/fd"):
                _able[base] = False
            return False
        return True


def insert_first(
    base: str, folder: Folder, leaves: Sequence[str], data: Sequence[bytes], times: Sequence[int | None]
) -> list[os.stat_result]:
    """Insert the first of many items that are absent, and return their status; as `insert_tmpfile`.

    The names are given under the lock. So each status is that of the item, and its version can be returned.

    Args:
        base: The base folder.
        folder: The folder of all of them.
        leaves: Their names there.
        data: Their contents.
        times: The time that each is to have, in nanoseconds; None means the time of writing.
    """
    if not _able.get(base, POSSIBLE):
        return []
    with Handle(lockable=True) as files:  # so that a forked child does not keep them open
        opened = files.open_first(repeat(".", len(data)), UNNAMED, _ALL_MAY, folder.fileno())
        if not opened or (base not in _able and not _has_right_mode(base, opened[0])):
            return []
        whole = write_first(opened, data)
        try:
            if folder.lock() and not folder.is_nested():
                return _name_first(base, folder, opened[:whole], leaves, times)
        finally:
            folder.unlock()
    return []


def _name_first(
    base: str, folder: Folder, opened: Sequence[int], leaves: Sequence[str], times: Sequence[int | None]
) -> list[os.stat_result]:
    """Give the first of some files their names, and return their status; the folder is locked."""
    turns = begin_many(folder, leaves)
    for fd, wanted in zip(opened, times, strict=False):
        stamp = wanted or next_time(None)
        os.utime(fd, ns=(stamp, stamp))
    here = folder.fileno()
    link = partial(os.link, src_dir_fd=here, dst_dir_fd=here, follow_symlinks=True)
    linked: list[None] = []
    try:
        linked.extend(map(link, [f"{_PROCESS}/fd/{fd}" for fd in opened], leaves))
    except system_answer(OSError) as error:
        if error.errno in _REFUSALS:
            _able[base] = False
    looked = map(os.fstat, opened[: len(linked)])
    return [
        found if found.st_nlink else turns.before(leaf, found)
        for leaf, found in zip(leaves, looked, strict=False)
    ]


def _has_right_mode(base: str, fd: int) -> bool:
    """Return whether such files get the rights of others, and remember it.

    Some kernels before 6.0 forget the umask, and old C libraries the mode.
    """
    umask = _umask()
    right = modes.S_IMODE(os.fstat(fd).st_mode) == _ALL_MAY & ~umask
    if umask or not right:  # else it is unknown
        _able[base] = right
    return right


def _umask() -> int:
    """Return the umask, which Python can read only by changing it; all bits if it is unknown."""
    try:
        with open(f"{_PROCESS}/status", encoding="ascii", errors="replace") as lines:
            return next((int(line.split()[1], 8) for line in lines if line.startswith("Umask:")), _ALL_MAY)
    except system_answer(OSError):
        return _ALL_MAY
