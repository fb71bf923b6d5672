"""Operations on many items at once, in parallel or with shared syncs where the place gains by it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import Any, Self, TypeVar

from perkey.answers import answer
from perkey.arguments import check_flag, check_iterable
from perkey.content import STREAM_ABOVE, Data, DataError
from perkey.errors import (
    BulkOperationError,
    ConflictError,
    MissingExtraError,
    shown_key,
)
from perkey.expectations import ABSENT, ANY
from perkey.jokers import DELETE_CURRENT, KEEP_CURRENT
from perkey.keys import NonEmptyPersiDictKey, NonEmptySafeStrTuple
from perkey.mapping.items import ItemAccess
from perkey.naming import Name

V = TypeVar("V")
R = TypeVar("R")


class BulkOperations(ItemAccess[V]):
    """The part of a dictionary that does many things at once."""

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
        found: dict[NonEmptySafeStrTuple, V] = {}
        check_iterable("keys", keys, "keys")
        tally = Tally("get_many", progress)
        names = (self._naming.name_of(key) for key in keys)
        with tally:
            for name, value, error in self._read_many(names):
                key = self._key_of(name)
                tally.count(key, error)
                if error is None:
                    found[key] = value
        return found

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
        held: list[tuple[Any, V]] = []
        with Tally("set_many", progress) as tally:
            while True:
                turn = chain(held, source)
                held = []
                self._set_until_held(turn, held, tally)
                if not held:
                    break

    def _set_until_held(
        self, pairs: Iterator[tuple[Any, V]], held: list[tuple[Any, V]], tally: Tally
    ) -> None:
        """Store values up to one whose key has another value under way; that pair is put into `held`."""
        pending: dict[Name, V | None] = {}
        expect = ABSENT if self._immutable else ANY
        encoded = self._encoded(pairs, pending, held, tally)
        for name, result in self._store.write_many(encoded, expect=expect):
            value: Any = pending.pop(name)
            if isinstance(result, ConflictError) and self._immutable:
                meet = partial(self._meet_own_or_existing, name, value, result)
                tally.attempt(self._key_of(name), meet)
            elif isinstance(result, DataError):
                tally.count(self._key_of(name), self._error_of_data(result.error, name))
            else:
                tally.count(self._key_of(name), result if isinstance(result, Exception) else None)

    def _error_of_data(self, error: Exception, name: Name) -> Exception:
        """Return the exception of a value that is encoded while it is written; a handler's is raised."""
        located = self._located(error, name, "encoding")
        if located is not error or not isinstance(located, Exception):
            raise located
        return located

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
        self._check_deletable()
        self._remove_many((self._naming.name_of(key) for key in keys), Tally("delete_many", progress))

    def _remove_many(self, names: Iterable[Name], tally: Tally) -> None:
        with tally:
            for name, error in self._store.remove_many(names):
                tally.count(self._key_of(name), None if isinstance(error, KeyError) else error)

    def _read_many(self, names: Iterable[Name]) -> Generator[tuple[Name, V, Exception | None], None, None]:
        """Yield each name whose item is there with its value and None, or with what reading it raises.

        An exception may also be a value, so the two are apart. Close it if it is not used to the end.
        """
        found: Any = None
        error: Exception | None = None
        try:
            for name, found in self._store.read_many(names, limit=STREAM_ABOVE):
                value: Any = None
                error = None
                if isinstance(found, KeyError):
                    continue  # absent, or removed since it was seen
                if isinstance(found, Exception):
                    error = found
                else:
                    try:
                        value = self._decode(name, found[0])
                    except answer(Exception) as raised:
                        error = raised
                yield name, value, error
        finally:
            # The exception refers to this frame. A frame that refers to it, too, and to the listing, would
            # keep the folder open until garbage is collected.
            names, found, error = (), None, None

    def _encoded(
        self,
        pairs: Iterator[tuple[Any, V]],
        pending: dict[Name, V | None],
        held: list[tuple[Any, V]],
        tally: Tally,
    ) -> Iterator[tuple[Name, Data]]:
        """Yield name and bytes of each value that is to be stored; act on jokers on the way."""
        for key, value in pairs:
            try:
                name = self._naming.name_of(key)
            except answer(Exception) as error:
                tally.count(key, error)
                continue
            if value is KEEP_CURRENT:
                continue
            if name in pending:  # it must not be overtaken
                held.append((key, value))
                return
            if value is DELETE_CURRENT:
                tally.attempt(self._key_of(name), lambda: self._discard(name))  # noqa: B023 - called at once
                continue
            try:
                data = self._encode(name, value)
            except answer(Exception) as error:
                tally.count(self._key_of(name), error)
                continue
            pending[name] = value if self._immutable else None
            yield name, data


def pairs_of(argument: str, items: Any) -> Iterator[tuple[Any, Any]]:
    """Return key and value of each item of what `dict.update` takes.

    Args:
        argument: The name of the argument that `items` are, for errors.
        items: A mapping, or pairs.

    Raises:
        TypeError: `items` are neither, at once; something among them is not a pair, when it is drawn.
    """
    if isinstance(items, Mapping):
        return iter(items.items())
    if hasattr(items, "keys"):
        return ((key, items[key]) for key in items.keys())  # noqa: SIM118 - as dict does
    check_iterable(argument, items, "pairs of key and value")
    return _checked_pairs(argument, items)


def _checked_pairs(argument: str, pairs: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    for pair in pairs:
        try:
            key, value = pair
        except answer(TypeError, ValueError) as error:
            if error.__traceback__ is None or error.__traceback__.tb_next is not None:
                raise  # as it is: it is of the pair's own code
            kind = TypeError if isinstance(error, TypeError) else ValueError  # as dict.update
            raise kind(
                f"{argument} must be pairs of key and value; one is a {type(pair).__name__}"
            ) from error
        yield key, value


class Tally:
    """Counts what was done, collects what was not, and raises at the end of its ``with`` block."""

    def __init__(self, what: str, progress: bool = False) -> None:
        self._failures: dict[Any, Exception] = {}
        self._done = 0
        self._bar = _bar(what) if check_flag("progress", progress) else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if self._bar is not None:
            self._bar.close()
        if error is None:
            self._raise()
        elif self._failures:
            error.add_note(f"before that: {BulkOperationError(self._failures, self._done)}")

    def count(self, key: Any, error: Exception | None) -> None:
        """Take note of one item: that it was done, or why not."""
        if error is None:
            self._done += 1
        else:
            self._failures[_hashable(key)] = error
        if self._bar is not None:
            self._bar.update()

    def attempt(self, key: NonEmptySafeStrTuple, act: Callable[[], object]) -> None:
        """Do something for one item, and take note."""
        try:
            act()
        except answer(Exception) as error:
            self.count(key, error)
        else:
            self.count(key, None)

    def _raise(self) -> None:
        """Raise what failed, if anything did: all together, but a lack of memory by itself."""
        out_of_memory = {
            key: error for key, error in self._failures.items() if isinstance(error, MemoryError)
        }
        if len(self._failures) > 1 and not out_of_memory:
            raise BulkOperationError(self._failures, self._done)
        for key, error in (out_of_memory or self._failures).items():
            error.add_note(f"This was for the key {shown_key(key)}; {self._done} other items were done.")
            raise error


def _hashable(key: Any) -> Any:
    """Return a key as it is, or the text of what is none, if that has no hash."""
    try:
        hash(key)
    except TypeError:
        return repr(key)
    return key


def _bar(what: str) -> Any:
    try:
        from tqdm.auto import tqdm  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtraError("a progress bar", "progress", "tqdm") from error
    return tqdm(desc=what, unit="item")
