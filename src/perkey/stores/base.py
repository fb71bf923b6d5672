"""The contract of a store: five primitives over bytes, and the operations derived from them.

A store keeps items under names (tuples of file-name-safe strings, made by `perkey.naming`) and knows
nothing of values. Every primitive is atomic and linearisable per name, across all processes that share
the place; nothing is promised across names. `perkey.testing.StoreContract` is this page as tests.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Final, Literal, NamedTuple, TypeAlias, TypeVar

from perkey.answers import answer
from perkey.arguments import check_kind
from perkey.content import STREAM_ABOVE, Content, Data, as_data, close
from perkey.errors import ConflictError
from perkey.expectations import (
    ABSENT,
    ANY,
    ConditionKind,
    Expectation,
    Expectations,
    Verb,
    Version,
    expectation_of,
    refuse,
)
from perkey.naming import Name, Shape

A = TypeVar("A")
R = TypeVar("R")

_LARGE: Final = 12
"""As how many items one counts that is streamed, so that of 48 threads 8 write such at a time."""


class UnsettledConflict(ConflictError):  # noqa: N818 - perhaps it is not an error
    """A conflict that may be the write's own success, met when the request was repeated on its way.

    Raised by `Store.try_write` only. The version that the caller reads next shows which of the two it is.

    Args:
        name: The item.
        expected: What was expected.
        judge: Returns the version of the write if it took place, given the version that is there now.
        look: Does the same by a request of its own.
    """

    def __init__(
        self,
        name: Name,
        expected: Expectation,
        judge: Callable[[Version | None], Version | None],
        look: Callable[[], Version | None],
    ) -> None:
        super().__init__(name, expected)
        self.settled = judge
        self.settle = look


def settled(conflict: ConflictError, found: Version | None) -> Version | None:
    """Return the version that a write left after all, None if the conflict is a true one.

    Args:
        conflict: What `Store.try_write` raised.
        found: The version that was read since; None if the item was absent.

    Raises:
        OutcomeUnknownError: The version does not show whether the write took place.
    """
    return conflict.settled(found) if isinstance(conflict, UnsettledConflict) else None


def settled_at_once(conflict: ConflictError) -> Version | None:
    """Return the version that a write left after all, for a caller that does not read after the conflict.

    None if the conflict is a true one. Cost: a request if the conflict is unsettled.
    """
    return conflict.settle() if isinstance(conflict, UnsettledConflict) else None


class Stat(NamedTuple):
    """What is known of an item without reading it.

    Attributes:
        version: The version of its content.
        mtime: When it was last written, in seconds since the epoch.
        size: Length of its content in bytes.
    """

    version: Version
    mtime: float
    size: int


class Glimpse(NamedTuple):
    """The beginning of a listing.

    Attributes:
        items: Name and `Stat` of the first items; versions may be empty, as in `Store.scan_sizes`.
        found: How many items were met, of which there may be more than `items` has.
        complete: Whether the listing ended there, so that `found` is the number of all items.
    """

    items: list[tuple[Name, Stat]]
    found: int
    complete: bool


LeftoverKind: TypeAlias = Literal["leftover", "empty_folder", "not_a_file"]


class Leftover(NamedTuple):
    """Something that lies in a place, and is not an item.

    Attributes:
        kind: ``"leftover"``: an unfinished write. ``"empty_folder"``. ``"not_a_file"``: a symbolic link, a
            socket, or another thing that is not a regular file.
        place: Its path or address.
        what: A description in words.
        age: Seconds since it was last written to, by this machine's clock.
        stale: Whether it is so old that no living writer can be at work on it.
    """

    kind: LeftoverKind
    place: str
    what: str
    age: float
    stale: bool = True


GLIMPSE: Final = 1000
"""At how many names, or entries of folders, `Store.glimpse` looks: one page of a bucket's listing."""


def _weight(item: tuple[Name, Data]) -> int:
    """Return as how many items one counts that waits to be written: those that are streamed are large."""
    data = item[1]
    return 1 + (len(data) >> 20) if isinstance(data, bytes) else _LARGE


def _forget(result: object) -> None:
    """Ignore a result that is not needed."""
    del result


class Store(ABC):
    """Where bytes live.

    Handles can be pickled, survive a fork and are safe to share between threads. Making one touches
    nothing but, in some stores, the folder that is to hold the items.
    """

    @abstractmethod
    def read(
        self, name: Name, *, unless: Version | None = None, limit: int | None = None
    ) -> tuple[Content, Version] | None:
        """Return the content of an item and the version of exactly that content.

        Args:
            name: The item.
            unless: A known version: if the item is still at it, None is returned and nothing transferred.
            limit: Content of more bytes than this may come as an open binary file, which the caller
                closes; None means bytes in any case.

        Raises:
            KeyError: The item does not exist.
        """

    @abstractmethod
    def stat(self, name: Name) -> Stat:
        """Return version, time and size of an item without reading it; raises KeyError."""

    @abstractmethod
    def write(self, name: Name, data: Data, *, expect: Expectation = ANY) -> Version:
        """Store `data` under `name`, all or nothing, and return the new version.

        Readers see the old or the new content, never a part. Of several writers that expect the same
        version, or ABSENT, exactly one succeeds.

        Args:
            name: The item.
            data: Its new content.
            expect: What the item must be at for the write to happen.

        Raises:
            ConflictError: The item was not as expected; nothing was changed.
            UnsupportedConditionError: The place cannot support such an expectation; nothing was changed.
        """

    def try_write(self, name: Name, data: Data, *, expect: Expectation) -> Version:
        """Store `data` under `name`, as `write`, for a caller that reads the item after a conflict.

        The caller passes the conflict and what it has read to `settled`. Where requests may be repeated on
        their way, this saves the request by which `write` would check whether a conflict is its own
        success.

        Raises:
            ConflictError: The item was not as expected; an `UnsettledConflict` may also be a success.
            UnsupportedConditionError: The place cannot support such an expectation; nothing was changed.
        """
        return self.write(name, data, expect=expect)

    @abstractmethod
    def remove(self, name: Name, *, expect: Expectation = ANY) -> None:
        """Remove an item.

        Args:
            name: The item.
            expect: ANY, or the version that the item must be at.

        Raises:
            KeyError: The item does not exist, and ANY was expected.
            ConflictError: The item was at another version, or absent; nothing was changed.
            UnsupportedConditionError: The place cannot support such an expectation; nothing was changed.
        """

    @abstractmethod
    def scan(self, prefix: Name = ()) -> Iterator[Name]:
        """Yield the name of each item below `prefix`, in no particular order and without reading any.

        Items touched meanwhile may or may not appear, all others appear exactly once.
        """

    def count(self, shape: Shape, prefix: Name = ()) -> int:
        """Count the items below `prefix` whose names, without it, are of a shape; as `scan`."""
        cut = len(prefix)
        return sum(shape.fits(name[cut:]) for name in self.scan(prefix))

    @abstractmethod
    def describe(self, name: Name = ()) -> str:
        """Return the path or address of an item, or of the whole store, for messages; without secrets."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.describe()})"

    def supports(self, verb: Verb, kind: ConditionKind) -> bool:
        """Return whether the place supports a kind of condition; the store refuses all others.

        Args:
            verb: ``"write"`` or ``"remove"``.
            kind: ``"absent"`` for ABSENT, ``"version"`` for a version.
        """
        del verb, kind
        return True

    def honours(self, verb: Verb, kind: ConditionKind) -> bool:
        """Return what `supports` returns; the former name, deprecated."""
        warnings.warn("Store.honours() is deprecated; call supports()", DeprecationWarning, stacklevel=2)
        return self.supports(verb, kind)

    def __init_subclass__(cls, **about: Any) -> None:
        super().__init_subclass__(**about)
        if "honours" in vars(cls) and "supports" not in vars(cls):
            message = f"{cls.__name__}.honours() is deprecated; name it supports()"
            warnings.warn(message, DeprecationWarning, stacklevel=2)
            cls.supports = cls.honours  # type: ignore[method-assign] # the same method under its new name

    def content(self, name: Name, *, limit: int | None = None) -> Content:
        """Return the content of an item, as `read`, without its version; raises KeyError."""
        found = self.read(name, limit=limit)
        if found is None:
            raise RuntimeError(f"{self!r} returned None although no version was given")
        return found[0]

    def put(self, name: Name, data: Data, *, expect: Expectation = ANY) -> None:
        """Store `data` under `name`, as `write`, without returning the version."""
        self.write(name, data, expect=expect)

    def try_put(self, name: Name, data: Data, *, expect: Expectation) -> None:
        """Store `data` under `name`, as `try_write`, without returning the version."""
        self.put(name, data, expect=expect)

    def exists(self, name: Name) -> bool:
        """Return whether an item exists; as cheap as the place allows."""
        try:
            self.stat(name)
        except answer(KeyError):
            return False
        return True

    def sweep(self, prefix: Name = (), *, min_age: float | None = None) -> int:
        """Remove what writers that died left below `prefix`, and return how many pieces there were.

        Only leftovers that writers of this kind of store make are removed, never an item.

        Args:
            prefix: Where to look.
            min_age: Seconds for which a leftover must not have been written to; None means a time that no
                living writer takes.
        """
        del prefix, min_age
        return 0

    def mtime(self, name: Name) -> float:
        """Return when an item was last written, as `stat`, without its version."""
        return self.stat(name).mtime

    read_only: bool = False
    """Whether every write is refused."""

    workers: int = 1
    """How many operations at a time are worthwhile: more than one where each waits for a network."""

    def read_many(
        self, names: Iterable[Name], *, limit: int | None = None
    ) -> Iterator[tuple[Name, tuple[Content, Version] | Exception]]:
        """Yield each name with what `read` returns or raises for it, in any order.

        Memory is used for a few items at a time, however many there are.

        Cost: as `read`, `workers` at a time.
        """

        def read(name: Name) -> tuple[Content, Version]:
            found = self.read(name, limit=limit)
            if found is None:
                raise RuntimeError(f"{self!r} returned None although no version was given")
            return found

        return self._each(read, names, discard=lambda found: close(found[0]))

    def write_many(
        self, items: Iterable[tuple[Name, Data]], *, expect: Expectations = ANY
    ) -> Iterator[tuple[Name, Version | Exception]]:
        """Write many items, and yield each name with what `try_write` returns or raises for it, in any order.

        Each is atomic as a single write, and as durable when its name is yielded. Iterate to the end: what
        was not yielded may not have been written.

        Args:
            items: Names and contents.
            expect: What each item must be at: the same for all, or a function that returns it for a name.
                The function may be called from any thread, and again; what it raises is yielded.
        """

        def write(item: tuple[Name, Data]) -> Version:
            return self.try_write(*item, expect=expect(item[0]) if callable(expect) else expect)

        return ((item[0], result) for item, result in self._each(write, items, weigh=_weight))

    def remove_many(
        self, names: Iterable[Name], *, expect: Expectations = ANY
    ) -> Iterator[tuple[Name, Exception | None]]:
        """Remove many items, and yield each name with None or with what `remove` raises, in any order.

        Args:
            names: The items.
            expect: As for `write_many`: ANY, a version, or a function that returns either for a name.
        """
        if expect is ANY:
            return self._each(self.remove, names)
        return self._each(lambda name: self.remove(name, expect=expectation_of(expect, name)), names)

    def move(self, name: Name, target: Name, *, expect: Expectation = ANY) -> None:
        """Give an item another name, which must be free; the content is never lost.

        Both names may be those of scratch space, which no key has. The item may have both for a moment.

        Args:
            name: The item.
            target: Its new name.
            expect: ANY, or the version that the item must be at.

        Raises:
            KeyError: The item does not exist, and ANY was expected.
            ConflictError: The item was at another version, or the new name is taken; nothing was changed.
            UnsupportedConditionError: The place does not support such an expectation; nothing was changed.
        """
        if not self.supports("remove", "version"):
            raise refuse(self.describe(name), "remove", "version", "the place does not compare on removal")
        try:
            found = self.read(name, limit=STREAM_ABOVE)
        except answer(KeyError):
            if expect is ANY:
                raise
            raise ConflictError(name, expect, ABSENT) from None
        if found is None:
            raise RuntimeError(f"{self!r} returned no content although no version was given")
        content, version = found
        try:
            if expect not in {ANY, version}:
                raise ConflictError(name, expect, version)
            copy = self.write(target, as_data(content), expect=ABSENT)
        finally:
            close(content)
        try:
            self.remove(name, expect=version)
        except answer(ConflictError):
            self.remove(target, expect=copy)
            raise

    def _each(
        self,
        function: Callable[[A], R],
        arguments: Iterable[A],
        discard: Callable[[R], object] = _forget,
        weigh: Callable[[A], int] = lambda _: 1,
    ) -> Iterator[tuple[A, R | Exception]]:
        """Yield each argument with the result of a function, or what it raised."""
        if self.workers > 1:
            from perkey.parallel import map_unordered

            yield from map_unordered(function, arguments, workers=self.workers, discard=discard, weigh=weigh)
            return
        for argument in arguments:
            try:
                result: R | Exception = function(argument)
            except answer(Exception) as error:
                result = error
            yield argument, result

    def scan_stats(self, prefix: Name = ()) -> Iterator[tuple[Name, Stat]]:
        """Yield name and `Stat` of each item below `prefix`; as `scan`, and one `stat` an item."""
        for name in self.scan(prefix):
            try:
                found = self.stat(name)
            except answer(KeyError):
                continue  # removed since it was seen
            yield name, found

    def scan_mtimes(self, prefix: Name = ()) -> Iterator[tuple[Name, float]]:
        """Yield name and time of each item below `prefix`, as `scan_stats` without versions."""
        return ((name, found.mtime) for name, found in self.scan_stats(prefix))

    def scan_sizes(self, prefix: Name = ()) -> Iterator[tuple[Name, Stat]]:
        """Yield name and `Stat` of each item as `scan_stats`, at no more than the cost of a listing.

        Versions are empty where they would cost a request, or where the content would have to be read.
        """
        return self.scan_stats(prefix)

    def glimpse(self, shape: Shape, most: int, prefix: Name = ()) -> Glimpse:
        """Return the first items below `prefix`, in the order of a listing; nothing is changed or swept.

        Args:
            shape: Only items whose names, without the prefix, are of it.
            most: How many items are returned.
            prefix: Where to look.

        Cost: a page of a listing, of 1,000 names, and `most` times `stat` where a listing has names only.
        """
        cut = len(prefix)
        names = list(islice(self.scan(prefix), GLIMPSE))
        fitting = [name for name in names if shape.fits(name[cut:])]
        items = []
        for name in fitting[:most]:
            try:
                items.append((name, self.stat(name)))
            except answer(KeyError):
                continue  # removed since it was seen
        return Glimpse(items, len(fitting), len(names) < GLIMPSE)

    def size_of(self, name: Name) -> int:
        """Return the length of an item's content in bytes, as `stat`, where the version is not needed."""
        return self.stat(name).size

    def path_of(self, name: Name = ()) -> str | None:
        """Return the path of the file that an item is, or of the folder of all; None in other places."""
        del name
        return None

    def now(self) -> float | None:
        """Return the time by the clock that gives items their times, if the place has a clock of its own.

        None where writers set the times by their own clocks. Cost: a few requests in a bucket.
        """
        return None

    def leftovers(self, prefix: Name = ()) -> Iterator[Leftover]:
        """Yield what lies below `prefix` that is not an item; nothing is changed.

        Cost: a listing.
        """
        del prefix
        return iter(())

    def folders(self, prefix: Name = ()) -> Iterator[str]:
        """Yield once each part that follows `prefix` in the name of an item lying deeper."""
        seen = set()
        depth = len(prefix)
        for name in self.scan(prefix):
            if len(name) > depth + 1 and name[depth] not in seen:
                seen.add(name[depth])
                yield name[depth]


class WrapperStore(Store):
    """Another store, to which every verb is forwarded: the base of all stores that wrap one.

    A subclass overrides what it changes. It inherits no derived verb of `Store`, which would not reach the
    inner store's own way of doing it: its batches, its count, its times.

    Args:
        inner: The store.
    """

    def __init__(self, inner: Store) -> None:
        check_kind("inner", inner, Store, "a Store")
        self.inner = inner
        self.workers = inner.workers
        self.read_only = inner.read_only

    def read(
        self, name: Name, *, unless: Version | None = None, limit: int | None = None
    ) -> tuple[Content, Version] | None:
        return self.inner.read(name, unless=unless, limit=limit)

    def content(self, name: Name, *, limit: int | None = None) -> Content:
        return self.inner.content(name, limit=limit)

    def stat(self, name: Name) -> Stat:
        return self.inner.stat(name)

    def mtime(self, name: Name) -> float:
        return self.inner.mtime(name)

    def exists(self, name: Name) -> bool:
        return self.inner.exists(name)

    def write(self, name: Name, data: Data, *, expect: Expectation = ANY) -> Version:
        return self.inner.write(name, data, expect=expect)

    def put(self, name: Name, data: Data, *, expect: Expectation = ANY) -> None:
        self.inner.put(name, data, expect=expect)

    def try_write(self, name: Name, data: Data, *, expect: Expectation) -> Version:
        return self.inner.try_write(name, data, expect=expect)

    def try_put(self, name: Name, data: Data, *, expect: Expectation) -> None:
        self.inner.try_put(name, data, expect=expect)

    def remove(self, name: Name, *, expect: Expectation = ANY) -> None:
        self.inner.remove(name, expect=expect)

    def read_many(
        self, names: Iterable[Name], *, limit: int | None = None
    ) -> Iterator[tuple[Name, tuple[Content, Version] | Exception]]:
        return self.inner.read_many(names, limit=limit)

    def write_many(
        self, items: Iterable[tuple[Name, Data]], *, expect: Expectations = ANY
    ) -> Iterator[tuple[Name, Version | Exception]]:
        return self.inner.write_many(items, expect=expect)

    def remove_many(
        self, names: Iterable[Name], *, expect: Expectations = ANY
    ) -> Iterator[tuple[Name, Exception | None]]:
        return self.inner.remove_many(names, expect=expect)

    def move(self, name: Name, target: Name, *, expect: Expectation = ANY) -> None:
        self.inner.move(name, target, expect=expect)

    def scan(self, prefix: Name = ()) -> Iterator[Name]:
        return self.inner.scan(prefix)

    def scan_stats(self, prefix: Name = ()) -> Iterator[tuple[Name, Stat]]:
        return self.inner.scan_stats(prefix)

    def scan_mtimes(self, prefix: Name = ()) -> Iterator[tuple[Name, float]]:
        return self.inner.scan_mtimes(prefix)

    def scan_sizes(self, prefix: Name = ()) -> Iterator[tuple[Name, Stat]]:
        return self.inner.scan_sizes(prefix)

    def glimpse(self, shape: Shape, most: int, prefix: Name = ()) -> Glimpse:
        return self.inner.glimpse(shape, most, prefix)

    def size_of(self, name: Name) -> int:
        return self.inner.size_of(name)

    def path_of(self, name: Name = ()) -> str | None:
        return self.inner.path_of(name)

    def now(self) -> float | None:
        return self.inner.now()

    def leftovers(self, prefix: Name = ()) -> Iterator[Leftover]:
        return self.inner.leftovers(prefix)

    def count(self, shape: Shape, prefix: Name = ()) -> int:
        return self.inner.count(shape, prefix)

    def folders(self, prefix: Name = ()) -> Iterator[str]:
        return self.inner.folders(prefix)

    def sweep(self, prefix: Name = (), *, min_age: float | None = None) -> int:
        return self.inner.sweep(prefix, min_age=min_age)

    def supports(self, verb: Verb, kind: ConditionKind) -> bool:
        return self.inner.supports(verb, kind)

    def describe(self, name: Name = ()) -> str:
        return self.inner.describe(name)
