"""Documents as items of any dictionary of perkey: of files, of objects in S3, in memory."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, ClassVar

from perkey.errors import ConflictError, MutationPolicyError
from perkey.expectations import Expectation, Version
from perkey.jokers import (
    ALWAYS_RETRIEVE,
    ANY_ETAG,
    ETAG_IS_THE_SAME,
    IF_ETAG_CHANGED,
    ITEM_NOT_AVAILABLE,
    NEVER_RETRIEVE,
)
from perkey.keys import NonEmptyPersiDictKey, NonEmptySafeStrTuple
from perkey.mapping import PersiDict
from perkey.synced.buffers import Buffer
from perkey.synced.collection import pair
from perkey.synced.document import Found, Resource
from perkey.synced.plain import Plain
from perkey.synced.synced_dict import SyncedDict
from perkey.synced.synced_list import SyncedList


class PersiItem(Resource):
    """One item of a dictionary, in the dictionary's own format and under its policy.

    Args:
        items: The dictionary.
        key: The key.
    """

    def __init__(self, items: PersiDict[Any], key: NonEmptyPersiDictKey) -> None:
        self.items = items
        self.key = NonEmptySafeStrTuple(key)

    def read(self, known: Version | None) -> Found | None:
        found = self.items.get_item_if(
            self.key,
            condition=ANY_ETAG,
            expected_etag=ITEM_NOT_AVAILABLE if known is None else known,
            retrieve_value=ALWAYS_RETRIEVE if known is None else IF_ETAG_CHANGED,
        )
        if found.actual_etag is ITEM_NOT_AVAILABLE:
            raise KeyError(self.key)
        if found.actual_etag == known:
            return None
        return found.new_value, str(found.actual_etag)

    def write(self, data: Plain, expect: Expectation) -> Version:
        if isinstance(expect, str) and self.items.immutable_items:
            # Some dictionaries would quietly keep the item that they have.
            raise MutationPolicyError("an item of a write-once dictionary cannot be edited", self.key)
        written = self.items.set_item_if(
            self.key,
            value=data,
            condition=ETAG_IS_THE_SAME,
            expected_etag=expect if isinstance(expect, str) else ITEM_NOT_AVAILABLE,
            retrieve_value=NEVER_RETRIEVE,
        )
        if not written.condition_was_satisfied:
            raise ConflictError(tuple(self.key), expect, None)
        return str(written.resulting_etag)

    def describe(self) -> str:
        return f"{tuple(self.key)} of {self.items!r}"

    @property
    def identity(self) -> Hashable:
        return id(self.items.store), self.items.file_type, self.key


class SyncedItemDict(SyncedDict):
    """A dict that is an item of a dictionary; made by `synced`."""

    __perkey_buffer__: ClassVar[Buffer] = Buffer("bytes")


class SyncedItemList(SyncedList):
    """A list that is an item of a dictionary; made by `synced`."""

    __perkey_buffer__: ClassVar[Buffer] = SyncedItemDict.__perkey_buffer__


pair(SyncedItemDict, SyncedItemList)


def synced(
    items: PersiDict[Any], key: NonEmptyPersiDictKey, data: Any = None, *, allow_nan: bool = True
) -> Any:
    """Return a dict or list that is the value of an item of any dictionary.

    It is stored in the dictionary's own format and under its policy: items that are immutable can be
    written once. What is put in must be plain data in every format; a value that is stored already may
    hold more.

    Args:
        items: The dictionary.
        key: The key.
        data: The content of the document as long as the item does not exist: a mapping (by default an empty
            one) or a sequence, which decides the kind of an item that does not exist yet.
        allow_nan: Whether NaN and infinities may be put in.

    Raises:
        TypeError: The item exists, and its value is neither a dict nor a list.

    Cost: one read now, to see which of the two it is; then as `PersiDict.get_item_if` for each look, and
    `set_item_if` for each edit.

    >>> from perkey import LocalDict
    >>> sessions = LocalDict(file_type="json")
    >>> session = synced(sessions, "alex")
    >>> session["visited"] = ["home"]
    >>> session["visited"].append("cart")
    >>> sessions["alex"]
    {'visited': ['home', 'cart']}
    """
    there = items.get(key, ITEM_NOT_AVAILABLE)
    if there is ITEM_NOT_AVAILABLE:
        cls = SyncedItemList if SyncedList.is_base_type(data) else SyncedItemDict
    elif type(there) is dict:
        cls = SyncedItemDict
    elif type(there) is list:
        cls = SyncedItemList
    else:
        raise TypeError(f"the value of {key!r} must be a dict or a list, not a {type(there).__name__}")
    return cls(PersiItem(items, key), data if cls.is_base_type(data) else None, allow_nan=allow_nan)
