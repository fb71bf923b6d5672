"""Files and folders on the way to them, opened for reading.

Folders are opened one by one from the base folder; only the base folder's own path may contain symbolic
links. Everything happens relative to the descriptor (Linux, macOS).
"""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, NoReturn, TypeVar

from perkey.answers import system_answer
from perkey.naming import Name

R = TypeVar("R")

FOLDER: Final = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
"""How a folder is opened, for listing or for locking."""

PASSAGE: Final = getattr(os, "O_PATH", os.O_RDONLY) | FOLDER
"""How a folder is opened that is only passed through."""

# O_NONBLOCK: a planted FIFO must not block its reader.
READ: Final = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""How a file is opened for reading."""

READ_ONLY: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)
"""How a file is opened whose path may be or contain a symbolic link."""

AT_ONCE: Final = 64
"""So many files one handle opens together: enough to make the steps cheap."""

_MOST_AT_ONCE: Final = 4 * AT_ONCE
_UNLIMITED: Final = 1 << 20

shares: Final[dict[int, int]] = {}
"""Handles that open many files, by their ids, to how many they may."""


def descriptors_for(part: int) -> int:
    """Return how many descriptors are one of so many parts of those that this process may have."""
    limit = os.sysconf("SC_OPEN_MAX")  # -1 without a limit
    return max(1, (limit if limit > 0 else _UNLIMITED) // part)


def share_of(handle: int) -> int:
    """Return how many files a handle may open together, and keep that for it in `shares`."""
    shares[handle] = AT_ONCE  # noted before adding up, so that of two threads each sees the other
    others = sum(shares.copy().values()) - AT_ONCE
    shares[handle] = room = min(AT_ONCE, max(0, min(_MOST_AT_ONCE, descriptors_for(4)) - others))
    return room


def use(base: str, name: Name, flags: int, act: Callable[..., R], *arguments: Any) -> R:
    """Open what is called `name` below `base`, and return what `act` returns for its descriptor.

    No symbolic link below `base` is followed. This is the fast form of a `Handle`, used for the most frequent
    calls: no handler of a signal runs between opening and noting, or between forgetting and closing. The
    outer `try` is there because an exception may come at the beginning of the inner ``finally``.

    Args:
        base: The base folder.
        name: The way from there; at least one part.
        flags: How the last part is opened: `READ`, `FOLDER` or `PASSAGE`.
        act: What to do; it is called with `arguments` and the descriptor, which is closed afterwards.
        *arguments: Its first arguments.

    Raises:
        FileNotFoundError, NotADirectoryError: The file does not exist.
        OSError: A symbolic link is in the way (ELOOP), or rights are missing.
        Whatever `act` raises.
    """
    opened: list[int] = []
    closing = map(os.close, opened)
    try:
        try:
            if len(name) > 1:
                _open(base, name, flags, opened, closing)
            else:
                path = f"{base}/{name[0]}"
                try:
                    opened.extend(map(os.open, (path,), (flags,)))
                except system_answer(OSError) as error:
                    explain(error, path)
            return act(*arguments, opened[-1])
        finally:
            any(closing)
    except BaseException:
        any(closing)
        raise


def _open(base: str, name: Name, flags: int, opened: list[int], closing: Iterator[None]) -> None:
    """Open two parts or more, part after part, and close all but the last."""
    depth = 1
    last = len(name) - 1
    try:
        opened.extend(map(os.open, (f"{base}/{name[0]}",), (PASSAGE,)))
        while depth < last:
            opened.extend(map(partial(os.open, dir_fd=opened[-1]), (name[depth],), (PASSAGE,)))
            next(closing)
            depth += 1
        opened.extend(map(partial(os.open, dir_fd=opened[-1]), (name[last],), (flags,)))
        next(closing)
    except system_answer(OSError) as error:
        explain(error, "/".join((base, *name[: len(opened) + 1])))


def read_open(fd: int, size: int) -> bytes:
    """Return the content of an open file of `size` bytes."""
    content = os.read(fd, size)
    if len(content) == size:
        return content
    buffer = io.BytesIO()
    while content:
        buffer.write(content)
        content = os.read(fd, size)
    return buffer.getvalue()


def stat_file(base: str, name: Name) -> os.stat_result:
    """Return the status of the file `name` below `base`; raises as `use`."""
    if len(name) == 1:
        found = os.stat(f"{base}/{name[0]}", follow_symlinks=False)
    else:
        found = use(base, name[:-1], PASSAGE, _stat_in, name[-1], "/".join((base, *name)))
    if stat.S_ISLNK(found.st_mode):
        refuse_link("/".join((base, *name)))
    return found


def _stat_in(leaf: str, path: str, folder: int) -> os.stat_result:
    try:
        return os.stat(leaf, dir_fd=folder, follow_symlinks=False)
    except system_answer(OSError) as error:
        explain(error, path)


def explain(error: OSError, path: str) -> NoReturn:
    """Raise `error`, of a system call, with the full path; if a symbolic link is the cause, raise that error.

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


def refuse_dangling(path: str) -> None:
    """Raise FileNotFoundError for a link that leads nowhere, because its target may only be unreachable.

    Args:
        path: What was not found.
    """
    if os.path.islink(path) and not os.path.exists(path):
        raise FileNotFoundError(
            errno.ENOENT, f"the link leads nowhere, to {os.readlink(path)!r} (is that mounted?)", path
        )
