"""Frames of pandas in jsonpickle's form, without the losses that can be avoided there.

Other readers of the form see the same frames: they ignore the frequency.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

from jsonpickle import handlers

from perkey.errors import MissingExtraError

try:
    import pandas as pd
    from jsonpickle.ext import pandas as extension
except ImportError as error:
    raise MissingExtraError("a data frame in JSON", "pandas", "pandas") from error

_FREQ = "perkey/index_freq"


class _FrameHandler(extension.PandasDfHandler):  # type: ignore[misc] # jsonpickle is untyped for mypy
    """Keeps the frequency of the index, and cells without text in columns of text."""

    def flatten(self, obj: Any, data: Any) -> Any:
        index = obj.index
        texts = {
            name: object
            for name, dtype in obj.dtypes.items()
            if isinstance(dtype, pd.StringDtype) and obj.columns.is_unique and obj[name].hasnans
        }
        # As text, such a cell would come back as the text "nan".
        data = super().flatten(obj.astype(texts) if texts else obj, data)
        if isinstance(index, (pd.DatetimeIndex, pd.TimedeltaIndex)) and index.freq is not None:
            data["meta"][_FREQ] = index.freqstr
        return data

    def restore(self, obj: Any) -> Any:
        frame = super().restore(obj)
        if freq := obj.get("meta", {}).get(_FREQ):
            frame.index.freq = freq
        return frame


class _Warnings:
    """Stands in for `warnings` in jsonpickle's handlers for pandas.

    They warn of any exception while a column gets its type, and leave the column without. A lack of memory
    is not a property of the column, and the next reader would not see the loss.
    """

    @staticmethod
    def warn(message: Any, category: Any = None, stacklevel: int = 1) -> None:
        error = sys.exception()
        if isinstance(error, MemoryError):
            raise error
        warnings.warn(message, category, stacklevel + 1)


def are_registered() -> bool:
    """Return whether jsonpickle uses the handlers of this module."""
    return handlers.get(pd.DataFrame) is _FrameHandler and vars(extension)["warnings"] is _Warnings


def register_handlers() -> None:
    """Teach jsonpickle the frames, series and indexes of pandas."""
    vars(extension)["warnings"] = _Warnings
    extension.register_handlers()
    handlers.register(pd.DataFrame, _FrameHandler, base=True)
