"""Files on their way into another folder: which are missing or differ there, and how one is copied."""

from __future__ import annotations

import logging
import os
import stat as modes
from collections.abc import Callable, Iterator
from typing import Final, Literal

from perkey.dataspace.errors import FileSyncConflict
from perkey.files import OURS
from perkey.files.trees import Compare, FileCopy, Rules, status_or_none

_SECOND: Final = 1_000_000_000
_PIECE: Final = 1 << 18
_log = logging.getLogger(__name__)


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
        overwrites: Returns whether a file that differs is overwritten; may raise.
        skips: Returns whether a file is left out.

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
        found = status_or_none(path, follow=self._rules.follow_symlinks)
        if found is None:
            _log.warning("%s: a link that leads nowhere is left out", path)
            return
        present = status_or_none(os.path.join(self._target, name), follow=self._rules.follow_symlinks)
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
