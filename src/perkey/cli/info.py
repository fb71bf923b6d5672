"""Describe a dictionary, or an item."""

from __future__ import annotations

from typing import Any

import click

import perkey
from perkey.cli.output import dumped, harmless, json_option, line, lines
from perkey.cli.places import (
    key_from,
    missing,
    name_of,
    open_place,
    place_argument,
    place_command,
    text_of_key,
)
from perkey.cli.tables import count_text, time_of, time_text
from perkey.showing import size_text


@place_command(
    "info",
    ("info results", "file type, number and sizes of items, the oldest and the newest"),
    ("info results run1/loss --json", "size, time, version and path of an item, as JSON"),
)
@place_argument()
@click.argument("key", required=False)
@json_option
def command(*, place: str, key: str | None, as_json: bool) -> None:
    """Describe the dictionary in PLACE, or its item KEY. No item is read."""
    d = open_place(place)
    facts = _of_place(d) if key is None else _of_item(d, place, key)
    if as_json:
        line(dumped(facts, indent=1))
        return
    width = max(map(len, facts))
    lines(
        f"{name.replace('_', ' '):<{width}}  {harmless(_text(name, value))}" for name, value in facts.items()
    )


def _of_place(d: perkey.PersiDict[Any]) -> dict[str, Any]:
    found = perkey.usage(d, depth=0)
    return {
        "place": d.store.describe(),
        "class": type(d).__name__,
        "file_type": d.file_type,
        "digest_len": d.digest_len,
        "items": found.items,
        "bytes": found.bytes,
        "oldest": _written(found.oldest),
        "newest": _written(found.newest),
    }


def _written(item: Any) -> dict[str, str] | None:
    return item and {"key": text_of_key(item.key), "modified": time_of(item.time)}


def _of_item(d: perkey.PersiDict[Any], place: str, text: str) -> dict[str, Any]:
    key = key_from(text)
    name = name_of(d, key)
    try:
        found = d.store.stat(name)
    except KeyError:
        raise missing(place, key) from None
    return {
        "key": text_of_key(key),
        "place": d.store.describe(name),
        "bytes": found.size,
        "modified": time_of(found.mtime),
        "version": str(found.version),
    }


def _text(name: str, value: Any) -> str:
    if value is None:
        return "none"
    if name == "bytes":
        return f"{count_text(value)} ({size_text(value)})"
    if name == "items":
        return count_text(value)
    if name == "modified":
        return time_text(value)
    if isinstance(value, dict):
        return f"{value['key']} ({time_text(value['modified'])})"
    return str(value)
