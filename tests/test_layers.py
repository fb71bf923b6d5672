"""The layers: imports point one way and without circles; packages are used through their ``__init__``."""

from __future__ import annotations

import ast
import importlib
import os
import pkgutil
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import perkey

SOURCE = Path(perkey.__file__).parent
ROOT = SOURCE.parents[1]

# Their modules are their own affair: other packages import from the package itself.
CLOSED = frozenset((
    "perkey.dataspace.exchange",
    "perkey.dataspace.h5",
    "perkey.dataspace.search",
    "perkey.dataspace.space",
    "perkey.dataspace.sync",
    "perkey.files",
    "perkey.formats",
    "perkey.mapping",
    "perkey.query",
    "perkey.stores",
    "perkey.stores.folder",
    "perkey.stores.objects",
    "perkey.synced",
    "perkey.synced.backends",
))  # fmt: skip

# Modules that load libraries which most programs never need; a package's front must not load them.
ON_DEMAND = frozenset((
    "perkey.dataspace.exchange.discovery",
    "perkey.dataspace.exchange.export",
    "perkey.dataspace.exchange.importing",
    "perkey.dataspace.exchange.paths",
    "perkey.dataspace.exchange.views",
    "perkey.dataspace.h5.manager",
    "perkey.dataspace.h5.store",
    "perkey.files.trees",
    "perkey.stores.folder.cache",
    "perkey.stores.objects.boto",
    "perkey.stores.objects.obstore_s3",
    "perkey.stores.objects.obstore_url",
))  # fmt: skip

MOST_MODULES = 15
# One module for each command.
COMMANDS = ("cli", "cli/space")


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts of pyproject.toml for the package in a folder."""
    program = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONSAFEPATH": "", "NO_COLOR": "1"}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def module_name(path: Path, source: Path) -> str:
    parts = path.relative_to(source.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def imports(path: Path) -> Iterator[tuple[int, str, str]]:
    """Yield line, module and name of each import from perkey in a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").startswith("perkey")):
            for alias in node.names:
                yield node.lineno, "." * node.level + (node.module or ""), alias.name


def side_doors(source: Path) -> list[str]:
    """List the imports that reach into a closed package, or are relative."""
    found = []
    for path in sorted(source.rglob("*.py")):
        me = module_name(path, source)
        for line, module, name in imports(path):
            package = module.rpartition(".")[0]
            inside = me == package or me.startswith(f"{package}.")
            is_package = (source.parent / module.replace(".", "/")).is_dir()
            reaches_in = package in CLOSED and not inside and module not in ON_DEMAND and not is_package
            if module.startswith(".") or reaches_in:
                found.append(f"{path.relative_to(source)}:{line} imports {module}.{name}")
    return found


def private_names(source: Path) -> list[str]:
    """List the names with an underscore that are imported from another package."""
    return [
        f"{path.relative_to(source)}:{line} imports {module}.{name}"
        for path in sorted(source.rglob("*.py"))
        for line, module, name in imports(path)
        if name.startswith("_")
        and not name.startswith("__")
        and module.rpartition(".")[0] != module_name(path, source).rpartition(".")[0]
    ]


def crowded_folders(source: Path) -> list[str]:
    """List the folders with more modules than a reader keeps in mind, or with prefixes instead of folders."""
    found = []
    for folder in (source, *(path for path in source.rglob("*") if path.is_dir())):
        names = [path.stem for path in folder.glob("*.py") if path.stem not in {"__init__", "__main__"}]
        where = folder.relative_to(source).as_posix()
        if len(names) > MOST_MODULES and where not in COMMANDS:
            found.append(f"{where}: {len(names)} modules")
        words = Counter(name.partition("_")[0] for name in names if "_" in name)
        words.update({name: 1 for name in names if name in words})
        found += [f"{where}: {count} modules called {word}_..." for word, count in words.items() if count > 2]
    return found


def test_imports_point_one_way_and_in_no_circle() -> None:
    done = lint(SOURCE.parent)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("keys.py", "from perkey.stores import Store", "layers"),
        ("stores/base.py", "from perkey.dicts import FileDirDict", "layers"),
        ("query/__init__.py", "if TYPE_CHECKING:\n    from perkey.mapping import PersiDict", "layers"),
        ("files/locks.py", "from perkey.files import replacing", "circles"),
        (
            "dataspace/space/config.py",
            "def late():\n    from perkey.dataspace.project import Project",
            "layers",
        ),
    ],
)
def test_the_contracts_of_imports_fail_when_they_are_broken(
    module: str, line: str, contract: str, tmp_path: Path
) -> None:
    shutil.copytree(SOURCE, tmp_path / "perkey", ignore=shutil.ignore_patterns("__pycache__"))
    with open(tmp_path / "perkey" / module, "a") as file:
        file.write(f"\nfrom typing import TYPE_CHECKING\n{line}\n")
    done = lint(tmp_path)
    assert done.returncode == 1, done.stderr[-2000:]
    broken = [text for text in done.stdout.splitlines() if text.endswith("BROKEN")]
    assert any(contract in text for text in broken), done.stdout


def test_packages_are_entered_by_the_front_door() -> None:
    assert side_doors(SOURCE) == []
    assert private_names(SOURCE) == []


def test_the_rules_of_doors_see_what_breaks_them(tmp_path: Path) -> None:
    source = tmp_path / "perkey"
    (source / "files").mkdir(parents=True)
    (source / "files" / "__init__.py").write_text("from perkey.files.locks import lock\n")
    (source / "files" / "locks.py").write_text("from perkey.naming import _digest\n")
    (source / "dicts.py").write_text("from perkey.files.locks import lock\nfrom . import files\n")
    assert side_doors(source) == ["dicts.py:1 imports perkey.files.locks.lock", "dicts.py:2 imports ..files"]
    assert private_names(source) == ["files/locks.py:1 imports perkey.naming._digest"]


def test_folders_hold_few_modules_and_need_no_prefixes() -> None:
    assert crowded_folders(SOURCE) == []


def test_the_rule_of_folders_sees_what_breaks_it(tmp_path: Path) -> None:
    for number in range(16):
        (tmp_path / f"m{number}.py").touch()
    (tmp_path / "inner").mkdir()
    for name in ("sync_plan", "sync_files", "sync"):
        (tmp_path / "inner" / f"{name}.py").touch()
    assert crowded_folders(tmp_path) == [".: 16 modules", "inner: 3 modules called sync_..."]


def public_modules() -> list[str]:
    return sorted(found.name for found in pkgutil.walk_packages(perkey.__path__, "perkey.") if found.ispkg)


@pytest.mark.parametrize("name", ["perkey", *public_modules()])
def test_all_names_in_all_exist(name: str) -> None:
    module = importlib.import_module(name)
    public = set(getattr(module, "__all__", ()))
    assert public <= set(dir(module))
    assert all(getattr(module, each) is not None for each in public)
    assert not any(re.match("_[^_]", each) for each in public)
