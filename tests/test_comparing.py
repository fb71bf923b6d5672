"""Differences are found wherever they are, equal values have none, and a person can read the lines."""

import collections
import copy
import dataclasses
import datetime as dt
import decimal
import pickle
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perkey.comparing import differences


@dataclasses.dataclass
class Record:
    content: Any
    number: int = 1


class Plain:
    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


class Slotted:
    __slots__ = ("x",)

    def __init__(self, x: Any) -> None:
        self.x = x


class Secretive:
    """Neither compares nor pickles nor shows itself."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    __hash__ = None  # type: ignore[assignment] # as a class with __eq__ is

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise RuntimeError

    def __repr__(self) -> str:
        raise RuntimeError


def circle(kind: str, end: Any = 1) -> Any:
    if kind == "list":
        whole: Any = [end]
        whole.append(whole)
    elif kind == "dict":
        whole = {"end": end}
        whole["self"] = whole
    else:
        whole = Plain(end=end)
        whole.self = whole
    return whole


def nested(depth: int, value: Any) -> Any:
    for _ in range(depth):
        value = [value]
    return value


def fitted() -> Any:
    from sklearn.linear_model import LogisticRegression  # heavy

    return LogisticRegression().fit(np.array([[0.0], [1.0], [2.0], [3.0]]), [0, 0, 1, 1])


EQUAL: dict[str, Callable[[], Any]] = {
    "atoms": lambda: [None, True, 1, 1.5, "x", b"x", 1j, dt.date(2020, 1, 1), decimal.Decimal("0.1"), ...],
    "NaN": lambda: [float("nan"), complex("nan"), decimal.Decimal("nan"), np.float32("nan"), pd.NA],
    "containers": lambda: {"a": [1, (2, {3}), frozenset([4])], 5: collections.deque([{}])},
    "arrays": lambda: [
        np.arange(5),
        np.array([1.5, np.nan]),
        np.array("a"),
        np.array(["NaT"], dtype="M8[s]"),
    ],
    "structured arrays": lambda: np.array([(1, np.nan)], dtype=[("a", "i4"), ("b", "f8")]),
    "arrays of objects": lambda: np.array([np.arange(2), {"a": np.arange(3)}], dtype=object),
    "masked arrays": lambda: np.ma.array([1, 2], mask=[False, True]),
    "frames": lambda: [pd.DataFrame({"a": [1, None], "b": ["x", None]}), pd.Series([1.5]), pd.Index([1])],
    "records": lambda: Record([1, Record("x")]),
    "records of arrays": lambda: Record(np.arange(3), 5),
    "records of NaN": lambda: Record(float("nan")),
    "plain objects": lambda: Plain(a=1, b=[Plain(c=np.arange(2))]),
    "slotted objects": lambda: [Slotted([1, Slotted(2)])],
    "objects that pickle in their own way": lambda: [
        np.random.default_rng(0),
        re.compile("a"),
        ValueError("a", 1),
    ],
    "models": fitted,
    "functions and classes": lambda: [len, Plain, pytest.raises],
    "circular list": lambda: circle("list"),
    "circular dict": lambda: circle("dict"),
    "circular object": lambda: circle("object"),
    "deep": lambda: nested(300, 1),
    "deep array": lambda: nested(100, np.arange(3)),
    "huge range": lambda: range(10**15),
}


@pytest.mark.parametrize("kind", EQUAL)
def test_equal_values_do_not_differ(kind: str) -> None:
    """Whether made twice, or stored and loaded."""
    value = EQUAL[kind]()
    assert differences(value, value) == []
    assert differences(value, EQUAL[kind]()) == []
    assert differences(value, pickle.loads(pickle.dumps(value))) == []


DIFFERENT: list[tuple[Any, Any, list[str]]] = [
    (1, 2, ["value: 1 -> 2"]),
    (1, 1.0, ["value: int 1 -> float 1.0"]),
    (1, True, ["value: int 1 -> bool True"]),
    (None, "x", ["value: NoneType None -> str 'x'"]),
    ("a", "b", ["value: 'a' -> 'b'"]),
    ([1, 2], (1, 2), ["value: list [1, 2] -> tuple (1, 2)"]),
    ([1, 2], [1, 3], ["[1]: 2 -> 3"]),
    ([1], [1, 2], ["value: 1 items -> 2 items"]),
    ({"a": {"b": [1]}}, {"a": {"b": [2]}}, ["['a']['b'][0]: 1 -> 2"]),
    ({"a": 1}, {"b": 1}, ["['a']: only in the old value: 1", "['b']: only in the new value: 1"]),
    ({"a": [1]}, {"a": [1, 2]}, ["['a']: 1 items -> 2 items"]),
    ({1, 2}, {2, 3}, ["value: only in the old value: 1", "value: only in the new value: 3"]),
    (range(3), range(4), ["value: range(0, 3) -> range(0, 4)"]),
    (float("nan"), 1.0, ["value: nan -> 1.0"]),
    (Record([1]), Record([2]), [".content[0]: 1 -> 2"]),
    (Record(np.arange(2)), Record(np.arange(2) + 1), [".content: array([0, 1]) -> array([1, 2])"]),
    (Plain(a=1, b=[1]), Plain(a=1, b=[2]), [".b[0]: 1 -> 2"]),
    ([Slotted(1)], [Slotted(2)], ["[0].x: 1 -> 2"]),
    (ValueError("a"), ValueError("b"), [".__reduce__[1][0]: 'a' -> 'b'"]),
    (np.arange(2), np.arange(2) + 1, ["value: array([0, 1]) -> array([1, 2])"]),
    (np.arange(2), np.arange(2.0), ["value: array([0, 1]) -> array([0., 1.])"]),
    (np.zeros(2), np.zeros((2, 1)), ["value: array([0., 0.]) -> array([[0.],\n       [0.]])"]),
    (np.array([[1], None], dtype=object), np.array([[2], None], dtype=object), ["[0][0]: 1 -> 2"]),
    (
        np.zeros(1, dtype=[("a", "f8")]),
        np.ones(1, dtype=[("a", "f8")]),
        ["['a']: array([0.]) -> array([1.])"],
    ),
    (circle("list", 1), circle("list", 2), ["[0]: 1 -> 2"]),
    (circle("object", 1), circle("object", 2), [".end: 1 -> 2"]),
    (pd.Series([1]), pd.Series([2]), ["value: 0    1\ndtype: int64 -> 0    2\ndtype: int64"]),
]


@pytest.mark.parametrize(("old", "new", "lines"), DIFFERENT)
def test_differences_are_told_with_their_path(old: Any, new: Any, lines: list[str]) -> None:
    assert differences(old, new) == lines
    assert len(differences(new, old)) == len(lines)


def test_a_model_with_another_coefficient_differs() -> None:
    other = fitted()
    other.coef_ = other.coef_ + 1
    (line,) = differences([fitted()], [other])
    assert line.startswith("[0].coef_: array(")


def test_a_masked_element_is_not_an_equal_one() -> None:
    masked = np.ma.array([1, 2], mask=[False, True])
    assert len(differences(masked, np.ma.array([1, 2], mask=[False, False]))) == 1


def test_only_the_first_twenty_differences_are_listed() -> None:
    found = differences(list(range(100)), [-1] * 100)
    assert (len(found), found[-1]) == (21, "...")
    assert len(differences(list(range(20)), [-1] * 20)) == 20


def test_long_values_are_cut() -> None:
    (line,) = differences("x" * 10_000, "y" * 10_000)
    assert len(line) < 300
    assert line.count("...") == 2


@pytest.mark.parametrize("depth", [40, 60, 300])
def test_a_difference_deep_inside_is_found(depth: int) -> None:
    (line,) = differences(nested(depth, 1), nested(depth, 2))
    assert line.startswith("[0][0]")


def test_what_does_not_let_itself_be_compared_differs() -> None:
    assert differences([Secretive()], [Secretive()]) == ["[0]: <Secretive> -> <Secretive>"]
    assert len(differences(nested(60, Secretive()), nested(60, Secretive()))) == 1
    same = Secretive()
    assert differences([same], [same]) == []


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text() | st.integers(), inner)
        | st.builds(Record, inner) | st.builds(Plain, a=inner) | st.sets(st.integers())
    ),
    max_leaves=15,
)  # fmt: skip


@given(VALUES)
def test_a_copy_never_differs(value: Any) -> None:
    assert differences(value, copy.deepcopy(value)) == []
    assert differences(value, pickle.loads(pickle.dumps(value))) == []


@given(VALUES, VALUES)
def test_values_with_different_pickles_differ_both_ways_or_not_at_all(old: Any, new: Any) -> None:
    there, back = differences(old, new), differences(new, old)
    assert bool(there) is bool(back)
    if pickle.dumps(old) == pickle.dumps(new):
        assert there == []
