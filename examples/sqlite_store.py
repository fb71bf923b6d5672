"""A store of your own: items as rows of an SQLite database; docs/stores.md explains the primitives."""

import sqlite3
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from perkey import PersiDict, stores
from perkey.stores import ABSENT, ANY, ConflictError, Content, Data, Expectation, Name, Stat, Store, Version

_TABLE = "CREATE TABLE IF NOT EXISTS items (name TEXT PRIMARY KEY, content BLOB, version TEXT, mtime REAL)"


class SqliteStore(Store):
    """Items in one table of a database file, for any number of processes of one machine."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(
            path
        ).absolute()  # each operation opens it: handles can be pickled, forked and shared
        with self._database() as database:
            database.execute(_TABLE)

    @contextmanager
    def _database(self, begin: str = "BEGIN IMMEDIATE") -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.path, timeout=60, isolation_level=None)) as database:
            database.execute(begin)
            yield database  # if the block raises, closing rolls back
            database.execute("COMMIT")

    def read(
        self, name: Name, *, unless: Version | None = None, limit: int | None = None
    ) -> tuple[Content, Version] | None:
        del limit  # rows come as bytes in any case
        content, version, _ = self._row(name)
        return None if version == unless else (content, version)

    def stat(self, name: Name) -> Stat:
        content, version, mtime = self._row(name)
        return Stat(version, mtime, len(content))

    def write(self, name: Name, data: Data, *, expect: Expectation = ANY) -> Version:
        row = (
            "/".join(name),
            stores.bytes_of(data),
            uuid.uuid4().hex,
            time.time(),
        )  # encoded before the lock
        with self._database() as database:
            _check(database, name, expect)
            database.execute("REPLACE INTO items VALUES (?, ?, ?, ?)", row)
        return row[2]

    def remove(self, name: Name, *, expect: Expectation = ANY) -> None:
        with self._database() as database:
            _check(database, name, expect)
            found = database.execute("DELETE FROM items WHERE name = ?", ("/".join(name),)).rowcount
        if not found and expect is ANY:
            raise KeyError(name)

    def scan(self, prefix: Name = ()) -> Iterator[Name]:
        with self._database("BEGIN") as database:
            names = [tuple(name.split("/")) for (name,) in database.execute("SELECT name FROM items")]
        return (name for name in names if len(name) > len(prefix) and name[: len(prefix)] == prefix)

    def describe(self, name: Name = ()) -> str:
        return f"{self.path}#{'/'.join(name)}"

    def _row(self, name: Name) -> tuple[bytes, str, float]:
        with self._database("BEGIN") as database:
            found: tuple[bytes, str, float] | None = _find(database, name)
        if found is None:
            raise KeyError(name)
        return found


def _find(database: sqlite3.Connection, name: Name) -> Any:
    query = "SELECT content, version, mtime FROM items WHERE name = ?"
    return database.execute(query, ("/".join(name),)).fetchone()


def _check(database: sqlite3.Connection, name: Name, expect: Expectation) -> None:
    """Raise ConflictError unless the item is as expected; in the transaction of the change."""
    row = None if expect is ANY else _find(database, name)
    found = ABSENT if row is None else row[1]
    if expect is not ANY and found != expect:
        raise ConflictError(name, expect, found)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        d = PersiDict[Any](SqliteStore(f"{folder}/items.db"), file_type="json")
        d["planets", "earth"], d["planets", "mars"] = {"moons": 1}, {"moons": 2}
        d.transform_item(("planets", "mars"), lambda value: {**value, "names": ["Phobos", "Deimos"]})
        print("items:", dict(sorted(d.items())))
        print("planets:", sorted(d.get_subdict("planets")))
        print("files:", [path.name for path in Path(folder).iterdir()])
