"""json: the form of jsonpickle, readable by people and other programs.

Values of plain JSON types, which are most, take a fast path through the standard library. It is taken only
where jsonpickle would write, or read, exactly the same.

What jsonpickle loses cannot be listed: it differs by class, and by version. So every other value is read
again before it is stored, and compared with the original.
"""

from __future__ import annotations

import json
import re
import sys
from functools import cache
from types import ModuleType
from typing import Any

from perkey.arguments import check_flag
from perkey.content import Content, Data, read_all
from perkey.errors import CorruptValueError, UnloadableValueError, UnstorableValueError
from perkey.formats.base import Format
from perkey.formats.comparing import losses
from perkey.formats.failures import raise_if_out_of_memory
from perkey.formats.foreign import foreign_to_json, refuse_foreign

_ATOMS = frozenset((str, int, float, bool, type(None)))
_MOST_DEPTH = 100  # jsonpickle gives up somewhere above 150
# Strings that jsonpickle gives a meaning, in all the spellings that JSON has for them.
_TAGGED = re.compile(r'"(?:py|json)|\\u00[67]|\\u002[fF]|\\/')
# Two halves of one character: JSON has the same spelling for them as for the character.
_HALVES = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_ADVICE = 'use file_type="pkl" for it'


def is_plain(value: Any) -> bool:
    """Return whether `value` is of exact JSON types, without shared containers and reserved keys."""
    seen: set[int] = set()

    def plain(item: Any, depth: int) -> bool:
        kind = type(item)
        if kind in _ATOMS:
            return True
        if depth > _MOST_DEPTH or id(item) in seen:
            return False
        seen.add(id(item))
        if kind is list:
            return all(plain(inner, depth + 1) for inner in item)
        return kind is dict and all(
            type(key) is str and not key.startswith(("py/", "json://")) and plain(inner, depth + 1)
            for key, inner in item.items()
        )

    return plain(value, 0)


class JsonFormat(Format):
    """Stores what jsonpickle can express; plain JSON values as plain JSON, indented by four.

    Keys of dictionaries that are not strings keep their type (jsonpickle's option ``keys=True``). Decoding
    builds objects of the classes that the text names: load only files of writers that you trust.
    It has no checksum: damage is detected where it breaks the JSON.

    Args:
        check: Whether a value that is not plain JSON is decoded again when it is encoded, and compared with
            the original. A value that would lose something is then refused. Without the check it is stored
            as jsonpickle expresses it.

    Cost: The check takes about as long as reading the value once more; plain JSON needs none.
    """

    def __init__(self, *, check: bool = True) -> None:
        self._checks = check_flag("check", check)

    def encode(self, value: Any) -> Data:
        plain = is_plain(value)
        flatten = None if plain else _jsonpickling().flatten
        outer = sys.exception()
        try:
            form = value if flatten is None else flatten(value)
            text = json.dumps(form, indent=4)
        except Exception as error:  # noqa: BLE001 - it is passed on, as a cause
            raise_if_out_of_memory(error, outer)
            raise _unstorable(value, error) from (error.__cause__ or error)
        if self._checks:
            if "\\ud" in text and _HALVES.search(json.dumps(form, ensure_ascii=False)):
                raise UnstorableValueError(f"two surrogates would come back as one character; {_ADVICE}")
            if not plain:
                _check(value, text)
        return text.encode("ascii")

    def decode(self, content: Content) -> Any:
        value, text = _parsed(content if isinstance(content, bytes) else read_all(content))
        return _restore(value, text) if _TAGGED.search(text) else value

    def check(self, content: Content) -> bool:
        _parsed(read_all(content))
        return True


def _parsed(raw: bytes) -> tuple[Any, str]:
    """Return what plain JSON stands for, and its text."""
    try:
        text = raw.decode()
        return json.loads(text), text
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        refuse_foreign(foreign_to_json(raw), error)
        raise CorruptValueError(f"not JSON: {error}") from error
    except ValueError as error:
        raise UnloadableValueError(f"a number too long for this interpreter: {error}") from error
    except RecursionError as error:
        raise UnloadableValueError("nested too deeply for this interpreter") from error


def _unstorable(value: Any, error: Exception) -> UnstorableValueError:
    return UnstorableValueError(f"a {type(value).__name__} that JSON cannot express: {error}; {_ADVICE}")


def _check(value: Any, text: str) -> None:
    """Refuse a value that would not come back as it is."""
    try:
        found = losses(value, _restore(json.loads(text), text))
    except RecursionError as error:
        raise _unstorable(value, error) from error
    except UnloadableValueError as error:
        what = f"a {type(value).__name__} that could not be read again: {error.reason}"
        raise UnstorableValueError(f"{what}; {_ADVICE}") from error.__cause__
    if found:
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        raise UnstorableValueError(
            f"JSON would change a {type(value).__name__} ({found[0]}{more}); {_ADVICE}"
        )


def _restore(form: Any, text: str) -> Any:
    """Return the value whose form jsonpickle wrote."""
    restore, failures = _jsonpickling().restore, _jsonpickling().FAILURES
    outer = sys.exception()
    try:
        return restore(form, text)
    except failures as error:
        raise_if_out_of_memory(error, outer)
        # It was well-formed JSON, so the fault is not in the bytes.
        raise UnloadableValueError(f"{type(error).__name__}: {error}") from error


@cache
def _jsonpickling() -> ModuleType:
    """Return the module that calls jsonpickle, which takes 20 ms that most programs never need.

    It is kept, because a finaliser may need it when the interpreter ends and imports nothing any more.
    """
    from perkey.formats import jsonpickling  # noqa: PLC0415

    return jsonpickling
