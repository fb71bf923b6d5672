"""Reading archives: out of a tar or zip file without leaving the target.

Whoever wrote an archive may be an enemy. Files, folders, and links between them are all that is read from
one, each is made anew below the target, and links come last: so nothing is ever written through a link, and
at the end each link must lead to a place in the target. Rights beyond those of read, write and execute are
not read.
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import IO, Final, Literal

from perkey.dataspace.errors import ArchiveError
from perkey.dataspace.exchange.archives import PLACEHOLDER, link_in
from perkey.files import OURS, sync_tree

_RIGHTS: Final = 0o777
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
        ArchiveError: It is no archive, or is damaged, or holds what could lead out of the target; the
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
    os.chmod(place, member.mode & _RIGHTS | modes.S_IRUSR | modes.S_IWUSR)
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
        if error.errno in {None, errno.EINVAL}:  # bz2 says it so, and who is sent before the beginning
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
    """Raise ArchiveError if there is no mark of the end: an archive cut between members seems a smaller one.

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
    """Raise ArchiveError if there are fewer members than are told at the end of the file.

    The list of members has no checksum: damage may make one a comment of another.
    """
    with open(path, "rb") as file:
        file.seek(-_ZIP_END.size - len(archive.comment), os.SEEK_END)
        (told,) = _ZIP_END.unpack(file.read(_ZIP_END.size))
    if told not in {len(archive.infolist()), _SEE_ZIP64}:
        raise ArchiveError(f"{path} cannot be read: it has {len(archive.infolist())} members of {told}")


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
