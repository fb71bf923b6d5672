"""An index of a dictionary's keys, built in the background: counts, search, sorting, charts, and what is new.

It is a table on disk (SQLite, in a file without a name that the system removes), so memory stays flat however
many keys there are. One listing fills it, and further listings bring it up to date while pages are open. The
first keys are there as soon as the first page of the listing is.

Cost: one listing of the whole dictionary: a request for 1,000 keys on S3. After that, one listing for each
look at the place while a page is open. Looks take at most a tenth of the time, and are 30 seconds apart on
services.
"""

from __future__ import annotations

import re
import sqlite3
import threading
import time
from array import array
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from perkey.mapping import PersiDict
from perkey.naming import naming
from perkey.stores import read_only
from perkey.tools.locating import bare_store

Order: TypeAlias = Literal["listing", "key", "time", "size"]

_FIRST: Final = 128
"""Keys of the first batch: a little more than a page shows."""
_BATCH: Final = 2000
_PIECE: Final = 500
"""Rows that are read together; older versions of SQLite take at most 999 values."""
_PAUSE: Final = 2.0
"""Seconds between two listings of a place on this machine, at least."""
_PAUSE_OF_SERVICES: Final = 30.0
"""The same where each page of a listing is a request that costs money."""
_SHARE: Final = 10
"""A pause is as long as so many listings."""
_WATCHED: Final = 15.0
"""Seconds after the last question for which listings go on."""
_STEP: Final = 0.4
"""Seconds between two states of the progress that pages see."""

_COLUMNS: Final = {"listing": "id", "key": "key", "time": "mtime", "size": "size"}

_TABLES: Final = """
PRAGMA synchronous=OFF;
PRAGMA journal_mode=OFF;
PRAGMA cache_size=-8000;
CREATE TABLE items (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, mtime REAL, size INTEGER, version TEXT, seen INTEGER,
    changed INTEGER
);
"""

_PUT: Final = """
INSERT INTO items (key, mtime, size, version, seen, changed) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (key) DO UPDATE SET
    changed = CASE WHEN mtime = ?2 AND size = ?3 AND version = ?4 THEN changed ELSE ?6 END,
    mtime = ?2, size = ?3, version = ?4, seen = ?5
"""


class Row(NamedTuple):
    """An item in the index.

    Attributes:
        id: Its number, which stays the same while the item exists.
        key: The parts of its key with slashes between them.
        mtime: When it was last written, in seconds since the epoch.
        size: Its length in bytes.
        changed: The state of the index in which it was seen for the first time, or last changed.
    """

    id: int
    key: str
    mtime: float
    size: int
    changed: int


class Branch(NamedTuple):
    """What is at one place of the tree of keys: an item, or all keys with a common beginning.

    Attributes:
        name: The next part of the keys.
        prefix: The whole beginning, with slashes between its parts.
        items: How many items are below; 0 for an item.
        size: Their length in bytes, or that of the item.
    """

    name: str
    prefix: str
    items: int
    size: int


class Progress(NamedTuple):
    """How far the index is.

    Attributes:
        state: Rises with each change that pages should show.
        items: How many items it has.
        size: Their length in bytes.
        complete: Whether a listing was finished.
        listed: How many items the listing under way, or the last one, has met.
        seconds: How long the last listing took; that under way, until one is finished.
        error: Why the last listing failed, or an empty text.
    """

    state: int
    items: int
    size: int
    complete: bool
    listed: int
    seconds: float
    error: str


class Index:
    """The index of a dictionary; it is safe to use from several threads.

    Args:
        d: The dictionary. It is listed without its caches, and read-only.
    """

    def __init__(self, d: PersiDict[Any]) -> None:
        self._store = read_only(bare_store(d.store))
        self._names = naming(d.digest_len, d.file_type)
        self._pause = _PAUSE if self._store.workers == 1 else _PAUSE_OF_SERVICES
        self._table = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._table.executescript(_TABLES)
        self._table.create_function("magnitude", 1, int.bit_length, deterministic=True)
        self._table.create_function("occurs", 2, _occurs, deterministic=True)
        self._news = threading.Condition()
        self._progress = Progress(0, 0, 0, complete=False, listed=0, seconds=0.0, error="")
        self._asked = time.monotonic()
        self._wake = threading.Event()
        self._ended = False
        self._thread: threading.Thread | None = None

    # --- Building -------------------------------------------------------------------------------------

    def progress(self, rows: int = 0, timeout: float = 0.0) -> Progress:
        """Return how far the index is; the first call begins it.

        Args:
            rows: Wait until there are so many rows, or a listing has ended.
            timeout: For how many seconds at most.
        """
        self._asked = time.monotonic()
        self._wake.set()
        with self._news:
            if self._thread is None and not self._ended:
                self._thread = threading.Thread(target=self._work, name="perkey index", daemon=True)
                self._thread.start()
            self._news.wait_for(lambda: self._has(rows), timeout)
            return self._progress

    def close(self) -> None:
        """End the work, and remove the table."""
        with self._news:
            self._ended = True
            thread = self._thread
            self._news.notify_all()
        self._wake.set()
        if thread is not None:
            thread.join(timeout=0.5)  # a listing may wait for the network
        with self._news:
            self._table.close()

    def _has(self, rows: int) -> bool:
        now = self._progress
        return self._ended or now.complete or bool(now.error) or now.items >= rows

    def _work(self) -> None:
        number = 0
        while not self._ended:
            number += 1
            began = time.monotonic()
            error = ""
            try:
                self._list(number, began)
            except _EndedError:
                return
            except Exception as raised:  # noqa: BLE001 - of any store; pages show it, and looks go on
                error = str(raised) or type(raised).__name__
            took = time.monotonic() - began
            try:
                self._finish(number, took, error)
            except _EndedError:
                return
            self._rest(max(self._pause, _SHARE * took))

    def _list(self, number: int, began: float) -> None:
        found = self._rows()
        listed, shown = 0, began
        size = _FIRST if not self._progress.complete else _BATCH
        while batch := list(islice(found, size)):
            size = _BATCH
            with self._news:
                before = self._begin()
                state = self._progress.state + 1
                self._table.execute("BEGIN")
                self._table.executemany(_PUT, ((*row, number, state) for row in batch))
                self._table.execute("COMMIT")
                listed += len(batch)
                now = time.monotonic()
                if not before.complete and (now - shown >= _STEP or listed <= _FIRST):
                    shown = now
                    self._announce(listed=listed, seconds=now - began)

    def _rows(self) -> Iterator[tuple[str, float, int, str]]:
        for name, stat in self._store.scan_sizes():
            key = self._names.key_of(name)
            if key is not None:
                yield "/".join(key), stat.mtime, stat.size, str(stat.version)

    def _finish(self, number: int, took: float, error: str) -> None:
        """Forget what a listing did not meet, and announce the new state if anything differs."""
        with self._news:
            before = self._begin()
            if error:
                if before.error != error:
                    self._announce(error=error, seconds=took)
                return
            removed = self._table.execute("DELETE FROM items WHERE seen < ?", (number,)).rowcount
            changed = self._table.execute(
                "SELECT EXISTS (SELECT 1 FROM items WHERE changed > ?)", (before.state,)
            ).fetchone()[0]
            if removed or changed or not before.complete or before.error:
                self._announce(complete=True, error="", seconds=took)

    def _begin(self) -> Progress:
        if self._ended:
            raise _EndedError
        return self._progress

    def _announce(self, **changes: Any) -> None:
        items, size = self._table.execute("SELECT count(*), coalesce(sum(size), 0) FROM items").fetchone()
        state = self._progress.state + 1
        self._progress = self._progress._replace(
            **{"state": state, "items": items, "size": size, "listed": items, **changes}
        )
        self._news.notify_all()

    def _rest(self, seconds: float) -> None:
        """Wait for the next listing, which takes place only while a page is open."""
        deadline = time.monotonic() + seconds
        while not self._ended:
            self._wake.clear()
            now = time.monotonic()
            watched = now - self._asked < _WATCHED
            if watched and now >= deadline:
                return
            self._wake.wait(max(0.05, deadline - now) if watched else None)

    # --- Questions --------------------------------------------------------------------------------------

    def rows(
        self,
        *,
        prefix: str = "",
        search: str = "",
        order: Order = "listing",
        descending: bool = False,
        offset: int = 0,
        limit: int = 100,
    ) -> list[Row]:
        """Return a page of rows.

        Args:
            prefix: What the keys begin with: whole parts.
            search: Words that all occur in the key, in either case; ``*`` and ``?`` stand for characters.
            order: The order of the rows.
            descending: Whether the greatest come first.
            offset: How many rows come before the page.
            limit: How many rows a page has.
        """
        where, values = _condition(prefix, search)
        direction = "DESC" if descending else "ASC"
        return [
            Row(*row)
            for row in self._all(
                f"SELECT id, key, mtime, size, changed FROM items WHERE {where} "  # noqa: S608 - own words
                f"ORDER BY {_COLUMNS[order]} {direction}, key LIMIT ? OFFSET ?",
                (*values, limit, offset),
            )
        ]

    def records(
        self, *, prefix: str = "", search: str = "", order: Order = "key", descending: bool = False
    ) -> Iterator[tuple[str, int, float, str]]:
        """Yield key, size, time and version of all rows, as `rows` finds them.

        Memory: 8 bytes for each row. Rows that are removed meanwhile are left out.
        """
        where, values = _condition(prefix, search)
        direction = "DESC" if descending else "ASC"
        with self._news:
            if self._ended:
                return
            found = self._table.execute(
                f"SELECT id FROM items WHERE {where} ORDER BY {_COLUMNS[order]} {direction}, key",  # noqa: S608 - own words
                values,
            )
            ids = array("q", (row[0] for row in found))
        for start in range(0, len(ids), _PIECE):
            piece = ids[start : start + _PIECE]
            marks = ",".join("?" * len(piece))
            rows = self._all(
                f"SELECT id, key, size, mtime, version FROM items WHERE id IN ({marks})",  # noqa: S608 - marks
                piece,
            )
            by_id = {row[0]: row[1:] for row in rows}
            yield from (by_id[each] for each in piece if each in by_id)

    def count(self, prefix: str = "", search: str = "") -> int:
        """Return how many rows there are, as `rows` finds them."""
        where, values = _condition(prefix, search)
        found = self._all(f"SELECT count(*) FROM items WHERE {where}", values)  # noqa: S608 - own words
        return int(found[0][0]) if found else 0

    def branches(self, prefix: str = "", after: str = "", limit: int = 200) -> list[Branch]:
        """Return what is directly below a prefix, in order.

        Args:
            prefix: The beginning of the keys; empty for the root.
            after: The name of the last branch of the page before; it ends in a slash if it was not an item.
            limit: How many branches.
        """
        start = f"{prefix}/" if prefix else ""
        last = start + after
        found: list[Branch] = []
        while len(found) < limit:
            # "0" follows "/": all keys below a branch that is done are passed over.
            low = f"{last[:-1]}0" if last.endswith("/") and last != start else last
            rows = self._all(
                "SELECT key, size FROM items WHERE key > ? AND key < ? ORDER BY key LIMIT 1"
                if low == last
                else "SELECT key, size FROM items WHERE key >= ? AND key < ? ORDER BY key LIMIT 1",
                (low, _end(start)),
            )
            if not rows:
                break
            key, size = rows[0]
            name, more, _ = key[len(start) :].partition("/")
            if not more:
                found.append(Branch(name, key, 0, size))
                last = key
                continue
            last = f"{start}{name}/"
            for items, total in self._all(
                "SELECT count(*), sum(size) FROM items WHERE key > ? AND key < ?", (last, _end(last))
            ):
                found.append(Branch(name, last[:-1], items, total or 0))
        return found

    def times(self, bins: int) -> tuple[float, float, list[int]]:
        """Return the first and the last time of writing, and the number of items in intervals between."""
        found = self._all("SELECT min(mtime), max(mtime) FROM items HAVING count(*) > 0", ())
        if not found:
            return 0.0, 0.0, []
        first, last = found[0]
        width = (last - first) / bins or 1.0
        counts = [0] * bins
        for bin_, count in self._all(
            "SELECT min(CAST((mtime - ?) / ? AS INTEGER), ?) AS bin, count(*) FROM items GROUP BY bin",
            (first, width, bins - 1),
        ):
            counts[bin_] += count
        return first, last, counts

    def sizes(self) -> list[tuple[int, int]]:
        """Return pairs: a power of two, and how many items have fewer bytes, and at least half of that."""
        return [
            (1 << bits, count)
            for bits, count in self._all(
                "SELECT magnitude(size) AS bits, count(*) FROM items GROUP BY bits ORDER BY bits", ()
            )
        ]

    def _all(self, query: str, values: Iterable[Any]) -> list[Any]:
        with self._news:
            if self._ended:
                return []
            return self._table.execute(query, tuple(values)).fetchall()


class _EndedError(Exception):
    """The index was closed during a listing."""


def _end(start: str) -> str:
    """Return a text behind all keys that begin with a text, which is empty or ends in a slash."""
    return f"{start[:-1]}0" if start else "\x7f"


def _condition(prefix: str, search: str) -> tuple[str, list[str]]:
    """Return a condition of SQL and its values."""
    parts, values = ["1"], list[str]()
    if prefix:
        parts.append("(key = ? OR (key > ? AND key < ?))")
        values += [prefix, f"{prefix}/", f"{prefix}0"]
    for word in search.encode("utf-8", "replace").decode().split():
        parts.append("occurs(?, key)" if set(word) & set("*?") else "instr(lower(key), ?)")
        values.append(word.lower())
    return " AND ".join(parts), values


def _occurs(word: str, key: str) -> bool:
    """Return whether a word with ``*`` and ``?`` for characters occurs in a key, in either case.

    The earliest place of each piece between two ``*`` is as good as any other, so nothing is tried twice.
    `LIKE` of SQLite tries all places of all pieces, which can take years.
    """
    at = 0
    for piece in _pieces(word):
        found = piece.search(key, at)
        if found is None:
            return False
        at = found.end()
    return True


@lru_cache(maxsize=64)
def _pieces(word: str) -> tuple[re.Pattern[str], ...]:
    pieces = filter(None, word.split("*"))
    return tuple(re.compile(".".join(map(re.escape, piece.split("?"))), re.IGNORECASE) for piece in pieces)
