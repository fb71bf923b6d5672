"""Synced lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableSequence, Sequence
from operator import index
from typing import Any, ClassVar, overload

from perkey.synced.collection import SyncedCollection, admit, edit, is_at, peek, snapshot, transform, wrap
from perkey.synced.plain import copy_of


class SyncedList(SyncedCollection, MutableSequence[Any]):
    """A list that is stored somewhere; see `SyncedCollection` for its promises.

    >>> from perkey.stores import MemoryStore
    >>> from perkey.synced import StoreItem, SyncedList
    >>> items = SyncedList(StoreItem(MemoryStore(), ("data.json",)))
    >>> items += [3, 1, 2]
    >>> items.sort()
    >>> items
    [1, 2, 3]
    """

    __perkey_base__: ClassVar[type] = list

    @classmethod
    def is_base_type(cls, data: Any) -> bool:
        """Return whether `data` is a sequence, or an array of NumPy, and not text or bytes."""
        if isinstance(data, Sequence):
            return not isinstance(data, (str, bytes, bytearray, memoryview))
        return hasattr(data, "__array__") and getattr(data, "ndim", 0) > 0

    @overload
    def __getitem__(self, place: int) -> Any: ...
    @overload
    def __getitem__(self, place: slice) -> list[Any]: ...
    def __getitem__(self, place: int | slice) -> Any:
        """Return an item, or a list of items."""
        if isinstance(place, slice):
            data = snapshot(self)
            return [wrap(self, step, data[step]) for step in range(*place.indices(len(data)))]
        data = peek(self)
        step = index(place)
        return wrap(self, step if step >= 0 else step + len(data), data[step])

    @overload
    def __setitem__(self, place: int, value: Any) -> None: ...
    @overload
    def __setitem__(self, place: slice, value: Iterable[Any]) -> None: ...
    def __setitem__(self, place: int | slice, value: Any) -> None:
        """Replace an item, or a slice, as one edit."""
        if isinstance(place, int) and is_at(self, value, place if place >= 0 else place + len(self)):
            return  # `items[0] += [1]` has changed it in place, and must not write what it read
        new = admit(self, list(value)) if isinstance(place, slice) else admit(self, [value])[0]

        def change(target: list[Any]) -> None:
            target[place] = new

        edit(self, change)

    def __delitem__(self, place: int | slice) -> None:
        def change(target: list[Any]) -> None:
            del target[place]

        edit(self, change)

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the items of this moment; edits meanwhile do no harm."""
        return (wrap(self, step, value) for step, value in enumerate(snapshot(self)))

    def __reversed__(self) -> Iterator[Any]:
        return iter(self[::-1])

    def __contains__(self, value: object) -> bool:
        return value in snapshot(self)

    def index(self, value: Any, start: int = 0, stop: int | None = None) -> int:
        """Return the first index of a value; raises ValueError if it does not occur."""
        data: list[Any] = snapshot(self)
        return data.index(value, start, len(data) if stop is None else stop)

    def count(self, value: Any) -> int:
        """Return how often a value occurs."""
        data: list[Any] = snapshot(self)
        return data.count(value)

    def insert(self, index: int, value: Any) -> None:
        """Insert a value before an index."""
        new = admit(self, [value])
        edit(self, lambda target: target.insert(index, new[0]))

    def append(self, value: Any) -> None:
        """Add a value at the end."""
        self.extend([value])

    def extend(self, values: Iterable[Any]) -> None:
        """Add values at the end, as one edit."""
        new = admit(self, list(values))
        if new:
            edit(self, lambda target: target.extend(new))

    def pop(self, index: int = -1) -> Any:
        """Remove an item and return it as plain data; concurrent callers get different items."""
        return copy_of(edit(self, lambda target: target.pop(index)))

    def remove(self, value: Any) -> None:
        """Remove the first item that equals a value; raises ValueError if it does not occur."""
        transform(self, lambda items: items.remove(value))

    def reverse(self) -> None:
        """Reverse the order, as one edit."""
        edit(self, lambda target: target.reverse())

    def sort(self, *, key: Callable[[Any], Any] | None = None, reverse: bool = False) -> None:
        """Sort the items, as ``list.sort``, as one edit; `key` is given plain data."""
        transform(self, lambda items: items.sort(key=key, reverse=reverse))

    def __lt__(self, other: Any) -> bool:
        return bool(self() < _content(other))

    def __le__(self, other: Any) -> bool:
        return bool(self() <= _content(other))

    def __gt__(self, other: Any) -> bool:
        return bool(self() > _content(other))

    def __ge__(self, other: Any) -> bool:
        return bool(self() >= _content(other))


def _content(other: Any) -> Any:
    return other() if isinstance(other, SyncedCollection) else other
