"""PersiDict: all dictionary semantics, once, over any store.

A write travels key -> name -> bytes -> policy -> one atomic primitive of the store; a read comes back the
same way. What a store is does not matter here, and what a value means does not matter there.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from io import UnsupportedOperation
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, overload

from perkey.answers import answer
from perkey.arguments import check_callable, check_count, check_iterable, named_or_alias
from perkey.content import STREAM_ABOVE
from perkey.errors import ConflictError
from perkey.handles import NeverSame, unlike_any
from perkey.jokers import (
    ANY_ETAG,
    DELETE_CURRENT,
    ETAG_IS_THE_SAME,
    IF_ETAG_CHANGED,
    ITEM_NOT_AVAILABLE,
    KEEP_CURRENT,
    NEVER_RETRIEVE,
    ConditionalOperationResult,
    ETagConditionFlag,
    ETagIfExists,
    ETagValue,
    Joker,
    OperationResult,
    RetrieveValueFlag,
    check_arguments,
)
from perkey.keys import NonEmptyPersiDictKey, NonEmptySafeStrTuple, PersiDictKey
from perkey.mapping import bulk, conditional
from perkey.mapping.bulk import Tally, pairs_of
from perkey.mapping.conditional import TransformingFunction
from perkey.mapping.fitting import count_watched
from perkey.mapping.items import Items, Policy, items_of_params, items_of_state, state_of
from perkey.mapping.showing import defaults_of, dictionary_html, is_default, shown_parameter
from perkey.mapping.views import PersiItemsView, PersiKeysView, PersiValuesView
from perkey.naming import DEFAULT_DIGEST_LEN
from perkey.stores import PrefixStore, Store, read_only

if TYPE_CHECKING:
    # A default (PEP 696) spares users annotations where any value will do; Python 3.11 lacks it.
    from typing_extensions import TypeVar as TypeVarWithDefault

    V = TypeVarWithDefault("V", default=Any)
else:
    V = TypeVar("V")
T = TypeVar("T")

_REQUIRED: Any = object()
_ABSENT: Any = object()


# Keys come out as tuples and go in as strings or sequences of them: `in` and `update` take what `[]` takes.
class PersiDict(NeverSame, MutableMapping[Any, V]):
    """A persistent dictionary that keeps each value as one item of a store.

    Many processes may use the same place at once. Each operation on one key is atomic; nothing is promised
    across keys. Handles are cheap, hold nothing open, and can be pickled, forked and shared by threads.
    The order of iteration is arbitrary. Items written or removed during an iteration may or may not appear.

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

    _items: Items[V]
    """What the operations work on; a dictionary class chooses its parts."""

    _policy_class: ClassVar[type[Policy]] = Policy
    _always_shown: ClassVar[frozenset[str]] = frozenset()
    """Parameters that name the place; `repr` shows them even if they have their default values."""
    """The policy of dictionaries of this class."""

    def __init__(
        self,
        store: Store,
        *,
        file_type: str = "pkl",
        immutable_items: bool = False,
        digest_len: int = DEFAULT_DIGEST_LEN,
        base_class_for_values: type | None = None,
    ) -> None:
        self._items = items_of_params(
            store, self._policy_class, file_type, immutable_items, digest_len, base_class_for_values
        )

    def __getstate__(self) -> dict[str, Any]:
        """Leave the format behind: it is found by name, and may hold a secret."""
        own = {name: value for name, value in self.__dict__.items() if name != "_items"}
        return {**own, **state_of(self._items), "_unique": unlike_any()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        own = dict(state)
        del own["_unique"]
        self._items = items_of_state(own, self._policy_class)
        self.__dict__.update(own)

    def __copy__(self) -> Self:
        handle = object.__new__(type(self))
        handle.__dict__.update(self.__dict__)
        return handle

    @property
    def store(self) -> Store:
        """The store that the items are in."""
        return self._items.store

    @property
    def file_type(self) -> str:
        """The ending of the names, which decides the format of the values."""
        return self._items.naming.file_type

    @property
    def digest_len(self) -> int:
        """How many characters of digest each part of a stored name has."""
        return self._items.naming.digest_len

    @property
    def immutable_items(self) -> bool:
        """Whether items can only be added, never changed or deleted."""
        return self._items.policy.immutable

    @property
    def base_class_for_values(self) -> type | None:
        """The class that all values must be of, or None."""
        return self._items.policy.base_class

    def get_params(self) -> dict[str, Any]:
        """Return the arguments of the constructor: ``type(d)(**d.get_params())`` is an equal handle."""
        return {"store": self.store, **self._items.params()}

    def __repr__(self) -> str:
        """Return the call of the constructor, without parameters that have their default values."""
        defaults = defaults_of(type(self))
        shown = (
            f"{name}={shown_parameter(value)}"
            for name, value in self.get_params().items()
            if name in self._always_shown or not is_default(value, defaults.get(name, _REQUIRED))
        )
        handle = ".read_only()" if self.store.read_only else ""
        return f"{type(self).__name__}({', '.join(shown)}){handle}"

    def _repr_html_(self) -> str:
        """Return the first keys as a table for a notebook; the cost is one page of a listing."""
        return dictionary_html(type(self).__name__, self._items, self.__repr__)

    # --- One item -----------------------------------------------------------------------------------

    def __getitem__(self, key: NonEmptyPersiDictKey) -> V:
        name = self._items.name_of(key)
        try:
            content = self._items.store.content(name, limit=STREAM_ABOVE)
        except answer(KeyError):
            raise self._items.missing(name) from None
        return self._items.decode(name, content)

    def __setitem__(self, key: NonEmptyPersiDictKey, value: V | Joker) -> None:
        name = self._items.name_of(key)
        if value is KEEP_CURRENT:
            return
        if value is DELETE_CURRENT:
            self._items.discard(name)
        else:
            self._items.assign(name, value)

    def __delitem__(self, key: NonEmptyPersiDictKey) -> None:
        name = self._items.name_of(key)
        if not self._items.discard(name):
            raise self._items.missing(name)

    def __contains__(self, key: object) -> bool:
        return self._items.store.exists(self._items.name_of(key))

    @overload
    def get(self, key: NonEmptyPersiDictKey) -> V | None: ...
    @overload
    def get(self, key: NonEmptyPersiDictKey, default: V | T) -> V | T: ...
    def get(self, key: NonEmptyPersiDictKey, default: Any = None) -> Any:
        """Return the value of a key, or a default if the key is missing.

        Args:
            key: The key.
            default: The result if the key is missing.

        Raises:
            CorruptValueError: The stored value is damaged.
            UnloadableValueError: The stored value needs code that does not exist here.

        Cost: one read.
        """
        name = self._items.name_of(key)
        try:
            content = self._items.store.content(name, limit=STREAM_ABOVE)
        except answer(KeyError):
            return default
        return self._items.decode(name, content)

    def setdefault(self, key: NonEmptyPersiDictKey, default: V = None) -> V:  # type: ignore[assignment] # as dict
        """Return the value of a key, after inserting a default if the key was missing; atomic.

        If several processes insert under one key, exactly one inserts its value, and all return that value.

        Args:
            key: The key.
            default: The value to insert.

        Raises:
            UnstorableValueError: The default cannot be stored here.
            TypeError: `default` is a joker.

        Cost: one read; if the key is missing, one write that inserts.
        """
        name = self._items.name_of(key)
        if isinstance(default, Joker):
            raise TypeError("the default must be a value, not a joker")
        while True:
            found = self._items.load(name)
            if found is not ITEM_NOT_AVAILABLE:
                return found[0]
            if self._items.insert(name, self._items.encode(name, default)) is None:
                return default
            # Another writer inserted first; or this one did, which makes no difference here.

    def discard(self, key: NonEmptyPersiDictKey) -> bool:
        """Delete an item if it exists, and return whether it existed.

        Args:
            key: The key.

        Raises:
            MutationPolicyError: Items are immutable.

        Cost: one removal.
        """
        return self._items.discard(self._items.name_of(key))

    def delete_if_exists(self, key: NonEmptyPersiDictKey) -> bool:
        """Delete an item if it exists, and return whether it existed: another name of `discard`."""
        return self.discard(key)

    @overload
    def pop(self, key: NonEmptyPersiDictKey) -> V: ...
    @overload
    def pop(self, key: NonEmptyPersiDictKey, default: V | T) -> V | T: ...
    def pop(self, key: NonEmptyPersiDictKey, default: Any = _REQUIRED) -> Any:
        """Delete an item and return its value; if several processes pop the same item, exactly one gets it.

        Args:
            key: The key.
            default: The result if the key is missing.

        Raises:
            KeyError: The key is missing, and no default is given.
            MutationPolicyError: Items are immutable.

        Cost: one read and one removal; the same again after each conflict.
        """
        name = self._items.name_of(key)
        self._items.check_deletable()
        while True:
            found = self._items.load(name)
            if found is ITEM_NOT_AVAILABLE:
                if default is _REQUIRED:
                    raise self._items.missing(name)
                return default
            value, version = found
            try:
                self._items.store.remove(name, expect=version)
            except answer(ConflictError):
                continue
            return value

    # --- Conditions ---------------------------------------------------------------------------------

    def etag(self, key: NonEmptyPersiDictKey) -> ETagValue:
        """Return the etag of an item: an opaque version, never the same for two contents of a key.

        Args:
            key: The key.

        Raises:
            KeyError: The key is missing.

        Cost: one stat. In a folder, a file whose time has no digits below the microsecond is also read, 1 MiB
        at a time. Archives and copying programs leave such times, which do not distinguish two contents. A
        process does not read such a file again if it did so two seconds after its last change or later.
        """
        return self._items.stat(key).version

    def get_with_etag(self, key: NonEmptyPersiDictKey) -> ConditionalOperationResult[V]:
        """Return the value and the etag of exactly this value.

        Args:
            key: The key.

        Returns:
            A result whose etags and value are ITEM_NOT_AVAILABLE if the key is missing.

        Cost: one read.
        """
        name = self._items.name_of(key)
        return conditional.find(self._items, name, ANY_ETAG, ITEM_NOT_AVAILABLE, IF_ETAG_CHANGED)

    def get_item_if(
        self,
        key: NonEmptyPersiDictKey,
        *,
        condition: ETagConditionFlag,
        expected_etag: ETagIfExists,
        retrieve_value: RetrieveValueFlag = IF_ETAG_CHANGED,
    ) -> ConditionalOperationResult[V]:
        """Return the etag of an item, whether it satisfies a condition, and its value if that is wanted.

        Args:
            key: The key.
            condition: ANY_ETAG, ETAG_IS_THE_SAME or ETAG_HAS_CHANGED.
            expected_etag: The etag to compare with; ITEM_NOT_AVAILABLE expects absence.
            retrieve_value: ALWAYS_RETRIEVE, NEVER_RETRIEVE, or IF_ETAG_CHANGED: only if the actual etag is
                not the expected one. The value does not depend on the condition.

        Cost: one read, without transfer if the etag is the expected one; with NEVER_RETRIEVE, one stat.
        """
        check_arguments(condition, expected_etag, retrieve_value)
        name = self._items.name_of(key)
        return conditional.find(self._items, name, condition, expected_etag, retrieve_value)

    def set_item_if(
        self,
        key: NonEmptyPersiDictKey,
        *,
        value: V | Joker,
        condition: ETagConditionFlag,
        expected_etag: ETagIfExists,
        retrieve_value: RetrieveValueFlag = IF_ETAG_CHANGED,
    ) -> ConditionalOperationResult[V]:
        """Store a value, or act on a joker, if a condition holds; atomic, also between processes.

        Args:
            key: The key.
            value: The new value, or a joker.
            condition: ANY_ETAG, ETAG_IS_THE_SAME or ETAG_HAS_CHANGED.
            expected_etag: The etag to compare with; ITEM_NOT_AVAILABLE expects absence.
            retrieve_value: Whether the result has an existing value that was not replaced.

        Raises:
            MutationPolicyError: Items are immutable, the item exists, and the condition holds.
            UnstorableValueError, TypeError: The value cannot be stored here.
            UnsupportedConditionError: The place does not support such a condition.

        Cost: one write under ETAG_IS_THE_SAME; a stat more for the other conditions. Conflicts cost a read.
        """
        check_arguments(condition, expected_etag, retrieve_value)
        name = self._items.name_of(key)
        return conditional.set_if(self._items, name, value, condition, expected_etag, retrieve_value)

    @overload
    def setdefault_if(
        self,
        key: NonEmptyPersiDictKey,
        default: V,
        *,
        condition: ETagConditionFlag = ...,
        expected_etag: ETagIfExists = ...,
        retrieve_value: RetrieveValueFlag = ...,
    ) -> ConditionalOperationResult[V]: ...
    @overload
    def setdefault_if(
        self,
        key: NonEmptyPersiDictKey,
        *,
        default_value: V,
        condition: ETagConditionFlag = ...,
        expected_etag: ETagIfExists = ...,
        retrieve_value: RetrieveValueFlag = ...,
    ) -> ConditionalOperationResult[V]: ...
    def setdefault_if(
        self,
        key: NonEmptyPersiDictKey,
        default: V = _REQUIRED,
        *,
        condition: ETagConditionFlag = ETAG_IS_THE_SAME,
        expected_etag: ETagIfExists = ITEM_NOT_AVAILABLE,
        retrieve_value: RetrieveValueFlag = IF_ETAG_CHANGED,
        default_value: V = _REQUIRED,
    ) -> ConditionalOperationResult[V]:
        """Insert a value if the key is missing and its absence satisfies the condition; atomic.

        The result reports whether this call inserted the value. By default the condition is absence itself:
        if several processes insert under one key, one gets `condition_was_satisfied`. An existing value
        is never changed; the result reports whether it satisfies the condition.

        Args:
            key: The key.
            default: The value to insert; not a joker.
            condition: ANY_ETAG, ETAG_IS_THE_SAME or ETAG_HAS_CHANGED.
            expected_etag: The etag to compare with; ITEM_NOT_AVAILABLE expects absence.
            retrieve_value: Whether the result has the existing value.
            default_value: Another name of `default`, as in persidict.

        Raises:
            UnstorableValueError: The value cannot be stored here.
            TypeError: The value is a joker or not of the class for values, or no value is given.
            UnsupportedConditionError: The place cannot insert conditionally.

        Cost: one write that inserts; if the item exists, one more read.
        """
        if default_value is not _REQUIRED or default is _REQUIRED:
            default = named_or_alias("default", default, "default_value", default_value, _REQUIRED)
        check_arguments(condition, expected_etag, retrieve_value)
        name = self._items.name_of(key)
        return conditional.insert_if(self._items, name, default, condition, expected_etag, retrieve_value)

    def discard_if(
        self, key: NonEmptyPersiDictKey, *, condition: ETagConditionFlag, expected_etag: ETagIfExists
    ) -> ConditionalOperationResult[V]:
        """Remove an item if a condition holds; atomic. An absent item is not an error.

        Args:
            key: The key.
            condition: ANY_ETAG, ETAG_IS_THE_SAME or ETAG_HAS_CHANGED.
            expected_etag: The etag to compare with; ITEM_NOT_AVAILABLE expects absence.

        Raises:
            MutationPolicyError: Items are immutable.
            UnsupportedConditionError: The place cannot remove conditionally.

        Cost: one removal under ETAG_IS_THE_SAME; a stat more for the other conditions, or after a conflict.
        """
        check_arguments(condition, expected_etag)
        name = self._items.name_of(key)
        return conditional.discard_if(self._items, name, condition, expected_etag, NEVER_RETRIEVE)

    def transform_item(
        self,
        key: NonEmptyPersiDictKey,
        transformer: TransformingFunction,
        *,
        default: Any = ITEM_NOT_AVAILABLE,
        n_retries: int | None = None,
    ) -> OperationResult[V]:
        """Replace a value by a function of it; no update is ever lost.

        The function runs without any lock, once for each attempt, on the value of that moment. A conflict
        means that another writer succeeded. After the second conflict there are random pauses, shorter after
        each further conflict. So all writers whose functions take about the same time succeed soon. A
        function that is much slower than those of other writers may meet conflicts as long as they write.

        Args:
            key: The key.
            transformer: Takes the value, or `default`; returns the new value, KEEP_CURRENT or
                DELETE_CURRENT. A function that changes its argument in place has to return it.
            default: The argument of the function if the key is missing; without it ITEM_NOT_AVAILABLE, which
                is false. Each attempt gets a deep copy.
            n_retries: How often to try again after a conflict; None means until it succeeds.

        Returns:
            The etag and value that this call left.

        Raises:
            ConcurrencyConflictError: All attempts met conflicts; this call changed nothing.
            MutationPolicyError: Items are immutable, and an existing one would change.
            TypeError: `transformer` cannot be called.
            Exception: The function raised it. It passes with the key as a note, and nothing is changed.

        Cost: one read and one write for each attempt.

        >>> from perkey import LocalDict
        >>> hits = LocalDict()
        >>> hits.transform_item("home", lambda n: n + 1, default=0).new_value
        1
        """
        check_callable("transformer", transformer)
        check_count("n_retries", n_retries, or_none=True)
        return conditional.transform(self._items, self._items.name_of(key), transformer, default, n_retries)

    # --- All items ----------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[NonEmptySafeStrTuple]:
        items = self._items
        return items.watched(items.store.scan(), items.keys_among)

    def __len__(self) -> int:
        """Count the items in one listing; no item is read, and no digest is checked."""
        items = self._items
        counted = items.store.count(items.naming.shape)
        return count_watched(counted, items.store, items.naming) if items.is_whole() else counted

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

    def popitem(self) -> tuple[NonEmptySafeStrTuple, V]:
        """Delete an arbitrary item and return its key and value.

        Raises:
            KeyError: The dictionary is empty.
            MutationPolicyError: Items are immutable.
        """
        self._items.check_deletable()
        for key in self:
            value = self.pop(key, _ABSENT)
            if value is not _ABSENT:  # else another caller popped it
                return key, value
        raise KeyError("the dictionary is empty")

    def clear(self) -> None:
        """Delete all items that the listing finds, and the claims that no process holds.

        Raises:
            MutationPolicyError: Items are immutable; nothing was deleted.
            BulkOperationError: Several items could not be deleted; all others were.

        Cost: a listing, and one removal for each item; in a bucket one request for 1,000 items. For each
        claim, a read, and a removal if no process holds it.
        """
        self._items.check_deletable()
        bulk.clear(self._items)

    def update(self, other: Any = (), /, **more: Any) -> None:
        """Store the items of a mapping or of pairs of key and value, and the keyword arguments.

        Args:
            other: A mapping, or pairs; drawn one at a time, so that it may be a generator.
            **more: Further items.

        Raises:
            BulkOperationError: Several items could not be stored; all others were.

        Cost: one write for each item, as for `set_many`.
        """
        self.set_many(chain(pairs_of("other", other), more.items()))

    def copy(self) -> dict[NonEmptySafeStrTuple, V]:
        """Return all items as a plain dict in memory, which is independent of this dictionary.

        Cost: a listing, and one read for each item.
        """
        return dict(self.items())

    def __or__(self, other: Mapping[Any, Any]) -> dict[NonEmptySafeStrTuple, Any]:
        """Return a plain dict of the items of both; where both have a key, the value is `other`'s."""
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
        """Return whether `other` is a mapping of equal items; its keys are taken as this dictionary's."""
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
        return {self._items.key_of(self._items.name_of(key)): value for key, value in other.items()}

    def random_key(self) -> NonEmptySafeStrTuple | None:
        """Return a key at random, each with the same probability; None if the dictionary is empty.

        Cost: one listing in constant memory; no item is read. A second listing if the place has foreign files
        whose names differ from those of items only by a wrong digest.
        """
        name = _drawn(filter(self._items.naming.shape.fits, self._items.store.scan()))
        return None if name is None else self._items.naming.key_of(name) or _drawn(self)

    # --- Many items ---------------------------------------------------------------------------------

    def get_many(
        self, keys: Iterable[NonEmptyPersiDictKey], *, progress: bool = False
    ) -> dict[NonEmptySafeStrTuple, V]:
        """Return the values of several keys as a plain dict; keys without an item are left out.

        Args:
            keys: The keys.
            progress: Whether to show a progress bar; needs tqdm.

        Raises:
            CorruptValueError, UnloadableValueError: One value cannot be loaded.
            BulkOperationError: Several values cannot be loaded.

        Cost: one read for each key; in a bucket they run in parallel.
        """
        check_iterable("keys", keys, "keys")
        return bulk.get_many(self._items, keys, Tally("get_many", progress))

    def set_many(
        self,
        items: Mapping[Any, V] | Iterable[tuple[NonEmptyPersiDictKey, V]],
        *,
        progress: bool = False,
    ) -> None:
        """Store many values, each atomically and as durably as by assignment; jokers act as in assignments.

        If one value cannot be stored, the other values are stored. If a key appears several times, the
        last value stays.

        Args:
            items: A mapping, or pairs of key and value; drawn one at a time, so that it may be a generator.
            progress: Whether to show a progress bar; needs tqdm.

        Raises:
            Exception: One value cannot be stored; the same as by assignment.
            BulkOperationError: Several values cannot be stored.

        Cost: one write for each item. In a folder, many items share an fsync; in a bucket, requests run in
        parallel.
        """
        bulk.set_many(self._items, pairs_of("items", items), Tally("set_many", progress))

    def delete_many(self, keys: Iterable[NonEmptyPersiDictKey], *, progress: bool = False) -> None:
        """Delete several items; missing keys are not an error.

        Args:
            keys: The keys.
            progress: Whether to show a progress bar; needs tqdm.

        Raises:
            MutationPolicyError: Items are immutable; nothing was deleted.
            BulkOperationError: Several could not be deleted; all others were.

        Cost: one removal for each key. In a folder, many removals share an fsync; in a bucket, one request
        removes 1,000 items.
        """
        check_iterable("keys", keys, "keys")
        self._items.check_deletable()
        bulk.remove_many(self._items, map(self._items.name_of, keys), Tally("delete_many", progress))

    # --- Times --------------------------------------------------------------------------------------

    def timestamp(self, key: NonEmptyPersiDictKey) -> float:
        """Return when an item was last written, in seconds since the epoch.

        Args:
            key: The key.

        Raises:
            KeyError: The key is missing.

        Cost: one stat; the content is never read.
        """
        name = self._items.name_of(key)
        try:
            return self._items.store.mtime(name)
        except answer(KeyError):
            raise self._items.missing(name) from None

    def keys_and_timestamps(self) -> Iterator[tuple[NonEmptySafeStrTuple, float]]:
        """Yield each key with its timestamp, in arbitrary order.

        Cost: a listing; in a folder, one stat for each item.
        """
        return ((self._items.key_of(name), mtime) for name, mtime in self._items.timed_names())

    def values_and_timestamps(self) -> Iterator[tuple[V, float]]:
        """Yield each value with its timestamp, in arbitrary order; items removed meanwhile are left out.

        Cost: a listing, and one read for each item. The timestamp is that of the listing.
        """
        return ((value, written) for _, value, written in self.items_and_timestamps())

    def items_and_timestamps(self) -> Iterator[tuple[NonEmptySafeStrTuple, V, float]]:
        """Yield key, value and timestamp of each item, in arbitrary order, without items removed meanwhile.

        Cost: a listing, and one read for each item. The timestamp is that of the listing.
        """
        for name, mtime in self._items.timed_names():
            found = self._items.load(name)
            if found is not ITEM_NOT_AVAILABLE:
                yield self._items.key_of(name), found[0], mtime

    def oldest_keys(self, max_n: int | None = None) -> list[NonEmptySafeStrTuple]:
        """Return the keys in the order of writing, the oldest first.

        Args:
            max_n: The largest number of keys to return and to hold in memory; None means all.

        Cost: a listing; in a folder, one stat for each item.
        """
        check_count("max_n", max_n, or_none=True)
        return _in_order(((written, key) for key, written in self.keys_and_timestamps()), max_n)

    def newest_keys(self, max_n: int | None = None) -> list[NonEmptySafeStrTuple]:
        """Return the keys in the order of writing, the newest first.

        Args:
            max_n: The largest number of keys to return and to hold in memory; None means all.

        Cost: a listing; in a folder, one stat for each item.
        """
        check_count("max_n", max_n, or_none=True)
        return _in_order(((-written, key) for key, written in self.keys_and_timestamps()), max_n)

    def oldest_values(self, max_n: int | None = None) -> list[V]:
        """Return the values in the order of writing, the oldest first; items removed meanwhile are left out.

        Args:
            max_n: The largest number of values to return; None means all.

        Cost: a listing with timestamps, and one read for each value.
        """
        return list(self._values_of(self.oldest_keys(max_n)))

    def newest_values(self, max_n: int | None = None) -> list[V]:
        """Return the values in the order of writing, the newest first; items removed meanwhile are left out.

        Args:
            max_n: The largest number of values to return; None means all.

        Cost: a listing with timestamps, and one read for each value.
        """
        return list(self._values_of(self.newest_keys(max_n)))

    def _values_of(self, keys: list[NonEmptySafeStrTuple]) -> Iterator[V]:
        found = (self._items.load(self._items.name_of(key)) for key in keys)
        return (each[0] for each in found if each is not ITEM_NOT_AVAILABLE)

    # --- Looking and tending ------------------------------------------------------------------------

    def size(self, key: NonEmptyPersiDictKey) -> int:
        """Return the length of an item as it is stored, in bytes.

        Args:
            key: The key.

        Raises:
            KeyError: The key is missing.

        Cost: one stat; the content is never read.
        """
        name = self._items.name_of(key)
        try:
            return self._items.store.size_of(name)
        except answer(KeyError):
            raise self._items.missing(name) from None

    def path(self, key: NonEmptyPersiDictKey) -> Path:
        """Return the path of the file that an item has, or would have. Cost: none.

        Write to it with care: other programs see all that is in it at any moment.

        Args:
            key: The key.

        Raises:
            io.UnsupportedOperation: Items are not files here; `url` returns their addresses.
        """
        path = self.store.path_of(self._items.name_of(key))
        if path is None:
            raise UnsupportedOperation(
                f"{self.store.describe()}: items are not files here; url() returns their addresses"
            )
        return Path(path)

    def url(self, key: NonEmptyPersiDictKey) -> str:
        """Return the address that an item has, or would have: ``file://``, ``s3://``, ...; without secrets.

        Args:
            key: The key.

        Cost: none.
        """
        name = self._items.name_of(key)
        path = self.store.path_of(name)
        return self.store.describe(name) if path is None else Path(path).as_uri()

    def read_only(self) -> Self:
        """Return a handle on the same items that refuses every write, before anything is encoded.

        So do all handles made of it: parts, wrappers, copies that went through a pickle.
        """
        handle = self.__copy__()
        handle._items = self._items.over(read_only(self.store))
        return handle

    def find(
        self,
        filter: Mapping[str, Any] | None = None,  # noqa: A002 - as perkey.find
    ) -> Iterator[tuple[NonEmptySafeStrTuple, V]]:
        """Yield key and value of each item whose value matches a filter; as `perkey.find`.

        Values that are not mappings match only filters on the value itself.

        Args:
            filter: The filter; None matches every item.
        """
        from perkey.query import find  # noqa: PLC0415 - a twentieth of the time to import perkey

        return find(self, filter)

    # --- Parts --------------------------------------------------------------------------------------

    def get_subdict(self, prefix_key: PersiDictKey = ()) -> Self:
        """Return the dictionary of the items whose keys begin with a prefix, under the rest of their keys.

        It is a handle on the same place, so both dictionaries see the same items.

        Args:
            prefix_key: The beginning of the keys; empty for all.

        Cost: none, and nothing is created. Without items under the prefix the dictionary is empty.
        """
        handle = self.__copy__()
        items = handle._items
        below = PrefixStore(items.store, items.naming.prefix_of(prefix_key))
        handle._items = Items(below, items.naming, items.format, items.policy)
        return handle

    def subdicts(self) -> dict[str, Self]:
        """Return the non-empty dictionaries one level below, by the first part of their keys.

        Cost: in a folder, one listing of it and a part of one for each folder in it.
        """
        parts = map(self._items.naming.part_of, self._items.store.folders())
        found = {part: self.get_subdict(part) for part in parts if part is not None}
        return {part: subdict for part, subdict in found.items() if subdict}


def _in_order(timed: Iterable[tuple[float, T]], max_n: int | None) -> list[T]:
    """Return the keys of pairs of time and key, the smallest time first."""
    ordered = sorted(timed) if max_n is None else heapq.nsmallest(max_n, timed)
    return [key for _, key in ordered]


def _drawn(source: Iterable[T]) -> T | None:
    """Return one of all, each with the same probability; None if the dictionary is empty."""
    chosen = None
    for count, each in enumerate(source, 1):
        if random.random() * count < 1:  # noqa: S311 - a sample, not a secret
            chosen = each
    return chosen
