"""What is known of jobs, in memory and in one file for all processes; first of all the state points.

A state point never changes: its id is its digest. So an entry of the `Index` stays valid, and the only
question is which jobs exist. Each search asks the workspace's folder that question, unless the folder's own
times prove that nothing was added or removed since. Jobs that the index lacks are read one by one and added.

A `Log` is the file. It is a sequence of lz4 frames with checksums, each the JSON of a mapping with one entry
a line, so that a search for few entries parses only those. Writers append under the lock of the folder. Where
an append was cut short, readers stop and the next writer continues from there. When more than half of the
entries are of no use any more, the file is written anew. If it is damaged, missing or read-only, work is only
slower.
"""

from __future__ import annotations

import gc
import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from typing import Any, Final, TypeAlias

import lz4.frame

from perkey.dataspace.errors import JobsCorruptedError
from perkey.dataspace.space.workspace import StatePoint, Workspace
from perkey.files import REPLACED, Handle, open_folder, persist, read_file, write_file

Stamp: TypeAlias = tuple[int, int, int]

FILE: Final = "index"
_QUIET_NS: Final = 2_000_000_000
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
        """Return whether there is an entry for each job; parses nothing."""
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
        """Write behind the last sound frame, over an append that was cut short."""
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


class Index:
    """The state points of the jobs of a workspace, kept in memory and in one file.

    Safe between processes and threads: at worst two read the same files.

    Args:
        workspace: The jobs.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._log = Log(workspace, FILE)
        self._ids: list[str] = []
        self._listed: Stamp | None = None

    def statepoint(self, job: str) -> StatePoint:
        """Return the state point of one job, which is not to be changed; raises as `Workspace.statepoint`."""
        found: StatePoint | None = self._log.get(job)
        if found is None:
            found = self._workspace.statepoint(job)
            self._log.add({job: found})
        return found

    def add(self, job: str, statepoint: StatePoint) -> None:
        """Add a state point that was just written; it reaches the file with the next search."""
        if self._log.get(job) is None:
            self._log.add({job: statepoint})

    def ids(self) -> list[str]:
        """Return the ids of all current jobs; the caller must not change the list.

        Cost: one system call if the folder's times prove that nothing changed for two seconds before it was
        last listed, else a listing.
        """
        before = _stamp(self._workspace.path)
        if before is None or before != self._listed:
            ids = self._workspace.ids()
            if ids != self._ids:  # else it stays the same object, by which callers see that nothing changed
                self._ids = ids
            # A change within a tick of the folder's clock, after our listing, would not show in its times.
            quiet = before is not None and time.time_ns() - max(before[1:]) > _QUIET_NS
            self._listed = before if quiet else None
        return self._ids

    def all(self, ids: list[str] | None = None) -> Mapping[str, StatePoint]:
        """Return the state points of all current jobs; the caller must not change them.

        Args:
            ids: What `ids` has just returned, if it was called anyway.

        Raises:
            JobsCorruptedError: Those of some jobs cannot be read; it names them all.
        """
        found, corrupted = self.sound(ids)
        if corrupted:
            raise JobsCorruptedError(corrupted)
        return found

    def holding(self, needle: re.Pattern[str], ids: list[str]) -> Mapping[str, StatePoint]:
        """Return the state points of the jobs in whose text there is a match, and of others; as `all`.

        If all of them are in the index, few besides these are parsed.

        Args:
            needle: What to look for in the compact JSON of a state point.
            ids: What `ids` has just returned.
        """
        log = self._log
        if not log.knows(ids):
            log.load()
        if log.is_parsed or not log.knows(ids):
            return self.all(ids)
        present = set(ids)
        return {job: found for job, found in log.holding(needle).items() if job in present}

    def sound(self, ids: list[str] | None = None) -> tuple[Mapping[str, StatePoint], list[str]]:
        """Return the state points of all jobs that can be read, and the ids of the others; as `all`."""
        ids = self.ids() if ids is None else ids
        log = self._log
        if not self._all_known(ids):
            log.load()
        corrupted: list[str] = []
        if not self._all_known(ids):
            fresh, corrupted = self._look_up(job for job in ids if job not in log.entries)
            log.add(fresh)
        known = log.entries
        if len(known) == len(ids) and not corrupted:
            found = dict(known)
        else:
            found = {job: known[job] for job in ids if job in known}
        if log.unsaved:
            log.save(found)
        return found, corrupted

    def update(self) -> None:
        """Write the file again, with the current jobs; raises as `all`."""
        self._log.replace(self.all())

    def forget(self) -> None:
        """Forget what is in memory, not what is in the file."""
        self._log.forget()
        self._listed = None

    def _all_known(self, ids: list[str]) -> bool:
        known = self._log.entries
        return len(known) >= len(ids) and all(map(known.__contains__, ids))

    def _look_up(self, jobs: Iterable[str]) -> tuple[dict[str, StatePoint], list[str]]:
        found: dict[str, StatePoint] = {}
        corrupted: list[str] = []
        for job in jobs:
            try:
                found[job] = self._workspace.statepoint(job)
            except KeyError:
                continue  # removed since it was listed
            except JobsCorruptedError:
                corrupted.append(job)
        return found, corrupted


def _stamp(path: str) -> Stamp | None:
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno not in REPLACED:
            raise
        found = persist(partial(os.stat, path))
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns


def read_cache(path: str) -> dict[str, StatePoint]:
    """Return the content of signac's own cache of state points; nothing if it is missing or damaged."""
    import gzip  # noqa: PLC0415 - few need it

    try:
        content = read_file(path)
        found = {} if content is None else json.loads(gzip.decompress(content))
    except (OSError, EOFError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_cache(path: str, entries: Mapping[str, StatePoint]) -> None:
    """Write signac's own cache of state points."""
    import gzip  # noqa: PLC0415

    write_file(path, gzip.compress(json.dumps(entries).encode("ascii"), mtime=0), durable=False)


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
