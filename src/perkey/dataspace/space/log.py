"""Entries that many processes gather in one file: what was found out once need not be found out again.

The file is a sequence of lz4 frames with checksums, each the JSON of a mapping, one entry a line: who looks
for few entries parses only those. Writers append under the
lock of the folder; where an append was cut short, readers stop and the next writer goes on from there. When
more than half of the entries are of no use any more, the file is written anew. It is a help and not a truth:
where it is damaged, missing or cannot be written, work is slower.
"""

from __future__ import annotations

import gc
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any, Final

import lz4.frame

from perkey.dataspace.space.workspace import Workspace
from perkey.files import Handle, open_folder, write_file

_FEW: Final = 1000
_PIECE: Final = 5000
_BEGIN: Final = "{\n"
_SEPARATOR: Final = ",\n"
_KEYS: Final = re.compile(r'^"([^"]+)":', re.MULTILINE)
_to_json = json.JSONEncoder(separators=(",", ":")).encode


class Log:
    """A mapping from ids to what is known of them, in memory and in a file.

    Args:
        workspace: In whose own folder the file is.
        name: Its name.
        private: Whether only the user who writes it may read it.
    """

    def __init__(self, workspace: Workspace, name: str, *, private: bool = False) -> None:
        self._entries: dict[str, Any] = {}
        self._unparsed: list[str] = []
        self.unsaved: dict[str, Any] = {}
        self._workspace = workspace
        self._path = os.path.join(workspace.home, name)
        self._mode = 0o600 if private else 0o666
        self._read = (0, 0, 0)  # inode and size of what was read of the file, and how many entries that was

    @property
    def entries(self) -> dict[str, Any]:
        """All that is known; parses what was not parsed yet."""
        if self._unparsed:
            unparsed, self._unparsed = self._unparsed, []
            with _without_collector():
                for text in unparsed:
                    self._entries.update(json.loads(text))
            self._entries.update(self.unsaved)
        return self._entries

    @property
    def is_parsed(self) -> bool:
        """Whether all that was read is parsed."""
        return not self._unparsed

    def get(self, job: str) -> Any:
        """Return the entry of a job, None if it is not known or not parsed."""
        return self._entries.get(job)

    def knows(self, jobs: Iterable[str]) -> bool:
        """Tell whether there is an entry for each job; parses nothing."""
        known = set(self._entries)
        for text in self._unparsed:
            known.update(_KEYS.findall(text))
        return known.issuperset(jobs)

    def holding(self, needle: re.Pattern[str]) -> Mapping[str, Any]:
        """Return all entries whose text has a match in it, and others, parsing few besides these.

        Args:
            needle: What to look for; it does not match newlines.
        """
        for text in self._unparsed:
            lines = {_line_at(text, match.start()) for match in needle.finditer(text)}
            for job, entry in json.loads(f"{{{','.join(lines)}}}").items():
                self._entries.setdefault(job, entry)
        return self._entries

    def add(self, entries: Mapping[str, Any]) -> None:
        """Add or replace entries, in memory."""
        self.entries.update(entries)
        self.unsaved.update(entries)

    def load(self) -> None:
        """Read what the file has that was not read before; what was added here stands."""
        try:
            with open(self._path, "rb") as file:
                inode = os.fstat(file.fileno()).st_ino
                _, start, count = self._read if inode == self._read[0] else (0, 0, 0)
                file.seek(start)
                content = file.read()
        except OSError:
            self._read = (0, 0, 0)
            return
        for end, text in _frames(content):
            count += text.count(_SEPARATOR) + 1
            self._read = (inode, start + end, count)
            self._unparsed.append(text)

    def save(self, wanted: Mapping[str, Any]) -> None:
        """Append to the file what it lacks, or write it anew if it has become too large.

        Args:
            wanted: Has the ids that are still of use.
        """
        with suppress(OSError), self._locked() as (locked, nested):
            if nested:  # the outer one does not know what would be appended here
                return
            self.load()
            if not locked or self._read[2] > 2 * len(wanted) + _FEW:
                self.replace({job: entry for job, entry in self.entries.items() if job in wanted})
            elif self.unsaved:
                self._append(self.unsaved)
            self.unsaved = {}

    def replace(self, entries: Mapping[str, Any]) -> None:
        """Write the file anew."""
        self._workspace.make_home()
        write_file(self._path, _encode(entries), durable=False, mode=self._mode)

    def forget(self) -> None:
        """Forget what is in memory, not what is in the file."""
        self._entries, self._unparsed, self.unsaved, self._read = {}, [], {}, (0, 0, 0)

    def _append(self, entries: Mapping[str, Any]) -> None:
        """Write behind the last sound frame; what follows that was cut short."""
        with Handle() as handle, open(self._open(handle), "r+b", closefd=False) as file:
            inode = os.fstat(file.fileno()).st_ino
            _, end, count = self._read if inode == self._read[0] else (0, 0, 0)
            file.seek(end)
            file.write(_encode(entries))
            file.truncate()
            self._read = (inode, file.tell(), count + len(entries))

    def _open(self, handle: Handle) -> int:
        return handle.open(self._path, os.O_RDWR | os.O_CREAT, self._mode)

    @contextmanager
    def _locked(self) -> Iterator[tuple[bool, bool]]:
        """Lock the folder; yield whether it has locks, and whether this thread had locked it already."""
        self._workspace.make_home()
        with open_folder(self._workspace.home, place=self._workspace.path) as folder:
            try:
                yield folder.lock(), folder.is_nested()
            finally:
                folder.unlock()


@contextmanager
def _without_collector() -> Iterator[None]:
    """Keep the collector from looking for garbage among very many new objects, none of which is."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _encode(entries: Mapping[str, Any]) -> bytes:
    """Return frames of so many entries each that reading them takes little memory beside the entries."""
    items = iter(entries.items())
    return b"".join(_frame(dict(piece)) for piece in iter(lambda: list(islice(items, _PIECE)), []))


def _frame(entries: Mapping[str, Any]) -> bytes:
    lines = (f"{_to_json(job)}:{_to_json(entry)}" for job, entry in entries.items())
    content = f"{_BEGIN}{_SEPARATOR.join(lines)}\n}}".encode("ascii")
    frame: bytes = lz4.frame.compress(content, content_checksum=True)
    return frame


def _frames(content: bytes) -> Iterator[tuple[int, str]]:
    """Yield where each whole frame ends, and its text."""
    end = 0
    while end < len(content):
        try:
            text, size = lz4.frame.decompress(memoryview(content)[end:], return_bytes_read=True)
        except RuntimeError:  # damaged, or cut short
            return
        end += size
        yield end, text.decode()  # bytes would take twice as long to parse


def _line_at(text: str, position: int) -> str:
    """Return the entry whose text is at a position."""
    start = text.rfind("\n", 0, position) + 1
    return text[start : text.find("\n", position)].rstrip(",")
