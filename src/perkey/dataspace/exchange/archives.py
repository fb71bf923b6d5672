"""Writing archives: folders into a tar or zip file that perkey, signac and the usual tools read.

Owners, and permissions beyond reading, writing and executing, are not stored.

A zip file has no members for folders, and none for links that lead to something: signac 2.4.1 cannot read
either. So a folder with nothing in it gets the empty file `PLACEHOLDER`, and a link is stored as the files
that it leads to. Each of these files carries the link in an extra field, from which perkey makes it again.
signac takes ``a/10`` for a part of ``a/1``; so members of the latter are named ``a/1/./...``.
"""

from __future__ import annotations

import os
import shutil
import stat as modes
import struct
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from operator import attrgetter
from typing import Any, Final, TypeAlias

from perkey.files import OURS, SCRATCH, Entry, entries, replace_path, sync_path, temporary_name

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

PLACEHOLDER: Final = OURS + "empty"
"""The file that stands in a zip file for a folder with nothing in it."""

_LINK_FIELD: Final = 0x6B70
_FIELD_HEAD: Final = struct.Struct("<HH")
_RIGHTS: Final = 0o777
_PLACEHOLDER_RIGHTS: Final = 0o644
_FIRST_ZIP_YEAR: Final = 1980

Adder: TypeAlias = Callable[[str, Entry], None]


def is_archive_name(path: str) -> bool:
    """Tell whether a path is that of an archive to be written, by its ending."""
    return path.endswith((_ZIP, *_TAR_MODES))


def write_archive(path: str, folders: Iterable[tuple[str, str]], *, durable: bool) -> None:
    """Write folders into a new archive, which appears when it is complete.

    Args:
        path: Where to; the ending decides about the kind.
        folders: The name of each in the archive, and its path.
        durable: Whether it is on disk when this returns; the folder that it is in must be.

    Raises:
        FileExistsError: There is such a file.
        OSError, UnicodeError: It cannot be written, or a zip file cannot have such a name; nothing is left.
    """
    if os.path.lexists(path):
        raise FileExistsError(f"{path} exists already")
    temporary = os.path.join(os.path.dirname(os.path.abspath(path)), temporary_name())
    try:
        is_zip = path.endswith(_ZIP)
        with _zip_writer(temporary) if is_zip else _tar_writer(temporary, path) as add:
            for name, folder in _without_prefixes(folders) if is_zip else folders:
                add(name, Entry("", folder, "folder", os.stat(folder)))
                for entry in entries(folder):
                    add(f"{name}/{entry.name}", entry)
        if durable:
            sync_path(temporary)
        replace_path(temporary, path)
        if durable:
            sync_path(os.path.dirname(os.path.abspath(path)))
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _without_prefixes(folders: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield the folders in order; ``/.`` is added to a name with which another name begins."""
    ordered = sorted(folders)
    for (name, folder), (following, _) in zip(ordered, [*ordered[1:], ("", "")], strict=False):
        yield (f"{name}/." if following.startswith(name) else name), folder


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
        members = _ZipMembers(archive)
        yield members.add
        members.finish()


class _ZipMembers:
    """Adds entries to a zip file.

    Args:
        archive: The zip file.
    """

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._empty: dict[str, tuple[os.stat_result, bytes]] = {}

    def add(self, name: str, entry: Entry, extra: bytes = b"") -> None:
        """Add an entry; a folder is added before the entries in it."""
        self._empty.pop(name.rpartition("/")[0], None)
        if entry.kind == "folder":
            self._empty[name] = entry.stat, extra
        elif entry.kind == "link":
            self._add_link(name, entry)
        else:
            with open(entry.path, "rb") as source:
                member = _zip_member(name, entry.stat, extra)
                member.file_size = os.fstat(source.fileno()).st_size
                with self._archive.open(member, "w") as target:
                    shutil.copyfileobj(source, target)

    def _add_link(self, name: str, entry: Entry) -> None:
        """Add the files that a link leads to, or the link itself if it leads nowhere or around."""
        target = os.readlink(entry.path)
        extra = link_field(name, target)
        found = _led_to(entry.path)
        if found is None:
            self._archive.writestr(_zip_member(name, entry.stat, extra), target)
        elif modes.S_ISREG(found.st_mode):
            self.add(name, Entry(entry.name, entry.path, "file", found), extra)
        else:
            self._add_folder(name, Entry(entry.name, entry.path, "folder", found), extra)

    def _add_folder(self, name: str, entry: Entry, extra: bytes) -> None:
        """Add a folder that a link leads to; links to folders in it are left out, so that this ends."""
        self.add(name, entry, extra)
        for inner in sorted(os.scandir(entry.path), key=attrgetter("name")):
            place = f"{name}/{inner.name}"
            if inner.name == SCRATCH or inner.name.startswith(OURS):
                continue
            if inner.is_dir(follow_symlinks=False):
                self._add_folder(place, Entry(place, inner.path, "folder", inner.stat()), extra)
            elif inner.is_file():
                self.add(place, Entry(place, inner.path, "file", inner.stat()), extra)

    def finish(self) -> None:
        """Add a placeholder to each folder with nothing in it."""
        for name, (found, extra) in self._empty.items():
            member = _zip_member(f"{name}/{PLACEHOLDER}", found, extra)
            member.external_attr = (modes.S_IFREG | _PLACEHOLDER_RIGHTS) << 16
            self._archive.writestr(member, b"")


def _zip_member(name: str, found: os.stat_result, extra: bytes) -> zipfile.ZipInfo:
    when = time.localtime(found.st_mtime)[:6]
    member = zipfile.ZipInfo(name, max(when, (_FIRST_ZIP_YEAR, 1, 1, 0, 0, 0)))
    member.create_system = 3  # Unix, so that permissions and links are understood
    member.external_attr = found.st_mode << 16
    member.compress_type = zipfile.ZIP_DEFLATED
    member.extra = extra
    return member


def _led_to(link: str) -> os.stat_result | None:
    """Return the status of what a link leads to; None for nothing, a folder around the link, or a device."""
    try:
        found = os.stat(link)
    except OSError:
        return None
    if modes.S_ISREG(found.st_mode):
        return found
    target, folder = os.path.realpath(link), os.path.realpath(os.path.dirname(link))
    leads_around = os.path.commonpath([target, folder]) == target
    return found if modes.S_ISDIR(found.st_mode) and not leads_around else None


def link_field(name: str, target: str) -> bytes:
    """Return the extra field of the zip members that a link was stored as."""
    content = os.fsencode(f"{name}\0{target}")
    return _FIELD_HEAD.pack(_LINK_FIELD, len(content)) + content


def link_in(extra: bytes) -> tuple[str, str] | None:
    """Return name and target of the link that `link_field` wrote into an extra field; None without one."""
    position = 0
    while position + _FIELD_HEAD.size <= len(extra):
        kind, size = _FIELD_HEAD.unpack_from(extra, position)
        position += _FIELD_HEAD.size
        if kind == _LINK_FIELD:
            name, sign, target = os.fsdecode(extra[position : position + size]).partition("\0")
            return (name, target) if sign else None
        position += size
    return None
