"""Text for people: sizes, times, and a form without hidden characters."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any, Final

from markupsafe import Markup

_HIDDEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ud800-\udfff\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U000e0000-\U000e0fff]"
)
"""Control characters, marks that turn the direction of text, invisible characters and lone surrogates."""

_LONGEST_CELL: Final = 60


def visible(text: str) -> str:
    r"""Return a text in which each hidden character is written as Python escapes it; lines and tabs stay.

    >>> visible("a\x00b")
    'a\\x00b'
    """
    return _HIDDEN.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


def finalize(value: Any) -> Any:
    """Return what a template prints for a value: text is made visible, markup of the viewer's own stays."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return "" if value is None else value
    return visible(value)


def shortened(text: str, length: int) -> str:
    """Return a text of at most so many characters; an ellipsis shows that it was longer."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def cell_text(value: Any) -> str:
    """Return a value as a short text for a cell of a table."""
    if isinstance(value, str):
        found = " ".join(value.split())
    elif isinstance(value, float):
        found = f"{value:.6g}"
    elif isinstance(value, bool | int) or value is None:
        found = json.dumps(value)
    else:
        found = json.dumps(value, default=str, ensure_ascii=False)
    return shortened(found, _LONGEST_CELL)


def count_text(number: int) -> str:
    """Return a number for people."""
    return f"{number:,}"


def time_text(seconds: float) -> str:
    """Return a time in seconds since the epoch as local time, in whole seconds."""
    try:
        return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g} s"
