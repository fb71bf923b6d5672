"""Timestamps of items, and the oldest and newest of them."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from functools import partial
from typing import TypeVar

from perkey.answers import answer
from perkey.arguments import check_count
from perkey.jokers import ITEM_NOT_AVAILABLE
from perkey.keys import NonEmptyPersiDictKey, NonEmptySafeStrTuple
from perkey.mapping.items import ItemAccess
from perkey.naming import Name

V = TypeVar("V")


class TimeOrder(ItemAccess[V]):
    """The part of a dictionary that knows when its items were written."""

    def timestamp(self, key: NonEmptyPersiDictKey) -> float:
        """Return when an item was last written, in seconds since the epoch.

        Raises:
            KeyError: There is no item.

        Cost: one stat; the content is never read.
        """
        name = self._naming.name_of(key)
        try:
            return self._store.mtime(name)
        except answer(KeyError):
            raise self._missing(name) from None

    def keys_and_timestamps(self) -> Iterator[tuple[NonEmptySafeStrTuple, float]]:
        """Yield each key with its timestamp; in no order. Cost: a listing, and in a folder a stat an item."""
        return ((self._key_of(name), mtime) for name, mtime in self._seen())

    def values_and_timestamps(self) -> Iterator[tuple[V, float]]:
        """Yield each value with its timestamp, in no order; as `items_and_timestamps`."""
        return ((value, written) for _, value, written in self.items_and_timestamps())

    def items_and_timestamps(self) -> Iterator[tuple[NonEmptySafeStrTuple, V, float]]:
        """Yield key, value and timestamp of each item, in no order; items removed meanwhile are left out.

        Cost: a listing with timestamps, and one read an item. The timestamp is that of the listing.
        """
        for name, mtime in self._seen():
            found = self._load(name)
            if found is not ITEM_NOT_AVAILABLE:
                yield self._key_of(name), found[0], mtime

    def oldest_keys(self, max_n: int | None = None) -> list[NonEmptySafeStrTuple]:
        """Return the keys, those written longest ago first.

        Args:
            max_n: How many at most; None means all. Memory is used for so many only.

        Cost: as `keys_and_timestamps`.
        """
        check_count("max_n", max_n, or_none=True)
        by_time = ((written, key) for key, written in self.keys_and_timestamps())
        ordered = sorted(by_time) if max_n is None else heapq.nsmallest(max_n, by_time)
        return [key for _, key in ordered]

    def newest_keys(self, max_n: int | None = None) -> list[NonEmptySafeStrTuple]:
        """Return the keys, those written last first; as `oldest_keys`."""
        check_count("max_n", max_n, or_none=True)
        by_time = ((-written, key) for key, written in self.keys_and_timestamps())
        ordered = sorted(by_time) if max_n is None else heapq.nsmallest(max_n, by_time)
        return [key for _, key in ordered]

    def oldest_values(self, max_n: int | None = None) -> list[V]:
        """Return the values in the order of `oldest_keys`; items removed meanwhile are left out."""
        return list(self._values_of(self.oldest_keys(max_n)))

    def newest_values(self, max_n: int | None = None) -> list[V]:
        """Return the values in the order of `newest_keys`; items removed meanwhile are left out."""
        return list(self._values_of(self.newest_keys(max_n)))

    def _seen(self) -> Iterator[tuple[Name, float]]:
        """Return the name of each item, with its timestamp."""
        key_of = self._naming.key_of
        return self._watched(self._store.scan_mtimes(), partial(filter, lambda found: key_of(found[0])))

    def _values_of(self, keys: list[NonEmptySafeStrTuple]) -> Iterator[V]:
        for key in keys:
            found = self._load(self._naming.name_of(key))
            if found is not ITEM_NOT_AVAILABLE:
                yield found[0]
