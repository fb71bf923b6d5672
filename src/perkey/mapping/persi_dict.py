"""PersiDict: all dictionary semantics, once, over any store.

A write travels key -> name -> bytes -> policy -> one atomic primitive of the store; a read comes back the
same way. What a store is does not matter here, and what a value means does not matter there.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from importlib import import_module
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, overload

from perkey.answers import answer
from perkey.arguments import check_callable, check_count, check_iterable, named_or_alias
from perkey.content import STREAM_ABOVE
from perkey.errors import ConflictError
from perkey.formats import find_format, format_of
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
from perkey.mapping.items import Items, Policy, items_of_params
from perkey.mapping.showing import defaults_of, is_default, shown_parameter
from perkey.mapping.views import PersiItemsView, PersiKeysView, PersiValuesView
from perkey.naming import DEFAULT_DIGEST_LEN, Name
from perkey.stores import PrefixStore, Store

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
class PersiDict(NeverSame, MutableMapping[Any, V]):
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

    _items: Items[V]
    """What the operations work on; a dictionary class chooses its parts."""

    _policy_class: ClassVar[type[Policy]] = Policy
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

    # --- The handle ---------------------------------------------------------------------------------

    # The state is flat, as in the first version, so that pickles of all versions can be read.
    def __getstate__(self) -> dict[str, Any]:
        """Leave the format behind: it is found by name, and may hold a secret."""
        state = dict(self.__dict__)
        items = state.pop("_items")
        registered = find_format(items.naming.file_type) is not None
        return state | {
            "_store": items.store,
            "_naming": items.naming,
            "_immutable": items.policy.immutable,
            "_base_class": items.policy.base_class,
            "_shares_place": items.policy.shares_place,
            "_registered": registered,
            "_unique": unlike_any(),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        own = dict(state)
        del own["_unique"]
        names = own.pop("_naming")
        if own.pop("_registered") and find_format(names.file_type) is None:
            raise LookupError(
                f"file type {names.file_type!r} has no format here; call perkey.register_format first"
            )
        policy = self._policy_class(
            own.pop("_immutable"), own.pop("_base_class"), shares_place=own.pop("_shares_place", False)
        )
        self._items = Items(own.pop("_store"), names, format_of(names.file_type), policy)
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
        """Return the constructor's parameters: ``type(d)(**d.get_params())`` is an equal handle."""
        return {"store": self.store, **self._items.params()}

    def __repr__(self) -> str:
        """Return the call of the constructor, without parameters that have their default values."""
        defaults = defaults_of(type(self))
        shown = (
            f"{name}={shown_parameter(value)}"
            for name, value in self.get_params().items()
            if not is_default(value, defaults.get(name, _REQUIRED))
        )
        return f"{type(self).__name__}({', '.join(shown)})"

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
        """Return the value, or `default` if there is none. Cost: one read."""
        name = self._items.name_of(key)
        try:
            content = self._items.store.content(name, limit=STREAM_ABOVE)
        except answer(KeyError):
            return default
        return self._items.decode(name, content)

    def setdefault(self, key: NonEmptyPersiDictKey, default: V = None) -> V:  # type: ignore[assignment] # as dict
        """Return the value, after inserting `default` if there was none; of several inserters one wins.

        Raises:
            TypeError: `default` is a joker.

        Cost: one read, and one write that inserts if there is no item.
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
        """Delete an item if there is one, and tell whether there was. Cost: one removal.

        Raises:
            MutationPolicyError: Items are immutable.
        """
        return self._items.discard(self._items.name_of(key))

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
        name = self._items.name_of(key)
        self._items.policy.check_deletable()
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

        Raises:
            KeyError: There is no item.

        Cost: one stat. In a folder, a file whose time has no digits below the microsecond is also read, 1 MiB
        at a time, because its time does not tell two contents apart: archives and copying programs leave
        such times. Each process reads it once, from two seconds after the file's last change on.
        """
        return self._items.stat(key).version

    def get_with_etag(self, key: NonEmptyPersiDictKey) -> ConditionalOperationResult[V]:
        """Return value and etag, which belong together; of an absent item both are ITEM_NOT_AVAILABLE.

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
        """Return an item's etag, whether it satisfies a condition, and the value if it is wanted.

        Args:
            key: The key.
            condition: ANY_ETAG, ETAG_IS_THE_SAME or ETAG_HAS_CHANGED.
            expected_etag: The etag to compare with; ITEM_NOT_AVAILABLE expects absence.
            retrieve_value: ALWAYS_RETRIEVE, NEVER_RETRIEVE, or IF_ETAG_CHANGED: only if the etag found is
                not the expected one. The value does not depend on the condition.

        Cost: one read, without transfer where the etag is the expected one; one stat if never retrieving.
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
            retrieve_value: Whether the result brings an existing value that was not replaced.

        Raises:
            MutationPolicyError: Items are immutable, there is one, and the condition holds.
            UnstorableValueError, TypeError: The value cannot be stored here.
            UnsupportedConditionError: The place cannot honour such a condition.

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

        The result says whether this call inserted the value. By default the condition is absence itself: if
        several processes insert under one key, exactly one gets `condition_was_satisfied`. An existing value
        is never changed; the result says whether it satisfies the condition.

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
        """Replace a value by a function of it; no update by anyone is ever lost.

        The function runs without any lock and may run several times: once for each attempt, on the value of
        that moment. Every conflict means that another writer succeeded; after some, attempts are spaced at
        random, the less the more there were, so that all contenders whose functions take about as long get
        through soon. A function much slower than its rivals' may be overtaken for as long as they go on.

        Args:
            key: The key.
            transformer: Takes the value, or `default`; returns the new value, KEEP_CURRENT or
                DELETE_CURRENT.
            default: What the function is given if the item is missing; ITEM_NOT_AVAILABLE, which is false,
                if no default is given. Each attempt gets a deep copy.
            n_retries: How often to try again after a conflict; None means until it succeeds.

        Returns:
            The etag and value that this call left.

        Raises:
            ConcurrencyConflictError: All attempts were overtaken; nothing was changed by this call.
            MutationPolicyError: Items are immutable and there is one that would change.
            TypeError: `transformer` cannot be called.
            Exception: The function raised it; it passes as it is, with the key as a note, and nothing is
                changed.

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
        """Count the items in one listing, without reading or even checking the digest of any."""
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
        self._items.policy.check_deletable()
        for key in self:
            value = self.pop(key, _ABSENT)
            if value is not _ABSENT:  # else another caller popped it
                return key, value
        raise KeyError("the dictionary is empty")

    def clear(self) -> None:
        """Delete all items that are there when the listing passes them, and claims that no process holds.

        Cost: a listing, and as `delete_many`. A read for each claim, and a removal if it is not held.

        Raises:
            MutationPolicyError: Items are immutable; nothing was deleted.
        """
        self._items.policy.check_deletable()
        claims: list[Name] = []
        bulk.remove_many(self._items, self._items.names_beside(claims), Tally("clear"))
        if claims:
            # A tool of a higher layer knows which claims are free; seldom needed, so loaded here.
            import_module("perkey.tools.once").remove_stale(self._items.store, claims)

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
        return {self._items.key_of(self._items.name_of(key)): value for key, value in other.items()}

    def random_key(self) -> NonEmptySafeStrTuple | None:
        """Return a key, each with the same probability, or None if there is none.

        Cost: one listing in constant memory; no item is read. Two, where strangers put files whose names look
            like items' but for the digest.
        """
        name = _drawn(filter(self._items.naming.shape.fits, self._items.store.scan()))
        if name is None:
            return None
        key = self._items.naming.key_of(name)
        return _drawn(self) if key is None else key

    # --- Many items ---------------------------------------------------------------------------------

    def get_many(
        self, keys: Iterable[NonEmptyPersiDictKey], *, progress: bool = False
    ) -> dict[NonEmptySafeStrTuple, V]:
        """Return the values of several keys as a plain dict; keys without an item are left out.

        Args:
            keys: The keys.
            progress: Whether to show a progress bar; needs tqdm.

        Raises:
            CorruptValueError, UnloadableValueError: of the one value that cannot be loaded.
            BulkOperationError: Several cannot be loaded.

        Cost: one read for each key, in parallel where each waits for a network.
        """
        check_iterable("keys", keys, "keys")
        return bulk.get_many(self._items, keys, Tally("get_many", progress))

    def set_many(
        self,
        items: Mapping[Any, V] | Iterable[tuple[NonEmptyPersiDictKey, V]],
        *,
        progress: bool = False,
    ) -> None:
        """Store many values, each atomically and as durably as by assignment; jokers act as there.

        One that fails does not keep the others from being stored. Of several for one key the last one stays.

        Args:
            items: A mapping, or pairs of key and value; drawn one at a time, so that it may be a generator.
            progress: Whether to show a progress bar; needs tqdm.

        Raises:
            What assignment raises, where it fails for one key.
            BulkOperationError: It fails for several.

        Cost: one write for each item; a folder shares the syncs of many, a bucket is asked in parallel.
        """
        source = pairs_of("items", items)
        bulk.set_many(self._items, source, Tally("set_many", progress))

    def delete_many(self, keys: Iterable[NonEmptyPersiDictKey], *, progress: bool = False) -> None:
        """Delete several items; those that are not there are no error.

        Args:
            keys: The keys.
            progress: Whether to show a progress bar; needs tqdm.

        Raises:
            MutationPolicyError: Items are immutable; nothing was deleted.
            BulkOperationError: Several could not be deleted; all others were.

        Cost: a removal for each key, in a folder with shared syncs; in a bucket one request for 1,000.
        """
        check_iterable("keys", keys, "keys")
        self._items.policy.check_deletable()
        bulk.remove_many(self._items, map(self._items.name_of, keys), Tally("delete_many", progress))

    # --- Times --------------------------------------------------------------------------------------

    def timestamp(self, key: NonEmptyPersiDictKey) -> float:
        """Return when an item was last written, in seconds since the epoch.

        Raises:
            KeyError: There is no item.

        Cost: one stat; the content is never read.
        """
        name = self._items.name_of(key)
        try:
            return self._items.store.mtime(name)
        except answer(KeyError):
            raise self._items.missing(name) from None

    def keys_and_timestamps(self) -> Iterator[tuple[NonEmptySafeStrTuple, float]]:
        """Yield each key with its timestamp; in no order. Cost: a listing, and in a folder a stat an item."""
        return ((self._items.key_of(name), mtime) for name, mtime in self._items.timed_names())

    def values_and_timestamps(self) -> Iterator[tuple[V, float]]:
        """Yield each value with its timestamp, in no order; as `items_and_timestamps`."""
        return ((value, written) for _, value, written in self.items_and_timestamps())

    def items_and_timestamps(self) -> Iterator[tuple[NonEmptySafeStrTuple, V, float]]:
        """Yield key, value and timestamp of each item, in no order; items removed meanwhile are left out.

        Cost: a listing with timestamps, and one read an item. The timestamp is that of the listing.
        """
        for name, mtime in self._items.timed_names():
            found = self._items.load(name)
            if found is not ITEM_NOT_AVAILABLE:
                yield self._items.key_of(name), found[0], mtime

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

    def _values_of(self, keys: list[NonEmptySafeStrTuple]) -> Iterator[V]:
        found = (self._items.load(self._items.name_of(key)) for key in keys)
        return (each[0] for each in found if each is not ITEM_NOT_AVAILABLE)

    # --- Parts --------------------------------------------------------------------------------------

    def get_subdict(self, prefix_key: PersiDictKey = ()) -> Self:
        """Return the dictionary of the items whose keys begin with a prefix, under the rest of their keys.

        It is a handle on the same place: what is written in one is seen in the other.

        Args:
            prefix_key: The beginning of the keys; empty for all.

        Cost: none, and nothing is created; a prefix without items gives an empty dictionary.
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


def _drawn(source: Iterable[T]) -> T | None:
    """Return one of all, each with the same probability; None if there are none."""
    chosen = None
    for count, each in enumerate(source, 1):
        if random.random() * count < 1:  # noqa: S311 - a sample, not a secret
            chosen = each
    return chosen
