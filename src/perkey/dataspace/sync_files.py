"""Files on their way into another folder: which are missing or differ there, and how one is copied."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import stat as modes
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from perkey.dataspace.errors import FileSyncConflict
from perkey.dataspace.files import sync_path
from perkey.stores.folders import Folder
from perkey.stores.shared import replace_path
from perkey.stores.temporaries import OURS, STALE_SECONDS, TEMPORARY, sweep, temporary_name

Compare: TypeAlias = Literal["quick", "content", "size", "rounded"]
"""When two files are the same. ``"quick"``: size and time agree, else the contents do. ``"content"``: always
by their contents. ``"size"``: their sizes agree. ``"rounded"``: as quick, with times in whole seconds."""

_SECOND: Final = 1_000_000_000
_ALL_MAY: Final = 0o777
_PIECE: Final = 1 << 18
_log = logging.getLogger(__name__)


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
        folders: Whether new folders have permissions and times of theirs, if nobody else is looking.
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


def missing_or_different(
    source: str,
    target: str,
    rules: Rules,
    overwrites: Callable[[str], bool],
    skips: Callable[[str], bool],
) -> Iterator[FileCopy]:
    """Yield what one folder must get to be up to date with another; folders before what is in them.

    Args:
        source: The one folder.
        target: The other; it need not exist.
        rules: How.
        overwrites: Tells of a file that differs whether it is overwritten; may raise.
        skips: Tells of a file, whether it is left out.

    Raises:
        FileSyncConflict: A file is a folder in the other place, and is to be overwritten.
    """
    return _Comparison(source, target, rules, overwrites, skips).of("", ())


class _Comparison:
    def __init__(
        self,
        source: str,
        target: str,
        rules: Rules,
        overwrites: Callable[[str], bool],
        skips: Callable[[str], bool],
    ) -> None:
        self._source = source
        self._target = target
        self._rules = rules
        self._overwrites = overwrites
        self._skips = skips

    def of(self, folder: str, above: tuple[tuple[int, int], ...]) -> Iterator[FileCopy]:
        """Yield what is to be done in a folder; `above` are those that lead to it, so that no link loops."""
        found = os.stat(os.path.join(self._source, folder))
        here = (found.st_dev, found.st_ino)
        if here in above:
            _log.warning("%s: a link to a folder around it is left out", os.path.join(self._source, folder))
            return
        for entry in sorted(os.listdir(os.path.join(self._source, folder))):
            if not entry.startswith(OURS):
                yield from self._one(os.path.join(folder, entry), (*above, here))

    def _one(self, name: str, above: tuple[tuple[int, int], ...]) -> Iterator[FileCopy]:
        path = os.path.join(self._source, name)
        found = _stat(path, follow=self._rules.follow_symlinks)
        if found is None:
            _log.warning("%s: a link that leads nowhere is left out", path)
            return
        present = _stat(os.path.join(self._target, name), follow=self._rules.follow_symlinks)
        if modes.S_ISDIR(found.st_mode):
            if self._rules.recursive:
                yield from self._folder(name, present, above)
        elif self._skips(name):
            return
        elif not modes.S_ISREG(found.st_mode) and not modes.S_ISLNK(found.st_mode):
            _log.warning("%s: neither file, folder nor link; it is left out", path)
        elif present is None or (not self._same(name, found, present) and self._may_replace(name, present)):
            kind: Literal["file", "link"] = "link" if modes.S_ISLNK(found.st_mode) else "file"
            replaces = present is not None
            yield FileCopy(name, kind, found.st_size if kind == "file" else 0, replaces=replaces)

    def _folder(
        self, name: str, present: os.stat_result | None, above: tuple[tuple[int, int], ...]
    ) -> Iterator[FileCopy]:
        if present is None:
            yield FileCopy(name, "folder")
        elif not modes.S_ISDIR(present.st_mode):
            if self._overwrites(name):
                raise FileSyncConflict(name)
            return
        yield from self.of(name, above)

    def _may_replace(self, name: str, present: os.stat_result) -> bool:
        if not self._overwrites(name):
            return False
        if modes.S_ISDIR(present.st_mode):
            raise FileSyncConflict(name)
        return True

    def _same(self, name: str, found: os.stat_result, present: os.stat_result) -> bool:
        ours, theirs = os.path.join(self._source, name), os.path.join(self._target, name)
        if modes.S_IFMT(found.st_mode) != modes.S_IFMT(present.st_mode):
            return False
        if modes.S_ISLNK(found.st_mode):
            return os.readlink(ours) == os.readlink(theirs)
        if found.st_size != present.st_size:
            return False
        how = self._rules.compare
        if how == "size" or (how != "content" and _time(found, how) == _time(present, how)):
            return True
        return _same_content(ours, theirs)


def _same_content(one: str, other: str) -> bool:
    with open(one, "rb") as first, open(other, "rb") as second:
        while piece := first.read(_PIECE):
            if second.read(_PIECE) != piece:
                return False
        return not second.read(1)


def _time(found: os.stat_result, how: Compare) -> int:
    return found.st_mtime_ns // _SECOND if how == "rounded" else found.st_mtime_ns


def _stat(path: str, *, follow: bool) -> os.stat_result | None:
    try:
        return os.stat(path, follow_symlinks=follow)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            return None
        raise


def copy_all(
    copies: Iterable[FileCopy],
    source: str,
    target: str,
    rules: Rules,
    *,
    durable: bool,
    private: bool = False,
) -> None:
    """Make files, links and folders; each file is whole at any moment, unless nobody else is looking.

    Args:
        copies: What to make.
        source: The folder to copy from.
        target: The folder to copy to, which exists.
        rules: How.
        durable: Whether all is on disk when this returns.
        private: Whether the target is a new folder that nobody else knows of.
    """
    copy = copy_new if private else copy_file
    touched = {target: None}
    made = [""]
    for each in copies:
        path = os.path.join(target, each.name)
        if each.kind == "folder":
            with suppress(FileExistsError):
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
    """Copy a file or link over what is there; others see old or new. Arguments as for `copy_new`.

    Raises:
        OSError: It cannot be copied; the target is as it was.
    """
    temporary = os.path.join(os.path.dirname(target), temporary_name())
    try:
        copy_new(source, temporary, rules, present=_stat(target, follow=False), link=link, durable=durable)
        replace_path(temporary, target)
    except BaseException:
        with suppress(FileNotFoundError):
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
        target: Where to.
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
    with folder.scan() as entries:
        for entry in entries:
            if entry.name.startswith(TEMPORARY):
                sweep(folder, entry, STALE_SECONDS)
