"""Show how much a dictionary takes."""

from __future__ import annotations

from collections.abc import Iterator

import click

import perkey
from perkey.cli.places import open_place, place_argument, place_command, prefix_from, text_of_key
from perkey.cli.tables import BYTES, KEY, MODIFIED, Column, Form, Row, count_text, forms, show, time_of
from perkey.tools.usage import Usage


@place_command(
    "du",
    ("du results", "items and bytes below each first part of the keys, and in all"),
    ("du -L 2 results run1 --csv", "one level deeper, below run1, as CSV"),
)
@place_argument()
@click.argument("prefix", default="")
@click.option(
    "-L", "--depth", type=click.IntRange(0), default=1, show_default=True, help="How many parts make a group."
)
@forms
def command(*, place: str, prefix: str, depth: int, form: Form) -> None:
    """Show how much the items of PLACE take that begin with PREFIX, by groups. No item is read.

    The last row, whose key is empty or PREFIX, is the total.
    """
    columns = (Column("items", count_text, right=True), BYTES, MODIFIED, KEY)
    show(columns, _rows(perkey.usage(open_place(place), prefix_from(prefix), depth=depth), prefix), form)


def _rows(found: Usage, prefix: str) -> Iterator[Row]:
    below = tuple(filter(None, prefix.split("/")))
    for key, part in sorted(found.by_prefix.items()):
        if key != below:
            yield _row(text_of_key(key) + "/", part)
    yield _row(text_of_key(below), found)


def _row(key: str, part: Usage) -> Row:
    newest = part.newest and time_of(part.newest.time)
    return {"items": part.items, "bytes": part.bytes, "modified": newest, "key": key}
