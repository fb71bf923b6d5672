"""What a state point that matches must have in its text, so that most need not be parsed to be refused."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any

from perkey.query import Filter
from perkey.query.filters import equalities_of
from perkey.query.operators import plain


def needle_of(filters: Iterable[Filter]) -> re.Pattern[str] | None:
    r"""Return a pattern found in the text of each state point that all filters match, and in few others.

    The text is compact JSON. None means that the filters ask for no single value.

    >>> needle_of([{"a.b": 17}]).pattern
    '"b":(?:17|17\\.0)[,}]'
    """
    patterns = [
        re.escape(f"{json.dumps(path[-1])}:") + f"(?:{'|'.join(map(re.escape, texts))})[,}}]"
        for each in filters
        for path, value in equalities_of(each)
        if path and (texts := list(_texts(plain(value))))
    ]
    # Of several, the longest one is likely to be in the fewest.
    return re.compile(max(patterns, key=len)) if patterns else None


def _texts(value: Any) -> Iterator[str]:
    """Yield the JSON of all that Python calls equal to a value; nothing if that are not a few texts."""
    if value is None or isinstance(value, str):
        yield json.dumps(value)
    elif isinstance(value, float) and not math.isfinite(value):
        return
    elif isinstance(value, int | float):
        if value in {0, 1}:
            yield json.dumps(bool(value))
        if value == 0:
            yield "-0.0"
        if value == int(value):
            yield str(int(value))
        try:
            if float(value) == value:
                yield repr(float(value))
        except OverflowError:
            pass  # no float is so large
