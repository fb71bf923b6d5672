"""Pickles are shown without loading them: nothing runs, and what is known is as it would be."""

from __future__ import annotations

import collections
import contextlib
import datetime as dt
import decimal
import io
import os
import pickle
import time
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perkey.formats import PickleFormat
from perkey.viewer import pickles
from perkey.viewer.pickles import Made, Name, Pairs, UnreadableError


def shown(value: Any, protocol: int = 5) -> Any:
    return pickles.simplified(pickles.read(pickle.dumps(value, protocol=protocol)))


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(PLAIN, st.integers(2, 5))
def test_plain_values_are_as_they_were(value: Any, protocol: int) -> None:
    assert shown(value, protocol) == value


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize(
    "value",
    [
        dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC),
        dt.date(2026, 1, 2),
        dt.time(1, 2),
        dt.timedelta(1, 2, 3),
        decimal.Decimal("1.50"),
        1 + 2j,
        range(2, 9, 3),
        bytearray(b"abc"),
        collections.OrderedDict(a=1, b=2),
    ],
    ids=lambda value: type(value).__name__,
)
def test_known_values_are_as_they_were(value: Any, protocol: int) -> None:
    assert shown(value, protocol) == value


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0),
        np.arange(12, dtype=">i2").reshape(3, 4),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.arange(20)[::3],
        np.zeros((0, 3)),
        np.array(["a", "bcd"]),
        np.array([b"a", b"bc"]),
        np.array([True, False]),
        np.array([1 + 2j]),
        np.array(["2026-01-01"], "M8[D]"),
        np.array(5.5),
        np.float32(1.5),
    ],
    ids=lambda array: f"{array.dtype}-{array.shape}",
)
def test_arrays_are_as_they_were(array: Any, protocol: int) -> None:
    found = shown(array, protocol)
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


def test_what_perkey_and_joblib_compress_is_read() -> None:
    value = {"a": [1, 2, 3] * 1000}
    for raw in (PickleFormat().encode(value), PickleFormat(compression=None).encode(value)):
        assert isinstance(raw, bytes)
        assert pickles.simplified(pickles.read(raw)) == value
    file = io.BytesIO()
    joblib.dump(value, file, compress=3)
    assert pickles.simplified(pickles.read(file.getvalue())) == value


class Loud:
    """Leaves a file behind when it is loaded."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


class Ordinary:
    def __init__(self) -> None:
        self.numbers = [1, 2]


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_of_a_pickle_runs(protocol: int, tmp_path: Path) -> None:
    path = str(tmp_path / "made")
    raw = pickle.dumps([{"a": Loud(path)}], protocol=protocol)
    (record,) = pickles.simplified(pickles.read(raw))
    assert record == {"a": record["a"]}
    assert record["a"].name.endswith(".mkdir")
    assert record["a"].args == (path,)
    assert not os.path.exists(path)
    pickle.loads(raw)
    assert os.path.exists(path), "the pickle is one that does run code"


def test_objects_are_shown_as_their_class_and_parts() -> None:
    found = shown(Ordinary())
    assert isinstance(found, Made)
    assert found.name.endswith(".Ordinary")
    assert found.state == {"numbers": [1, 2]}
    assert shown(Ordinary) == Name(f"{Ordinary.__module__}.Ordinary")
    assert shown({1: "a"}) == Pairs([(1, "a")])
    assert shown({1, 2}).items == [1, 2]


def test_parts_that_are_shared_or_contain_themselves_end() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    assert isinstance(shown(cycle), list)
    doubled = b"\x80\x04)" + b"2\x86" * 200 + b"."  # a tuple of twice a tuple of twice ...
    began = time.monotonic()
    assert isinstance(pickles.simplified(pickles.read(doubled)), tuple)
    as_key = b"\x80\x04})" + b"2\x86" * 200 + b"K\x01s."
    assert isinstance(pickles.simplified(pickles.read(as_key)), Pairs)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff",
        b"K\x01",
        b".",
        b"0.",
        b"s.",
        b"t.",
        b"K\x01Nb.",
        b"K\x01K\x02a.",
        b"h\x05.",
        b"\x8e" + (1 << 62).to_bytes(8, "little") + b".",
        b"\x96" + (1 << 40).to_bytes(8, "little") + b".",
        b"Nr\xff\xff\xff\x7fj\x00\x00\x00\x01.",
        b'\x04"M\x18damaged',
        b"\x78\x9cdamaged",
        b"N" * 500_000 + b".",
    ],
    ids=lambda raw: repr(raw[:12]),
)
def test_bytes_that_are_not_a_pickle_are_refused(raw: bytes) -> None:
    with pytest.raises(UnreadableError):
        pickles.read(raw)


def test_a_small_file_that_decompresses_to_much_is_refused() -> None:
    bomb = PickleFormat().encode(b"\0" * (pickles.MOST_BYTES + 10))
    raw = bomb if isinstance(bomb, bytes) else _written(bomb)
    assert len(raw) < 1 << 20
    with pytest.raises(UnreadableError, match="32 MiB"):
        pickles.read(raw)


def _written(data: Any) -> bytes:
    file = io.BytesIO()
    data.write_to(file)
    return file.getvalue()


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_read_or_refused(raw: bytes) -> None:
    with contextlib.suppress(UnreadableError):
        pickles.simplified(pickles.read(b"\x80\x04" + raw))


def array_of(data: bytes, kind: str, *shape: int) -> Made:
    dtype = Made("numpy.dtype", (kind, False, True))
    return Made("numpy._core.numeric._frombuffer", (data, dtype, shape, "C"))


@pytest.mark.parametrize(
    "made",
    [
        array_of(b"12345678", "O8", 1),
        array_of(b"1", "f8", 1 << 40),
        array_of(b"", "f8", -1),
        Made("numpy._core.multiarray._reconstruct", (1,), state=(1, "x", 2, 3, 4)),
        Made("builtins.bytearray", (1 << 40,)),
        Made("datetime.datetime", ("x",)),
        Made("decimal.Decimal", ("1", "2", "3")),
    ],
    ids=["objects", "size", "sign", "kinds", "memory", "kind", "count"],
)
def test_arguments_that_do_not_fit_stay_as_they_are(made: Made) -> None:
    assert pickles.simplified(made) is made


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"a": [1, 2], "b": ["x", "y"], "c": [1.5, 2.5]}, index=["r", "s"]),
        pd.DataFrame(np.arange(12).reshape(3, 4)),
        pd.DataFrame({"day": pd.to_datetime(["2026-01-01", "2026-01-02"])}),
        pd.DataFrame({"a": []}),
    ],
)
def test_frames_are_read(frame: pd.DataFrame) -> None:
    found = pickles.frame(shown(frame))
    assert found is not None
    labels, columns = found
    assert labels == frame.index.tolist()
    assert list(columns) == frame.columns.tolist()
    for name in frame:
        assert list(map(str, columns[name])) == [
            str(getattr(x, "to_pydatetime", lambda x=x: x)()) for x in frame[name]
        ]


def test_frames_of_other_columns_are_not_shown_wrongly() -> None:
    assert pickles.frame(shown(pd.DataFrame({"a": pd.Categorical(["x"])}))) is None
    assert pickles.frame(Made("pandas.DataFrame", state={"_mgr": 5})) is None
    assert pickles.frame([1]) is None
