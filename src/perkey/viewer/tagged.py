"""Arrays and frames that are tagged in JSON as jsonpickle writes them, read as data; no class is loaded."""

from __future__ import annotations

import base64
import json
import re
import zlib
from typing import Any, Final

from perkey.viewer import pickles

_ARRAY: Final = "numpy.ndarray"
_FRAMES: Final = frozenset(("pandas.DataFrame", "pandas.core.frame.DataFrame"))
_KIND: Final = re.compile(
    r"bool|u?int(?:8|16|32|64)|float(?:16|32|64)|complex(?:64|128)|[<>]?[SU][0-9]{1,6}"
    r"|(?:datetime|timedelta)64\[(?:Y|M|W|D|h|m|s|ms|us|ns)\]"
)


def read(value: Any) -> Any:
    """Return the array, or the dict of columns, that tags stand for; None for all else."""
    if not isinstance(value, dict):
        return None
    tag = value.get("py/object")
    try:
        if tag == _ARRAY:
            return _array(value)
        columns = json.loads(_text(value["values"])) if tag in _FRAMES else None
        return columns if isinstance(columns, dict) else None
    except (KeyError, TypeError, ValueError, RecursionError, zlib.error):  # another version, or hostile text
        return None


def _array(value: dict[str, Any]) -> Any:
    if "base" in value:  # the array is another form of it
        base = _array(value["base"])
        return base.reshape(tuple(map(int, value["shape"])), order=value.get("order", "C"))
    if isinstance(value["values"], list):
        return value["values"]
    kind = value["dtype"]
    if not _KIND.fullmatch(kind):
        return None
    import numpy as np  # noqa: PLC0415 - only for a value with an array

    dtype = np.dtype(kind).newbyteorder(value.get("byteorder", "="))
    return pickles.filled(_unpacked(value["values"]), dtype, value["shape"], value.get("order", "C"))


def _text(values: str) -> str:
    """Return the JSON of a frame's columns; a long one is compressed."""
    return values if values.startswith("{") else _unpacked(values).decode()


def _unpacked(values: str) -> bytes:
    found = zlib.decompressobj().decompress(base64.b64decode(values, validate=True), pickles.MOST_BYTES + 1)
    if len(found) > pickles.MOST_BYTES:
        raise ValueError("too large for a page")
    return found
