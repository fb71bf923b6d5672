"""json loses nothing silently: what it cannot give back as it was is refused, and what people use is stored.

The comparison here is independent of the one in perkey: by class, by the own means of each library, and by
`repr`.
"""

import array
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import functools
import ipaddress
import math
import pathlib
import random
import re
import types
import uuid
import zoneinfo
from collections.abc import Callable
from typing import Any, NamedTuple

import jsonpickle.ext.numpy
import jsonpickle.ext.pandas
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perkey import LocalDict, UnstorableValueError
from perkey.content import bytes_of
from perkey.formats import Format, JsonFormat, SignedFormat, format_of

JSON = JsonFormat()

pytestmark = pytest.mark.filterwarnings(
    "ignore:keys will default to True:DeprecationWarning",  # jsonpickle's own frames
    "ignore:ndarray is defined by reference:UserWarning",
    "ignore:jsonpickle was unable to properly deserialize:UserWarning",
)


class Colour(enum.Enum):
    RED = 1
    BLUE = "b"


class Level(enum.IntEnum):
    LOW = 1


class Mode(enum.Flag):
    READ = 1
    WRITE = 2


@dataclasses.dataclass
class Point:
    x: Any
    tags: Any = None


@dataclasses.dataclass(frozen=True)
class Frozen:
    x: Any


@dataclasses.dataclass(slots=True)
class Slotted:
    x: Any


class Tuple(NamedTuple):
    a: Any
    b: Any


class Plain:
    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


class SlotList(list[Any]):
    __slots__ = ("tag",)


class SlotDict(dict[Any, Any]):
    __slots__ = ("tag",)


class AttributeList(list[Any]):
    pass


class AttributeDict(dict[Any, Any]):
    pass


class AttributeSet(set[Any]):
    pass


class AttributeText(str):  # noqa: SLOT000 - that is the point
    pass


class AttributeFloat(float):
    pass


class Forgetful:
    """Restores itself without what it was given."""

    def __init__(self, x: Any) -> None:
        self.x = x

    def __setstate__(self, state: Any) -> None:
        self.x = None


class Array(np.ndarray[Any, Any]):
    pass


def tagged(value: Any) -> Any:
    value.tag = "x"
    return value


def with_attrs(frame: Any) -> Any:
    frame.attrs["unit"] = "m"
    return frame


def same(left: Any, right: Any) -> bool:  # noqa: PLR0912 - a branch for each kind of value
    """Tell whether a value came back as it was."""
    if type(left) is not type(right):
        return False
    if isinstance(left, np.ma.MaskedArray):
        return same(left.data, right.data) and same(np.ma.getmaskarray(left), np.ma.getmaskarray(right))
    if isinstance(left, np.ndarray):
        if left.dtype != right.dtype or left.shape not in (right.shape, ()):
            return False
        return all(map(same, left.ravel().tolist(), right.ravel().tolist())) and (
            left.dtype.str == right.dtype.str
        )
    if isinstance(left, np.generic):
        return left.dtype == right.dtype and repr(left) == repr(right)
    if isinstance(left, pd.DataFrame):
        return _equal(pd.testing.assert_frame_equal, without_text(left), without_text(right)) and (
            left.attrs == right.attrs
        )
    if isinstance(left, pd.Series):
        return _equal(pd.testing.assert_series_equal, without_text(left), without_text(right)) and (
            left.attrs == right.attrs
        )
    if isinstance(left, pd.Index):
        return _equal(pd.testing.assert_index_equal, left, right) and getattr(left, "freq", 0) == getattr(
            right, "freq", 0
        )
    if isinstance(left, dict):
        return (
            list(map(repr, left)) == list(map(repr, right))
            and all(map(same, left.values(), right.values()))
            and getattr(left, "default_factory", 0) == getattr(right, "default_factory", 0)
            and same_attributes(left, right)
        )
    if isinstance(left, (list, tuple, collections.deque)):
        return (
            len(left) == len(right) and all(map(same, left, right))
            and getattr(left, "maxlen", 0) == getattr(right, "maxlen", 0) and same_attributes(left, right)
        )  # fmt: skip
    if isinstance(left, (set, frozenset)):
        return sorted(map(repr, left)) == sorted(map(repr, right)) and same_attributes(left, right)
    if isinstance(left, (Plain, Forgetful, Point, Frozen, Slotted)):
        return same_attributes(left, right)
    if isinstance(left, random.Random):
        return bool(left.getstate() == right.getstate())
    if isinstance(left, np.random.Generator):
        return repr(left.bit_generator.state) == repr(right.bit_generator.state)
    return repr(left) == repr(right) and same_attributes(left, right)


def same_attributes(left: Any, right: Any) -> bool:
    names = [*getattr(left, "__slots__", ()), *getattr(left, "__dict__", ())]
    if isinstance(left, (enum.Enum, type)):
        return left is right
    return all(
        hasattr(left, name) == hasattr(right, name)
        and same(getattr(left, name, None), getattr(right, name, None))
        for name in names
        if not name.startswith("_")
    )


def without_text(frame: Any) -> Any:
    """Columns of text may come back as objects, as the documentation says."""
    if isinstance(frame, pd.Series):
        return frame.astype(object) if isinstance(frame.dtype, pd.StringDtype) else frame
    texts = {name: object for name, kind in frame.dtypes.items() if isinstance(kind, pd.StringDtype)}
    return frame.astype(texts)


def _equal(check: Callable[..., None], left: Any, right: Any) -> bool:
    try:
        check(left, right)
    except AssertionError:
        return False
    return True


def stored(value: Any, form: Format = JSON) -> bool:
    """Tell whether a value was stored; if so, it came back as it was."""
    try:
        content = bytes_of(form.encode(value))
    except UnstorableValueError as error:
        reason = error.reason
    else:
        found = form.decode(content)
        assert same(value, found), f"{value!r} -> {found!r}"
        return True
    assert 'use file_type="pkl"' in reason
    return False


DAYS = pd.to_datetime(["2020-01-01", "2021-02-03"])
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")

# What people use; each must be stored.
USED: dict[str, Any] = {
    "dataclass": Point(1, ["a"]),
    "dataclasses": [Point(1, Point(2)), Frozen(1), Frozen((1, 2)), Slotted([1])],
    "object": Plain(a=1, b=[Plain(c=2)]),
    "datetime": dt.datetime(2020, 1, 2, 3, 4, 5, 6),  # noqa: DTZ001 - that is the point
    "datetime with zone": [dt.datetime(2020, 1, 2, tzinfo=zone) for zone in (dt.UTC, BERLIN)],
    "date, time, timedelta": [dt.date(2020, 1, 2), dt.time(1, 2, 3), dt.timedelta(1, 2, 3), dt.UTC],
    "Decimal": [decimal.Decimal("1.10"), decimal.Decimal("nan"), decimal.Decimal("-0")],
    "UUID": uuid.UUID(int=5),
    "Path": [pathlib.Path("/a/b"), pathlib.PurePosixPath("a"), pathlib.PureWindowsPath("a")],
    "Enum": [Colour.RED, Colour.BLUE, Colour.RED, Level.LOW, Mode.READ | Mode.WRITE],
    "Enum as key": {Colour.RED: 1},
    "set": [{1, 2}, {"a"}, set(), frozenset([1]), {(1, 2)}],
    "tuple": (1, (2, "x"), ()),
    "namedtuple": Tuple(1, [2]),
    "complex": [1 + 2j, complex("nan"), complex(-0.0, 0.0)],
    "bytes": b"\x00\xff",
    "Fraction": fractions.Fraction(1, 3),
    "collections": [
        collections.OrderedDict(b=1, a=2),
        collections.Counter("aab"),
        collections.deque([1], maxlen=3),
        collections.defaultdict(list, a=[1]),
    ],
    "keys that are no text": {1: "a", (2, 3): "b", None: "c", False: "d", 2.5: "e"},
    "mixed keys": {1: "a", "b": 2, None: "c", "d": {3: 1, "z": 2}},
    "range, slice": [range(3), slice(1, 2)],
    "SimpleNamespace": types.SimpleNamespace(a=1),
    "class and function": [Point, math.sqrt, functools.partial(int, "1")],
    "addresses": ipaddress.ip_address("1.2.3.4"),
    "error": ValueError("a", 1),
    "arrays": [np.arange(3), np.arange(3.0) / 3, np.array([True]), np.array(["a", "bc"]), np.zeros((0, 3))],
    "arrays of types": [np.arange(3).astype(kind) for kind in ("f2", "f4", "i1", "u8", "c8", "M8[s]")],
    "large arrays": [np.arange(100.0), np.arange(100, dtype=">i4"), np.asfortranarray(np.eye(9))],
    "structured array": np.zeros(30, dtype=[("a", "i4"), ("b", "f8")]),
    "array of objects": np.array([{"a": 1}, None], dtype=object),
    "array with NaN": np.array([np.nan, -0.0, np.inf]),
    "array of no dimensions": np.array(1.5),
    "scalars of numpy": {"a": np.float64(0.5), "b": np.int64(3), "c": np.bool_(True), "d": np.float32(0.1)},
    "frame": pd.DataFrame({"a": [1, 2], "b": [1.5, None], "c": [True, False]}),
    "frame of small types": pd.DataFrame({"a": np.arange(2, dtype="i4"), "b": np.zeros(2, dtype="f4")}),
    "frame of text": pd.DataFrame({"a": [1, 2], "t": ["x", "y"]}),
    "frame of text with gaps": pd.DataFrame({"t": ["x", None, "nan"]}),
    "frame of times": pd.DataFrame({"t": DAYS, "d": pd.to_timedelta([1, 2], unit="s")}),
    "frame with names": pd.DataFrame({"a": [1, 2]}, index=pd.Index(["r", "s"], name="rows")),
    "frame with index of times": pd.DataFrame({"a": [1, 2]}, index=DAYS),
    "frame of days": pd.DataFrame({"a": [1, 2, 3]}, index=pd.date_range("2020-01-01", periods=3)),
    "frame with two levels": pd.DataFrame({"a": [1]}, index=pd.MultiIndex.from_tuples([(1, "x")])),
    "frame of lists": pd.DataFrame({"a": [[1], [2, 3]]}),
    "large frame": pd.DataFrame(np.random.default_rng(0).random((60, 3)), columns=list("abc")),
    "rows of a frame": pd.DataFrame({"a": range(9)}).iloc[[1, 3]],
    "series": [pd.Series([1, 2]), pd.Series([1.5, None], name="n", index=["a", "b"]), pd.Series(["a"])],
    "times of pandas": [pd.Timestamp("2020-01-01"), pd.Timestamp("2020", tz="UTC"), pd.Timedelta(1, "s")],
}  # fmt: skip


@pytest.mark.parametrize("kind", USED)
def test_what_people_use_is_stored(kind: str) -> None:
    assert stored(USED[kind])
    assert stored({"within": [USED[kind]]})


def test_handlers_that_another_library_registers_change_nothing() -> None:
    """persidict registers jsonpickle's own handlers when it is imported."""
    assert stored(USED["frame of days"])
    try:
        jsonpickle.ext.pandas.register_handlers()
        jsonpickle.ext.numpy.unregister_handlers()
        assert stored(USED["frame of days"])
        assert stored(USED["frame of text with gaps"])
        assert stored(USED["scalars of numpy"])
        assert stored({"a": np.arange(100)})
    finally:
        jsonpickle.ext.numpy.register_handlers()


def local() -> Any:
    class Local:
        x = 1

    return Local()


# What jsonpickle changes, in some version: refused, or else right.
DIFFICULT: dict[str, Any] = {
    "bytearray": bytearray(b"payload"),
    "pattern": re.compile("a", re.IGNORECASE),
    "fold": dt.datetime(2020, 10, 25, 2, 30, fold=1, tzinfo=BERLIN),
    "fold of a time": dt.time(2, 30, fold=1),
    "slots of a list": tagged(SlotList([1])),
    "slots of a dict": tagged(SlotDict(a=1)),
    "attributes of a list": tagged(AttributeList([1])),
    "attributes of a dict": tagged(AttributeDict(a=1)),
    "attributes of a set": tagged(AttributeSet([1])),
    "attributes of a text": tagged(AttributeText("a")),
    "attributes of a number": tagged(AttributeFloat(1)),
    "attributes of an error": tagged(ValueError("a")),
    "object that forgets": Forgetful(1),
    "local object": local(),
    "Ellipsis": ...,
    "NotImplemented": [NotImplemented],
    "generic": list[int],
    "halves of a character": "\ud83d\ude00",
    "halves in a key": {"\ud83d\ude00": 1},
    "halves in a tuple": ("\ud83d\ude00",),
    "generator": random.Random(1),
    "generator of numpy": np.random.default_rng(0),
    "array of the library": array.array("d", [1.0]),
    "dict of mixed keys with defaults": collections.defaultdict(int, {1: 1, "a": 2}),
    "ordered mixed keys": collections.OrderedDict([(1, 1), ("a", 2)]),
    "masked array": np.ma.array([1, -999, 3], mask=[False, True, False]),
    "small array of another byte order": np.arange(3, dtype=">i4"),
    "records": np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
    "own array": np.arange(3).view(Array),
    "long double": np.zeros(3, dtype="g"),
    "void": np.void(b"abc"),
    "duration of numpy": np.timedelta64(3, "s"),
    "time of numpy": np.datetime64("2020-01-01T00:00:00.123456789"),
    "categories": pd.DataFrame({"a": pd.Categorical(["x", "y"])}),
    "integers with gaps": pd.DataFrame({"a": pd.array([1, None], dtype="Int64")}),
    "zones": pd.DataFrame({"a": DAYS.tz_localize("UTC")}),
    "attrs of a frame": with_attrs(pd.DataFrame({"a": [1]})),
    "attrs of a series": with_attrs(pd.Series([1])),
    "no columns": pd.DataFrame(),
    "same names": pd.DataFrame([[1, 2]], columns=["a", "a"]),
    "series of times": pd.Series(DAYS),
    "series of categories": pd.Series(["a"], dtype="category"),
    "index of days": pd.date_range("2020", periods=3),
    "period": [pd.Period("2020", "M"), pd.Interval(0, 1), pd.NA, pd.NaT],
    "nanoseconds": pd.Timestamp(1, unit="ns"),
}


@pytest.mark.parametrize("kind", DIFFICULT)
def test_what_is_difficult_is_right_or_refused(kind: str) -> None:
    alone, within = stored(DIFFICULT[kind]), stored({"within": [DIFFICULT[kind]]})
    assert alone is within


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return strategies for what holds other values: containers, objects, and the same part twice."""
    keys = st.text(max_size=3) | st.integers() | st.none() | st.booleans() | st.tuples(st.integers())
    return (
        st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(keys, inner, max_size=3)
        | st.builds(Point, inner, inner) | st.builds(Frozen, inner) | st.builds(Slotted, inner)
        | st.builds(lambda x: Plain(a=x, b=[x]), inner) | st.builds(lambda x: [x, x], inner)
        | st.builds(lambda x: tagged(AttributeList([x])), inner)
        | st.builds(lambda x: tagged(SlotList([x])), inner)
        | st.builds(lambda x: collections.deque([x], maxlen=2), inner)
        | st.builds(lambda x: collections.OrderedDict([(1, x), ("a", x)]), inner)
    )  # fmt: skip


ZONES = st.sampled_from([None, dt.UTC, BERLIN])
NUMBERS = st.integers() | st.floats() | st.complex_numbers() | st.decimals() | st.fractions()
TIMES = st.datetimes(timezones=ZONES) | st.dates() | st.times() | st.timedeltas()
ATOMS = st.none() | NUMBERS | TIMES | st.text() | st.binary() | st.uuids() | st.ip_addresses()
HASHABLE = st.frozensets(st.integers() | st.text(max_size=2), max_size=3)
KINDS = st.sampled_from(["f4", "f8", ">f8", ">i4", "i1", "u2", "c16", "?", "M8[s]", "m8[ns]", "U3", "S2"])
ARRAYS = st.builds(lambda kind, size: np.zeros(size, dtype=kind), KINDS, st.sampled_from([0, 3, 20]))
GIVEN = st.sampled_from([*USED.values(), *DIFFICULT.values()])
ZOO: st.SearchStrategy[Any] = st.recursive(
    ATOMS | HASHABLE | st.builds(set, HASHABLE) | st.builds(bytearray, st.binary()) | ARRAYS | GIVEN,
    objects,
    max_leaves=6,
)


@given(ZOO)
@settings(max_examples=300, deadline=None)
def test_every_value_is_equal_when_read_or_refused(value: Any) -> None:
    stored(value)


def shape(value: Any, numbers: dict[int, int]) -> Any:
    """Return lists and dicts as nested tuples with a number for each object: the same for the same graph."""
    if not isinstance(value, (list, dict)):
        return value
    if id(value) in numbers:
        return numbers[id(value)]
    numbers[id(value)] = len(numbers)
    items = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
    return type(value).__name__, tuple((key, shape(item, numbers)) for key, item in items)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_shared_parts_and_cycles_come_back_as_the_same_graph_or_are_refused(data: st.DataObject) -> None:
    """Containers that hold each other in any way."""
    kinds = data.draw(st.lists(st.sampled_from([list, dict]), min_size=1, max_size=4))
    nodes: list[Any] = [kind() for kind in kinds]
    for node in nodes:
        for number in range(data.draw(st.integers(0, 3))):
            part = data.draw(st.sampled_from([*nodes, 1, "text"]))
            if isinstance(node, list):
                node.append(part)
            else:
                node[data.draw(st.sampled_from(["a", "b", 1, None])) if number else "a"] = part
    try:
        content = bytes_of(JSON.encode(nodes[0]))
    except UnstorableValueError:
        return
    assert shape(JSON.decode(content), {}) == shape(nodes[0], {})


@pytest.mark.parametrize("kind", ["bytearray", "pattern", "fold", "slots of a list", "local object"])
def test_a_refusal_names_the_loss_and_leaves_the_old_value(kind: str) -> None:
    losses = {
        "bytearray": "JSON would change a bytearray .value: bytearray.b'payload'.",
        "pattern": "IGNORECASE",
        "fold": "fold=1",
        "slots of a list": r"\.tag: only in the old value: 'x'",
        "local object": "local.<locals>.Local",
    }
    d = LocalDict[Any]("json")
    d["k"] = "old"
    for store in (
        lambda value: d.__setitem__("k", value),
        lambda value: d.update({"k": value}),
        lambda value: d.transform_item("k", transformer=lambda _: value),
    ):
        with pytest.raises(UnstorableValueError, match=f"{losses[kind]}.*pkl"):
            store(DIFFICULT[kind])
    assert d == {"k": "old"}


def test_the_check_can_be_switched_off() -> None:
    """Then it is as jsonpickle has it."""
    unchecked = JsonFormat(check=False)
    assert unchecked.decode(bytes_of(unchecked.encode(bytearray(b"payload")))) == bytearray()
    with pytest.raises(UnstorableValueError):
        bytes_of(SignedFormat(JSON, secret=bytes(16)).encode(bytearray(b"payload")))


def test_plain_values_are_not_decoded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("json.loads", None)
    values: list[Any] = [{"a": [1, 2.5, None, "é", "\U0001f600", True]}, [], "text"]
    for value in values:
        assert isinstance(JSON.encode(value), bytes)
    with pytest.raises(TypeError):
        JSON.encode((1,))


def test_values_that_are_made_anew_each_time_are_not_refused_for_that() -> None:
    """Objects are compared by their parts, not by their own ``__eq__``, which may say no or raise."""

    value = Unequal({"a": [1]})
    assert JSON.decode(bytes_of(JSON.encode(value))).x == {"a": [1]}


class Unequal:
    def __init__(self, x: Any) -> None:
        self.x = x

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    __hash__ = None  # type: ignore[assignment] # as a class with __eq__ is


def test_an_object_that_claims_to_equal_all_is_not_believed() -> None:
    value = tagged(Agreeable([1]))
    assert value == Agreeable([1])
    with pytest.raises(UnstorableValueError, match="tag"):
        JSON.encode(value)


class Agreeable(list[Any]):
    __slots__ = ("tag",)

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None


def test_json_is_checked_by_default() -> None:
    form = format_of("json")
    with pytest.raises(UnstorableValueError):
        form.encode(bytearray(b"x"))
