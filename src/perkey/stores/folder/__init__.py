"""A store over a folder: one file per item."""

from perkey.stores.folder.store import DirectoryStore, Durability, require_descriptors

__all__ = ["DirectoryStore", "Durability", "require_descriptors"]
