"""Data frames in an HDF5 file, in the form of pandas and PyTables.

PyTables brings its own HDF5 library, which must not have a file open together with h5py's. So a frame
travels between the two as the image of a small file in memory, and open datasets stay valid.
"""

from __future__ import annotations

import io
import sys
import warnings
from typing import Any, Final, Literal

import h5py

from perkey.errors import MissingExtraError

_KEY: Final = "frame"
_MARK: Final = "pandas_type"


def is_frame(value: Any) -> bool:
    """Tell whether a value is a frame or a series; does not load pandas."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, pandas.DataFrame | pandas.Series)


def holds_frame(group: h5py.Group) -> bool:
    """Tell whether a group of the file is a frame."""
    return _MARK in group.attrs


def write(group: h5py.Group, name: str, frame: Any) -> None:
    """Store a frame; needs twice its memory."""
    with _in_memory("w") as store, warnings.catch_warnings():
        # Columns of Python objects are pickled, which pandas finds slow; there is no other form for them.
        warnings.simplefilter("ignore", sys.modules["pandas"].errors.PerformanceWarning)
        store.put(_KEY, frame, track_times=False)
        image = store._handle.get_file_image()
    with h5py.File(io.BytesIO(image), "r") as source:
        source.copy(_KEY, group, name)


def read(group: h5py.Group) -> Any:
    """Return the frame that a group is; columns of Python objects are pickles, which are loaded."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as target:
        group.file.copy(group, target, _KEY)
    with _in_memory("r", driver_core_image=buffer.getvalue()) as store:
        return store[_KEY]


def _in_memory(mode: Literal["r", "w"], **options: Any) -> Any:
    try:
        import pandas as pd  # noqa: PLC0415 - heavy, and needed for frames only
        import tables  # noqa: F401, PLC0415 - pandas' own error would not say which extra
    except ModuleNotFoundError as error:
        raise MissingExtraError("a data frame in an H5Store", "h5,pandas", error.name or "tables") from error
    return pd.HDFStore(_KEY, mode, driver="H5FD_CORE", driver_core_backing_store=0, **options)
