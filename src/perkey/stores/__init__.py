"""Where bytes live: the contract, and the places that keep it."""

from perkey.content import Content, Data, Streamable
from perkey.naming import Name
from perkey.stores.base import ABSENT, ANY, Expectation, Stat, Store, Version
from perkey.stores.cached import CachedStore
from perkey.stores.directory import DirectoryStore
from perkey.stores.memory import MemoryStore
from perkey.stores.null import NullStore
from perkey.stores.prefix import PrefixStore

__all__ = [
    "ABSENT",
    "ANY",
    "CachedStore",
    "Content",
    "Data",
    "DirectoryStore",
    "Expectation",
    "MemoryStore",
    "Name",
    "NullStore",
    "PrefixStore",
    "Stat",
    "Store",
    "Streamable",
    "Version",
]
