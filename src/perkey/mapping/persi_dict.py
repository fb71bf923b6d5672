"""PersiDict: all dictionary semantics, once, over any store.

A write travels key -> name -> bytes -> policy -> one atomic primitive of the store; a read comes back the
same way. What a store is does not matter here, and what a value means does not matter there.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from contextlib import closing
from functools import partial
from io import UnsupportedOperation
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from perkey.answers import answer
from perkey.content import STREAM_ABOVE
from perkey.errors import ConflictError
from perkey.jokers import DELETE_CURRENT, ITEM_NOT_AVAILABLE, KEEP_CURRENT, Joker
from perkey.keys import NonEmptyPersiDictKey, NonEmptySafeStrTuple, PersiDictKey
from perkey.mapping.bulk import BulkOperations, Tally, pairs_of
from perkey.mapping.conditional import ConditionalOperations
from perkey.mapping.fitting import count_watched
from perkey.mapping.ordering import TimeOrder
from perkey.mapping.showing import defaults_of, is_default, shown_parameter
from perkey.mapping.views import PersiItemsView, PersiKeysView, PersiValuesView
from perkey.naming import Name
from perkey.query import Filter, find
from perkey.stores import PrefixStore, Store, read_only

if TYPE_CHECKING:
    # A default (PEP 696) spares users annotations where any value will do; Python 3.11 has none at run time.
    from typing_extensions import TypeVar as TypeVarWithDefault

    V = TypeVarWithDefault("V", default=Any)
else:
    V = TypeVar("V")
T = TypeVar("T")

_REQUIRED: Any = object()
_ABSENT: Any = object()


# Keys come out as tuples and go in as strings or sequences of them: `in` and `update` take what `[]` takes.
class PersiDict(ConditionalOperations[V], BulkOperations[V], TimeOrder[V], MutableMapping[Any, V]):
    """A persistent dictionary whose values lie in a store, one item each.

    Many processes may use the same place at once; each operation on one key is atomic, nothing is promised
    across keys. Handles are cheap, hold nothing open, and can be pickled, forked and shared by threads.
    Order of iteration is arbitrary, and items written or removed meanwhile may or may not appear in it.

    Args:
        store: Where the items are.
        file_type: The format of values: ``"pkl"``, ``"json"``, one that was registered, or any other
            name for text (values are then str only). Dictionaries of different types in one place do
            not see each other's items.
        immutable_items: Whether items can only be added, never changed or deleted.
        digest_len: Characters of digest added to each part of a key, 0 to 26. With 0, keys that differ
            only in case meet on case-insensitive file systems.
        base_class_for_values: A class that all values must be of, checked in both directions.

    Raises:
        TypeError, ValueError: An argument is of the wrong kind or out of bounds.

    >>> from perkey.stores import MemoryStore
    >>> d = PersiDict[int](MemoryStore())
    >>> d["a", "b"] = 1
    >>> list(d.items())
    [(('a', 'b'), 1)]
    """

    def get_params(self) -> dict[str, Any]:
        """Return the constructor's parameters: ``type(d)(**d.get_params())`` is an equal handle."""
        return {"store": self._store, **self._common_params()}

    def __repr__(self) -> str:
        """Return the call of the constructor, without parameters that have their default values."""
        defaults = defaults_of(type(self))
        shown = (
            f"{name}={shown_parameter(value)}"
            for name, value in self.get_params().items()
            if not is_default(value, defaults.get(name, _REQUIRED))
        )
        handle = ".read_only()" if self._store.read_only else ""
        return f"{type(self).__name__}({', '.join(shown)}){handle}"

    # --- One item -----------------------------------------------------------------------------------

    def __getitem__(self, key: NonEmptyPersiDictKey) -> V:
        name = self._naming.name_of(key)
        try:
            content = self._store.content(name, limit=STREAM_ABOVE)
        except answer(KeyError):
            raise self._missing(name) from None
        return self._decode(name, content)

    def __setitem__(self, key: NonEmptyPersiDictKey, value: V | Joker) -> None:
        name = self._naming.name_of(key)
        if value is KEEP_CURRENT:
            return
        if value is DELETE_CURRENT:
            self._discard(name)
        else:
            self._assign(name, value)

    def __delitem__(self, key: NonEmptyPersiDictKey) -> None:
        name = self._naming.name_of(key)
        if not self._discard(name):
            raise self._missing(name)

    def __contains__(self, key: object) -> bool:
        return self._store.exists(self._naming.name_of(key))

    @overload
    def get(self, key: NonEmptyPersiDictKey) -> V | None: ...
    @overload
    def get(self, key: NonEmptyPersiDictKey, default: V | T) -> V | T: ...
    def get(self, key: NonEmptyPersiDictKey, default: Any = None) -> Any:
        """Return the value, or `default` if there is none. Cost: one read."""
        name = self._naming.name_of(key)
        try:
            content = self._store.content(name, limit=STREAM_ABOVE)
        except answer(KeyError):
            return default
        return self._decode(name, content)

    def setdefault(self, key: NonEmptyPersiDictKey, default: V = None) -> V:  # type: ignore[assignment] # as dict
        """Return the value, after inserting `default` if there was none; of several inserters one wins.

        Raises:
            TypeError: `default` is a joker.

        Cost: one read, and one write that inserts if there is no item.
        """
        name = self._naming.name_of(key)
        if isinstance(default, Joker):
            raise TypeError("the default must be a value, not a joker")
        while True:
            found = self._load(name)
            if found is not ITEM_NOT_AVAILABLE:
                return found[0]
            if self._insert(name, self._encode(name, default)) is None:
                return default
            # Another writer inserted first; or this one did, which makes no difference here.

    def discard(self, key: NonEmptyPersiDictKey) -> bool:
        """Delete an item if there is one, and tell whether there was. Cost: one removal.

        Raises:
            MutationPolicyError: Items are immutable.
        """
        return self._discard(self._naming.name_of(key))

    def delete_if_exists(self, key: NonEmptyPersiDictKey) -> bool:
        """Delete an item if there is one, and tell whether there was; the same as `discard`."""
        return self.discard(key)

    @overload
    def pop(self, key: NonEmptyPersiDictKey) -> V: ...
    @overload
    def pop(self, key: NonEmptyPersiDictKey, default: V | T) -> V | T: ...
    def pop(self, key: NonEmptyPersiDictKey, default: Any = _REQUIRED) -> Any:
        """Delete an item and return its value; of several that pop the same item, one gets it.

        Args:
            key: The key.
            default: What to return if there is no item.

        Raises:
            KeyError: There is no item, and no default.
            MutationPolicyError: Items are immutable.

        Cost: one read and one removal, again after a conflict.
        """
        name = self._naming.name_of(key)
        self._check_deletable()
        while True:
            found = self._load(name)
            if found is ITEM_NOT_AVAILABLE:
                if default is _REQUIRED:
                    raise self._missing(name)
                return default
            value, version = found
            try:
                self._store.remove(name, expect=version)
            except answer(ConflictError):
                continue
            return value

    # --- All items ----------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[NonEmptySafeStrTuple]:
        return self._watched(self._store.scan(), self._keys_among)

    def __len__(self) -> int:
        """Count the items in one listing, without reading or even checking the digest of any."""
        counted = self._store.count(self._naming.shape)
        return count_watched(counted, self._store, self._naming) if self._is_whole() else counted

    def __bool__(self) -> bool:
        return any(True for _ in self)

    def keys(self) -> PersiKeysView:
        """Return a view of the keys."""
        return PersiKeysView(self)

    def values(self) -> PersiValuesView[V]:
        """Return a view of the values."""
        return PersiValuesView(self)

    def items(self) -> PersiItemsView[V]:
        """Return a view of keys and values."""
        return PersiItemsView(self)

    def _read_items(self) -> Iterator[tuple[NonEmptySafeStrTuple, V]]:
        with closing(self._read_many(self._names())) as found:
            for name, value, error in found:
                if error is not None:
                    raise error
                yield self._key_of(name), value

    def _names(self) -> Iterator[Name]:
        return self._watched(self._store.scan(), partial(filter, self._naming.key_of))

    def _keys_among(self, names: Iterator[Name]) -> Iterator[NonEmptySafeStrTuple]:
        # A key is a tuple that is never empty, so that only None is filtered out.
        return filter(None, map(self._naming.key_of, names))

    def popitem(self) -> tuple[NonEmptySafeStrTuple, V]:
        """Delete an arbitrary item and return its key and value.

        Raises:
            KeyError: The dictionary is empty.
            MutationPolicyError: Items are immutable.
        """
        self._check_deletable()
        for key in self:
            value = self.pop(key, _ABSENT)
            if value is not _ABSENT:  # else another caller popped it
                return key, value
        raise KeyError("the dictionary is empty")

    def clear(self) -> None:
        """Delete all items that are there when the listing passes them.

        Cost: a listing, and as `delete_many`.

        Raises:
            MutationPolicyError: Items are immutable; nothing was deleted.
        """
        self._check_deletable()
        self._remove_many(self._names(), Tally("clear"))

    def update(self, other: Any = (), /, **more: Any) -> None:
        """Store the items of a mapping, or pairs, and those given by name; as `set_many`."""
        self.set_many(chain(pairs_of("other", other), more.items()))

    def copy(self) -> dict[NonEmptySafeStrTuple, V]:
        """Return all items as a plain dict in memory; later changes are in one of the two only."""
        return dict(self.items())

    def __or__(self, other: Mapping[Any, Any]) -> dict[NonEmptySafeStrTuple, Any]:
        """Return a plain dict of the items of both, `other`'s where both have one."""
        if not isinstance(other, Mapping):
            return NotImplemented
        return self.copy() | self._with_keys(other)

    def __ror__(self, other: Mapping[Any, Any]) -> dict[NonEmptySafeStrTuple, Any]:
        if not isinstance(other, Mapping):
            return NotImplemented
        return self._with_keys(other) | self.copy()

    def __ior__(self, other: Any) -> Self:  # type: ignore[misc] # in place it stays persistent, | makes a dict
        self.update(other)
        return self

    def __eq__(self, other: object) -> bool:
        """Tell whether `other` is a mapping of equal items; its keys are taken as this dictionary's."""
        if not isinstance(other, Mapping):
            return NotImplemented
        items = dict(other.items())
        try:
            items = self._with_keys(items)
        except answer(TypeError, ValueError):
            return False  # it has keys that cannot be here
        return self.copy() == items

    __hash__ = None  # type: ignore[assignment] # mutable, as every mapping

    def _with_keys(self, other: Mapping[Any, Any]) -> dict[NonEmptySafeStrTuple, Any]:
        return {self._key_of(self._naming.name_of(key)): value for key, value in other.items()}

    def random_key(self) -> NonEmptySafeStrTuple | None:
        """Return a key, each with the same probability, or None if there is none.

        Cost: one listing in constant memory; no item is read. Two, where strangers put files whose names look
            like items' but for the digest.
        """
        fits = self._naming.shape.fits
        name = _drawn(filter(fits, self._store.scan()))
        if name is None:
            return None
        key = self._naming.key_of(name)
        return _drawn(self) if key is None else key

    # --- Looking and tending ------------------------------------------------------------------------

    def size(self, key: NonEmptyPersiDictKey) -> int:
        """Return the length of an item as it is stored, in bytes.

        Raises:
            KeyError: The item does not exist.

        Cost: one stat; the content is never read.
        """
        name = self._naming.name_of(key)
        try:
            return self._store.size(name)
        except answer(KeyError):
            raise self._missing(name) from None

    def path(self, key: NonEmptyPersiDictKey) -> Path:
        """Return the path of the file that an item has, or would have. Cost: none.

        Write to it with care: other programs see all that is in it at any moment.

        Raises:
            io.UnsupportedOperation: Items are not files here; `url` returns their addresses.
        """
        path = self._store.path(self._naming.name_of(key))
        if path is None:
            raise UnsupportedOperation(
                f"{self._store.describe()}: items are not files here; url() returns their addresses"
            )
        return Path(path)

    def url(self, key: NonEmptyPersiDictKey) -> str:
        """Return the address that an item has, or would have: ``file://``, ``s3://``, ...; without secrets.

        Cost: none.
        """
        name = self._naming.name_of(key)
        path = self._store.path(name)
        return self._store.describe(name) if path is None else Path(path).as_uri()

    def read_only(self) -> Self:
        """Return a handle on the same items that refuses every write, before anything is encoded.

        So do all handles made of it: parts, wrappers, copies that went through a pickle.
        """
        return self._over(read_only(self._store))

    def find(
        self,
        filter: Filter | None = None,  # noqa: A002 - as perkey.find
    ) -> Iterator[tuple[NonEmptySafeStrTuple, V]]:
        """Yield key and value of each item whose value matches a filter; as `perkey.find`.

        Items that are not mappings match only filters that speak of the value itself.
        """
        return find(self, filter)

    # --- Parts --------------------------------------------------------------------------------------

    def get_subdict(self, prefix_key: PersiDictKey = ()) -> Self:
        """Return the dictionary of the items whose keys begin with a prefix, under the rest of their keys.

        It is a handle on the same place: what is written in one is seen in the other.

        Args:
            prefix_key: The beginning of the keys; empty for all.

        Cost: none, and nothing is created; a prefix without items gives an empty dictionary.
        """
        return self._over(PrefixStore(self._store, self._naming.prefix_of(prefix_key)))

    def subdicts(self) -> dict[str, Self]:
        """Return the non-empty dictionaries one level below, by the first part of their keys.

        Cost: in a folder, one listing of it and a part of one for each folder in it.
        """
        parts = map(self._naming.part_of, self._store.folders())
        found = {part: self.get_subdict(part) for part in parts if part is not None}
        return {part: subdict for part, subdict in found.items() if subdict}

    def _over(self, store: Store) -> Self:
        """Return a handle like this one on another store."""
        handle = self.__copy__()
        handle._store = store
        return handle

    def _common_params(self) -> dict[str, Any]:
        return {
            "file_type": self.file_type,
            "immutable_items": self._immutable,
            "digest_len": self.digest_len,
            "base_class_for_values": self._base_class,
        }


def _drawn(source: Iterable[T]) -> T | None:
    """Return one of all, each with the same probability; None if there are none."""
    chosen = None
    for count, each in enumerate(source, 1):
        if random.random() * count < 1:  # noqa: S311 - a sample, not a secret
            chosen = each
    return chosen
