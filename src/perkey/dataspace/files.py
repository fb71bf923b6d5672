"""Small files, written whole or not at all, under whatever name."""

from __future__ import annotations

import os

from perkey.stores.folders import Folder, refuse_dangling, sync
from perkey.stores.placing import fill
from perkey.stores.temporaries import discard, temporary_name

_ALL_MAY_READ = 0o666
_PIECE = 1 << 16
READ_NOW = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)
"""How to open a file for reading that should be a regular one."""

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL


def write_file(
    path: str, content: bytes, *, durable: bool = True, new: bool = False, mode: int = 0o666
) -> None:
    """Write a file atomically: others see the old content or the new one.

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
    folder = Folder.at(place, (), lockable=False)
    try:
        temporary = temporary_name()
        write_new_in(folder, temporary, content, durable=durable)
        try:
            if mode != _ALL_MAY_READ:
                os.chmod(f"{folder.path}/{temporary}", mode)
            (folder.link if new else folder.replace)(temporary, name)
        except BaseException:
            discard(folder, temporary)
            raise
        if new:
            discard(folder, temporary)
        if durable:
            folder.sync()
    finally:
        folder.close()


def write_new_in(folder: Folder, name: str, content: bytes, *, durable: bool) -> None:
    """Write a file that nobody else knows of yet; if that fails, nothing is left."""
    try:
        _fill(folder.create(name), content, f"{folder.path}/{name}", durable=durable)
    except BaseException:
        discard(folder, name)
        raise


def write_new(path: str, content: bytes, *, durable: bool) -> None:
    """Write a file into a folder that nobody else knows of yet."""
    _fill(os.open(path, _NEW, 0o666), content, path, durable=durable)


def _fill(fd: int, content: bytes, place: str, *, durable: bool) -> None:
    try:
        fill(fd, content, place)
        if durable:
            sync(fd, place)
    finally:
        os.close(fd)


def sync_path(path: str) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        sync(fd, path)
    finally:
        os.close(fd)


def read_file(path: str) -> bytes | None:
    """Return what is in a file; None if there is no such file.

    Raises:
        FileNotFoundError: There is a link of that name, which leads nowhere.
        OSError: It cannot be read, or is not a file. (A pipe is not waited for; it seems to be empty.)
    """
    try:
        fd = os.open(path, READ_NOW)
    except (FileNotFoundError, NotADirectoryError):
        refuse_dangling(path)
        return None
    try:
        pieces = [os.read(fd, _PIECE)]
        while len(pieces[-1]) == _PIECE:
            pieces.append(os.read(fd, _PIECE))
    finally:
        os.close(fd)
    return b"".join(pieces)
