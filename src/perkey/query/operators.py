"""The operators for one value: each makes a test of its argument."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final

from perkey.answers import answer
from perkey.query.paths import MISSING, Predicate

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
    """Return whether a comparison says yes; if it returned an array of several results, it does not."""
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
    except answer(re.error, TypeError) as error:
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
