"""pkl: any picklable value comes back, large ones as streams; joblib and perkey read each other's files."""

import datetime as dt
import decimal
import io
import math
import pickle
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import joblib
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perkey import FileDirDict, UnstorableValueError
from perkey.content import STREAM_ABOVE, Streamable, bytes_of
from perkey.formats import PickleFormat

PKL = PickleFormat()
Array = npt.NDArray[Any]

NUMBERS = st.integers() | st.floats(allow_nan=False) | st.complex_numbers(allow_nan=False)
OTHERS = st.dates() | st.datetimes() | st.decimals(allow_nan=False) | st.uuids()
ATOMS = st.none() | st.booleans() | NUMBERS | OTHERS | st.text() | st.binary()
HASHABLE = st.integers() | st.text() | st.binary() | st.tuples(st.integers(), st.text())
VALUES = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(HASHABLE, inner) | st.sets(HASHABLE)
        | st.frozensets(HASHABLE)
    ),
    max_leaves=20,
)  # fmt: skip


@dataclass
class Point:
    x: float
    y: float


class Slotted:
    __slots__ = ("__weakref__", "value")

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Slotted) and self.value == other.value

    __hash__ = None  # type: ignore[assignment] # as a class with __eq__ is


def both_ways(value: Any) -> list[Any]:
    """Return `value` encoded and decoded, from bytes and from a file."""
    stored = bytes_of(PKL.encode(value))
    return [PKL.decode(stored), PKL.decode(io.BytesIO(stored))]


@given(VALUES)
def test_any_picklable_value_comes_back(value: Any) -> None:
    for found in both_ways(value):
        assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    "value",
    [
        *(Point(1, 2), Slotted([1, Point(0, 0)]), {"nested": {"p": Point(3, 4)}}, Point, math.sqrt, len),
        *(range(5), ..., slice(1, 2), bytearray(b"ab"), 10**5000),
        *(decimal.Decimal("0.1"), dt.timedelta(1), uuid.UUID(int=5)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_objects_classes_and_functions_that_have_a_name_come_back(value: Any) -> None:
    for found in both_ways(value):
        assert found == value


def test_shared_and_circular_parts_stay_shared_and_circular() -> None:
    part: list[Any] = [1]
    part.append(part)
    for found in both_ways({"a": part, "b": part}):
        assert found["a"] is found["b"]
        assert found["a"][1] is found["a"]


ARRAYS: dict[str, Callable[[], Array]] = {
    "small": lambda: np.arange(10),
    "0-d": lambda: np.array(1.5),
    "empty": lambda: np.empty((0, 3)),
    "large": lambda: np.random.default_rng(0).random(300_000),
    "large and compressible": lambda: np.arange(400_000) // 7,
    "large Fortran order": lambda: np.asfortranarray(np.random.default_rng(0).random((700, 400))),
    "large not contiguous": lambda: np.random.default_rng(0).random((800, 800))[::2, ::2],
    "large reversed": lambda: np.arange(300_000)[::-1],
    "large big-endian": lambda: np.arange(300_000).astype(">i8"),
    "large structured": lambda: np.zeros(100_000, dtype=[("a", "i4"), ("b", "f8")]),
    "large of texts": lambda: np.array(["abc", "de"] * 200_000),
    "large of objects": lambda: np.array([{"a": 1}, [2], None] * 60_000, dtype=object),
    "exactly at the limit": lambda: np.zeros(STREAM_ABOVE, dtype="u1"),
    "one byte above it": lambda: np.zeros(STREAM_ABOVE + 1, dtype="u1"),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_of_every_kind_come_back(kind: str) -> None:
    array = ARRAYS[kind]()
    for found in both_ways(array):
        assert (found.dtype, found.shape) == (array.dtype, array.shape)
        assert found.flags.f_contiguous or not array.flags.f_contiguous
        assert found.flags.writeable
        np.testing.assert_array_equal(found, array)


def test_large_buffers_are_streamed_and_small_ones_are_not() -> None:
    assert isinstance(PKL.encode(np.zeros(STREAM_ABOVE)), Streamable)
    assert isinstance(PKL.encode({"deep": [np.zeros(STREAM_ABOVE)]}), Streamable)
    assert isinstance(PKL.encode("x" * (STREAM_ABOVE + 1)), Streamable)
    assert isinstance(PKL.encode(np.zeros(1000)), bytes)
    assert isinstance(PKL.encode([np.zeros(1000)] * 3), bytes)


def test_several_large_arrays_in_one_value_come_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    value: dict[str, Any] = {
        "a": rng.random(200_000),
        "b": [rng.random((300, 600)).T, "between"],
        "c": b"x" * 2_000_000,
    }
    value["again"] = value["a"]
    d = FileDirDict[Any](tmp_path, durability="none")
    d["k"] = value
    found = d["k"]
    np.testing.assert_array_equal(found["a"], value["a"])
    np.testing.assert_array_equal(found["b"][0], value["b"][0])
    assert found["c"] == value["c"]
    assert found["again"] is found["a"]


class PieceByPiece(io.RawIOBase):
    """A file that returns what it likes, up to what is asked for, as sockets do."""

    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content)
        self._rng = np.random.default_rng(0)

    def read(self, size: int = -1) -> bytes:
        most = int(self._rng.integers(1, 50_000))
        return self._file.read(most if size < 0 else min(size, most))

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)


def test_a_stream_may_come_in_pieces_of_any_size() -> None:
    value = [np.arange(300_000) // 7, "text", np.random.default_rng(0).random(200_000)]
    source: Any = PieceByPiece(bytes_of(PKL.encode(value)))
    found = PKL.decode(source)
    np.testing.assert_array_equal(found[0], value[0])
    np.testing.assert_array_equal(found[2], value[2])


def test_a_stream_writes_the_same_again_after_a_conflict() -> None:
    data = PKL.encode(np.arange(400_000))
    assert bytes_of(data) == bytes_of(data)


@pytest.mark.parametrize(
    "value",
    [pd.DataFrame({"a": [1, 2, 3], "b": ["x", None, "z"]}), pd.Series([1.5, float("nan")], index=["p", "q"])],
    ids=["frame", "series"],
)
def test_frames_come_back(value: Any) -> None:
    large = value.iloc[np.arange(STREAM_ABOVE // 8 + 1) % len(value)]
    assert isinstance(PKL.encode(large), Streamable)
    for original in (value, large):
        for found in both_ways(original):
            assert type(found) is type(original)
            assert found.equals(original)


# --- Other people's files -----------------------------------------------------------------------------

MIXED: dict[str, Any] = {
    "s": "text",
    "a": np.arange(1000),
    "n": [1, (2, 3)],
    "f": np.ones((30, 40), order="F"),
}


def assert_mixed(found: Any) -> None:
    assert (found["s"], found["n"]) == (MIXED["s"], MIXED["n"])
    np.testing.assert_array_equal(found["a"], MIXED["a"])
    np.testing.assert_array_equal(found["f"], MIXED["f"])


@pytest.mark.parametrize("size", [10, 300_000])
def test_joblib_loads_what_is_written_here(tmp_path: Path, size: int) -> None:
    """By path and by file object, small ones and streamed ones."""
    value = {**MIXED, "sized": np.random.default_rng(0).random(size)}
    d = FileDirDict[Any](tmp_path, durability="none")
    d["k"] = value
    (path,) = tmp_path.iterdir()
    with path.open("rb") as file:
        for found in (joblib.load(path), joblib.load(file)):
            assert_mixed(found)
            np.testing.assert_array_equal(found["sized"], value["sized"])


@pytest.mark.parametrize("method", [None, "zlib", "gzip", "bz2", "xz", "lzma", "lz4"])
@pytest.mark.parametrize("arrays", [True, False])
@pytest.mark.parametrize("size", [10, STREAM_ABOVE + 1])
def test_what_joblib_wrote_is_read_here(tmp_path: Path, method: str | None, arrays: bool, size: int) -> None:
    """In each of its compressions, with arrays (its own file layout) and without, small and streamed."""
    value = {**MIXED} if arrays else {"s": "text", "n": [1, (2, 3)]}
    value["sized"] = np.random.default_rng(0).bytes(size)
    d = FileDirDict[Any](tmp_path, durability="none")
    d["k"] = "placeholder"
    (path,) = tmp_path.iterdir()
    joblib.dump(value, path, compress=(method, 1) if method else 0)
    found = d["k"]
    assert found["sized"] == value["sized"]
    if arrays:
        assert_mixed(found)
    else:
        assert found == value


@pytest.mark.parametrize("protocol", range(2, 6))
def test_a_bare_pickle_is_read(protocol: int) -> None:
    assert PKL.decode(pickle.dumps({"a": [1, "b"]}, protocol)) == {"a": [1, "b"]}


# --- What cannot be stored ----------------------------------------------------------------------------


class FailsLate:
    """Pickles only after so many bytes that they are streamed."""

    def __init__(self) -> None:
        self.large = np.zeros(400_000)
        self.bad: Any = lambda: None


@pytest.mark.parametrize("kind", ["lambda", "generator", "memoryview", "open file"])
def test_what_does_not_pickle_is_refused_with_its_class(kind: str) -> None:
    with Path(__file__).open("rb") as file:
        values: dict[str, Any] = {
            "lambda": lambda: 0,
            "generator": (c for c in "a"),
            "memoryview": memoryview(b""),
        }
        value = values.get(kind, [1, file])
        with pytest.raises(UnstorableValueError, match=type(value).__name__):
            PKL.encode(value)


def test_what_fails_late_is_refused_while_it_is_written() -> None:
    data = PKL.encode(FailsLate())
    file: BinaryIO = io.BytesIO()
    assert isinstance(data, Streamable)
    with pytest.raises(UnstorableValueError, match="FailsLate"):
        data.write_to(file)


@pytest.mark.parametrize("old", [None, "old"])
def test_what_cannot_be_stored_leaves_the_old_value_and_no_litter(tmp_path: Path, old: str | None) -> None:
    d = FileDirDict[Any](tmp_path)
    if old:
        d["k"] = old
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    for value in (lambda: None, FailsLate()):
        for act in (
            lambda v: d.__setitem__("k", v),
            lambda v: d.transform_item("k", transformer=lambda _: v),
        ):
            with pytest.raises(UnstorableValueError) as caught:
                act(value)
            assert caught.value.key == ("k",)
            assert str(tmp_path) in str(caught.value.place)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    assert d == ({"k": "old"} if old else {})
