"""The API reference names what `help` names: each public name, once, and nothing else."""

from __future__ import annotations

import importlib
import inspect
import pydoc
import re
from collections import Counter

import pytest

import perkey
from documentation.pages import ROOT

REFERENCE = ROOT / "docs" / "api"
MODULES = (
    "perkey", "perkey.aio", "perkey.dataspace", "perkey.dataspace.sync", "perkey.formats", "perkey.query",
    "perkey.stores", "perkey.synced", "perkey.testing", "perkey.viewer",
)  # fmt: skip
"""The public modules with lists of names; `perkey.tools` and `perkey.integrations` are listed by hand."""

BY_HAND = {"perkey.integrations.joblib", "perkey.dataspace.errors"}
"""Modules that the reference shows as a whole."""


def listed() -> list[str]:
    """Return the names that the pages of the reference ask mkdocstrings for."""
    pages = sorted(REFERENCE.glob("*.md"))
    return [name for page in pages for name in re.findall(r"^::: ([\w.]+)$", page.read_text(), re.MULTILINE)]


def found(path: str) -> object:
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except AttributeError:
        return importlib.import_module(path)


@pytest.mark.parametrize("module", MODULES)
def test_the_reference_lists_the_public_names_of_a_module(module: str) -> None:
    public = {f"{module}.{name}" for name in importlib.import_module(module).__all__}
    here = {name for name in listed() if name.rpartition(".")[0] == module}
    assert here - BY_HAND == public - BY_HAND
    assert public & BY_HAND <= here


def test_each_name_is_listed_once_and_exists() -> None:
    names = listed()
    assert [name for name, count in Counter(names).items() if count > 1] == []
    for name in names:
        assert found(name) is not None or name.endswith("None")


def test_help_shows_the_names_of_the_reference() -> None:
    shown = pydoc.plain(pydoc.render_doc(perkey))
    classes = set(re.findall(r"^    class (\w+)\(?", shown, re.MULTILINE))
    functions = set(re.findall(r"^    (\w+)\(.*\)", shown, re.MULTILINE))
    data = set(re.findall(r"^    (\w+)(?:: .*)? = ", shown, re.MULTILINE))
    names = {name.removeprefix("perkey.") for name in listed() if name.count(".") == 1}
    assert names == set(perkey.__all__)
    assert names - classes - functions - data == set()


def test_each_listed_class_and_function_has_a_docstring() -> None:
    things = {name: found(name) for name in listed()}
    bare = [
        name
        for name, thing in things.items()
        if (inspect.isclass(thing) or inspect.isfunction(thing)) and not inspect.getdoc(thing)
    ]
    assert bare == []


def test_each_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text()
    pages = [str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")]
    assert [
        page for page in pages if not re.search(rf"[ :] {re.escape(page)}$", navigation, re.MULTILINE)
    ] == []


def test_the_tests_that_prove_the_guarantees_exist() -> None:
    page = (ROOT / "docs/explanation/guarantees.md").read_text()
    named = re.findall(r"`(tests/[\w/.]+)`", page)
    assert len(named) > 20
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_messages_and_docstrings_name_pages_that_exist() -> None:
    named = set()
    for path in (ROOT / "src").rglob("*.py"):
        text = path.read_text()
        assert not re.search(r"docs/\w+\.md", text), f"{path}: an installed package has no such file"
        named.update(re.findall(r"\bpage\s+`(\w+)`", text))
        named.update(
            name for call in re.findall(r"\bpage\((.*?)\)", text) for name in re.findall(r"'(\w+)'", call)
        )
    assert named >= {"s3", "concurrency", "stores", "security"}
    assert [name for name in named if not (ROOT / f"docs/{name}.md").is_file()] == []
