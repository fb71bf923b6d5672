"""Giving a file another folder: out of the way of a dictionary, and back."""

from __future__ import annotations

import errno
import os
import stat as modes
from functools import partial
from typing import Final

from perkey.answers import system_answer
from perkey.errors import ConflictError
from perkey.expectations import ABSENT, Expectation, refuse
from perkey.files import Folder, begin_turn, compare, raise_absent
from perkey.naming import Name

_NO_LINKS: Final = frozenset((errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK))


def move_item(
    source: Folder, name: Name, goal: Folder, target: Name, expect: Expectation, *, locked: bool
) -> None:
    """Move a file from one open folder to another.

    It gets its new name before it loses the old one, so that it has one at every moment, and no file that is
    there is replaced. Where the file system lacks hard links, it is renamed if the new name is free.

    Args:
        source: The folder that it is in.
        name: The item.
        goal: The folder that it is to be in.
        target: Its new name.
        expect: What it must be at.
        locked: Whether `source` is locked. Without, a version cannot be expected.

    Raises:
        KeyError, ConflictError: As for `Store.move`.
    """
    if not locked and isinstance(expect, str):
        raise refuse(source.path, "remove", "version", source.no_locks)
    moved = False
    while not moved:
        turn = begin_turn(source.hold, source.fileno(), name[-1])
        found = compare(source, name, expect)
        if found is None or not modes.S_ISREG(found.st_mode):
            raise_absent(name, expect)
        if _link(source, name[-1], goal, target):
            moved = source.unlink(name[-1], turn)
            if not moved:  # a nested write has replaced the item
                goal.unlink(target[-1])
        else:
            rename = partial(os.rename, src_dir_fd=source.fileno(), dst_dir_fd=goal.fileno())
            moved = turn.take(rename, name[-1], target[-1])


def _link(source: Folder, leaf: str, goal: Folder, target: Name) -> bool:
    """Give a file a second name in another folder; return False where the file system lacks links.

    Raises:
        ConflictError: The name is taken.
    """
    try:
        os.link(
            leaf,
            target[-1],
            src_dir_fd=source.fileno(),
            dst_dir_fd=goal.fileno(),
            follow_symlinks=False,
        )
    except system_answer(FileExistsError):
        raise ConflictError(target, ABSENT) from None
    except system_answer(OSError) as error:
        if error.errno not in _NO_LINKS:
            raise
        if goal.stat(target[-1]) is not None:
            raise ConflictError(target, ABSENT) from None
        return False
    return True
