"""From filter to function: compiled once, then asked of each document."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias, TypeVar

from perkey.arguments import check_kind
from perkey.query.operators import MISSING, OPERATORS, Test, equal_to

K = TypeVar("K")
V = TypeVar("V")

Filter: TypeAlias = Mapping[str, Any]
"""Paths and what is expected there; see `perkey.query`."""

Predicate: TypeAlias = Callable[[Any], bool]
"""Tells whether a document matches."""

Path: TypeAlias = tuple[str, ...]


def compile_filter(filter: Filter | None, *, at: Path = ()) -> Predicate:
    """Return the function that tells whether a document matches.

    Args:
        filter: The conditions; None and the empty mapping match everything.
        at: The path that all paths of the filter begin with.

    Raises:
        TypeError: It is not a mapping, a key is not text, or a value has no form in JSON.
        ValueError: An operator is unknown, in the wrong place, or has a wrong argument.
    """
    if filter is None:
        return _all_of([])
    if not isinstance(filter, Mapping):
        raise TypeError(f"filter must be a mapping of paths to conditions, not a {type(filter).__name__}")
    return _all_of(list(_conditions(filter, at)))


def matches(value: Any, filter: Filter | None) -> bool:
    """Tell whether one document matches; raises as `compile_filter`.

    >>> matches({"a": 1, "b": {"c": "xyz"}}, {"a": 1.0, "b.c": {"$regex": "y"}})
    True
    """
    return compile_filter(filter)(value)


def find(items: Mapping[K, V], filter: Filter | None = None) -> Iterator[tuple[K, V]]:
    """Yield key and value of each item whose value matches; lazily, in the mapping's order.

    Works for every dictionary, persistent or not. The values should be JSON-like; an operator without a path
    speaks of the value itself.

    Cost: reads every value.

    Raises:
        TypeError, ValueError: As `compile_filter`, at once and not at the first item.

    >>> dict(find({"x": {"n": 1}, "y": {"n": 5}, "z": 3}, {"n": {"$gt": 2}}))
    {'y': {'n': 5}}
    >>> dict(find({"x": 1, "y": 5}, {"$gt": 2}))
    {'y': 5}
    """
    check_kind("items", items, Mapping, "a mapping, such as a PersiDict")
    accept = compile_filter(filter)
    return ((key, value) for key, value in items.items() if accept(value))


def paths_of(filter: Filter) -> Iterator[Path]:
    """Yield the path of each condition of a filter, without the operators."""
    for key, expected in filter.items():
        parts = () if key in LOGICAL else tuple(part for part in key.split(".") if not part.startswith("$"))
        inner: Iterable[Any] = ()
        if key in LOGICAL:
            inner = expected if isinstance(expected, list | tuple) else [expected]
        elif isinstance(expected, Mapping) and expected and "$" not in key:
            inner = [expected]
        found = [parts + path for each in inner if isinstance(each, Mapping) for path in paths_of(each)]
        yield from found or [parts]


def equalities_of(filter: Filter, at: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield paths and values that must be equal in every document that a filter matches."""
    for key, expected in filter.items():
        if key == "$and":
            for each in expected:
                yield from equalities_of(each, at)
        elif key not in LOGICAL:
            *path, last = key.split(".")
            if last == "$eq":
                yield (*at, *path), expected
            elif isinstance(expected, Mapping) and expected and not last.startswith("$"):
                yield from equalities_of(expected, (*at, *path, last))
            elif not last.startswith("$"):
                yield (*at, *path, last), expected


def _conditions(filter: Filter, at: Path) -> Iterator[Predicate]:
    for key, expected in filter.items():
        if not isinstance(key, str):
            raise TypeError(f"the keys of a filter are text, not {key!r}")
        if key in LOGICAL:
            yield LOGICAL[key](key, expected, at)
            continue
        *path, last = key.split(".")
        if any(part.startswith("$") for part in path):
            raise ValueError(f"an operator stands at the end of a path: {key!r}")
        if last.startswith("$"):
            yield _condition((*at, *path), _operator(last)(expected))
        elif isinstance(expected, Mapping) and expected:
            yield from _conditions(expected, (*at, *path, last))
        else:
            yield _condition((*at, *path, last), equal_to(expected))


def _operator(name: str) -> Callable[[Any], Test]:
    if name not in OPERATORS:
        raise ValueError(f"unknown operator {name!r}; there are {', '.join((*OPERATORS, *LOGICAL))}")
    return OPERATORS[name]


def _condition(path: Path, test: Test) -> Predicate:
    # Most documents are exact dicts; that is asked here and not in `step`, because a call takes time, too.
    if not path:
        return test
    if len(path) == 1:
        only = path[0]
        return lambda document: test(
            document.get(only, MISSING) if type(document) is dict else step(document, only)
        )

    def condition(document: Any) -> bool:
        for part in path:
            document = document.get(part, MISSING) if type(document) is dict else step(document, part)
        return test(document)

    return condition


def step(document: Any, part: str) -> Any:
    """Return what a document has under a key, or MISSING."""
    return document.get(part, MISSING) if isinstance(document, Mapping) else MISSING


def _all_of(predicates: list[Predicate]) -> Predicate:
    if len(predicates) == 1:
        return predicates[0]
    if not predicates:
        return lambda _: True
    return lambda document: all(predicate(document) for predicate in predicates)


def _several(name: str, filters: Any, at: Path) -> list[Predicate]:
    if not isinstance(filters, list | tuple) or not filters:
        raise ValueError(f"{name} takes a list of one or more filters, not {filters!r}")
    return [compile_filter(each, at=at) for each in filters]


def _and(name: str, filters: Any, at: Path) -> Predicate:
    return _all_of(_several(name, filters, at))


def _or(name: str, filters: Any, at: Path) -> Predicate:
    predicates = _several(name, filters, at)
    return lambda document: any(predicate(document) for predicate in predicates)


def _not(_: str, filter: Any, at: Path) -> Predicate:
    predicate = compile_filter(filter, at=at)
    return lambda document: not predicate(document)


LOGICAL: Final[dict[str, Callable[[str, Any, Path], Predicate]]] = {"$and": _and, "$or": _or, "$not": _not}
"""What combines filters."""
