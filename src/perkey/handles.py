"""Handles: objects that stand for data elsewhere, which changes while they stay as they are."""

from __future__ import annotations

import os
from typing import Final

_BYTES: Final = 16


def unlike_any() -> bytes:
    """Return bytes that no other call returns, in any process.

    Handles have them in their pickles, because joblib's cache recognises an argument by the hash of its
    pickle.
    """
    return os.urandom(_BYTES)


class NeverSame:
    """A handle, for which no cache may take a result that was computed from it earlier."""

    __slots__ = ()

    # Dask's cache asks for this.
    def __dask_tokenize__(self) -> object:
        return type(self).__name__, unlike_any().hex()
