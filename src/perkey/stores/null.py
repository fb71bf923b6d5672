"""A store that keeps nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

from perkey.content import Data, bytes_of
from perkey.errors import ConflictError
from perkey.expectations import ABSENT, ANY, Expectation, Version
from perkey.naming import Name
from perkey.stores.base import Stat, Store


class NullStore(Store):
    """Always empty: what is written vanishes at once, as if another writer had removed it."""

    def read(self, name: Name, *, unless: Version | None = None, limit: int | None = None) -> NoReturn:
        del unless, limit
        raise KeyError(name)

    def stat(self, name: Name) -> Stat:
        raise KeyError(name)

    def write(self, name: Name, data: Data, *, expect: Expectation = ANY) -> Version:
        bytes_of(data)  # what cannot be stored elsewhere is refused here, too
        if isinstance(expect, str):
            raise ConflictError(name, expect, ABSENT)
        return "null"

    def remove(self, name: Name, *, expect: Expectation = ANY) -> None:
        if isinstance(expect, str):
            raise ConflictError(name, expect, ABSENT)
        if expect is ANY:
            raise KeyError(name)

    def scan(self, prefix: Name = ()) -> Iterator[Name]:
        del prefix
        return iter(())

    def describe(self, name: Name = ()) -> str:
        return "/".join(("nowhere:", *name))
