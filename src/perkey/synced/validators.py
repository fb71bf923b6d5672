"""Checks of what is put into a document: callables that take data and raise.

A class lists its own in `_validators`, which subclasses inherit, or all of them in `_all_validators`. A
validator is given the new data only, inside a collection: ``{key: value}`` for an item of a dict,
``[value, ...]`` for items of a list, plain data in either case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, TypeAlias

from perkey.synced.errors import InvalidKeyError
from perkey.synced.plain import KeyReader, Plain, lenient_key, string_key, to_plain

Validator: TypeAlias = Callable[[Any], object]
"""Takes data, returns nothing of interest, and raises if the data is not allowed; changes nothing."""


def json_format_validator(data: Any) -> None:
    """Raise unless JSON has a form for `data`.

    Raises:
        KeyTypeError: A key is not a string.
        TypeError: A value has no form in JSON.
    """
    to_plain(data)


def require_string_key(data: Any) -> None:
    """Raise KeyTypeError if a key of a mapping in `data` is not a string."""
    for key in _keys(data):
        string_key(key)


def no_dot_in_key(data: Any) -> None:
    """Raise if a key of a mapping in `data` contains a dot.

    Raises:
        InvalidKeyError: It does.
        KeyTypeError: A key is neither a string nor an int, a bool or None.
    """
    for key in _keys(data):
        if "." in lenient_key(key):
            raise InvalidKeyError(f"keys may not contain dots: {key!r}")


def json_attr_dict_validator(data: Any) -> None:
    """Raise unless a class with access by attribute can hold `data`: JSON types, no dots in keys.

    Keys that are an int, a bool or None pass: such a class stores them as ``str()`` writes them.
    """
    to_plain(data, key_of=lenient_key)
    no_dot_in_key(data)


def collect_validators(cls: type) -> tuple[Validator, ...]:
    """Return the `_validators` of a class and all its bases, each once."""
    found: dict[Validator, None] = {}
    for base in cls.__mro__:
        found.update(dict.fromkeys(base.__dict__.get("_validators", ())))
    return tuple(found)


# `to_plain` holds these already.
_IMPLIED: Final = frozenset((json_format_validator, require_string_key))


@lru_cache(64)
def rules_of(validators: tuple[Validator, ...], allow_nan: bool) -> Rules:
    """Return the rules for the validators of a class, made once."""
    return Rules(validators, allow_nan=allow_nan)


class Rules:
    """What may be put into a document.

    Args:
        validators: The checks.
        allow_nan: Whether NaN and infinities may be.
    """

    def __init__(self, validators: Iterable[Validator], *, allow_nan: bool) -> None:
        validators = tuple(validators)
        self.key_of: KeyReader = lenient_key if json_attr_dict_validator in validators else string_key
        self.allow_nan = allow_nan
        self._checks = [check for check in validators if check not in _IMPLIED]

    def admit(self, data: Any) -> Plain:
        """Return a collection as new plain data; raises as `to_plain` and the validators do."""
        plain = to_plain(data, key_of=self.key_of, allow_nan=self.allow_nan)
        for check in self._checks:
            check(plain)
        return plain


def _keys(data: Any) -> Iterator[Any]:
    """Yield the keys of all mappings in `data`."""
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield key
            yield from _keys(value)
    elif isinstance(data, Sequence) and not isinstance(data, (str, bytes, bytearray)):
        for value in data:
            yield from _keys(value)
