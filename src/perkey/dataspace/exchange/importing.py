"""Import: folders, of whatever origin, become jobs."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from perkey.dataspace.errors import DestinationExistsError
from perkey.dataspace.exchange.archives import extract_archive
from perkey.dataspace.exchange.discovery import FoundJob, Schema, discover
from perkey.dataspace.exchange.export import MOVES
from perkey.dataspace.space import FN_STATEPOINT, CopyTree, delete_tree
from perkey.files import TEMPORARY, copy_tree, sync_tree, write_file

if TYPE_CHECKING:
    from perkey.dataspace.project import Project


def import_jobs(
    project: Project,
    origin: str | os.PathLike[str] | None = None,
    schema: Schema = None,
    sync: bool | Mapping[str, Any] | None = None,
    copytree: CopyTree | None = None,
) -> dict[str, str]:
    """Make folders jobs of a project; `Project.import_from` describes it."""
    place = os.getcwd() if origin is None else os.path.abspath(os.fspath(origin))
    given = os.curdir if origin is None else os.fspath(origin)
    if os.path.isdir(place):
        return _import(
            project, place, lambda name: os.path.join(given, name) if name else given, schema, sync, copytree
        )
    if not os.path.exists(place):
        raise FileNotFoundError(f"there is no {given!r} to import from")
    if copytree is not None:
        raise ValueError("copytree is for folders: jobs are not moved out of an archive")
    with _extracted(project, place) as (folder, has_links):
        # What was extracted need not be copied once more, unless a link leads from one job to another.
        move = None if has_links or sync else os.replace
        return _import(project, folder, lambda name: name or os.curdir, schema, sync, move)


@contextmanager
def _extracted(project: Project, archive: str) -> Iterator[tuple[str, bool]]:
    """Extract an archive for the time of a block, on the file system of the workspace."""
    project._jobs.make()
    staging = project._jobs.stage(copy=True)
    try:
        yield staging, extract_archive(archive, staging, durable=project._jobs.durable)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _import(  # noqa: PLR0917 - private
    project: Project,
    origin: str,
    shown: Callable[[str], str],
    schema: Schema,
    sync: bool | Mapping[str, Any] | None,
    copytree: CopyTree | None,
) -> dict[str, str]:
    apart = frozenset((os.path.realpath(project._jobs.path),)) - {os.path.realpath(origin)}
    found = discover(origin, schema, shown, apart)
    if sync is None or sync is False:
        _require_new(project, found)
        if copytree in MOVES:
            _move_in(project, found)
        else:
            _copy_in(project, found, copytree)
    else:
        _synchronise(project, found, {} if sync is True else sync, copytree)
    return {shown(job.name): project._jobs.folder(job.id) for job in found}


def _require_new(project: Project, found: list[FoundJob]) -> None:
    for job in found:
        if job.id in project._jobs:
            raise DestinationExistsError(project.job_class(project, _id=job.id, statepoint=job.statepoint))


def _synchronise(
    project: Project, found: list[FoundJob], options: Mapping[str, Any], copytree: CopyTree | None
) -> None:
    """Copy into a project of its own, synchronise with that, and only then remove what was to be moved."""
    moves = copytree in MOVES
    with project.temporary_project() as temporary:
        _copy_in(temporary, found, None if moves else copytree)
        project.sync(temporary, **{"recursive": True, "check_schema": False, **options})
    if moves and not options.get("dry_run"):
        for job in found:
            delete_tree(job.path)


def _copy_in(project: Project, found: list[FoundJob], copytree: CopyTree | None) -> None:
    """Copy all folders, then make them jobs: what cannot be copied leaves the project as it was."""
    jobs = project._jobs
    jobs.make()
    staging = jobs.stage(copy=True)
    try:
        for job in found:
            inner = os.path.join(staging, job.id)
            if copytree is None:
                copy_tree(job.path, inner, durable=jobs.durable)
            else:
                copytree(job.path, inner)
                if jobs.durable:
                    sync_tree(inner)
            _complete(inner, job, durable=jobs.durable)
        for job in found:
            jobs.publish(os.path.join(staging, job.id), job.id)
            project._index.add(job.id, job.statepoint)
    except BaseException:
        _give_back(staging, found)
        raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _give_back(staging: str, found: list[FoundJob]) -> None:
    """Return what a function has moved instead of copying it."""
    for job in found:
        inner = os.path.join(staging, job.id)
        if os.path.isdir(inner) and not os.path.lexists(job.path):
            if not job.is_complete:
                with suppress(FileNotFoundError):
                    os.unlink(os.path.join(inner, FN_STATEPOINT))
            shutil.move(inner, job.path)


def _move_in(project: Project, found: list[FoundJob]) -> None:
    """Move folders, one after the other; each is whole in one place at any moment."""
    jobs = project._jobs
    jobs.make()
    for job in found:
        _complete(job.path, job, durable=jobs.durable)
        try:
            jobs.publish(job.path, job.id)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _copy_in(project, [job], None)
            delete_tree(job.path)
        project._index.add(job.id, job.statepoint)


def _complete(folder: str, job: FoundJob, *, durable: bool) -> None:
    """Write the state point into a folder that has none; what was left by one that died at it, goes."""
    path = os.path.join(folder, FN_STATEPOINT)
    if not os.path.exists(path):
        for name in os.listdir(folder):
            if name.startswith(TEMPORARY):
                os.unlink(os.path.join(folder, name))
        write_file(path, json.dumps(job.statepoint).encode("ascii"), durable=durable)
