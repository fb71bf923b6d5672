"""Writing archives: folders into a tar or zip file.

The names of owners, and rights beyond those of read, write and execute, do not leave the house.
"""

from __future__ import annotations

import os
import shutil
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeAlias

from perkey.dataspace.exchange_trees import Entry, entries
from perkey.stores.temporaries import temporary_name

_TAR_MODES: Final = {
    ".tar": "w",
    ".tar.gz": "w:gz",
    ".tgz": "w:gz",
    ".gz": "w:gz",
    ".tar.bz2": "w:bz2",
    ".bz2": "w:bz2",
    ".tar.xz": "w:xz",
    ".xz": "w:xz",
}
_ZIP: Final = ".zip"
_RIGHTS: Final = 0o777
_FIRST_ZIP_YEAR: Final = 1980

Adder: TypeAlias = Callable[[str, Entry], None]


def is_archive_name(path: str) -> bool:
    """Tell whether a path is that of an archive to be written, by its ending."""
    return path.endswith((_ZIP, *_TAR_MODES))


def write_archive(path: str, folders: Iterable[tuple[str, str]]) -> None:
    """Write folders into a new archive, which appears when it is complete.

    Args:
        path: Where to; the ending decides about the kind.
        folders: The name of each in the archive, and its path.

    Raises:
        FileExistsError: There is such a file.
        OSError, UnicodeError: It cannot be written, or a zip file cannot have such a name; nothing is left.
    """
    if os.path.lexists(path):
        raise FileExistsError(f"{path} exists already")
    temporary = os.path.join(os.path.dirname(os.path.abspath(path)), temporary_name())
    try:
        with _zip_writer(temporary) if path.endswith(_ZIP) else _tar_writer(temporary, path) as add:
            for name, folder in folders:
                add(name, Entry("", folder, "folder", os.stat(folder)))
                for entry in entries(folder):
                    add(f"{name}/{entry.name}", entry)
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


@contextmanager
def _tar_writer(temporary: str, path: str) -> Iterator[Adder]:
    ending = max((each for each in _TAR_MODES if path.endswith(each)), key=len)
    mode: Any = _TAR_MODES[ending]
    # Of the name, gzip keeps a note in the file: that of the archive, not the temporary one.
    with open(temporary, "xb") as raw, tarfile.open(path, mode, raw, format=tarfile.PAX_FORMAT) as archive:

        def add(name: str, entry: Entry) -> None:
            member = tarfile.TarInfo(name)
            member.mtime = entry.stat.st_mtime
            member.mode = entry.stat.st_mode & _RIGHTS
            if entry.kind == "folder":
                member.type = tarfile.DIRTYPE
                archive.addfile(member)
            elif entry.kind == "link":
                member.type, member.linkname = tarfile.SYMTYPE, os.readlink(entry.path)
                archive.addfile(member)
            else:
                with open(entry.path, "rb") as file:
                    member.size = os.fstat(file.fileno()).st_size
                    archive.addfile(member, file)

        yield add


@contextmanager
def _zip_writer(temporary: str) -> Iterator[Adder]:
    with zipfile.ZipFile(temporary, "x", zipfile.ZIP_DEFLATED) as archive:

        def add(name: str, entry: Entry) -> None:
            when = time.localtime(entry.stat.st_mtime)[:6]
            first = (_FIRST_ZIP_YEAR, 1, 1, 0, 0, 0)
            member = zipfile.ZipInfo(name + "/" * (entry.kind == "folder"), max(when, first))
            member.create_system = 3  # Unix, so that rights and links are understood
            member.external_attr = entry.stat.st_mode << 16
            member.compress_type = zipfile.ZIP_DEFLATED
            if entry.kind == "folder":
                archive.writestr(member, b"")
            elif entry.kind == "link":
                archive.writestr(member, os.readlink(entry.path))
            else:
                with open(entry.path, "rb") as source:
                    member.file_size = os.fstat(source.fileno()).st_size
                    with archive.open(member, "w") as target:
                        shutil.copyfileobj(source, target)

        yield add
