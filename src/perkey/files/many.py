"""Many small files of one folder, where each step is one call of a C function for all of them.

So a file costs little more than its system calls. Each function does as many of the first files as it can: it
ends before the first one that is not as usual. The caller deals with that one by itself, which raises the
error in its full form.
"""

from __future__ import annotations

import os
import stat as modes
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import takewhile
from operator import eq
from typing import Final, TypeAlias, cast

from perkey.answers import system_answer
from perkey.expectations import ANY, Expectation
from perkey.files.folder import Folder, Handle, next_time, temporary_name
from perkey.files.locks import ManyTurns
from perkey.files.reading import READ

_MOST_BYTES: Final = 4 << 20


Staged: TypeAlias = tuple[str, os.stat_result]
"""The temporary name of a file that was written, and its status then."""


def read_first(leaves: Sequence[str], limit: int, folder: int) -> list[tuple[bytes, os.stat_result]]:
    """Return content and status of the first files; each had its name when it was looked at.

    Args:
        leaves: Their names.
        limit: How many bytes one may have. All together may have more than 4 MiB only if the first has.
        folder: The descriptor of their folder.
    """
    with Handle(lockable=True) as files:  # so that a forked child does not keep them open
        opened = files.open_first(leaves, READ, dir_fd=folder)
        looked = list(map(os.fstat, opened))
        sizes = _fitting_sizes(looked, limit)
        contents = list(map(os.read, opened, sizes))
    whole = _first(map(eq, map(len, contents), sizes))
    return list(zip(contents[:whole], looked, strict=False))


def _fitting_sizes(looked: Iterable[os.stat_result], limit: int) -> list[int]:
    """Return the sizes of the first files that are regular, have a name, and fit into the memory."""
    sizes: list[int] = []
    left = _MOST_BYTES
    for found in looked:
        size = found.st_size
        left -= size
        if size > limit or not modes.S_ISREG(found.st_mode) or not found.st_nlink or (left < 0 and sizes):
            break
        sizes.append(size)
    return sizes


def _first(are_done: Iterable[bool]) -> int:
    """Return how many of the first are true."""
    return sum(takewhile(bool, are_done))


def stage_first(folder: Folder, data: Sequence[bytes]) -> list[Staged]:
    """Write the first data into new files, which are removed when the folder is closed.

    Args:
        folder: The folder.
        data: Their contents.
    """
    names = [temporary_name() for _ in data]
    with Handle(lockable=True) as files:  # so that a forked child does not keep them open
        opened = folder.create_first(names, files)
        whole = write_first(opened, data)
        return list(zip(names, map(os.fstat, opened[:whole]), strict=False))


def write_first(opened: Sequence[int], data: Sequence[bytes]) -> int:
    """Write data into new files, and return how many of the first have all of their data."""
    written: list[int] = []
    try:
        written.extend(map(os.write, opened, data))
    except system_answer(OSError):
        pass  # the caller's own attempt raises it
    return _first(map(eq, written, map(len, data)))


def begin_many(folder: Folder, leaves: Sequence[str]) -> ManyTurns:
    """Note that files are about to get their names, under the lock, so that nested writes note the status."""
    turns = ManyTurns(folder.fileno(), leaves)
    if folder.hold is not None:
        folder.hold.many = turns
    return turns


def publish_first(
    folder: Folder,
    staged: Sequence[Staged],
    leaves: Sequence[str],
    times: Sequence[int | None],
    expect: Expectation,
) -> list[os.stat_result]:
    """Give the first files their names, and return their status.

    The folder is locked, by no other write of this thread. A nested write cannot come between comparing and
    renaming, because both are one system call.

    Args:
        folder: The folder.
        staged: The files.
        leaves: The names that they get.
        times: The time that each is to have, in nanoseconds; None means the time of writing.
        expect: ANY or ABSENT.
    """
    turns = begin_many(folder, leaves)
    names = [temporary for temporary, _ in staged]
    names = names[: _set_times(names, times, folder.fileno())]
    done = (folder.replace_first if expect is ANY else folder.insert_first)(names, leaves)
    folder.settle_first(names[:done])
    published = list(stat_all(folder, leaves[:done]))
    for number, (found, (_, mine)) in enumerate(zip(published, staged, strict=False)):
        if found is None or found.st_ino != mine.st_ino:
            published[number] = turns.before(leaves[number], mine)
    return cast("list[os.stat_result]", published)


def _set_times(names: Sequence[str], times: Sequence[int | None], folder: int) -> int:
    """Set the times of files, and return of how many that was done."""
    set_time = partial(os.utime, dir_fd=folder, follow_symlinks=False)
    done = 0
    try:
        for done, (name, wanted) in enumerate(zip(names, times, strict=True)):  # noqa: B007 - used below
            stamp = wanted or next_time(None)
            set_time(name, ns=(stamp, stamp))
    except system_answer(OSError):
        return done
    return len(names)


def stat_all(folder: Folder, leaves: Sequence[str]) -> Sequence[os.stat_result | None]:
    """Return the status of each file, or None if it does not exist."""
    try:
        return list(map(partial(os.stat, dir_fd=folder.fileno(), follow_symlinks=False), leaves))
    except system_answer(OSError):
        return [folder.stat(leaf) for leaf in leaves]
