"""The documents of a collection in memory, by primary key, with the indexes that searches have made."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Any, Final, TypeAlias

from perkey.dataspace.field_index import FieldIndex
from perkey.query import Node, joined
from perkey.synced import InvalidKeyError

Doc: TypeAlias = dict[str, Any]
"""A document: plain JSON values under text keys."""


class Table:
    """Documents by primary key, in the order of insertion.

    Args:
        primary_key: The name of the primary key.

    Raises:
        TypeError, ValueError: No document can have such a key.

    Attributes:
        docs: The documents, to be changed by `put` and `remove` only.
    """

    def __init__(self, primary_key: str) -> None:
        if not isinstance(primary_key, str):
            raise TypeError(f"the name of a primary key is text, not {primary_key!r}")
        if "." in primary_key:
            raise InvalidKeyError(f"the name of a primary key has no dot in it: {primary_key!r}")
        self.primary_key: Final = str.__str__(primary_key)
        self.docs: dict[str, Doc] = {}
        self._indexes: dict[str, FieldIndex] = {}
        self._next = 0

    def key_of(self, document: Doc, reserved: Container[str] = ()) -> str:
        """Return the primary key of a document, which gets one if it has none; raises TypeError.

        Args:
            document: The document.
            reserved: Keys that it does not get, besides those of other documents.
        """
        if self.primary_key not in document:
            document[self.primary_key] = self._new_key(reserved)
        return text_key(document[self.primary_key])

    def put(self, key: str, document: Doc) -> None:
        """Put in a document, or replace one."""
        old = self.docs.get(key)
        self.docs[key] = document
        for index in self._indexes.values():
            index.replace(key, old, document)

    def remove(self, key: str) -> None:
        """Remove a document; raises KeyError."""
        old = self.docs.pop(key)
        for index in self._indexes.values():
            index.replace(key, old, None)

    def has_index(self, path: str) -> bool:
        """Tell whether an index over a path was made."""
        return path in self._indexes

    def index(self, path: str) -> FieldIndex:
        """Return the index over a path, which is made if need be."""
        if path not in self._indexes:
            self._indexes[path] = FieldIndex(path, self.docs)
        return self._indexes[path]

    def candidates(self, filter: Node) -> Iterable[str]:
        """Return the primary keys among which are all documents that match, in the order of insertion."""
        for path, expected in filter.equalities():
            if path and isinstance(expected, str | int | float):
                if path == (self.primary_key,):
                    return [expected] if isinstance(expected, str) and expected in self.docs else []
                index = self.index(joined(path))
                return sorted(index.values.get(expected, ()), key=index.order.__getitem__)
        return list(self.docs)

    def _new_key(self, reserved: Container[str]) -> str:
        while (key := f"{self._next:032x}") in self.docs or key in reserved:
            self._next += 1
        return key


def text_key(key: object) -> str:
    """Return a primary key as plain text; raises TypeError if it is not text."""
    if not isinstance(key, str):
        raise TypeError(f"a primary key is text, not {key!r}")
    return str.__str__(key)
