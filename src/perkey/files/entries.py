"""Listing a folder without missing a file that another one replaces meanwhile (Linux).

On some file systems a rename that replaces a file gives the name a new place in the listing. A listing takes
several system calls, and a name that moves from the part to come to the part that was read is missed. (With
Linux 6.18, `os.scandir` of 20,000 files that one program replaced missed up to 900 of them on tmpfs and 30 on
Btrfs; on ext4 and XFS it missed nothing.) The kernel holds the lock of the folder during one call of
getdents64, and lets no rename come in between. So one call reads such a folder, into a buffer that is large
enough for all.
"""

from __future__ import annotations

import ctypes
import os
import stat
import sys
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, closing
from struct import Struct
from typing import Final, Literal, Protocol

from perkey.answers import system_answer
from perkey.files import syscalls
from perkey.files.folder import Folder, Handle
from perkey.files.reading import explain

_PAGE: Final = 1 << 17
"""Bytes that are read first; they hold some 2,000 entries."""
_GROWTH: Final = 8
_LONGEST: Final = 512
"""No record has so many bytes, as no name has more than 255."""
_ENCODING: Final = sys.getfilesystemencoding()
_ERRORS: Final = sys.getfilesystemencodeerrors()
_READ: Final = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)
_RECORD: Final = Struct("=16xHB")
"""The beginning of a record: inode and offset, its length, the type. The name and a NUL follow."""
_FILE: Final = 8
_FOLDER: Final = 4
_LINK: Final = 10


class Entry(Protocol):
    """What listings use of `os.DirEntry`."""

    @property
    def name(self) -> str:
        """The name in the folder."""

    def is_file(self, *, follow_symlinks: Literal[False]) -> bool:
        """Return whether it is a plain file."""

    def is_dir(self, *, follow_symlinks: Literal[False]) -> bool:
        """Return whether it is a folder."""

    def stat(self, *, follow_symlinks: Literal[False]) -> os.stat_result:
        """Return its status."""


class _Entry:
    """An entry of an open folder, by its record; as `os.DirEntry`."""

    __slots__ = ("_folder", "_type", "name")

    def __init__(self, folder: int, name: str, kind: int) -> None:
        self._folder = folder
        self._type = kind
        self.name = name

    def is_file(self, *, follow_symlinks: Literal[False]) -> bool:
        return (self._type or self._asked(follow_symlinks)) == _FILE

    def is_dir(self, *, follow_symlinks: Literal[False]) -> bool:
        return (self._type or self._asked(follow_symlinks)) == _FOLDER

    def stat(self, *, follow_symlinks: Literal[False]) -> os.stat_result:
        return os.stat(self.name, dir_fd=self._folder, follow_symlinks=follow_symlinks)

    def _asked(self, follow: Literal[False]) -> int:
        """Return the type that the file system does not list; 0 if the entry was removed since."""
        try:
            mode = self.stat(follow_symlinks=follow).st_mode
        except system_answer(FileNotFoundError):
            return 0
        self._type = _FILE if stat.S_ISREG(mode) else _FOLDER if stat.S_ISDIR(mode) else _LINK
        return self._type


def entries_of(folder: Folder) -> AbstractContextManager[Iterator[Entry]]:
    """Return an iterator over an open folder; each entry that is there throughout comes exactly once."""
    return folder.scan() if folder.keeps_places else closing(_in_whole(folder))


def _in_whole(folder: Folder) -> Generator[Entry, None, None]:
    """Yield the entries by calls that list all at once.

    The first page is yielded as it is read, so that a look at a few entries of a large folder is cheap.
    Memory: about 64 bytes an entry, if there are more than a page.
    """
    fd = folder.fileno()
    first, is_all = _read(folder, _PAGE)
    for name, kind, _, _ in _records(first):
        yield _Entry(fd, name.decode(_ENCODING, _ERRORS), kind)
    if not is_all:
        seen = {name for name, *_ in _records(first)}
        for name, kind, _, _ in _records(read_whole(folder, _PAGE * _GROWTH)):
            if name not in seen:
                yield _Entry(fd, name.decode(_ENCODING, _ERRORS), kind)


def read_whole(folder: Folder, size: int = _PAGE) -> bytes:
    """Return the records of getdents64 of all entries of a folder at one moment.

    Args:
        folder: The folder.
        size: Bytes of the first buffer; it grows until all records fit.
    """
    while True:
        records, is_all = _read(folder, size)
        if is_all:
            return records
        size *= _GROWTH


def _read(folder: Folder, size: int) -> tuple[bytes, bool]:
    """Return the records that one call puts into so many bytes, and whether those are all.

    If they are not all although more would fit, as on some file systems, further calls return the others.
    """
    get = syscalls.getdents()
    if get is None:
        raise LookupError("no getdents64 here")
    pieces = []
    try:
        with Handle() as own:
            fd = _opened_anew(folder, own)
            buffer = ctypes.create_string_buffer(size)
            while (filled := get(fd, buffer, size)) > 0:
                pieces.append(ctypes.string_at(buffer, filled))
                if size - filled < _LONGEST:
                    return pieces[0], False
                ctypes.memset(buffer, 0, filled)  # the kernel leaves old bytes between its records
        if filled < 0:
            raise syscalls.error_of(folder.path)
    except system_answer(FileNotFoundError):
        pass  # the folder was removed
    except system_answer(OSError) as error:
        explain(error, folder.path)
    return pieces[0] if len(pieces) == 1 else _joined(pieces), True


def _opened_anew(folder: Folder, owner: Handle) -> int:
    """Open a folder once more, because a position belongs to the open folder; `owner` closes it.

    Raises:
        FileNotFoundError: It was removed.
    """
    try:
        return owner.open(f"/proc/self/fd/{folder.fileno()}", _READ)
    except system_answer(FileNotFoundError):  # /proc is not there
        return owner.open(".", _READ, dir_fd=folder.fileno())


def _joined(pieces: list[bytes]) -> bytes:
    """Return the records of several calls; a name that was replaced between them may be there twice."""
    records = {name: piece[at:end] for piece in pieces for name, _, at, end in _records(piece)}
    return b"".join(records.values())


def _records(records: bytes) -> Iterator[tuple[bytes, int, int, int]]:
    """Yield name and type of each entry, and where its record begins and ends."""
    at, unpack, find, start = 0, _RECORD.unpack_from, records.index, _RECORD.size
    while at < len(records):
        length, kind = unpack(records, at)
        name = records[at + start : find(0, at + start)]
        if name not in {b".", b".."}:
            yield name, kind, at, at + length
        at += length
