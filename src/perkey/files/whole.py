"""Small files, written whole or not at all, under whatever name."""

from __future__ import annotations

import os

from perkey.files.folder import Folder, Handle, fill, sync, temporary_name
from perkey.files.shared import open_folder
from perkey.files.tidying import discard

_ALL_MAY_READ = 0o666


def write_file(
    path: str, content: bytes, *, durable: bool = True, new: bool = False, mode: int = 0o666
) -> None:
    """Write a file atomically: readers see the old content or the new one.

    Args:
        path: The path of the file, whose folder must exist.
        content: The whole content.
        durable: Whether it is on disk when this returns.
        new: Whether the file must not exist yet.
        mode: The permissions of a new file; the umask removes some.

    Raises:
        FileExistsError: The file exists and `new` is True; nothing was changed.
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
        place = f"{folder.path}/{name}"
        fd = folder.create(name, file)
        fill(fd, content, place)
        if durable:
            sync(fd, place)


def sync_path(path: str) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    with Handle() as file:
        sync(file.open(path, os.O_RDONLY), path)
