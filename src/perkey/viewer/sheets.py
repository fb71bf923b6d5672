"""Tables in values: which values are tables, with the cells as they are.

Pages show the first rows and columns as text, and all rows can be saved as CSV (`perkey.viewer.exports`).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

from perkey.viewer import pickles

_NUMPY_PAGES: Final = 2
"""How many dimensions of an array are a table: rows and columns."""


class Sheet(NamedTuple):
    """A table.

    Attributes:
        columns: The headings; an empty text for the labels of rows.
        rows: The cells of each row; None for a cell that is missing.
        height: How many rows there are.
        width: How many columns there are, without labels of rows.
    """

    columns: Sequence[Any]
    rows: Iterable[Sequence[Any]]
    height: int
    width: int


def of_value(value: Any, most: int | None = None) -> Sheet | None:
    """Return the table that a value is; None if it is something else.

    Args:
        value: A list of records, a list of rows, a dict of columns, a frame or an array.
        most: Of a list, only so many items are looked at and are in the table. None means all.
    """
    home = type(value).__module__.partition(".")[0]
    if home == "numpy" and hasattr(value, "dtype") and hasattr(value, "ndim"):
        return _of_array(value)
    if home in {"pandas", "polars"}:
        return _of_frame(value)
    if isinstance(value, Mapping):
        return of_columns(value)
    return _of_list(value, most) if isinstance(value, list | tuple) and value else None


def of_pickle(value: Any) -> Sheet | None:
    """Return the table of a frame in a pickle that was read as data; None for all else."""
    found = pickles.frame(value)
    if found is None:
        return None
    labels, columns = found
    # A frame without rows is a table without rows.
    return of_columns({"": labels, **columns}) or Sheet([], [], 0, 0)


def of_columns(columns: Mapping[Any, Any]) -> Sheet | None:
    """Return the table of a dict whose values are lists of one length, or dicts by row, as of pandas."""
    each = [list(column.values()) if isinstance(column, dict) else column for column in columns.values()]
    lists = [column for column in each if isinstance(column, list)]
    if not lists or len(lists) < len(each) or len({len(column) for column in lists}) != 1 or not lists[0]:
        return None
    if any(map(_is_nested, lists)):
        return None
    return Sheet(list(columns), zip(*lists, strict=True), len(lists[0]), len(lists))


def of_text(text: str, delimiter: str) -> Sheet | None:
    """Return the table of a text with a delimiter between cells, whose first line has the headings."""
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error:
        return None
    if len(rows) < 2 or len(rows[0]) < 2:  # noqa: PLR2004 - headings and a row
        return None
    return Sheet(rows[0], rows[1:], len(rows) - 1, len(rows[0]))


def _of_list(value: Sequence[Any], most: int | None) -> Sheet | None:
    some = value[:most]
    if all(isinstance(each, dict) for each in some):
        names = list(dict.fromkeys(name for record in some for name in record))
        rows = ([record.get(name) for name in names] for record in some)
        return Sheet(names, rows, len(value), len(names)) if names else None
    if all(isinstance(each, list | tuple) and each and not _is_nested(each) for each in some):
        width = max(map(len, some))
        return Sheet([str(number) for number in range(width)], some, len(value), width)
    return None


def _is_nested(row: Sequence[Any]) -> bool:
    return any(isinstance(each, list | tuple | dict) for each in row)


def _of_array(array: Any) -> Sheet | None:
    if not 0 < array.ndim <= _NUMPY_PAGES:
        return None
    wide = array.reshape(len(array), -1) if array.size else array.reshape(0, 0)
    names = [str(number) for number in range(wide.shape[1])]
    return Sheet(names, wide, *wide.shape)


def _of_frame(frame: Any) -> Sheet | None:
    """Return the table of a frame or series of pandas or polars; None for other objects of them."""
    if hasattr(frame, "to_frame") and not hasattr(frame, "columns"):
        frame = frame.to_frame()
    if not hasattr(frame, "columns") or not hasattr(frame, "head"):
        return None
    height, width = frame.shape
    if not hasattr(frame, "iloc"):
        return Sheet(list(frame.columns), frame.iter_rows(), height, width)
    # By columns: a row of pandas is a new object whose numbers have one type.
    columns = (frame.iloc[:, number] for number in range(width))
    rows = zip(frame.index, *columns, strict=True)
    return Sheet(["", *frame.columns], rows, height, width)


def shortened(sheet: Sheet, rows: int, columns: int) -> Sheet:
    """Return the beginning of a table; its height and width stay those of the whole."""
    columns += not all(name != "" for name in sheet.columns[:1])  # labels of rows are not counted
    head = [_cut(row, columns) for row in islice(sheet.rows, rows)]
    return Sheet(sheet.columns[:columns], head, sheet.height, sheet.width)


def _cut(row: Any, columns: int) -> Sequence[Any]:
    beginning: Any = row[:columns]
    found: Sequence[Any] = beginning.tolist() if hasattr(beginning, "tolist") else beginning
    return found
