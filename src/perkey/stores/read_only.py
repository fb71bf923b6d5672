"""A store that is only read."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import NoReturn

from perkey.arguments import check_kind
from perkey.content import Data
from perkey.errors import ReadOnlyError
from perkey.expectations import ANY, ConditionKind, Expectation, Expectations, Verb, Version
from perkey.naming import Name
from perkey.stores.base import Store, WrapperStore
from perkey.stores.folder import DirectoryStore
from perkey.stores.prefix import PrefixStore


class ReadOnlyStore(WrapperStore):
    """Another store, of which every write is refused; also after pickling.

    Reading changes nothing either: listings of a folder leave the temporary files of dead writers.

    Args:
        inner: The store.

    Raises:
        TypeError: `inner` is not a `Store`.
    """

    def __init__(self, inner: Store) -> None:
        check_kind("inner", inner, Store, "a Store")
        super().__init__(_untidying(inner))
        self.read_only = True

    def write(self, name: Name, data: Data, *, expect: Expectation = ANY) -> Version:
        del data, expect
        self._refuse(name)

    def put(self, name: Name, data: Data, *, expect: Expectation = ANY) -> None:
        del data, expect
        self._refuse(name)

    def try_write(self, name: Name, data: Data, *, expect: Expectation) -> Version:
        del data, expect
        self._refuse(name)

    def try_put(self, name: Name, data: Data, *, expect: Expectation) -> None:
        del data, expect
        self._refuse(name)

    def remove(self, name: Name, *, expect: Expectation = ANY) -> None:
        del expect
        self._refuse(name)

    def move(self, name: Name, target: Name, *, expect: Expectation = ANY) -> None:
        del target, expect
        self._refuse(name)

    def write_many(
        self, items: Iterable[tuple[Name, Data]], *, expect: Expectations = ANY
    ) -> Iterator[tuple[Name, Version | Exception]]:
        del items, expect
        self._refuse(())

    def remove_many(
        self, names: Iterable[Name], *, expect: Expectations = ANY
    ) -> Iterator[tuple[Name, Exception | None]]:
        del names, expect
        self._refuse(())

    def sweep(self, prefix: Name = (), *, min_age: float | None = None) -> int:
        del min_age
        self._refuse(prefix)

    def supports(self, verb: Verb, kind: ConditionKind) -> bool:
        """Return False, without asking the place: that may take a write."""
        del verb, kind
        return False

    def now(self) -> float | None:
        """Return None: in some places the question takes a write."""
        return None

    def _refuse(self, name: Name) -> NoReturn:
        raise ReadOnlyError(self.inner.describe(name))


def read_only(store: Store) -> Store:
    """Return a store whose writes are refused; a prefix stays the outermost wrapper, as handles expect it."""
    check_kind("store", store, Store, "a Store")
    if store.read_only:
        return store
    if isinstance(store, PrefixStore):
        return PrefixStore(ReadOnlyStore(store.inner), store.prefix)
    return ReadOnlyStore(store)


def _untidying(store: Store) -> Store:
    """Return a store that does as this one, and leaves everything in its place while it lists."""
    if isinstance(store, DirectoryStore):
        changed: Store = copy.copy(store)
        changed.tidies = False  # type: ignore[attr-defined] # a copy of the same class
        return changed
    if isinstance(store, WrapperStore):
        wrapper = copy.copy(store)
        wrapper.inner = _untidying(store.inner)
        return wrapper
    return store
