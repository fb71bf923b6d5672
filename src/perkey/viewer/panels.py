"""Panels: what users add to the pages of jobs and items by a Python function.

A function of one argument gets a job, a function of two gets a key and a value. What it returns is shown:

- a text, as text;
- a mapping, or a list of mappings, as a table;
- a chart of `perkey.viewer.charts`;
- a figure of matplotlib or another object that can be a PNG, as an image;
- an array, a data frame, or the bytes of an image, as on the pages of values;
- None, and the panel is left out.

Texts are escaped, also in tables. Only `markupsafe.Markup`, which charts are, is taken as HTML.
"""

from __future__ import annotations

import inspect
import io
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from itertools import islice
from typing import Any, Final, NamedTuple

from markupsafe import Markup

from perkey.viewer import values

Panel = Callable[..., Any]

MOST_ROWS: Final = 200
MOST_CELLS: Final = 40


class Shown(NamedTuple):
    """What a panel shows: a title, and one of the other fields."""

    title: str
    text: str | None = None
    chart: Markup | None = None
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()
    parts: Sequence[values.Part] = ()
    error: str | None = None


def load(names: Iterable[str], *, folder: str | None = None) -> list[Panel]:
    """Import functions by names such as ``"module:function"``.

    Args:
        names: The names. A name without a colon stands for all public functions that the module defines.
        folder: Where modules are looked for, besides the usual places.

    Raises:
        ValueError: The module cannot be imported or does not have the function.
    """
    wanted = list(names)
    if wanted and folder is not None and folder not in sys.path:
        sys.path.insert(0, folder)
    return [panel for name in wanted for panel in _load(name)]


def of_jobs(panels: Iterable[Panel]) -> list[Panel]:
    """Return the functions of one argument."""
    return [panel for panel in panels if _arguments(panel) == 1]


def of_items(panels: Iterable[Panel]) -> list[Panel]:
    """Return the functions of two arguments."""
    return [panel for panel in panels if _arguments(panel) == 2]  # noqa: PLR2004


def run(panels: Iterable[Panel], *arguments: Any) -> list[Shown]:
    """Call functions and return what they show; an exception is shown in its panel."""
    found = (_run(panel, arguments) for panel in panels)
    return [each for each in found if each is not None]


def title_of(panel: Panel) -> str:
    """Return the first line of a function's docstring, or else its name in words."""
    described = inspect.getdoc(panel)
    name = str(getattr(panel, "__name__", type(panel).__name__))
    return described.splitlines()[0].rstrip(".") if described else name.replace("_", " ").capitalize()


def _load(name: str) -> list[Panel]:
    module_name, _, function = name.partition(":")
    try:
        module = import_module(module_name)
    except ImportError as error:
        raise ValueError(f"panels {name!r}: {error}; give module:function") from error
    except Exception as error:
        raise ValueError(f"panels {name!r}: the module raises {type(error).__name__}: {error}") from error
    if not function:
        return [
            each for _, each in inspect.getmembers(module, inspect.isfunction) if _is_own(each, module_name)
        ]
    found = getattr(module, function, None)
    if not callable(found):
        raise ValueError(  # noqa: TRY004 - the name is wrong
            f"panels {name!r}: the module {module_name} does not have a function {function!r}"
        )
    return [found]


def _is_own(function: Callable[..., Any], module: str) -> bool:
    return (
        function.__module__ == module
        and not function.__name__.startswith("_")
        and _arguments(function) in {1, 2}
    )


def _arguments(panel: Panel) -> int:
    """Return how many arguments a function needs."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(panel).parameters.values()
    return sum(each.kind in kinds and each.default is inspect.Parameter.empty for each in parameters)


def _run(panel: Panel, arguments: tuple[Any, ...]) -> Shown | None:
    title = title_of(panel)
    try:
        return _shown(title, panel(*arguments))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a function of the user's: any of them is shown
        return Shown(title, error=f"{type(error).__name__}: {error}")


def _shown(title: str, found: Any) -> Shown | None:
    if found is None:
        return None
    if isinstance(found, Markup):
        return Shown(title, chart=found)
    png = _png(found)
    if png is not None or isinstance(found, bytes | bytearray) or hasattr(found, "shape"):
        return Shown(title, parts=values.parts_of(found if png is None else png))
    if isinstance(found, Mapping):
        return Shown(title, columns=("", "value"), rows=list(islice(found.items(), MOST_ROWS)))
    if isinstance(found, Sequence) and not isinstance(found, str):
        return _table(title, found[:MOST_ROWS])
    return Shown(title, text=str(found))


def _table(title: str, rows: Sequence[Any]) -> Shown:
    if rows and all(isinstance(row, Mapping) for row in rows):
        columns = list(dict.fromkeys(str(key) for row in rows for key in row))[:MOST_CELLS]
        by_text = [{str(key): value for key, value in row.items()} for row in rows]
        return Shown(title, columns=columns, rows=[[row.get(key, "") for key in columns] for row in by_text])
    cells = [list(row)[:MOST_CELLS] if isinstance(row, list | tuple) else [row] for row in rows]
    return Shown(title, columns=[""] * max(map(len, cells), default=0), rows=cells)


def _png(found: Any) -> bytes | None:
    """Return the PNG that an object draws of itself, as figures of matplotlib and images of Pillow do."""
    if hasattr(found, "savefig"):
        file = io.BytesIO()
        found.savefig(file, format="png")
        return file.getvalue()
    draw = getattr(found, "_repr_png_", None)
    return draw() if callable(draw) else None
