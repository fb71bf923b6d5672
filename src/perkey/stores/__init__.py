"""Where bytes live: the contract, and the places that keep it."""

from perkey.content import Content, Data, Streamable
from perkey.expectations import ABSENT, ANY, ConditionKind, Expectation, Verb, Version, refuse
from perkey.naming import Name, Shape
from perkey.stores.base import Stat, Store, WrapperStore, settled, settled_at_once
from perkey.stores.cached import CachedStore
from perkey.stores.folder import DirectoryStore
from perkey.stores.memory import MemoryStore, NullStore
from perkey.stores.prefix import PrefixStore

__all__ = [
    "ABSENT",
    "ANY",
    "CachedStore",
    "ConditionKind",
    "Content",
    "Data",
    "DirectoryStore",
    "Expectation",
    "MemoryStore",
    "Name",
    "NullStore",
    "PrefixStore",
    "Shape",
    "Stat",
    "Store",
    "Streamable",
    "Verb",
    "Version",
    "WrapperStore",
    "refuse",
    "settled",
    "settled_at_once",
]
