"""Dictionaries that outlive nothing: in memory, and nowhere at all."""

from __future__ import annotations

from typing import Any

from perkey.jokers import ITEM_NOT_AVAILABLE, ETagIfExists
from perkey.naming import DEFAULT_DIGEST_LEN
from perkey.persi_dict import PersiDict, V
from perkey.stores.base import Version
from perkey.stores.memory import MemoryStore
from perkey.stores.null import NullStore


class _PlacelessDict(PersiDict[V]):
    """A dictionary whose store needs no parameters."""

    _new_store: type[MemoryStore | NullStore]

    def __init__(
        self,
        file_type: str = "pkl",
        immutable_items: bool = False,
        digest_len: int = DEFAULT_DIGEST_LEN,
        base_class_for_values: type | None = None,
    ) -> None:
        super().__init__(
            self._new_store(),
            file_type=file_type,
            immutable_items=immutable_items,
            digest_len=digest_len,
            base_class_for_values=base_class_for_values,
        )

    def get_params(self) -> dict[str, Any]:
        """Return the constructor's parameters, which do not include any content."""
        return self._common_params()


class LocalDict(_PlacelessDict[V]):
    """A `PersiDict` in the memory of this process, for tests, caches and threads.

    It behaves like its persistent siblings: values are encoded, so that what was stored does not change
    with the object that was assigned. Pickling and forking give independent copies of the content.

    >>> d = LocalDict()
    >>> d["a"] = [1]
    >>> d["a"].append(2)
    >>> d["a"]
    [1]
    """

    _new_store = MemoryStore


class EmptyDict(_PlacelessDict[V]):
    """A `PersiDict` that is always empty: what is assigned vanishes, after the same checks as elsewhere.

    >>> d = EmptyDict()
    >>> d["a"] = 1
    >>> "a" in d
    False
    """

    _new_store = NullStore

    def _left(self, version: Version, value: Any) -> tuple[ETagIfExists, Any]:
        """Return that a write left nothing."""
        del version, value
        return ITEM_NOT_AVAILABLE, ITEM_NOT_AVAILABLE
