"""Small files, written whole or not at all, under whatever name."""

from __future__ import annotations

import os
from functools import partial

from perkey.answers import system_answer
from perkey.files.folder import Folder, Handle, fill, sync, temporary_name
from perkey.files.reading import READ_ONLY, refuse_dangling
from perkey.files.shared import open_folder, persist
from perkey.files.tidying import discard

_ALL_MAY_READ = 0o666
_PIECE = 1 << 16

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL


def write_file(
    path: str, content: bytes, *, durable: bool = True, new: bool = False, mode: int = 0o666
) -> None:
    """Write a file atomically: readers see the old content or the new one.

    Args:
        path: Where to; the folder must exist.
        content: All of it.
        durable: Whether it is on disk when this returns.
        new: Whether there must not be such a file.
        mode: The most rights that it gets; the umask takes some away.

    Raises:
        FileExistsError: There is one, and `new` was asked for; it is left as it is.
    """
    place, name = os.path.split(os.path.abspath(path))
    with open_folder(place, lockable=False) as folder:
        temporary = temporary_name()
        write_new_in(folder, temporary, content, durable=durable)
        if mode != _ALL_MAY_READ:
            os.chmod(f"{folder.path}/{temporary}", mode)
        if new:
            folder.link(temporary, name)
            discard(folder, temporary)
        else:
            folder.replace(temporary, name)
        folder.settle(temporary)
        if durable:
            folder.sync()


def write_new_in(folder: Folder, name: str, content: bytes, *, durable: bool) -> None:
    """Write a new file; closing the folder removes it unless it was settled."""
    with Handle() as file:
        _fill(folder.create(name, file), content, f"{folder.path}/{name}", durable=durable)


def write_new(path: str, content: bytes, *, durable: bool) -> None:
    """Write a file into a folder that no other process uses yet."""
    with Handle() as file:
        try:
            fd = file.open(path, _NEW, 0o666)
        except system_answer(FileExistsError):  # by this very call, whose first reply was lost
            fd = file.open(path, os.O_WRONLY | os.O_TRUNC)
        _fill(fd, content, path, durable=durable)


def _fill(fd: int, content: bytes, place: str, *, durable: bool) -> None:
    fill(fd, content, place)
    if durable:
        sync(fd, place)


def sync_path(path: str) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    with Handle() as file:
        sync(file.open(path, os.O_RDONLY), path)


def read_file(path: str) -> bytes | None:
    """Return the content of a file; None if it does not exist.

    Raises:
        FileNotFoundError: There is a link of that name, which leads nowhere.
        OSError: It cannot be read, or is not a file. (A pipe is not waited for; it seems to be empty.)
    """
    try:
        return persist(partial(_read_once, path))
    except system_answer(FileNotFoundError, NotADirectoryError):
        refuse_dangling(path)
        return None


def _read_once(path: str) -> bytes:
    with Handle() as file:
        fd = file.open(path, READ_ONLY)
        pieces = [os.read(fd, _PIECE)]
        while len(pieces[-1]) == _PIECE:
            pieces.append(os.read(fd, _PIECE))
    return b"".join(pieces)
