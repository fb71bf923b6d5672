"""Items in the memory of one process, and a store that keeps none."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, NoReturn

from perkey.content import Content, Data, bytes_of
from perkey.errors import ConflictError
from perkey.expectations import ABSENT, ANY, Expectation, Version
from perkey.files import ProcessLock, Turn
from perkey.naming import Name
from perkey.stores.base import Stat, Store

# One for all stores: it is held for a dict operation only.
_lock = ProcessLock()
_turns: list[Turn] = []
"""The turns of the thread that has the lock, the outermost first."""


class MemoryStore(Store):
    """Keeps items in a dict, for the threads of one process.

    Data is turned into bytes before the lock is taken. Pickling, copying to another process and forking
    give an independent copy of the items. Each change is one call of a C function, so that a signal handler
    or a finaliser that writes in between finds the old state or the new one, and makes the write that it
    interrupted compare again.
    """

    def __init__(self) -> None:
        self._items: dict[Name, tuple[bytes, Stat]] = {}
        self._numbers = count(1)

    def __getstate__(self) -> dict[str, Any]:
        with _lock:
            return {"_items": dict(self._items), "_next": next(self._numbers)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._items = state["_items"]
        self._numbers = count(state["_next"])

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
            stat = Stat(f"m{next(self._numbers)}", time.time(), len(content))
            self._change(name, expect, self._items.__setitem__, name, (content, stat))
        return stat.version

    def remove(self, name: Name, *, expect: Expectation = ANY) -> None:
        with _lock:
            self._change(name, expect, self._items.__delitem__, name)

    def _change(
        self, name: Name, expect: Expectation, act: Callable[..., object], *arguments: object
    ) -> None:
        """Compare and act until no nested write comes between."""
        if expect is ANY:
            for outer in _turns:
                outer.take_away()
            act(*arguments)
            return
        depth = len(_turns)
        done = False
        try:
            while not done:
                for outer in _turns:
                    outer.take_away()
                turn = Turn()
                # No calls, after which a signal handler could raise with the turn on the list for ever.
                _turns[depth:] = (turn,)
                self._check(name, expect)
                done = turn.take(act, *arguments)
        finally:
            del _turns[depth:]

    def scan(self, prefix: Name = ()) -> Iterator[Name]:
        with _lock:
            names = list(self._items)
        depth = len(prefix)
        return (name for name in names if len(name) > depth and name[:depth] == prefix)

    def describe(self, name: Name = ()) -> str:
        return "/".join(("memory:", *name))

    def _check(self, name: Name, expect: Expectation) -> None:
        found = self._items.get(name)
        version = ABSENT if found is None else found[1].version
        if version != expect:
            raise ConflictError(name, expect, version)


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
