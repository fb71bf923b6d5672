"""The contract of stores as tests, and faulty stores, for authors of stores.

They need pytest, which the extra ``testing`` brings.

The author of a store inherits the suite for the conditions that it supports, and overrides `make_store`:

>>> from perkey.stores import DirectoryStore
>>> class TestMyStore(StoreContract):
...     def make_store(self):
...         return DirectoryStore(self.tmp_path)
"""

from perkey.errors import MissingExtraError

try:
    import pytest
except ImportError as error:
    raise MissingExtraError("perkey.testing", "testing", "pytest") from error

_ASSERTING = ("histories", "racing", "stores", "streams")
pytest.register_assert_rewrite(*(f"{__name__}.{part}" for part in _ASSERTING))

from perkey.testing.faults import FaultyStore  # noqa: E402 - asserts are rewritten from here on
from perkey.testing.histories import Event, Outcome, Recorder, assert_linearisable, find_order  # noqa: E402
from perkey.testing.stores import (  # noqa: E402
    InsertingStoreContract,
    StoreContract,
    UnconditionalStoreContract,
    WritingStoreContract,
)

__all__ = [
    "Event",
    "FaultyStore",
    "InsertingStoreContract",
    "Outcome",
    "Recorder",
    "StoreContract",
    "UnconditionalStoreContract",
    "WritingStoreContract",
    "assert_linearisable",
    "find_order",
]
