"""State points in one file: to keep them apart from the jobs, and to repair damaged jobs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

from perkey.dataspace.errors import DestinationExistsError, JobsCorruptedError
from perkey.dataspace.space.index import read_cache
from perkey.dataspace.space.space import Space
from perkey.dataspace.space.workspace import StatePoint, Workspace, job_id, normalized
from perkey.files import read_file, write_file


def by_id(statepoints: Iterable[Mapping[str, Any]]) -> dict[str, StatePoint]:
    """Return state points by the ids of their jobs, which need not exist."""
    return {job_id(statepoint): statepoint for statepoint in map(normalized, statepoints)}


def read_statepoints(path: str) -> dict[str, StatePoint]:
    """Return the state points in a file; raises FileNotFoundError, or ValueError if it is not JSON."""
    content = read_file(path)
    if content is None:
        raise FileNotFoundError(path)
    found: dict[str, StatePoint] = json.loads(content)
    return found


def add_statepoints(path: str, statepoints: Mapping[str, StatePoint], indent: int | None) -> None:
    """Write state points into a file, beside those that it has."""
    entries = read_statepoints(path) if os.path.exists(path) else {}
    write_file(path, json.dumps({**entries, **statepoints}, indent=indent).encode("ascii"))


def require_sound(workspace: Workspace) -> None:
    """Read the state point of every job, and finish changes of killed processes.

    Raises:
        JobsCorruptedError: Some state points are missing or damaged, or belong to another id.
    """
    corrupted = _corrupted(workspace, workspace.ids())
    if corrupted:
        raise JobsCorruptedError(corrupted)


def repair(space: Space, job_ids: Iterable[str] | None, file: str | None) -> None:
    """Restore the state points and ids that jobs have lost; see `Project.repair`.

    Args:
        space: The space.
        job_ids: The jobs to look at; by default all.
        file: A file of `add_statepoints`; None if it is missing.

    Raises:
        JobsCorruptedError: Some could not be repaired; it names them all.
        FileNotFoundError: The file does not exist.
    """
    workspace = space.workspace
    jobs = workspace.ids() if job_ids is None else list(job_ids)
    corrupted = _corrupted(workspace, jobs)
    known = _known_elsewhere(space, file) if corrupted else {}
    lost = [job for job in corrupted if not _repair(workspace, job, known)]
    for job in jobs:
        workspace.tidy(job)
    space.index.forget()
    workspace.sweep()
    if lost:
        raise JobsCorruptedError(lost)


def _corrupted(workspace: Workspace, jobs: Iterable[str]) -> list[str]:
    return [job for job in jobs if not _is_sound(workspace, job)]


def _is_sound(workspace: Workspace, job: str) -> bool:
    try:
        workspace.statepoint(job)
    except KeyError:
        return True  # removed since it was listed
    except JobsCorruptedError:
        return False
    return True


def _known_elsewhere(space: Space, file: str | None) -> dict[str, StatePoint]:
    known = {**read_cache(space.config.cache_path), **space.index.sound()[0]}
    return known if file is None else {**known, **read_statepoints(file)}


def _repair(workspace: Workspace, job: str, known: Mapping[str, StatePoint]) -> bool:
    misplaced = workspace.foreign_statepoint(job)
    if misplaced is not None:
        try:
            return workspace.rename(job, job_id(misplaced), misplaced)
        except DestinationExistsError:
            pass  # so this folder belongs to another state point
    if job not in known or job_id(known[job]) != job:
        return False
    workspace.create(job, known[job], force=True)
    return True
