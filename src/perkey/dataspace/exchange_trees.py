"""The files of a job on their way out of a project or into one: by a folder, or by an archive."""

from __future__ import annotations

import logging
import os
import shutil
import stat as modes
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from perkey.dataspace.sync_files import fill
from perkey.dataspace.workspace import HOME
from perkey.stores.temporaries import OURS

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


def entries(folder: str) -> Iterator[Entry]:
    """Yield all that is in a folder, each folder before what is in it.

    A relative link that stays in the folder is a link; any other is what it leads to. Links that lead nowhere
    or around, and what is neither file nor folder, are left out with a warning. So is, without one, what
    unfinished changes left.
    """
    return _entries(folder, "", ())


def copy_tree(source: str, target: str, *, durable: bool) -> None:
    """Copy a folder to a path that does not exist, with times and permissions of files.

    Args:
        source: The folder.
        target: Where to.
        durable: Whether the content of the files is on disk when this returns.
    """
    os.mkdir(target)
    for entry in entries(source):
        path = os.path.join(target, entry.name)
        if entry.kind == "folder":
            os.mkdir(path)
        elif entry.kind == "link":
            os.symlink(os.readlink(entry.path), path)
        else:
            fill(entry.path, path, durable=durable)
            shutil.copystat(entry.path, path)


def _entries(root: str, folder: str, above: tuple[tuple[int, int], ...]) -> Iterator[Entry]:
    found = os.stat(os.path.join(root, folder))
    here = (found.st_dev, found.st_ino)
    if here in above:
        _log.warning("%s: a link to a folder around it is left out", os.path.join(root, folder))
        return
    for each in sorted(os.listdir(os.path.join(root, folder))):
        if each != HOME and not each.startswith(OURS):
            yield from _entry(root, os.path.join(folder, each), (*above, here))


def _entry(root: str, name: str, above: tuple[tuple[int, int], ...]) -> Iterator[Entry]:
    path = os.path.join(root, name)
    if os.path.islink(path) and _stays_within(root, name):
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
        yield from _entries(root, name, above)
    elif modes.S_ISREG(found.st_mode):
        yield Entry(name, path, "file", found)
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
