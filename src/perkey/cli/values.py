"""Values for people: nothing that a place holds is run.

JSON is parsed by the standard library, so that tags of jsonpickle are text. Pickles are loaded only if the
caller asks for that.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

import click

from perkey import CorruptValueError, PerkeyError, PersiDict
from perkey.cli.output import dumped, pretty
from perkey.content import Content, bytes_of, close, read_all
from perkey.formats import TextFormat, find_format, format_of
from perkey.keys import NonEmptySafeStrTuple
from perkey.naming import naming

_DEPTH: Final = 100


def check_readable(d: PersiDict[Any], *, unpickle: bool) -> None:
    """Raise an error if values of a dictionary cannot be shown without loading pickles."""
    if not unpickle and d.file_type != "json" and find_format(d.file_type) is not None:
        raise click.ClickException(
            f"{d.store.describe()}: loading a {d.file_type!r} runs code that its writer chose: "
            "use --unpickle if you trust the place"
        )


def parse(d: PersiDict[Any], content: Content, *, unpickle: bool) -> Any:
    """Return the value for people that a content stands for.

    Raises:
        CorruptValueError, UnloadableValueError: The value cannot be decoded.
    """
    if d.file_type == "json":
        return _parse_json(read_all(content))
    check_readable(d, unpickle=unpickle)
    return format_of(d.file_type).decode(content)


def _parse_json(raw: bytes) -> Any:
    try:
        return json.loads(raw.decode())
    except (ValueError, RecursionError) as error:
        raise CorruptValueError(f"not JSON: {error}") from error


def text_of_value(value: Any) -> str:
    """Return a value as text: a text as it is, JSON on several lines, all else in Python's form."""
    if isinstance(value, str):
        return value
    if _is_json(value, _DEPTH):
        return dumped(value, indent=2)
    return pretty(value, None)


def _is_json(value: Any, depth: int) -> bool:
    if value is None or type(value) in {str, int, float, bool}:
        return True
    if not depth:
        return False
    if type(value) is list:
        return all(_is_json(each, depth - 1) for each in value)
    return type(value) is dict and all(
        type(key) is str and _is_json(each, depth - 1) for key, each in value.items()
    )


def is_text(d: PersiDict[Any]) -> bool:
    """Return whether the values of a dictionary are text."""
    return isinstance(format_of(d.file_type), TextFormat)


def read_each(
    d: PersiDict[Any], keys: Iterable[NonEmptySafeStrTuple], *, unpickle: bool
) -> Iterator[tuple[NonEmptySafeStrTuple, Any, Exception | None]]:
    """Yield each key with its value, or with the error that reading it raised; several are read at a time.

    Args:
        d: The dictionary.
        keys: The keys.
        unpickle: Whether pickles are loaded.
    """
    check_readable(d, unpickle=unpickle)
    names = naming(d.digest_len, d.file_type)
    for name, found in d.store.read_many(map(names.name_of, keys)):
        key = names.key_of(name) or NonEmptySafeStrTuple(name)
        if isinstance(found, Exception):
            yield key, None, found
            continue
        content = found[0]
        try:
            yield key, parse(d, content, unpickle=unpickle), None
        except PerkeyError as error:
            yield key, None, error
        finally:
            close(content)


def encoded(d: PersiDict[Any], value: Any) -> bytes:
    """Return the content that stands for a value that was typed or piped: text, or what JSON has.

    JSON is stored as it is. Tags of jsonpickle in it are not looked at.

    Raises:
        UnstorableValueError: The dictionary cannot store it.
    """
    if d.file_type == "json":
        return json.dumps(value, indent=4).encode("ascii")
    return bytes_of(format_of(d.file_type).encode(value))
