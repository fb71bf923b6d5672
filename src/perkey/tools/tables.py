"""Values of a dictionary as a table: a row for each item, a column for each path in the values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final, Literal

from perkey.arguments import check_count, check_iterable, check_kind
from perkey.errors import MissingExtraError
from perkey.mapping import PersiDict
from perkey.query import MISSING, Filter, leaves, split, value_at

_WHOLE: Final = "value"
"""The column of values that are not mappings."""


def to_dataframe(
    d: PersiDict[Any],
    *,
    columns: Iterable[str] | None = None,
    filter: Filter | None = None,  # noqa: A002 - as perkey.find
    max_items: int | None = None,
    engine: Literal["pandas", "polars"] = "pandas",
) -> Any:
    """Return a data frame with a row for each item, and a column for each path in the values.

    A value that is a mapping fills the columns of its keys; mappings in it the columns ``"a.b"``. Other
    values are in the column ``"value"``. What a value does not have is missing in its row. Lists, arrays and
    other objects stay as they are.

    Keys are the index: named ``"key"`` if all have one part, a `MultiIndex` with levels ``"key_0"``,
    ``"key_1"``, … if all have several and equally many, else ``"key"`` with the parts joined by slashes. In
    polars, which has no index, they are the first columns, under the same names.

    Args:
        d: The dictionary.
        columns: Only these columns, in this order; None means all, as they are met.
        filter: Only items whose values match, see `perkey.find`.
        max_items: At most so many items; None means all.
        engine: ``"pandas"`` or ``"polars"``; the result is a frame of that package.

    Raises:
        MissingExtraError: The package is not installed.
        TypeError, ValueError: An argument is of the wrong kind, or not known.

    Cost: one listing and a read of each item, until `max_items` match. Memory for the cells of the frame:
        choose `columns` where values are large.

    >>> from perkey import LocalDict
    >>> d = LocalDict("json")
    >>> d.update({"a": {"n": 1, "more": {"x": 0.5}}, "b": {"n": 2}})
    >>> frame = to_dataframe(d)
    >>> sorted(frame.columns), frame.loc["a", "more.x"]
    (['more.x', 'n'], np.float64(0.5))
    """
    check_kind("d", d, PersiDict, "a PersiDict")
    check_count("max_items", max_items, or_none=True)
    check_kind("engine", engine, str, "'pandas' or 'polars'")
    if engine not in {"pandas", "polars"}:
        raise ValueError(f"engine must be 'pandas' or 'polars', not {engine!r}")
    if filter is not None:
        check_kind("filter", filter, Mapping, "a mapping of paths to expected values, or None")
    wanted = _wanted(columns)
    package = _package(engine)
    found = d.find(filter) if filter else iter(d.items())
    keys: list[tuple[str, ...]] = []
    cells: dict[str, list[Any]] = {name: [] for name in wanted or ()}
    for key, value in islice(found, max_items):
        for name, cell in _cells(value, wanted):
            column = cells.setdefault(name, [])
            column.extend([None] * (len(keys) - len(column)))
            column.append(cell)
        keys.append(tuple(key))
    for column in cells.values():
        column.extend([None] * (len(keys) - len(column)))
    frame = _pandas_frame if engine == "pandas" else _polars_frame
    return frame(package, keys, cells)


def _wanted(columns: Iterable[str] | None) -> dict[str, tuple[str, ...]] | None:
    """Return the paths of the columns that are wanted."""
    if columns is None:
        return None
    check_iterable("columns", columns, "names")
    names = list(columns)
    for name in names:
        check_kind("columns", name, str, "an iterable of strings")
    return {name: split(name) for name in names}


def _package(engine: str) -> Any:
    try:
        return __import__(engine)
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"to_dataframe(engine={engine!r})", engine, engine) from error


def _cells(value: Any, wanted: dict[str, tuple[str, ...]] | None) -> Iterator[tuple[str, Any]]:
    """Yield the columns of a value, each once, with what is in them."""
    if not isinstance(value, Mapping):
        if wanted is None or _WHOLE in wanted:
            yield _WHOLE, value
    elif wanted is None:
        # A key with a dot may stand for the same column as a path.
        yield from {".".join(map(str, path)): cell for path, cell in leaves(value)}.items()
    else:
        for name, path in wanted.items():
            cell = value_at(value, path)
            if cell is MISSING:
                cell = value.get(name, MISSING)
            if cell is not MISSING:
                yield name, cell


def _levels(keys: list[tuple[str, ...]]) -> dict[str, list[str]]:
    """Return the keys as columns."""
    lengths = {len(key) for key in keys}
    if len(lengths) == 1 and (length := lengths.pop()) > 1:
        return {f"key_{at}": [key[at] for key in keys] for at in range(length)}
    return {"key": ["/".join(key) for key in keys]}


def _pandas_frame(pandas: Any, keys: list[tuple[str, ...]], cells: dict[str, list[Any]]) -> Any:
    levels = _levels(keys)
    if len(levels) == 1:
        index = pandas.Index(levels["key"], name="key")
    else:
        index = pandas.MultiIndex.from_arrays(list(levels.values()), names=list(levels))
    return pandas.DataFrame(cells, index=index)


def _polars_frame(polars: Any, keys: list[tuple[str, ...]], cells: dict[str, list[Any]]) -> Any:
    """Return a frame of polars; columns of mixed kinds, or of other objects, are of its type Object."""
    levels = _levels(keys)
    columns = {name: polars.Series(name, values, dtype=polars.String) for name, values in levels.items()}
    for name, values in cells.items():
        free = f"{name}_" if name in columns else name
        try:
            columns[free] = polars.Series(free, values, strict=True)
        except (TypeError, ValueError, OverflowError, polars.exceptions.PolarsError):
            columns[free] = polars.Series(free, values, dtype=polars.Object)
    return polars.DataFrame(list(columns.values()))
