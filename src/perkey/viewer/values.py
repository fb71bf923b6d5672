"""What a page shows of a value: trees, tables, images, plots and text, all of them bounded.

Stored bytes become parts without running code that they name: JSON by `json.loads`, with jsonpickle's tags as
text, pickles as data (`perkey.viewer.pickles`). Only `unpickle` loads them, which runs code that their
writers chose.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from perkey.formats import find_format, format_of
from perkey.showing import size_text
from perkey.viewer import images, pickles
from perkey.viewer.charts import Axis, Series, line
from perkey.viewer.text import shortened

Kind: TypeAlias = Literal["note", "tree", "table", "image", "plot", "text"]

MOST_BYTES: Final = 8 << 20
"""Of a stored value that is read; of a larger one, its first bytes are shown as text. See `most_bytes`."""
_HEAD: Final = 64 << 10
_MOST_NODES: Final = 3000
_MOST_CHILDREN: Final = 200
_DEEPEST: Final = 24
_LONGEST: Final = 2000
_ROWS: Final = 200
_COLUMNS: Final = 40
_CELL: Final = 200
_FEW: Final = 8
"""Columns of an array up to which each is a line of a plot."""
_POINTS: Final = 100_000
_HEX: Final = 512


class Part(NamedTuple):
    """One way to show a value.

    Attributes:
        kind: Which way.
        title: Its heading.
        data: What the template shows: text, a `Node`, a `Table`, an `images.Image`, or markup of a chart.
    """

    kind: Kind
    title: str
    data: Any


class Node(NamedTuple):
    """A part of a tree.

    Attributes:
        label: The key or index that leads to it.
        text: The value, or the kind and length of a container.
        children: What it contains, as far as it is shown.
        left_out: How many more it contains.
        kind: ``"text"``, ``"number"``, ``"word"`` (true, false and null), or an empty text.
    """

    label: str
    text: str
    children: list[Node]
    left_out: int = 0
    kind: str = ""


class Table(NamedTuple):
    """A table, as far as it is shown.

    Attributes:
        columns: The headings.
        rows: The cells, as text.
        height: How many rows there are in all.
        width: How many columns there are in all.
    """

    columns: list[str]
    rows: list[list[str]]
    height: int
    width: int


_EMPTY: Final = Table([], [], 0, 0)


def most_bytes(file_type: str) -> int:
    """Return how many bytes of a value of a type are read: arrays in pickles take more than text."""
    return pickles.MOST_BYTES if file_type == "pkl" else MOST_BYTES


def parts_of_bytes(raw: bytes, size: int, file_type: str, *, unpickle: bool) -> list[Part]:
    """Return what is shown of a stored value.

    Args:
        raw: Its bytes; only the first `most_bytes` of a longer one.
        size: How many there are.
        file_type: The file type.
        unpickle: Whether a pickle is loaded.
    """
    image = images.from_bytes(raw) if len(raw) == size else None
    if image is not None:
        return [Part("image", "Image", image)]
    if len(raw) < size:
        note = f"The value has {size_text(size)}. A page shows its first {size_text(_HEAD)}."
        return [Part("note", "", note), _head(raw)]
    if file_type == "json":
        return _parts_of_json(raw)
    if file_type == "pkl":
        return _parts_of_pickle(raw, unpickle=unpickle)
    if find_format(file_type) is None:
        return _parts_of_text(raw, file_type)
    if unpickle:
        return _loaded_parts(raw, file_type)
    note = f"Files of the type {file_type} are decoded by the format of this program only with --unpickle."
    return [Part("note", "", note), *_parts_of_text(raw, file_type)]


class UnknownValueError(Exception):
    """A value was not decoded."""


def value_of_bytes(raw: bytes, size: int, file_type: str, *, unpickle: bool) -> Any:
    """Return a stored value for functions of the user's: without `unpickle`, plain data only.

    Args:
        raw: Its bytes, as for `parts_of_bytes`.
        size: How many there are.
        file_type: The file type.
        unpickle: Whether the format decodes it, as ``d[key]`` does.

    Raises:
        UnknownValueError: The value is too large, damaged, or has to be loaded.
    """
    if len(raw) < size:
        raise UnknownValueError(f"The value has {size_text(size)}; {size_text(len(raw))} are read")
    if unpickle:
        return _loaded(raw, file_type)
    try:
        if file_type == "json":
            return json.loads(raw.decode())
        if file_type == "pkl":
            value = pickles.simplified(pickles.read(raw))
            if not _has_made(value):
                return value
    except (ValueError, RecursionError, pickles.UnreadableError) as error:
        raise UnknownValueError(f"The value cannot be decoded: {error}") from error
    if find_format(file_type) is not None:
        raise UnknownValueError("The value has to be loaded, which --unpickle allows")
    return raw if _is_binary(raw) else raw.decode()


def _loaded(raw: bytes, file_type: str) -> Any:
    try:
        return format_of(file_type).decode(raw)
    except Exception as error:  # of a format or a class of the user's, too
        raise UnknownValueError(f"The value cannot be decoded: {type(error).__name__}: {error}") from error


def _loaded_parts(raw: bytes, file_type: str) -> list[Part]:
    try:
        return parts_of(_loaded(raw, file_type))
    except UnknownValueError as error:
        return [Part("note", "", str(error)), _head(raw)]


def _parts_of_json(raw: bytes) -> list[Part]:
    try:
        value = json.loads(raw.decode())
    except (ValueError, RecursionError) as error:
        return [Part("note", "", f"This is not JSON: {error}"), _head(raw)]
    return [*_untagged(value), *parts_of(value)]


def _untagged(value: Any) -> list[Part]:
    """Return parts for the arrays and frames that jsonpickle's tags stand for; nothing is built of tags."""
    if not isinstance(value, dict):
        return []
    tag, data = value.get("py/object"), value.get("values")
    if tag == "numpy.ndarray" and isinstance(data, list):
        return [part for part in parts_of(data) if part.kind != "tree"]
    if tag in {"pandas.DataFrame", "pandas.core.frame.DataFrame"} and isinstance(data, str):
        try:
            columns = json.loads(data)
        except (ValueError, RecursionError):
            return []
        table = _columns(columns) if isinstance(columns, dict) else None
        return [Part("table", "Table", table)] if table else []
    return []


def _parts_of_pickle(raw: bytes, *, unpickle: bool) -> list[Part]:
    if unpickle:
        return _loaded_parts(raw, "pkl")
    try:
        value = pickles.simplified(pickles.read(raw))
    except pickles.UnreadableError as error:
        note = f"The pickle cannot be shown without loading it: {error}. `perkey view --unpickle` loads it."
        return [Part("note", "", note), _head(raw)]
    parts = parts_of(value)
    found = pickles.frame(value)
    if found is not None:
        labels, columns = found
        parts.insert(0, Part("table", "Table", _columns({"": labels, **columns}) or _EMPTY))
    elif _has_made(value):
        note = (
            "The pickle was not loaded: objects are shown as their classes and what they consist of. "
            "`perkey view --unpickle` loads it, which runs code that its writer chose."
        )
        parts.insert(0, Part("note", "", note))
    return parts


def _has_made(value: Any) -> bool:
    """Return whether classes are left as names, near the top."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return any(isinstance(each, pickles.Made | pickles.Name) for each in value[:_MOST_CHILDREN])
    return isinstance(value, pickles.Made | pickles.Name)


def _parts_of_text(raw: bytes, file_type: str) -> list[Part]:
    if _is_binary(raw):
        return [_head(raw)]
    text = raw.decode()
    parts: list[Part] = []
    if file_type in {"csv", "tsv"}:
        table = _csv(text, "," if file_type == "csv" else "\t")
        parts += [Part("table", "Table", table)] if table else []
    return [*parts, _text(text)]


def _head(raw: bytes) -> Part:
    """Return the beginning of bytes: as text if they are, else in hexadecimal."""
    head = raw[: _HEAD + 4]
    cut = head[:-4].decode("utf-8", "ignore").encode() if len(raw) > len(head) else head
    if not _is_binary(cut) and len(cut) > len(head) - 8:  # else more than a character at the end was ignored
        return _text(cut.decode())
    return Part("text", f"The first {_HEX} bytes" if len(raw) > _HEX else "Bytes", _dump(raw[:_HEX]))


def _is_binary(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return True
    return b"\0" in raw


def _text(text: str) -> Part:
    if len(text) <= _HEAD:
        return Part("text", "Text", text)
    return Part("text", f"Text, its first {_HEAD:,} characters", text[:_HEAD])


def _dump(raw: bytes) -> str:
    lines = []
    for at in range(0, len(raw), 16):
        piece = raw[at : at + 16]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in piece)  # noqa: PLR2004 - ASCII
        lines.append(f"{at:08x}  {piece.hex(' '):<47}  {shown}")
    return "\n".join(lines)


# --- Values -------------------------------------------------------------------------------------------------


def parts_of(value: Any) -> list[Part]:
    """Return what is shown of a value: the most telling way first."""
    if isinstance(value, bytes | bytearray | memoryview):
        raw = bytes(value[: MOST_BYTES + 1])
        image = images.from_bytes(raw)
        return [Part("image", "Image", image)] if image else [_head(raw)]
    if isinstance(value, str):
        return [_text(value)]
    home = type(value).__module__.partition(".")[0]
    if home == "numpy" and hasattr(value, "dtype") and hasattr(value, "ndim"):
        return _parts_of_array(value)
    if home in {"pandas", "polars"}:
        table = _frame(value)
        if table is not None:
            return [Part("table", "Table", table)]
    return [*_plot_of_numbers(value), *_table_of(value), Part("tree", "Value", tree(value))]


def _parts_of_array(array: Any) -> list[Part]:
    if array.ndim == 0:
        return [Part("text", f"{array.dtype}", _leaf(array.item() if hasattr(array, "item") else array))]
    shape = " x ".join(str(n) for n in array.shape)
    parts = [Part("note", "", f"An array of {shape} {array.dtype}{_range(array)}.")]
    if images.looks_like_one(array):
        parts.append(Part("image", "Image", images.from_array(array)))
    elif array.dtype.kind in "buif" and array.size and (array.ndim == 1 or array.shape[-1] <= _FEW):
        parts += _lines(array)
    if array.ndim <= 2:  # noqa: PLR2004 - rows and columns
        wide = array.reshape(len(array), -1) if array.size else array.reshape(0, 0)
        rows = [[_number(each) for each in row[:_COLUMNS].tolist()] for row in wide[:_ROWS]]
        names = [str(n) for n in range(min(wide.shape[1], _COLUMNS))]
        parts.append(Part("table", "Numbers", Table(names, rows, *wide.shape)))
    return parts


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else _cell(value)


def _range(array: Any) -> str:
    if array.dtype.kind not in "iuf" or not array.size:
        return ""
    import numpy as np  # noqa: PLC0415 - there is an array

    with np.errstate(all="ignore"):
        return f", from {array.min():g} to {array.max():g}, mean {array.mean():g}"


def _lines(array: Any) -> list[Part]:
    if array.ndim > 2:  # noqa: PLR2004 - rows and columns
        return []
    step = max(1, len(array) // _POINTS)
    some = array[::step].reshape(-(-len(array) // step), -1)
    if len(some) < 2:  # noqa: PLR2004 - a line has two ends
        return []
    places = list(range(0, len(array), step))
    names = [""] if some.shape[1] == 1 else [f"column {n}" for n in range(some.shape[1])]
    series = [Series(places, some[:, n].tolist(), name) for n, name in enumerate(names)]
    return [Part("plot", "Plot", line(series, title="Values by index", x=Axis("index"), y=Axis("value")))]


def _plot_of_numbers(value: Any) -> list[Part]:
    if not isinstance(value, list | tuple) or not 2 < len(value) <= _POINTS:  # noqa: PLR2004 - a line
        return []
    if not all((type(each) in {int, float} and abs(each) < 1e300) or each != each for each in value):  # noqa: PLR0124, PLR2004 - NaN
        return []
    series = Series(range(len(value)), value)
    return [Part("plot", "Plot", line([series], title="Values by index", x=Axis("index"), y=Axis("value")))]


def _table_of(value: Any) -> list[Part]:
    """Return the table that a list of records, a list of rows, or a dict of columns is."""
    table = None
    if isinstance(value, list | tuple) and value:
        first = value[: _ROWS + 1]
        if all(isinstance(each, dict) for each in first):
            table = _records(first, len(value))
        elif all(isinstance(each, list | tuple) and each and not _nested(each) for each in first):
            width = max(map(len, first))
            names = [str(n) for n in range(min(width, _COLUMNS))]
            rows = [[_cell(cell) for cell in row[:_COLUMNS]] for row in first[:_ROWS]]
            table = Table(names, rows, len(value), width)
    elif isinstance(value, dict):
        table = _columns(value)
    return [Part("table", "Table", table)] if table else []


def _nested(row: Sequence[Any]) -> bool:
    return any(isinstance(each, list | tuple | dict) for each in row[:_COLUMNS])


def _records(records: Sequence[Mapping[Any, Any]], count: int) -> Table | None:
    names = list(dict.fromkeys(name for record in records for name in islice(record, _COLUMNS + 1)))
    if not names:
        return None
    shown = names[:_COLUMNS]
    rows = [[_cell(record[name]) if name in record else "" for name in shown] for record in records[:_ROWS]]
    return Table([_name(name) for name in shown], rows, count, len(names))


def _columns(columns: Mapping[Any, Any]) -> Table | None:
    """Return the table of a dict whose values are lists of one length, or dicts by row, as of pandas."""
    each = [list(column.values()) if isinstance(column, dict) else column for column in columns.values()]
    lists = [column for column in each if isinstance(column, list)]
    if not lists or len(lists) < len(each) or len({len(column) for column in lists}) != 1 or not lists[0]:
        return None
    if any(_nested(column) for column in lists):
        return None
    shown = lists[:_COLUMNS]
    rows = [[_cell(column[n]) for column in shown] for n in range(min(_ROWS, len(lists[0])))]
    return Table([_name(name) for name in islice(columns, _COLUMNS)], rows, len(lists[0]), len(lists))


def _frame(frame: Any) -> Table | None:
    """Return the table of a frame or series of pandas or polars; None for other objects of them."""
    if hasattr(frame, "to_frame") and not hasattr(frame, "columns"):
        frame = frame.to_frame()
    if not hasattr(frame, "columns") or not hasattr(frame, "head"):
        return None
    height, width = frame.shape
    head = frame.head(_ROWS)
    if hasattr(head, "iloc"):
        head = head.iloc[:, :_COLUMNS]
        rows = [
            [_cell(label), *map(_cell, row)]
            for label, row in zip(head.index, head.to_numpy(object), strict=True)
        ]
        return Table(["", *map(_name, head.columns)], rows, height, width)
    head = head[:, :_COLUMNS]
    return Table(
        [_name(name) for name in head.columns], [[*map(_cell, row)] for row in head.rows()], height, width
    )


def _csv(text: str, delimiter: str) -> Table | None:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        rows = list(islice(reader, _ROWS + 1))
        count = len(rows) + sum(1 for _ in reader)
    except csv.Error:
        return None
    if len(rows) < 2 or len(rows[0]) < 2:  # noqa: PLR2004 - headings and a row
        return None
    cells = [[shortened(cell, _CELL) for cell in row[:_COLUMNS]] for row in rows]
    return Table(cells[0], cells[1:], count - 1, len(rows[0]))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return shortened(value if isinstance(value, str) else _leaf(value), _CELL)


# --- Trees --------------------------------------------------------------------------------------------------


def tree(value: Any) -> Node:
    """Return a value as a tree of bounded size and depth; a part that contains itself ends at the depth."""
    return _Tree().node("", value, 0)


class _Tree:
    def __init__(self) -> None:
        self._left = _MOST_NODES

    def node(self, label: str, value: Any, depth: int) -> Node:
        self._left -= 1
        kind, count, items = _container(value)
        if items is None:
            return Node(label, _leaf(value), [], kind=_kind(value))
        if depth == _DEEPEST:
            return Node(label, kind, [], count)
        children = []
        for name, child in islice(items, _MOST_CHILDREN):
            if self._left <= 0:
                break
            children.append(self.node(shortened(name, _CELL), child, depth + 1))
        return Node(label, kind, children, count - len(children))


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "text"
    if value is None or isinstance(value, bool):
        return "word"
    return "number" if isinstance(value, int | float) else ""


def _container(value: Any) -> tuple[str, int, Iterable[tuple[str, Any]] | None]:
    """Return kind, length and content of a container; None instead of the content for all else."""
    if isinstance(value, pickles.Made):
        found = [(f"argument {n}", each) for n, each in enumerate(value.args)]
        found += [] if value.state is None else [("state", value.state)]
        found += [(str(n), each) for n, each in enumerate(value.items)]
        return shortened(value.name, _CELL), len(found), found
    if isinstance(value, pickles.Pairs):
        return _counted("dict", len(value)), len(value), ((_leaf(key), each) for key, each in value)
    if isinstance(value, Mapping):
        return (
            _counted(type(value).__name__, len(value)),
            len(value),
            ((_name(k), v) for k, v in value.items()),
        )
    if isinstance(value, list | tuple | set | frozenset):
        pairs = ((str(number), each) for number, each in enumerate(value))
        return _counted(type(value).__name__, len(value)), len(value), pairs
    return "", 0, None


def _counted(kind: str, count: int) -> str:
    return f"{kind} of {count:,}"


def _name(key: Any) -> str:
    return key if isinstance(key, str) else _leaf(key)


def _leaf(value: Any) -> str:
    """Return a short text for a value that is not a container."""
    if isinstance(value, str):
        return json.dumps(shortened(value, _LONGEST), ensure_ascii=False)
    if isinstance(value, pickles.Name):
        return shortened(value.name, _CELL)
    if isinstance(value, bytes | bytearray):
        return f"{bytes(value[:64])!r}{'…' if len(value) > 64 else ''} ({size_text(len(value))})"  # noqa: PLR2004
    if isinstance(value, pickles.Made | list | tuple | dict):
        return _container(value)[0]
    if isinstance(value, dt.date | dt.time | dt.timedelta):
        return str(value)
    if type(value) is int and value.bit_length() > 10_000:  # noqa: PLR2004 - its digits would take long
        return f"an integer of {value.bit_length():,} bits"
    if type(value).__module__.partition(".")[0] in {"numpy", "pandas", "polars"} and hasattr(value, "shape"):
        return f"{type(value).__name__} of {' x '.join(map(str, value.shape)) or '1'}: {_repr(value)}"
    return _repr(value)


def _repr(value: Any) -> str:
    try:
        return shortened(repr(value), _LONGEST)
    except Exception as error:  # noqa: BLE001 - a class of the user's, after --unpickle
        return f"{type(value).__name__}, whose repr() raised {type(error).__name__}"
