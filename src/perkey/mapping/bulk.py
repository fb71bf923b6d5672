"""Operations on many items at once, in parallel or with shared syncs where the place gains by it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from functools import partial
from importlib import import_module
from itertools import chain
from typing import Any, Self, TypeVar

from perkey.answers import answer
from perkey.arguments import check_flag, check_iterable
from perkey.content import STREAM_ABOVE, Data, DataError
from perkey.errors import (
    BulkOperationError,
    ConflictError,
    MissingExtraError,
    counted,
    shown_key,
)
from perkey.expectations import ABSENT, ANY
from perkey.jokers import DELETE_CURRENT, KEEP_CURRENT
from perkey.keys import NonEmptyPersiDictKey, NonEmptySafeStrTuple
from perkey.mapping.items import Items
from perkey.naming import Name

V = TypeVar("V")


def read_many(
    items: Items[V], names: Iterable[Name]
) -> Generator[tuple[Name, V, Exception | None], None, None]:
    """Yield each name whose item exists, with its value and None, or with the exception of the read.

    An exception may also be a value, so the two are apart. Close it if it is not used to the end.
    """
    found: Any = None
    error: Exception | None = None
    try:
        for name, found in items.store.read_many(names, limit=STREAM_ABOVE):
            value: Any = None
            error = None
            if isinstance(found, KeyError):
                continue  # absent, or removed since it was seen
            if isinstance(found, Exception):
                error = found
            else:
                try:
                    value = items.decode(name, found[0])
                except answer(Exception) as raised:
                    error = raised
            yield name, value, error
    finally:
        # The exception refers to this frame. A frame that refers to it, too, and to the listing, would
        # keep the folder open until garbage is collected.
        names, found, error = (), None, None


def read_all_items(items: Items[V]) -> Iterator[tuple[NonEmptySafeStrTuple, V]]:
    """Yield key and value of each item."""
    with closing(read_many(items, items.names())) as found:
        for name, value, error in found:
            if error is not None:
                raise error
            yield items.key_of(name), value


def get_many(
    items: Items[V], keys: Iterable[NonEmptyPersiDictKey], tally: Tally
) -> dict[NonEmptySafeStrTuple, V]:
    """Return the values of those keys that have an item."""
    values: dict[NonEmptySafeStrTuple, V] = {}
    with tally:
        for name, value, error in read_many(items, map(items.name_of, keys)):
            if error is None:
                values[items.key_of(name)] = value
                tally.done()
            else:
                tally.failed(items.key_of(name), error)
    return values


def set_many(items: Items[V], pairs: Iterator[tuple[Any, V]], tally: Tally) -> None:
    """Store the values of pairs of key and value. Of several for one key the last one stays."""
    held: list[tuple[Any, V]] = []
    with tally:
        while True:
            turn = chain(held, pairs)
            held = []
            _set_until_held(items, turn, held, tally)
            if not held:
                break


def _set_until_held(
    items: Items[V], pairs: Iterator[tuple[Any, V]], held: list[tuple[Any, V]], tally: Tally
) -> None:
    """Store values up to one whose key has another value under way; that pair is put into `held`."""
    pending: dict[Name, V | None] = {}
    immutable = items.policy.immutable
    encoded = _encoded(items, pairs, pending, held, tally)
    for name, result in items.store.write_many(encoded, expect=ABSENT if immutable else ANY):
        value: Any = pending.pop(name)
        if isinstance(result, ConflictError) and immutable:
            tally.attempt(items.key_of(name), partial(items.policy.meet_conflict, items, name, value, result))
        elif isinstance(result, DataError):
            tally.failed(items.key_of(name), _error_of_data(items, result.error, name))
        elif isinstance(result, Exception):
            tally.failed(items.key_of(name), result)
        else:
            tally.done()


def _error_of_data(items: Items[Any], error: Exception, name: Name) -> Exception:
    """Return the exception of a value that is encoded while it is written; a handler's is raised."""
    located = items.located(error, name, "encoding")
    if located is not error or not isinstance(located, Exception):
        raise located
    return located


def _encoded(
    items: Items[V],
    pairs: Iterator[tuple[Any, V]],
    pending: dict[Name, V | None],
    held: list[tuple[Any, V]],
    tally: Tally,
) -> Iterator[tuple[Name, Data]]:
    """Yield name and bytes of each value that is to be stored; act on jokers on the way."""
    for key, value in pairs:
        try:
            name = items.name_of(key)
        except answer(Exception) as error:
            tally.failed(key, error)
            continue
        if value is KEEP_CURRENT:
            continue
        if name in pending:  # it must not be overtaken
            held.append((key, value))
            return
        if value is DELETE_CURRENT:
            tally.attempt(items.key_of(name), partial(items.discard, name))
            continue
        try:
            data = items.encode(name, value)
        except answer(Exception) as error:
            tally.failed(items.key_of(name), error)
            continue
        pending[name] = value if items.policy.immutable else None
        yield name, data


def remove_many(items: Items[Any], names: Iterable[Name], tally: Tally) -> None:
    """Remove items; those that are absent are not an error."""
    with tally:
        for name, error in items.store.remove_many(names):
            if error is None or isinstance(error, KeyError):
                tally.done()
            else:
                tally.failed(items.key_of(name), error)


def clear(items: Items[Any]) -> None:
    """Remove all items, and the claims beside them that no process holds."""
    claims: list[Name] = []
    remove_many(items, items.names_beside(claims), Tally("clear"))
    if claims:
        # A tool of a higher layer knows which claims are free; seldom needed, so loaded here.
        import_module("perkey.tools.once").remove_stale(items.store, claims)


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
        self._bar = progress_bar(what) if check_flag("progress", progress) else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if self._bar is not None:
            self._bar.close()
        if error is None:
            self._raise()
        elif self._failures:
            error.add_note(f"before that: {BulkOperationError(self._failures, self._done)}")

    def done(self) -> None:
        """Take note that something was done for one item."""
        self._done += 1
        self._show()

    def failed(self, key: Any, error: Exception) -> None:
        """Take note why nothing was done for one item."""
        self._failures[_hashable(key)] = error
        self._show()

    def attempt(self, key: NonEmptySafeStrTuple, act: Callable[[], object]) -> None:
        """Do something for one item, and take note."""
        try:
            act()
        except answer(Exception) as error:
            self.failed(key, error)
        else:
            self.done()

    def _show(self) -> None:
        if self._bar is not None:
            self._bar.update()

    def _raise(self) -> None:
        """Raise what failed, if anything did: all together, but a lack of memory by itself."""
        out_of_memory = {
            key: error for key, error in self._failures.items() if isinstance(error, MemoryError)
        }
        if len(self._failures) > 1 and not out_of_memory:
            raise BulkOperationError(self._failures, self._done)
        for key, error in (out_of_memory or self._failures).items():
            error.add_note(
                f"This was for the key {shown_key(key)}; done: {counted(self._done, 'other item')}."
            )
            raise error


def _hashable(key: Any) -> Any:
    """Return a key as it is, or the text of an invalid key without a hash."""
    try:
        hash(key)
    except TypeError:
        return repr(key)
    return key


def progress_bar(what: str, total: int | None = None, unit: str = "item") -> Any:
    """Return a progress bar of tqdm, which is an extra."""
    try:
        from tqdm.auto import tqdm  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtraError("a progress bar", "progress", "tqdm") from error
    return tqdm(desc=what, total=total, unit=unit)
