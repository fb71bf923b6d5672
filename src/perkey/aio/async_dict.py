"""A dictionary whose verbs are awaited."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Final, Generic, NoReturn, ParamSpec, Self, TypeVar, overload

from perkey.aio.driving import Driving, Workplace, can_drive, require_greenlet
from perkey.aio.offloading import (
    NAMES_AT_ONCE,
    VALUES_AT_ONCE,
    OffLoopFormat,
    OffLoopStore,
    batch_of,
    close_iterator,
)
from perkey.arguments import check_callable, check_count, check_kind, is_coroutine_function
from perkey.files import ProcessLock
from perkey.handles import NeverSame
from perkey.jokers import (
    ETAG_IS_THE_SAME,
    IF_ETAG_CHANGED,
    ITEM_NOT_AVAILABLE,
    ConditionalOperationResult,
    ETagConditionFlag,
    ETagIfExists,
    ETagValue,
    Joker,
    OperationResult,
    RetrieveValueFlag,
)
from perkey.keys import NonEmptyPersiDictKey, NonEmptySafeStrTuple, PersiDictKey
from perkey.mapping import PersiDict, TransformingFunction, V, items_of, place_html, rebuilt
from perkey.query import Filter
from perkey.stores import CachedStore, MemoryStore, PrefixStore, Store
from perkey.stores.folder import DirectoryStore
from perkey.stores.folder.cache import CacheFolder
from perkey.stores.objects import ObjectStore
from perkey.waiting import driver

P = ParamSpec("P")
T = TypeVar("T")

_OMITTED: Any = object()
_THREADS: Final = 8
_REQUESTS: Final = 48
_NO_DEFAULT: Any = object()


class AsyncDict(NeverSame, Generic[V]):
    """A dictionary whose verbs are awaited in an event loop of asyncio.

    Each verb does what the verb of the dictionary does, with the same results and errors.

    In an object store through obstore (`S3Dict` with ``engine="obstore"``, `ObjectStoreDict`, with or
    without a cache), each request is a task of the loop, and no operation needs a thread. This needs
    greenlet (``pip install 'perkey[aio]'``). Any other dictionary is used in a pool of threads, and so is
    one in an object store if greenlet is missing; `is_native` returns which. Large values are encoded and
    decoded in the pool in any case.

    An operation that is cancelled, by a timeout for example, leaves the old or the new value, never a
    part of it. If the operation had reached a thread or the service, it may still take effect afterwards.

    An AsyncDict can be used in several loops, one after the other or at the same time in several threads.
    In a forked process it works wherever the dictionary does. It is not pickled: pickle the dictionary.

    Args:
        dictionary: The dictionary.
        threads: How many threads at most. They are started when they are needed, and end with `aclose`.
        requests: How many requests at a time are sent to an object store from one loop.

    Raises:
        TypeError: `dictionary` is not a `PersiDict`, or another argument is not an int.
        ValueError: `threads` or `requests` is less than 1.

    >>> import asyncio
    >>> from perkey import LocalDict
    >>> async def main():
    ...     async with AsyncDict(LocalDict()) as d:
    ...         await d.set("a", 1)
    ...         return await d["a"], [key async for key in d]
    >>> asyncio.run(main())
    (1, [('a',)])
    """

    def __init__(
        self, dictionary: PersiDict[V], *, threads: int = _THREADS, requests: int = _REQUESTS
    ) -> None:
        check_kind("dictionary", dictionary, PersiDict, "a PersiDict")
        check_count("threads", threads, least=1)
        check_count("requests", requests, least=1)
        self._dict = dictionary
        self._native = can_drive and _is_native(dictionary.store)
        self._driven = rebuilt(
            dictionary,
            dictionary.store if self._native else _off_loop(dictionary.store),
            OffLoopFormat,
        )
        self._place = Workplace(threads, requests)
        self._owns_place = True

    @property
    def dictionary(self) -> PersiDict[V]:
        """The dictionary itself, for code that may block."""
        return self._dict

    @property
    def is_native(self) -> bool:
        """Whether operations are tasks of the loop; if not, they are calls in threads."""
        return self._native

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._dict!r})"

    def _repr_html_(self) -> str:
        """Return where the dictionary is, for a notebook; a request would block the loop."""
        return place_html(type(self).__name__, items_of(self._dict), self.__repr__)

    def __reduce__(self) -> Any:
        raise TypeError("an AsyncDict belongs to its process: pickle its `dictionary` instead")

    # --- Life ---------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Wait for all operations under way, and end the threads; each later operation raises RuntimeError.

        Sub-dictionaries share the threads of their dictionary, so that closing one of them does nothing.
        """
        if self._owns_place:
            await self._place.close()

    # --- One item -----------------------------------------------------------------------------------

    def __getitem__(self, key: NonEmptyPersiDictKey) -> Awaitable[V]:
        """Return an awaitable of the value: ``await d["a"]``; KeyError if the key does not exist."""
        return self._do(lambda d: d[key])

    # Without these two, Python would call d[0], d[1], and so on, for ever.
    __iter__: None = None

    def __contains__(self, key: object) -> NoReturn:
        """Raise TypeError: ``key in d`` cannot be awaited, but ``await d.contains(key)`` can."""
        raise TypeError("`in` cannot ask an AsyncDict; write `await d.contains(key)`")

    @overload
    async def get(self, key: NonEmptyPersiDictKey) -> V | None: ...
    @overload
    async def get(self, key: NonEmptyPersiDictKey, default: V | T) -> V | T: ...
    async def get(self, key: NonEmptyPersiDictKey, default: Any = None) -> Any:
        """Return the value, or `default` if the key does not exist."""
        return await self._do(lambda d: d.get(key, default))

    async def set(self, key: NonEmptyPersiDictKey, value: V | Joker) -> None:
        """Store a value, as ``d[key] = value``; do not change the value meanwhile."""
        await self._do(lambda d: d.__setitem__(key, value))

    async def delete(self, key: NonEmptyPersiDictKey) -> None:
        """Delete an item, as ``del d[key]``; raises KeyError if the key does not exist."""
        await self._do(lambda d: d.__delitem__(key))

    async def contains(self, key: NonEmptyPersiDictKey) -> bool:
        """Return whether there is an item, as ``key in d``."""
        return await self._do(lambda d: key in d)

    async def setdefault(self, key: NonEmptyPersiDictKey, default: V = None) -> V:  # type: ignore[assignment] # as dict
        """Return the value; insert `default` first if the key is missing. Of several inserters one wins."""
        return await self._do(lambda d: d.setdefault(key, default))

    async def discard(self, key: NonEmptyPersiDictKey) -> bool:
        """Delete an item if it exists, and return whether it existed."""
        return await self._do(lambda d: d.discard(key))

    async def delete_if_exists(self, key: NonEmptyPersiDictKey) -> bool:
        """Delete an item if it exists, and return whether it existed; the same as `discard`."""
        return await self._do(lambda d: d.delete_if_exists(key))

    async def pop(self, key: NonEmptyPersiDictKey, default: Any = _NO_DEFAULT) -> Any:
        """Delete an item and return its value; if the key is missing, return `default` or raise KeyError."""
        given = () if default is _NO_DEFAULT else (default,)
        return await self._do(lambda d: d.pop(key, *given))

    async def popitem(self) -> tuple[NonEmptySafeStrTuple, V]:
        """Delete an arbitrary item, return its key and value; KeyError if the dictionary is empty."""
        return await self._do(lambda d: d.popitem())

    async def timestamp(self, key: NonEmptyPersiDictKey) -> float:
        """Return when an item was last written, in seconds since the epoch."""
        return await self._do(lambda d: d.timestamp(key))

    async def size(self, key: NonEmptyPersiDictKey) -> int:
        """Return the length of an item as it is stored, in bytes."""
        return await self._do(lambda d: d.size(key))

    # --- Conditional operations ---------------------------------------------------------------------

    async def etag(self, key: NonEmptyPersiDictKey) -> ETagValue:
        """Return the etag of an item, as `PersiDict.etag`."""
        return await self._do(lambda d: d.etag(key))

    async def get_with_etag(self, key: NonEmptyPersiDictKey) -> ConditionalOperationResult[V]:
        """Return value and etag of an item, as `PersiDict.get_with_etag`."""
        return await self._do(lambda d: d.get_with_etag(key))

    async def get_item_if(
        self,
        key: NonEmptyPersiDictKey,
        *,
        condition: ETagConditionFlag,
        expected_etag: ETagIfExists,
        retrieve_value: RetrieveValueFlag = IF_ETAG_CHANGED,
    ) -> ConditionalOperationResult[V]:
        """Read an item and compare its etag, as `PersiDict.get_item_if`."""
        return await self._do(
            lambda d: d.get_item_if(
                key, condition=condition, expected_etag=expected_etag, retrieve_value=retrieve_value
            )
        )

    async def set_item_if(
        self,
        key: NonEmptyPersiDictKey,
        *,
        value: V | Joker,
        condition: ETagConditionFlag,
        expected_etag: ETagIfExists,
        retrieve_value: RetrieveValueFlag = IF_ETAG_CHANGED,
    ) -> ConditionalOperationResult[V]:
        """Store a value if a condition holds, as `PersiDict.set_item_if`."""
        return await self._do(
            lambda d: d.set_item_if(
                key,
                value=value,
                condition=condition,
                expected_etag=expected_etag,
                retrieve_value=retrieve_value,
            )
        )

    async def setdefault_if(
        self,
        key: NonEmptyPersiDictKey,
        default: V = _OMITTED,
        *,
        condition: ETagConditionFlag = ETAG_IS_THE_SAME,
        expected_etag: ETagIfExists = ITEM_NOT_AVAILABLE,
        retrieve_value: RetrieveValueFlag = IF_ETAG_CHANGED,
        default_value: V = _OMITTED,
    ) -> ConditionalOperationResult[V]:
        """Insert a value if the key is missing, as `PersiDict.setdefault_if`."""
        names: dict[str, Any] = {"default": default, "default_value": default_value}
        given = {name: value for name, value in names.items() if value is not _OMITTED}
        return await self._do(
            lambda d: d.setdefault_if(
                key,
                **given,
                condition=condition,
                expected_etag=expected_etag,
                retrieve_value=retrieve_value,
            )
        )

    async def discard_if(
        self, key: NonEmptyPersiDictKey, *, condition: ETagConditionFlag, expected_etag: ETagIfExists
    ) -> ConditionalOperationResult[V]:
        """Delete an item if a condition holds, as `PersiDict.discard_if`."""
        return await self._do(lambda d: d.discard_if(key, condition=condition, expected_etag=expected_etag))

    async def transform_item(
        self,
        key: NonEmptyPersiDictKey,
        transformer: TransformingFunction | Callable[[Any], Awaitable[Any]],
        *,
        default: Any = ITEM_NOT_AVAILABLE,
        n_retries: int | None = None,
    ) -> OperationResult[V]:
        """Replace a value by a function of it, as `PersiDict.transform_item`.

        Args:
            key: The key.
            transformer: A function, or a coroutine function, which is awaited without holding a thread. A
                function must not take long: a native dictionary calls it in the loop.
            default: What the function is given if the item is missing.
            n_retries: How often to try again after a conflict; None means until it succeeds.
        """
        check_callable("transformer", transformer)
        if is_coroutine_function(transformer):
            coroutine: Callable[[Any], Awaitable[Any]] = transformer
            awaited = partial(_await_one, coroutine)
            return await self.run(
                lambda d: d.transform_item(key, awaited, default=default, n_retries=n_retries)
            )
        return await self._do(
            lambda d: d.transform_item(key, transformer, default=default, n_retries=n_retries)
        )

    # --- Many items ---------------------------------------------------------------------------------

    async def get_many(
        self, keys: Iterable[NonEmptyPersiDictKey], *, progress: bool = False
    ) -> dict[NonEmptySafeStrTuple, V]:
        """Return the values of several keys as a plain dict; keys without an item are left out."""
        return await self._do(lambda d: d.get_many(keys, progress=progress))

    async def set_many(
        self,
        items: Mapping[Any, V] | Iterable[tuple[NonEmptyPersiDictKey, V]],
        *,
        progress: bool = False,
    ) -> None:
        """Store many values, each atomically, as `PersiDict.set_many`."""
        await self._do(lambda d: d.set_many(items, progress=progress))

    async def delete_many(self, keys: Iterable[NonEmptyPersiDictKey], *, progress: bool = False) -> None:
        """Delete several items; keys that do not exist are ignored."""
        await self._do(lambda d: d.delete_many(keys, progress=progress))

    async def update(self, other: Any = (), /, **more: Any) -> None:
        """Store the items of a mapping or of pairs, and the keyword arguments; as `set_many`."""
        await self._do(lambda d: d.update(other, **more))

    async def clear(self) -> None:
        """Delete all items that are there when the listing passes them."""
        await self._do(lambda d: d.clear())

    async def copy(self) -> dict[NonEmptySafeStrTuple, V]:
        """Return all items as a plain dict in memory."""
        return await self._do(lambda d: d.copy())

    async def len(self) -> int:
        """Return how many items there are, as ``len(d)``."""
        return await self._do(len)

    async def is_empty(self) -> bool:
        """Return whether the dictionary is empty, as ``not d``."""
        return await self._do(lambda d: not d)

    async def random_key(self) -> NonEmptySafeStrTuple | None:
        """Return a key, each with the same probability, or None if the dictionary is empty."""
        return await self._do(lambda d: d.random_key())

    async def oldest_keys(self, max_n: int | None = None) -> list[NonEmptySafeStrTuple]:
        """Return the keys, those written longest ago first."""
        return await self._do(lambda d: d.oldest_keys(max_n))

    async def newest_keys(self, max_n: int | None = None) -> list[NonEmptySafeStrTuple]:
        """Return the keys, those written last first."""
        return await self._do(lambda d: d.newest_keys(max_n))

    async def oldest_values(self, max_n: int | None = None) -> list[V]:
        """Return the values in the order of `oldest_keys`."""
        return await self._do(lambda d: d.oldest_values(max_n))

    async def newest_values(self, max_n: int | None = None) -> list[V]:
        """Return the values in the order of `newest_keys`."""
        return await self._do(lambda d: d.newest_values(max_n))

    # --- Iterations ---------------------------------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[NonEmptySafeStrTuple]:
        """Iterate over the keys: ``async for key in d``."""
        return self.keys()

    def keys(self) -> AsyncIterator[NonEmptySafeStrTuple]:
        """Iterate over the keys: ``async for key in d.keys()``."""
        return self._each(iter, NAMES_AT_ONCE)

    def values(self) -> AsyncIterator[V]:
        """Iterate over the values; items that are removed meanwhile are left out."""
        return self._each(lambda d: iter(d.values()), VALUES_AT_ONCE)

    def items(self) -> AsyncIterator[tuple[NonEmptySafeStrTuple, V]]:
        """Iterate over keys and values; items that are removed meanwhile are left out."""
        return self._each(lambda d: iter(d.items()), VALUES_AT_ONCE)

    def keys_and_timestamps(self) -> AsyncIterator[tuple[NonEmptySafeStrTuple, float]]:
        """Iterate over keys and their timestamps."""
        return self._each(lambda d: d.keys_and_timestamps(), NAMES_AT_ONCE)

    def values_and_timestamps(self) -> AsyncIterator[tuple[V, float]]:
        """Iterate over values and their timestamps."""
        return self._each(lambda d: d.values_and_timestamps(), VALUES_AT_ONCE)

    def items_and_timestamps(self) -> AsyncIterator[tuple[NonEmptySafeStrTuple, V, float]]:
        """Iterate over keys, values and timestamps."""
        return self._each(lambda d: d.items_and_timestamps(), VALUES_AT_ONCE)

    def find(
        self,
        filter: Filter | None = None,  # noqa: A002 - as perkey.find
    ) -> AsyncIterator[tuple[NonEmptySafeStrTuple, V]]:
        """Iterate over key and value of each item whose value matches a filter."""
        return self._each(lambda d: d.find(filter), VALUES_AT_ONCE)

    # --- Parts --------------------------------------------------------------------------------------

    def read_only(self) -> Self:
        """Return a handle on the same items that refuses every write; nothing is awaited."""
        return self._part(self._dict.read_only())

    def get_subdict(self, prefix_key: PersiDictKey = ()) -> Self:
        """Return the dictionary of the items whose keys begin with a prefix; nothing is awaited."""
        return self._part(self._dict.get_subdict(prefix_key))

    async def subdicts(self) -> dict[str, Self]:
        """Return the non-empty dictionaries one level below, by the first part of their keys."""
        found = await self._do(lambda d: d.subdicts())
        return {part: self.get_subdict(part) for part in found}

    def _part(self, dictionary: PersiDict[V]) -> Self:
        part = object.__new__(type(self))
        part.__dict__.update(self.__dict__)
        part._dict = dictionary
        part._driven = rebuilt(
            dictionary,
            dictionary.store if self._native else _off_loop(dictionary.store),
            OffLoopFormat,
        )
        part._owns_place = False
        return part

    # --- Running ------------------------------------------------------------------------------------

    async def run(self, function: Callable[[PersiDict[V]], T]) -> T:
        """Return what a plain function returns that is given the dictionary, without holding a thread.

        So functions over dictionaries can be used in a loop. Other tasks run while the function waits for the
        dictionary, pauses by `perkey.waiting.sleep`, or waits in `compute_once` for another call. Inside the
        function, `wait_for` awaits a coroutine function. Anything else that blocks stalls the loop: the
        function's own computations, ``time.sleep``, and `claim` with ``wait=``.

        Raises:
            TypeError: The function is a coroutine function.
            MissingExtraError: greenlet is not installed.
        """
        check_callable("function", function)
        if is_coroutine_function(function):
            raise TypeError(
                f"function must be a plain function, not the coroutine function {function!r}; "
                "call it with this AsyncDict instead, or await it inside a plain function by wait_for"
            )
        require_greenlet("running a function in an event loop")
        with self._place.operation():
            return await Driving(self._place).run(partial(function, self._driven))

    async def _do(self, verb: Callable[[PersiDict[V]], T]) -> T:
        """Return the result of a verb."""
        with self._place.operation():
            if self._native:
                async with self._place.turns().entrance:
                    return await Driving(self._place).run(partial(verb, self._driven))
            return await self._place.pool.run(partial(verb, self._dict))

    async def _each(self, begin: Callable[[PersiDict[V]], Iterator[T]], most: int) -> AsyncIterator[T]:
        source = await self._do(begin)
        steps = _Steps(source)
        try:
            while batch := await self._do(lambda _: steps.next_batch(most)):
                for each in batch:
                    yield each
        finally:
            if self._native:
                close_iterator(source)
            else:
                # It waits for the thread that is still at work for an iteration that was cancelled.
                self._place.pool.leave(steps.close)


class _Steps(Generic[T]):
    """An iterator whose steps are taken by one thread at a time."""

    def __init__(self, source: Iterator[T]) -> None:
        self._source = source
        self._step = ProcessLock()

    def next_batch(self, most: int) -> list[T]:
        with self._step:
            return batch_of(self._source, most)

    def close(self) -> None:
        with self._step:
            close_iterator(self._source)


def wait_for(function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what a coroutine function returns, from a function that `AsyncDict.run` runs.

    Raises:
        RuntimeError: No event loop runs the caller that way.
    """
    driving = driver()
    if driving is None:
        raise RuntimeError("wait_for() works only within a function that AsyncDict.run() runs")
    return driving.wait(lambda: function(*args, **kwargs))


def _await_one(function: Callable[[Any], Awaitable[Any]], value: Any) -> Any:
    return wait_for(function, value)


def _is_native(store: Store) -> bool:
    """Return whether a store waits for nothing but requests that an event loop can make."""
    if isinstance(store, PrefixStore):
        return _is_native(store.inner)
    if isinstance(store, CachedStore):
        is_local = isinstance(store.cache, (CacheFolder, DirectoryStore, MemoryStore))
        return is_local and _is_native(store.main)
    return isinstance(store, ObjectStore) and store.engine.is_asynchronous


def _off_loop(store: Store) -> Store:
    if isinstance(store, PrefixStore):
        return PrefixStore(OffLoopStore(store.inner), store.prefix)
    return OffLoopStore(store)
