"""Tables as files to save: CSV for spreadsheets, and JSON. They are made while they are sent.

Spreadsheets run cells that begin like a formula, and what is in a cell comes from values. As OWASP recommends
(CSV injection), each text is quoted, and a text with such a beginning gets an apostrophe in front. Numbers
are not texts: ``-1.5`` stays. JSON has all texts as they are.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Any, Final, Literal, TypeAlias

from starlette.responses import Response, StreamingResponse

from perkey.query import MISSING

FileType: TypeAlias = Literal["csv", "json"]

_TYPES: Final = {"csv": "text/csv; charset=utf-8", "json": "application/json"}
_RUN: Final = tuple("=+-@\t\r\n＝＋－＠")  # noqa: RUF001 - their wide forms are run, too
"""Beginnings of texts that a spreadsheet may take for a formula."""
_PIECE: Final = 500
"""Rows that are sent together."""


def saved(name: str, file_type: FileType, columns: Sequence[Any], rows: Iterable[Sequence[Any]]) -> Response:
    """Return the response with which a browser saves a table.

    Args:
        name: The name of the file without its type: letters, digits and what is safe in a file name.
        file_type: The type of the file.
        columns: The headings.
        rows: The cells; `MISSING` for one that does not exist: an empty text in CSV, left out of JSON.
    """
    pieces = csv_pieces(columns, rows) if file_type == "csv" else json_pieces(_records(columns, rows))
    return StreamingResponse(
        pieces,
        media_type=_TYPES[file_type],
        headers={"Content-Disposition": f'attachment; filename="{name}.{file_type}"'},
    )


def moment(seconds: float) -> str:
    """Return a time in seconds since the epoch in the form of ISO 8601, in UTC; else the seconds as text."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):  # a file may have any time
        return f"{seconds:g}"


def csv_pieces(columns: Sequence[Any], rows: Iterable[Sequence[Any]]) -> Iterator[bytes]:
    """Yield a table as CSV: UTF-8, commas, lines that end in CR and LF (RFC 4180)."""
    for piece in _batches(chain([columns], rows)):
        text = io.StringIO(newline="")
        writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC)
        writer.writerows(list(map(_cell, row)) for row in piece)
        yield _encoded(text.getvalue())


def json_pieces(records: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """Yield records as a list in JSON, a line each. Numbers that JSON does not have are null."""
    before = "["
    for piece in _batches(records):
        lines = (json.dumps(_plain(record), ensure_ascii=False, default=str) for record in piece)
        yield _encoded(before + "\n" + ",\n".join(lines))
        before = ","
    yield _encoded(f"{before if before == '[' else ''}\n]\n")


def _records(columns: Sequence[Any], rows: Iterable[Sequence[Any]]) -> Iterator[dict[str, Any]]:
    for row in rows:
        yield {str(name): cell for name, cell in zip(columns, row, strict=False) if cell is not MISSING}


def _batches(rows: Iterable[Any]) -> Iterator[list[Any]]:
    each = iter(rows)
    while piece := list(islice(each, _PIECE)):
        yield piece


def _cell(value: Any) -> str | int | float:
    """Return what the CSV writer writes of a cell: a number, or a text that no program runs."""
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        value = value.item()  # a number of numpy
    if value is None or value is MISSING:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if type(value) in {int, float}:
        return _number(value)
    text = value if isinstance(value, str) else _text(value)
    return f"'{text}" if text.startswith(_RUN) else text


def _number(value: float) -> str | int | float:
    try:
        str(value)
    except ValueError:  # more digits than Python writes
        return hex(int(value))
    return value


def _text(value: Any) -> str:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 - a class of the user's, after --unpickle
        return f"{type(value).__name__}, whose str() raised {type(error).__name__}"


def _plain(value: Any) -> Any:
    """Return a value whose numbers are all in JSON."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")  # of half a character, which UTF-8 does not have
