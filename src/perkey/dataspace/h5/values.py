"""Values of an HDF5 file: scalars, text, bytes, None and arrays; signac reads and writes the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from perkey.errors import UnstorableValueError

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
        if name in group:  # h5py makes the dataset first, and finds out then
            del group[name]
        raise UnstorableValueError(f"HDF5 has no form for it: {error}", place=group.file.filename) from error


def read(dataset: h5py.Dataset) -> Any:
    """Return a scalar, text, bytes or None as Python's own; an array as the dataset itself."""
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
        raise TypeError(f"{type(value).__name__} is no array")
    array = np.asarray(value)
    if array.dtype.kind != "U":
        return array, None
    if not all(isinstance(item, str) for item in _items(value)):
        raise TypeError("text and other values in one array")  # NumPy would make text of them all
    return array.astype(object), h5py.string_dtype()


def _opaque(value: bytes) -> Any:
    # An opaque type has at least one byte: that there is none is said by an empty dataset of bytes.
    return np.void(value) if value else np.bytes_(value)


def _items(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for item in value:
            yield from _items(item)
    elif isinstance(value, np.ndarray):
        yield from value.flat
    else:
        yield value
