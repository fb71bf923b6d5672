"""The store of the documentation keeps the whole contract, with public names alone."""

import ast

from example_programs import FOLDER

from perkey.stores import Store
from perkey.testing import StoreContract
from sqlite_store import SqliteStore


class TestSqliteStore(StoreContract):
    empty_places_take_long = True
    rounds = 3
    threads = 3

    def make_store(self) -> Store:
        return SqliteStore(self.tmp_path / "items.db")


def test_its_author_needs_public_packages_only() -> None:
    tree = ast.parse((FOLDER / "sqlite_store.py").read_text())
    modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name for name in modules if name.startswith("perkey")} == {"perkey", "perkey.stores"}
