"""A fast store in front of a slow one.

An entry of the cache is one item, so that version and content cannot part: a mark, the time at which it was
kept, a CRC-32 of all that follows, the version and the content. Whatever the order in which processes write
to the main store and to the cache, an entry is used only for the version that it names. A damaged entry, or a
cache that fails, is a miss.
"""

from __future__ import annotations

import io
import struct
import time
import zlib
from collections.abc import Iterable, Iterator
from functools import partial
from typing import BinaryIO, Final, Protocol

from perkey.answers import answer
from perkey.arguments import Duration, check_flag, check_kind, seconds_of, wrong_kind
from perkey.content import STREAM_ABOVE, Content, Data, close
from perkey.errors import BackendError
from perkey.expectations import ANY, Expectation, Expectations, Version
from perkey.naming import Name
from perkey.stores.base import Store, WrapperStore
from perkey.waiting import blocking

_MARK: Final = b"perkey-cache-3\n"
_HEADER: Final = struct.Struct(f">{len(_MARK)}sdHI")  # mark, time of keeping, length of the version, CRC-32
_TIME_AND_LENGTH: Final = struct.Struct(">dH")
_HEADROOM: Final = 512  # an entry is larger than its content by the header and the version
_FAILURES: Final = (OSError, BackendError)
"""Errors of a cache that are logged and do no harm."""


class Cache(Protocol):
    """What a cache must be able to do; any `Store` is one, and entries may vanish at any time."""

    def read(self, name: Name, *, limit: int | None = None) -> tuple[Content, Version] | None:
        """Return an entry, as `Store.read`."""
        ...

    def write(self, name: Name, data: Data) -> object:
        """Keep an entry, or do without."""
        ...

    def remove(self, name: Name) -> None:
        """Remove an entry; raises KeyError if it does not exist."""
        ...

    def describe(self) -> str:
        """Return where the cache is."""
        ...


class CachedStore(WrapperStore):
    """Reads from `cache` what `main` still holds at the cached version.

    Every promise is the main store's. Costs, in operations on the main store: read 1, without transfer if
    the cached version is current (0 if trusting, once cached); all others as the main store. Each adds at
    most two operations on the cache.

    Args:
        main: The store that counts.
        cache: A store that is fast, or another `Cache`; its items are this cache's alone, and may be
            deleted at any time.
        trusting: Items never change once written, so that what is cached needs no validation.
        max_age: For how many seconds an entry is used after it was kept; then it is removed when it is met.
            None means that entries do not expire. The clock is that of the machine that uses the entry.
    """

    def __init__(
        self,
        main: Store,
        cache: Cache,
        *,
        trusting: bool = False,
        max_age: Duration | None = None,
    ) -> None:
        check_kind("main", main, Store, "a Store")
        if not all(callable(getattr(cache, verb, None)) for verb in ("read", "write", "remove")):
            raise wrong_kind("cache", "a Store or what reads, writes and removes entries like one", cache)
        super().__init__(main)
        self.cache = cache
        self.trusting = check_flag("trusting", trusting)
        self.max_age = seconds_of("max_age", max_age)

    @property
    def main(self) -> Store:
        """The store that counts."""
        return self.inner

    def read(
        self, name: Name, *, unless: Version | None = None, limit: int | None = None
    ) -> tuple[Content, Version] | None:
        entry = self._look_up(name, limit)
        if entry is None:
            found = self.inner.read(name, unless=unless, limit=limit)
            return None if found is None else (self._keep(name, *found), found[1])
        content, version = entry
        if not self.trusting:
            try:
                found = self.inner.read(name, unless=version, limit=limit)
            except answer(KeyError):
                close(content)
                self._forget(name)
                raise
            if found is not None:
                close(content)
                kept = self._keep(name, *found)
                if found[1] != unless:
                    return kept, found[1]
                close(kept)
                return None
        if version == unless:
            close(content)
            return None
        return content, version

    def content(self, name: Name, *, limit: int | None = None) -> Content:
        return Store.content(self, name, limit=limit)

    def read_many(
        self, names: Iterable[Name], *, limit: int | None = None
    ) -> Iterator[tuple[Name, tuple[Content, Version] | Exception]]:
        return Store.read_many(self, names, limit=limit)  # each by way of the cache

    def exists(self, name: Name) -> bool:
        return (self.trusting and self._in_cache(name)) or self.inner.exists(name)

    def write(self, name: Name, data: Data, *, expect: Expectation = ANY) -> Version:
        return self._written(name, data, self.inner.write(name, data, expect=expect))

    def try_write(self, name: Name, data: Data, *, expect: Expectation) -> Version:
        return self._written(name, data, self.inner.try_write(name, data, expect=expect))

    def _written(self, name: Name, data: Data, version: Version) -> Version:
        if isinstance(data, bytes):
            self._keep(name, data, version)
        else:
            self._forget(name)  # the next read will bring it, without encoding the value again
        return version

    def put(self, name: Name, data: Data, *, expect: Expectation = ANY) -> None:
        self.write(name, data, expect=expect)  # the entry needs the version

    def try_put(self, name: Name, data: Data, *, expect: Expectation) -> None:
        self.try_write(name, data, expect=expect)  # the same

    def write_many(
        self, items: Iterable[tuple[Name, Data]], *, expect: Expectations = ANY
    ) -> Iterator[tuple[Name, Version | Exception]]:
        """Write many items as the main store does, and keep those that are bytes."""
        under_way: dict[Name, bytes | None] = {}

        def noted() -> Iterator[tuple[Name, Data]]:
            for name, data in items:
                # Of two values of one name under way, it is unknown which version belongs to which.
                under_way[name] = data if isinstance(data, bytes) and name not in under_way else None
                yield name, data

        for name, result in self.inner.write_many(noted(), expect=expect):
            data = under_way.pop(name, None)
            if data is None or isinstance(result, Exception):
                self._forget(name)
            else:
                self._keep(name, data, result)
            yield name, result

    def remove(self, name: Name, *, expect: Expectation = ANY) -> None:
        self.inner.remove(name, expect=expect)
        self._forget(name)

    def move(self, name: Name, target: Name, *, expect: Expectation = ANY) -> None:
        self.inner.move(name, target, expect=expect)
        try:
            self._forget(name)
        except answer(ValueError):
            pass  # a name of scratch space, which is never cached

    def remove_many(
        self, names: Iterable[Name], *, expect: Expectations = ANY
    ) -> Iterator[tuple[Name, Exception | None]]:
        for name, error in self.inner.remove_many(names, expect=expect):
            if error is None:
                self._forget(name)
            yield name, error

    def _look_up(self, name: Name, limit: int | None) -> tuple[Content, Version] | None:
        """Return content and version of a sound entry, None if it is missing or damaged."""
        try:
            found = self.cache.read(name, limit=None if limit is None else limit + _HEADROOM)
        except answer(KeyError):
            return None
        except answer(*_FAILURES) as error:
            _warn("cache %s cannot be read, going without: %s", self.cache.describe(), error)
            return None
        if found is None:
            return None
        # The whole of a large entry is read for its checksum.
        entry = _unpack(found[0]) if isinstance(found[0], bytes) else blocking(partial(_unpack, found[0]))
        if entry is None:
            return None
        content, version, kept = entry
        if self.max_age is not None and not 0 <= time.time() - kept <= self.max_age:
            close(content)
            self._forget(name)
            return None
        return content, version

    def _in_cache(self, name: Name) -> bool:
        entry = self._look_up(name, STREAM_ABOVE)
        if entry is not None:
            close(entry[0])
        return entry is not None

    def _keep(self, name: Name, content: Content, version: Version) -> Content:
        """Put an entry into the cache if it takes it; return the content, a file at its start."""
        start = 0 if isinstance(content, bytes) else content.tell()
        try:
            blocking(lambda: self.cache.write(name, _entry(content, version)))
        except answer(*_FAILURES) as error:
            _warn("cache %s cannot be written, going without: %s", self.cache.describe(), error)
        if not isinstance(content, bytes):
            content.seek(start)
        return content

    def _forget(self, name: Name) -> None:
        try:
            self.cache.remove(name)
        except answer(KeyError):
            pass  # it was not cached
        except answer(*_FAILURES) as error:
            # Harmless: an entry is used only for the version that it names.
            _warn("cache %s cannot be changed: %s", self.cache.describe(), error)


def _warn(message: str, *arguments: object) -> None:
    import logging

    logging.getLogger(__name__).warning(message, *arguments)


class _FileEntry:
    """An entry made of the content of an open file; its length is known before it is written."""

    def __init__(self, content: BinaryIO, version: Version) -> None:
        self._content = content
        self._start = content.tell()
        self._version = version
        self._kept = time.time()
        self._length = len(_header(version, self._kept, 0)) + content.seek(0, io.SEEK_END) - self._start

    def __len__(self) -> int:
        return self._length

    def write_to(self, file: BinaryIO) -> None:
        start = file.tell()
        file.write(_header(self._version, self._kept, 0))
        self._content.seek(self._start)
        crc = _crc_of_version(self._version.encode(), self._kept)
        while piece := self._content.read(STREAM_ABOVE):
            crc = zlib.crc32(piece, crc)
            file.write(piece)
        file.seek(start)
        file.write(_header(self._version, self._kept, crc))
        file.seek(0, io.SEEK_END)


def _entry(content: Content, version: Version) -> Data:
    if isinstance(content, bytes):
        kept = time.time()
        return _header(version, kept, zlib.crc32(content, _crc_of_version(version.encode(), kept))) + content
    return _FileEntry(content, version)


def _header(version: Version, kept: float, crc: int) -> bytes:
    encoded = version.encode()
    return _HEADER.pack(_MARK, kept, len(encoded), crc) + encoded


def _crc_of_version(version: bytes, kept: float) -> int:
    """Return where the checksum begins: with the length, so that it is clear where the content begins."""
    return zlib.crc32(version, zlib.crc32(_TIME_AND_LENGTH.pack(kept, len(version))))


def _crc(version: bytes, kept: float, content: BinaryIO) -> int:
    crc = _crc_of_version(version, kept)
    while piece := content.read(STREAM_ABOVE):
        crc = zlib.crc32(piece, crc)
    return crc


def _unpack(entry: Content) -> tuple[Content, Version, float] | None:
    """Return content, version and time of an entry, None if it is damaged; a damaged file is closed."""
    head = entry[: _HEADER.size] if isinstance(entry, bytes) else entry.read(_HEADER.size)
    if len(head) < _HEADER.size:
        close(entry)
        return None
    mark, kept, length, crc = _HEADER.unpack(head)
    start = _HEADER.size + length
    if isinstance(entry, bytes):
        version, content = entry[_HEADER.size : start], entry[start:]
        return (
            (content, version.decode("ascii", "replace"), kept)
            if mark == _MARK and zlib.crc32(content, _crc_of_version(version, kept)) == crc
            else None
        )
    version = entry.read(length)
    if mark != _MARK or _crc(version, kept, entry) != crc:
        entry.close()
        return None
    entry.seek(start)
    return entry, version.decode("ascii", "replace"), kept
