"""HDF5 files as dictionaries."""

from __future__ import annotations

import array
import copy
import io
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

from perkey.dataspace import H5Group, H5Store
from perkey.dataspace.errors import (
    H5StoreAlreadyOpenError,
    H5StoreClosedError,
    InvalidKeyError,
    KeyTypeError,
)
from perkey.errors import MissingExtraError, UnstorableValueError

FRAME = pd.DataFrame({"x": [1, 2], "y": ["a", "b"], "z": [1.5, None]}, index=["one", "two"])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[H5Store]:
    store = H5Store(tmp_path / "file.h5")
    yield store
    store.close()


SCALARS = [
    0,
    -7,
    2**62,
    1.5,
    float("inf"),
    True,
    False,
    None,
    1j,
    "",
    "bar",
    "ünï",
    b"",
    b"xy",
    b"a\0b",
    b"a\0\0",
]


@pytest.mark.parametrize("value", SCALARS, ids=repr)
@pytest.mark.parametrize("is_open", [False, True])
def test_scalars_come_back_as_they_were(store: H5Store, value: Any, is_open: bool) -> None:
    if is_open:
        store.open()
    store["key"] = value
    assert store["key"] == value
    assert type(store["key"]) is type(value)


ARRAYS = [
    np.arange(6.0).reshape(2, 3),
    np.array([], dtype=np.int16),
    np.array([1 + 2j], dtype=np.complex64),
    np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
    [1, 2, 3],
    (1.5, 2),
    [[True], [False]],
    array.array("d", [1, 2]),
]


@pytest.mark.parametrize("value", ARRAYS, ids=repr)
def test_arrays_keep_shape_type_and_elements(store: H5Store, value: Any) -> None:
    with store:
        store["key"] = value
    with store.open("r"):
        found = store["key"]
        assert isinstance(found, h5py.Dataset)
        assert found.dtype == np.asarray(value).dtype
        assert np.array_equal(found[()], np.asarray(value))


@pytest.mark.parametrize("value", [["a", "ü"], np.array([["a"], ["bc"]])], ids=repr)
def test_arrays_of_text(store: H5Store, value: Any) -> None:
    with store:
        store["key"] = value
        assert store["key"].asstr()[()].tolist() == np.asarray(value).tolist()


def test_an_array_of_a_closed_store_says_that_it_must_be_open(store: H5Store) -> None:
    store["key"] = [1, 2]
    with pytest.raises(H5StoreClosedError, match="with block"):
        store["key"]
    assert "key" in store
    assert len(store) == 1


@pytest.mark.parametrize(
    "value",
    [2**70, {1}, object(), [1, "a"], [[1], [1, 2]], [None], "a\0b", np.datetime64("2020")],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_stored_leaves_the_old_value(store: H5Store, value: Any) -> None:
    store["key"] = 1
    for bad in (value, {"good": 2, "bad": value}):
        with pytest.raises(UnstorableValueError):
            store["key"] = bad
    assert store == {"key": 1}


def test_mappings_are_nested_groups(store: H5Store) -> None:
    store["group"] = {"a": 1, "inner": {"b": "two", "empty": {}}}
    group = store["group"]
    assert isinstance(group, H5Group)
    assert group["inner"]["b"] == "two"
    assert store["group/inner/b"] == "two"
    assert group == {"a": 1, "inner": {"b": "two", "empty": {}}}
    group.inner.c = 3
    del group["a"]
    assert store == {"group": {"inner": {"b": "two", "empty": {}, "c": 3}}}


def test_a_group_outlives_closing(store: H5Store) -> None:
    with store:
        store["group"] = {"a": [1, 2]}
        group = store["group"]
    with store:
        assert list(group["a"]) == [1, 2]


def test_groups_and_datasets_can_be_copied(store: H5Store, tmp_path: Path) -> None:
    store["group"] = {"a": [1, 2], "b": {"c": None}}
    other = H5Store(tmp_path / "other.h5")
    store["copy"] = store["group"]
    other["copy"] = store["group"]
    other["whole"] = store
    assert store["copy"] == store["group"] == other["copy"]
    assert other["whole"] == store
    with store, other:
        other["array"] = store["group"]["a"]
        store["group"]["itself"] = store["group"]
    with other:
        assert list(other["array"]) == [1, 2]
    assert store["group"]["itself"] == store["copy"]


@pytest.mark.parametrize(
    "frame", [FRAME, FRAME["x"], pd.Series([1.5, 2.5], name="s")], ids=["frame", "x", "s"]
)
@pytest.mark.parametrize("is_open", [False, True])
def test_frames(store: H5Store, frame: Any, is_open: bool) -> None:
    if is_open:
        store.open()
    store["frame"] = frame
    store["nested"] = {"frame": frame}
    assert store["frame"].equals(frame)
    assert store["nested"]["frame"].equals(frame)
    assert store == {"frame": frame, "nested": {"frame": frame}}


def test_storing_a_frame_leaves_open_datasets_alone(store: H5Store) -> None:
    with store:
        store["array"] = [1, 2]
        dataset = store["array"]
        store["frame"] = FRAME
        assert list(dataset) == [1, 2]


def test_pandas_reads_our_frames_and_we_read_its(store: H5Store) -> None:
    store["ours"] = FRAME
    with pd.HDFStore(store.filename, "a") as file:
        file.put("its", FRAME, format="table", data_columns=["x"], track_times=False)
    read: Any = pd.read_hdf(store.filename, "ours")
    assert read.equals(FRAME)
    assert store["its"].equals(FRAME)


@pytest.mark.parametrize("key", ["", "a.b", ".", "/", "a\0b"])
def test_keys_that_are_refused(store: H5Store, key: str) -> None:
    with pytest.raises(InvalidKeyError):
        store[key] = 1
    with pytest.raises(InvalidKeyError):
        store["outer"] = {key: 1}
    assert list(store) == []


def test_keys_are_text(store: H5Store) -> None:
    wrong: Any = 1
    with pytest.raises(KeyTypeError):
        store[wrong] = 1
    with pytest.raises(KeyError):
        store[wrong]
    assert wrong not in store


def test_a_missing_key_is_a_key_error(store: H5Store) -> None:
    for _ in range(2):
        with pytest.raises(KeyError, match="nope"):
            store["nope"]
        with pytest.raises(KeyError, match="nope"):
            del store["nope"]
        with pytest.raises(AttributeError, match="nope"):
            _ = store.nope
        with pytest.raises(AttributeError, match="nope"):
            del store.nope
        assert store.get("nope", 5) == 5
        assert store.pop("nope", 5) == 5
        store["other"] = 1


def test_keys_are_attributes(store: H5Store) -> None:
    store.foo = "bar"
    assert store["foo"] == store.foo == "bar"
    assert "foo" in dir(store)
    del store.foo
    assert "foo" not in store
    with pytest.raises(AttributeError, match="write store"):
        store.__setattr__("keys", 1)
    store["keys"] = 1
    assert store["keys"] == 1


def test_the_rest_of_a_mutable_mapping(store: H5Store) -> None:
    store.update({"a": 1, "b": 2}, c=3)
    assert store.setdefault("a", 5) == 1
    assert isinstance(store.setdefault("d", {"x": 1}), H5Group)
    assert dict(store.items()) == {"a": 1, "b": 2, "c": 3, "d": {"x": 1}}
    assert store.pop("b") == 2
    assert store.popitem() == ("a", 1)
    assert set(store.keys()) == {"c", "d"}
    store.clear()
    assert store == {}
    assert not store
    with pytest.raises(KeyError):
        store.popitem()


def test_looking_does_not_make_the_file(store: H5Store) -> None:
    assert len(store) == 0
    assert "a" not in store
    assert store.get("a") is None
    assert not Path(store.filename).exists()


def test_opening_and_closing(store: H5Store) -> None:
    for closed in (lambda: store.file, store.flush):
        with pytest.raises(H5StoreClosedError):
            closed()
    store.close()
    assert store.open() is store
    with pytest.raises(H5StoreAlreadyOpenError):
        store.open()
    store.flush()
    assert isinstance(store.file, h5py.File)
    store.close()
    with store as inner, inner:
        store["a"] = 1
    assert not store.is_open


def test_an_inner_block_leaves_the_store_open(store: H5Store) -> None:
    with store:
        with store:
            store["a"] = [1]
        assert list(store["a"]) == [1]


def test_reading_mode(store: H5Store) -> None:
    store["a"] = 1
    reading = H5Store(store.filename, mode="r")
    assert (reading.mode, store.mode) == ("r", "a")
    assert reading["a"] == 1
    for change in (lambda: reading.update(a=2), lambda: reading.pop("a"), reading.clear):
        with pytest.raises(io.UnsupportedOperation, match="reading only"):
            change()
    with store.open(mode="r"), pytest.raises(io.UnsupportedOperation):
        store["a"] = 2
    assert store == {"a": 1}
    with pytest.raises(FileNotFoundError):
        H5Store(store.filename + "x", mode="r").open()


def test_a_file_that_may_only_be_read_can_be_read(store: H5Store) -> None:
    store["a"] = 1
    Path(store.filename).chmod(0o444)
    assert store["a"] == 1


def test_handles_travel(store: H5Store) -> None:
    store["a"] = 1
    for other in (pickle.loads(pickle.dumps(store)), copy.copy(store), copy.deepcopy(store)):
        assert other.filename == store.filename
        assert other["a"] == 1
    assert eval(repr(store))["a"] == 1
    with pytest.raises(TypeError):
        hash(store)
    store["group"] = {"b": 2}
    for group in (pickle.loads(pickle.dumps(store.group)), copy.deepcopy(store.group)):
        assert group == {"b": 2}


def test_equality_looks_into_arrays(store: H5Store) -> None:
    store["a"] = [1, 2]
    store["t"] = ["x", "y"]
    assert store == {"a": np.array([1, 2]), "t": ["x", "y"]}
    assert store != {"a": np.array([1, 3]), "t": ["x", "y"]}
    assert store != {"a": 1}
    assert store != 5


def test_threads_share_a_store(store: H5Store) -> None:
    def work(name: str) -> None:
        for number in range(20):
            store[f"{name}{number}"] = number
            with store:
                store["array"] = np.arange(10)
                assert store[f"{name}{number}"] == number

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store) == 81
    assert not store.is_open


WRITER = """
import sys
from perkey.dataspace import H5Store
store = H5Store(sys.argv[1], wait=60)
for number in range(25):
    store[sys.argv[2] + str(number)] = number
"""


def test_processes_share_a_file(store: H5Store) -> None:
    """They wait for each other, and nothing is lost."""
    crew = [subprocess.Popen([sys.executable, "-c", WRITER, store.filename, name]) for name in "abc"]
    assert [each.wait() for each in crew] == [0, 0, 0]
    assert store == {f"{name}{number}": number for name in "abc" for number in range(25)}


def test_one_waits_no_longer_than_asked(store: H5Store) -> None:
    with store:
        store["a"] = 1
        code = f"from perkey.dataspace import H5Store; H5Store({store.filename!r}, wait=0)['b'] = 1"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "BlockingIOError" in done.stderr
    assert store == {"a": 1}


def test_without_h5py_the_error_names_the_extra(store: H5Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'perkey\[h5\]'"):
        store["a"] = 1


def test_without_pytables_the_error_names_the_extra(store: H5Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tables", None)
    with pytest.raises(MissingExtraError, match="tables: pip install"):
        store["a"] = FRAME
    assert store == {}


def test_data_spaces_load_no_hdf5() -> None:
    code = "import sys, perkey.dataspace as s; s.H5Store('x'); print({'h5py', 'numpy'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("content", [b"not HDF5 " * 500, None])
def test_an_error_of_a_damaged_file_names_it(store: H5Store, content: bytes | None) -> None:
    store["key"] = 1
    path = Path(store.filename)
    path.write_bytes(path.read_bytes()[:100] if content is None else content)
    before = path.read_bytes()
    for act in (lambda: store["key"], lambda: list(store), lambda: store.__setitem__("key", 2)):
        with pytest.raises(OSError, match="open file") as caught:
            act()
        assert store.filename in caught.value.__notes__
    assert path.read_bytes() == before
