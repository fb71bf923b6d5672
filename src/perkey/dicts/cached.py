"""A fast dictionary in front of a slow one."""

from __future__ import annotations

import os
from typing import Any, Self

from perkey.arguments import Duration, check_kind
from perkey.keys import PersiDictKey
from perkey.mapping import PersiDict, Policy, V, items_of
from perkey.stores import CachedStore, PrefixStore
from perkey.stores.folder import DirectoryStore


class CachedDict(PersiDict[V]):
    """A dictionary whose values are also kept in a second, faster dictionary.

    The main dictionary alone decides what exists and what succeeds. A cached value is used only while
    the item there has the same version; this check is one request without transfer. Immutable items are not
    checked.

    Args:
        main_dict: The dictionary with the items; its file type, digest length, class of values and
            immutability apply.
        cache_dict: A dictionary that only the cache uses. Its content may be deleted at any time. Do not read
            or write it otherwise, because its values are stored in a format of the cache.
        max_age: For how many seconds a cached value is used, a number or a `timedelta`; then it is read anew.
            None means that cached values do not expire. For immutable items, this limits for how long a
            value is returned after it was removed from the main dictionary.

    Raises:
        TypeError: An argument is not a `PersiDict`.

    >>> from perkey import LocalDict
    >>> main = LocalDict()
    >>> d = CachedDict(main, LocalDict())
    >>> d["a"] = 1
    >>> main["a"] = 2
    >>> d["a"]
    2
    """

    def __init__(
        self,
        main_dict: PersiDict[V],
        cache_dict: PersiDict[Any],
        *,
        max_age: Duration | None = None,
    ) -> None:
        check_kind("main_dict", main_dict, PersiDict, "a PersiDict")
        check_kind("cache_dict", cache_dict, PersiDict, "a PersiDict")
        if _place_of(main_dict) == _place_of(cache_dict):
            raise ValueError(
                "cache_dict must be in another place than main_dict, whose values it would overwrite, "
                f"not in {cache_dict.store.describe()}"
            )
        main = items_of(main_dict)
        rules = main.policy
        store = CachedStore(main.store, cache_dict.store, trusting=rules.immutable, max_age=max_age)
        # That of a plain dictionary: to write again is an error, also where the main dictionary ignores it.
        policy = Policy(rules.immutable, rules.base_class, shares_place=rules.shares_place)
        self._items = main.over(store).under(policy)
        self._main = main_dict
        self._cache = cache_dict
        self._max_age = max_age

    def get_params(self) -> dict[str, Any]:
        return {"main_dict": self._main, "cache_dict": self._cache, "max_age": self._max_age}

    def read_only(self) -> Self:
        handle = super().read_only()
        handle._main = self._main.read_only()
        return handle

    def get_subdict(self, prefix_key: PersiDictKey = ()) -> Self:
        handle = super().get_subdict(prefix_key)
        handle._main = self._main.get_subdict(prefix_key)
        # Entries lie under the main dictionary's names, whatever the cache dictionary's own would be.
        handle._cache = PersiDict(PrefixStore(self._cache.store, self._items.naming.prefix_of(prefix_key)))
        return handle


def _place_of(d: PersiDict[Any]) -> object:
    """Return what two dictionaries in one place have in common: the folder, or else the store itself."""
    store = d.store
    return os.path.realpath(store.base) if isinstance(store, DirectoryStore) else id(store)
