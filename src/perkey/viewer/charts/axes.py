"""Axes: which values can be drawn, where they lie, and where the ticks are."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from numbers import Real
from typing import Final, Literal

from perkey.showing import size_text
from perkey.viewer.charts.svg import label as short_label

Kind = Literal["number", "log", "time", "bytes", "text"]

MOST_CATEGORIES: Final = 30
OTHER_CATEGORIES: Final = "(others)"

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_TIME_STEPS: Final = (
    1, 2, 5, 10, 15, 30,
    _MINUTE, 2 * _MINUTE, 5 * _MINUTE, 10 * _MINUTE, 15 * _MINUTE, 30 * _MINUTE,
    _HOUR, 2 * _HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR,
    _DAY, 2 * _DAY, 7 * _DAY, 14 * _DAY,
)  # fmt: skip
_MONTHS: Final = (1, 2, 3, 6, 12, 24, 60, 120, 240, 600, 1_200, 2_400, 6_000, 12_000, 60_000, 120_000)
_MONTH: Final = 30.4 * _DAY
_FIRST_TIME: Final = datetime(1, 1, 2, tzinfo=UTC).timestamp()
_LAST_TIME: Final = datetime(9999, 12, 1, tzinfo=UTC).timestamp()


@dataclass(frozen=True, slots=True)
class Axis:
    """What an axis shows.

    Args:
        label: The name of the values, with their unit.
        kind: How values are read: ``"number"``; ``"log"``, of which only those above zero are drawn;
            ``"time"``, seconds since the epoch, shown in local time; ``"bytes"``; ``"text"``, where each
            different value has a place.
    """

    label: str = ""
    kind: Kind = "number"


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis with its range.

    Attributes:
        axis: The axis.
        low: The lowest value of the range, as `position` uses it: a logarithm on a logarithmic axis.
        high: The highest.
        ticks: Places between 0 and 1, and their labels.
        places: The place of each text, if values are texts.
    """

    axis: Axis
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    places: dict[str, float] | None = None

    def position(self, value: object) -> float | None:
        """Return where a value lies between 0 and 1; None if it cannot be drawn."""
        if self.places is not None:
            return self.places.get(as_text(value), self.places.get(OTHER_CATEGORIES))
        found = as_number(value)
        if found is None:
            return None
        if self.axis.kind == "log":
            if found <= 0:
                return None
            found = math.log10(found)
        return _between(found, self.low, self.high)

    def show(self, value: object) -> str:
        """Return a value as a tooltip shows it."""
        found = as_number(value)
        if self.places is not None or found is None:
            return as_text(value)
        if self.axis.kind == "time":
            return _clock(found, "%Y-%m-%d %H:%M:%S")
        if self.axis.kind == "bytes":
            return size_text(found)
        return f"{found:.6g}"


def scale(axis: Axis, values: Iterable[object], *, ticks: int, zero: bool = False) -> Scale:
    """Return the scale that fits some values.

    Args:
        axis: The axis.
        values: All values on it.
        ticks: About how many ticks there are at most.
        zero: Whether the range includes zero.
    """
    if axis.kind == "text":
        return _of_texts(axis, values)
    found = [number for value in values if (number := as_number(value)) is not None]
    if axis.kind == "log":
        return _of_logarithms(axis, [math.log10(number) for number in found if number > 0], ticks)
    low, high = (min(found), max(found)) if found else (0.0, 1.0)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if axis.kind == "time":
        return _of_times(axis, low, high, ticks)
    return _of_numbers(axis, low, high, ticks)


def as_number(value: object) -> float | None:
    """Return a finite number; None for all other values.

    >>> as_number(True), as_number(float("nan")), as_number("1"), as_number(10**400)
    (1.0, None, None, None)
    """
    if not isinstance(value, Real):
        return None
    try:
        found = float(value)
    except (OverflowError, TypeError, ValueError):
        return None
    # Differences of larger numbers are not finite.
    return found if abs(found) < 1e300 else None  # noqa: PLR2004


def as_text(value: object) -> str:
    """Return the text of a value on an axis of texts."""
    return value if isinstance(value, str) else "" if value is None else str(value)


def nice_step(span: float, count: int) -> float:
    """Return a step of 1, 2 or 5 times a power of ten, with which a span has at most so many steps.

    >>> nice_step(10, 5), nice_step(0.7, 7), nice_step(95, 10)
    (2.0, 0.1, 10.0)
    """
    least = span / max(count, 1)
    exponent = math.floor(math.log10(least))
    steps = (float(f"{factor}e{exponent}") for factor in (1, 2, 5))
    return next((step for step in steps if step >= least * (1 - 1e-9)), float(f"1e{exponent + 1}"))


def time_step(span: float, count: int) -> float:
    """Return a step in seconds that people count in, with which a span has at most so many steps."""
    least = span / max(count, 1)
    return next((step for step in _TIME_STEPS if step >= least), nice_step(span / _DAY, count) * _DAY)


def _between(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low)


def _widened(low: float, high: float) -> tuple[float, float]:
    """Return a range that is not empty, with enough numbers in it."""
    if high - low > max(abs(low), abs(high)) * 1e-9:
        return low, high
    half = max(abs(low), abs(high)) * 0.1 or 0.5
    return low - half, high + half


def _multiples(low: float, high: float, step: float) -> list[float]:
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def _of_numbers(axis: Axis, low: float, high: float, ticks: int) -> Scale:
    low, high = _widened(low, high)
    step = _binary_step(high - low, ticks) if axis.kind == "bytes" else nice_step(high - low, ticks)
    # The range ends at ticks, unless that would leave much of it empty.
    first, last = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    low, high = min(first, low), max(last, high)
    show = size_text if axis.kind == "bytes" else _formatter(step, max(abs(low), abs(high)))
    marks = [(_between(value, low, high), show(value)) for value in _multiples(low, high, step)]
    return Scale(axis, low, high, marks)


def _binary_step(span: float, count: int) -> float:
    unit = 1024.0 ** max(0, math.floor(math.log(max(span, 1.0), 1024)))
    return max(nice_step(span / unit, count) * unit, 1.0)


def _formatter(step: float, largest: float) -> Callable[[float], str]:
    if largest >= 1e6 or largest < 1e-4:  # noqa: PLR2004
        digits = max(0, math.floor(math.log10(largest)) - math.floor(math.log10(step) + 1e-9))
        return lambda value: "0" if not value else _exponential(value, digits)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return lambda value: f"{value + 0.0:,.{decimals}f}"


def _exponential(value: float, digits: int) -> str:
    mantissa, _, exponent = f"{value:.{min(digits, 12)}e}".partition("e")
    return f"{mantissa}e{int(exponent)}"


def _of_logarithms(axis: Axis, logs: list[float], ticks: int) -> Scale:
    low, high = (min(logs), max(logs)) if logs else (0.0, 1.0)
    if high - low < 1:  # less than one power of ten: ticks at 1, 2 and 5
        return _of_part_of_a_decade(axis, low, high)
    low, high = float(math.floor(low + 1e-9)), float(math.ceil(high - 1e-9))
    step = max(1, math.ceil((high - low) / max(ticks, 1)))
    marks = [
        (_between(exponent, low, high), _power(exponent)) for exponent in range(int(low), int(high) + 1, step)
    ]
    return Scale(axis, low, high, marks)


def _of_part_of_a_decade(axis: Axis, low: float, high: float) -> Scale:
    low, high = low - 0.02, high + 0.02
    exponents = range(math.floor(low) - 1, math.ceil(high) + 2)
    steps = [math.log10(factor) + exponent for exponent in exponents for factor in (1, 2, 5)]
    low = max(step for step in steps if step <= low)
    high = min(step for step in steps if step >= high)
    marks = [(_between(step, low, high), f"{10**step:.3g}") for step in steps if low <= step <= high]
    return Scale(axis, low, high, marks)


def _power(exponent: int) -> str:
    if 0 <= exponent < 5:  # noqa: PLR2004
        return f"{10**exponent:,}"
    return f"{10.0**exponent:g}" if -5 < exponent < 0 else f"1e{exponent}"  # noqa: PLR2004


def _of_times(axis: Axis, low: float, high: float, ticks: int) -> Scale:
    low, high = (min(max(end, _FIRST_TIME), _LAST_TIME) for end in (low, high))
    if high - low < 1:
        low, high = low - 1, high + 1
    ticks = max(2, ticks)
    least = (high - low) / ticks
    step = next((step for step in _TIME_STEPS if step >= least), None)
    if step is None:
        return Scale(axis, low, high, _months(low, high, least))
    pattern = "%H:%M:%S" if step < _MINUTE else "%H:%M" if step < _DAY else "%Y-%m-%d"
    if step < _DAY < high - low:
        pattern = "%m-%d %H:%M"
    # Full hours and days are those of local time.
    offset = (datetime.fromtimestamp(low, UTC).astimezone().utcoffset() or timedelta()).total_seconds()
    marks = [mark - offset for mark in _multiples(low + offset, high + offset, step)]
    return Scale(axis, low, high, [(_between(mark, low, high), _clock(mark, pattern)) for mark in marks])


def _months(low: float, high: float, least: float) -> list[tuple[float, str]]:
    step = next(step for step in _MONTHS if step * _MONTH >= least)
    begin, end = (datetime.fromtimestamp(end, UTC) for end in (low, high))
    first = (begin.year * 12 + begin.month - 1) // step * step
    months = range(max(first, 12), end.year * 12 + 12, step)
    days = [datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC) for month in months]
    pattern = "%Y-%m" if step < 12 else "%Y"  # noqa: PLR2004
    return [
        (_between(day.timestamp(), low, high), day.strftime(pattern))
        for day in days
        if low <= day.timestamp() <= high
    ]


def _clock(seconds: float, pattern: str) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).astimezone().strftime(pattern)
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g} s"


def _of_texts(axis: Axis, values: Iterable[object]) -> Scale:
    names = list(dict.fromkeys(as_text(value) for value in values))
    if len(names) > MOST_CATEGORIES:
        names = [*names[: MOST_CATEGORIES - 1], OTHER_CATEGORIES]
    places = {name: (index + 0.5) / len(names) for index, name in enumerate(names)}
    return Scale(axis, 0, 1, [(place, short_label(name)) for name, place in places.items()], places)
