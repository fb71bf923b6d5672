"""Filters as they are typed on a command line."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from perkey.query.filters import parse
from perkey.query.paths import joined

_MARK = "/"
_ORDER = frozenset(("$gt", "$gte", "$lt", "$lte"))
_WORDS = {"true": True, "false": False, "null": None}
_SHORTEST_PATTERN = 2


def parse_filter(tokens: Sequence[str] | None) -> dict[str, Any] | None:
    """Return the filter that the words of a command line stand for. Without words, return None.

    The words are one filter in JSON, or keys and values in turn. A value is a number as Python reads it
    (``1``, ``.5``, ``1e3``, ``1_000``, ``inf``, ``nan``), ``true``, ``false``, ``null``, a list or mapping
    in JSON, ``/pattern/`` for a regular expression, or otherwise the text itself. A last key without a value
    means that the key must exist. A key can end in an operator. A path whose last key is empty must be
    written in JSON.

    Raises:
        TypeError, ValueError: The filter begins like JSON but is not JSON, has a key that ends in a
            dot, or is not valid.

    Warns:
        UserWarning: An operator of order (``$gt``, ...) has a word for its argument that is not a number.

    >>> parse_filter(["a", "42", "b.$lt", "3", "name", "/^x/", "c"])
    {'a': 42, 'b.$lt': 3, 'name': {'$regex': '^x'}, 'c': {'$exists': True}}
    >>> parse_filter(['{"a":', '{"$gt": 1}}'])
    {'a': {'$gt': 1}}
    """
    if not tokens:
        return None
    if is_json(tokens):
        found = _parse_json(" ".join(tokens))
    else:
        pairs = zip_longest(tokens[::2], tokens[1::2])
        found = _together([(_key(str(key)), _value(word)) for key, word in pairs])
    for each in parse(found).conditions():
        if each.operator in _ORDER and isinstance(each.argument, str):
            warnings.warn(
                f"{joined((*each.path, each.operator))} compares with the text {each.argument!r}, which is "
                "neither less nor greater than a number; write numbers as in Python, such as 0.5 or 1e3",
                stacklevel=2,
            )
    return found


def is_json(tokens: Sequence[str]) -> bool:
    """Return whether the words of a command line are a filter in JSON."""
    return bool(tokens) and tokens[0].startswith("{")


def _together(conditions: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(conditions)
    if len(found) == len(conditions):
        return found
    return {"$and": [{key: value} for key, value in conditions]}  # a key that is given twice


def _key(key: str) -> str:
    if key.endswith("."):
        raise ValueError(
            f"the key {key!r} ends in a dot: if you meant an operator, quote it for the shell, "
            f"as in '{key}$gt'; the empty key is written in JSON: '{json.dumps({key: 1})}'"
        )
    return key


def _parse_json(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ValueError(f"the filter {text!r} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"a filter is a mapping in JSON, not {text!r}")
    return found


def _value(text: str | None) -> Any:
    if text is None:
        return {"$exists": True}
    if len(text) >= _SHORTEST_PATTERN and text.startswith(_MARK) and text.endswith(_MARK):
        return {"$regex": text[1:-1]}
    if text in _WORDS:
        return _WORDS[text]
    if text[:1] in {"[", "{"}:
        return _json_or_text(text)
    return _number_or_text(text)


def _number_or_text(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
