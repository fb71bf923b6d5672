"""Rows for people and for programs: a table on a terminal, plain lines in a pipe, JSON and CSV."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Any, Final, Literal, TypeAlias, TypeVar

import click

from perkey.cli.output import dumped, harmless, line, lines
from perkey.showing import size_text

F = TypeVar("F", bound=Callable[..., Any])

Form: TypeAlias = Literal["json", "jsonl", "csv"] | None
Row: TypeAlias = Mapping[str, Any]

_LONGEST: Final = 2000
"""A table of more rows takes long to lay out; more are printed as plain lines."""


_NARROWEST: Final = 20
"""A terminal of fewer columns has no place for a table. Some terminals report zero columns."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: Its name in JSON and CSV, and its heading.
        show: How people read a value of it.
        right: Whether it is aligned right.
    """

    name: str
    show: Callable[[Any], str] = str
    right: bool = False


def forms(function: F) -> F:
    """Add the options `--json`, `--jsonl` and `--csv`."""
    for form, text in (
        ("csv", "Print CSV with a line of names."),
        ("jsonl", "Print JSON, one object in each line."),
        ("json", "Print one JSON value."),
    ):
        function = click.option(f"--{form}", "form", flag_value=form, default=None, help=text)(function)
    return function


def show(columns: Iterable[Column], rows: Iterable[Row], form: Form) -> None:
    """Print rows.

    Args:
        columns: What is printed of each row, in order.
        rows: They may be produced while they are printed, but for a table and for one JSON value.
        form: What the options ask for.
    """
    columns = list(columns)
    picked = ({column.name: row.get(column.name) for column in columns} for row in rows)
    if form == "json":
        line(dumped(list(picked), indent=1))
    elif form == "jsonl":
        lines(map(dumped, picked))
    elif form == "csv":
        _csv([column.name for column in columns], picked)
    elif not sys.stdout.isatty():
        lines("\t".join(_plain(row[column.name]) for column in columns) for row in picked)
    else:
        _table(columns, iter(picked))


def _csv(names: list[str], rows: Iterable[Row]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow([_cell(row[name]) for name in names])
    sys.stdout.flush()


def _cell(value: Any) -> Any:
    """Return a value for CSV: text and numbers as they are, all else as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str | int | float) and not isinstance(value, bool) else dumped(value)


def _plain(value: Any) -> str:
    """Return a value for a column of plain lines, which has neither tabs nor ends of lines."""
    text = str(_cell(value))
    return text if text.isprintable() else json.dumps(text)[1:-1]


def _table(columns: list[Column], rows: Iterable[Row]) -> None:
    from rich.console import Console  # noqa: PLC0415 - slow to import
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415 - what a place has is text, and never markup

    rows = iter(rows)
    first = list(islice(rows, _LONGEST + 1))
    console = Console()
    if len(first) > _LONGEST or console.width < _NARROWEST:
        every = chain(first, rows)
        lines("  ".join(harmless(_shown(column, row)) for column in columns) for row in every)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        justify: Literal["left", "right"] = "right" if column.right else "left"
        table.add_column(column.name, justify=justify, overflow="fold")
    for row in first:
        table.add_row(*(Text(harmless(_shown(column, row))) for column in columns))
    if first:
        console.print(table)


def _shown(column: Column, row: Row) -> str:
    value = row[column.name]
    return "" if value is None else column.show(value)


def count_text(number: int) -> str:
    """Return a number for people."""
    return f"{number:,}"


def time_of(seconds: float) -> str:
    """Return a time in seconds since the epoch as text: ISO 8601, UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def time_text(text: str) -> str:
    """Return what `time_of` returned, for people: local time, in whole seconds."""
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")


KEY: Final = Column("key")
BYTES: Final = Column("bytes", size_text, right=True)
MODIFIED: Final = Column("modified", time_text)
