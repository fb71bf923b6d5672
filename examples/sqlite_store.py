"""A store of your own: items as rows of an SQLite database; docs/stores.md explains the primitives."""

import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from perkey import PersiDict
from perkey.stores import ABSENT, ANY, ConflictError, Data, Expectation, Name, Stat, Store, Version, bytes_of


class SqliteStore(Store):
    """Items in one table of a database file, for any number of processes of one machine."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()  # opened by each operation: handles can be pickled and shared
        self._ask("CREATE TABLE IF NOT EXISTS items (name PRIMARY KEY, content, version, mtime)")

    def _ask(self, sql: str, name: Name = (), *values: Any, expect: Expectation = ANY) -> list[Any]:
        with closing(sqlite3.connect(self.path, timeout=60)) as db, db:  # one transaction, then closed
            if expect is not ANY:
                db.execute("BEGIN IMMEDIATE")  # no other writer comes between the comparison and the change
                found = db.execute("SELECT version FROM items WHERE name = ?", ["/".join(name)]).fetchone()
                if expect != (found[0] if found else ABSENT):
                    raise ConflictError(name, expect, found[0] if found else ABSENT)
            rows = db.execute(sql, ["/".join(name), *values] if name else []).fetchall()
            if rows or not name or expect is not ANY:
                return rows
        raise KeyError(name)

    def read(self, name: Name, *, unless: Version | None = None, **_: Any) -> tuple[bytes, Version] | None:
        ((content, version),) = self._ask("SELECT content, version FROM items WHERE name = ?", name)
        return None if version == unless else (content, version)

    def stat(self, name: Name) -> Stat:
        return Stat(*self._ask("SELECT version, mtime, length(content) FROM items WHERE name = ?", name)[0])

    def write(self, name: Name, data: Data, *, expect: Expectation = ANY) -> Version:
        sql = "REPLACE INTO items VALUES (?, ?, hex(randomblob(16)), ?) RETURNING version"
        return str(self._ask(sql, name, bytes_of(data), time.time(), expect=expect)[0][0])

    def remove(self, name: Name, *, expect: Expectation = ANY) -> None:
        self._ask("DELETE FROM items WHERE name = ? RETURNING name", name, expect=expect)

    def scan(self, prefix: Name = ()) -> Iterator[Name]:
        names = (tuple(name.split("/")) for (name,) in self._ask("SELECT name FROM items"))
        return (name for name in names if len(name) > len(prefix) and name[: len(prefix)] == prefix)

    def describe(self, name: Name = ()) -> str:
        return f"{self.path}#{'/'.join(name)}"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        moons = PersiDict[Any](SqliteStore(f"{folder}/moons.db"), file_type="json")
        print("the moons of Mars:", moons.setdefault("mars", ["Phobos", "Deimos"]), "under the key", *moons)
