"""Searching jobs: filters over state points and documents, each read only if it is asked about."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from perkey.dataspace.ids import StatePoint
from perkey.query import Filter, compile_filter
from perkey.query.filters import LOGICAL, paths_of

STATEPOINT: Final = "sp"
DOCUMENT: Final = "doc"
_NAMESPACES: Final = frozenset((STATEPOINT, DOCUMENT))

Document: TypeAlias = Mapping[str, Any]


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
        conditions = [*_conditions(filter), {DOCUMENT: doc_filter}] if doc_filter else [*_conditions(filter)]
        mixed = [each for each in conditions if _asks_documents(each)]
        alone = [_relative(each) for each in conditions if each not in mixed]
        self._on_statepoint = compile_filter({"$and": alone}) if alone else None
        self._on_both = compile_filter({"$and": mixed}) if mixed else None

    @property
    def is_open(self) -> bool:
        """Whether every job matches."""
        return self._on_statepoint is None and self._on_both is None

    @property
    def asks_documents(self) -> bool:
        """Whether documents matter, too."""
        return self._on_both is not None

    def select(self, statepoints: Mapping[str, StatePoint], document: Callable[[str], Document]) -> list[str]:
        """Return the ids of the jobs that match.

        Args:
            statepoints: The state points of the jobs to choose from.
            document: Returns the document of a job; asked only if the state point does not decide.
        """
        if self._on_statepoint is not None:
            accept = self._on_statepoint
            found = [job for job, statepoint in statepoints.items() if accept(statepoint)]
        else:
            found = list(statepoints)
        if self._on_both is None:
            return found
        accept = self._on_both
        return [job for job in found if accept({STATEPOINT: statepoints[job], DOCUMENT: document(job)})]


def split_path(key: str, default: str = STATEPOINT) -> tuple[str, str]:
    """Return namespace and rest of a path.

    >>> split_path("a.b"), split_path("doc.a"), split_path("sp")
    (('sp', 'a.b'), ('doc', 'a'), ('sp', ''))
    """
    namespace, _, rest = key.partition(".")
    return (namespace, rest) if namespace in _NAMESPACES else (default, key)


def _asks_documents(condition: Filter) -> bool:
    return any(path[:1] == (DOCUMENT,) for path in paths_of(condition))


def _conditions(filter: Filter | None) -> Iterator[Filter]:
    """Yield the conditions that must all hold, one by one, with full paths."""
    return (_with_namespaces({key: expected}) for key, expected in (filter or {}).items())


def _with_namespaces(filter: Filter) -> Filter:
    result: dict[str, Any] = {}
    for key, expected in filter.items():
        if key in LOGICAL:
            result[key] = _each(_with_namespaces, expected)
        else:
            result[".".join(part for part in split_path(key) if part)] = expected
    return result


def _relative(filter: Filter) -> Filter:
    """Return a filter of state points without their namespace: looking that up takes time, for each job."""
    conditions: list[Filter] = []
    for key, expected in filter.items():
        _, rest = split_path(key)
        if key in LOGICAL:
            conditions.append({key: _each(_relative, expected)})
        elif rest:
            conditions.append({rest: expected})
        else:
            conditions.append(expected if isinstance(expected, Mapping) and expected else {"$eq": expected})
    return {"$and": conditions} if conditions else {}


def _each(change: Callable[[Filter], Filter], operand: Any) -> Any:
    """Return the operand of a logical operator with each filter in it changed."""
    return [change(each) for each in operand] if isinstance(operand, list | tuple) else change(operand)
