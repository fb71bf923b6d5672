"""List keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from perkey import PersiDict
from perkey.cli.output import lines
from perkey.cli.places import open_place, place_argument, place_command, prefix_from, text_of_key
from perkey.cli.tables import BYTES, KEY, MODIFIED, Form, Row, forms, show, time_of
from perkey.keys import SafeStrTuple
from perkey.naming import naming
from perkey.stores import Stat


@place_command(
    "ls",
    ("ls results", "the keys of a folder; those that go on end in a slash"),
    ("ls -l s3://bucket/prefix run1", "what is below run1, with sizes and times"),
    ("ls -r results --jsonl", "all keys, an object of JSON in each line"),
)
@place_argument()
@click.argument("prefix", default="")
@click.option("-r", "--recursive", is_flag=True, help="List all keys below.")
@click.option("-l", "--long", is_flag=True, help="Show sizes and times of the last write.")
@click.option("-U", "--unsorted", is_flag=True, help="With -r: print keys as they come, in flat memory.")
@forms
def command(*, place: str, prefix: str, recursive: bool, long: bool, unsorted: bool, form: Form) -> None:
    """List the keys of PLACE that begin with PREFIX.

    A pipe gets one key in each line, with -l bytes, time and key between tabs.
    """
    d = open_place(place)
    below = prefix_from(prefix)
    found = _found(d, below, long=long or form == "csv")
    rows = _all(found, unsorted=unsorted) if recursive else _level(found, len(below))
    if below:
        rows = _at_least_one(rows, d, below, place)
    if long or form == "csv":
        show((BYTES, MODIFIED, KEY), rows, form)
    elif form is None:
        lines(row["key"] for row in rows)
    else:
        show((KEY,), rows, form)


def _found(
    d: PersiDict[Any], below: SafeStrTuple, *, long: bool
) -> Iterator[tuple[tuple[str, ...], Stat | None]]:
    """Yield each key below a prefix, with its size and time if these are shown."""
    names = naming(d.digest_len, d.file_type)
    prefix = names.prefix_of(below)
    named = d.store.scan_sizes(prefix) if long else ((name, None) for name in d.store.scan(prefix))
    for name, stat in named:
        key = names.key_of(name)
        if key is not None:
            yield tuple(key), stat


def _row(key: tuple[str, ...], stat: Stat | None, end: str = "") -> Row:
    shown = text_of_key(key) + end
    if stat is None:
        return {"key": shown}
    return {"key": shown, "bytes": stat.size, "modified": time_of(stat.mtime)}


def _all(found: Iterator[tuple[tuple[str, ...], Stat | None]], *, unsorted: bool) -> Iterator[Row]:
    ordered = found if unsorted else sorted(found, key=lambda each: each[0])
    return (_row(key, stat) for key, stat in ordered)


def _level(found: Iterator[tuple[tuple[str, ...], Stat | None]], depth: int) -> Iterator[Row]:
    """Yield the rows of one level: items, and beginnings of keys with the sum of what is below."""
    level: dict[tuple[tuple[str, ...], bool], Stat | None] = {}
    for key, stat in found:
        place = key[: depth + 1], len(key) > depth + 1
        before = level.get(place)
        if before is not None and stat is not None:
            stat = Stat("", max(before.mtime, stat.mtime), before.size + stat.size)  # noqa: PLW2901
        level[place] = stat
    return (
        _row(key, stat, "/" if longer else "") for (key, longer), stat in sorted(level.items(), key=_first)
    )


def _first(item: tuple[Any, Any]) -> Any:
    return item[0]


def _at_least_one(rows: Iterator[Row], d: PersiDict[Any], below: SafeStrTuple, place: str) -> Iterator[Row]:
    """Yield rows; without any, that of the item with the very key; raises if it does not exist."""
    empty = True
    for row in rows:
        empty = False
        yield row
    if empty:
        name = naming(d.digest_len, d.file_type).name_of(tuple(below))
        try:
            stat = d.store.stat(name)
        except KeyError:
            raise click.ClickException(f"{place}: no key begins with {text_of_key(below)!r}") from None
        yield _row(tuple(below), stat)
