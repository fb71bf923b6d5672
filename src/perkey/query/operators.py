"""What may be asked of one value: each operator makes a test of its argument."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final, TypeAlias

Test: TypeAlias = Callable[[Any], bool]
"""Tells whether a value is as expected; `MISSING` stands for no value."""


class _Missing:
    """Equal to nothing, not even to itself."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return False

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()
"""What is found where there is nothing."""

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


def plain(value: Any) -> Any:
    """Return an argument of a filter as JSON would give it back: with lists, and without NumPy."""
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return value.tolist() if hasattr(value, "dtype") and hasattr(value, "tolist") else value


def equal_to(expected: Any) -> Test:
    """Return the test for equality, as Python sees it: 1, 1.0 and True are equal; lists are to tuples."""
    wanted = plain(expected)
    if isinstance(wanted, list | dict):
        return lambda value: _holds(plain(value) == wanted)

    def test(value: Any) -> bool:
        answer = value == wanted
        return answer is True or (answer is not False and _holds(answer))  # the rest is for NumPy

    return test


def _holds(answer: Any) -> bool:
    """Return the answer of a comparison, which may be an array of answers: that is none."""
    return answer is True or (type(answer).__module__ == "numpy" and answer.ndim == 0 and bool(answer))


def _present(test: Test) -> Test:
    return lambda value: value is not MISSING and test(value)


def _unequal_to(expected: Any) -> Test:
    equal = equal_to(expected)
    return _present(lambda value: not equal(value))


def _compared(compare: Callable[[Any, Any], Any]) -> Callable[[Any], Test]:
    def maker(bound: Any) -> Test:
        limit = plain(bound)

        def test(value: Any) -> bool:
            try:
                answer = compare(value, limit)
            except TypeError:  # these two have no order
                return False
            return answer is True or (answer is not False and _holds(answer))

        return test

    return maker


def _one_of(expected: Any) -> Test:
    if isinstance(expected, str | Mapping) or not isinstance(expected, list | tuple | AbstractSet):
        raise ValueError(f"$in and $nin take a list of values, not {expected!r}")
    tests = [equal_to(item) for item in expected]
    try:
        known = frozenset(plain(list(expected)))
    except TypeError:  # a list among them
        return lambda value: any(test(value) for test in tests)

    def test(value: Any) -> bool:
        try:
            return value in known and _holds(value == value)  # noqa: PLR0124 - NaN is not
        except TypeError:  # a list has no hash, and is none of them
            return False

    return test


def _none_of(expected: Any) -> Test:
    found = _one_of(expected)
    return _present(lambda value: not found(value))


def _regex(pattern: Any) -> Test:
    try:
        search = re.compile(pattern).search
    except (re.error, TypeError) as error:
        raise ValueError(f"$regex takes a regular expression, not {pattern!r}: {error}") from error
    return lambda value: isinstance(value, str) and search(value) is not None


def _of_type(name: Any) -> Test:
    wanted = name if name in _TYPES.values() else _TYPES.get(name) if isinstance(name, str) else None
    if wanted is None:
        raise ValueError(f"$type knows {', '.join(_TYPES)}, not {name!r}")
    if wanted in {list, dict}:
        similar = (list, tuple) if wanted is list else Mapping
        return lambda value: isinstance(value, similar)
    return lambda value: type(value) is wanted


def _near(expected: Any) -> Test:
    arguments = list(expected) if isinstance(expected, list | tuple) else [expected]
    if not 1 <= len(arguments) <= _MOST_NEAR_ARGUMENTS or not all(map(_is_number, arguments)):
        raise ValueError(
            "$near takes a number, or a list of one, a relative tolerance and an absolute one "
            f"(the tolerances may be left out), not {expected!r}"
        )
    target = float(arguments[0])
    tolerances: dict[str, float] = dict(zip(("rel_tol", "abs_tol"), map(float, arguments[1:]), strict=False))
    return lambda value: _is_number(value) and math.isclose(value, target, **tolerances)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) or (hasattr(value, "__float__") and not isinstance(value, str))


def _exists(expected: Any) -> Test:
    if not isinstance(expected, bool):
        raise ValueError(f"$exists takes True or False, not {expected!r}")
    return lambda value: (value is not MISSING) is expected


def _where(function: Any) -> Test:
    if not callable(function):
        raise ValueError(
            f"$where takes a function of the value, not {function!r}: text is never run as code. "
            "Write {'$where': lambda value: ...} in Python, or use the other operators"
        )
    return _present(lambda value: bool(function(value)))


OPERATORS: Final[dict[str, Callable[[Any], Test]]] = {
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
"""What each operator makes of its argument; raises ValueError if it can make nothing of it."""
