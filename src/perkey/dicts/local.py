"""Dictionaries that outlive nothing: in memory, and nowhere at all."""

from __future__ import annotations

from typing import Any

from perkey.expectations import Version
from perkey.jokers import ITEM_NOT_AVAILABLE, ETagIfExists
from perkey.mapping import PersiDict, Policy, V
from perkey.naming import DEFAULT_DIGEST_LEN
from perkey.stores import MemoryStore, NullStore


class LocalDict(PersiDict[V]):
    """A `PersiDict` in the memory of this process, for tests, caches and threads.

    It behaves like its persistent siblings: values are encoded, so that stored values do not change
    with the object that was assigned. Pickling and forking give independent copies of the content.

    Args:
        file_type: ``"pkl"``, ``"json"``, a registered type, or any other name for text.
        immutable_items: Whether items can only be added, never changed or deleted.
        digest_len: Characters of digest added to each part of a key, 0 to 26.
        base_class_for_values: A class that all values must be of.
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
        super().__init__(
            MemoryStore() if backend is None else backend,
            file_type=file_type,
            immutable_items=immutable_items,
            digest_len=digest_len,
            base_class_for_values=base_class_for_values,
        )

    def get_params(self) -> dict[str, Any]:
        """Return the constructor's parameters, which do not include any content."""
        return self._items.params()


class _NothingStays(Policy):
    """The policy of a dictionary that is always empty."""

    def __init__(
        self, immutable: bool = False, base_class: type | None = None, *, shares_place: bool = False
    ) -> None:
        super().__init__(immutable, base_class, shares_place=shares_place)
        self.left = _nothing_left


def _nothing_left(_: tuple[Version, Any]) -> tuple[ETagIfExists, Any]:
    """Return that a write left nothing."""
    return ITEM_NOT_AVAILABLE, ITEM_NOT_AVAILABLE


class EmptyDict(PersiDict[V]):
    """A `PersiDict` that is always empty: values are checked as elsewhere, and then dropped.

    Args:
        file_type: ``"pkl"``, ``"json"``, a registered type, or any other name for text.
        immutable_items: Whether items can only be added, never changed or deleted.
        digest_len: Characters of digest added to each part of a key, 0 to 26.
        base_class_for_values: A class that all values must be of.

    >>> d = EmptyDict()
    >>> d["a"] = 1
    >>> "a" in d
    False
    """

    _policy_class = _NothingStays

    def __init__(
        self,
        file_type: str = "pkl",
        immutable_items: bool = False,
        digest_len: int = DEFAULT_DIGEST_LEN,
        base_class_for_values: type | None = None,
    ) -> None:
        super().__init__(
            NullStore(),
            file_type=file_type,
            immutable_items=immutable_items,
            digest_len=digest_len,
            base_class_for_values=base_class_for_values,
        )

    def get_params(self) -> dict[str, Any]:
        """Return the constructor's parameters."""
        return self._items.params()
