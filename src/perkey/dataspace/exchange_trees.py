"""The files of a job on their way into another folder or an archive."""

from __future__ import annotations

import logging
import os
import shutil
import stat as modes
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from perkey.dataspace.files import sync_path
from perkey.dataspace.sync_files import FileCopy, Rules, copy_all
from perkey.dataspace.workspace import HOME
from perkey.stores.temporaries import OURS

_WITH_STATUS: Final = Rules(permissions=True, times=True)
_EXACT: Final = Rules(permissions=True, times=True, folders=True)
_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, folder or link in a folder.

    Attributes:
        name: Its path, relative to the folder.
        path: What to read for it.
        kind: What it is.
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
            links that stay in the folder are links, and others are what they lead to. Links that lead nowhere
            or around, and what is neither file nor folder, are left out with a warning.

    Raises:
        shutil.SpecialFileError: There is a device, pipe or socket in an exact copy.
    """
    return _entries(folder, "", (), exact=exact)


def copy_tree(source: str, target: str, *, durable: bool, exact: bool = False) -> None:
    """Copy a folder to a path that does not exist, with times and permissions of files.

    Args:
        source: The folder.
        target: Where to. Its name in the folder above reaches the disk with the next sync of that.
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
        if not each.startswith(OURS) and (exact or each != HOME):
            yield from _entry(root, os.path.join(folder, each), (*above, here), exact=exact)


def _entry(root: str, name: str, above: tuple[tuple[int, int], ...], *, exact: bool) -> Iterator[Entry]:
    path = os.path.join(root, name)
    if os.path.islink(path) and (exact or _stays_within(root, name)):
        yield Entry(name, path, "link", os.lstat(path))
        return
    try:
        found = os.stat(path)
    except OSError:
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
    """Tell whether a link leads to a place in the folder, by its text and in truth."""
    text = os.readlink(os.path.join(root, name))
    if os.path.isabs(text) or _leads_out(os.path.join(os.path.dirname(name), text)):
        return False
    base = os.path.realpath(root)
    return not _leads_out(os.path.relpath(os.path.realpath(os.path.join(root, name)), base))


def _leads_out(path: str) -> bool:
    return os.path.normpath(path).split(os.sep)[0] == os.pardir
