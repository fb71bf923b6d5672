"""A filter means what its plain-Python reading says."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import FrozenInstanceError, fields
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perkey import FileDirDict
from perkey.dataspace import Collection, init_project
from perkey.dataspace.search import JobFilter
from perkey.query import compile_filter, find, matches, parse
from perkey.query.filters import AllOf, Condition

DOCUMENT = {"a": 1, "b": {"c": 2.5, "d": [1, 2]}, "s": "foobar", "t": True, "n": None, "e": {}, "l": []}


@pytest.mark.parametrize(
    "filter",
    [
        None,
        {},
        {"a": 1},
        {"a": 1.0},
        {"a": True},
        {"a": np.int64(1)},
        {"t": 1},
        {"n": None},
        {"e": {}},
        {"l": []},
        {"b.c": 2.5},
        {"b": {"c": 2.5}},
        {"b.d": (1, 2)},
        {"b": {"$eq": {"c": 2.5, "d": [1, 2]}}},
        {"b": {"d": {"$eq": np.array([1, 2])}}},
        {"a.$gte": 1},
        {"a": {"$gt": 0, "$lt": 2}},
        {"a": {"$ne": 2}},
        {"a": {"$in": [3, 1]}},
        {"a": {"$in": [[9], 1]}},
        {"b.d": {"$in": [[1, 2]]}},
        {"s": {"$in": {"foobar"}}},
        {"a": {"$nin": [2]}},
        {"s": {"$regex": "oo"}},
        {"s": {"$regex": re.compile("^f")}},
        {"a": {"$type": "int"}},
        {"a": {"$type": int}},
        {"t": {"$type": "bool"}},
        {"n": {"$type": "null"}},
        {"b.d": {"$type": list}},
        {"b": {"$type": "dict"}},
        {"b.c": {"$near": 2.5000000000001}},
        {"b.c": {"$near": [2, 0.3]}},
        {"b.c": {"$near": [2, 0, 0.6]}},
        {"z": {"$exists": False}},
        {"b.c": {"$exists": True}},
        {"a": {"$where": lambda value: value < 2}},
        {"$and": [{"a": 1}, {"t": True}]},
        {"$or": [{"a": 2}, {"s": "foobar"}]},
        {"$not": {"a": 2}},
        {"$not": {"z": 1}},
        {"b": {"$or": [{"c": 0}, {"d": [1, 2]}]}},
        {"a": {"$not": {"$gt": 1}}},
    ],
)
def test_matches(filter: Any) -> None:
    assert matches(DOCUMENT, filter)
    assert not matches(DOCUMENT, {"$not": filter or {}})


@pytest.mark.parametrize(
    "filter",
    [
        {"a": 2},
        {"a": "1"},
        {"a.x": 1},
        {"b": {"c": 2.5, "d": []}},
        {"z": None},
        {"z": {"$ne": 1}},
        {"z": {"$nin": [1]}},
        {"z": {"$where": lambda _: True}},
        {"z": {"$gt": 0}},
        {"s": {"$gt": 1}},
        {"n": {"$lt": 1}},
        {"b.d": {"$in": [1, 2]}},
        {"a": {"$regex": "1"}},
        {"t": {"$type": "int"}},
        {"a": {"$type": "float"}},
        {"s": {"$near": 1}},
        {"a": {"$exists": False}},
        {"a": 1, "t": False},
        {"$and": [{"a": 1}, {"a": 2}]},
        {"$or": [{"a": 0}, {"a": 2}]},
        {"$not": {}},
    ],
)
def test_does_not_match(filter: Any) -> None:
    assert not matches(DOCUMENT, filter)


@pytest.mark.parametrize(
    ("filter", "message"),
    [
        ({"a": {"$foo": 1}}, "unknown operator '\\$foo'"),
        ({"a": {"$near": 10**400}}, "\\$near cannot compare"),
        ({"a": {"$near": [1, -1]}}, "\\$near cannot compare"),
        ({"a": {"$regex": b"x"}}, "for text"),
        ({"$foo": 1}, "unknown operator"),
        ({"a.$gt.b": 1}, "end of a path"),
        ({"$and": {"a": 1}}, "list of one or more"),
        ({"$or": []}, "list of one or more"),
        ({"a": {"$in": 5}}, "take a list"),
        ({"a": {"$in": "abc"}}, "take a list"),
        ({"a": {"$regex": "["}}, "regular expression"),
        ({"a": {"$regex": 5}}, "regular expression"),
        ({"a": {"$type": "integer"}}, "\\$type knows"),
        ({"a": {"$near": [1, 2, 3, 4]}}, "\\$near takes"),
        ({"a": {"$near": "1"}}, "\\$near takes"),
        ({"a": {"$exists": 1}}, "True or False"),
        ({"a": {"$where": "lambda x: x"}}, "never run as code"),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused_before_anything_is_searched(
    filter: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        find({}, filter)


@pytest.mark.parametrize(
    ("filter", "place"),
    [
        ("a", "filter must be"),
        ({"a": 1, 5: 1}, "the keys of filter must"),
        ({"$not": 5}, "filter['$not'] must be"),
        ({"a": {"b": {5: 1}}}, "the keys of filter['a']['b'] must"),
        ({"$or": [{"a": 1}, 5]}, "filter['$or'][1] must be"),
        ({"$and": [{"a": 1}, {"$or": []}]}, "filter['$and'][1]['$or'] must be"),
        ({"a": {"b.$foo": 1}}, "filter['a']['b.$foo']: unknown operator '$foo'"),
        ({"a": {"$not": {"$type": "x"}}}, "filter['a']['$not']['$type']: $type knows"),
        ({"$or": [{"a": 1}, {"b.$gt.c": 1}]}, "filter['$or'][1]['b.$gt.c']: an operator"),
    ],
    ids=str,
)
def test_an_error_says_where_in_the_filter(filter: Any, place: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{re.escape(place)}"):
        find({}, filter)


@pytest.mark.parametrize("filter", [5, "a", ["a"], {5: 1}, {"$not": 5}])
def test_what_is_no_filter_is_refused(filter: Any) -> None:
    with pytest.raises(TypeError):
        compile_filter(filter)


def test_values_need_not_be_of_json() -> None:
    assert matches({"a": np.float64(2)}, {"a": 2})
    assert matches({"a": (1, (2,))}, {"a": [1, [2]]})
    assert matches(MappingProxyType({"a": MappingProxyType({"b": 1})}), {"a.b": 1})
    assert not matches({"a": np.array([1, 2])}, {"a": {"$gt": 0}})
    assert not matches({"a": object()}, {"a": [1]})
    assert not matches(3, {"a": 1})
    assert matches(3, {"$gt": 2})


def test_find_works_on_any_dictionary(tmp_path: Any) -> None:
    d: FileDirDict[Any] = FileDirDict(tmp_path, file_type="json")
    d.update({"x": {"n": 1, "k": "a"}, "y": {"n": 2, "k": "a"}, "z": 5})
    found = dict(find(d, {"n": {"$gte": 1}, "k": "a", "$not": {"n": 1}}))
    assert [tuple(key) for key in found] == [("y",)]
    assert [tuple(key) for key, _ in find(d, {"$type": "int"})] == [("z",)]
    assert len(list(find(d))) == 3


def test_what_combines_filters_can_follow_a_path() -> None:
    assert matches(DOCUMENT, {"b.$or": [{"c": 0}, {"d": [1, 2]}], "a.$not": {"$gt": 1}})
    assert not matches(DOCUMENT, {"b.$and": [{"c": 0}, {"d": [1, 2]}]})


class Awkward:
    """Its comparisons fail, as those of data frames do."""

    def __eq__(self, other: object) -> bool:
        raise ValueError("ambiguous")

    def __gt__(self, other: object) -> bool:
        raise ArithmeticError

    def __float__(self) -> float:
        raise ValueError("no number")

    __lt__ = __ge__ = __le__ = __gt__
    __hash__ = None  # type: ignore[assignment]


def endless() -> list[Any]:
    result: list[Any] = []
    result.append(result)
    return result


AWKWARD: dict[str, Any] = {
    "frame": pd.DataFrame({"a": [1, 2]}),
    "series": pd.Series([1, 2]),
    "array": np.arange(3),
    "numbers": np.array(7),
    "signalling NaN": Decimal("sNaN"),
    "large": 10**400,
    "complex": 1j,
    "bytes": b"a",
    "set": {1, 2},
    "list": [1, "x"],
    "endless": endless(),
    "awkward": Awkward(),
    "text": "x",
    "nothing": None,
    "number": 5,
}
CONDITIONS: list[dict[str, Any]] = [
    {"$eq": 1}, {"$eq": [1]}, {"$eq": {"a": 1}}, {"$gt": 0}, {"$lt": "x"}, {"$gte": [0]}, {"$in": [1, "a"]},
    {"$in": [[1]]}, {"$near": 1.0}, {"$regex": "a"}, {"$type": "int"}, {"$exists": True},
]  # fmt: skip


@pytest.mark.parametrize("condition", CONDITIONS, ids=str)
def test_values_of_any_type_are_searched(condition: dict[str, Any]) -> None:
    """What is not a mapping has no paths, and what cannot be compared does not match: neither raises."""
    items = {**AWKWARD, "found": {"n": 1}}
    assert list(find(items, {"n": {"$gt": 0}})) == [("found", {"n": 1})]
    assert not dict(find(AWKWARD, {"n": condition}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of NumPy, about comparisons by element
        found = dict(find(AWKWARD, condition))
        inside = dict(find({name: {"n": value} for name, value in AWKWARD.items()}, {"n": condition}))
    assert found.keys() == inside.keys()
    assert (found.keys() == AWKWARD.keys()) == (condition == {"$exists": True})


def test_nan_equals_nothing() -> None:
    nan = float("nan")
    assert not matches({"a": nan}, {"a": nan})
    assert not matches({"a": nan}, {"a": {"$in": [nan, 1]}})
    assert matches({"a": nan}, {"a": {"$nin": [nan]}})


def test_find_is_lazy() -> None:
    class Counting(dict[str, int]):
        seen = 0

        def items(self) -> Any:
            for item in super().items():
                Counting.seen += 1
                yield item

    assert next(find(Counting(a=1, b=2)))
    assert Counting.seen == 1


NESTED = {"a.b": 1, "c": {"d": {"$gt": 1}, "e.$lt": 2}, "$or": [{"f": 1}, {"$not": {"g": 1}}], "h": {}}


def test_nodes_say_what_a_filter_is_about() -> None:
    node = parse(NESTED)
    assert list(node.paths()) == [("a", "b"), ("c", "d"), ("c", "e"), ("f",), ("g",), ("h",)]
    assert list(node.equalities()) == [(("a", "b"), 1), (("h",), {})]
    assert [each.operator for each in node.conditions()] == ["$eq", "$gt", "$lt", "$eq", "$eq", "$eq"]
    assert len(node.conjuncts()) == 5
    moved = node.moved(lambda path: ("z", *path))
    assert list(moved.paths()) == [("z", *path) for path in node.paths()]
    assert list(parse(NESTED, at=("z",)).paths()) == list(moved.paths())


def test_nodes_never_change() -> None:
    wanted = [1]
    filter: dict[str, Any] = {"a": wanted, "b": {"$in": wanted}}
    node = parse(filter)
    wanted.append(2)
    filter["c"] = 3
    assert node.matches({"a": [1], "b": 1})
    for each in (node, *node.conditions()):
        assert isinstance(each, AllOf | Condition)
        with pytest.raises(FrozenInstanceError):
            setattr(each, fields(each)[0].name, ())


class Counted(Mapping[str, Any]):
    """A filter that counts how often it is read; so are the filters in it."""

    def __init__(self, filter: Mapping[str, Any]) -> None:
        self.reads = 0
        self._filter = {key: self._inner(value) for key, value in filter.items()}

    def _inner(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._inner(each) for each in value]
        return Counted(value) if isinstance(value, dict) and value else value

    def __iter__(self) -> Iterator[str]:
        self.reads += 1
        return iter(self._filter)

    def __getitem__(self, key: str) -> Any:
        return self._filter[key]

    def __len__(self) -> int:
        return len(self._filter)

    def most_reads(self) -> int:
        parts = [
            each
            for value in self._filter.values()
            for each in (value if isinstance(value, list) else [value])
        ]
        return max([self.reads, *(each.most_reads() for each in parts if isinstance(each, Counted))])


SEARCHES: dict[str, Callable[[Any, Any], object]] = {
    "find": lambda wanted, _: list(find({"x": {"a": 1}}, wanted)),
    "matches": lambda wanted, _: matches({"a": 1}, wanted),
    "find_jobs": lambda wanted, project: len(project.find_jobs(wanted)),
    "JobFilter": lambda wanted, _: JobFilter(wanted, None),
    "documents": lambda wanted, _: JobFilter(None, wanted),
    "Collection": lambda wanted, _: list(Collection([{"a": 1}]).find(wanted)),
}


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize(
    "filter",
    [NESTED, {"a": 1}, {"sp.a": {"$gt": 0}, "a": 1, "doc": {"b": 1}}, {"$or": [{"doc.a": 1}, {"a": 1}]}],
    ids=str,
)
def test_a_search_reads_its_filter_once(search: str, filter: dict[str, Any], tmp_path: Path) -> None:
    counted = Counted(filter)
    SEARCHES[search](counted, init_project(path=tmp_path))
    assert counted.most_reads() == 1


# --- Against a plain reading ----------------------------------------------------------------------------

KEYS = st.sampled_from("abc")
LEAVES = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, 1.0, float("nan")]) | st.text("xy")
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=6
)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=3)
OPERATIONS = st.one_of(
    st.tuples(st.sampled_from(["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"]), VALUES),
    st.tuples(st.sampled_from(["$in", "$nin"]), st.lists(VALUES, max_size=3)),
    st.tuples(st.just("$exists"), st.booleans()),
    st.tuples(st.just("$type"), st.sampled_from(["int", "float", "bool", "str", "list", "null"])),
    st.tuples(st.just("$regex"), st.sampled_from(["x", "^y", "x+y"])),
).map(lambda pair: dict([pair]))
PATHS = st.lists(KEYS, min_size=1, max_size=3).map(".".join)
SIMPLE = st.dictionaries(PATHS, OPERATIONS | LEAVES | st.lists(LEAVES, max_size=2), max_size=2)
FILTERS = st.recursive(
    SIMPLE,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda several: {"$and": several}),
        st.lists(inner, min_size=1, max_size=3).map(lambda several: {"$or": several}),
        inner.map(lambda one: {"$not": one}),
    ),
    max_leaves=4,
)
TYPES = {"int": int, "float": float, "bool": bool, "str": str, "list": list, "null": type(None)}


def reading(document: Any, filter: Mapping[str, Any]) -> bool:
    """Read a filter word by word."""
    for key, expected in filter.items():
        if key == "$and":
            if not all(reading(document, each) for each in expected):
                return False
        elif key == "$or":
            if not any(reading(document, each) for each in expected):
                return False
        elif key == "$not":
            if reading(document, expected):
                return False
        elif not reading_of_one(document, key.split("."), expected):
            return False
    return True


def reading_of_one(document: Any, path: list[str], expected: Any) -> bool:
    value, present = document, True
    for part in path:
        present = present and isinstance(value, dict) and part in value
        value = value[part] if present else None
    operator, argument = ("$eq", expected)
    if isinstance(expected, dict) and expected:
        ((operator, argument),) = expected.items()
    if operator == "$exists":
        return bool(present == argument)
    return present and reading_of_operator(value, operator, argument)


def reading_of_operator(value: Any, operator: str, argument: Any) -> bool:
    answers: dict[str, Callable[[], Any]] = {
        "$eq": lambda: value == argument,
        "$ne": lambda: value != argument,
        "$gt": lambda: value > argument,
        "$gte": lambda: value >= argument,
        "$lt": lambda: value < argument,
        "$lte": lambda: value <= argument,
        "$in": lambda: any(value == each for each in argument),
        "$nin": lambda: not any(value == each for each in argument),
        "$type": lambda: type(value) is TYPES[argument],
        "$regex": lambda: isinstance(value, str) and re.search(argument, value) is not None,
    }
    try:
        return bool(answers[operator]())
    except TypeError:
        return False


@given(DOCUMENTS, FILTERS)
def test_a_filter_means_what_its_plain_reading_says(document: Any, filter: Any) -> None:
    assert matches(document, filter) == reading(document, filter)
