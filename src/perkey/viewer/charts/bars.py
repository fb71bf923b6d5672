"""Charts of counts and amounts: histograms and bars."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Final

from markupsafe import Markup

from perkey.viewer.charts import svg
from perkey.viewer.charts.axes import Axis, Scale, as_number, nice_step, scale, time_step
from perkey.viewer.charts.planes import frame, note

MOST_BARS: Final = 40
MOST_BINS: Final = 60

_ROW: Final = 24
_TOP: Final = 32


def histogram(
    values: Iterable[object],
    *,
    title: str,
    x: Axis | None = None,
    size: tuple[int, int] = (720, 280),
    bins: int = 30,
) -> Markup:
    """Draw how many values lie in each range.

    Args:
        values: The values. Those that are not finite numbers are counted, but not drawn.
        title: The title, shown and read.
        x: The axis of the values. On an axis of kind ``"log"`` each range is a multiple of the one before.
        size: Width and height in pixels.
        bins: At most how many ranges; 60 is the limit.

    Returns:
        One ``<svg>`` element.
    """
    axis = x or Axis()
    everything = list(values)
    kept = [number for value in everything if (number := _on_axis(value, axis)) is not None]
    edges = _edges(kept, axis, max(1, min(bins, MOST_BINS)))
    counts = _counts(kept, edges)
    across = scale(axis, edges, ticks=max(2, size[0] // 80))
    upwards = scale(Axis("how many"), [0, *counts], ticks=max(2, min(size[1] // 40, max(counts))))
    left = 34 + max(svg.width_of(text) for _, text in upwards.ticks)
    box = (left, float(_TOP), size[0] - 20.0, size[1] - 24.0 - (20 if axis.label else 0))
    columns = [
        _column((low, high), count, across, upwards, box)
        for low, high, count in zip(edges, edges[1:], counts, strict=False)
        if count
    ]
    notes = _left_out(len(everything) - len(kept))
    described = [
        f"{svg.plural(len(kept), 'value', 'values')} in {svg.plural(len(counts), 'range', 'ranges')}.",
        *notes,
    ]
    return svg.chart(
        title,
        [f"Across: {axis.label}." if axis.label else "", *described],
        size,
        frame(across, upwards, box),
        svg.element("g", *columns, class_=svg.css_class(0), fill=svg.colour(0)),
        note(notes, size),
    )


def bars(
    pairs: Iterable[tuple[str, object]], *, title: str, value: Axis | None = None, width: int = 720
) -> Markup:
    """Draw one horizontal bar for each pair of a label and a number.

    Args:
        pairs: Labels and numbers. Numbers that are not finite, and those after the fortieth, are counted, but
            not drawn.
        title: The title, shown and read.
        value: The axis of the numbers, of the kind ``"number"`` or ``"bytes"``.
        width: The width in pixels; the height follows from the number of bars.

    Returns:
        One ``<svg>`` element.
    """
    axis = value or Axis()
    everything = list(pairs)
    finite = [(label, number) for label, each in everything if (number := as_number(each)) is not None]
    shown = [(svg.label(label), number) for label, number in finite[:MOST_BARS]]
    across = scale(axis, [number for _, number in shown], ticks=max(2, width // 120), zero=True)
    left = 24 + max((svg.width_of(label) for label, _ in shown), default=0)
    bottom = float(_TOP + _ROW * max(1, len(shown)))
    size = (width, bottom + 24 + (20 if axis.label else 0))
    box = (left, float(_TOP), width - 80.0, bottom)
    rows = [_bar(label, number, index, across, box) for index, (label, number) in enumerate(shown)]
    notes = _left_out(len(everything) - len(finite))
    if len(finite) > MOST_BARS:
        notes.append(f"{MOST_BARS} of {len(finite):,} bars drawn.")
    return svg.chart(
        title,
        [f"{svg.plural(len(shown), 'bar', 'bars')}.", *notes],
        size,
        frame(across, Scale(Axis(), 0, 1, ()), box),
        svg.element("g", *rows),
        note(notes, size),
    )


def _left_out(count: int) -> list[str]:
    return (
        [f"{svg.plural(count, 'value', 'values')} not drawn: not finite, or not on this axis."]
        if count
        else []
    )


def _on_axis(value: object, axis: Axis) -> float | None:
    number = as_number(value)
    return None if number is None or (axis.kind == "log" and number <= 0) else number


def _edges(values: Sequence[float], axis: Axis, bins: int) -> list[float]:
    """Return the ends of the ranges, at round numbers where ranges are of one width."""
    if not values:
        return [1.0, 10.0] if axis.kind == "log" else [0.0, 1.0]
    low, high = min(values), max(values)
    if axis.kind == "log":
        step = max((math.log10(high) - math.log10(low)) / bins, 1e-3)
        count = max(1, math.ceil((math.log10(high) - math.log10(low)) / step - 1e-9))
        return [*(10 ** (math.log10(low) + index * step) for index in range(count)), high * (1 + 1e-12)]
    if high - low <= max(abs(low), abs(high)) * 1e-9:
        half = max(abs(low), abs(high)) * 0.1 or 0.5
        return [low - half, low + half]
    span = high - low
    step = float(time_step(span, bins)) if axis.kind == "time" else nice_step(span, bins)
    if axis.kind != "time" and all(value.is_integer() for value in values):
        step = max(1.0, step)
    first = math.floor(low / step + 1e-9)
    last = math.floor(high / step + 1e-9) + 1
    return [index * step for index in range(first, last + 1)]


def _counts(values: Iterable[float], edges: Sequence[float]) -> list[int]:
    counts = [0] * (len(edges) - 1)
    for value in values:
        counts[min(max(bisect_right(edges, value) - 1, 0), len(counts) - 1)] += 1
    return counts


def _column(
    ends: tuple[float, float],
    count: int,
    across: Scale,
    upwards: Scale,
    box: tuple[float, float, float, float],
) -> Markup:
    left, top, right, bottom = box
    begin, end = (left + (across.position(edge) or 0.0) * (right - left) for edge in ends)
    height = (upwards.position(count) or 0.0) * (bottom - top)
    tooltip = f"{across.show(ends[0])} to {across.show(ends[1])}: {count:,}"
    return svg.element(
        "rect",
        svg.element("title", tooltip),
        x=svg.number(begin + 0.5),
        y=svg.number(bottom - height),
        width=svg.number(max(1.0, end - begin - 1)),
        height=svg.number(height),
    )


def _bar(
    label: str, value: float, index: int, across: Scale, box: tuple[float, float, float, float]
) -> Markup:
    left, top, right, _ = box
    origin, end = (left + (across.position(place) or 0.0) * (right - left) for place in (0, value))
    down = top + index * _ROW
    shown = across.show(value)
    return svg.element(
        "g",
        svg.element("title", f"{label}: {shown}"),
        svg.element("text", label, x=svg.number(left - 8), y=svg.number(down + 16), text_anchor="end"),
        svg.element(
            "rect",
            x=svg.number(min(origin, end)),
            y=svg.number(down + 4),
            width=svg.number(max(abs(end - origin), 1.0)),
            height=_ROW - 8,
            class_=svg.css_class(0),
            fill=svg.colour(0),
        ),
        svg.element("text", shown, x=svg.number(max(origin, end) + 6), y=svg.number(down + 16)),
    )
