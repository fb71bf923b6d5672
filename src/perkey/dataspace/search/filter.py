"""Searching jobs: filters over state points and documents, each read only if it is asked about."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from perkey.dataspace.search.needles import needle_of
from perkey.dataspace.space import StatePoint
from perkey.query import Filter, compile_filter
from perkey.query.filters import LOGICAL, Predicate, equalities_of, paths_of
from perkey.synced import to_plain

STATEPOINT: Final = "sp"
DOCUMENT: Final = "doc"
_NAMESPACES: Final = frozenset((STATEPOINT, DOCUMENT))
_STATEPOINT_ONLY: Final = frozenset((STATEPOINT,))
_DOCUMENT_ONLY: Final = frozenset((DOCUMENT,))

Document: TypeAlias = Mapping[str, Any]


class JobFilter:
    """A filter over jobs, compiled.

    Args:
        filter: Paths begin with ``sp.`` or ``doc.``; all others are of state points.
        doc_filter: Paths are of documents, all of them.

    Attributes:
        needle: What is in the text of each state point that matches, see `needle_of`; None if unknown.

    Raises:
        TypeError: It is no filter, or JSON has no form for a value that is to be equal.
        ValueError: It is no filter.
    """

    def __init__(self, filter: Filter | None = None, doc_filter: Filter | None = None) -> None:
        compile_filter(filter)
        for _, value in (*equalities_of(filter or {}), *equalities_of(doc_filter or {})):
            to_plain(value)  # what JSON cannot hold, nothing is equal to: a mistake
        conditions = [*_conditions(filter), {DOCUMENT: doc_filter}] if doc_filter else [*_conditions(filter)]
        by_namespaces: dict[frozenset[str], list[Filter]] = {}
        for each in conditions:
            by_namespaces.setdefault(_asked(each), []).append(each)
        on_statepoint = [*map(_relative, by_namespaces.pop(_STATEPOINT_ONLY, ()))]
        self._on_statepoint = _compiled(on_statepoint)
        self._on_document = _compiled(map(_relative, by_namespaces.pop(_DOCUMENT_ONLY, ())))
        self._on_both = _compiled(each for mixed in by_namespaces.values() for each in mixed)
        self.needle = needle_of(on_statepoint)

    @property
    def is_open(self) -> bool:
        """Whether every job matches."""
        return not self.asks_statepoints and not self.asks_documents

    @property
    def asks_statepoints(self) -> bool:
        """Whether state points matter."""
        return self._on_statepoint is not None or self._on_both is not None

    @property
    def asks_documents(self) -> bool:
        """Whether documents matter."""
        return self._on_document is not None or self._on_both is not None

    def select(
        self,
        jobs: Iterable[str],
        statepoints: Mapping[str, StatePoint],
        document: Callable[[str], Document],
    ) -> list[str]:
        """Return the ids of the jobs that match.

        Args:
            jobs: The ids of the jobs to choose from.
            statepoints: Their state points, if they are asked.
            document: Returns the document of a job; asked only if the state point does not decide.
        """
        found = jobs
        if self._on_statepoint is not None:
            accept = self._on_statepoint
            found = [job for job in found if accept(statepoints[job])]
        if self._on_document is not None:
            accept_document = self._on_document
            found = [job for job in found if accept_document(document(job))]
        if self._on_both is not None:
            accept_both = self._on_both
            found = [
                job for job in found if accept_both({STATEPOINT: statepoints[job], DOCUMENT: document(job)})
            ]
        return list(found)


def split_path(key: str, default: str = STATEPOINT) -> tuple[str, str | None]:
    """Return namespace and rest of a path; the rest is None if the path names the namespace itself.

    The empty text is a key, too: ``""`` and ``"sp."`` name that of the state point.

    >>> split_path("a.b"), split_path("doc.a"), split_path("sp"), split_path("sp."), split_path("")
    (('sp', 'a.b'), ('doc', 'a'), ('sp', None), ('sp', ''), ('sp', ''))
    """
    namespace, dot, rest = key.partition(".")
    if namespace not in _NAMESPACES:
        return default, key
    return namespace, rest if dot else None


def steps_of(rest: str | None) -> list[str]:
    """Return the keys that the rest of a path leads through, see `split_path`."""
    return [] if rest is None else rest.split(".")


def _asked(condition: Filter) -> frozenset[str]:
    """Return which namespaces a condition speaks of."""
    return frozenset(path[0] if path[:1] == (DOCUMENT,) else STATEPOINT for path in paths_of(condition))


def _compiled(conditions: Iterable[Filter]) -> Predicate | None:
    """Return what tells whether all conditions hold, None if there are none."""
    together = list(conditions)
    return compile_filter({"$and": together}) if together else None


def _conditions(filter: Filter | None) -> Iterator[Filter]:
    """Yield the conditions that must all hold, one by one, with full paths."""
    return (_with_namespaces({key: expected}) for key, expected in (filter or {}).items())


def _with_namespaces(filter: Filter) -> Filter:
    result: dict[str, Any] = {}
    for key, expected in filter.items():
        if key in LOGICAL:
            result[key] = _each(_with_namespaces, expected)
            continue
        namespace, rest = split_path(key)
        path = namespace if rest is None else f"{namespace}.{rest}"
        if path in result:  # said with and without its namespace: two conditions
            return {"$and": [_with_namespaces({key: expected}) for key, expected in filter.items()]}
        result[path] = expected
    return result


def _relative(filter: Filter) -> Filter:
    """Return a filter of one namespace without its name: looking that up takes time, for each job."""
    conditions: list[Filter] = []
    for key, expected in filter.items():
        _, rest = split_path(key)
        if key in LOGICAL:
            conditions.append({key: _each(_relative, expected)})
        elif rest is not None:
            conditions.append({rest: expected})
        else:
            conditions.append(expected if isinstance(expected, Mapping) and expected else {"$eq": expected})
    return {"$and": conditions} if conditions else {}


def _each(change: Callable[[Filter], Filter], operand: Any) -> Any:
    """Return the operand of a logical operator with each filter in it changed."""
    return [change(each) for each in operand] if isinstance(operand, list | tuple) else change(operand)
