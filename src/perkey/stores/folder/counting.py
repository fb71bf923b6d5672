"""Counting the files of a folder on Linux by the kernel's own records of them, without an object for each.

Half of the time of a listing goes into making Python objects of names that `len` does not look at. So the
records of getdents64 are searched as they come: ``inode (8 bytes), offset (8), length (2), type (1), name,
NUL, padding``, where the type is 8 for a file, 4 for a folder, and 0 if the file system does not provide
it. A match is always a name: the length's upper byte is 0 or 1, which no name has, and so a match before it
would have to lie in the 16 bytes of inode and offset.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections import deque
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final, TypeAlias

from perkey.files import error_of, getdents, libc_function
from perkey.naming import Shape

_BYTES: Final = 1 << 17
SHORTEST: Final = 14
"""So long must the names be that are searched for, to make a chance find in inode and offset impossible."""
_NO_FOLDERS: Final = 2  # links of a folder without folders in it, where folders count them
_TELLING: Final = frozenset((0xEF53, 0x58465342, 0x9123683E, 0x01021994))
"""The file systems ext, XFS, Btrfs and tmpfs (magic numbers of statfs(2)): they provide the types of all
entries or of the folder itself and the one above it alone."""

_buffers: deque[bytearray] = deque(maxlen=4)

_Search: TypeAlias = Callable[[memoryview | bytes], list[bytes]]


@lru_cache(64)
def _searches(shape: Shape) -> tuple[_Search, _Search, _Search]:
    """Return what finds files of a shape, folders of it, and whatever might be such a folder."""
    folder = shape.folder.encode()
    return (
        re.compile(rb"\x08" + shape.leaf.encode() + rb"()\x00").findall,
        re.compile(rb"\x04(" + folder + rb")\x00").findall,
        re.compile(rb"[\x00-\x0f](" + folder + rb")\x00").findall,
    )


def _taken_buffer() -> bytearray:
    """Return a buffer, to be given back: the system clears new memory, at the price of a name a page."""
    try:
        return _buffers.pop()
    except IndexError:
        return bytearray(_BYTES)


def _tells_all_or_none(fd: int) -> bool:
    """Return whether one type that is given in a folder means that all are."""
    fstatfs = libc_function("fstatfs", ctypes.c_int, ctypes.c_int, ctypes.c_void_p)
    about = (ctypes.c_long * 32)()
    return fstatfs is not None and fstatfs(fd, about) == 0 and about[0] & 0xFFFF_FFFF in _TELLING


def can_count(shape: Shape) -> bool:
    """Return whether `count` is possible here, for names of such a shape."""
    return shape.shortest >= SHORTEST and getdents() is not None


def count(fd: int, shape: Shape, whole: bytes | None = None) -> Iterator[tuple[int, list[str]]]:
    """Go through a folder; yield how many of its files fit, and the names of its folders that do, in pieces.

    Memory is used for 128 KiB at a time; four such buffers are kept for later.

    Args:
        fd: A descriptor of the folder, at its beginning, for this call alone.
        shape: What to count; `can_count` it.
        whole: All records of the folder, if it must be read by one call; see `perkey.files.entries`.

    Raises:
        OSError: The folder cannot be listed.
        LookupError: Some names have to be looked at one by one: of files that only nearly fit, or
            on a file system that does not mark folders. What was yielded is void.
    """
    find_files, find_folders, find_doubtful = _searches(shape)
    ending = shape.ending.encode() + b"\x00"
    tells_all = _tells_all_or_none(fd)
    may_have_folders = not (tells_all and os.fstat(fd).st_nlink == _NO_FOLDERS)
    for records, endings in _pieces(fd, ending) if whole is None else [(whole, whole.count(ending))]:
        files = len(find_files(records))
        folders = find_folders(records) if may_have_folders else []
        doubtful = may_have_folders and len(find_doubtful(records)) != len(folders)
        if doubtful or (not (tells_all and files) and endings != files):
            raise LookupError("names that only look like items")
        yield files, [name.decode("ascii") for name in folders]


def _pieces(fd: int, ending: bytes) -> Iterator[tuple[memoryview, int]]:
    """Yield the records of a folder in pieces, and how often each has the ending of a name."""
    get = getdents()
    if get is None:
        raise LookupError("no getdents64 here")
    buffer = _taken_buffer()
    whole = memoryview(buffer)
    place = (ctypes.c_char * _BYTES).from_buffer(buffer)
    while (filled := get(fd, place, _BYTES)) > 0:
        with whole[:filled] as records:
            yield records, buffer.count(ending, 0, filled)
        # The kernel leaves old bytes in the padding of its records, such as the end of a name.
        ctypes.memset(place, 0, filled)
    if filled < 0:
        raise error_of()
    _buffers.append(buffer)
