"""Plain data: what JSON can hold, as dict, list, str, int, float, bool and None, and nothing else.

What comes in is turned into new plain data, never kept; what goes out is a copy. So the trees inside
documents are nobody else's.
"""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from perkey.synced.errors import InvalidKeyError, KeyTypeError

Plain: TypeAlias = Any
"""Plain data; a recursive type would only burden those who read."""

ATOMS: Final = frozenset((str, int, float, bool, type(None)))
"""The types of plain data that hold no other."""

# What a subclass adds (an IntEnum its name, say), JSON has no place for.
_VALUES: Final[tuple[tuple[type, Callable[[Any], Any]], ...]] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
)

# Python reads ints of up to 640 digits whatever its limit is.
_ALWAYS_READ: Final = 10**640

KeyReader: TypeAlias = Callable[[Any], str]
"""Returns the key to be stored for a key, or raises."""


def string_key(key: Any) -> str:
    """Return a key that is a string; raises KeyTypeError for all others."""
    if isinstance(key, str):
        return str.__str__(key)
    raise KeyTypeError(f"keys must be str, not {type(key).__name__}: {key!r}")


def lenient_key(key: Any) -> str:
    """Return a string as it is, and an int, bool or None as ``str()`` writes it."""
    if isinstance(key, str):
        return str.__str__(key)
    if key is None or isinstance(key, int):
        return str(key)
    raise KeyTypeError(f"keys must be str, int, bool or None, not {type(key).__name__}: {key!r}")


def to_plain(value: Any, *, key_of: KeyReader = string_key, allow_nan: bool = True) -> Plain:
    """Return new plain data that means the same as `value`.

    Mappings become dicts; sequences that are not text or bytes, and arrays of NumPy, become lists; scalars
    of NumPy the nearest of Python; a synced collection what it holds. Nothing else is changed.

    Args:
        value: Any value.
        key_of: What to make of the keys of mappings.
        allow_nan: Whether NaN and infinities are allowed, which JSON proper does not know.

    Raises:
        KeyTypeError, InvalidKeyError: A key is of the wrong type, or two keys become the same.
        TypeError: Something in it has no form in JSON (bytes, sets, complex numbers, any other object).
        ValueError: It contains itself or is nested too deeply; or an int has more digits than Python reads
            (`sys.get_int_max_str_digits`); or NaN and infinities, if not allowed.
    """
    try:
        return _Conversion(key_of, allow_nan=allow_nan).plain(value)
    except RecursionError:
        raise ValueError("the data contains itself, or is nested too deeply") from None


class _Conversion:
    def __init__(self, key_of: KeyReader, *, allow_nan: bool) -> None:
        self._key_of = key_of
        self._allow_nan = allow_nan

    def plain(self, item: Any) -> Plain:
        kind = type(item)
        if kind is float and not self._allow_nan and not math.isfinite(item):
            raise ValueError(f"{item!r} is not a number in JSON")
        if kind is int and not -_ALWAYS_READ < item < _ALWAYS_READ:
            str(item)  # raises ValueError for an int of so many digits that no reader takes it
        if kind in ATOMS:
            return item
        if kind is list or kind is tuple:
            return [self.plain(inner) for inner in item]
        if kind is dict:
            return self._mapping(item)
        return self._other(item)

    def _mapping(self, item: Mapping[Any, Any]) -> dict[str, Plain]:
        result = {self._key_of(key): self.plain(inner) for key, inner in item.items()}
        if len(result) != len(item):
            raise InvalidKeyError(f"several keys become the same string: {list(item)!r:.200}")
        return result

    def _other(self, item: Any) -> Plain:
        if hasattr(item, "__perkey_plain__"):
            return self.plain(item.__perkey_plain__())
        array = of_numpy(item)
        if array is not item:
            return self.plain(array)
        for atom, value_of in _VALUES:
            if isinstance(item, atom):
                return self.plain(value_of(item))
        if isinstance(item, Mapping):
            return self._mapping(item)
        if isinstance(item, Sequence) and not isinstance(item, (bytes, bytearray, memoryview)):
            return [self.plain(inner) for inner in item]
        raise TypeError(f"a {type(item).__name__} has no form in JSON: {item!r:.200}")


def of_numpy(item: Any) -> Any:
    """Return a scalar or array of NumPy as Python's own, anything else as it is."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(item, (numpy.generic, numpy.ndarray)):
        return item
    if item.dtype.kind in "biufUOT" and item.dtype.char != "g":  # a long double has digits that float has not
        return item.tolist()
    raise TypeError(f"{item.dtype} of NumPy has no form in JSON: {item!r:.200}")


def copy_of(data: Plain) -> Plain:
    """Return a copy of data that shares nothing mutable with it."""
    kind = type(data)
    if kind in ATOMS:
        return data
    if kind is dict:
        return {key: copy_of(value) for key, value in data.items()}
    if kind is list:
        return [copy_of(value) for value in data]
    return copy.deepcopy(data)  # in dictionaries of pickles are more than plain data
