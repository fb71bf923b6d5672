"""Facets: the values of a parameter that few values share, with their counts, as filters to click on."""

from __future__ import annotations

import json
import shlex
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from perkey.query import parse_filter
from perkey.viewer.spaces.overview import Column, Overview, text_of, value_of
from perkey.viewer.spaces.reader import Reader, Search

MOST_FACETS: Final = 12
MOST_VALUES: Final = 12


class Facet(NamedTuple):
    """A value of a parameter.

    Attributes:
        text: The value as text.
        jobs: How many of the jobs shown have it.
        query: The filter that a click leads to, as a user would type it: the present one and this value; the
            present one without it if the value is chosen.
        is_chosen: Whether the present filter asks for it.
    """

    text: str
    jobs: int
    query: str
    is_chosen: bool


def facets(overview: Overview, reader: Reader, search: Search) -> dict[str, list[Facet]]:
    """Return the facets of the jobs that match a filter, by the paths of parameters.

    Cost: nothing without a filter; else one pass over the state points in memory.

    Args:
        overview: The columns of all jobs.
        reader: The jobs.
        search: The outcome of the filter.
    """
    paths = [each.path for each in overview.parameters() if _is_facet(each)][:MOST_FACETS]
    if search.error or not paths:
        return {}
    wanted = json.loads(search.understood) if search.understood else {}
    counts: Iterable[Mapping[str, int]]
    if wanted:
        counts = [Counter(map(text_of, column)) for column in reader.parameters(search.ids, paths)]
    else:
        counts = [overview.columns[path].values for path in paths]
    return {path: _values(path, each, wanted) for path, each in zip(paths, counts, strict=True)}


def typed(wanted: Mapping[str, Any]) -> str:
    """Return a filter as a user types it: keys and values in turn, or JSON if that is not possible.

    >>> typed({"a": 1, "kernel": "rbf"}), typed({"a": "1"}), typed({})
    ('a 1 kernel rbf', '{"a": "1"}', '')
    """
    words = " ".join(_word(each) for pair in wanted.items() for each in pair)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            same = json.dumps(parse_filter(shlex.split(words)) or {}) == json.dumps(wanted)
    except (TypeError, ValueError, RecursionError):
        same = False
    return words if same else json.dumps(wanted, ensure_ascii=False)


def _word(value: Any) -> str:
    """Return a value as a word, quoted where words need it; an empty text if it has no such form."""
    if isinstance(value, dict | list):
        return ""
    word = value if isinstance(value, str) else json.dumps(value)
    try:
        return word if shlex.split(word) == [word] else shlex.quote(word)
    except ValueError:  # a quote that does not end
        return shlex.quote(word)


def _is_facet(column: Column) -> bool:
    """Return whether few values are shared by the jobs, and all of them can be asked for."""
    few = 1 < len(column.values) <= MOST_VALUES and column.jobs > len(column.values)
    return few and all(map(_is_scalar, column.values))


def _is_scalar(text: str) -> bool:
    try:
        value = value_of(text)
    except ValueError:  # the beginning of a long text
        return False
    return not isinstance(value, dict | list) and value == value and abs(_magnitude(value)) < float("inf")  # noqa: PLR0124 - NaN


def _magnitude(value: Any) -> float:
    return value if isinstance(value, float) else 0.0


def _values(path: str, counts: Mapping[str, int], wanted: Mapping[str, Any]) -> list[Facet]:
    values = sorted(((value_of(text), count) for text, count in counts.items()), key=_order)
    return [_facet(path, value, count, wanted) for value, count in values]


def _order(pair: tuple[Any, int]) -> tuple[bool, float, str]:
    value = pair[0]
    is_number = isinstance(value, int | float)
    return not is_number, value if is_number else 0.0, str(value)


def _facet(path: str, value: Any, count: int, wanted: Mapping[str, Any]) -> Facet:
    chosen = path in wanted and wanted[path] == value
    rest = {key: each for key, each in wanted.items() if key != path}
    query = typed(rest if chosen else {**rest, path: value})
    return Facet(value if isinstance(value, str) else json.dumps(value), count, query, chosen)
