"""What a page shows of a value: trees, tables, images, plots and text, all of them bounded.

Stored bytes become parts without running code that they name: JSON by `json.loads`, with jsonpickle's tags as
text, pickles as data (`perkey.viewer.pickles`). Only `unpickle` loads them, which runs code that their
writers chose.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from perkey.formats import find_format, format_of
from perkey.showing import size_text
from perkey.viewer import images, pickles, sheets, tagged
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
_DELIMITERS: Final = {"csv": ",", "tsv": "\t"}


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


def sheet_of_bytes(raw: bytes, size: int, file_type: str, *, unpickle: bool) -> sheets.Sheet | None:
    """Return the whole table that a stored value is; None if it is something else.

    The arguments are those of `parts_of_bytes`, which shows the beginning of the same table.
    """
    if len(raw) < size or images.from_bytes(raw) is not None:
        return None
    if file_type in _DELIMITERS and not (unpickle and find_format(file_type)):
        return None if _is_binary(raw) else sheets.of_text(raw.decode(), _DELIMITERS[file_type])
    try:
        if file_type == "pkl" and not unpickle:
            value = pickles.simplified(pickles.read(raw))
            return sheets.of_pickle(value) or sheets.of_value(value)
        value = value_of_bytes(raw, size, file_type, unpickle=unpickle and file_type != "json")
    except (UnknownValueError, pickles.UnreadableError):
        return None
    meant = tagged.read(value) if file_type == "json" else None
    return sheets.of_value(value if meant is None else meant)


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
    meant = tagged.read(value)
    found = [] if meant is None else [part for part in parts_of(meant) if part.kind != "tree"]
    return [*found, *parts_of(value)]


def _parts_of_pickle(raw: bytes, *, unpickle: bool) -> list[Part]:
    if unpickle:
        return _loaded_parts(raw, "pkl")
    try:
        value = pickles.simplified(pickles.read(raw))
    except pickles.UnreadableError as error:
        note = f"The pickle cannot be shown without loading it: {error}. `perkey view --unpickle` loads it."
        return [Part("note", "", note), _head(raw)]
    parts = parts_of(value)
    sheet = sheets.of_pickle(value)
    if sheet is not None:
        parts[:0] = _tables(sheet)
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
    if file_type in _DELIMITERS:
        parts += _tables(sheets.of_text(text, _DELIMITERS[file_type]))
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
        tables = _tables(sheets.of_value(value))
        if tables:
            return tables
    return [
        *_plot_of_numbers(value),
        *_tables(sheets.of_value(value, _ROWS + 1)),
        Part("tree", "Value", tree(value)),
    ]


def _parts_of_array(array: Any) -> list[Part]:
    if array.ndim == 0:
        return [Part("text", f"{array.dtype}", _leaf(array.item() if hasattr(array, "item") else array))]
    shape = " x ".join(str(n) for n in array.shape)
    parts = [Part("note", "", f"An array of {shape} {array.dtype}{_range(array)}.")]
    if images.looks_like_one(array):
        parts.append(Part("image", "Image", images.from_array(array)))
    elif array.dtype.kind in "buif" and array.size and (array.ndim == 1 or array.shape[-1] <= _FEW):
        parts += _lines(array)
    sheet = sheets.of_value(array)
    if sheet is not None:
        head = sheets.shortened(sheet, _ROWS, _COLUMNS)
        rows = [[_number(cell) for cell in row] for row in head.rows]
        parts.append(Part("table", "Numbers", Table(list(head.columns), rows, head.height, head.width)))
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


def _tables(sheet: sheets.Sheet | None) -> list[Part]:
    """Return the part that shows the beginning of a table, if there is a table."""
    if sheet is None:
        return []
    head = sheets.shortened(sheet, _ROWS, _COLUMNS)
    rows = [[_cell(cell) for cell in row] for row in head.rows]
    table = Table([_name(name) for name in head.columns], rows, head.height, head.width)
    return [Part("table", "Table", table)]


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
