"""Keys, values and items of a persistent dictionary as views that do their work only when iterated."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import Any, Final, TypeVar, cast

from perkey.keys import NonEmptySafeStrTuple
from perkey.mapping.bulk import read_all_items
from perkey.mapping.items import items_of

V = TypeVar("V")

_ABSENT: Final[Any] = object()


class PersiKeysView(KeysView[NonEmptySafeStrTuple]):
    """The keys: iterating lists names only, `in` asks for one item, `len` counts names."""

    _mapping: Mapping[Any, Any]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._mapping!r})"


class PersiValuesView(ValuesView[V]):
    """The values: iterating reads one item at a time; items removed meanwhile are left out."""

    _mapping: Mapping[Any, V]

    def __iter__(self) -> Iterator[V]:
        return (value for _, value in read_all_items(items_of(self._mapping)))

    def __contains__(self, value: object) -> bool:
        return any(found is value or found == value for found in self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._mapping!r})"


class PersiItemsView(ItemsView[NonEmptySafeStrTuple, V]):
    """Keys and values: iterating reads one item at a time; items removed meanwhile are left out."""

    _mapping: Mapping[Any, V]

    def __iter__(self) -> Iterator[tuple[NonEmptySafeStrTuple, V]]:
        return read_all_items(items_of(self._mapping))

    def __contains__(self, item: object) -> bool:
        # Not the inherited one, which takes a KeyError of a format for a missing item.
        key, value = cast("tuple[Any, object]", item)
        found = self._mapping.get(key, _ABSENT)
        return found is not _ABSENT and (found is value or found == value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._mapping!r})"
