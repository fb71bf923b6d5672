"""Nested documents that save themselves: dicts and lists in a file, a database or any dictionary of perkey.

>>> from perkey.synced import JSONDict
>>> d = JSONDict("data.json")
>>> d["size"] = 10
>>> d["color"] = "blue"
>>> import json
>>> with open("data.json") as f:
...     print(json.load(f))
{'size': 10, 'color': 'blue'}
"""

from perkey.synced.backends import (
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
    MongoDBCollection,
    MongoDBDict,
    MongoDBList,
    PersiItem,
    RedisCollection,
    RedisDict,
    RedisList,
    SyncedItemDict,
    SyncedItemList,
    ZarrCollection,
    ZarrDict,
    ZarrList,
    synced,
)
from perkey.synced.collection import SyncedCollection, editing, pair, resource_of, transform
from perkey.synced.document import BytesResource, Found, Resource, StoreItem
from perkey.synced.errors import (
    BufferedFileError,
    BufferException,
    DetachedNodeError,
    InvalidKeyError,
    KeyTypeError,
    WrongKindError,
)
from perkey.synced.plain import (
    ATOMS,
    SyncedCollectionJSONEncoder,
    Validator,
    copy_of,
    default,
    json_attr_dict_validator,
    json_format_validator,
    lenient_key,
    no_dot_in_key,
    require_string_key,
    to_plain,
)
from perkey.synced.synced_dict import BUFFERING_NAMES, AttrDict, SyncedDict, free_names
from perkey.synced.synced_list import SyncedList

pair(SyncedDict, SyncedList)

__all__ = [
    "ATOMS",
    "BUFFERING_NAMES",
    "AttrDict",
    "BufferException",
    "BufferedFileError",
    "BufferedJSONAttrDict",
    "BufferedJSONAttrList",
    "BufferedJSONCollection",
    "BufferedJSONDict",
    "BufferedJSONList",
    "BytesResource",
    "DetachedNodeError",
    "Found",
    "InvalidKeyError",
    "JSONAttrDict",
    "JSONAttrList",
    "JSONCollection",
    "JSONDict",
    "JSONFile",
    "JSONList",
    "KeyTypeError",
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
    "Resource",
    "StoreItem",
    "SyncedCollection",
    "SyncedCollectionJSONEncoder",
    "SyncedDict",
    "SyncedItemDict",
    "SyncedItemList",
    "SyncedList",
    "Validator",
    "WrongKindError",
    "ZarrCollection",
    "ZarrDict",
    "ZarrList",
    "copy_of",
    "default",
    "editing",
    "free_names",
    "json_attr_dict_validator",
    "json_format_validator",
    "lenient_key",
    "no_dot_in_key",
    "pair",
    "require_string_key",
    "resource_of",
    "synced",
    "to_plain",
    "transform",
]
