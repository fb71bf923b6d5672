"""Export: jobs into a folder or an archive, under paths that contain their state points."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable, Mapping
from typing import Any, Final

from perkey.dataspace.exchange.archives import is_archive_name, write_archive
from perkey.dataspace.exchange.paths import PathSpec, folders_above, paths_of, require_distinct
from perkey.dataspace.space import CopyTree, Space, StatePoint, StrPath, Workspace, settle_all
from perkey.files import folder_path, make_base, move_path, sync_path, temporary_name
from perkey.files.trees import copy_tree, sync_tree

MOVES: Final = frozenset((shutil.move, os.replace, os.rename))
"""Functions that, given as `copytree`, mean that folders are moved."""


def export_jobs(
    space: Space,
    jobs: Iterable[str],
    target: StrPath,
    path: PathSpec = None,
    copytree: CopyTree | None = None,
) -> dict[str, str]:
    """Copy jobs to a folder or archive; `Project.export_to` describes it."""
    place = folder_path(target, "target")
    is_archive = is_archive_name(place) and not os.path.isdir(place)
    if is_archive and copytree is not None:
        raise ValueError("copytree is for folders: jobs are not moved into an archive")
    paths = export_paths(space, space.index.all(list(jobs)), path)
    settle_all()
    make_base(os.path.dirname(place), durable=space.durable)
    if is_archive:
        folders = sorted((name, space.workspace.folder(job)) for job, name in paths.items())
        write_archive(place, folders, durable=space.durable)
    else:
        _require_free(place)
        if copytree is None:
            _copy_whole(space.workspace, paths, place)
        else:
            _copy_each(space.workspace, paths, place, copytree)
    return {space.workspace.folder(job): name for job, name in paths.items()}


def export_paths(space: Space, jobs: Mapping[str, StatePoint], path: PathSpec) -> dict[str, str]:
    """Return where jobs go; a job with an empty path is named by its id."""
    paths = paths_of(space, jobs, path)
    if path is None or len(paths) == 1:
        paths = {job: name or job for job, name in paths.items()}
    require_distinct(paths)
    return paths


def _require_free(place: str) -> None:
    try:
        if os.listdir(place):
            raise FileExistsError(f"{place} exists already, and is not empty")
    except FileNotFoundError:
        if os.path.islink(place):
            raise FileExistsError(f"{place} exists already, as a link that leads nowhere") from None
    except NotADirectoryError:
        raise FileExistsError(f"{place} exists already, and is not a folder") from None


def _copy_whole(jobs: Workspace, paths: dict[str, str], place: str) -> None:
    """Copy jobs to a folder that appears when it is complete."""
    staging = os.path.join(os.path.dirname(place), temporary_name())
    try:
        os.mkdir(staging)
        for job, name in paths.items():
            inner = os.path.join(staging, name)
            os.makedirs(os.path.dirname(inner), exist_ok=True)
            copy_tree(jobs.folder(job), inner, durable=jobs.durable)
        _sync_above(staging, paths.values(), jobs)
        move_path(staging, place)
        if jobs.durable:
            sync_path(os.path.dirname(place))
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def _copy_each(jobs: Workspace, paths: dict[str, str], place: str, copytree: Any) -> None:
    for job, name in paths.items():
        inner = os.path.join(place, name)
        make_base(os.path.dirname(inner), durable=jobs.durable)
        if copytree in MOVES:
            _move_out(jobs, job, inner)
        else:
            copytree(jobs.folder(job), inner)
            if jobs.durable:
                sync_tree(inner)
    make_base(place, durable=jobs.durable)
    _sync_above(place, paths.values(), jobs)


def _move_out(jobs: Workspace, job: str, inner: str) -> None:
    """Move a job's folder to a new path; at any moment it is whole in one place at least."""
    try:
        move_path(jobs.folder(job), inner)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        staging = os.path.join(os.path.dirname(inner), temporary_name())
        copy_tree(jobs.folder(job), staging, durable=jobs.durable)
        move_path(staging, inner)
        if jobs.durable:
            sync_path(os.path.dirname(inner))
        jobs.remove(job)
    else:
        if jobs.durable:
            sync_path(os.path.dirname(inner))
        jobs.sync()


def _sync_above(root: str, names: Iterable[str], jobs: Workspace) -> None:
    """Bring the names of copies and of all folders above them, up to `root`, to the disk."""
    above = {above for name in names for above in folders_above(name)} if jobs.durable else set()
    for folder in sorted(above, key=len, reverse=True):
        sync_path(os.path.join(root, folder))
