"""Import: folders, of whatever origin, become jobs."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TypeAlias

from perkey.dataspace.errors import DestinationExistsError
from perkey.dataspace.exchange.archives import extract_archive
from perkey.dataspace.exchange.discovery import FoundJob, Schema, discover
from perkey.dataspace.exchange.export import MOVES
from perkey.dataspace.space import FN_STATEPOINT, CopyTree, Space, StrPath, delete_tree, settle_all
from perkey.files import TEMPORARY, folder_path, write_file
from perkey.files.trees import copy_tree, sync_tree

Merging: TypeAlias = Callable[[], AbstractContextManager[Space]]
"""Gives a temporary space for a block; at the end its jobs are synchronised into the space of the import."""


def import_jobs(
    space: Space,
    origin: StrPath | None = None,
    schema: Schema = None,
    copytree: CopyTree | None = None,
    merging: Merging | None = None,
    *,
    keeps_origin: bool = False,
) -> dict[str, str]:
    """Make folders jobs of a space; `Project.import_from` describes it.

    Args:
        space: The space.
        origin: The folder or archive, by default the working directory.
        schema: How jobs are recognised.
        copytree: Copies or moves a job.
        merging: Synchronises with jobs that exist; None refuses them.
        keeps_origin: Whether nothing is removed although `copytree` moves, because `merging` changes nothing.
    """
    place = os.getcwd() if origin is None else folder_path(origin, "origin")
    given = os.curdir if origin is None else os.fspath(origin)
    settle_all()  # the origin may be the jobs of another project
    if os.path.isdir(place):
        found = _discover(space, place, schema, lambda name: os.path.join(given, name) if name else given)
        _take(space, list(found.values()), copytree, merging, keeps_origin=keeps_origin)
        return {name: space.workspace.folder(job.id) for name, job in found.items()}
    if not os.path.exists(place):
        raise FileNotFoundError(f"{given!r} does not exist: give a folder or an archive to import from")
    if copytree is not None:
        raise ValueError("copytree is for folders: jobs are not moved out of an archive")
    with _extracted(space, place) as (folder, has_links):
        # What was extracted need not be copied once more, unless a link leads from one job to another.
        move = None if has_links or merging else os.replace
        found = _discover(space, folder, schema, lambda name: name or os.curdir)
        _take(space, list(found.values()), move, merging)
    return {name: space.workspace.folder(job.id) for name, job in found.items()}


@contextmanager
def _extracted(space: Space, archive: str) -> Iterator[tuple[str, bool]]:
    """Extract an archive for the time of a block, on the file system of the workspace."""
    space.workspace.make()
    staging = space.workspace.stage(copy=True)
    try:
        yield staging, extract_archive(archive, staging, durable=space.workspace.durable)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _discover(space: Space, origin: str, schema: Schema, shown: Callable[[str], str]) -> dict[str, FoundJob]:
    """Return the jobs in a folder by their paths, as they are shown."""
    apart = frozenset((os.path.realpath(space.workspace.path),)) - {os.path.realpath(origin)}
    return {shown(job.name): job for job in discover(origin, schema, shown, apart)}


def _take(
    space: Space,
    found: list[FoundJob],
    copytree: CopyTree | None,
    merging: Merging | None,
    *,
    keeps_origin: bool = False,
) -> None:
    if merging is not None:
        _merge(merging, found, copytree, keeps_origin=keeps_origin)
        return
    _require_new(space, found)
    if copytree in MOVES:
        _move_in(space, found)
    else:
        _copy_in(space, found, copytree)


def _require_new(space: Space, found: list[FoundJob]) -> None:
    for job in found:
        if job.id in space.workspace:
            raise DestinationExistsError(space.make_job(job.id, job.statepoint))


def _merge(merging: Merging, found: list[FoundJob], copytree: CopyTree | None, *, keeps_origin: bool) -> None:
    """Copy into a temporary space, which is synchronised; then remove the folders that were to be moved."""
    moves = copytree in MOVES
    with merging() as temporary:
        _copy_in(temporary, found, None if moves else copytree)
    if moves and not keeps_origin:
        for job in found:
            delete_tree(job.path)


def _copy_in(space: Space, found: list[FoundJob], copytree: CopyTree | None) -> None:
    """Copy all folders, then make them jobs: what cannot be copied leaves the project as it was."""
    jobs = space.workspace
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
            space.index.add(job.id, job.statepoint)
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


def _move_in(space: Space, found: list[FoundJob]) -> None:
    """Move folders, one after the other; each is whole in one place at any moment."""
    jobs = space.workspace
    jobs.make()
    for job in found:
        _complete(job.path, job, durable=jobs.durable)
        try:
            jobs.publish(job.path, job.id)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _copy_in(space, [job], None)
            delete_tree(job.path)
        space.index.add(job.id, job.statepoint)


def _complete(folder: str, job: FoundJob, *, durable: bool) -> None:
    """Write the state point into a folder without one; leftovers of a killed process are removed."""
    path = os.path.join(folder, FN_STATEPOINT)
    if not os.path.exists(path):
        for name in os.listdir(folder):
            if name.startswith(TEMPORARY):
                os.unlink(os.path.join(folder, name))
        write_file(path, json.dumps(job.statepoint).encode("ascii"), durable=durable)
