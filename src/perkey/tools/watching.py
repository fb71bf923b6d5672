"""Writes and deletions in a dictionary, found by comparing listings.

A listing is compared with the one before. So nothing is missed that lasts until the next look, wherever the
items are, and also of other programs. Notifications of the file system only shorten the wait.
"""

from __future__ import annotations

import asyncio
import json
import time
import zlib
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from threading import Lock
from typing import Any, Final, Literal, Self, TypeAlias

from perkey.answers import answer
from perkey.arguments import Duration, check_kind, seconds_of, wrong_kind
from perkey.files import shared_ways
from perkey.keys import PersiDictKey
from perkey.mapping import PersiDict
from perkey.naming import naming
from perkey.stores import DirectoryStore, Stat, Store, read_only
from perkey.tools.locating import bare_store, innermost

ChangeKind: TypeAlias = Literal["written", "deleted"]
Key: TypeAlias = tuple[str, ...]

_MARK: Final = b"perkey-watch-1\n"
_LEAST: Final = 0.02
"""Seconds between two looks that notifications follow each other by at least."""
_GONE: Final = -1


class Token:
    """What a dictionary had at some time: a compact snapshot of keys and versions.

    Give it to `watch` as `since`, also in another process: it can be pickled, and `bytes` turns it into
    bytes that `since` takes, too. ``Token()`` is the snapshot of an empty dictionary.
    """

    __slots__ = ("_base", "_changes", "_count", "_prefix")

    def __init__(self) -> None:
        self._base: dict[str, int] = {}
        self._changes: list[tuple[str, int]] = []
        self._count = 0
        self._prefix: str | None = None

    @classmethod
    def of(cls, base: dict[str, int], changes: list[tuple[str, int]], count: int, prefix: str) -> Self:
        """Return the token of a snapshot and the first changes after it.

        Args:
            base: Keys joined by slashes, and digests of their versions; is not changed any more.
            changes: The same for what has changed; may get longer.
            count: How many changes.
            prefix: What all keys begin with.
        """
        made = cls()
        made._base, made._changes, made._count, made._prefix = base, changes, count, prefix
        return made

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Return the token that was turned into bytes; raises ValueError for other bytes."""
        try:
            if not data.startswith(_MARK):
                raise ValueError
            prefix, base = json.loads(zlib.decompress(data[len(_MARK) :]))
            digests = {str(key): int(digest, 16) for key, digest in base.items()}
        except answer(ValueError, TypeError, AttributeError, zlib.error):
            raise ValueError("since must be a token of perkey.watch, not other bytes") from None
        return cls.of(digests, [], 0, prefix)

    def __bytes__(self) -> bytes:
        base = {key: f"{digest:x}" for key, digest in self.snapshot().items()}
        return _MARK + zlib.compress(json.dumps([self._prefix, base]).encode())

    def __reduce__(self) -> tuple[Any, ...]:
        return Token.from_bytes, (bytes(self),)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Token):
            return NotImplemented
        return self._prefix == other._prefix and self.snapshot() == other.snapshot()

    __hash__ = None  # type: ignore[assignment] # it compares what it has

    def snapshot(self) -> dict[str, int]:
        """Return keys joined by slashes, and digests of their versions."""
        found = dict(self._base)
        for key, digest in self._changes[: self._count]:
            if digest == _GONE:
                found.pop(key, None)
            else:
                found[key] = digest
        return found

    def fits(self, prefix: str) -> bool:
        """Return whether it is of the items below a prefix."""
        return self._prefix is None or self._prefix == prefix


@dataclass(frozen=True, slots=True)
class Change:
    """Something that happened to an item.

    Attributes:
        key: Its key.
        kind: ``"written"`` or ``"deleted"``.
        token: What the dictionary had with all changes up to this one.
    """

    key: Key
    kind: ChangeKind
    token: Token

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data, without the token."""
        return {"key": list(self.key), "kind": self.kind}


def watch(
    d: PersiDict[Any],
    prefix: PersiDictKey = (),
    since: Token | bytes | None = None,
    *,
    interval: Duration = 1.0,
    timeout: Duration | None = None,
) -> Watch:
    """Return an iterator over the writes and deletions from now on, or since a token.

    It works with ``for`` and ``async for``. Each look is a listing that is compared with the one before:

    - Several writes of an item between two looks are one change. What is written and deleted between two
      looks is absent. Nothing else is missed.
    - On object services, a write of the same bytes within the same second is not noticed.
    - In a folder, a new mode or hard link of a file counts as written.

    Where the file system is local and `watchfiles` is installed, a look follows a change at once.

    Args:
        d: The dictionary.
        prefix: Only items whose keys begin with it; empty for all.
        since: The token of a change or of a `Watch`: changes since then come first. None means
            from now on; ``Token()`` yields each item that exists as written.
        interval: Seconds between two looks, or a `timedelta`; at least 0.02.
        timeout: After so many seconds the iteration ends; with 0 after one look. None means never.

    Returns:
        The iterator. Its `token` is for a later `since`.

    Raises:
        ValueError: `since` is not a token, or one of another prefix.

    Cost: one listing a look. Memory of about 200 bytes a key, twice that during a look.

    >>> from perkey import LocalDict
    >>> d = LocalDict()
    >>> before = watch(d).token
    >>> d["a"] = 1
    >>> [(change.key, change.kind) for change in watch(d, since=before, timeout=0)]
    [(('a',), 'written')]
    """
    check_kind("d", d, PersiDict, "a PersiDict")
    seconds = seconds_of("interval", interval)
    if seconds is None:
        raise wrong_kind("interval", "a number of seconds or a timedelta", interval)
    if isinstance(since, bytes):
        since = Token.from_bytes(since)
    if since is not None and not isinstance(since, Token):
        raise wrong_kind("since", "a Token, its bytes, or None", since)
    return Watch(d, prefix, since, max(seconds, _LEAST), seconds_of("timeout", timeout))


class Watch(Iterator[Change], AsyncIterator[Change]):
    """An iterator over changes, see `watch`; it ends with its ``with`` block, if it has one.

    Args:
        d: The dictionary.
        prefix: What the keys begin with.
        since: Where to begin; None means now.
        interval: Seconds between two looks.
        timeout: After how many seconds it ends, or None.
    """

    def __init__(
        self,
        d: PersiDict[Any],
        prefix: PersiDictKey,
        since: Token | None,
        interval: float,
        timeout: float | None,
    ) -> None:
        self._names = naming(d.digest_len, d.file_type)
        self._below = self._names.prefix_of(prefix)
        self._prefix = "/".join(self._below)
        self._store = read_only(bare_store(d.store))
        self._interval = interval
        self._deadline = None if timeout is None else time.monotonic() + timeout
        patience = interval if timeout is None else min(interval, timeout)
        self._notices: Iterator[object] | None = _notices(self._store, patience)
        self._changes: deque[Change] = deque()
        self._lock = Lock()
        self._has_looked = False
        self._took = 0.0
        if since is None:
            self._base = self._listing()
            self.token = self._token([], 0)
        elif since.fits(self._prefix):
            self._base = since.snapshot()
            self.token = self._token([], 0)
        else:
            raise ValueError("since must be a token of a watch with the same prefix")

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Change:
        change = self._next()
        if change is None:
            raise StopIteration
        return change

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        change = self._pop() or await asyncio.to_thread(self._next)
        if change is None:
            raise StopAsyncIteration
        return change

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End it: the iteration ends when the look under way is over."""
        self._deadline = time.monotonic()
        self._has_looked = True

    def _pop(self) -> Change | None:
        try:
            change = self._changes.popleft()
        except IndexError:
            return None
        self.token = change.token
        return change

    def _next(self) -> Change | None:
        """Return the next change; None after the deadline."""
        with self._lock:
            while (change := self._pop()) is None:
                if self._has_looked and not self._wait():
                    return None
                self._look()
            return change

    def _wait(self) -> bool:
        """Wait until it is time for another look; return False after the deadline."""
        left = self._interval
        if self._deadline is not None:
            left = min(left, self._deadline - time.monotonic())
            if left <= 0:
                self._notices = None
                return False
        # Under many writers, half of the time may be spent on listings.
        time.sleep(min(left, max(_LEAST, self._took)))
        if self._notices is None:
            time.sleep(max(0.0, left - max(_LEAST, self._took)))
            return True
        try:
            next(self._notices)
        except answer(OSError, RuntimeError, StopIteration):
            self._notices = None  # too many folders, or the folder was removed: looks go on
        return True

    def _look(self) -> None:
        began = time.monotonic()
        now = self._listing()
        self._took = time.monotonic() - began
        self._has_looked = True
        before, done = self._base, list[tuple[str, int]]()
        for key, digest in now.items():
            if before.get(key) != digest:
                done.append((key, digest))
        done += [(key, _GONE) for key in before if key not in now]
        for count, (key, digest) in enumerate(done, 1):
            kind: ChangeKind = "deleted" if digest == _GONE else "written"
            self._changes.append(Change(tuple(key.split("/")), kind, self._token(done, count)))
        self._base = now

    def _token(self, changes: list[tuple[str, int]], count: int) -> Token:
        return Token.of(self._base, changes, count, self._prefix)

    def _listing(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for name, seen in self._store.scan_sizes(self._below):
            key = self._names.key_of(name)
            if key is None:
                continue
            stat = seen
            if not seen.version:  # of a coarse time: the version is made from the content
                try:
                    stat = self._store.stat(name)
                except answer(KeyError):
                    continue
            found["/".join(key)] = _digest(stat)
        return found


def _digest(found: Stat) -> int:
    text = f"{found.version} {found.mtime}"
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def _notices(store: Store, interval: float) -> Iterator[object] | None:
    """Return an iterator that waits for a change of a local folder, or for the interval."""
    folder = innermost(store)
    if not isinstance(folder, DirectoryStore) or (folder.base, folder.locking) in shared_ways:
        return None
    try:
        import watchfiles
    except ImportError:
        return None
    milliseconds = max(1, int(interval * 1000))
    return watchfiles.watch(
        folder.base,
        watch_filter=None,
        debounce=50,
        step=10,
        rust_timeout=milliseconds,
        yield_on_timeout=True,
        ignore_permission_denied=True,
    )
