"""The floor: the system calls that nobody can do without, on the same bytes, with the same durability."""

from __future__ import annotations

import os
from collections.abc import Iterable

_WRITE = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC


def read(path: str) -> bytes:
    """Open, fstat, read, close."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, os.fstat(fd).st_size)
    finally:
        os.close(fd)


def write(path: str, data: bytes) -> None:
    """Write a temporary file and rename it: atomic, as durable as the system pleases."""
    temporary = path + "~"
    fd = os.open(temporary, _WRITE, 0o666)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)
    os.rename(temporary, path)


def write_durably(path: str, data: bytes) -> None:
    """Write a temporary file, sync it, rename it, sync the folder."""
    temporary = path + "~"
    fd = os.open(temporary, _WRITE, 0o666)
    try:
        os.write(fd, data)
        os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(temporary, path)
    folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def names(folder: str) -> list[str]:
    """List the names in a folder."""
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries]


def count(folder: str) -> int:
    """Count the names in a folder."""
    with os.scandir(folder) as entries:
        return sum(1 for _ in entries)


def read_all(folder: str) -> list[bytes]:
    """Read all files of a folder."""
    return [read(f"{folder}/{name}") for name in names(folder)]


def write_all(files: Iterable[tuple[str, bytes]]) -> None:
    """Write files one by one, durably."""
    for path, data in files:
        write_durably(path, data)
