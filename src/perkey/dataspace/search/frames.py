"""Jobs as a pandas data frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from perkey.dataspace.space import Space
from perkey.errors import MissingExtraError
from perkey.query import joined, leaves


def to_dataframe(
    space: Space,
    jobs: list[str],
    prefixes: tuple[str, str],
    usecols: Iterable[str] | Callable[[str], bool] | None = None,
    *,
    flatten: bool = False,
) -> Any:
    """Return a frame with a row a job; arguments as for `JobsCursor.to_dataframe`."""
    try:
        import pandas as pd  # noqa: PLC0415 - heavy, and needed here only
    except ModuleNotFoundError as error:
        raise MissingExtraError("to_dataframe()", "pandas", "pandas") from error
    wanted = _wanted(usecols)
    sp_prefix, doc_prefix = prefixes
    columns: dict[str, dict[str, Any]] = {}
    known: dict[str, bool] = {}
    sources = (
        (sp_prefix, space.index.statepoint),
        (doc_prefix, space.documents),
    )
    space.index.sound()  # one file instead of one a job
    with space.documents.many(space.index.ids()):
        for job in jobs:
            for prefix, source in sources:
                for key, value in _cells(source(job), prefix, flatten=flatten):
                    if key not in known:
                        known[key] = wanted(key)
                    if known[key]:
                        columns.setdefault(key, {})[job] = value
    missing = float("nan")
    data = {name: [cells.get(job, missing) for job in jobs] for name, cells in columns.items()}
    return pd.DataFrame(data, index=jobs or pd.Index([], dtype=object))


def _wanted(usecols: Iterable[str] | Callable[[str], bool] | None) -> Callable[[str], bool]:
    if usecols is None:
        return lambda _: True
    return usecols if callable(usecols) else frozenset(usecols).__contains__


def _cells(values: Mapping[str, Any], prefix: str, *, flatten: bool) -> Iterator[tuple[str, Any]]:
    cells = ((joined(path), value) for path, value in leaves(values)) if flatten else values.items()
    return ((prefix + key, value) for key, value in cells)
