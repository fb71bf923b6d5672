"""Jobs on their way from one workspace to another.

On one file system a move is a rename. Between file systems it is a copy, and the moment of the move is the
renaming of the copy into its place:

1. a note is left in the old workspace: the job, its destination, and the mark that both will carry;
2. the job is copied into a staging folder of the new workspace, with the mark, and all of it is brought to
   the disk, unless the new project is not durable;
3. the copy is renamed into place, and from now on the job is there;
4. the original, the mark and the note are removed.

A process that opens the old workspace and finds a note looks for the mark in the new one. If it is there, the
process was killed after step 3, and step 4 is done for it; else the job has not been moved. The original
carries the mark as well, so that a job made anew in its place is not taken for it.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from perkey.dataspace.errors import DestinationExistsError
from perkey.dataspace.space.workspace import TAKEN, Workspace
from perkey.files import (
    OURS,
    make_base,
    read_file,
    rename_path,
    temporary_name,
    way_of,
    write_file,
)
from perkey.files.trees import copy_tree, sync_tree

_NOTES: Final = "moves"
_MARK: Final = OURS + "moved-"
_NOTE_STALE_SECONDS: Final = 7 * 24 * 3600.0
_NOT_OURS_TO_FINISH: Final = frozenset((errno.EACCES, errno.EPERM, errno.EROFS))

CopyTree = Callable[..., Any]
"""Copies a folder: takes source and destination, which does not exist, as `shutil.copytree`."""


def move(job: str, source: Workspace, target: Workspace) -> None:
    """Move a job to another workspace.

    While it is copied between file systems, no process may write to it: late changes may be lost.

    Raises:
        FileNotFoundError: The job does not exist.
        DestinationExistsError: The other workspace has such a job; nothing was changed.
    """
    target.make()
    try:
        way = way_of(target.path)
        rename_path(source.folder(job), target.folder(job), way if way.shared else way_of(source.path))
    except OSError as error:
        if error.errno in TAKEN:
            raise DestinationExistsError(target.folder(job)) from None
        if error.errno != errno.EXDEV:
            raise
        move_by_copy(job, source, target)
    else:
        target.sync()
        source.sync()


def clone(job: str, source: Workspace, target: Workspace, copytree: CopyTree | None = None) -> None:
    """Copy a job with all its files to another workspace, where it appears as a whole.

    Raises:
        FileNotFoundError: The job does not exist.
        DestinationExistsError: The other workspace has such a job; nothing was changed.
    """
    if job in target:
        raise DestinationExistsError(target.folder(job))
    staging = target.stage(copy=True)
    try:
        inner = os.path.join(staging, job)
        _copy(source.folder(job), inner, copytree, durable=target.durable)
        target.publish(inner, job)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def recover(workspace: Workspace) -> None:
    """Finish the moves out of a workspace whose processes were killed.

    Cost: one system call if no move was interrupted.
    """
    notes = os.path.join(workspace.home, _NOTES)
    try:
        names = os.listdir(notes)
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        if not name.startswith(OURS):
            try:
                _recover(os.path.join(notes, name), workspace)
            except OSError as error:
                if error.errno not in _NOT_OURS_TO_FINISH:
                    raise


def _copy(source: str, target: str, copytree: CopyTree | None, *, durable: bool) -> None:
    """Copy a folder; what unfinished changes left in it stays behind."""
    if copytree is None:
        copy_tree(source, target, durable=durable, exact=True)
        return
    copytree(source, target)
    if durable:
        sync_tree(target)


def move_by_copy(job: str, source: Workspace, target: Workspace) -> None:
    """Move a job between file systems, as the module describes; raises as `move`."""
    if job in target:
        raise DestinationExistsError(target.folder(job))
    mark = _MARK + temporary_name()[len(OURS) :]
    note = os.path.join(source.home, _NOTES, mark[len(_MARK) :])
    staging = target.stage(copy=True)
    arrived = os.path.join(target.folder(job), mark)
    try:
        make_base(os.path.dirname(note), durable=source.durable)
        text = json.dumps({"job": job, "workspace": target.path, "mark": mark})
        write_file(note, text.encode("ascii"), durable=source.durable)
        write_file(os.path.join(source.folder(job), mark), b"", durable=source.durable)
        inner = os.path.join(staging, job)
        _copy(source.folder(job), inner, None, durable=target.durable)
        write_file(os.path.join(inner, mark), b"", durable=target.durable)
        target.publish(inner, job)
        _depart(note, job, arrived, source)
    except BaseException:
        if not os.path.exists(arrived):
            _unlink(os.path.join(source.folder(job), mark))
            _unlink(note)
        raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _depart(note: str, job: str, arrived: str, source: Workspace) -> None:
    """Remove the original of a job that has arrived, then note and mark."""
    if os.path.exists(os.path.join(source.folder(job), os.path.basename(arrived))):
        source.remove(job)
    _unlink(arrived)
    _unlink(note)


def _unlink(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


def _recover(note: str, workspace: Workspace) -> None:
    content = read_file(note)
    if content is None:
        return  # done by another
    entry = json.loads(content)
    arrived = os.path.join(entry["workspace"], entry["job"], entry["mark"])
    if os.path.exists(arrived):
        _depart(note, entry["job"], arrived, workspace)
        return
    # Not moved (yet): its process may still be copying. A note that is old is a dead process'.
    with suppress(FileNotFoundError):
        if time.time() - os.stat(note).st_mtime > _NOTE_STALE_SECONDS:
            os.unlink(note)
