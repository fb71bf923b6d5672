"""json: jsonpickle's form to the byte, a fast path where values are plain, and nothing lost silently."""

import dataclasses
import datetime as dt
import io
import json
import math
from collections import OrderedDict, defaultdict
from enum import Enum
from pathlib import Path
from typing import Any

import jsonpickle
import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonpickle.tags import RESERVED

from perkey import FileDirDict, LocalDict, UnloadableValueError, UnstorableValueError
from perkey.content import bytes_of
from perkey.formats import JsonFormat
from perkey.formats.jsons import _TAGGED, is_plain

JSON = JsonFormat()

ATOMS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
# Keys and texts that jsonpickle gives a meaning, and such as only look so.
TAGLIKE = [
    "py/object",
    "py/id",
    "py/tuple",
    "py/",
    "py",
    "python",
    "/py/object",
    "py/b64",
    "py\\/id",
    '"py/id',
]
JSONLIKE = ["json://1", "json://", 'json://"a"', "json", "\\", "", "\x00", "\ud800", "\u2028", "é"]
AWKWARD = st.sampled_from(TAGLIKE + JSONLIKE)
PLAIN = st.recursive(
    ATOMS | AWKWARD,
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | AWKWARD, inner),
    max_leaves=15,
)
# What has a form in jsonpickle, plain or not.
EXPRESSIBLE = st.recursive(
    ATOMS | st.binary() | st.datetimes() | st.complex_numbers(allow_nan=False),
    lambda inner: (
        st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner) | st.sets(st.integers())
    ),
    max_leaves=10,
)


def both_ways(value: Any) -> Any:
    return JSON.decode(bytes_of(JSON.encode(value)))


def identical(left: Any, right: Any) -> bool:
    """Tell whether two plain values are the same, types, order and NaN included."""
    return type(left) is type(right) and repr(left) == repr(right)


@given(PLAIN)
@settings(max_examples=200)
def test_the_fast_path_writes_what_jsonpickle_writes(value: Any) -> None:
    if is_plain(value):
        assert bytes_of(JSON.encode(value)) == jsonpickle.encode(value, indent=4, keys=True).encode()


@given(PLAIN)
@settings(max_examples=200)
def test_the_fast_path_reads_what_jsonpickle_reads(value: Any) -> None:
    """Where no text or key has a meaning for jsonpickle, in whatever spelling of JSON it is written."""
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False), json.dumps(value, indent=1)):
        if not _TAGGED.search(text) and "\ud800" not in text:
            expected = jsonpickle.decode(text, keys=True, on_missing="error")
            assert identical(JSON.decode(text.encode()), expected)


@pytest.mark.parametrize(
    "spelling",
    [
        r'{"py/tuple": [1, 2]}',
        r'{"py\/tuple": [1, 2]}',
        r'{"\u0070y/tuple": [1, 2]}',
        r'{"p\u0079/tuple": [1, 2]}',
        r'{"p\u0079\u002ftuple": [1, 2]}',
        r'{"py\u002Ftuple": [1, 2]}',
        r'{"\u0070\u0079\/\u0074uple": [1, 2]}',
    ],
)
def test_tags_are_seen_in_all_the_spellings_that_json_has(spelling: str) -> None:
    assert JSON.decode(spelling.encode()) == (1, 2)


@given(st.recursive(ATOMS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=15))
@example({"a": [[], {}, [], {}]})
@example(["json://x", {"k": "py/object"}])
@example(float("nan"))
@example([math.inf, -0.0, 1e300, 10**30])
def test_plain_values_come_back(value: Any) -> None:
    if "\\ud8" not in json.dumps(value):
        assert identical(both_ways(value), value)


@given(EXPRESSIBLE)
@settings(max_examples=150)
def test_what_jsonpickle_expresses_comes_back_as_it_reads_it(value: Any) -> None:
    text = jsonpickle.encode(value, indent=4, keys=True)
    stored = bytes_of(JsonFormat(check=False).encode(value))
    assert stored.decode() == text
    assert repr(JSON.decode(stored)) == repr(jsonpickle.decode(text, keys=True, on_missing="error"))


@dataclasses.dataclass
class Point:
    x: int
    tags: list[str] = dataclasses.field(default_factory=list)


class Colour(Enum):
    RED = 1


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    "value",
    [
        *((1, (2, 3)), {1, 2}, frozenset([1]), b"\x00\xff", 1 + 2j),
        *(Point(1, ["a"]), [Point(1), Point(2)], Colour.RED),
        *({1: "a", (2, 3): "b", None: "c", False: "d"}, {"a": (1,)}, dt.datetime(2020, 1, 2, tzinfo=dt.UTC)),
        *(OrderedDict(b=1, a=2), Point, math.sqrt, dt.timedelta(1), dt.date(2020, 1, 1)),
        *({"json://x": 1}, [[], []], {"deep": [[[[[]]]]]}),
    ],
    ids=repr,
)
def test_objects_come_back(value: Any) -> None:
    found = both_ways(value)
    assert (type(found), found) == (type(value), value)


def test_shared_parts_stay_shared() -> None:
    part = [1]
    found = both_ways({"a": part, "b": part, "c": Point(1, ["x"])})
    assert found["a"] is found["b"]
    assert found == {"a": [1], "b": [1], "c": Point(1, ["x"])}


@pytest.mark.parametrize(
    "array", [np.arange(5), np.arange(6.0).reshape(2, 3).T, np.array(1.5), np.zeros(300_000)]
)
def test_arrays_come_back(array: Any) -> None:
    found = both_ways({"a": array, "t": "text"})["a"]
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


@pytest.mark.filterwarnings("ignore:keys will default to True:DeprecationWarning")  # jsonpickle's own frames
def test_frames_come_back() -> None:
    """As far as jsonpickle's own form goes: columns of text come back as objects."""
    times = pd.to_datetime(["2020-01-01", "2021-01-01"])
    frame = pd.DataFrame({"a": [1, 2], "c": [1.5, None], "t": times}, index=["r", "s"])
    assert both_ways(frame).equals(frame)
    assert both_ways({"s": frame["a"]})["s"].equals(frame["a"])
    texts = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    assert both_ways(texts).to_dict() == texts.to_dict()


@pytest.mark.parametrize("kind", ["lambda", "open file", "generator", "nested", "key", "attribute"])
def test_what_would_be_lost_is_refused(tmp_path: Path, kind: str) -> None:
    """jsonpickle writes null in place of what it cannot express; a store must not."""
    d = FileDirDict[Any](tmp_path, "json")
    d["k"] = "old"
    with Path(__file__).open("rb") as file:
        values: dict[str, Any] = {"lambda": lambda: 0, "open file": file, "generator": (c for c in "a")}
        values |= {"nested": {"a": [1, {"b": lambda: 0}]}, "key": {(lambda: 0): 1}}
        values |= {"attribute": OrderedDict(a=Point(1), b=[file])}
        with pytest.raises(UnstorableValueError) as caught:
            d["k"] = values[kind]
    assert (caught.value.key, d["k"], len(list(tmp_path.iterdir()))) == (("k",), "old", 1)


def test_keys_that_jsonpickle_would_lose_are_refused() -> None:
    """It takes keys such as "py/object" for its own, and writes nothing."""
    for key in sorted(RESERVED):
        for value in ({key: "x"}, {"a": [{key: 1}]}):
            with pytest.raises(UnstorableValueError, match=key):
                JSON.encode(value)
    assert both_ways({"py/other": 1, "py/": 2}) == {"py/other": 1, "py/": 2}


@pytest.mark.parametrize("depth", [10, 100, 150, 3000])
def test_deep_nesting_comes_back_or_is_refused(depth: int) -> None:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    d = LocalDict[Any]("json")
    try:
        d["k"] = value
    except UnstorableValueError:
        assert depth > 100
    else:
        assert json.dumps(d["k"]) == json.dumps(value)


def test_deep_nesting_written_by_others_is_told_as_such() -> None:
    deep = b"[" * 200_000 + b"]" * 200_000
    with pytest.raises(UnloadableValueError, match="too deeply"):
        JSON.decode(deep)


def test_a_class_that_is_not_here_is_no_damage(tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path, "json")
    d["k"] = Point(1)
    (path,) = tmp_path.iterdir()
    for absent in ("no_such_module.Point", f"{Point.__module__}.NoSuchClass"):
        path.write_text(path.read_text().replace(f"{Point.__module__}.Point", absent))
        with pytest.raises(UnloadableValueError) as caught:
            d["k"]
        assert (caught.value.key, caught.value.place) == (("k",), str(path))
        assert absent in str(caught.value)
        assert path.exists()
        path.write_text(path.read_text().replace(absent, f"{Point.__module__}.Point"))
    assert d["k"] == Point(1)


def test_files_are_read_as_streams_as_well() -> None:
    assert JSON.decode(io.BytesIO(b'{"a": [1, 2]}')) == {"a": [1, 2]}


def test_files_are_plain_json_for_people_and_other_programs(tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path, "json")
    d["k"] = {"text": "é", "list": [1, None]}
    (path,) = tmp_path.iterdir()
    assert path.read_text() == '{\n    "text": "\\u00e9",\n    "list": [\n        1,\n        null\n    ]\n}'


def test_default_factories_and_subclasses_take_the_slow_path() -> None:
    counts: defaultdict[str, int] = defaultdict(int, a=1)
    assert not is_plain(counts)
    assert both_ways(counts) == counts
    assert type(both_ways(counts)) is defaultdict
    assert not is_plain(Text("a"))
    assert not is_plain({"a": (1,)})
