"""Archives: folders into a tar or zip file that perkey, signac and the usual tools read, and out of one.

**Writing.** Owners, and permissions beyond reading, writing and executing, are not stored.

A zip file has no members for folders or for links that lead to something: signac 2.4.1 cannot read either. So
an empty folder gets the empty file `PLACEHOLDER`, and a link is stored as the files that it leads to. Each of
these files carries the link in an extra field, from which perkey makes it again. signac takes ``a/10`` for a
part of ``a/1``. So members of the latter are named ``a/1/./...``.

**Reading.** Archives are untrusted. Files, folders, and links between them are all that is read from an
archive. Each is made anew below the target, and links come last. So nothing is ever written through a link,
and at the end each link must lead to a place in the target. Rights beyond those of read, write and execute
are not read.
"""

from __future__ import annotations

import errno
import gzip
import io
import lzma
import os
import shutil
import stat as modes
import struct
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import IO, Any, Final, Literal, TypeAlias

from perkey.dataspace.errors import ArchiveError
from perkey.errors import counted
from perkey.files import (
    OURS,
    SCRATCH,
    replace_path,
    sync_path,
    temporary_name,
)
from perkey.files.trees import Entry, entries, sync_tree

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
_ZIP_TIMES: Final = (1980, 1, 1, 0, 0, 0), (2107, 12, 31, 23, 59, 58)
"""The first and the last time that a zip file can hold."""
_BEYOND_ZIP_TIMES: Final = 1 << 33
_BLOCK: Final = 512
_ZIP_END: Final = struct.Struct("<10xH10x")
_SEE_ZIP64: Final = 0xFFFF
_PIECE: Final = 1 << 18
_DAMAGE: Final = (
    tarfile.TarError,
    zipfile.BadZipFile,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    gzip.BadGzipFile,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
    struct.error,
)

Adder: TypeAlias = Callable[[str, Entry], None]


def is_archive_name(path: str) -> bool:
    """Return whether the ending of a path is that of an archive."""
    return path.endswith((_ZIP, *_TAR_MODES))


def write_archive(path: str, folders: Iterable[tuple[str, str]], *, durable: bool) -> None:
    """Write folders into a new archive, which appears when it is complete.

    Args:
        path: The path of the archive, whose ending decides about the kind.
        folders: The name of each in the archive, and its path.
        durable: Whether it is on disk when this returns; the folder that it is in must be.

    Raises:
        FileExistsError: The file exists already.
        ArchiveError: A zip file cannot hold a name; nothing is left.
        OSError: The archive cannot be written; nothing is left.
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
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ArchiveError(
            f"a zip file cannot hold the name {name!r}, which is not UTF-8: rename the file, or export to a "
            "folder or a .tar file"
        ) from None
    first, last = _ZIP_TIMES
    when = time.localtime(min(max(found.st_mtime, 0), _BEYOND_ZIP_TIMES))[:6]
    member = zipfile.ZipInfo(name, min(max(when, first), last))
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


# --- Reading ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Member:
    """What is in an archive: one file, folder or link; a link's content is where it leads."""

    name: str
    kind: Literal["file", "folder", "link"]
    mode: int
    mtime: float
    open: Callable[[], IO[bytes]]


def extract_archive(path: str, target: str, *, durable: bool) -> bool:
    """Write what is in an archive into an empty folder, and nothing anywhere else.

    Args:
        path: The archive, of whatever kind and compression is found in it.
        target: The folder.
        durable: Whether all that was extracted is on disk when this returns.

    Returns:
        Whether there are links.

    Raises:
        ArchiveError: The file is not an archive, is damaged, or has names that lead out of the target; the
            target may have been filled in part.
    """
    links: dict[str, str] = {}
    with _reading(path):
        for member in _members(path):
            name = _safe_name(member.name, path)
            if name and not any(part.startswith(OURS) for part in name.split("/")):
                if member.kind == "link":
                    links[name] = os.fsdecode(member.open().read())
                else:
                    _extract(member, os.path.join(target, name), f"{path}: {name}")
    for name, text in links.items():
        _require_within(name, text, links, path)
    for name, text in links.items():
        place = os.path.join(target, name)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        try:
            os.symlink(text, place)
        except FileExistsError:
            raise ArchiveError(f"{path}: {name} is there twice") from None
    base = os.path.realpath(target)
    for name in links:
        if os.path.commonpath([base, os.path.realpath(os.path.join(target, name))]) != base:
            raise ArchiveError(f"{path}: the link {name} leads out of the archive")
    if durable:
        sync_tree(target)
    return bool(links)


def _extract(member: _Member, place: str, shown: str) -> None:
    try:
        if member.kind == "folder":
            os.makedirs(place, exist_ok=True)
            return
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with member.open() as source, open(place, "xb") as file:
            shutil.copyfileobj(source, file)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise ArchiveError(f"{shown} is there twice") from None
    os.chmod(place, member.mode & _RIGHTS | modes.S_IRUSR)
    with suppress(OSError, OverflowError, ValueError):  # a time that no file can have
        os.utime(place, (member.mtime, member.mtime))


def _safe_name(name: str, archive: str) -> str:
    """Return the relative path of a member, in its shortest form."""
    if os.sep != "/":
        name = name.replace(os.sep, "/")
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if name.startswith("/") or os.path.splitdrive(name)[0] or ".." in parts or "\0" in name:
        raise ArchiveError(f"{archive}: {name!r} leads out of the archive")
    return "/".join(parts)


def _require_within(name: str, text: str, links: dict[str, str], archive: str) -> None:
    """Raise ArchiveError if a link leads out by its text, or lies below another link."""
    above = name.split("/")[:-1]
    leads_to = os.path.normpath("/".join([*above, text]))
    if os.path.isabs(text) or "\0" in text or leads_to.split(os.sep)[0] == os.pardir:
        raise ArchiveError(f"{archive}: the link {name} leads out of the archive")
    if any("/".join(above[:end]) in links for end in range(1, len(above) + 1)):
        raise ArchiveError(f"{archive}: {name} lies below a link")


@contextmanager
def _reading(path: str) -> Iterator[None]:
    """Turn what the libraries raise for damaged archives into one error."""
    try:
        yield
    except ArchiveError:
        raise
    except _DAMAGE as error:
        raise ArchiveError(f"{path} cannot be read: {error}") from error
    except OSError as error:
        if error.errno in {None, errno.EINVAL}:  # as bz2 raises it, and a seek before the beginning
            raise ArchiveError(f"{path} cannot be read: {error}") from error
        raise


def _members(path: str) -> Iterator[_Member]:
    if zipfile.is_zipfile(path):
        yield from _zip_members(path)
    else:
        yield from _tar_members(path)


def _tar_members(path: str) -> Iterator[_Member]:
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isdir():
                yield _Member(member.name, "folder", member.mode, member.mtime, _text)
            elif member.issym():
                yield _Member(member.name, "link", 0, 0, partial(_text, member.linkname))
            elif member.isreg() or member.islnk():
                # What a hard link stands for is looked up among the members, never in the file system.
                yield _Member(
                    member.name, "file", member.mode, member.mtime, partial(_content, archive, member)
                )
            else:
                raise ArchiveError(f"{path}: {member.name!r} is neither file, folder nor link")
        _require_end(archive, path)


def _require_end(archive: tarfile.TarFile, path: str) -> None:
    """Raise ArchiveError if the mark of the end is missing: a cut archive may look like a smaller one.

    Compressed ones have a checksum at their very end, which is compared when that is read.
    """
    file = archive.fileobj
    if file is not None:
        file.seek(archive.offset)
        if file.read(_BLOCK) != bytes(_BLOCK):
            raise ArchiveError(f"{path} cannot be read: its end is missing")
        while file.read(_PIECE):
            pass


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    try:
        opened = archive.extractfile(member)
    except KeyError:
        opened = None
    if opened is None:
        raise ArchiveError(f"{member.name!r} is a link to {member.linkname!r}, which is not in the archive")
    return opened


def _text(text: str = "") -> IO[bytes]:
    return io.BytesIO(os.fsencode(text))


def _require_all(archive: zipfile.ZipFile, path: str) -> None:
    """Raise ArchiveError if there are fewer members than the end of the file records.

    The list of members has no checksum: damage may make one a comment of another.
    """
    with open(path, "rb") as file:
        file.seek(-_ZIP_END.size - len(archive.comment), os.SEEK_END)
        (recorded,) = _ZIP_END.unpack(file.read(_ZIP_END.size))
    if recorded not in {len(archive.infolist()), _SEE_ZIP64}:
        raise ArchiveError(
            f"{path} cannot be read: it has {counted(len(archive.infolist()), 'member')} of {recorded}"
        )


def _zip_members(path: str) -> Iterator[_Member]:
    with zipfile.ZipFile(path) as archive:
        _require_all(archive, path)
        for member in archive.infolist():
            mode = member.external_attr >> 16
            kind = modes.S_IFMT(mode)
            when = time.mktime((*member.date_time, 0, 0, -1))
            opener: Callable[[], IO[bytes]] = partial(archive.open, member)
            link = link_in(member.extra)
            if link is not None:
                yield _Member(link[0], "link", 0, 0, partial(_text, link[1]))
            elif member.filename.endswith(f"/{PLACEHOLDER}"):
                yield _Member(os.path.dirname(member.filename), "folder", mode, when, opener)
            elif member.is_dir():
                yield _Member(member.filename, "folder", mode, when, opener)
            elif kind == modes.S_IFLNK:
                yield _Member(member.filename, "link", mode, when, opener)
            elif kind in {0, modes.S_IFREG}:
                yield _Member(member.filename, "file", mode or 0o644, when, opener)
            else:
                raise ArchiveError(f"{path}: {member.filename!r} is neither file, folder nor link")
