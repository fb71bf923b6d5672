"""The filter language: operators, and filters that are parsed once into nodes."""

from __future__ import annotations

import math
import operator
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, TypeAlias, TypeVar

from perkey.answers import answer
from perkey.arguments import MISSING, check_kind
from perkey.query.paths import Path, Predicate, holds_at, split

K = TypeVar("K")
V = TypeVar("V")

Filter: TypeAlias = Mapping[str, Any]
"""Paths, and the value or condition expected at each; see `perkey.query`."""

Place: TypeAlias = tuple[str | int, ...]
"""The keys and indices that lead to a part of a filter, for error messages."""


# --- Operators: each makes a test of its argument -------------------------------------------------------

_TYPES: Final[dict[str, type]] = {
    "int": int,
    "float": float,
    "bool": bool,
    "str": str,
    "list": list,
    "dict": dict,
    "null": type(None),
}
_MOST_NEAR_ARGUMENTS: Final = 3

_INCOMPARABLE: Final = (TypeError, ValueError, ArithmeticError, RecursionError)
"""What comparisons of any two values may raise. Such values are neither equal nor in an order."""


def plain(value: Any) -> Any:
    """Return a value with lists in the place of tuples, and Python's own types in the place of NumPy's."""
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return value.tolist() if hasattr(value, "dtype") and hasattr(value, "tolist") else value


def equal_to(expected: Any) -> Predicate:
    """Return the test for equality, by Python's rules but for tuples, which are equal to lists."""
    wanted = plain(expected)
    is_nested = isinstance(wanted, list | dict)

    def test(value: Any) -> bool:
        try:
            result = (plain(value) if is_nested else value) == wanted
            return result is True or (result is not False and _is_true(result))  # the rest is for NumPy
        except answer(*_INCOMPARABLE):
            return False

    return test


def _is_true(result: Any) -> bool:
    """Return whether a comparison returned True; an array of several results counts as False."""
    return result is True or (type(result).__module__ == "numpy" and result.ndim == 0 and bool(result))


def _present(test: Predicate) -> Predicate:
    return lambda value: value is not MISSING and test(value)


def _unequal_to(expected: Any) -> Predicate:
    equal = equal_to(expected)
    return _present(lambda value: not equal(value))


def _compared(compare: Callable[[Any, Any], Any]) -> Callable[[Any], Predicate]:
    def maker(bound: Any) -> Predicate:
        limit = plain(bound)

        def test(value: Any) -> bool:
            try:
                result = value is not MISSING and compare(value, limit)
                return result is True or (result is not False and _is_true(result))  # as above
            except answer(*_INCOMPARABLE):
                return False

        return test

    return maker


def _one_of(expected: Any) -> Predicate:
    if isinstance(expected, str | Mapping) or not isinstance(expected, list | tuple | AbstractSet):
        raise ValueError(f"$in and $nin take a list of values, not {expected!r}")
    tests = [equal_to(item) for item in expected]
    try:
        known = frozenset(plain(list(expected)))
    except answer(TypeError):  # a list among them
        return lambda value: any(test(value) for test in tests)

    def test(value: Any) -> bool:
        try:
            return value in known and _is_true(value == value)  # noqa: PLR0124 - false for NaN
        except answer(*_INCOMPARABLE):  # a list, for example, has no hash
            return False

    return test


def _none_of(expected: Any) -> Predicate:
    found = _one_of(expected)
    return _present(lambda value: not found(value))


def _regex(pattern: Any) -> Predicate:
    try:
        compiled = re.compile(pattern)
    except answer(re.error, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(f"$regex takes a regular expression, not {pattern!r}: {error}") from error
    if not isinstance(compiled.pattern, str):
        raise ValueError(f"$regex takes a regular expression for text, not for bytes: {pattern!r}")
    search = compiled.search
    return lambda value: isinstance(value, str) and search(value) is not None


def _of_type(name: Any) -> Predicate:
    wanted = name if name in _TYPES.values() else _TYPES.get(name) if isinstance(name, str) else None
    if wanted is None:
        raise ValueError(f"$type knows {', '.join(_TYPES)}, not {name!r}")
    if wanted in {list, dict}:
        similar = (list, tuple) if wanted is list else Mapping
        return lambda value: isinstance(value, similar)
    return lambda value: type(value) is wanted


def _near(expected: Any) -> Predicate:
    arguments = list(expected) if isinstance(expected, list | tuple) else [expected]
    if not 1 <= len(arguments) <= _MOST_NEAR_ARGUMENTS or not all(map(_is_number, arguments)):
        raise ValueError(
            "$near takes a number, or a list of a number, a relative tolerance and an absolute tolerance "
            f"(the tolerances can be left out), not {expected!r}"
        )
    try:
        target, *given = map(float, arguments)
        tolerances = dict(zip(("rel_tol", "abs_tol"), given, strict=False))
        math.isclose(target, target, **tolerances)
    except answer(*_INCOMPARABLE) as error:
        raise ValueError(f"$near cannot compare with {expected!r}: {error}") from error

    def test(value: Any) -> bool:
        try:
            return _is_number(value) and math.isclose(value, target, **tolerances)
        except answer(*_INCOMPARABLE):  # an int that is too large for a float, or an array
            return False

    return test


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) or (hasattr(value, "__float__") and not isinstance(value, str))


def _exists(expected: Any) -> Predicate:
    if not isinstance(expected, bool):
        raise ValueError(f"$exists takes True or False, not {expected!r}")
    return lambda value: (value is not MISSING) is expected


def _where(function: Any) -> Predicate:
    if not callable(function):
        raise ValueError(
            f"$where takes a function of the value, not {function!r}: text is never run as code. "
            "Write {'$where': lambda value: ...} in Python, or use the other operators"
        )
    return _present(lambda value: bool(function(value)))


OPERATORS: Final[dict[str, Callable[[Any], Predicate]]] = {
    "$eq": equal_to,
    "$ne": _unequal_to,
    "$gt": _compared(operator.gt),
    "$gte": _compared(operator.ge),
    "$lt": _compared(operator.lt),
    "$lte": _compared(operator.le),
    "$in": _one_of,
    "$nin": _none_of,
    "$regex": _regex,
    "$type": _of_type,
    "$near": _near,
    "$exists": _exists,
    "$where": _where,
}
"""The functions that make a test of an operator's argument, or raise ValueError for a wrong argument."""


# --- Nodes ----------------------------------------------------------------------------------------------

EQUAL: Final = "$eq"


class Node(ABC):
    """A part of a filter. Nodes never change."""

    __slots__ = ()

    matches: Predicate
    """Returns whether a document matches."""

    @abstractmethod
    def conditions(self) -> Iterator[Condition]:
        """Return an iterator over all conditions in this node, alternatives and negations included."""

    @abstractmethod
    def moved(self, move: Callable[[Path], Path]) -> Node:
        """Return this node with a function of its path in the place of each path."""

    def paths(self) -> Iterator[Path]:
        """Return an iterator over the path of each condition."""
        return (each.path for each in self.conditions())

    def equalities(self) -> Iterator[tuple[Path, Any]]:
        """Return an iterator over paths, each with the value that all matching documents have there."""
        return iter(())

    def conjuncts(self) -> tuple[Node, ...]:
        """Return nodes that together mean the same: a document matches if it matches all of them."""
        return (self,)


@dataclass(frozen=True, slots=True, eq=False)
class Condition(Node):
    """One operator, applied to what is at one path.

    Attributes:
        path: The path.
        operator: The name of the operator.
        argument: Its argument, as given in the filter.
        test: Returns whether a value, or `MISSING`, satisfies the operator.
        matches: Returns whether a document has such a value at the path.
    """

    path: Path
    operator: str
    argument: Any
    test: Predicate
    matches: Predicate

    def conditions(self) -> Iterator[Condition]:
        return iter((self,))

    def moved(self, move: Callable[[Path], Path]) -> Condition:
        path = move(self.path)
        return Condition(path, self.operator, self.argument, self.test, holds_at(path, self.test))

    def equalities(self) -> Iterator[tuple[Path, Any]]:
        return iter(((self.path, plain(self.argument)),) if self.operator == EQUAL else ())


@dataclass(frozen=True, slots=True, eq=False)
class AllOf(Node):
    """All of several nodes must match. Without nodes, each document matches."""

    nodes: tuple[Node, ...]

    def matches(self, document: Any) -> bool:
        for node in self.nodes:  # noqa: SIM110 - a generator is two calls more for each document
            if not node.matches(document):
                return False
        return True

    def conditions(self) -> Iterator[Condition]:
        return chain.from_iterable(node.conditions() for node in self.nodes)

    def moved(self, move: Callable[[Path], Path]) -> AllOf:
        return AllOf(tuple(node.moved(move) for node in self.nodes))

    def equalities(self) -> Iterator[tuple[Path, Any]]:
        return chain.from_iterable(node.equalities() for node in self.nodes)

    def conjuncts(self) -> tuple[Node, ...]:
        return self.nodes


@dataclass(frozen=True, slots=True, eq=False)
class AnyOf(Node):
    """At least one of several nodes must match."""

    nodes: tuple[Node, ...]

    def matches(self, document: Any) -> bool:
        for node in self.nodes:  # noqa: SIM110 - as above
            if node.matches(document):
                return True
        return False

    def conditions(self) -> Iterator[Condition]:
        return chain.from_iterable(node.conditions() for node in self.nodes)

    def moved(self, move: Callable[[Path], Path]) -> AnyOf:
        return AnyOf(tuple(node.moved(move) for node in self.nodes))


@dataclass(frozen=True, slots=True, eq=False)
class Not(Node):
    """The node must not match."""

    node: Node

    def matches(self, document: Any) -> bool:
        return not self.node.matches(document)

    def conditions(self) -> Iterator[Condition]:
        return self.node.conditions()

    def moved(self, move: Callable[[Path], Path]) -> Not:
        return Not(self.node.moved(move))


def all_of(nodes: Iterable[Node]) -> Node:
    """Return the node that matches where all nodes match."""
    flat: list[Node] = []
    for node in nodes:
        if isinstance(node, AllOf):
            flat += node.nodes
        else:
            flat.append(node)
    return flat[0] if len(flat) == 1 else AllOf(tuple(flat))


def parse(filter: Filter | None, *, at: Path = ()) -> Node:
    """Return a filter as a node.

    Args:
        filter: The conditions. None and the empty mapping match each document.
        at: The path that all paths of the filter begin with.

    Raises:
        TypeError: The filter is not a mapping, or one of its keys is not a str.
        ValueError: An operator is unknown, is not at the end of a path, or has a wrong argument. The message
            names the place in the filter.
    """
    return AllOf(()) if filter is None else _parse(filter, at, ())


def compile_filter(filter: Filter | None, *, at: Path = ()) -> Predicate:
    """Return a function that returns whether a document matches; arguments and exceptions as for `parse`."""
    return parse(filter, at=at).matches


def matches(value: Any, filter: Filter | None) -> bool:
    """Return whether one document matches; raises as `parse`.

    >>> matches({"a": 1, "b": {"c": "xyz"}}, {"a": 1.0, "b.c": {"$regex": "y"}})
    True
    """
    return parse(filter).matches(value)


def find(items: Mapping[K, V], filter: Filter | None = None) -> Iterator[tuple[K, V]]:
    """Yield key and value of each item whose value matches; lazily, in the mapping's order.

    Works for every dictionary, persistent or not, and for values of all types. A value that is not a mapping
    has nothing at any path: so it meets no condition at a path but ``{"$exists": False}``. An operator
    without a path applies to the value itself.

    Cost: reads every value.

    Raises:
        TypeError, ValueError: `parse` refuses the filter; raised at once and not at the first item.

    >>> dict(find({"x": {"n": 1}, "y": {"n": 5}, "z": 3}, {"n": {"$gt": 2}}))
    {'y': {'n': 5}}
    >>> dict(find({"x": 1, "y": 5}, {"$gt": 2}))
    {'y': 5}
    """
    check_kind("items", items, Mapping, "a mapping, such as a PersiDict")
    accept = parse(filter).matches
    return ((key, value) for key, value in items.items() if accept(value))


def _parse(filter: Any, at: Path, place: Place) -> Node:
    if not isinstance(filter, Mapping):
        kind = type(filter).__name__
        raise TypeError(f"{_shown(place)} must be a mapping of paths to conditions, not a {kind}")
    nodes = [_parse_item(key, expected, at, (*place, key)) for key, expected in filter.items()]
    return nodes[0] if len(nodes) == 1 else all_of(nodes)


def _parse_item(key: Any, expected: Any, at: Path, place: Place) -> Node:
    if not isinstance(key, str):
        raise TypeError(f"the keys of {_shown(place[:-1])} must be str, not {type(key).__name__}: {key!r}")
    *above, last = split(key)
    if any(step.startswith("$") for step in above):
        raise ValueError(f"{_shown(place)}: an operator is allowed at the end of a path only")
    path = (*at, *above)
    if last in LOGICAL:
        return LOGICAL[last](expected, path, place)
    if last.startswith("$"):
        return _condition(path, last, expected, place)
    if isinstance(expected, Mapping) and expected:
        return _parse(expected, (*path, last), place)
    return _condition((*path, last), EQUAL, expected, place)


def _condition(path: Path, operator: str, argument: Any, place: Place) -> Condition:
    make = OPERATORS.get(operator)
    if make is None:
        known = ", ".join((*OPERATORS, *LOGICAL))
        raise ValueError(f"{_shown(place)}: unknown operator {operator!r}; the operators are {known}")
    try:
        test = make(argument)
    except ValueError as error:
        raise ValueError(f"{_shown(place)}: {error}") from error
    return Condition(path, operator, argument, test, holds_at(path, test))


def _and(filters: Any, at: Path, place: Place) -> Node:
    return all_of(_each(filters, at, place))


def _or(filters: Any, at: Path, place: Place) -> Node:
    return AnyOf(tuple(_each(filters, at, place)))


def _not(filter: Any, at: Path, place: Place) -> Node:
    return Not(_parse(filter, at, place))


def _each(filters: Any, at: Path, place: Place) -> list[Node]:
    if not isinstance(filters, list | tuple) or not filters:
        raise ValueError(f"{_shown(place)} must be a list of one or more filters, not {filters!r}")
    return [_parse(each, at, (*place, position)) for position, each in enumerate(filters)]


def _shown(place: Place) -> str:
    """Return the expression for a part of the filter.

    >>> _shown(("$or", 1, "a"))
    "filter['$or'][1]['a']"
    """
    return "filter" + "".join(f"[{step!r}]" for step in place)


LOGICAL: Final[dict[str, Callable[[Any, Path, Place], Node]]] = {"$and": _and, "$or": _or, "$not": _not}
"""The operators that combine filters, and the functions that parse their arguments."""
