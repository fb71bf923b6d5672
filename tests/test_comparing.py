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

from perkey.formats.comparing import differences, losses


@dataclasses.dataclass
class Record:
    content: Any
    number: int = 1


class Plain:
    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)

    def __repr__(self) -> str:
        return "<Plain>"


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


def set_of_circles() -> Any:
    whole: set[Any] = {Plain(a=1), Plain(a=2)}
    for item in whole:
        item.back = whole
    return whole


def ring(size: int) -> Any:
    nodes: list[Any] = [Plain(neighbours=set()) for _ in range(size)]
    for before, after in zip(nodes, [*nodes[1:], nodes[0]], strict=True):
        before.neighbours.add(after)
    return nodes


def doubled(times: int) -> Any:
    """Return a list that holds a part 2 ** times times."""
    value: Any = [1]
    for _ in range(times):
        value = [value, value]
    return value


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
    "sets of objects": lambda: [{Plain(a=1), Plain(a=2)}, frozenset([Plain(a=1)]), {1, Plain(a=1), "x"}],
    "sets of NaN": lambda: [{float("nan")}, {float("nan"), 1.0}, frozenset([(float("nan"), 1)])],
    "sets of sets of objects": lambda: {frozenset([frozenset([Plain(a=1)]), Plain(a=2)])},
    "sets of tuples of objects": lambda: {(Plain(a=1), 2), (Plain(a=1), 3)},
    "keys that are objects": lambda: {Plain(a=1): [1], Plain(a=2): [2], "x": 3},
    "equal keys with different values": lambda: {Plain(a=1): 1, Plain(a=1): 2, Plain(a=1): 3},
    "keys that are NaN": lambda: {float("nan"): float("nan"), (1, float("nan")): 2},
    "keys that hold objects": lambda: {(1, Plain(a=1)): 1, frozenset([Plain(b=1)]): 2},
    "other mappings of objects": lambda: [
        collections.OrderedDict([(Plain(a=1), 1)]),
        collections.defaultdict(list, {Plain(a=1): [Plain(b=2)]}),
        collections.Counter([Plain(a=1), Plain(a=1)]),
        collections.UserDict({Plain(a=1): 1}),
        collections.ChainMap({Plain(a=1): 1}),
    ],
    "objects in a set that lead back to it": set_of_circles,
    "objects that are in each other's sets": lambda: ring(5),
    "many objects in a set": lambda: {Plain(number=number) for number in range(300)},
    "frames of objects": lambda: pd.DataFrame({"a": [Plain(a=1), [1]], "b": [{Plain(a=1)}, None]}),
    "series and indexes of objects": lambda: [pd.Series([Plain(a=1)]), pd.Index([Plain(a=1), float("nan")])],
    "arrays of sets of objects": lambda: np.array([{Plain(a=1)}, None], dtype=object),
    "shared parts, many times": lambda: doubled(60),
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
    ([1], [1, 2], ["value: 1 item -> 2 items"]),
    ({"a": {"b": [1]}}, {"a": {"b": [2]}}, ["['a']['b'][0]: 1 -> 2"]),
    ({"a": 1}, {"b": 1}, ["['a']: only in the old value: 1", "['b']: only in the new value: 1"]),
    ({"a": [1]}, {"a": [1, 2]}, ["['a']: 1 item -> 2 items"]),
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
    ({1}, {True}, ["{1}: int 1 -> bool True"]),
    ({1: 0}, {True: 0}, ["[1]: int 1 -> bool True"]),
    ({Plain(a=1): 1}, {Plain(a=1): 2}, ["[<Plain>]: 1 -> 2"]),
    ({Plain(a=1): 1, Plain(a=1): 2}, {Plain(a=1): 2, Plain(a=1): 3}, ["[<Plain>]: 1 -> 3"]),
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


def test_a_set_with_another_object_differs() -> None:
    old, new = {Plain(a=1), Plain(a=2), Plain(a=3)}, {Plain(a=1), Plain(a=2), Plain(a=4)}
    assert len(differences(old, new)) == 2
    assert len(differences({"s": old}, {"s": new})) == 2
    assert differences({Plain(a=1)}, {Plain(a=1), Plain(a=1)}) == [
        "value: only in the new value: <Plain>",
    ]


def test_a_ring_is_not_two_rings() -> None:
    assert differences(ring(4)[0], ring(4)[0]) == []
    first: Any = Plain(neighbours=set(), a=1)
    second: Any = Plain(neighbours=set(), a=2)
    first.neighbours.add(second)
    second.neighbours.add(first)
    other: Any = Plain(neighbours=set(), a=1)
    other.neighbours.add(other)
    assert differences(first, other) != []


def test_a_lack_of_memory_is_no_difference() -> None:
    class Hungry:
        def __eq__(self, other: object) -> bool:
            raise MemoryError

        __hash__ = None  # type: ignore[assignment] # as a class with __eq__ is

    with pytest.raises(MemoryError):
        differences([Hungry()], [Hungry()])


MAPPED = st.recursive(
    st.none() | st.floats() | st.text(max_size=2) | st.builds(Plain, a=st.integers(0, 2)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.frozensets(st.builds(Plain, a=inner) | st.floats(), max_size=3)
        | st.dictionaries(st.builds(Plain, a=inner) | st.floats() | st.tuples(st.floats()), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(MAPPED)
def test_sets_and_keys_are_compared_like_lists(value: Any) -> None:
    """A value and its copy have no differences, a value and a changed copy have, in sets as in lists."""
    copied = copy.deepcopy(value)
    for wrap in (lambda x: [x], lambda x: {Plain(a=x)}, lambda x: {Plain(a=x): 1}, lambda x: {(Plain(a=x),)}):
        assert differences(wrap(value), wrap(copied)) == []
        assert differences(wrap(value), wrap([copied, "more"])) != []


# --- What a copy has lost -----------------------------------------------------------------------------

LOSSES: dict[str, tuple[Any, Any]] = {
    "type": ([1], (1,)),
    "truth": ([1], [True]),
    "sign of zero": ([0.0, {"a": 1j}], [-0.0, {"a": 1j}]),
    "sign of zero in a complex": (complex(0, 0.0), complex(0, -0.0)),
    "attribute": (Plain(a=1), Plain(a=1, b=None)),
    "no attribute": (Plain(a=None), Plain()),
    "order of keys": ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    "fold": (dt.datetime(2020, 1, 1, fold=1), dt.datetime(2020, 1, 1)),  # noqa: DTZ001
    "flags": (re.compile("a", re.IGNORECASE), re.compile("a")),
    "maximum": (collections.deque([1], 3), collections.deque([1])),
    "factory": (collections.defaultdict(int), collections.defaultdict(list)),
    "sharing": ([[1]] * 2, [[1], [1]]),
    "new sharing": ([[1], [1]], [[1]] * 2),
    "sharing of objects": ([Plain(a=1)] * 2, [Plain(a=1), Plain(a=1)]),
    "cycle": (circle("list"), [1, [1, []]]),
    "byte order": (np.arange(3, dtype=">i4"), np.arange(3, dtype="<i4")),
    "sign of zero in an array": (np.array([0.0]), np.array([-0.0])),
    "mask": (np.ma.array([1, 2], mask=[False, True]), np.ma.array([1, 2], mask=[False, False])),
    "shape": (np.zeros(2), np.zeros((2, 1))),
    "type of a scalar": (np.float32(1), np.float64(1)),
    "type of a column": (pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [1.0]})),
    "name of an index": (pd.DataFrame(index=pd.Index([1], name="i")), pd.DataFrame(index=pd.Index([1]))),
    "frequency": (pd.date_range("2020", periods=2), pd.DatetimeIndex(["2020-01-01", "2020-01-02"])),
    "text that was missing": (pd.Series(["a", None]), pd.Series(["a", "nan"], dtype=object)),
    "object in a set": ({Plain(a=1)}, {Plain(a=2)}),
}


@pytest.mark.parametrize("kind", LOSSES)
def test_a_loss_is_seen(kind: str) -> None:
    value, copied = LOSSES[kind]
    assert len(losses(value, copied)) >= 1
    assert len(losses({"x": [value]}, {"x": [copied]})) >= 1
    assert losses(value, value) == []


@pytest.mark.parametrize("kind", [kind for kind in EQUAL if kind != "masked arrays"])  # pickling fills them
def test_a_copy_by_pickle_has_lost_nothing(kind: str) -> None:
    value = EQUAL[kind]()
    assert losses(value, pickle.loads(pickle.dumps(value))) == []


def test_attributes_of_frames_are_not_lost() -> None:
    frame, copied = pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [1]})
    frame.attrs["unit"] = "m"
    assert losses(frame, copied) == [".attrs['unit']: only in the old value: 'm'"]


def test_what_json_cannot_avoid_is_not_counted() -> None:
    assert losses(np.array(1.5), np.array([1.5])) == []
    assert losses(pd.DataFrame({"t": ["a", "b"]}), pd.DataFrame({"t": ["a", "b"]}, dtype=object)) == []
    assert losses(pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [1]}, index=pd.Index([0]))) == []


@given(VALUES)
def test_a_copy_has_lost_nothing(value: Any) -> None:
    assert losses(value, copy.deepcopy(value)) == []
