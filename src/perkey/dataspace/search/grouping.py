"""Jobs in groups: what the key of a job is, and in which order groups come."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from perkey.dataspace.search.filter import DOCUMENT, STATEPOINT, split_path
from perkey.dataspace.space import Space
from perkey.query import MISSING, split, value_at

KeyOf: TypeAlias = Callable[[str], Any]
"""Returns the key of the group of a job, given its id; MISSING if it is in none."""


def by_job(space: Space, key: Any, default: Any) -> KeyOf:
    """Return the function from jobs to keys; arguments as for `JobsCursor.groupby`."""
    if callable(key):
        return lambda job: key(space.make_job(job))
    return _by_paths(space, key, default, STATEPOINT)


def by_document(space: Space, key: Any, default: Any) -> KeyOf:
    """Return the function from documents to keys; arguments as for `JobsCursor.groupbydoc`."""
    if callable(key):
        return lambda job: key(space.documents(job))
    return _by_paths(space, key, default, DOCUMENT)


def group(space: Space, jobs: Iterable[str], key_of: KeyOf) -> Sequence[tuple[Any, list[str]]]:
    """Return each key, in order, with the ids of its jobs."""
    space.index.sound()  # one file instead of one a job
    groups: dict[Any, tuple[Any, list[str]]] = {}
    for job in jobs:
        key = key_of(job)
        if key is MISSING:
            continue
        try:
            found = groups.setdefault(key, (key, []))
        except TypeError:  # it has no hash
            found = groups.setdefault(json.dumps(key, sort_keys=True, default=repr), (key, []))
        found[1].append(job)
    return _sorted(groups.values())


def _by_paths(space: Space, key: Any, default: Any, namespace: str) -> KeyOf:
    if key is None:
        return lambda job: job
    if isinstance(key, str):
        return _by_path(space, key, default, namespace)
    if not isinstance(key, Iterable):
        raise TypeError(f"jobs are grouped by a path, several, or a function, not by {key!r}")
    parts = [_by_path(space, path, default, namespace) for path in key]

    def key_of(job: str) -> Any:
        values = tuple(part(job) for part in parts)
        return MISSING if any(value is MISSING for value in values) else values

    return key_of


def _by_path(space: Space, path: str, default: Any, namespace: str) -> KeyOf:
    if not isinstance(path, str):
        raise TypeError(f"jobs are grouped by a path, several, or a function, not by {path!r}")
    where, keys = split_path(path) if namespace == STATEPOINT else (namespace, split(path))
    source = space.index.statepoint if where == STATEPOINT else space.documents
    missing = MISSING if default is None else default
    return lambda job: value_at(source(job), keys, missing)


def _sorted(groups: Iterable[tuple[Any, list[str]]]) -> Sequence[tuple[Any, list[str]]]:
    """Return groups in the order of their keys; if these have no order, by type and then text."""
    items = list(groups)
    try:
        return sorted(items, key=lambda item: item[0])
    except TypeError:
        return sorted(items, key=lambda item: (type(item[0]).__name__, repr(item[0])))
