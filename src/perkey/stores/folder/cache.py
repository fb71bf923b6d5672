"""A folder for a cache: bounded in size, the least recently used entries go first."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator, Sized
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from perkey.answers import answer, system_answer
from perkey.arguments import check_count
from perkey.content import Content, Data, bytes_of
from perkey.expectations import Version
from perkey.files import Handle, begin, end, folder_path, is_nested, lock, unlock
from perkey.naming import Name
from perkey.stores.folder.store import DirectoryStore

_OWN: Final = ".@perkey-cache"
_LEDGER: Final = ".@perkey-ledger"
_TOTAL: Final = struct.Struct(">Q")
_KEPT: Final = 0.75
_TOUCH_SECONDS: Final = 60.0


class _File(NamedTuple):
    used: float
    size: int
    path: str


class CacheFolder:
    """Keeps the entries of a `CachedStore` in a folder of its own, where they may vanish at any time.

    That is `.@perkey-cache` in the folder that is named: other files there belong to other programs, and are
    neither counted nor removed.

    Atomic as a `DirectoryStore`, without durability. However many processes write, all files together take at
    most `max_bytes`: a ledger of the total is kept under a lock, in which the entry is written, too. When it
    is full, the least recently used entries are removed until a quarter is free. (On a file system without
    locks the bound is approximate.) Names are hashed, so that those that differ only in case do not meet.

    Args:
        base: Path of the folder that the cache's own is in, made if it does not exist.
        max_bytes: How much it may hold; an entry larger than that is not kept.
        owner: An object whose text names the source of the entries; it is read at each use.
            Several owners may share a folder.

    Raises:
        TypeError, ValueError: `max_bytes` is not an int, or not positive.
    """

    def __init__(self, base: str | os.PathLike[str], *, max_bytes: int, owner: object = "") -> None:
        check_count("max_bytes", max_bytes, least=1)
        self._files = DirectoryStore(os.path.join(folder_path(base), _OWN), durability="none")
        self.max_bytes = max_bytes
        self._owner = owner

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._files.make_base_again()

    def read(self, name: Name, *, limit: int | None = None) -> tuple[Content, Version] | None:
        """Return an entry; raises KeyError. Marks it as used, to the minute."""
        hashed = self._hashed(name)
        found = self._files.read(hashed, limit=limit)
        path = self._files.describe(hashed)
        try:
            if time.time() - os.stat(path).st_mtime > _TOUCH_SECONDS:
                os.utime(path)
        except system_answer(OSError):
            pass  # evicted since, or another user's: it is read all the same
        return found

    def last_used(self, name: Name) -> float | None:
        """Return when an entry was last read or kept, to the minute; None if it is not here."""
        try:
            return os.stat(self._files.describe(self._hashed(name))).st_mtime
        except system_answer(OSError):
            return None

    def write(self, name: Name, data: Data) -> None:
        """Keep an entry, if it is not too large; what has a length is streamed."""
        entry = data if isinstance(data, Sized) else bytes_of(data)
        size = len(entry)
        if size > self.max_bytes:
            self._discard(name)
            return
        with self._ledger() as ledger:
            if is_nested(ledger):
                # The total that the outer write is about to enter does not count this entry.
                self._discard(name)
                return
            total = self._total(ledger) + size
            if total > self.max_bytes:
                total = self._evict(size) + size
            os.pwrite(ledger, _TOTAL.pack(total), 0)
            self._files.write(self._hashed(name), entry)

    def remove(self, name: Name) -> None:
        """Remove an entry; raises KeyError."""
        self._files.remove(self._hashed(name))

    def describe(self) -> str:
        """Return the absolute path of the folder that the cache's own is in."""
        return os.path.dirname(self._files.describe())

    def _hashed(self, name: Name) -> Name:
        return (blake2b("\0".join((str(self._owner), *name)).encode(), digest_size=20).hexdigest(),)

    def _discard(self, name: Name) -> None:
        try:
            self.remove(name)
        except answer(KeyError):
            pass  # it was not kept

    @contextmanager
    def _ledger(self) -> Iterator[int]:
        """Open and lock the ledger."""
        path = f"{self._files.base}/{_LEDGER}"
        os.makedirs(self._files.base, exist_ok=True)
        with Handle(lockable=True) as handle:
            fd = handle.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            hold = begin(handle)
            hold.fd = fd
            locked = lock(fd)
            try:
                yield fd
            finally:
                if locked:
                    unlock(fd)
                end(hold)

    def _total(self, ledger: int) -> int:
        """Return how much the files may take: never too little, because removals are not entered."""
        entry = os.pread(ledger, _TOTAL.size, 0)
        return _TOTAL.unpack(entry)[0] if len(entry) == _TOTAL.size else self.max_bytes

    def _evict(self, needed: int) -> int:
        """Remove files, the least recently used first, until `needed` bytes fit; return what is left."""
        files = sorted(self._all_files())
        total = sum(file.size for file in files)
        for file in files:
            if total + needed <= self.max_bytes * _KEPT:
                break
            try:
                os.unlink(file.path)
            except system_answer(FileNotFoundError):
                pass  # removed by its process since
            total -= file.size
        return total

    def _all_files(self) -> Iterator[_File]:
        """Yield each file but the ledger; those being written belong to us or to the dead."""
        with os.scandir(self._files.base) as entries:
            for entry in entries:
                if entry.name != _LEDGER and entry.is_file(follow_symlinks=False):
                    found = entry.stat(follow_symlinks=False)
                    yield _File(found.st_mtime, found.st_size, entry.path)
