"""A store inside a store: everything below one prefix."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from perkey.arguments import check_kind
from perkey.content import Content, Data
from perkey.expectations import ANY, Expectation, Expectations, Version
from perkey.naming import Name, Shape, check_name_length
from perkey.stores.base import Glimpse, Leftover, Stat, Store, WrapperStore

R = TypeVar("R")


class PrefixStore(WrapperStore):
    """The items of another store whose names begin with a prefix, under the rest of their names.

    Keeps all promises of the inner store, at its cost; making one touches nothing.

    Args:
        inner: The store; one with a prefix of its own is not nested but looked through.
        prefix: The beginning of the names, may be empty.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: `prefix` is so long that every name would be too long.
    """

    def __init__(self, inner: Store, prefix: Name) -> None:
        check_kind("inner", inner, Store, "a Store")
        check_kind("prefix", prefix, tuple, "a tuple of strings")
        for part in prefix:
            check_kind("each part of prefix", part, str, "a string")
        above: Name = ()
        if isinstance(inner, PrefixStore):
            above = inner.prefix
            inner = inner.inner
        check_name_length(above + prefix)
        super().__init__(inner)
        self.prefix: Name = above + prefix

    def read(
        self, name: Name, *, unless: Version | None = None, limit: int | None = None
    ) -> tuple[Content, Version] | None:
        return self.inner.read(self._full(name), unless=unless, limit=limit)

    def content(self, name: Name, *, limit: int | None = None) -> Content:
        return self.inner.content(self._full(name), limit=limit)

    def stat(self, name: Name) -> Stat:
        return self.inner.stat(self._full(name))

    def mtime(self, name: Name) -> float:
        return self.inner.mtime(self._full(name))

    def write(self, name: Name, data: Data, *, expect: Expectation = ANY) -> Version:
        full = self._full(name)
        check_name_length(full)
        return self.inner.write(full, data, expect=expect)

    def try_write(self, name: Name, data: Data, *, expect: Expectation) -> Version:
        full = self._full(name)
        check_name_length(full)
        return self.inner.try_write(full, data, expect=expect)

    def put(self, name: Name, data: Data, *, expect: Expectation = ANY) -> None:
        full = self._full(name)
        check_name_length(full)
        self.inner.put(full, data, expect=expect)

    def try_put(self, name: Name, data: Data, *, expect: Expectation) -> None:
        full = self._full(name)
        check_name_length(full)
        self.inner.try_put(full, data, expect=expect)

    def remove(self, name: Name, *, expect: Expectation = ANY) -> None:
        self.inner.remove(self._full(name), expect=expect)

    def read_many(
        self, names: Iterable[Name], *, limit: int | None = None
    ) -> Iterator[tuple[Name, tuple[Content, Version] | Exception]]:
        return self._cut(self.inner.read_many(map(self._full, names), limit=limit))

    def write_many(
        self, items: Iterable[tuple[Name, Data]], *, expect: Expectations = ANY
    ) -> Iterator[tuple[Name, Version | Exception]]:
        full = ((self._full(name), data) for name, data in items)
        return self._cut(self.inner.write_many(full, expect=self._of_rest(expect)))

    def remove_many(
        self, names: Iterable[Name], *, expect: Expectations = ANY
    ) -> Iterator[tuple[Name, Exception | None]]:
        return self._cut(self.inner.remove_many(map(self._full, names), expect=self._of_rest(expect)))

    def move(self, name: Name, target: Name, *, expect: Expectation = ANY) -> None:
        self.inner.move(self._full(name), self._full(target), expect=expect)

    def scan(self, prefix: Name = ()) -> Iterator[Name]:
        cut = len(self.prefix)
        return (name[cut:] for name in self.inner.scan(self._full(prefix)))

    def count(self, shape: Shape, prefix: Name = ()) -> int:
        return self.inner.count(shape, self._full(prefix))

    def scan_stats(self, prefix: Name = ()) -> Iterator[tuple[Name, Stat]]:
        return self._cut(self.inner.scan_stats(self._full(prefix)))

    def scan_mtimes(self, prefix: Name = ()) -> Iterator[tuple[Name, float]]:
        return self._cut(self.inner.scan_mtimes(self._full(prefix)))

    def scan_sizes(self, prefix: Name = ()) -> Iterator[tuple[Name, Stat]]:
        return self._cut(self.inner.scan_sizes(self._full(prefix)))

    def glimpse(self, shape: Shape, most: int, prefix: Name = ()) -> Glimpse:
        cut = len(self.prefix)
        found = self.inner.glimpse(shape, most, self._full(prefix))
        return found._replace(items=[(name[cut:], stat) for name, stat in found.items])

    def size_of(self, name: Name) -> int:
        return self.inner.size_of(self._full(name))

    def path_of(self, name: Name = ()) -> str | None:
        return self.inner.path_of(self._full(name))

    def leftovers(self, prefix: Name = ()) -> Iterator[Leftover]:
        return self.inner.leftovers(self._full(prefix))

    def folders(self, prefix: Name = ()) -> Iterator[str]:
        return self.inner.folders(self._full(prefix))

    def sweep(self, prefix: Name = (), *, min_age: float | None = None) -> int:
        return self.inner.sweep(self._full(prefix), min_age=min_age)

    def exists(self, name: Name) -> bool:
        return self.inner.exists(self._full(name))

    def describe(self, name: Name = ()) -> str:
        return self.inner.describe(self._full(name))

    def _cut(self, results: Iterator[tuple[Name, R]]) -> Iterator[tuple[Name, R]]:
        cut = len(self.prefix)
        return ((name[cut:], result) for name, result in results)

    def _of_rest(self, expect: Expectations) -> Expectations:
        """Return what the inner store is to expect of full names."""
        if not callable(expect):
            return expect
        cut = len(self.prefix)
        return lambda name: expect(name[cut:])

    def _full(self, name: Name) -> Name:
        return self.prefix + name
