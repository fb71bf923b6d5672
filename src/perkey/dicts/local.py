"""Dictionaries that outlive nothing: in memory, and nowhere at all."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from perkey.expectations import Version
from perkey.jokers import ITEM_NOT_AVAILABLE, ETagIfExists
from perkey.mapping import PersiDict, V
from perkey.naming import DEFAULT_DIGEST_LEN
from perkey.stores import MemoryStore, NullStore


class _PlacelessDict(PersiDict[V]):
    """A dictionary whose store needs no parameters."""

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

    @abstractmethod
    def _new_store(self) -> MemoryStore | NullStore:
        """Return the store of this dictionary."""

    def get_params(self) -> dict[str, Any]:
        """Return the constructor's parameters, which do not include any content."""
        return self._common_params()


class LocalDict(_PlacelessDict[V]):
    """A `PersiDict` in the memory of this process, for tests, caches and threads.

    It behaves like its persistent siblings: values are encoded, so that what was stored does not change
    with the object that was assigned. Pickling and forking give independent copies of the content.

    Args:
        file_type: As for `PersiDict`; so are the next three.
        immutable_items: As for `PersiDict`.
        digest_len: As for `PersiDict`.
        base_class_for_values: As for `PersiDict`.
        backend: The store of another `LocalDict`, whose content this one shares.

    Raises:
        TypeError: `backend` is not a `MemoryStore`.

    >>> d = LocalDict()
    >>> d["a"] = [1]
    >>> d["a"].append(2)
    >>> d["a"]
    [1]
    """

    def __init__(
        self,
        file_type: str = "pkl",
        immutable_items: bool = False,
        digest_len: int = DEFAULT_DIGEST_LEN,
        base_class_for_values: type | None = None,
        *,
        backend: MemoryStore | None = None,
    ) -> None:
        if backend is not None and not isinstance(backend, MemoryStore):
            raise TypeError(
                "backend must be a MemoryStore, such as the store of another LocalDict, "
                f"not {type(backend).__name__}"
            )
        self._backend = backend
        super().__init__(file_type, immutable_items, digest_len, base_class_for_values)

    def _new_store(self) -> MemoryStore:
        return MemoryStore() if self._backend is None else self._backend


class EmptyDict(_PlacelessDict[V]):
    """A `PersiDict` that is always empty: what is assigned vanishes, after the same checks as elsewhere.

    >>> d = EmptyDict()
    >>> d["a"] = 1
    >>> "a" in d
    False
    """

    def _new_store(self) -> NullStore:
        return NullStore()

    def _left(self, version: Version, value: Any) -> tuple[ETagIfExists, Any]:
        """Return that a write left nothing."""
        del version, value
        return ITEM_NOT_AVAILABLE, ITEM_NOT_AVAILABLE
