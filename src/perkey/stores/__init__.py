"""Where bytes live: the contract of a store, the stores, and all that the author of a store needs.

The page `stores` of the documentation shows how a store is written and tested.
"""

from perkey.content import Content, Data, Streamable, bytes_of
from perkey.errors import ConflictError
from perkey.expectations import (
    ABSENT,
    ANY,
    ConditionKind,
    Expectation,
    Expectations,
    Verb,
    Version,
    refuse,
)
from perkey.naming import Name, Shape
from perkey.stores.base import Glimpse, Leftover, Stat, Store, WrapperStore, settled, settled_at_once
from perkey.stores.cached import CachedStore
from perkey.stores.folder import DirectoryStore
from perkey.stores.memory import MemoryStore, NullStore
from perkey.stores.prefix import PrefixStore
from perkey.stores.read_only import ReadOnlyStore, read_only

__all__ = [
    "ABSENT",
    "ANY",
    "CachedStore",
    "ConditionKind",
    "ConflictError",
    "Content",
    "Data",
    "DirectoryStore",
    "Expectation",
    "Expectations",
    "Glimpse",
    "Leftover",
    "MemoryStore",
    "Name",
    "NullStore",
    "PrefixStore",
    "ReadOnlyStore",
    "Shape",
    "Stat",
    "Store",
    "Streamable",
    "Verb",
    "Version",
    "WrapperStore",
    "bytes_of",
    "read_only",
    "refuse",
    "settled",
    "settled_at_once",
]
