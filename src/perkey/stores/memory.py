"""Items in the memory of one process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from perkey.content import Content, Data, bytes_of
from perkey.errors import ConflictError
from perkey.naming import Name
from perkey.stores.base import ABSENT, ANY, Expectation, Stat, Store, Version
from perkey.stores.process_lock import ProcessLock

# One for all stores: it is held for a dict operation only.
_lock = ProcessLock()


class MemoryStore(Store):
    """Keeps items in a dict, for the threads of one process.

    Data is turned into bytes before the lock is taken. Pickling, copying to another process and forking
    give an independent copy of the items.
    """

    def __init__(self) -> None:
        self._items: dict[Name, tuple[bytes, Stat]] = {}
        self._written = 0

    def __getstate__(self) -> dict[str, Any]:
        with _lock:
            return {"_items": dict(self._items), "_written": self._written}

    def read(
        self, name: Name, *, unless: Version | None = None, limit: int | None = None
    ) -> tuple[Content, Version] | None:
        del limit  # the bytes are in memory as it is
        content, stat = self._items[name]
        return None if stat.version == unless else (content, stat.version)

    def stat(self, name: Name) -> Stat:
        return self._items[name][1]

    def write(self, name: Name, data: Data, *, expect: Expectation = ANY) -> Version:
        content = bytes_of(data)
        with _lock:
            self._check(name, expect)
            self._written += 1
            stat = Stat(f"m{self._written}", time.time(), len(content))
            self._items[name] = content, stat
        return stat.version

    def remove(self, name: Name, *, expect: Expectation = ANY) -> None:
        with _lock:
            self._check(name, expect)
            del self._items[name]

    def scan(self, prefix: Name = ()) -> Iterator[Name]:
        with _lock:
            names = list(self._items)
        depth = len(prefix)
        return (name for name in names if len(name) > depth and name[:depth] == prefix)

    def describe(self, name: Name = ()) -> str:
        return "/".join(("memory:", *name))

    def _check(self, name: Name, expect: Expectation) -> None:
        if expect is ANY:
            return
        found = self._items.get(name)
        version = ABSENT if found is None else found[1].version
        if version != expect:
            raise ConflictError(name, expect, version)
