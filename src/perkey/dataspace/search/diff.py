"""In what the state points of some jobs differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from perkey.dataspace.search.schema import frozen
from perkey.query import Path, leaves, nested


class HasStatePoint(Protocol):
    """A job, as far as its state point is concerned."""

    @property
    def id(self) -> str:
        """The id."""

    @property
    def cached_statepoint(self) -> Mapping[str, Any]:
        """The state point."""


def diff_jobs(*jobs: HasStatePoint) -> dict[str, dict[str, Any]]:
    """Return, by id, the part of each state point that not all of the jobs share.

    Raises:
        JobsCorruptedError: The state point of a job cannot be read.
    """
    flat = {job.id: dict(leaves(job.cached_statepoint)) for job in jobs}
    if not flat:
        return {}
    first, *others = flat.values()
    shared = {path: leaf for path, leaf in first.items() if all(_has(other, path, leaf) for other in others)}
    return {
        job: nested((path, leaf) for path, leaf in each.items() if path not in shared)
        for job, each in flat.items()
    }


def _has(flat: Mapping[Path, Any], path: Path, leaf: Any) -> bool:
    return path in flat and bool(frozen(flat[path]) == frozen(leaf))
