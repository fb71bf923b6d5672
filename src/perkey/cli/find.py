"""Find items by their values."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import click

from perkey.cli.options import Several
from perkey.cli.output import dumped, failures, line, lines, progress
from perkey.cli.places import (
    keys_below,
    open_place,
    place_argument,
    place_command,
    text_of_key,
    unpickle_option,
)
from perkey.cli.tables import KEY, Column, Form, Row, forms, show
from perkey.cli.values import read_each
from perkey.keys import SafeStrTuple
from perkey.query import MISSING, joined, leaves, parse, parse_filter, split, value_at


@place_command(
    "find",
    ("find results loss.\\$lt 0.5 kind dry", "the keys of the values that match"),
    ('find results \'{"tags": {"$in": ["x"]}}\' --jsonl', "a filter in JSON; keys and values"),
    ("find results --key 'run1/*' --columns loss kind --csv", "chosen columns, by a pattern of keys"),
)
@place_argument()
@click.argument("filter", nargs=-1, metavar="[FILTER]...")
@click.option("--key", "pattern", metavar="PATTERN", help="Only keys that match, with * ? and [...].")
@click.option("--columns", cls=Several, help="Show these paths of the values as columns.")
@unpickle_option
@forms
def command(
    *,
    place: str,
    filter: tuple[str, ...],
    pattern: str | None,
    columns: list[str] | None,
    unpickle: bool,
    form: Form,
) -> None:
    """Print the keys of the values in PLACE that match FILTER: JSON, or paths and values in turn.

    --json and --jsonl print keys and values, --csv prints a column for each path. Values are plain JSON and
    text; a value that cannot be read is reported, and the exit code is 1.
    """
    accept = parse(parse_filter(filter)).matches
    d = open_place(place)
    names_only = not filter and form is None and not columns
    keys = sorted(keys_below(d, SafeStrTuple(())))
    if pattern is not None:
        keys = [key for key in keys if fnmatchcase(text_of_key(key), pattern)]
    if names_only:
        lines(map(text_of_key, keys))
        return
    with failures() as failed, progress("reading", len(keys)) as advance:

        def found() -> Iterator[tuple[str, Any]]:
            for key, value, error in read_each(d, keys, unpickle=unpickle):
                advance()
                if error is None:
                    if accept(value):
                        yield text_of_key(key), value
                elif not isinstance(error, KeyError):  # removed since it was listed
                    failed(text_of_key(key), error)

        _print(found(), columns, form)


def _print(found: Iterator[tuple[str, Any]], columns: list[str] | None, form: Form) -> None:
    if columns:
        show((KEY, *map(Column, columns)), (_picked(key, value, columns) for key, value in found), form)
    elif form == "json":
        line(dumped(dict(found), indent=1))
    elif form == "jsonl":
        lines(dumped({"key": key, "value": value}) for key, value in found)
    elif form == "csv":
        rows = [{"key": key, **_flat(value)} for key, value in found]
        names = dict.fromkeys(name for row in rows for name in row)
        names.pop("key", None)
        show((KEY, *map(Column, names)), rows, form)
    else:
        lines(key for key, _ in found)


def _picked(key: str, value: Any, columns: list[str]) -> Row:
    found = {path: value_at(value, split(path)) for path in columns}
    return {**{path: None if each is MISSING else each for path, each in found.items()}, "key": key}


def _flat(value: Any) -> dict[str, Any]:
    """Return the leaves of a mapping by their paths; another value is in the column `value`."""
    if not isinstance(value, dict):
        return {"value": value}
    return {joined(path): leaf for path, leaf in leaves(value)}
