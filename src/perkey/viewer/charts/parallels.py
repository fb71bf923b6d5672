"""Parallel coordinates: an upright axis for each of several values, and a line across them for each thing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from markupsafe import Markup

from perkey.viewer.charts import svg
from perkey.viewer.charts.axes import Axis, Scale, scale
from perkey.viewer.charts.planes import MOST_GROUPS, Series, legend, legend_rows, note

MOST_LINES: Final = 500
MOST_AXES: Final = 12

_TOP: Final = 52
_ROWS_PER_TICK: Final = 40
_LEGEND_ROW: Final = 20


class Strand(NamedTuple):
    """A thing.

    Attributes:
        values: Its value on each axis. The line has a gap where a value cannot be drawn.
        group: Its group, by which it has its colour; empty for things without a group.
        label: A text for its tooltip.
        link: A path, which becomes the attribute ``data-href``.
    """

    values: Sequence[object]
    group: str = ""
    label: str = ""
    link: str | None = None


def parallel(
    axes: Sequence[Axis], strands: Sequence[Strand], *, title: str, size: tuple[int, int] = (860, 420)
) -> Markup:
    """Draw a line for each thing across one axis for each of its values.

    If there are more than 500 things, as many as necessary are left out at regular distances.

    Args:
        axes: The axes, from left to right; at most 12 are drawn.
        strands: The things. If there are more than eight groups, those from the eighth on have one colour.
        title: The title, shown and read.
        size: Width and height in pixels.

    Returns:
        One ``<svg>`` element.
    """
    axes = axes[:MOST_AXES]
    scales = [
        scale(
            axis, [each.values[number] for each in strands], ticks=max(2, (size[1] - 100) // _ROWS_PER_TICK)
        )
        for number, axis in enumerate(axes)
    ]
    groups = list(dict.fromkeys(each.group for each in strands))
    rows = legend_rows([Series((), (), name) for name in groups], size[0])
    box = _box(scales, size, len(rows))
    step = max(1, -(-len(strands) // MOST_LINES))
    drawn = strands[::step]
    lines = [_line(each, groups.index(each.group), scales, box) for each in drawn]
    missing = sum(place is None for each in strands for place in _places(each, scales))
    notes = [f"{svg.plural(len(strands), 'line', 'lines')}."]
    if len(drawn) < len(strands):
        notes.append(f"{len(drawn):,} of {len(strands):,} lines drawn.")
    if missing:
        notes.append(f"{svg.plural(missing, 'value', 'values')} missing, or not on the axis.")
    return svg.chart(
        title,
        [f"Axes: {', '.join(map(_described, scales))}.", *notes],
        size,
        *lines,
        *(_upright(each, at, box) for each, at in zip(scales, _across(scales, box), strict=True)),
        legend(rows, size[1]),
        note(notes[1:], size),
    )


class _Box(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float


def _box(scales: Sequence[Scale], size: tuple[int, int], rows: int) -> _Box:
    """Return what the axes enclose; the labels of the first axis, and half a name, are left of it."""
    left, right = (_width(scales[0]), _half_name(scales[-1])) if scales else (0.0, 0.0)
    return _Box(16 + left, _TOP, size[0] - 12 - right, size[1] - 16 - _LEGEND_ROW * rows)


def _width(axis: Scale) -> float:
    """Return how wide the texts of an axis are to its left."""
    return max([_half_name(axis), *(svg.width_of(text) for _, text in axis.ticks)])


def _half_name(axis: Scale) -> float:
    """Return half the width of a name, which is bold."""
    return svg.width_of(svg.label(axis.axis.label)) * 0.58


def _across(scales: Sequence[Scale], box: _Box) -> list[float]:
    width = (box.right - box.left) / max(1, len(scales) - 1)
    return [box.left + width * number for number in range(len(scales))]


def _places(strand: Strand, scales: Sequence[Scale]) -> list[float | None]:
    return [each.position(value) for each, value in zip(scales, strand.values, strict=False)]


def _line(strand: Strand, group: int, scales: Sequence[Scale], box: _Box) -> Markup:
    number = min(group, MOST_GROUPS - 1)
    ways: list[str] = []
    begun = False
    for across, place in zip(_across(scales, box), _places(strand, scales), strict=False):
        if place is None:
            begun = False
            continue
        down = box.bottom - place * (box.bottom - box.top)
        ways.append(f"{'L' if begun else 'M'}{svg.number(across)} {svg.number(down)}{'' if begun else 'h0'}")
        begun = True
    shown = [
        f"{svg.label(each.axis.label)} {each.show(value)}"
        for each, value in zip(scales, strand.values, strict=False)
        if each.position(value) is not None
    ]
    tooltip = ": ".join(filter(None, (svg.label_of_title(strand.label, 800), ", ".join(shown))))
    return svg.element(
        "path",
        svg.element("title", tooltip),
        d="".join(ways),
        class_=f"chart-line chart-strand {svg.css_class(number)}",
        fill="none",
        stroke=svg.colour(number),
        stroke_width=1.5,
        stroke_opacity=0.65,
        stroke_linejoin="round",
        stroke_linecap="round",
        data_href=strand.link,
    )


def _upright(axis: Scale, at: float, box: _Box) -> Markup:
    name = svg.element(
        "text",
        svg.label(axis.axis.label),
        x=svg.number(at),
        y=svg.number(box.top - 12),
        text_anchor="middle",
        font_weight=600,
    )
    parts = [name, _stroke(f"M{svg.number(at)} {svg.number(box.top)}V{svg.number(box.bottom)}")]
    for place, shown in axis.ticks:
        down = box.bottom - place * (box.bottom - box.top)
        parts += [
            _stroke(f"M{svg.number(at - 4)} {svg.number(down)}h8"),
            svg.element("text", shown, x=svg.number(at - 7), y=svg.number(down + 4), text_anchor="end"),
        ]
    return svg.element("g", *parts, class_="chart-axes chart-over")


def _stroke(way: str) -> Markup:
    return svg.element("path", d=way, stroke="currentColor", stroke_opacity=0.5)


def _described(axis: Scale) -> str:
    name = svg.label(axis.axis.label) or "without a name"
    ends = (axis.ticks[0][1], axis.ticks[-1][1]) if axis.ticks else ("", "")
    return f"{name} from {ends[0]} to {ends[1]}" if axis.places is None else name
