"""What leaves the event loop for a thread: calls of a store that blocks, and the coding of large values."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from itertools import chain, islice
from typing import Any, BinaryIO, Final, TypeVar

from perkey.content import Content, Data, Streamable
from perkey.expectations import ANY, ConditionKind, Expectation, Expectations, Verb, Version
from perkey.formats import Format
from perkey.naming import Name, Shape
from perkey.stores import Glimpse, Leftover, Stat, WrapperStore
from perkey.waiting import blocking

T = TypeVar("T")

SMALL_BYTES: Final = 1 << 15
"""Content of at most so many bytes is encoded and decoded in the loop: to begin in a thread takes longer."""

_SMALL_PARTS: Final = 100
NAMES_AT_ONCE: Final = 1000
"""How many names, keys or results come from a thread at a time."""
VALUES_AT_ONCE: Final = 16
"""How many values do; they may be large."""

_BATCH_SECONDS: Final = 0.005


class OffLoopFormat(Format):
    """Another format, whose work on large values is done in a thread if an event loop drives the code.

    Args:
        inner: The format.
    """

    def __init__(self, inner: Format) -> None:
        self._inner = inner
        self.value_class = inner.value_class

    def encode(self, value: Any) -> Data:
        encode = partial(self._inner.encode, value)
        data = encode() if is_small(value) else blocking(encode)
        return _OffLoopData(data) if isinstance(data, Streamable) else data

    def decode(self, content: Content) -> Any:
        decode = partial(self._inner.decode, content)
        return decode() if isinstance(content, bytes) and len(content) <= SMALL_BYTES else blocking(decode)


class _OffLoopData:
    """Data that writes itself in a thread."""

    def __init__(self, data: Streamable) -> None:
        self._data = data

    def write_to(self, file: BinaryIO) -> None:
        """Write all of it."""
        blocking(partial(self._data.write_to, file))


def is_small(value: Any) -> bool:
    """Return whether a value is surely encoded in no time: few parts, all of them plain and short."""
    todo = [value]
    left = _SMALL_PARTS
    while todo:
        part = todo.pop()
        left -= 1
        kind = type(part)
        if kind in _PLAIN:
            continue
        if kind in _TEXTS:
            if len(part) > SMALL_BYTES // 4:
                return False
        elif kind in _CONTAINERS:
            if len(part) > left:
                return False
            todo.extend(chain(part, part.values()) if kind is dict else part)
        else:
            return False
    return True


_PLAIN: Final = frozenset((int, float, complex, bool, type(None)))
_TEXTS: Final = frozenset((str, bytes))
_CONTAINERS: Final = frozenset((list, tuple, dict, set, frozenset))


def batch_of(source: Iterator[T], most: int) -> list[T]:
    """Return the items that an iterator yields within a few milliseconds; an empty list at its end."""
    batch: list[T] = []
    end = time.perf_counter() + _BATCH_SECONDS
    for each in islice(source, most):
        batch.append(each)
        if time.perf_counter() > end:
            break
    return batch


def close_iterator(source: Iterator[Any]) -> None:
    """Close a generator; other iterators need no closing."""
    if isinstance(source, Generator):
        source.close()


def _from_thread(make: Callable[[], Iterator[T]], most: int = NAMES_AT_ONCE) -> Iterator[T]:
    """Yield what an iterator yields that blocks its thread."""
    source = blocking(make)
    try:
        while batch := blocking(lambda: batch_of(source, most)):
            yield from batch
    finally:
        close_iterator(source)


class OffLoopStore(WrapperStore):
    """Another store, whose verbs are called in a thread if an event loop drives the code."""

    def read(
        self, name: Name, *, unless: Version | None = None, limit: int | None = None
    ) -> tuple[Content, Version] | None:
        return blocking(lambda: self.inner.read(name, unless=unless, limit=limit))

    def content(self, name: Name, *, limit: int | None = None) -> Content:
        return blocking(lambda: self.inner.content(name, limit=limit))

    def stat(self, name: Name) -> Stat:
        return blocking(lambda: self.inner.stat(name))

    def mtime(self, name: Name) -> float:
        return blocking(lambda: self.inner.mtime(name))

    def exists(self, name: Name) -> bool:
        return blocking(lambda: self.inner.exists(name))

    def write(self, name: Name, data: Data, *, expect: Expectation = ANY) -> Version:
        return blocking(lambda: self.inner.write(name, data, expect=expect))

    def put(self, name: Name, data: Data, *, expect: Expectation = ANY) -> None:
        blocking(lambda: self.inner.put(name, data, expect=expect))

    def try_write(self, name: Name, data: Data, *, expect: Expectation) -> Version:
        return blocking(lambda: self.inner.try_write(name, data, expect=expect))

    def try_put(self, name: Name, data: Data, *, expect: Expectation) -> None:
        blocking(lambda: self.inner.try_put(name, data, expect=expect))

    def remove(self, name: Name, *, expect: Expectation = ANY) -> None:
        blocking(lambda: self.inner.remove(name, expect=expect))

    def read_many(
        self, names: Iterable[Name], *, limit: int | None = None
    ) -> Iterator[tuple[Name, tuple[Content, Version] | Exception]]:
        return _from_thread(lambda: self.inner.read_many(names, limit=limit), VALUES_AT_ONCE)

    def write_many(
        self, items: Iterable[tuple[Name, Data]], *, expect: Expectations = ANY
    ) -> Iterator[tuple[Name, Version | Exception]]:
        return _from_thread(lambda: self.inner.write_many(items, expect=expect))

    def remove_many(
        self, names: Iterable[Name], *, expect: Expectations = ANY
    ) -> Iterator[tuple[Name, Exception | None]]:
        return _from_thread(lambda: self.inner.remove_many(names, expect=expect))

    def move(self, name: Name, target: Name, *, expect: Expectation = ANY) -> None:
        blocking(lambda: self.inner.move(name, target, expect=expect))

    def scan(self, prefix: Name = ()) -> Iterator[Name]:
        return _from_thread(lambda: self.inner.scan(prefix))

    def scan_stats(self, prefix: Name = ()) -> Iterator[tuple[Name, Stat]]:
        return _from_thread(lambda: self.inner.scan_stats(prefix))

    def scan_mtimes(self, prefix: Name = ()) -> Iterator[tuple[Name, float]]:
        return _from_thread(lambda: self.inner.scan_mtimes(prefix))

    def scan_sizes(self, prefix: Name = ()) -> Iterator[tuple[Name, Stat]]:
        return _from_thread(lambda: self.inner.scan_sizes(prefix))

    def glimpse(self, shape: Shape, most: int, prefix: Name = ()) -> Glimpse:
        return blocking(lambda: self.inner.glimpse(shape, most, prefix))

    def size_of(self, name: Name) -> int:
        return blocking(lambda: self.inner.size_of(name))

    def path_of(self, name: Name = ()) -> str | None:
        return blocking(lambda: self.inner.path_of(name))

    def now(self) -> float | None:
        return blocking(self.inner.now)

    def leftovers(self, prefix: Name = ()) -> Iterator[Leftover]:
        return _from_thread(lambda: self.inner.leftovers(prefix))

    def folders(self, prefix: Name = ()) -> Iterator[str]:
        return _from_thread(lambda: self.inner.folders(prefix))

    def count(self, shape: Shape, prefix: Name = ()) -> int:
        return blocking(lambda: self.inner.count(shape, prefix))

    def supports(self, verb: Verb, kind: ConditionKind) -> bool:
        return blocking(lambda: self.inner.supports(verb, kind))

    def sweep(self, prefix: Name = (), *, min_age: float | None = None) -> int:
        return blocking(lambda: self.inner.sweep(prefix, min_age=min_age))
