"""A store over a folder: one file per item."""

from perkey.stores.folder.cache import CacheFolder
from perkey.stores.folder.store import DirectoryStore, Durability, require_descriptors

__all__ = ["CacheFolder", "DirectoryStore", "Durability", "require_descriptors"]
