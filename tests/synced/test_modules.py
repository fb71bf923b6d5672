"""How the modules of synced documents and of filters depend on each other."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest

import perkey
from perkey.dataspace import init_project
from perkey.synced import JSONDict

SOURCE = Path(perkey.__file__).parent
PACKAGES = ("synced", "query")


def name_of(path: Path) -> str:
    """Return the name of a module."""
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> Iterator[str]:
    """Yield the modules that a module imports, anywhere and for type checkers only, too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_imports_itself_through_others(package: str) -> None:
    modules = {name_of(path): path for path in SOURCE.joinpath(package).rglob("*.py")}
    graph = {name: modules.keys() & set(imports_of(path)) for name, path in modules.items()}
    assert list(TopologicalSorter(graph).static_order())  # raises CycleError


def test_other_packages_import_from_the_package_only() -> None:
    wrong = [
        f"{path.relative_to(SOURCE)} imports {module}"
        for path in SOURCE.rglob("*.py")
        for module in imports_of(path)
        for package in PACKAGES
        if module.startswith(f"perkey.{package}.")
        and path.relative_to(SOURCE).parts[0] != package
        and SOURCE.parent.joinpath(*module.split(".")).with_suffix(".py").exists()
    ]
    assert wrong == []


def entered(function: Callable[[], object]) -> set[str]:
    """Return the modules of `perkey.synced` whose functions a call calls."""
    found = set()

    def note(frame: Any, event: str, _: object) -> None:
        if event == "call":
            found.add(frame.f_code.co_filename)

    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(None)
    return {name_of(Path(path)) for path in found if Path(path).is_relative_to(SOURCE / "synced")}


def test_a_reader_of_the_code_finds_an_edit_in_few_modules(tmp_path: Path) -> None:
    project = init_project(path=tmp_path, durability="none")
    for document in (JSONDict(tmp_path / "a.json"), project.open_job({"a": 1}).init().doc):
        document["n"] = 0
        assert len(entered(lambda: document.__setitem__("n", 1))) <= 5  # noqa: B023 - called at once
        assert len(entered(lambda: document["n"])) <= 5  # noqa: B023
