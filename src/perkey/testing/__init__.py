"""Contract suites and faulty stores, for the tests of this project and of others' backends.

They need pytest, which the extra ``testing`` brings.

A backend's author inherits a suite and says how a store, or a dictionary, is made::

    from perkey.testing import StoreContract

    class TestMyStore(StoreContract):
        def make_store(self):
            return MyStore(self.tmp_path)
"""

from perkey.errors import MissingExtraError

try:
    import pytest
except ImportError as error:
    raise MissingExtraError("perkey.testing", "testing", "pytest") from error

_ASSERTING = ("crowds", "dicts", "histories", "stores", "streams")
pytest.register_assert_rewrite(*(f"{__name__}.{part}" for part in _ASSERTING))

from perkey.testing.dicts import (  # noqa: E402 - asserts are rewritten from here on
    DictContract,
    EmptyDictContract,
    PolicyContract,
    WriteOnceContract,
)
from perkey.testing.faults import FaultyStore  # noqa: E402
from perkey.testing.histories import Event, Outcome, Recorder, assert_linearisable, find_order  # noqa: E402
from perkey.testing.stores import (  # noqa: E402
    InsertingStoreContract,
    StoreContract,
    UnconditionalStoreContract,
    WritingStoreContract,
)

__all__ = [
    "DictContract",
    "EmptyDictContract",
    "Event",
    "FaultyStore",
    "InsertingStoreContract",
    "Outcome",
    "PolicyContract",
    "Recorder",
    "StoreContract",
    "UnconditionalStoreContract",
    "WriteOnceContract",
    "WritingStoreContract",
    "assert_linearisable",
    "find_order",
]
