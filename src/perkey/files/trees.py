"""The files of a job on their way into another folder or an archive."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import stat as modes
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from perkey.answers import ignore_system_answer, system_answer
from perkey.files.folder import OURS, SCRATCH, TEMPORARY, Folder, temporary_name
from perkey.files.shared import replace_path
from perkey.files.tidying import STALE_SECONDS, sweep
from perkey.files.whole import sync_path

Compare: TypeAlias = Literal["quick", "content", "size", "rounded"]
"""When two files are the same. ``"quick"``: size and time agree, else the contents do. ``"content"``: always
by their contents. ``"size"``: their sizes agree. ``"rounded"``: as quick, with times in whole seconds."""

_ALL_MAY: Final = 0o777
_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rules:
    """How folders are compared and files copied.

    Attributes:
        recursive: Whether folders within are looked into.
        follow_symlinks: Whether what links lead to is copied, instead of links.
        permissions: Whether a copy has the permissions of its source; else a new file has what the umask
            leaves of them, and one that is replaced keeps its own.
        times: Whether a copy has the time of its source.
        owner: Whether it has its owner.
        group: Whether it has its group.
        compare: When two files are the same.
        folders: Whether new folders get the permissions and times of the originals, if the target is private.
    """

    recursive: bool = False
    follow_symlinks: bool = True
    permissions: bool = False
    times: bool = False
    owner: bool = False
    group: bool = False
    compare: Compare = "quick"
    folders: bool = False


@dataclass(frozen=True, slots=True)
class FileCopy:
    """A file, link or folder that is to be made.

    Attributes:
        name: Its path, relative to both folders.
        kind: What it will be.
        size: How many bytes are copied.
        replaces: Whether there is a file of that name.
    """

    name: str
    kind: Literal["file", "link", "folder"]
    size: int = 0
    replaces: bool = False


_WITH_STATUS: Final = Rules(permissions=True, times=True)
_EXACT: Final = Rules(permissions=True, times=True, folders=True)


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, folder or link in a folder.

    Attributes:
        name: Its path, relative to the folder.
        path: What to read for it.
        kind: Whether it is a file, a link or a folder.
        stat: Size, times and permissions.
    """

    name: str
    path: str
    kind: Literal["file", "folder", "link"]
    stat: os.stat_result


def entries(folder: str, *, exact: bool = False) -> Iterator[Entry]:
    """Yield all that is in a folder, each folder before what is in it, but what unfinished changes left.

    Args:
        folder: The folder.
        exact: Whether each link is a link, and what is neither file, folder nor link raises. Else relative
            links that stay in the folder are links, and other links are replaced by their targets. Links that
            lead nowhere or around, and what is neither file nor folder, are left out with a warning.

    Raises:
        shutil.SpecialFileError: There is a device, pipe or socket in an exact copy.
    """
    return _entries(folder, "", (), exact=exact)


def copy_tree(source: str, target: str, *, durable: bool, exact: bool = False) -> None:
    """Copy a folder to a path that does not exist, with times and permissions of files.

    Args:
        source: The folder.
        target: The path of the copy. The next sync of the folder above brings its name to the disk.
        durable: Whether all that is in it is on disk when this returns.
        exact: As for `entries`. An exact copy has times and permissions of folders, too.
    """
    os.mkdir(target)
    copies = (FileCopy(each.name, each.kind) for each in entries(source, exact=exact))
    copy_all(copies, source, target, _EXACT if exact else _WITH_STATUS, durable=durable, private=True)


def sync_tree(folder: str) -> None:
    """Bring all files and folders in a folder to the disk."""
    for place, _, names in os.walk(folder, topdown=False):
        for name in names:
            path = os.path.join(place, name)
            if modes.S_ISREG(os.lstat(path).st_mode):
                sync_path(path)
        sync_path(place)


def _entries(root: str, folder: str, above: tuple[tuple[int, int], ...], *, exact: bool) -> Iterator[Entry]:
    found = os.stat(os.path.join(root, folder))
    here = (found.st_dev, found.st_ino)
    if here in above:
        _log.warning("%s: a link to a folder around it is left out", os.path.join(root, folder))
        return
    for each in sorted(os.listdir(os.path.join(root, folder))):
        if not each.startswith(OURS) and (exact or each != SCRATCH):
            yield from _entry(root, os.path.join(folder, each), (*above, here), exact=exact)


def _entry(root: str, name: str, above: tuple[tuple[int, int], ...], *, exact: bool) -> Iterator[Entry]:
    path = os.path.join(root, name)
    if os.path.islink(path) and (exact or _stays_within(root, name)):
        yield Entry(name, path, "link", os.lstat(path))
        return
    try:
        found = os.stat(path)
    except system_answer(OSError):
        if not os.path.islink(path):
            raise
        _log.warning("%s: a link that leads nowhere is left out", path)
        return
    if modes.S_ISDIR(found.st_mode):
        yield Entry(name, path, "folder", found)
        yield from _entries(root, name, above, exact=exact)
    elif modes.S_ISREG(found.st_mode):
        yield Entry(name, path, "file", found)
    elif exact:
        raise shutil.SpecialFileError(f"{path} cannot be copied: neither file, folder nor link")
    else:
        _log.warning("%s: neither file, folder nor link; it is left out", path)


def _stays_within(root: str, name: str) -> bool:
    """Return whether a link leads to a place in the folder, by its text and after following it."""
    text = os.readlink(os.path.join(root, name))
    if os.path.isabs(text) or _leads_out(os.path.join(os.path.dirname(name), text)):
        return False
    base = os.path.realpath(root)
    return not _leads_out(os.path.relpath(os.path.realpath(os.path.join(root, name)), base))


def _leads_out(path: str) -> bool:
    return os.path.normpath(path).split(os.sep)[0] == os.pardir


def copy_all(
    copies: Iterable[FileCopy],
    source: str,
    target: str,
    rules: Rules,
    *,
    durable: bool,
    private: bool = False,
) -> None:
    """Make files, links and folders; each file is whole at any moment, unless the target is private.

    Args:
        copies: What to make.
        source: The folder to copy from.
        target: The folder to copy to, which exists.
        rules: How.
        durable: Whether all is on disk when this returns.
        private: Whether the target is a new folder that no other process uses yet.
    """
    copy = copy_new if private else copy_file
    touched = {target: None}
    made = [""]
    for each in copies:
        path = os.path.join(target, each.name)
        if each.kind == "folder":
            with ignore_system_answer(FileExistsError):
                os.mkdir(path)
            made.append(each.name)
        else:
            copy(os.path.join(source, each.name), path, rules, link=each.kind == "link", durable=durable)
        touched[os.path.dirname(path)] = None
    for name in reversed(made) if rules.folders and private else ():
        shutil.copystat(os.path.join(source, name), os.path.join(target, name))
    for folder in touched if durable or not private else ():
        with closing(Folder.at(folder, (), lockable=False)) as opened:
            _sweep(opened)
            if durable:
                opened.sync()


def copy_file(source: str, target: str, rules: Rules, *, link: bool, durable: bool) -> None:
    """Copy a file or link over the target atomically: readers see old or new. Arguments as for `copy_new`.

    Raises:
        OSError: The file cannot be copied; the target is as it was.
    """
    temporary = os.path.join(os.path.dirname(target), temporary_name())
    try:
        copy_new(
            source, temporary, rules, present=status_or_none(target, follow=False), link=link, durable=durable
        )
        replace_path(temporary, target)
    except BaseException:
        with ignore_system_answer(FileNotFoundError):
            os.unlink(temporary)
        raise


def copy_new(
    source: str,
    target: str,
    rules: Rules,
    *,
    present: os.stat_result | None = None,
    link: bool,
    durable: bool,
) -> None:
    """Copy a file or link to where nothing is.

    Args:
        source: What to copy.
        target: The path of the copy.
        rules: How.
        present: What the copy will replace.
        link: Whether a link is copied, and not what it leads to.
        durable: Whether content, permissions and time are on disk when this returns.
    """
    if link:
        os.symlink(os.readlink(source), target)
        return
    shutil.copyfile(source, target)
    _dress(source, target, present, rules)
    if durable:
        sync_path(target)


def _dress(source: str, temporary: str, present: os.stat_result | None, rules: Rules) -> None:
    """Give a copy its owner, permissions and time, in this order: a change of owner clears permissions."""
    found = os.stat(source)
    if rules.permissions and rules.times:
        shutil.copystat(source, temporary)  # which copies extended attributes, too
    if rules.owner or rules.group:
        os.chown(temporary, found.st_uid if rules.owner else -1, found.st_gid if rules.group else -1)
    if rules.permissions:
        os.chmod(temporary, modes.S_IMODE(found.st_mode))
    elif present is not None and modes.S_ISREG(present.st_mode):
        os.chmod(temporary, modes.S_IMODE(present.st_mode))
    else:
        # The new file has what the umask leaves to all; of that, it gets what the source has. A file that
        # can be executed gets that where it can be read.
        left = modes.S_IMODE(os.stat(temporary).st_mode)
        os.chmod(temporary, modes.S_IMODE(found.st_mode) & (left | (left & 0o444) >> 2) & _ALL_MAY)
    if rules.times:
        os.utime(temporary, ns=(found.st_atime_ns, found.st_mtime_ns))


def _sweep(folder: Folder) -> None:
    """Remove what copies of killed processes left."""
    with folder.scan() as found:
        for entry in found:
            if entry.name.startswith(TEMPORARY):
                sweep(folder, entry, STALE_SECONDS)


def status_or_none(path: str, *, follow: bool) -> os.stat_result | None:
    """Return the status of what is at a path; None if nothing is, or only a link that leads nowhere."""
    try:
        return os.stat(path, follow_symlinks=follow)
    except system_answer(FileNotFoundError, NotADirectoryError):
        return None
    except system_answer(OSError) as error:
        if error.errno == errno.ELOOP:
            return None
        raise
