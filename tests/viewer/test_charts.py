"""Charts: well-formed, named, bounded, and without anything that a page must not take from a value."""

from __future__ import annotations

import math
import random
import re
import time
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perkey.viewer.charts import Axis, Series, Strand, bars, histogram, line, parallel, scatter
from perkey.viewer.charts.axes import Kind, nice_step, scale
from perkey.viewer.charts.parallels import MOST_AXES, MOST_LINES
from perkey.viewer.charts.planes import MOST_GROUPS, MOST_POINTS

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "<script>alert(1)</script>\" onload='x' \x00\x1b\u202e\ud800 ]]> &"
numbers = st.one_of(st.floats(), st.integers(), st.booleans(), st.none(), st.text(max_size=5))
texts = st.text(max_size=30)
kinds: st.SearchStrategy[Kind] = st.sampled_from(("number", "log", "time", "bytes", "text"))


def parsed(svg: str) -> ET.Element:
    """Parse a chart; check what holds for all charts."""
    root = ET.fromstring(svg)  # refuses control characters, too
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    assert root[0].tag == f"{SVG}title"
    assert root[0].text
    assert root[1].tag == f"{SVG}desc"
    allowed = {"svg", "title", "desc", "g", "path", "circle", "rect", "text"}
    for each in root.iter():
        assert each.tag.removeprefix(SVG) in allowed
        for name, value in each.attrib.items():
            assert not name.lower().startswith(("on", "style", "href"))
            assert "nan" not in value.split()
            assert "inf" not in value.split()
    return root


def described(svg: str) -> str:
    return parsed(svg)[1].text or ""


@given(
    st.lists(st.tuples(st.lists(st.tuples(numbers, numbers), max_size=20), texts), max_size=12),
    kinds,
    kinds,
    texts,
    st.sampled_from((line, scatter)),
)
def test_charts_of_all_values_are_sound(
    groups: list[tuple[list[tuple[Any, Any]], str]], x: Kind, y: Kind, text: str, draw: Callable[..., str]
) -> None:
    series = [
        Series([one for one, _ in points], [other for _, other in points], name) for points, name in groups
    ]
    parsed(draw(series, title=f"t {text}", x=Axis(text, x), y=Axis(text, y)))


@given(st.lists(numbers, max_size=40), kinds.filter(lambda kind: kind != "text"))
def test_histograms_of_all_values_are_sound(values: list[Any], kind: Kind) -> None:
    parsed(histogram(values, title="t", x=Axis("x", kind)))


@given(st.lists(st.tuples(texts, numbers), max_size=50))
def test_bars_of_all_values_are_sound(pairs: list[tuple[str, Any]]) -> None:
    parsed(bars(pairs, title="t"))


@pytest.mark.parametrize("draw", [line, scatter])
def test_hostile_texts_are_texts(draw: Callable[..., str]) -> None:
    series = [Series([1, 2], [3, 4], HOSTILE, [HOSTILE, HOSTILE], ["javascript:x", f'"><b>{HOSTILE}'])]
    svg = draw(series, title=HOSTILE, x=Axis(HOSTILE), y=Axis(HOSTILE))
    root = parsed(svg)
    assert "<script" not in svg
    assert "alert(1)" in (root[0].text or "")
    assert r"\x00" in (root[0].text or "")
    assert "\u202e" not in svg


def test_what_cannot_be_drawn_is_counted() -> None:
    values = [1.0, math.nan, math.inf, -math.inf, None, "x", 10**400, 3]
    assert "6 values not drawn" in described(scatter([Series(range(8), values)], title="t"))
    assert "6 values not drawn" in described(histogram(values, title="t"))
    assert "2 bars." in described(bars(zip("abcdefgh", values, strict=True), title="t"))
    assert "2 values not drawn" in described(
        scatter([Series([-1, 0, 1], [1, 1, 1])], title="t", x=Axis("", "log"))
    )


def test_nan_interrupts_a_line() -> None:
    svg = line([Series(range(5), [1, 2, math.nan, 4, 5])], title="t")
    path = next(each for each in parsed(svg).iter() if "chart-line" in each.get("class", ""))
    assert path.get("d", "").count("M") == 2


@pytest.mark.parametrize("draw", [line, scatter])
@pytest.mark.parametrize("order", ["sorted", "shuffled"])
def test_the_number_of_points_is_bounded(draw: Callable[..., str], order: str) -> None:
    draws = random.Random(1)
    across = list(range(100_000))
    if order == "shuffled":
        draws.shuffle(across)
    svg = draw([Series(across, [draws.random() for _ in across], name) for name in "ab"], title="t")
    assert len(svg) < 400_000
    points = len(re.findall(r"<circle|<path d=\"M[^\"]*z\"|L", svg))
    assert points <= MOST_POINTS + 20
    assert re.search(r"[\d,]+ of 200,000 points drawn", described(svg))


def test_the_lowest_and_highest_points_of_a_line_are_kept() -> None:
    values = [0.5] * 50_000
    values[12_345], values[23_456] = 0.0, 1.0
    svg = line([Series(range(50_000), values)], title="t", size=(720, 400))
    path = next(each.get("d", "") for each in parsed(svg).iter() if "chart-line" in each.get("class", ""))
    heights = {float(point.split()[1]) for point in re.split("[ML]", path) if point}
    assert len(heights) == 3


def test_groups_have_colours_and_shapes_and_a_legend() -> None:
    series = [Series([1], [index], f"group {index}") for index in range(MOST_GROUPS + 3)]
    root = parsed(scatter(series, title="t"))
    shown = [each.text for each in root.iter(f"{SVG}text")]
    assert "group 0" in shown
    assert "(4 other groups)" in shown
    assert len({each.get("fill") for each in root.iter() if each.get("class", "").startswith("chart-")}) >= 8


@pytest.mark.parametrize(
    ("kind", "values", "ticks"),
    [
        ("number", [0, 1], ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        ("number", [0, 97], ["0", "20", "40", "60", "80", "100"]),
        ("log", [0.01, 100], ["0.01", "0.1", "1", "10", "100"]),
        ("bytes", [0, 4096], ["0 bytes", "1.0 KiB", "2.0 KiB", "3.0 KiB", "4.0 KiB"]),
        ("text", ["b", "a", "b"], ["b", "a"]),
    ],
)
def test_ticks_are_round(kind: Kind, values: list[Any], ticks: list[str]) -> None:
    assert [text for _, text in scale(Axis("", kind), values, ticks=5).ticks] == ticks


@pytest.mark.parametrize("seconds", [3, 600, 86_400, 40 * 86_400, 2_000 * 86_400])
def test_ticks_of_times_are_few_and_different(seconds: int) -> None:
    now = time.time()
    ticks = [text for _, text in scale(Axis("", "time"), [now - seconds, now], ticks=8).ticks]
    assert 2 <= len(ticks) <= 10
    assert len(set(ticks)) == len(ticks)


@given(st.floats(1e-200, 1e200), st.integers(1, 20))
def test_steps_are_few(span: float, count: int) -> None:
    assert span / nice_step(span, count) <= count * (1 + 1e-6)


def test_all_values_of_a_histogram_are_in_a_column() -> None:
    draws = random.Random(2)
    values = [draws.gauss(0, 1) for _ in range(1_000)]
    root = parsed(histogram(values, title="t"))
    counts = [int((each[0].text or "").rpartition(" ")[2]) for each in root.iter(f"{SVG}rect")]
    assert sum(counts) == 1_000


@given(
    st.lists(st.tuples(kinds, texts), max_size=5),
    st.lists(st.tuples(st.lists(numbers, min_size=5, max_size=5), texts, texts), max_size=12),
    texts,
)
def test_parallel_coordinates_of_all_values_are_sound(
    axes: list[tuple[Kind, str]], things: list[tuple[list[Any], str, str]], title: str
) -> None:
    strands = [Strand(values, group, label, "/j/1") for values, group, label in things]
    root = parsed(parallel([Axis(text, kind) for kind, text in axes], strands, title=f"t{title}"))
    drawn = [each for each in root.iter(f"{SVG}path") if "chart-strand" in (each.get("class") or "")]
    assert len(drawn) == len(things)


def test_parallel_coordinates_have_an_axis_for_each_value_and_a_line_for_each_thing() -> None:
    axes = [Axis("a"), Axis("b", "text"), Axis("c", "log")]
    strands = [Strand([0, "x", 1], "one", "first", "/1"), Strand([10, "y", 100], "two", "second", "/2")]
    strands.append(Strand([5, "x", -1], "two", HOSTILE))
    root = parsed(parallel(axes, strands, title="t"))
    text = root[1].text or ""
    assert "Axes: a from 0 to 10, b, c from 1 to 100." in text
    assert "3 lines." in text
    assert "1 value missing, or not on the axis." in text
    lines = [each for each in root.iter(f"{SVG}path") if "chart-strand" in (each.get("class") or "")]
    assert [each.get("data-href") for each in lines] == ["/1", "/2", None]
    starts = [re.match(r"M([\d.]+) ([\d.]+)", each.get("d") or "") for each in lines]
    heights = [float(each[2]) for each in starts if each]
    assert heights[0] > heights[2] > heights[1]  # 0, 5 and 10, from below
    assert len({each[1] for each in starts if each}) == 1
    assert [len(re.findall("[ML]", each.get("d") or "")) for each in lines] == [3, 3, 2]
    assert (lines[0][0].text or "") == "first: a 0, b x, c 1"


def test_parallel_coordinates_are_bounded() -> None:
    strands = [Strand([number] * 40, f"group {number % 20}", f"thing {number}") for number in range(20_000)]
    svg = parallel([Axis(f"axis {number}") for number in range(40)], strands, title="t")
    assert svg.count("chart-strand") == MOST_LINES
    assert svg.count('font-weight="600"') == MOST_AXES + 1
    assert "500 of 20,000 lines drawn" in described(svg)
    assert len(svg) < 400_000
