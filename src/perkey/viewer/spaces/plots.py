"""Plots of parameters against results."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

from markupsafe import Markup

from perkey.query import MISSING
from perkey.viewer import charts
from perkey.viewer.charts import Axis, Series, parallels
from perkey.viewer.charts.axes import Kind, as_number
from perkey.viewer.spaces.overview import Column, Overview
from perkey.viewer.spaces.reader import Parts, Reader, flat
from perkey.viewer.text import cell_text

_FEW: Final = 12
_MOST_PROPOSED: Final = 8
_MOST_CURVES: Final = 6
_LONGEST_CURVE: Final = 100_000


KINDS: Final = ("scatter", "line", "parallel")


class Choice(NamedTuple):
    """What a plot shows.

    Attributes:
        x: The path of the values across.
        y: The path of the values upwards; empty for a histogram of `x`.
        group: The path whose values are colours; empty for one colour.
        kind: ``"scatter"``, ``"line"``, or ``"parallel"``: an upright axis for each of `axes`.
        log_x: Whether the axis across is logarithmic.
        log_y: The same of the other axis.
        axes: The paths whose values are on the axes of parallel coordinates.
    """

    x: str
    y: str
    group: str
    kind: str
    log_x: bool
    log_y: bool
    axes: tuple[str, ...] = ()

    @property
    def is_something(self) -> bool:
        """Whether there is anything to draw."""
        return bool(self.axes if self.kind == "parallel" else self.x)


def proposed(overview: Overview) -> tuple[str, str, str]:
    """Return what is worth a plot: a parameter, a result, and a parameter for colours; empty if unknown."""
    parameters = [each for each in overview.parameters() if not each.is_constant]
    results = [each for each in overview.results() if each.is_number]
    numbers = [each for each in parameters if each.is_number]
    across = (numbers or parameters or results or [Column("")])[0].path
    upwards = next((each.path for each in [*results, *numbers] if each.path != across), "")
    colours = [each for each in parameters if each.path != across and len(each.values) <= _FEW]
    return across, upwards, colours[0].path if colours else ""


def proposed_axes(overview: Overview) -> tuple[str, ...]:
    """Return the parameters and results that are numbers and differ, for parallel coordinates."""
    differ = (each for each in (*overview.parameters(), *overview.results()) if not each.is_constant)
    return tuple(islice((each.path for each in differ if each.is_number), _MOST_PROPOSED))


def draw(reader: Reader, ids: Sequence[str], choice: Choice, link: Callable[[str], str]) -> Markup:
    """Return the chart of some jobs.

    Args:
        reader: The jobs.
        ids: Which jobs.
        choice: What is shown.
        link: Returns the path of a job's page.
    """
    if choice.kind == "parallel":
        groups = reader.column(ids, choice.group) if choice.group else [""] * len(ids)
        columns = [reader.column(ids, path) for path in choice.axes[: parallels.MOST_AXES]]
        names = [_name(choice.group, each) for each in groups]
        strands = [Job(job, name, link(job)) for job, name in zip(ids, names, strict=True)]
        return strands_across(choice.axes, columns, strands)
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


class Job(NamedTuple):
    """A job as a line of parallel coordinates: its id, the name of its group, and the path of its page."""

    id: str
    group: str
    link: str


def strands_across(paths: Sequence[str], columns: Sequence[Sequence[Any]], jobs: Sequence[Job]) -> Markup:
    """Return a chart of parallel coordinates.

    Args:
        paths: The names of the axes.
        columns: For each axis, the value of each job, or `MISSING`.
        jobs: The jobs.
    """
    axes = [Axis(path, _kind(column, log=False)) for path, column in zip(paths, columns, strict=False)]
    texts = [axis.kind == "text" for axis in axes]
    strands = [
        charts.Strand(
            [_on_axis(column[number], is_text=text) for column, text in zip(columns, texts, strict=True)],
            job.group,
            f"{job.id[:8]} {job.group}" if job.group != job.id[:8] else job.group,
            job.link,
        )
        for number, job in enumerate(jobs)
    ]
    strands.sort(key=lambda strand: _natural(strand.group))
    return charts.parallel(axes, strands, title=f"Jobs across {len(axes)} values")


def compared(jobs: Sequence[Parts], link: Callable[[str], str]) -> list[Markup]:
    """Return charts of what differs between jobs: their numbers across axes, and their lists of numbers.

    Args:
        jobs: The jobs, each with a colour of its own.
        link: Returns the path of a job's page.
    """
    if len(jobs) < 2:  # noqa: PLR2004 - to compare
        return []
    values = [flat(each) for each in jobs]
    paths = dict.fromkeys(path for each in values for path in each)
    columns = {path: [each.get(path, MISSING) for each in values] for path in paths}
    named = [Job(each.id, each.id[:8], link(each.id)) for each in jobs]
    numbers = [path for path, column in columns.items() if _has_different_numbers(column)][
        : parallels.MOST_AXES
    ]
    found = []
    if len(numbers) > 1:
        found.append(strands_across(numbers, [columns[path] for path in numbers], named))
    curves = [path for path, column in columns.items() if any(map(_is_curve, column))]
    return found + [_curves(path, columns[path], named) for path in curves[:_MOST_CURVES]]


def _has_different_numbers(column: Sequence[Any]) -> bool:
    return _kind(column, log=False) == "number" and len(set(map(as_number, column)) - {None}) > 1


def _is_curve(value: Any) -> bool:
    """Return whether a value is a list of numbers that is worth a line."""
    is_list = isinstance(value, Sequence) and not isinstance(value, str) and len(value) > 2  # noqa: PLR2004
    return is_list and all(as_number(each) is not None for each in value[:_LONGEST_CURVE])


def _curves(path: str, column: Sequence[Any], jobs: Sequence[Job]) -> Markup:
    pairs = [(job.group, value) for job, value in zip(jobs, column, strict=True) if _is_curve(value)]
    found = [(name, list(value[:_LONGEST_CURVE])) for name, value in pairs]
    series = [Series(range(len(value)), value, name, [name] * len(value)) for name, value in found]
    return charts.line(series, title=path, x=Axis("index"), y=Axis(path), size=(860, 360))


def _on_axis(value: Any, *, is_text: bool) -> Any:
    if value is MISSING:
        return "(missing)" if is_text else None
    return cell_text(value) if is_text else value


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
