"""Which documents of a collection have which value under one path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perkey.dataspace.search import frozen
from perkey.query import MISSING, split, value_at


class FieldIndex:
    """An index over one path, to be told of each change.

    Args:
        path: The path.
        documents: The documents by primary key.

    Attributes:
        values: The primary keys by value; lists are tuples, and mappings are not indexed.
        order: A number for each primary key, in the order of insertion.
    """

    def __init__(self, path: str, documents: Mapping[str, Any]) -> None:
        self.values: dict[Any, set[str]] = {}
        self.order: dict[str, int] = {}
        self._path = split(path)
        self._next = 0
        for key, document in documents.items():
            self.replace(key, None, document)

    def replace(self, key: str, old: Any, new: Any) -> None:
        """Note that a document was replaced by another; None is no document."""
        if old is not None:
            self._drop(key, self._value(old))
        if new is None:
            self.order.pop(key, None)
            return
        if key not in self.order:
            self.order[key] = self._next
            self._next += 1
        value = self._value(new)
        if value is not MISSING:
            self.values.setdefault(value, set()).add(key)

    def _drop(self, key: str, value: Any) -> None:
        keys = self.values.get(value)
        if keys is not None:
            keys.discard(key)
            if not keys:
                del self.values[value]

    def _value(self, document: Any) -> Any:
        value = value_at(document, self._path)
        return MISSING if isinstance(value, Mapping) else frozen(value)
