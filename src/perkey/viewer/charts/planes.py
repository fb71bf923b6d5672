"""Charts of points in a plane: lines and scatter plots."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, pairwise
from typing import Final, NamedTuple

from markupsafe import Markup

from perkey.viewer.charts import svg
from perkey.viewer.charts.axes import Axis, Scale, scale

MOST_POINTS: Final = 2_000
MOST_GROUPS: Final = len(svg.PALETTE)

_TOP: Final = 32
_PIXELS_PER_TICK: Final = 80
_ROWS_PER_TICK: Final = 40
_LEGEND_ROW: Final = 20
_TILTED: Final = 70
"""The height of labels that are tilted because they would overlap."""


@dataclass(frozen=True, slots=True)
class Series:
    """The points of one group.

    Args:
        x: The values on the horizontal axis.
        y: The values on the vertical axis, as many.
        name: The name of the group, for the legend.
        labels: A text for each point, for its tooltip.
        links: A path for each point. It becomes the attribute ``data-href``, which a script of the page may
            follow.
    """

    x: Sequence[object]
    y: Sequence[object]
    name: str = ""
    labels: Sequence[str] = ()
    links: Sequence[str] = ()


def line(
    series: Iterable[Series],
    *,
    title: str,
    x: Axis | None = None,
    y: Axis | None = None,
    size: tuple[int, int] = (720, 400),
) -> Markup:
    """Draw a line through the points of each series, in their order.

    A value that cannot be drawn, such as NaN, interrupts the line. Of the points within the width of a
    pixel the first, the lowest, the highest and the last are drawn.

    Args:
        series: The groups. If there are more than eight, those from the eighth on have one colour.
        title: The title, shown and read.
        x: The horizontal axis.
        y: The vertical axis.
        size: Width and height in pixels.

    Returns:
        One ``<svg>`` element.
    """
    return _draw(series, title, (x or Axis(), y or Axis()), size, _line)


def scatter(
    series: Iterable[Series],
    *,
    title: str,
    x: Axis | None = None,
    y: Axis | None = None,
    size: tuple[int, int] = (720, 400),
) -> Markup:
    """Draw each point of each series.

    If there are more than 2,000, points that cover each other are thinned out first, then as many as
    necessary at regular distances are left out.

    Args:
        series: The groups. If there are more than eight, those from the eighth on have one colour.
        title: The title, shown and read.
        x: The horizontal axis.
        y: The vertical axis.
        size: Width and height in pixels.

    Returns:
        One ``<svg>`` element.
    """
    return _draw(series, title, (x or Axis(), y or Axis()), size, _scatter)


class _Point(NamedTuple):
    x: float
    y: float
    number: int
    """Which point of its series it is."""


_Points = list[_Point | None]
"""The points of a group in pixels, in their order; None for one that cannot be drawn."""


@dataclass(frozen=True, slots=True)
class _Group:
    series: Series
    points: _Points
    colour: int


@dataclass(frozen=True, slots=True)
class _Plane:
    x: Scale
    y: Scale
    left: float
    right: float
    top: float
    bottom: float

    def point(self, number: int, x: object, y: object) -> _Point | None:
        across, up = self.x.position(x), self.y.position(y)
        if across is None or up is None:
            return None
        return _Point(
            self.left + across * (self.right - self.left), self.bottom - up * (self.bottom - self.top), number
        )


_Drawing = Callable[[_Plane, _Group, int], tuple[Markup, int]]
"""Draws a group with at most so many points; returns how many it drew, too."""


def _draw(
    series: Iterable[Series], title: str, axes: tuple[Axis, Axis], size: tuple[int, int], drawing: _Drawing
) -> Markup:
    groups = list(series)
    rows = legend_rows(groups, size[0])
    plane = _plane(groups, axes, size, rows)
    placed = [
        _Group(
            each, [plane.point(i, *pair) for i, pair in enumerate(zip(each.x, each.y, strict=False))], number
        )
        for number, each in enumerate(groups)
    ]
    total = sum(len(group.points) for group in placed)
    kept = sum(point is not None for group in placed for point in group.points)
    drawn = [drawing(plane, group, _share(group, kept)) for group in placed]
    count = sum(number for _, number in drawn)
    notes = _notes(kept, total - kept, count)
    parts = [markup for markup, _ in drawn] if kept else [_empty(plane)]
    return svg.chart(
        title,
        _description(axes, groups, notes),
        size,
        frame(plane.x, plane.y, (plane.left, plane.top, plane.right, plane.bottom)),
        *parts,
        legend(rows, size[1]),
        note(notes[1:], size),
    )


def note(notes: Sequence[str], size: tuple[float, float]) -> Markup:
    """Return what a reader has to know about values that are not drawn, at the upper right."""
    if not notes:
        return Markup()
    return svg.element(
        "text", " ".join(notes), x=svg.number(size[0] - 8), y=18, text_anchor="end", fill_opacity=0.75
    )


def _notes(kept: int, left_out: int, count: int) -> list[str]:
    found = [f"{svg.plural(kept, 'point', 'points')}."]
    if left_out:
        found.append(f"{svg.plural(left_out, 'value', 'values')} not drawn: not finite, or not on this axis.")
    if count < kept:
        found.append(f"{count:,} of {kept:,} points drawn.")
    return found


def _description(axes: tuple[Axis, Axis], groups: Sequence[Series], notes: Sequence[str]) -> list[str]:
    names = [
        f"{way}: {axis.label}." for way, axis in zip(("Across", "Upwards"), axes, strict=True) if axis.label
    ]
    listed = [svg.label(group.name) for group in groups[:MOST_GROUPS] if group.name]
    if listed:
        names.append(f"{svg.plural(len(groups), 'group', 'groups')}: {', '.join(listed)}.")
    return [*names, *notes]


def _share(group: _Group, kept: int) -> int:
    """Return how many points of the whole bound a group may use."""
    return max(4, MOST_POINTS * len(group.points) // max(kept, MOST_POINTS, 1))


def _plane(groups: Sequence[Series], axes: tuple[Axis, Axis], size: tuple[int, int], rows: _Rows) -> _Plane:
    width, height = size
    y = scale(axes[1], chain.from_iterable(each.y for each in groups), ticks=max(2, height // _ROWS_PER_TICK))
    left = 16 + max((svg.width_of(text) for _, text in y.ticks), default=0) + (18 if axes[1].label else 0)
    x = scale(
        axes[0],
        chain.from_iterable(each.x for each in groups),
        ticks=max(2, int(width - left) // _PIXELS_PER_TICK),
    )
    right = width - max(20, 8 + svg.width_of(x.ticks[-1][1]) / 2 if x.ticks else 0)
    below = (
        (_TILTED if tilted(x, right - left) else 24) + (20 if axes[0].label else 0) + _LEGEND_ROW * len(rows)
    )
    return _Plane(x, y, left, right, _TOP, height - below)


def tilted(across: Scale, width: float) -> bool:
    """Return whether the labels of an axis would overlap if they stood upright."""
    ends = [(place * width, svg.width_of(text) / 2) for place, text in across.ticks]
    return any(place + half + 6 > after - other for (place, half), (after, other) in pairwise(ends))


def frame(x: Scale, y: Scale, box: tuple[float, float, float, float]) -> Markup:
    """Return the axes: lines, ticks, and labels.

    Args:
        x: The horizontal axis.
        y: The vertical axis.
        box: The left, upper, right and lower edge of what the axes enclose.
    """
    left, top, right, bottom = box
    turned = tilted(x, right - left)
    parts = [_line_across(left, right, bottom - place * (bottom - top)) for place, _ in y.ticks]
    parts += [
        svg.element(
            "text",
            shown,
            x=svg.number(left - 6),
            y=svg.number(bottom - place * (bottom - top) + 4),
            text_anchor="end",
        )
        for place, shown in y.ticks
    ]
    for place, shown in x.ticks:
        at = left + place * (right - left)
        parts += [_tick(at, bottom), _label_below(shown, at, bottom + 16, turned=turned)]
    if x.axis.label:
        down = bottom + (_TILTED if turned else 24) + 12
        parts.append(_axis_label(x.axis.label, (left + right) / 2, down))
    if y.axis.label:
        across, up = svg.number(14), svg.number((top + bottom) / 2)
        turn = f"rotate(-90 {across} {up})"
        parts.append(_axis_label(y.axis.label, 14, (top + bottom) / 2, transform=turn))
    return svg.element("g", *parts, class_="chart-axes")


def _line_across(left: float, right: float, at: float) -> Markup:
    return svg.element(
        "path",
        d=f"M{svg.number(left)} {svg.number(at)}H{svg.number(right)}",
        stroke="currentColor",
        stroke_opacity=0.15,
    )


def _tick(at: float, bottom: float) -> Markup:
    return svg.element(
        "path", d=f"M{svg.number(at)} {svg.number(bottom)}v4", stroke="currentColor", stroke_opacity=0.4
    )


def _label_below(shown: str, at: float, down: float, *, turned: bool) -> Markup:
    across = svg.number(at)
    turn = f"rotate(-35 {across} {svg.number(down)})" if turned else None
    return svg.element(
        "text", shown, x=across, y=svg.number(down), text_anchor="end" if turned else "middle", transform=turn
    )


def _axis_label(shown: str, across: float, down: float, *, transform: str | None = None) -> Markup:
    return svg.element(
        "text",
        svg.label_of_title(shown, 400),
        x=svg.number(across),
        y=svg.number(down),
        text_anchor="middle",
        transform=transform,
        fill_opacity=0.8,
    )


def _empty(plane: _Plane) -> Markup:
    across, down = (plane.left + plane.right) / 2, (plane.top + plane.bottom) / 2
    return svg.element(
        "text", "no values to draw", x=svg.number(across), y=svg.number(down), text_anchor="middle"
    )


_Rows = list[list[tuple[int, str]]]


def legend_rows(groups: Sequence[Series], width: int) -> _Rows:
    """Return the entries of the legend, colour and name, in rows that fit."""
    entries = [
        (number, svg.label(group.name)) for number, group in enumerate(groups[:MOST_GROUPS]) if group.name
    ]
    if len(groups) > MOST_GROUPS and entries:
        last = len(groups) - MOST_GROUPS + 1
        entries[-1] = (MOST_GROUPS - 1, f"({last} other groups)")
    rows: _Rows = []
    used = float(width)
    for number, name in entries:
        needed = _entry_width(name)
        if used + needed > width - 24:
            rows.append([])
            used = 0.0
        rows[-1].append((number, name))
        used += needed
    return rows


def _entry_width(name: str) -> float:
    return svg.width_of(name) + 30


def legend(rows: _Rows, height: int) -> Markup:
    """Return the legend that `legend_rows` made, at the lower edge."""
    parts = []
    for index, row in enumerate(rows):
        across, down = 20.0, height - 8.0 - _LEGEND_ROW * (len(rows) - 1 - index)
        for number, name in row:
            tag, attributes = svg.marker(number, across, down - 4, **_paint(number))
            parts += [
                svg.element(tag, **attributes),
                svg.element("text", name, x=svg.number(across + 10), y=svg.number(down)),
            ]
            across += _entry_width(name)
    return svg.element("g", *parts, class_="chart-legend") if parts else Markup()


def _paint(group: int) -> dict[str, object]:
    group = min(group, MOST_GROUPS - 1)
    return {"class_": svg.css_class(group), "fill": svg.colour(group)}


def _scatter(plane: _Plane, group: _Group, most: int) -> tuple[Markup, int]:
    found = _thinned([point for point in group.points if point is not None], most)
    parts = [_marked(plane, group, point) for point in found]
    number = min(group.colour, MOST_GROUPS - 1)
    return svg.element("g", *parts, **_paint(number), fill_opacity=0.8), len(found)


def _thinned(points: list[_Point], most: int) -> list[_Point]:
    if len(points) <= most:
        return points
    cells = {(round(point.x / 3), round(point.y / 3)): point for point in reversed(points)}
    return _every_nth(sorted(cells.values(), key=lambda point: point.number), most)


def _every_nth(points: list[_Point], most: int) -> list[_Point]:
    step = -(-len(points) // most)
    return points[::step]


def _marked(plane: _Plane, group: _Group, point: _Point) -> Markup:
    series = group.series
    link = series.links[point.number] if point.number < len(series.links) else None
    name, attributes = svg.marker(min(group.colour, MOST_GROUPS - 1), point.x, point.y, data_href=link)
    return svg.element(name, svg.element("title", _tooltip(plane, series, point.number)), **attributes)


def _tooltip(plane: _Plane, series: Series, index: int) -> str:
    label = series.labels[index] if index < len(series.labels) else series.name
    values = f"{plane.x.show(series.x[index])}, {plane.y.show(series.y[index])}"
    return f"{svg.label_of_title(label, 800)}: {values}" if label else values


def _line(plane: _Plane, group: _Group, most: int) -> tuple[Markup, int]:
    pieces = [_reduced(piece) for piece in _pieces(group.points)]
    count = sum(map(len, pieces))
    if count > most:
        pieces = [_every_nth(piece, max(1, most * len(piece) // count)) for piece in pieces]
        pieces = pieces[:: -(-len(pieces) // most)]
        count = sum(map(len, pieces))
    number = min(group.colour, MOST_GROUPS - 1)
    path = svg.element(
        "path",
        svg.element("title", group.series.name) if group.series.name else Markup(),
        d="".join(map(_path, pieces)),
        class_=f"chart-line {svg.css_class(number)}",
        fill="none",
        stroke=svg.colour(number),
        stroke_width=1.8,
        stroke_linejoin="round",
        stroke_linecap="round",
    )
    dots = _dots(plane, group, pieces) if count <= MOST_DOTS else Markup()
    return path + dots, count


MOST_DOTS: Final = 60
"""A line of more points has no dots on it."""


def _dots(plane: _Plane, group: _Group, pieces: list[list[_Point]]) -> Markup:
    number = min(group.colour, MOST_GROUPS - 1)
    return svg.element(
        "g", *(_marked(plane, group, point) for piece in pieces for point in piece), **_paint(number)
    )


def _pieces(points: _Points) -> Iterator[list[_Point]]:
    """Yield the parts of a line between points that cannot be drawn."""
    for drawn, piece in groupby(points, key=lambda point: point is not None):
        if drawn:
            yield [point for point in piece if point is not None]


def _reduced(piece: list[_Point]) -> list[_Point]:
    """Return the first, lowest, highest and last of the points in each column of pixels."""
    if len(piece) <= MOST_DOTS:
        return piece
    kept: list[_Point] = []
    for _, column in groupby(piece, key=lambda point: round(point.x)):
        points = list(column)
        chosen = {points[0], min(points, key=_height), max(points, key=_height), points[-1]}
        kept += sorted(chosen, key=lambda point: point.number)
    return kept


def _height(point: _Point) -> float:
    return point.y


def _path(piece: list[_Point]) -> str:
    text = "L".join(f"{svg.number(point.x)} {svg.number(point.y)}" for point in piece)
    # A point alone is a line of no length, which round ends make visible.
    return f"M{text}" if len(piece) > 1 else f"M{text}h0"
