"""Which jobs are next to each other: their state points differ in the value of one key."""

from __future__ import annotations

import json
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, TypeAlias

from perkey.dataspace.search.schema import ProjectSchema, frozen
from perkey.query import joined, leaves

Leaves: TypeAlias = dict[str, Any]
"""The values of a state point by their paths."""

Neighbors: TypeAlias = dict[str, dict[str, dict[Any, str]]]


def neighbors_of(statepoints: Mapping[str, Mapping[str, Any]], ignore: list[str]) -> Neighbors:
    """Return the neighbors of each job; see `Project.get_neighbors`."""
    flat = {job: _flat(statepoint, ignore) for job, statepoint in statepoints.items()}
    unknown = [key for key in ignore if not any(key in _paths(each) for each in statepoints.values())]
    if unknown:
        warnings.warn(
            f"no job has the key to ignore {', '.join(map(repr, unknown))}", RuntimeWarning, stacklevel=3
        )
    _require_distinct(flat, ignore)
    found: Neighbors = {job: {} for job in flat}
    for key in _keys(flat):
        for group in _groups(flat, key):
            for job in group:
                found[job][key] = {}
            for one, other in pairwise(group):
                found[other][key][frozen(flat[one][key])] = one
                found[one][key][frozen(flat[other][key])] = other
    return found


def _flat(statepoint: Mapping[str, Any], ignore: list[str]) -> Leaves:
    return {path: value for path, value in _paths(statepoint).items() if path not in ignore}


def _paths(statepoint: Mapping[str, Any]) -> Leaves:
    return {joined(path): value for path, value in leaves(statepoint)}


def _keys(flat: Mapping[str, Leaves]) -> list[str]:
    """Return the keys with several values, those with few values first."""
    schema = ProjectSchema.detect(flat.values())
    counts = {key: sum(map(len, values.values())) for key, values in schema.items()}
    return sorted((key for key, count in counts.items() if count > 1), key=lambda key: (counts[key], key))


def _groups(flat: Mapping[str, Leaves], key: str) -> Iterator[list[str]]:
    """Yield the jobs that differ in one key only, in the order of its values."""
    groups: dict[str, list[str]] = defaultdict(list)
    for job, each in flat.items():
        if key in each:
            groups[_text({path: value for path, value in each.items() if path != key})].append(job)
    for group in groups.values():
        yield sorted(group, key=lambda job: _order(flat[job][key]))


def _order(value: Any) -> tuple[str, Any]:
    """Return what sorts values of all types: by type, then numbers by size and lists by their items."""
    value = frozen(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "int", value
    if isinstance(value, tuple):
        return "tuple", tuple(map(_order, value))
    return type(value).__name__, value if isinstance(value, str | bool) else _text(value)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _require_distinct(flat: Mapping[str, Leaves], ignore: list[str]) -> None:
    jobs: dict[str, list[str]] = defaultdict(list)
    for job, each in flat.items():
        jobs[_text(each)].append(job)
    same = next((group for group in jobs.values() if len(group) > 1), None)
    if same is not None:
        raise ValueError(
            f"without {', '.join(map(repr, ignore))} these jobs are the same: {', '.join(sorted(same))}"
        )
