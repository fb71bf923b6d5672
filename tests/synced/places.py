"""Places for documents, one of each backend: how collections are opened there, and how to go round them."""

import json
import secrets
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

from perkey import FileDirDict, LocalDict, PersiDict
from perkey.stores import MemoryStore
from perkey.synced import (
    BufferedJSONAttrDict,
    BufferedJSONAttrList,
    BufferedJSONDict,
    BufferedJSONList,
    JSONAttrDict,
    JSONAttrList,
    JSONDict,
    JSONList,
    MemoryBufferedJSONAttrDict,
    MemoryBufferedJSONAttrList,
    MemoryBufferedJSONDict,
    MemoryBufferedJSONList,
    MongoDBDict,
    MongoDBList,
    RedisDict,
    RedisList,
    StoreItem,
    SyncedDict,
    SyncedItemDict,
    SyncedItemList,
    SyncedList,
    ZarrDict,
    ZarrList,
    synced,
)
from synced.workers import s3_dict


class Place(ABC):
    """A place for one document, empty at first.

    Attributes:
        compares: Whether it has a compare-and-swap between processes.
    """

    compares = True

    @abstractmethod
    def dict(self, data: Any = None, **options: Any) -> SyncedDict:
        """Return a new handle on it, as a dict."""

    @abstractmethod
    def list(self, data: Any = None, **options: Any) -> SyncedList:
        """Return a new handle on it, as a list."""

    @abstractmethod
    def put(self, data: Any) -> None:
        """Store data as another program would, that knows nothing of us."""

    @abstractmethod
    def get(self) -> Any:
        """Return what is stored, as another program sees it; None if nothing is."""


class InFile(Place):
    def __init__(self, path: Path, dicts: type[JSONDict], lists: type[JSONList]) -> None:
        self.path = path
        self.classes = dicts, lists

    def dict(self, data: Any = None, **options: Any) -> SyncedDict:
        return self.classes[0](self.path, data=data, **options)

    def list(self, data: Any = None, **options: Any) -> SyncedList:
        return self.classes[1](self.path, data=data, **options)

    def put(self, data: Any) -> None:
        self.path.write_text(json.dumps(data, indent=2))

    def get(self) -> Any:
        return json.loads(self.path.read_text()) if self.path.exists() else None


class InStore(Place):
    def __init__(self) -> None:
        self.store = MemoryStore()

    def dict(self, data: Any = None, **options: Any) -> SyncedDict:
        return SyncedDict(StoreItem(self.store, ("document",)), data, **options)

    def list(self, data: Any = None, **options: Any) -> SyncedList:
        return SyncedList(StoreItem(self.store, ("document",)), data, **options)

    def put(self, data: Any) -> None:
        self.store.write(("document",), json.dumps(data).encode())

    def get(self) -> Any:
        if not self.store.exists(("document",)):
            return None
        content = self.store.content(("document",))
        assert isinstance(content, bytes)
        return json.loads(content)


class InDict(Place):
    def __init__(self, items: PersiDict[Any]) -> None:
        self.items = items

    def dict(self, data: Any = None, **options: Any) -> SyncedDict:
        found = synced(self.items, ("folder", "document"), data, **options)
        assert isinstance(found, SyncedItemDict)
        return found

    def list(self, data: Any = None, **options: Any) -> SyncedList:
        found = synced(self.items, ("folder", "document"), data if data is not None else [], **options)
        assert isinstance(found, SyncedItemList)
        return found

    def put(self, data: Any) -> None:
        self.items["folder", "document"] = data

    def get(self) -> Any:
        return self.items.get(("folder", "document"))


class InRedis(Place):
    def __init__(self, socket: str) -> None:
        import redis

        self.client = redis.Redis(unix_socket_path=socket)
        self.key = secrets.token_hex(8)

    def dict(self, data: Any = None, **options: Any) -> SyncedDict:
        return RedisDict(self.client, self.key, data, **options)

    def list(self, data: Any = None, **options: Any) -> SyncedList:
        return RedisList(self.client, self.key, data, **options)

    def put(self, data: Any) -> None:
        self.client.set(self.key, json.dumps(data))

    def get(self) -> Any:
        found = self.client.get(self.key)
        return None if found is None else json.loads(found)


class OneAtATime:
    """A collection of mongomock whose operations are atomic, as they are on a server for each document.

    Its own look first and write then: of two threads that insert one `_id`, the later replaces the earlier.
    """

    def __init__(self, collection: Any) -> None:
        self._collection = collection
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._collection, name)
        if not callable(found) or name == "database":
            return found

        def alone(*arguments: Any, **options: Any) -> Any:
            with self._lock:
                return found(*arguments, **options)

        return alone


class InMongo(Place):
    def __init__(self) -> None:
        import mongomock

        client: Any = mongomock.MongoClient()
        self.collection: Any = OneAtATime(client.database.collection)
        self.collection.insert_one({"another": "document", "data": {}})

    def dict(self, data: Any = None, **options: Any) -> SyncedDict:
        return MongoDBDict(self.collection, {"name": "document"}, data, **options)

    def list(self, data: Any = None, **options: Any) -> SyncedList:
        return MongoDBList(self.collection, {"name": "document"}, data, **options)

    def put(self, data: Any) -> None:
        document = {"name": "document", "data": data}
        self.collection.replace_one({"name": "document"}, document, upsert=True)

    def get(self) -> Any:
        found = self.collection.find_one({"name": "document"})
        return None if found is None else found["data"]


class InZarr(Place):
    compares = False

    def __init__(self, group: Any, codec: Any = None) -> None:
        self.group = group
        self.codec = codec

    def dict(self, data: Any = None, **options: Any) -> SyncedDict:
        return ZarrDict(self.group, "document", self.codec, data, **options)

    def list(self, data: Any = None, **options: Any) -> SyncedList:
        return ZarrList(self.group, "document", self.codec, data, **options)

    def put(self, data: Any) -> None:
        array = self.group.create_array(
            "document", shape=(1,), chunks=(1,), dtype="string", compressors=None, overwrite=True
        )
        array[0] = json.dumps(data)

    def get(self) -> Any:
        return json.loads(str(self.group["document"][0])) if "document" in self.group else None


def zarr_group(folder: Path) -> Any:
    import zarr

    return zarr.open_group(str(folder), mode="a")


Maker = Callable[[Any], Place]
"""Makes a place; takes the fixture request."""


def in_file(dicts: type[JSONDict], lists: type[JSONList]) -> Maker:
    return lambda request: InFile(request.getfixturevalue("tmp_path") / "data.json", dicts, lists)


MAKERS: dict[str, Maker] = {
    "JSON file": in_file(JSONDict, JSONList),
    "JSON file, attributes": in_file(JSONAttrDict, JSONAttrList),
    "JSON file, buffered": in_file(BufferedJSONDict, BufferedJSONList),
    "JSON file, buffered, attributes": in_file(BufferedJSONAttrDict, BufferedJSONAttrList),
    "JSON file, memory buffered": in_file(MemoryBufferedJSONDict, MemoryBufferedJSONList),
    "JSON file, memory buffered, attributes": in_file(MemoryBufferedJSONAttrDict, MemoryBufferedJSONAttrList),
    "memory": lambda _: InStore(),
    "LocalDict": lambda _: InDict(LocalDict(file_type="json")),
    "FileDirDict": lambda request: InDict(FileDirDict(request.getfixturevalue("tmp_path") / "items")),
    "Redis": lambda request: InRedis(request.getfixturevalue("redis_socket")),
    "MongoDB": lambda _: InMongo(),
    "Zarr": lambda request: InZarr(zarr_group(request.getfixturevalue("tmp_path") / "zarr")),
    "S3": lambda request: InDict(
        s3_dict(request.getfixturevalue("ministack").endpoint, f"synced-{secrets.token_hex(8)}")
    ),
}
"""One place of each backend, and of each class for files."""
