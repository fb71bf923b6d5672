"""A new kind of store: items as rows of an SQLite database.

A store has five primitives, and perkey derives all other operations from them. `PersiDict` makes a
dictionary of a store, and `perkey.testing.StoreContract` tests all that a store promises. docs/stores.md
explains both.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from perkey import PersiDict
from perkey.stores import (
    ABSENT,
    ANY,
    ConflictError,
    Content,
    Data,
    Expectation,
    Name,
    Stat,
    Store,
    Version,
    bytes_of,
)


class SqliteStore(Store):
    """Items in one table of a database file, for any number of processes of one machine.

    Each operation opens the database. So a handle can be pickled, shared by threads and used after a fork.

    Args:
        path: The file; it is made by the first handle.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).absolute()
        with self._transaction() as database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS items"
                " (name TEXT PRIMARY KEY, content BLOB, version TEXT, mtime REAL) WITHOUT ROWID"
            )

    def read(
        self, name: Name, *, unless: Version | None = None, limit: int | None = None
    ) -> tuple[Content, Version] | None:
        del limit  # rows come as bytes in any case
        content, version = self._row("content, version", name)
        return None if version == unless else (content, version)

    def stat(self, name: Name) -> Stat:
        return Stat(*self._row("version, mtime, length(content)", name))

    def write(self, name: Name, data: Data, *, expect: Expectation = ANY) -> Version:
        content = bytes_of(data)  # a value may encode itself: not while the database is locked
        version = uuid.uuid4().hex
        with self._transaction() as database:
            _check(database, name, expect)
            row = ("/".join(name), content, version, time.time())
            database.execute("REPLACE INTO items VALUES (?, ?, ?, ?)", row)
        return version

    def remove(self, name: Name, *, expect: Expectation = ANY) -> None:
        with self._transaction() as database:
            _check(database, name, expect)
            removed = database.execute("DELETE FROM items WHERE name = ?", ("/".join(name),)).rowcount
        if not removed and expect is ANY:
            raise KeyError(name)

    def scan(self, prefix: Name = ()) -> Iterator[Name]:
        with closing(self._open()) as database:
            rows = database.execute("SELECT name FROM items").fetchall()
        names = (tuple(name.split("/")) for (name,) in rows)
        return (name for name in names if len(name) > len(prefix) and name[: len(prefix)] == prefix)

    def describe(self, name: Name = ()) -> str:
        return f"{self.path}#{'/'.join(name)}"

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=60, isolation_level=None)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Hold the lock of the database, so that a comparison and the change after it are one step."""
        with closing(self._open()) as database:
            database.execute("BEGIN IMMEDIATE")
            yield database
            database.execute("COMMIT")  # if the block raises, closing rolls back

    def _row(self, columns: str, name: Name) -> tuple[Any, ...]:
        with closing(self._open()) as database:
            found = _find(database, columns, name)
        if found is None:
            raise KeyError(name)
        return found


def _find(database: sqlite3.Connection, columns: str, name: Name) -> tuple[Any, ...] | None:
    query = f"SELECT {columns} FROM items WHERE name = ?"  # noqa: S608 - the columns are named in this file
    found: tuple[Any, ...] | None = database.execute(query, ("/".join(name),)).fetchone()
    return found


def _check(database: sqlite3.Connection, name: Name, expect: Expectation) -> None:
    """Raise ConflictError unless the item is as expected."""
    if expect is ANY:
        return
    row = _find(database, "version", name)
    found = ABSENT if row is None else row[0]
    if found != expect:
        raise ConflictError(name, expect, found)


def main() -> None:
    """Use a dictionary over the store."""
    with tempfile.TemporaryDirectory() as folder:
        d = PersiDict[Any](SqliteStore(f"{folder}/items.db"), file_type="json")
        d["model", "v1"] = {"score": 0.97}
        etag = d.etag(("model", "v1"))
        d.transform_item(("model", "v1"), transformer=lambda value: {**value, "checked": True})
        print("items:", dict(d))
        print("changed:", d.etag(("model", "v1")) != etag)
        print("files:", [path.name for path in Path(folder).iterdir()])


if __name__ == "__main__":
    main()
