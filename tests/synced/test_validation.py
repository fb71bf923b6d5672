"""What may be put in, what becomes of it, and what is refused."""

import enum
from collections import OrderedDict, UserDict, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perkey.synced import (
    InvalidKeyError,
    JSONAttrDict,
    JSONAttrList,
    JSONDict,
    JSONList,
    KeyTypeError,
    SyncedCollection,
    default,
    json_attr_dict_validator,
    json_format_validator,
    no_dot_in_key,
    require_string_key,
)


class Colour(enum.IntEnum):
    RED = 3


class Name(str, enum.Enum):  # noqa: UP042 - its str() is another than its value
    ANNA = "anna"


class Celsius(float):
    pass


@pytest.fixture
def d(tmp_path: Path) -> JSONDict:
    """An empty dict."""
    return JSONDict(tmp_path / "data.json")


@pytest.mark.parametrize(
    ("value", "becomes"),
    [
        ((1, (2,)), [1, [2]]),
        (range(3), [0, 1, 2]),
        (deque([1]), [1]),
        (OrderedDict(b=1, a=UserDict(c=2)), {"b": 1, "a": {"c": 2}}),
        ({Name.ANNA: Name.ANNA}, {"anna": "anna"}),
        (Colour.RED, 3),
        (Celsius(1.5), 1.5),
        (10**30, 10**30),
        (np.float64(1.5), 1.5),
        (np.float32(0.1), 0.10000000149011612),
        (np.int64(3), 3),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.array(3), 3),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array([1.5, True]), [1.5, 1.0]),
        (np.array(["a", "b"]), ["a", "b"]),
        (np.array([{"a": np.int8(1)}, None], dtype=object), [{"a": 1}, None]),
        ({"a": [np.array([])]}, {"a": [[]]}),
    ],
    ids=repr,
)
def test_what_is_like_json_becomes_plain(d: JSONDict, value: Any, becomes: Any) -> None:
    d["value"] = value
    data = d()["value"]
    assert data == becomes
    assert type(data) is type(becomes)
    assert types_of(data) <= {dict, list, str, int, float, bool, type(None)}


def types_of(data: Any) -> set[type]:
    found = {type(data)}
    inner = [*data, *data.values()] if isinstance(data, dict) else data if isinstance(data, list) else []
    return found.union(*map(types_of, inner))


REFUSED: list[Any] = [
    b"bytes",
    bytearray(b"b"),
    memoryview(b"b"),
    {1, 2},
    frozenset(),
    1j,
    object(),
    iter([]),
    len,
    int,
    np.complex128(1j),
    np.array([1j]),
    np.array([b"b"]),
    np.datetime64("2020-01-01"),
    np.array([object()]),
    np.longdouble(1),
]


@pytest.mark.parametrize("value", REFUSED, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("wrapped", [lambda v: v, lambda v: [v], lambda v: {"x": {"y": (v,)}}])
def test_what_json_cannot_hold_is_refused(d: JSONDict, value: Any, wrapped: Callable[[Any], Any]) -> None:
    d["list"] = []
    edits: list[Callable[[], Any]] = [
        lambda: d.__setitem__("a", wrapped(value)),
        lambda: d.update(b=1, a=wrapped(value)),
        lambda: d.setdefault("a", wrapped(value)),
        lambda: d.reset({"a": wrapped(value)}),
        lambda: d.transform(lambda _: {"a": wrapped(value)}),
        lambda: d["list"].append(wrapped(value)),
        lambda: d["list"].extend([1, wrapped(value)]),
        lambda: d["list"].insert(0, wrapped(value)),
        lambda: d["list"].__setitem__(slice(0, 0), [wrapped(value)]),
        lambda: JSONDict(d.filename, data={"a": wrapped(value)}),
    ]
    for edit in edits:
        with pytest.raises(TypeError):
            edit()
    assert d == {"list": []}


def test_data_that_contains_itself_is_refused(d: JSONDict) -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ValueError, match="contains itself"):
        d["a"] = loop
    assert d == {}


@pytest.mark.parametrize("key", [1, None, True, 1.5, (1,), b"a"], ids=repr)
def test_keys_are_strings(d: JSONDict, key: Any) -> None:
    for value in ({key: 1}, [{"a": {key: 1}}]):
        with pytest.raises(KeyTypeError, match="keys must be str"):
            d["x"] = value
        with pytest.raises(TypeError):
            d.update({"ok": 1, "x": value})
    with pytest.raises(KeyTypeError):
        d[key] = 1
    assert key not in d
    assert d == {}


def test_dots_are_allowed_but_for_attributes(d: JSONDict) -> None:
    d["a.b"] = {"c.d": 1}
    assert d == {"a.b": {"c.d": 1}}


@pytest.mark.parametrize("nested", [lambda v: v, lambda v: {"x": [v]}])
def test_classes_with_attributes_convert_keys(tmp_path: Path, nested: Callable[[Any], Any]) -> None:
    a = JSONAttrDict(tmp_path / "a.json")
    items = JSONAttrList(tmp_path / "l.json")
    a["x"] = nested({1: "int", None: {True: 0}})
    items.append(nested({1: "int", None: {True: 0}}))
    assert a["x"] == items[0] == nested({"1": "int", "None": {"True": 0}})
    for wrong, error in (
        ({"a.b": 1}, InvalidKeyError),
        ({1.5: 1}, KeyTypeError),
        ({1: 0, "1": 0}, InvalidKeyError),
    ):
        with pytest.raises(error):
            a["y"] = nested(wrong)
        with pytest.raises(error):
            items.append(nested(wrong))
    assert len(a) == len(items) == 1


def test_converted_keys_are_found_again(tmp_path: Path) -> None:
    a: Any = JSONAttrDict(tmp_path / "a.json")
    a[1] = "one"
    a[None] = [1]
    a[None] += [2]
    assert a[1] == a["1"] == a.get(1) == a.setdefault(1, 0) == "one"
    assert 1 in a
    assert (2 in a, 1.5 in a) == (False, False)
    assert a.pop(1) == "one"
    assert a == {"None": [1, 2]}


def test_nan_is_kept_or_refused(tmp_path: Path) -> None:
    d = JSONDict(tmp_path / "data.json")
    d["a"] = [float("inf"), np.array([np.nan])]
    assert repr(JSONDict(tmp_path / "data.json")) == "{'a': [inf, [nan]]}"
    strict = JSONList(tmp_path / "list.json", allow_nan=False)
    strict.append([1.5])
    for bad in (float("nan"), -float("inf"), [np.float32("nan")], np.array([np.inf])):
        with pytest.raises(ValueError, match="not a number in JSON"):
            strict.append(bad)
        with pytest.raises(ValueError, match="not a number"):
            strict[0].append(bad)
    assert strict == [[1.5]]


# --- Validators -------------------------------------------------------------------------------------


def test_the_validators_by_name() -> None:
    good = {"a": [1, {"b": None}], "c": np.array([1])}
    for validator in (json_format_validator, require_string_key, no_dot_in_key, json_attr_dict_validator):
        validator(good)
    for validator in (json_format_validator, require_string_key):
        with pytest.raises(KeyTypeError):
            validator([{"a": {1: 1}}])
    for validator in (no_dot_in_key, json_attr_dict_validator):
        validator({1: {None: True}})
        with pytest.raises(InvalidKeyError):
            validator([{"a": {"b.c": 1}}])
        with pytest.raises(KeyTypeError):
            validator({"a": {1.5: 1}})
    for validator in (json_format_validator, json_attr_dict_validator):
        with pytest.raises(TypeError):
            validator({"a": b""})


def no_negatives(data: Any) -> None:
    """Refuse negative numbers."""
    for value in data.values() if isinstance(data, dict) else data:
        if isinstance(value, (dict, list)):
            no_negatives(value)
        elif isinstance(value, int) and value < 0:
            raise ValueError(f"negative: {value}")


def no_x(data: Any) -> None:
    """Refuse the string x."""
    if "x" in repr(data):
        raise ValueError("x")


class Positive(JSONDict):
    _validators = (no_negatives,)


class PositiveWithoutX(Positive):
    _validators = (no_x,)


class OnlyWithoutX(PositiveWithoutX):
    _all_validators = (no_x,)


def test_validators_of_users_are_inherited(tmp_path: Path) -> None:
    d = PositiveWithoutX(tmp_path / "data.json")
    d["a"] = {"b": [1]}
    assert isinstance(d["a"], PositiveWithoutX)
    for edit in (
        lambda: d.__setitem__("c", -1),
        lambda: d["a"]["b"].append(-1),
        lambda: d["a"].update(c={"d": [-1]}),
        lambda: d["a"]["b"].append("x"),
        lambda: d.reset({"x": 1}),
        lambda: PositiveWithoutX(tmp_path / "data.json", data={"a": -1}),
    ):
        with pytest.raises(ValueError, match=r"negative|x"):
            edit()
    assert d == {"a": {"b": [1]}}
    only = OnlyWithoutX(tmp_path / "data.json")
    only["a"]["b"].append(-1)
    with pytest.raises(ValueError, match="x"):
        only["a"]["b"].append("x")
    with pytest.raises(TypeError):
        only["a"] = {1}


def test_base_types() -> None:
    good: Any
    for good in ({}, OrderedDict(), UserDict()):
        assert JSONDict.is_base_type(good)
        assert not JSONList.is_base_type(good)
    for good in ([], (), range(2), np.array([1])):
        assert JSONList.is_base_type(good)
        assert not JSONDict.is_base_type(good)
    for bad in ("a", b"a", bytearray(), 1, None, {1}, np.array(1), np.float64(1)):
        assert not JSONDict.is_base_type(bad)
        assert not JSONList.is_base_type(bad)


def test_the_function_for_json_dumps() -> None:
    assert default(np.array([1])) == [1]
    with pytest.raises(TypeError):
        default({1})


def test_threads_need_no_switch(d: JSONDict) -> None:
    JSONDict.enable_multithreading()
    JSONDict.disable_multithreading()
    d["a"] = 1
    assert isinstance(d, SyncedCollection)
