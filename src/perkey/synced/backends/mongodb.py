"""Documents as documents of MongoDB: ``{**uid, "data": ..., "perkey_version": ...}``.

The version is random and set by each edit. A document without one was written by another program, which
replaced the version or never had one; then the content itself is compared.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping
from typing import Any, ClassVar, Final, cast

from perkey.errors import ConflictError, CorruptValueError
from perkey.expectations import Expectation, Version
from perkey.synced.buffers import Buffer
from perkey.synced.collection import SyncedCollection, pair, resource_of
from perkey.synced.document import Found, Resource
from perkey.synced.plain import Plain, encode, to_plain
from perkey.synced.synced_dict import SyncedDict
from perkey.synced.synced_list import SyncedList

DATA: Final = "data"
VERSION: Final = "perkey_version"


class MongoDocument(Resource):
    """One document of a MongoDB collection.

    Requests: one for each look (of a document at the known version only that is transferred), one for each
    attempt at an edit; the first edit of a document takes two.

    Args:
        collection: A ``pymongo.collection.Collection``.
        uid: The fields that identify the document.

    Raises:
        TypeError, ValueError: `uid` is not a mapping, is empty, or has a field that perkey uses.
    """

    def __init__(self, collection: Any, uid: Mapping[str, Any]) -> None:
        if not isinstance(uid, Mapping):
            raise TypeError(f"uid must be a mapping, not {type(uid).__name__}")
        if not uid or DATA in uid or VERSION in uid:
            raise ValueError(
                f"uid must have at least one field, and no field {DATA!r} or {VERSION!r}: {uid!r}"
            )
        self.collection: Final = collection
        self.uid: Final = dict(uid)

    def read(self, known: Version | None) -> Found | None:
        if known is not None and not known.startswith("="):
            found = self._find({VERSION: 1})
            if found.get(VERSION) == known:
                return None
        found = self._find({DATA: 1, VERSION: 1})
        data = self._plain(found)
        return data, found.get(VERSION) or _version_of(data)

    def write(self, data: Plain, expect: Expectation) -> Version:
        version = os.urandom(12).hex()
        fields = {DATA: data, VERSION: version}
        if not isinstance(expect, str):
            self._insert(fields)
        elif not self._update(fields, expect):
            raise ConflictError((str(self.uid),), expect)
        return version

    def describe(self) -> str:
        return f"mongodb:{self.collection.full_name}:{self.uid!r}"

    @property
    def identity(self) -> Hashable:
        return id(self.collection.database.client), self.describe()

    def _find(self, fields: dict[str, int]) -> dict[str, Any]:
        found: dict[str, Any] | None = self.collection.find_one(self.uid, fields)
        if found is None:
            raise KeyError(self.uid)
        return found

    def _insert(self, fields: dict[str, Any]) -> None:
        """Insert the document if it does not exist."""
        from pymongo.errors import DuplicateKeyError

        if self.collection.find_one(self.uid, {"_id": 1}) is not None:
            raise ConflictError((str(self.uid),), None)
        # MongoDB keeps only `_id` unique by itself: of two insertions with one `_id` one succeeds.
        unique = {"_id": f"perkey-{_digest(repr(sorted(self.uid.items())).encode())}"}
        try:
            self.collection.insert_one({**unique, **self.uid, **fields})
        except DuplicateKeyError:
            raise ConflictError((str(self.uid),), None) from None

    def _update(self, fields: dict[str, Any], expect: Version) -> bool:
        condition = {**self.uid, VERSION: expect}
        if expect.startswith("="):
            found = self._find({DATA: 1, VERSION: 1})
            if found.get(VERSION) or _version_of(self._plain(found)) != expect:
                return False
            condition = {**self.uid, VERSION: None, DATA: found[DATA]}
        return bool(self.collection.update_one(condition, {"$set": fields}).matched_count)

    def _plain(self, found: dict[str, Any]) -> Plain:
        """Return the data of a document without the types of MongoDB's own."""
        if DATA not in found:
            raise CorruptValueError(f"the field {DATA!r} is missing", place=self.describe())
        try:
            return to_plain(found[DATA])
        except (TypeError, ValueError) as error:
            raise CorruptValueError(f"not plain data: {error}", place=self.describe()) from error


def _version_of(data: Plain) -> Version:
    """Return a version for content without one."""
    return f"={_digest(encode(data))}"


def _digest(content: bytes) -> str:
    from hashlib import sha256  # loads OpenSSL

    return sha256(content).hexdigest()


class MongoDBCollection(SyncedCollection):
    """What the collections in MongoDB have in common.

    Args:
        collection: A ``pymongo.collection.Collection``.
        uid: The fields that identify the document in it; not ``data`` nor ``perkey_version``.
        data: What the document holds as long as nothing is stored; see `SyncedCollection`.
        allow_nan: Whether NaN and infinities may be put in.

    Raises:
        TypeError, ValueError: `uid` is not allowed.
        pymongo.errors.PyMongoError: (by all operations) The server, or the way to it, failed.
        OverflowError: (by edits) An int needs more than 64 bits, which MongoDB cannot store.
    """

    __perkey_buffer__: ClassVar[Buffer] = Buffer("bytes")

    def __init__(
        self, collection: Any, uid: Mapping[str, Any], data: Any = None, *, allow_nan: bool = True
    ) -> None:
        super().__init__(MongoDocument(collection, uid), data, allow_nan=allow_nan)

    @property
    def collection(self) -> Any:
        """The collection of MongoDB."""
        return cast("MongoDocument", resource_of(self)).collection

    @property
    def uid(self) -> dict[str, Any]:
        """The fields that identify the document."""
        return cast("MongoDocument", resource_of(self)).uid


class MongoDBDict(MongoDBCollection, SyncedDict):
    """A dict in a document of MongoDB."""


class MongoDBList(MongoDBCollection, SyncedList):
    """A list in a document of MongoDB."""


pair(MongoDBDict, MongoDBList)
