"""Filters as they are typed on a command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

_MARK = "/"
_WORDS = {"true": True, "false": False, "null": None}
_SHORTEST_PATTERN = 2


def parse_filter(tokens: Sequence[str] | None) -> dict[str, Any] | None:
    """Return the filter that the words of a command line stand for; None if there are none.

    Either one filter in JSON, or keys and values in turn. A value is a number, ``true``, ``false``, ``null``,
    a list or mapping in JSON, ``/pattern/`` for a regular expression, or else the text itself. A last key
    without a value asks whether it is there. A key may end in an operator.

    Raises:
        ValueError: It begins like JSON and is not.

    >>> parse_filter(["a", "42", "b.$lt", "3", "name", "/^x/", "c"])
    {'a': 42, 'b.$lt': 3, 'name': {'$regex': '^x'}, 'c': {'$exists': True}}
    >>> parse_filter(['{"a":', '{"$gt": 1}}'])
    {'a': {'$gt': 1}}
    """
    if not tokens:
        return None
    if tokens[0].startswith("{"):
        return _parse_json(" ".join(tokens))
    pairs = [*tokens, None] if len(tokens) % 2 else list(tokens)
    return {str(key): _value(text) for key, text in zip(pairs[::2], pairs[1::2], strict=True)}


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
    if text[:1] in {"[", "{"} or _is_number(text):
        return _json_or_text(text)
    return text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:  # "1_000" and "inf" are numbers for Python only
        return text
