"""Plots of parameters against results."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from markupsafe import Markup

from perkey.query import MISSING
from perkey.viewer import charts
from perkey.viewer.charts import Axis, Series
from perkey.viewer.charts.axes import Kind, as_number
from perkey.viewer.spaces.overview import Column, Overview
from perkey.viewer.spaces.reader import Reader
from perkey.viewer.text import cell_text

_FEW: Final = 12


class Choice(NamedTuple):
    """What a plot shows.

    Attributes:
        x: The path of the values across.
        y: The path of the values upwards; empty for a histogram of `x`.
        group: The path whose values are colours; empty for one colour.
        kind: ``"scatter"`` or ``"line"``.
        log_x: Whether the axis across is logarithmic.
        log_y: The same of the other axis.
    """

    x: str
    y: str
    group: str
    kind: str
    log_x: bool
    log_y: bool


def proposed(overview: Overview) -> tuple[str, str, str]:
    """Return what is worth a plot: a parameter, a result, and a parameter for colours; empty if unknown."""
    parameters = [each for each in overview.parameters() if not each.is_constant]
    results = [each for each in overview.results() if each.is_number]
    numbers = [each for each in parameters if each.is_number]
    across = (numbers or parameters or results or [Column("")])[0].path
    upwards = next((each.path for each in [*results, *numbers] if each.path != across), "")
    colours = [each for each in parameters if each.path != across and len(each.values) <= _FEW]
    return across, upwards, colours[0].path if colours else ""


def draw(reader: Reader, ids: Sequence[str], choice: Choice, link: Callable[[str], str]) -> Markup:
    """Return the chart of some jobs.

    Args:
        reader: The jobs.
        ids: Which jobs.
        choice: What is shown.
        link: Returns the path of a job's page.
    """
    across = reader.column(ids, choice.x)
    x = Axis(choice.x, _kind(across, log=choice.log_x))
    if not choice.y:
        return charts.histogram([each for each in across if each is not MISSING], title=choice.x, x=x)
    upwards = reader.column(ids, choice.y)
    y = Axis(choice.y, _kind(upwards, log=choice.log_y))
    groups = reader.column(ids, choice.group) if choice.group else [""] * len(ids)
    points: dict[str, list[tuple[Any, Any, str]]] = defaultdict(list)
    for job, one, other, group in zip(ids, across, upwards, groups, strict=True):
        if one is not MISSING and other is not MISSING:
            points[_name(choice.group, group)].append((one, other, job))
    series = [_series(name, points[name], link) for name in sorted(points, key=_natural)]
    drawing = charts.line if choice.kind == "line" else charts.scatter
    title = f"{choice.y} by {choice.x}"
    return drawing(series, title=title, x=x, y=y, size=(860, 460))


def _series(name: str, points: list[tuple[Any, Any, str]], link: Callable[[str], str]) -> Series:
    points.sort(key=lambda point: _natural(point[0]))
    across, upwards, jobs = zip(*points, strict=True)
    labels = [f"{job[:8]} {name}" for job in jobs]
    return Series(across, upwards, name, labels, [link(job) for job in jobs])


def _kind(values: Sequence[Any], *, log: bool) -> Kind:
    """Return how an axis reads values: as texts if few of them are numbers."""
    there = [each for each in values if each is not MISSING]
    numbers = sum(as_number(each) is not None and not isinstance(each, bool) for each in there)
    if numbers * 2 < len(there):
        return "text"
    return "log" if log else "number"


def _name(path: str, value: Any) -> str:
    if not path:
        return ""
    return f"{path.rpartition('.')[2]} = {'(missing)' if value is MISSING else cell_text(value)}"


def _natural(value: Any) -> tuple[int, float, str]:
    """Return what sorts numbers by size, also those at the end of a text, and all others as text."""
    number = as_number(value)
    if number is not None:
        return 0, number, ""
    text = str(value)
    try:
        return 0, float(text.rpartition(" ")[2]), text
    except ValueError:
        return 1, 0.0, text
