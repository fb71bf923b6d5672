"""A disk that has only what was brought to it: what is left of a folder after a loss of power, at the worst.

While a `Disk` records, each fsync of a file keeps its content, and each fsync of a folder keeps its names.
What was not synced is not there after the loss, and a file that has only a name is empty. Removals are on the
disk at once, so that a removal that comes too early shows.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from unittest import mock

REMOVALS: Final = ("unlink", "remove", "rmdir", "rename", "replace")

Key = tuple[int, int]


class Disk:
    """What is on the disk.

    Args:
        roots: Folders that are on the disk with all that is in them now.
    """

    def __init__(self, *roots: str | os.PathLike[str]) -> None:
        self._names: dict[Key, dict[str, tuple[str, os.stat_result, str]]] = {}
        self._contents: dict[Key, bytes] = {}
        for root in roots:
            for place, _, files in os.walk(root):
                self._keep(place)
                for name in files:
                    if stat.S_ISREG(os.lstat(os.path.join(place, name)).st_mode):
                        self._keep(os.path.join(place, name))

    @contextmanager
    def recording(self, before_removal: Callable[[str, str | None], Any] = lambda *_: None) -> Iterator[None]:
        """Record what is synced in a block.

        Args:
            before_removal: Called before a name is removed or renamed, with its path and its new one.
        """
        real_sync = os.fsync

        def fsync(fd: Any) -> None:
            real_sync(fd)
            self._keep(os.readlink(f"/proc/self/fd/{fd if isinstance(fd, int) else fd.fileno()}"))

        def noting(real: Callable[..., Any]) -> Callable[..., Any]:
            def removal(path: Any, *args: Any, **kwargs: Any) -> Any:
                fd = kwargs.get("dir_fd") or kwargs.get("src_dir_fd")
                above = os.getcwd() if fd is None else os.readlink(f"/proc/self/fd/{fd}")
                before_removal(
                    os.path.join(above, os.fspath(path)),
                    os.path.join(above, os.fspath(args[0])) if args else None,
                )
                return real(path, *args, **kwargs)

            return removal

        with mock.patch.object(os, "fsync", fsync):
            patches = [mock.patch.object(os, name, noting(getattr(os, name))) for name in REMOVALS]
            for patch in patches:
                patch.start()
            try:
                yield
            finally:
                for patch in patches:
                    patch.stop()

    def write(self, folder: str | os.PathLike[str], target: Path) -> None:
        """Write into a new folder what is left of `folder`, which itself is sure to be there."""
        target.mkdir()
        for name, (kind, found, link) in self._names.get(_key(os.stat(folder)), {}).items():
            here = os.path.join(folder, name)
            if not os.path.lexists(here):
                continue  # removed since
            if kind == "folder":
                if os.path.isdir(here) and _key(os.stat(here)) == _key(found):
                    self.write(here, target / name)
            elif kind == "link":
                (target / name).symlink_to(link)
            else:
                (target / name).write_bytes(self._contents.get(_key(found), b""))

    def _keep(self, path: str) -> None:
        found = os.stat(path)
        if not stat.S_ISDIR(found.st_mode):
            self._contents[_key(found)] = Path(path).read_bytes()
            return
        self._names[_key(found)] = {}
        for name in os.listdir(path):
            inner = os.path.join(path, name)
            status = os.lstat(inner)
            kinds = {stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}
            kind = kinds.get(stat.S_IFMT(status.st_mode), "file")
            link = os.readlink(inner) if kind == "link" else ""
            self._names[_key(found)][name] = kind, status, link


def _key(found: os.stat_result) -> Key:
    return found.st_dev, found.st_ino
