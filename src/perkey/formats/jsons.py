"""json: the form of jsonpickle, readable by people and other programs.

Values of plain JSON types, which are most, take a fast path through the standard library. It is taken only
where jsonpickle would write, or read, exactly the same.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from perkey.content import Content, Data, read_all
from perkey.errors import CorruptValueError, UnloadableValueError, UnstorableValueError
from perkey.formats.base import Format

_ATOMS = frozenset((str, int, float, bool, type(None)))
_MOST_DEPTH = 100  # jsonpickle gives up somewhere above 150
# Strings that jsonpickle gives a meaning, in all the spellings that JSON has for them.
_TAGGED = re.compile(r'"(?:py|json)|\\u00[67]|\\u002[fF]|\\/')


def is_plain(value: Any) -> bool:
    """Tell whether `value` is of exact JSON types, no container of it occurs twice, no key has a meaning."""
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
    builds objects of the classes that the text names: load only what comes from writers that you trust.
    There is no checksum: damage is seen where it breaks the JSON.
    """

    def encode(self, value: Any) -> Data:
        try:
            form = value if is_plain(value) else _flatten(value)
            return json.dumps(form, indent=4).encode("ascii")
        except (MemoryError, UnstorableValueError):
            raise
        except Exception as error:
            raise UnstorableValueError(
                f"a {type(value).__name__} that jsonpickle cannot express: {error}"
            ) from error

    def decode(self, content: Content) -> Any:
        try:
            text = read_all(content).decode()
            value = json.loads(text)
        except ValueError as error:  # of both UTF-8 and JSON
            raise CorruptValueError(f"not JSON: {error}") from error
        except RecursionError as error:
            raise UnloadableValueError("nested too deeply for this interpreter") from error
        return _restore(value, text) if _TAGGED.search(text) else value


def _flatten(value: Any) -> Any:
    """Return jsonpickle's JSON form of `value`."""
    from perkey.formats.jsonpickling import StrictPickler  # noqa: PLC0415 - 20 ms that most never need

    _register_handlers(name for name in ("numpy", "pandas") if name in sys.modules)
    return StrictPickler(keys=True, warn=True).flatten(value)


def _restore(form: Any, text: str) -> Any:
    """Return the value whose form jsonpickle wrote."""
    from jsonpickle.errors import ClassNotFoundError  # noqa: PLC0415 - as above
    from jsonpickle.unpickler import Unpickler  # noqa: PLC0415

    try:
        _register_handlers(name for name in ("numpy", "pandas") if f'"{name}.' in text)
        return Unpickler(keys=True, on_missing="error").restore(form)
    except MemoryError:
        raise
    except (Exception, ClassNotFoundError) as error:  # the latter is a BaseException only
        # It was well-formed JSON, so the fault is not in the bytes.
        raise UnloadableValueError(f"{type(error).__name__}: {error}") from error


_registered: set[str] = set()


def _register_handlers(names: Any) -> None:
    """Teach jsonpickle the arrays of numpy and the frames of pandas, once, and only if they are in use."""
    for name in names:
        if name not in _registered:
            import importlib  # noqa: PLC0415

            importlib.import_module(f"jsonpickle.ext.{name}").register_handlers()
            _registered.add(name)
