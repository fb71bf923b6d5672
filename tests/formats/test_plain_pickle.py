"""pkl without compression: plain pickles, read by all that read the others, with the checks that are left."""

import io
import pickle
from fractions import Fraction
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perkey import CorruptValueError, FileDirDict, UnloadableValueError, UnstorableValueError
from perkey.content import STREAM_ABOVE, bytes_of
from perkey.formats import AllowListPickleFormat, PickleFormat, format_of, register_format

PLAIN = PickleFormat(compression=None)
PACKED = PickleFormat()
VALUES = st.recursive(
    st.none() | st.integers() | st.text() | st.binary() | st.fractions(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES)
def test_values_come_back_through_either_format_and_joblib(value: Any) -> None:
    stored = bytes_of(PLAIN.encode(value))
    assert PLAIN.decode(stored) == value
    assert PACKED.decode(stored) == value
    assert PLAIN.decode(io.BytesIO(stored)) == value
    assert PLAIN.decode(bytes_of(PACKED.encode(value))) == value
    assert joblib.load(io.BytesIO(stored)) == value
    assert pickle.loads(stored) == value


@pytest.fixture
def d(tmp_path: Path) -> Any:
    register_format("raw", PLAIN, replace=True)
    return FileDirDict(tmp_path / "d", file_type="raw")


def test_large_arrays_are_streamed_and_joblib_loads_them(d: Any) -> None:
    array = np.random.default_rng(1).integers(0, 256, 3 * STREAM_ABOVE, dtype=np.uint8)
    d["a"] = {"array": array, "note": "x"}
    assert not isinstance(PLAIN.encode(array), bytes)
    np.testing.assert_array_equal(d["a"]["array"], array)
    assert d["a"]["array"].flags.writeable
    [path] = Path(d.store.describe()).glob("*.raw")
    assert array.nbytes < path.stat().st_size < array.nbytes + 1000
    np.testing.assert_array_equal(joblib.load(path)["array"], array)


def test_files_that_end_too_early_or_too_late_are_damaged() -> None:
    stored = bytes_of(PLAIN.encode({"a": [1, 2.5, "text"], "b": b"bytes"}))
    for length in range(len(stored)):
        with pytest.raises(CorruptValueError):
            PLAIN.decode(stored[:length])
    for content in (stored + b".", stored + b"\0", stored + stored):
        with pytest.raises(CorruptValueError, match="behind the end"):
            PLAIN.decode(content)


def test_files_of_zeros_are_damaged(d: Any) -> None:
    d["a"] = 1
    [path] = Path(d.store.describe()).glob("*.raw")
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(CorruptValueError, match="'a'"):
        d["a"]


def test_what_does_not_pickle_leaves_the_old_value(d: Any) -> None:
    d["a"] = 1
    for value in (lambda: None, [np.zeros(2 * STREAM_ABOVE, np.uint8), lambda: None]):
        with pytest.raises(UnstorableValueError, match="'a'"):
            d["a"] = value
    assert d["a"] == 1


def test_what_cannot_be_imported_is_not_taken_for_damage() -> None:
    gone = pickle.dumps(Fraction(1, 2), protocol=5).replace(b"fractions", b"fractionz")
    with pytest.raises(UnloadableValueError, match="fractionz"):
        PLAIN.decode(bytes_of(PLAIN.encode(0))[: -len(pickle.dumps(0, protocol=5))] + gone)


def test_a_list_of_allowed_classes_holds_for_them_too() -> None:
    stored = bytes_of(PLAIN.encode([Fraction(1, 2)]))
    assert AllowListPickleFormat([Fraction]).decode(stored) == [Fraction(1, 2)]
    with pytest.raises(UnloadableValueError, match="not in the list"):
        AllowListPickleFormat([]).decode(stored)


def test_other_compressions_are_refused() -> None:
    with pytest.raises(ValueError, match="'lz4' or None, not 'zip'"):
        PickleFormat(compression="zip")  # type: ignore[arg-type] # that is the point


def test_pkl_itself_can_be_made_plain(tmp_path: Path) -> None:
    packed = format_of("pkl")
    register_format("pkl", PLAIN, replace=True)
    plain = FileDirDict[int](tmp_path)
    plain["a"] = 1
    register_format("pkl", packed, replace=True)
    assert FileDirDict[int](tmp_path)["a"] == 1
