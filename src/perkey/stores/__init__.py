"""Where bytes live: the contract, and the places that keep it."""

from perkey.content import Content, Data, Streamable
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
from perkey.stores.base import Leftover, Stat, Store, WrapperStore, settled, settled_at_once
from perkey.stores.cached import CachedStore
from perkey.stores.folder import DirectoryStore
from perkey.stores.memory import MemoryStore
from perkey.stores.null import NullStore
from perkey.stores.prefix import PrefixStore
from perkey.stores.read_only import ReadOnlyStore, read_only

__all__ = [
    "ABSENT",
    "ANY",
    "CachedStore",
    "ConditionKind",
    "Content",
    "Data",
    "DirectoryStore",
    "Expectation",
    "Expectations",
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
    "read_only",
    "refuse",
    "settled",
    "settled_at_once",
]
