"""The state points of all jobs in one file, so that a search reads that and not a file a job.

A state point never changes: its id is its digest. So what the index says is right for ever, and the only
question is which jobs there are. That is asked of the workspace's folder, each time, unless its own times
prove that nothing was added or removed since. Jobs that the index lacks are read one by one and appended.

The file is a sequence of lz4 frames with checksums, each the JSON of a mapping from ids to state points.
Writers append under the lock of the folder; where an append was cut short, readers stop and the next writer
goes on from there. When more than half of the entries are of jobs that are gone, it is written anew.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final, TypeAlias

import lz4.frame

from perkey.dataspace.errors import JobsCorruptedError
from perkey.dataspace.files import read_file, write_file
from perkey.dataspace.ids import StatePoint
from perkey.dataspace.workspace import Workspace
from perkey.stores.folders import Folder

Stamp: TypeAlias = tuple[int, int, int]

FILE: Final = "index"
_QUIET_NS: Final = 2_000_000_000
_FEW: Final = 1000


class Index:
    """The state points of the jobs of a workspace, kept in memory and in one file.

    Safe between processes and threads: at worst two read the same files.

    Args:
        workspace: The jobs.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._file = os.path.join(workspace.home, FILE)
        self._known: dict[str, StatePoint] = {}
        self._unsaved: dict[str, StatePoint] = {}
        self._ids: list[str] = []
        self._listed: Stamp | None = None
        self._read: tuple[int, int] = (0, 0)  # inode and size of what was read of the file

    def statepoint(self, job: str) -> StatePoint:
        """Return the state point of one job, which is not to be changed; raises as `Workspace.statepoint`."""
        found = self._known.get(job)
        if found is None:
            found = self._known[job] = self._workspace.statepoint(job)
        return found

    def add(self, job: str, statepoint: StatePoint) -> None:
        """Tell the index of a state point that was just written; it reaches the file with the next search."""
        if job not in self._known:
            self._known[job] = self._unsaved[job] = statepoint

    def ids(self) -> list[str]:
        """Return the ids of all jobs there are now; the list is not to be changed.

        Cost: one system call if the folder's times prove that nothing changed for two seconds before it was
        last listed, else a listing.
        """
        before = _stamp(self._workspace.path)
        if before is None or before != self._listed:
            ids = self._workspace.ids()
            if (
                ids != self._ids
            ):  # else the list stays the same object, which tells callers that nothing changed
                self._ids = ids
            # A change within a tick of the folder's clock, after our listing, would not show in its times.
            quiet = before is not None and time.time_ns() - max(before[1:]) > _QUIET_NS
            self._listed = before if quiet else None
        return self._ids

    def all(self, ids: list[str] | None = None) -> Mapping[str, StatePoint]:
        """Return the state points of all jobs there are now, not to be changed.

        Args:
            ids: What `ids` has just returned, if it was called anyway.

        Raises:
            JobsCorruptedError: Those of some jobs cannot be read; it names them all.
        """
        found, corrupted = self.sound(ids)
        if corrupted:
            raise JobsCorruptedError(corrupted)
        return found

    def sound(self, ids: list[str] | None = None) -> tuple[Mapping[str, StatePoint], list[str]]:
        """Return the state points of all jobs that can be read, and the ids of the others; as `all`."""
        ids = self.ids() if ids is None else ids
        if not self._all_known(ids):
            self._load()
        corrupted: list[str] = []
        if not self._all_known(ids):
            fresh, corrupted = self._look_up(job for job in ids if job not in self._known)
            self._known.update(fresh)
            self._unsaved.update(fresh)
        if self._unsaved:
            self._save(len(ids))
        known = self._known
        if len(known) == len(ids) and not corrupted:
            return dict(known), corrupted
        return {job: known[job] for job in ids if job in known}, corrupted

    def update(self) -> None:
        """Write the file anew, with the jobs there are now; raises as `all`."""
        self._replace(self.all())

    def forget(self) -> None:
        """Forget what is in memory, not what is in the file."""
        self._known, self._unsaved = {}, {}
        self._listed = None
        self._read = (0, 0)

    def _all_known(self, ids: list[str]) -> bool:
        known = self._known
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

    # --- The file -----------------------------------------------------------------------------------

    def _load(self) -> None:
        """Read what the file has that was not read before."""
        try:
            with open(self._file, "rb") as file:
                inode, size = os.fstat(file.fileno()).st_ino, self._read[1]
                if inode != self._read[0]:
                    size = 0
                file.seek(size)
                content = file.read()
        except (FileNotFoundError, NotADirectoryError):
            self._read = (0, 0)
            return
        for end, entries in _frames(content):
            self._known.update(entries)
            self._read = (inode, size + end)
            for job in self._unsaved.keys() & entries:
                del self._unsaved[job]

    def _save(self, jobs: int) -> None:
        """Append to the file what it lacks. It is only an index: where that fails, searches are slower."""
        with suppress(OSError), self._locked() as locked:
            self._load()
            if not locked or len(self._known) > 2 * jobs + _FEW:
                self._replace({job: self._known[job] for job in self._ids if job in self._known})
            elif self._unsaved:
                self._append(_frame(self._unsaved))
            self._unsaved = {}

    def _append(self, frame: bytes) -> None:
        """Write behind the last sound frame; what follows that was cut short."""
        fd = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o666)
        with os.fdopen(fd, "r+b") as file:
            inode = os.fstat(fd).st_ino
            file.seek(self._read[1] if inode == self._read[0] else 0)
            file.write(frame)
            file.truncate()
            self._read = (inode, file.tell())

    def _replace(self, entries: Mapping[str, StatePoint]) -> None:
        self._workspace.make_home()
        write_file(self._file, _frame(entries), durable=False)

    @contextmanager
    def _locked(self) -> Iterator[bool]:
        self._workspace.make_home()
        folder = Folder.at(self._workspace.home, ())
        try:
            yield folder.lock()
        finally:
            folder.unlock()
            folder.close()


def _stamp(path: str) -> Stamp | None:
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns


def _frame(entries: Mapping[str, StatePoint]) -> bytes:
    content = json.dumps(entries, separators=(",", ":")).encode("ascii")
    frame: bytes = lz4.frame.compress(content, content_checksum=True)
    return frame


def _frames(content: bytes) -> Iterator[tuple[int, dict[str, StatePoint]]]:
    """Yield where each whole frame ends, and its entries."""
    rest = content
    while rest:
        frame = lz4.frame.LZ4FrameDecompressor()
        try:
            text = frame.decompress(rest)
        except RuntimeError:  # damaged
            return
        if not frame.eof:
            return
        rest = frame.unused_data or b""
        yield len(content) - len(rest), json.loads(text)


def read_cache(path: str) -> dict[str, StatePoint]:
    """Return what signac's own cache of state points says; nothing if it is missing or damaged."""
    import gzip  # noqa: PLC0415 - few need it

    content = read_file(path)
    try:
        found = {} if content is None else json.loads(gzip.decompress(content))
    except (OSError, EOFError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_cache(path: str, entries: Mapping[str, StatePoint]) -> None:
    """Write signac's own cache of state points."""
    import gzip  # noqa: PLC0415

    write_file(path, gzip.compress(json.dumps(entries).encode("ascii"), mtime=0), durable=False)
