"""In what the state points of some jobs differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from perkey.dataspace.search.schema import frozen


class HasStatePoint(Protocol):
    """A job, as far as its state point is concerned."""

    @property
    def id(self) -> str:
        """The id."""

    @property
    def cached_statepoint(self) -> Mapping[str, Any]:
        """The state point."""


def diff_jobs(*jobs: HasStatePoint) -> dict[str, dict[str, Any]]:
    """Return by id what each job's state point has that is not in the state points of all of them.

    Raises:
        JobsCorruptedError: The state point of a job cannot be read.
    """
    flat = {job.id: dict(leaves(job.cached_statepoint)) for job in jobs}
    if not flat:
        return {}
    first, *others = flat.values()
    shared = {path: leaf for path, leaf in first.items() if all(_has(other, path, leaf) for other in others)}
    return {
        job: _nested({path: leaf for path, leaf in leaves.items() if path not in shared})
        for job, leaves in flat.items()
    }


def leaves(value: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the path of each value that is not a mapping, or an empty one, with the value."""
    for key, inner in value.items():
        if isinstance(inner, Mapping) and inner:
            yield from leaves(inner, (*path, key))
        else:
            yield (*path, key), inner


def _has(leaves: Mapping[tuple[str, ...], Any], path: tuple[str, ...], leaf: Any) -> bool:
    return path in leaves and bool(frozen(leaves[path]) == frozen(leaf))


def _nested(leaves: Mapping[tuple[str, ...], Any]) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for (*above, last), leaf in leaves.items():
        node = root
        for key in above:
            node = node.setdefault(key, {})
        node[last] = leaf
    return root
