"""The state points of all jobs in one file, so that a search reads that and not a file a job.

A state point never changes: its id is its digest. So what the index says is right for ever, and the only
question is which jobs there are. That is asked of the workspace's folder, each time, unless its own times
prove that nothing was added or removed since. Jobs that the index lacks are read one by one and appended.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Final, TypeAlias

from perkey.dataspace.errors import JobsCorruptedError
from perkey.dataspace.space.ids import StatePoint
from perkey.dataspace.space.log import Log
from perkey.dataspace.space.workspace import Workspace
from perkey.files import persist, read_file, write_file

Stamp: TypeAlias = tuple[int, int, int]

FILE: Final = "index"
_QUIET_NS: Final = 2_000_000_000


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
        """Tell the index of a state point that was just written; it reaches the file with the next search."""
        if self._log.get(job) is None:
            self._log.add({job: statepoint})

    def ids(self) -> list[str]:
        """Return the ids of all jobs there are now; the list is not to be changed.

        Cost: one system call if the folder's times prove that nothing changed for two seconds before it was
        last listed, else a listing.
        """
        before = _stamp(self._workspace.path)
        if before is None or before != self._listed:
            ids = self._workspace.ids()
            if ids != self._ids:  # else it stays the same object, which tells callers that nothing changed
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
        """Write the file anew, with the jobs there are now; raises as `all`."""
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
        found = persist(partial(os.stat, path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns


def read_cache(path: str) -> dict[str, StatePoint]:
    """Return what signac's own cache of state points says; nothing if it is missing or damaged."""
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
