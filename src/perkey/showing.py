"""Objects as small HTML tables for notebooks, and sizes, times and values as short text.

The HTML has no script, link, style sheet or colour: the theme of the notebook decides, and nothing outside
of the table changes. All text is escaped, and what is not printable is shown as an escape sequence. So a key
with markup, a formula or a control character is harmless.

Objects pass functions that look at their place: each makes at most one page of a listing. They never raise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from itertools import islice
from typing import Any, Final

from perkey.answers import answer
from perkey.errors import counted

ROWS: Final = 20
"""How many rows of a table are shown."""

_LONGEST: Final = 200
"""How many characters of a text are shown."""

_SHORT: Final = 60
_INNER: Final = 6
_DEPTH: Final = 3
_LARGE_INT: Final = 256
_PATIENCE: Final = 5.0
"""Seconds after which a place that does not answer is given up."""
_RETRY_FOR: Final = 1.0
"""Seconds during which what failed is tried again, without a line in the log: a reader is waiting."""

_UNITS: Final = ("bytes", "KiB", "MiB", "GiB", "TiB")
_STEP: Final = 1024
_LEFT: Final = ' style="text-align:left;white-space:pre-wrap"'
_RIGHT: Final = ' style="text-align:right"'


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


# --- Text ---------------------------------------------------------------------------------------------------


def size_text(number: float) -> str:
    """Return a number of bytes for people.

    >>> size_text(10), size_text(2048)
    ('10 bytes', '2.0 KiB')
    """
    for unit in _UNITS:
        if number < _STEP or unit == _UNITS[-1]:
            break
        number /= _STEP
    return f"{number:.1f} {unit}" if unit != "bytes" else counted(round(number), "byte")


def moment_text(seconds: float) -> str:
    """Return a time in seconds since the epoch for people: local time, in whole seconds."""
    from datetime import datetime  # noqa: PLC0415 - a program may never show a time

    try:
        return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except answer(ValueError, OverflowError, OSError):  # a file may have any time
        return f"{seconds:g} s"


def key_text(key: Iterable[str]) -> str:
    """Return a key as it is written between the brackets of ``d[...]``.

    >>> key_text(("a", "b"))
    "'a', 'b'"
    """
    return ", ".join(map(repr, key))


def visible(text: str) -> str:
    """Return the beginning of a text, with escape sequences for what is not printable."""
    cut = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    if cut.isprintable():
        return cut
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in cut)


def value_text(value: Any, depth: int = _DEPTH) -> str:
    """Return a short text of plain data; never more than the beginning of it is looked at.

    >>> value_text({"a": [1, 2.5, None], "b": "x" * 100})  # doctest: +ELLIPSIS
    "{'a': [1, 2.5, None], 'b': 'xxx...xxx…'}"
    """
    if isinstance(value, str):
        return repr(value if len(value) <= _SHORT else f"{value[: _SHORT - 1]}…")
    if isinstance(value, Mapping):
        return _between(
            "{}", value, depth, lambda key: f"{value_text(key, 0)}: {value_text(value[key], depth - 1)}"
        )
    if isinstance(value, list | tuple):
        return _between(
            "()" if isinstance(value, tuple) else "[]", value, depth, lambda each: value_text(each, depth - 1)
        )
    if isinstance(value, int) and value.bit_length() > _LARGE_INT:
        return f"an int of {value.bit_length():,} bits"
    return repr(value)


def _between(
    brackets: str, values: Mapping[Any, Any] | Sequence[Any], depth: int, show: Callable[[Any], str]
) -> str:
    left, right = brackets[0], brackets[1]
    if depth <= 0 and values:
        return f"{left}…{right}"
    more = ["…"] if len(values) > _INNER else []
    return f"{left}{', '.join([*map(show, islice(values, _INNER)), *more])}{right}"


def count_text(what: str, shown: int, found: int, *, complete: bool) -> str:
    """Return how many things there are, as far as one page of a listing shows.

    Args:
        what: The word for one of them.
        shown: How many of them are shown.
        found: How many of them the page has.
        complete: Whether the listing ends with the page.

    >>> count_text("item", 20, 1000, complete=False)
    'at least 1,000 items, of which 20 are shown'
    """
    if not complete and not found:
        return f"no {what} on the first page of the listing"
    text = counted(found, what) if complete else f"at least {counted(found, what)}"
    return text if complete and shown == found else f"{text}, of which {shown:,} are shown"


# --- HTML ---------------------------------------------------------------------------------------------------


def escaped(text: object) -> Markup:
    """Return the HTML of a text, or of the text of an object; HTML stays as it is."""
    from html import escape  # noqa: PLC0415 - loads a large table

    return text if isinstance(text, Markup) else Markup(escape(visible(str(text))))


def table(
    headings: Sequence[object], rows: Iterable[Sequence[object]], *, right: Iterable[int] = ()
) -> Markup:
    """Return a table of at most `ROWS` rows.

    Args:
        headings: The names of the columns.
        rows: A text or an object for each column.
        right: The numbers of the columns that are aligned right.
    """
    aligned = dict.fromkeys(right, _RIGHT)
    head = "".join(f'<th scope="col"{_LEFT}>{escaped(heading)}</th>' for heading in headings)
    body = "".join(
        "".join(("<tr>", *(_cell_html(cell, aligned.get(n, _LEFT)) for n, cell in enumerate(row)), "</tr>"))
        for row in islice(rows, ROWS)
    )
    above = f"<thead><tr>{head}</tr></thead>" if any(headings) else ""
    return Markup(f"<table>{above}<tbody>{body}</tbody></table>")


def _cell_html(cell: object, aligned: str) -> str:
    return f"<td{aligned}>{escaped(cell)}</td>"


def page(title: str, place: str, notes: Iterable[object] = (), parts: Iterable[Markup] = ()) -> str:
    """Return the HTML of an object.

    Args:
        title: Its class, and its name if it has one.
        place: Its path or address.
        notes: Short texts, a line each.
        parts: Tables.
    """
    lines = "".join(f"<br>{escaped(note)}" for note in notes if note)
    code = f"<code>{escaped(place)}</code>" if place else ""
    head = f"<p><strong>{escaped(title)}</strong> {code}{lines}</p>"
    # Names that MathJax knows: a value with dollar signs is not a formula.
    return f'<div class="tex2jax_ignore mathjax_ignore">{head}{"".join(parts)}</div>'


def shown(build: Callable[[], str], text: Callable[[], str]) -> str:
    """Return what a function returns; if it raises, a text and the name of the error.

    Args:
        build: Looks at the place. It is given up if the place does not answer for some seconds.
        text: Returns the text, without looking at the place.
    """
    from perkey.retrying import Retry  # noqa: PLC0415 - programs import this module and seldom show anything

    try:
        with Retry(_RETRY_FOR, timeout=_PATIENCE).attempts(quiet=True).shared():
            return build()
    except answer(Exception) as error:
        return page(_text_of(text), "", [f"It cannot be shown: {type(error).__name__}"])


def _text_of(text: Callable[[], str]) -> str:
    try:
        return text()
    except answer(Exception):
        return "An object"


# --- Reports ------------------------------------------------------------------------------------------------


class Shown:
    """Base of the dataclasses that functions return as reports: as JSON, and as tables in notebooks."""

    __slots__ = ()

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        raise NotImplementedError

    def to_json(self) -> str:
        """Return it as JSON."""
        import json  # noqa: PLC0415 - programs import this module and seldom show anything

        return json.dumps(self.as_dict(), indent=2)

    def _repr_html_(self) -> str:
        """Return a row for each field, and a table for each field that has many things."""
        name = type(self).__name__
        return shown(lambda: _report(name, self), lambda: name)


def text_html(thing: object) -> str:
    """Return the HTML of an object whose text is made for people, in lines."""
    name = type(thing).__name__

    def build() -> str:
        lines = str(thing).splitlines()
        shortened = lines if len(lines) <= ROWS else [*lines[: ROWS - 1], "…"]
        return page(name, "", (), [table((), ([line] for line in shortened))])  # cells keep indentation

    return shown(build, lambda: name)


def _report(name: str, report: Any) -> str:
    values = {each.name: getattr(report, each.name) for each in fields(report)}
    place = values.pop("place", "")
    many = {field: value for field, value in values.items() if value and isinstance(value, dict | list)}
    rows = [(field, _cell(field, value)) for field, value in values.items() if field not in many]
    parts = [table(("", ""), rows)]
    parts += [_table_of(field, value) for field, value in many.items()]
    return page(name, place, (), parts)


def _table_of(field: str, values: dict[Any, Any] | list[Any]) -> Markup:
    """Return the table of a field: a row for each thing, columns for the fields of a dataclass."""
    pairs = values.items() if isinstance(values, dict) else (((), each) for each in values)
    picked = [(_cell(field, key), value) for key, value in islice(pairs, ROWS)]
    keyed = isinstance(values, dict)
    columns = _columns([value for _, value in picked])
    rows = [
        [*[key] * keyed, *([_cell(each, getattr(value, each)) for each in columns] or [_cell(field, value)])]
        for key, value in picked
    ]
    headings = [""] * keyed + (columns or [""])
    count = count_text("entry", len(rows), len(values), complete=True)
    return Markup(f"<p>{escaped(f'{field}: {count}')}</p>{table(headings, rows)}")


def _columns(things: list[Any]) -> list[str]:
    """Return those fields of dataclasses that hold one thing each, and not always nothing."""
    if not is_dataclass(things[0]):
        return []
    names = (each.name for each in fields(things[0]))
    values = {name: [getattr(thing, name) for thing in things] for name in names}
    return [name for name, column in values.items() if any(map(_is_one_thing, column))]


def _is_one_thing(value: Any) -> bool:
    return value is not None and not isinstance(value, dict | list) and value != ""


def _cell(name: str, value: Any) -> str:
    """Return the text of a field of a report."""
    if value is None or (isinstance(value, list | dict) and not value):
        return "none"
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return key_text(value)
    if is_dataclass(value):
        return ", ".join(_cells(value))
    if isinstance(value, int | float):
        if name == "bytes" or name.endswith("_bytes") or name == "size":
            return size_text(value)
        if name == "time":
            return moment_text(value)
        return f"{value:,}" if isinstance(value, int) else f"{value:.3g}"
    return str(value)


def _cells(thing: Any) -> Iterator[str]:
    return (_cell(each.name, getattr(thing, each.name)) for each in fields(thing))
