"""Reading the documents of many jobs: each file again only when it has changed."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, TypeAlias

from perkey.dataspace.space.index import Log
from perkey.dataspace.space.workspace import Workspace
from perkey.errors import CorruptValueError
from perkey.files import READ_ONLY, Handle, persist, read_open, refuse_dangling, shared_status, way_of
from perkey.files import versions as stamps
from perkey.synced import BufferedJSONAttrDict

Document: TypeAlias = Mapping[str, Any]

FN_DOCUMENT: Final = "signac_job_document.json"
"""The file of the document in each job's folder."""

FILE: Final = "documents"
_SETTLED_NS: Final = 50_000_000
_WORTH_SAVING: Final = 100

_HELD_BACK: Final = BufferedJSONAttrDict.__perkey_buffer__
"""The buffer of the documents of jobs and projects."""


def settle(path: str, *, write: bool = True) -> None:
    """Write what a buffered block of this process holds back of one document, before its file is used.

    Args:
        path: The file.
        write: False drops the edits instead, because the file is going to be removed.

    Raises:
        BufferedFileError: The edits could not be written.
    """
    if _HELD_BACK.entries:
        _HELD_BACK.settle(os.path.realpath(path), write=write)


def settle_all() -> None:
    """Write what buffered blocks of this process hold back, before files are used; raises as `settle`."""
    if _HELD_BACK.entries:
        _HELD_BACK.settle_all()


class Documents:
    """The documents of jobs as plain data, in memory and, for the next process, in one file.

    What is known of a document holds as long as its file has the same times, size and inode. A file that was
    written so shortly ago that this would not show the next change is read again.

    Args:
        workspace: The jobs.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._place = workspace.path
        self._log = Log(workspace, FILE, private=True)

    def __call__(self, job: str) -> Document:
        """Return the document of a job, not to be changed; empty if it is missing.

        Edits that this process holds back in a buffer are written first.

        Cost: one system call if the file has not changed.

        Raises:
            BufferedFileError: Edits in a buffer could not be written.
            CorruptValueError: The file is not JSON, or not a mapping.
            FileNotFoundError: The document is a link that leads nowhere.
        """
        path = f"{self._place}/{job}/{FN_DOCUMENT}"
        if _HELD_BACK.entries:  # asked here, too: seldom is a document buffered
            settle(path)
        known = self._log.entries.get(job)
        try:
            if known is not None and _version(shared_status(path, way_of(self._place))) == known[0]:
                document: Document = known[1]
                return document
            found, content = persist(partial(_read, path))
        except (FileNotFoundError, NotADirectoryError):
            refuse_dangling(path)
            return {}
        document = parse(content, path)
        if stamps.was_set(found) or time.time_ns() - found.st_mtime_ns > _SETTLED_NS:
            self._log.add({job: (_version(found), document)})
        return document

    @contextmanager
    def many(self, jobs: Iterable[str]) -> Iterator[None]:
        """Be quick in a block that asks for many documents: learn from other processes before, teach after.

        Args:
            jobs: The ids of all jobs.
        """
        self._log.load()
        yield
        if len(self._log.unsaved) >= max(_WORTH_SAVING, len(self._log.entries) // 10):
            self._log.save(dict.fromkeys(jobs))


def _read(path: str) -> tuple[os.stat_result, bytes]:
    with Handle() as file:
        fd = file.open(path, READ_ONLY)
        found = os.fstat(fd)
        return found, read_open(fd, found.st_size)


def _version(found: os.stat_result) -> str:
    return stamps.plain_version_of(found)


def parse(content: bytes, path: str) -> Document:
    """Return the document in a file; raises CorruptValueError if the file holds anything else."""
    try:
        document = json.loads(content.decode())  # what `loads` does with bytes takes twice as long
    except ValueError as error:
        raise CorruptValueError(f"not JSON: {error}", place=path) from error
    if not isinstance(document, dict):
        raise CorruptValueError(f"a document is a mapping, not a {type(document).__name__}", place=path)
    return document
