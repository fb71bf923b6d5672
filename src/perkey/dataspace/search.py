"""Searching jobs: filters over state points and documents, each read only if it is asked about."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from perkey.dataspace.ids import StatePoint
from perkey.errors import CorruptValueError
from perkey.query import Filter, Predicate, compile_filter
from perkey.query.filters import LOGICAL, paths_of

STATEPOINT: Final = "sp"
DOCUMENT: Final = "doc"
_NAMESPACES: Final = frozenset((STATEPOINT, DOCUMENT))

Document = Mapping[str, Any]


class JobFilter:
    """A filter over jobs, compiled.

    Args:
        filter: Paths begin with ``sp.`` or ``doc.``; all others are of state points.
        doc_filter: Paths are of documents, all of them.

    Raises:
        TypeError, ValueError: It is no filter.
    """

    def __init__(self, filter: Filter | None = None, doc_filter: Filter | None = None) -> None:
        compile_filter(filter)
        compile_filter(doc_filter)
        conditions = [*_conditions(filter, STATEPOINT), *_conditions(doc_filter, DOCUMENT)]
        of_documents = [each for each in conditions if _asks_documents(each)]
        of_statepoints = [each for each in conditions if each not in of_documents]
        self._on_statepoints = _conjunction(of_statepoints)
        self._on_documents = _conjunction(of_documents)

    @property
    def is_open(self) -> bool:
        """Whether every job matches."""
        return self._on_statepoints is None and self._on_documents is None

    @property
    def asks_documents(self) -> bool:
        """Whether documents matter, too."""
        return self._on_documents is not None

    def select(
        self, statepoints: Mapping[str, StatePoint], document: Callable[[str], Document]
    ) -> Iterator[str]:
        """Yield the ids of the jobs that match.

        Args:
            statepoints: The state points of the jobs to choose from.
            document: Returns the document of a job; asked only if the state point does not decide.
        """
        on_statepoints, on_documents = self._on_statepoints, self._on_documents
        for job, statepoint in statepoints.items():
            root: dict[str, Any] = {STATEPOINT: statepoint}
            if on_statepoints is not None and not on_statepoints(root):
                continue
            if on_documents is not None:
                root[DOCUMENT] = document(job)
                if not on_documents(root):
                    continue
            yield job


def split_path(key: str, default: str = STATEPOINT) -> tuple[str, str]:
    """Return namespace and rest of a path.

    >>> split_path("a.b"), split_path("doc.a"), split_path("sp")
    (('sp', 'a.b'), ('doc', 'a'), ('sp', ''))
    """
    namespace, _, rest = key.partition(".")
    return (namespace, rest) if namespace in _NAMESPACES else (default, key)


def _asks_documents(condition: Filter) -> bool:
    return any(path[:1] == (DOCUMENT,) for path in paths_of(condition))


def _conditions(filter: Filter | None, default: str) -> Iterator[Filter]:
    """Yield the conditions that must all hold, one by one, with full paths."""
    if default == DOCUMENT:
        if filter:
            yield {DOCUMENT: filter}
        return
    for key, expected in (filter or {}).items():
        yield _with_namespaces({key: expected})


def _with_namespaces(filter: Filter) -> Filter:
    result: dict[str, Any] = {}
    for key, expected in filter.items():
        if key in LOGICAL:
            several = isinstance(expected, list | tuple)
            result[key] = [*map(_with_namespaces, expected)] if several else _with_namespaces(expected)
        else:
            result[".".join(part for part in split_path(key) if part)] = expected
    return result


def _conjunction(conditions: list[Filter]) -> Predicate | None:
    return compile_filter({"$and": conditions}) if conditions else None


class Documents:
    """The documents of jobs as plain data, each read again only when its file has changed.

    Args:
        path_of: Returns the path of a job's document.
    """

    def __init__(self, path_of: Callable[[str], str]) -> None:
        self._path_of = path_of
        self._known: dict[str, tuple[tuple[int, int, int], Document]] = {}

    def __call__(self, job: str) -> Document:
        """Return the document of a job, not to be changed; empty if it has none.

        Cost: one system call if the file has not changed.

        Raises:
            CorruptValueError: The file is not JSON.
        """
        path = self._path_of(job)
        known = self._known.get(job)
        try:
            found = os.stat(path)
            stamp = (found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
            if known is not None and known[0] == stamp:
                return known[1]
            with open(path, "rb") as file:
                content = file.read()
        except (FileNotFoundError, NotADirectoryError):
            return {}
        document = _parse(content, path)
        self._known[job] = (stamp, document)
        return document


def _parse(content: bytes, path: str) -> Document:
    try:
        document = json.loads(content)
    except ValueError as error:
        raise CorruptValueError(f"not JSON: {error}", place=path) from error
    if not isinstance(document, dict):
        raise CorruptValueError(f"a document is a mapping, not a {type(document).__name__}", place=path)
    return document
