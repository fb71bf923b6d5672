"""Checks of arguments: each error names the argument and the expected kind."""

from __future__ import annotations

import re
from collections.abc import Iterable
from numbers import Real
from typing import Any, Final, NoReturn, Protocol, TypeAlias

# Compiled at their first use: few programs meet an address, and all import this module.
_USER: Final = r"(^|:/*)[^/?@]*@"
_AFTER_USER: Final = r"^((?!arn:)(?:[A-Za-z][A-Za-z0-9+.\-]*:/+)?[^/:?@]*):(?!/|\d+(?:/|$))[^/?]*"
_PARAMETER: Final = r"(?i:([?&;][^=&]*(?:secret|token|key|sig|passw|credential|auth)[^=&]*=)[^&#'\s]*)"


class TimeDelta(Protocol):
    """A `datetime.timedelta`, whose module takes longer to import than all of this package's own classes."""

    def total_seconds(self) -> float:
        """Return its length in seconds."""
        ...


Duration: TypeAlias = float | TimeDelta
"""A number of seconds, or a `datetime.timedelta`."""

Kinds = type[Any] | tuple[type[Any], ...]


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
"""Stands for an argument that was not given, or for a value that does not exist. Compare it with ``is``."""


def wrong_kind(name: str, expected: str, value: object) -> TypeError:
    """Return the error about an argument of the wrong kind."""
    return TypeError(f"{name} must be {expected}, not {type(value).__name__}")


def check_kind(name: str, value: object, kinds: Kinds, expected: str) -> None:
    """Raise TypeError unless `value` is of one of the kinds.

    Args:
        name: The name of the argument.
        value: The argument.
        kinds: The class or classes that are allowed.
        expected: These classes in words, with an article.
    """
    if not isinstance(value, kinds):
        raise wrong_kind(name, expected, value)


def check_flag(name: str, value: object) -> bool:
    """Return a bool (numpy's are bools, too); raises TypeError for everything else."""
    kind = type(value)
    if isinstance(value, bool) or (kind.__module__ == "numpy" and kind.__name__ in {"bool", "bool_"}):
        return bool(value)
    raise wrong_kind(name, "a bool", value)


def check_count(name: str, value: Any, *, least: int = 0, or_none: bool = False) -> None:
    """Raise unless `value` is an int, or None where that is allowed, and not too small.

    Args:
        name: The name of the argument.
        value: The argument; anything that can be an index is an int, but a bool is not.
        least: The smallest value that is allowed.
        or_none: Whether None is allowed.

    Raises:
        TypeError: `value` is not an int.
        ValueError: `value` is less than `least`.
    """
    if or_none and value is None:
        return
    expected = "an int or None" if or_none else "an int"
    if isinstance(value, bool) or not hasattr(type(value), "__index__"):
        raise wrong_kind(name, expected, value)
    if value < least:
        raise ValueError(f"{name} must be {expected}, at least {least}, not {value}")


def seconds_of(name: str, value: Any) -> float | None:
    """Return an age in seconds, or None as it is.

    Args:
        name: The name of the argument.
        value: The argument: a number of seconds, or a `datetime.timedelta`.

    Raises:
        TypeError: `value` is of another kind.
        ValueError: `value` is negative, or not a number.
    """
    if value is None:
        return None
    total = getattr(value, "total_seconds", None)
    if isinstance(value, bool) or not (isinstance(value, Real) or callable(total)):
        raise wrong_kind(name, "a number of seconds, a timedelta or None", value)
    seconds = float(total() if callable(total) else value)
    if not seconds >= 0:
        raise ValueError(f"{name} must be at least 0 seconds, not {value!r}")
    return seconds


def check_callable(name: str, value: object) -> None:
    """Raise TypeError unless `value` can be called."""
    if not callable(value):
        raise wrong_kind(name, "callable", value)


def is_coroutine_function(function: object) -> bool:
    """Return whether a function, or what an object does when it is called, is a coroutine function."""
    from inspect import getattr_static, iscoroutinefunction  # noqa: PLC0415 - heavy, and seldom needed

    return any(map(iscoroutinefunction, (function, getattr_static(type(function), "__call__", None))))


def check_iterable(name: str, value: object, of: str) -> None:
    """Raise TypeError unless `value` is an iterable of several things; a string is one thing.

    Args:
        name: The name of the argument.
        value: The argument.
        of: The things in words.
    """
    if isinstance(value, (str, bytes, bytearray)):
        _refuse_single(name, value, of)
    if not isinstance(value, Iterable) and not hasattr(type(value), "__getitem__"):
        raise wrong_kind(name, f"an iterable of {of}", value)


def _refuse_single(name: str, value: object, of: str) -> NoReturn:
    raise TypeError(
        f"{name} must be an iterable of {of}, not a {type(value).__name__}, whose characters would be taken "
        f"for {of}; put it into a list"
    )


def named_or_alias(name: str, value: Any, alias: str, other: Any, absent: object) -> Any:
    """Return the value of a required argument that has two names.

    Args:
        name: The name of the argument.
        value: The value given under this name, or `absent`.
        alias: The other name.
        other: The value given under the other name, or `absent`.
        absent: What stands for an argument that was not given.

    Raises:
        TypeError: The argument is given under both names or not at all.
    """
    if other is absent:
        if value is absent:
            raise TypeError(f"the argument {name!r} is missing")
        return value
    if value is not absent:
        raise TypeError(f"{alias!r} is another name of the argument {name!r}; pass only one of them")
    return other


def without_secrets(address: str) -> str:
    """Return an address as it may be shown: without users, passwords, and parameters that may be secrets.

    >>> without_secrets("s3://user:password@bucket/x?region=eu&access_key=1")
    's3://***@bucket/x?region=eu&access_key=***'
    >>> without_secrets("s3://bucket:password/x")
    's3://bucket:***/x'
    """
    return re.sub(_PARAMETER, r"\1***", re.sub(_AFTER_USER, r"\1:***", re.sub(_USER, r"\1***@", address)))
