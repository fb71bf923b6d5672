"""Every name of signac 1.7's API reference is there, or documented as replaced."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import perkey.dataspace as space
from perkey.dataspace.legacy import REPLACED

NAMES = [
    line
    for line in Path(__file__).with_name("signac_names.txt").read_text().splitlines()
    if not line.startswith("#")
]
PAGE = (Path(__file__).parents[2] / "docs" / "dataspace.md").read_text()

WITHOUT_PARAMETERS = {"Project.workspace"}


def found(path: str) -> Any:
    """Return what a name stands for in perkey; raises AttributeError."""
    parts = path.split(".")
    thing: Any = space
    for part in parts:
        if thing is space and part in {"sync", "cite"}:
            try:
                thing = importlib.import_module(f"perkey.dataspace.{part}")
            except ModuleNotFoundError as error:
                raise AttributeError(part) from error
        elif inspect.isclass(thing):
            thing = inspect.getattr_static(thing, part)
        else:
            thing = getattr(thing, part)
    return thing.__func__ if isinstance(thing, classmethod | staticmethod) else thing


@pytest.mark.parametrize("line", NAMES)
def test_it_is_there_or_replaced(line: str) -> None:
    path, _, rest = line.partition("(")
    last = path.rpartition(".")[2]
    if last in REPLACED and path not in {"Collection.index", "Collection.flush", "H5Store.flush"}:
        assert f"`{last}`" in PAGE
        with pytest.raises(AttributeError):
            found(path)
        return
    thing = found(path)
    assert inspect.getdoc(thing), "has no docstring"
    wanted = [name for name in rest.removesuffix(")").split(", ") if name]
    if rest and wanted:
        parameters = inspect.signature(thing).parameters
        missing = [name for name in wanted if name not in parameters and name != "index"]
        assert missing == []


def test_the_page_names_the_parameter_that_is_gone() -> None:
    """`index` was how a prepared index was passed; the index is built in."""
    assert "`index=`" in PAGE


@pytest.mark.parametrize("name", REPLACED)
def test_asking_for_a_replaced_name_says_what_replaces_it(name: str) -> None:
    with pytest.raises(AttributeError, match=re.escape(REPLACED[name])):
        getattr(space, name)


def test_public_names_exist() -> None:
    for name in space.__all__:
        assert getattr(space, name) is not None
