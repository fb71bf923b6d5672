"""Temporary files: their names, and what becomes of those whose writers died."""

from __future__ import annotations

import errno
import itertools
import os
import re
import time
from typing import Final

from perkey.answers import system_answer
from perkey.files.folder import Folder

OURS: Final = ".@perkey-"
"""The beginning of the names of all files that are not items; a key cannot contain "@"."""

SCRATCH: Final = ".@perkey"
"""The folder for what is not an item or a job; beside items it would be listed as a foreign file."""

TEMPORARY: Final = OURS + "tmp-"
"""The beginning of the names of temporary files."""

STALE_SECONDS: Final = 3600.0
"""After so long without being written to, a temporary file is taken for a dead writer's."""

_NOT_OURS_TO_TIDY: Final = frozenset((errno.ENOENT, errno.ESTALE, errno.EACCES, errno.EPERM, errno.EROFS))

# A process' own mark, so that two hosts with equal process numbers never meet; renewed after a fork.
_mark = os.urandom(9).hex()
_counter = itertools.count()


def _renew_mark() -> None:
    global _mark  # noqa: PLW0603 - belongs to the process
    _mark = os.urandom(9).hex()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_mark)


def temporary_name() -> str:
    """Return a name that no key has and no other writer uses, on whatever host."""
    return f"{TEMPORARY}{_mark}-{next(_counter):x}"


def signed_name() -> str:
    """Return a name as `temporary_name` that also names the process and the host that use it."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", os.uname().nodename)[:64]
    return f"{temporary_name()}-{os.getpid()}-{host}"


def writer_of(name: str) -> str:
    """Return the host and the process that a name of `signed_name` names; empty for other names."""
    parts = name.removeprefix(TEMPORARY).split("-", 3)
    return f"host {parts[3]}, process {parts[2]}" if len(parts) == 4 else ""  # noqa: PLR2004 - as above


def discard(folder: Folder, temporary: str) -> None:
    """Remove a temporary file of our own, if it is still there under that name."""
    try:
        folder.unlink(temporary)
    except system_answer(FileNotFoundError):
        pass  # renamed already, or gone with its folder


def sweep(folder: Folder, entry: os.DirEntry[str], min_age: float) -> bool:
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
