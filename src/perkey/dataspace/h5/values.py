"""Values of an HDF5 file; signac reads and writes the same.

Scalars, text, bytes, None and arrays are datasets. Data frames have the form of pandas and PyTables. PyTables
brings its own HDF5 library, which must not have a file open together with h5py's. So a frame travels between
the two as the image of a small file in memory, and open datasets stay valid.
"""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Iterator
from typing import Any, Final, Literal

import h5py
import numpy as np

from perkey.errors import MissingExtraError, UnstorableValueError

_KEY: Final = "frame"
_MARK: Final = "pandas_type"
_NATIVE = frozenset(map(np.dtype, (bool, np.int64, np.float64, np.complex128)))


def write(group: h5py.Group, name: str, value: Any) -> None:
    """Make a dataset of a value.

    Raises:
        UnstorableValueError: HDF5 has no form for it; the group is as it was.
    """
    if isinstance(value, h5py.Dataset):
        group.copy(value, name)
        return
    try:
        data, kind = _encoded(value)
        group.create_dataset(name, data=data, dtype=kind)
    except (TypeError, ValueError, OverflowError) as error:
        if name in group:  # h5py makes the dataset first, and raises then
            del group[name]
        raise UnstorableValueError(f"HDF5 has no form for it: {error}", place=group.file.filename) from error


def read(dataset: h5py.Dataset) -> Any:
    """Return a scalar, text, bytes and None as Python's own; an array as the dataset itself."""
    if dataset.shape is None:
        return None
    if dataset.shape != ():
        return dataset
    if h5py.check_string_dtype(dataset.dtype) and h5py.check_string_dtype(dataset.dtype).length is None:
        return dataset.asstr()[()]
    value = dataset[()]
    if isinstance(value, np.bytes_):
        return bytes(value)
    if isinstance(value, np.void) and value.dtype.fields is None:
        return value.tobytes()
    return value.item() if dataset.dtype in _NATIVE else value


def _encoded(value: Any) -> tuple[Any, Any]:
    """Return what h5py is to store, and as what."""
    if value is None:
        return h5py.Empty("f"), None
    if isinstance(value, bytes):
        # As text of fixed length bytes would lose the zeros at their end.
        return (np.bytes_(value) if value and not value.endswith(b"\0") else _opaque(value)), None
    if isinstance(value, str):
        return value, h5py.string_dtype()
    if isinstance(value, set | frozenset | dict):
        raise TypeError(f"{type(value).__name__} is not an array")
    array = np.asarray(value)
    if array.dtype.kind != "U":
        return array, None
    if not all(isinstance(item, str) for item in _items(value)):
        raise TypeError("text and other values in one array")  # NumPy would make text of them all
    return array.astype(object), h5py.string_dtype()


def _opaque(value: bytes) -> Any:
    # An opaque type has at least one byte: no bytes are an empty dataset of bytes.
    return np.void(value) if value else np.bytes_(value)


def _items(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for item in value:
            yield from _items(item)
    elif isinstance(value, np.ndarray):
        yield from value.flat
    else:
        yield value


# --- Data frames ------------------------------------------------------------------------------------------


def is_frame(value: Any) -> bool:
    """Return whether a value is a frame or a series; does not load pandas."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, pandas.DataFrame | pandas.Series)


def holds_frame(group: h5py.Group) -> bool:
    """Return whether a group of the file is a frame."""
    return _MARK in group.attrs


def write_frame(group: h5py.Group, name: str, frame: Any) -> None:
    """Store a frame; needs twice its memory."""
    with _in_memory("w") as store, warnings.catch_warnings():
        # Columns of Python objects are pickled, which pandas finds slow; they have only this form.
        warnings.simplefilter("ignore", sys.modules["pandas"].errors.PerformanceWarning)
        store.put(_KEY, frame, track_times=False)
        image = store._handle.get_file_image()
    with h5py.File(io.BytesIO(image), "r") as source:
        source.copy(_KEY, group, name)


def read_frame(group: h5py.Group) -> Any:
    """Return the frame that a group is; columns of Python objects are pickles, which are loaded."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as target:
        group.file.copy(group, target, _KEY)
    with _in_memory("r", driver_core_image=buffer.getvalue()) as store:
        return store[_KEY]


def _in_memory(mode: Literal["r", "w"], **options: Any) -> Any:
    try:
        import pandas as pd  # noqa: PLC0415 - heavy, and needed for frames only
        import tables  # noqa: F401, PLC0415 - pandas' own error would not name the extra
    except ModuleNotFoundError as error:
        raise MissingExtraError("a data frame in an H5Store", "h5,pandas", error.name or "tables") from error
    return pd.HDFStore(_KEY, mode, driver="H5FD_CORE", driver_core_backing_store=0, **options)
