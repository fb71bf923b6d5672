"""Where nested documents are kept."""

from perkey.synced.backends.json_file import (
    BufferedJSONAttrDict,
    BufferedJSONAttrList,
    BufferedJSONCollection,
    BufferedJSONDict,
    BufferedJSONList,
    JSONAttrDict,
    JSONAttrList,
    JSONCollection,
    JSONDict,
    JSONFile,
    JSONList,
    MemoryBufferedJSONAttrDict,
    MemoryBufferedJSONAttrList,
    MemoryBufferedJSONCollection,
    MemoryBufferedJSONDict,
    MemoryBufferedJSONList,
)
from perkey.synced.backends.mongodb import MongoDBCollection, MongoDBDict, MongoDBList
from perkey.synced.backends.persi_item import PersiItem, SyncedItemDict, SyncedItemList, synced
from perkey.synced.backends.redis import RedisCollection, RedisDict, RedisList
from perkey.synced.backends.zarr import ZarrCollection, ZarrDict, ZarrList

__all__ = [
    "BufferedJSONAttrDict",
    "BufferedJSONAttrList",
    "BufferedJSONCollection",
    "BufferedJSONDict",
    "BufferedJSONList",
    "JSONAttrDict",
    "JSONAttrList",
    "JSONCollection",
    "JSONDict",
    "JSONFile",
    "JSONList",
    "MemoryBufferedJSONAttrDict",
    "MemoryBufferedJSONAttrList",
    "MemoryBufferedJSONCollection",
    "MemoryBufferedJSONDict",
    "MemoryBufferedJSONList",
    "MongoDBCollection",
    "MongoDBDict",
    "MongoDBList",
    "PersiItem",
    "RedisCollection",
    "RedisDict",
    "RedisList",
    "SyncedItemDict",
    "SyncedItemList",
    "ZarrCollection",
    "ZarrDict",
    "ZarrList",
    "synced",
]
