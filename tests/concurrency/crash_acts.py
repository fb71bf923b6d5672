"""What is killed at each of its points; in a module that imports nothing heavy."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from perkey import ANY_ETAG, DELETE_CURRENT, ETAG_IS_THE_SAME, ITEM_NOT_AVAILABLE, FileDirDict
from perkey.stores.folder import batches
from perkey.stores.folder.store import Durability


def change(folder: Path, durability: Durability, run: Callable[[FileDirDict[Any]], Any]) -> None:
    """Open a dictionary and change it."""
    run(FileDirDict[Any](folder, durability=durability))


def update_in_one_batch(target: FileDirDict[Any], items: dict[tuple[str, ...], Any]) -> None:
    from unittest import mock  # heavy

    with mock.patch.object(batches, "_FEW", 2):
        target.update(items)


def copy_in_one_batch(target: FileDirDict[Any]) -> None:
    from unittest import mock  # heavy

    from perkey import LocalDict, copy

    source = LocalDict[Any]()
    source.update(dict.fromkeys(["new", "newer", ("b", "new"), ("x", "y")], "the new value"))
    with mock.patch.object(batches, "_FEW", 2):
        copy(source, target)


def transform(target: FileDirDict[Any], value: Any) -> None:
    target.transform_item("a", transformer=lambda _: value)


def transform_to_delete(target: FileDirDict[Any]) -> None:
    target.transform_item("a", transformer=lambda _: DELETE_CURRENT)


def insert_if_absent(target: FileDirDict[Any], value: Any) -> None:
    target.setdefault_if("new", default_value=value, condition=ANY_ETAG, expected_etag=ITEM_NOT_AVAILABLE)


def compare_and_swap(target: FileDirDict[Any], value: Any) -> None:
    target.set_item_if("a", value=value, condition=ETAG_IS_THE_SAME, expected_etag=target.etag("a"))


def import_something() -> None:
    import tabnanny  # that nobody needs

    os.stat(tabnanny.__file__)


def look_for(modules: set[str], acts: Iterable[Callable[..., Any]]) -> None:
    """Fail if any of the modules was imported, by us or with one of these operations."""
    assert not modules & sys.modules.keys()
