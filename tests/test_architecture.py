"""The house keeps its plan: imports point one way, nothing heavy is loaded, modules stay small."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import perkey

SOURCE = Path(perkey.__file__).parent

# Each room may import from its own and earlier ones only.
ROOMS = [
    {
        "answers",
        "arguments",
        "errors",
        "handles",
        "keys",
        "jokers",
        "content",
        "pages",
        "parallel",
        "retrying",
        "showing",
        "waiting",
    },
    {"naming", "expectations", "query", "formats"},
    {"files"},
    {"stores"},
    {"mapping"},
    {"dicts"},
    {"tools"},
    {"synced"},
    {"dataspace"},
    {"aio", "integrations", "viewer"},
    {"cli"},
    {"testing"},
]
FLOOR = {room: number for number, rooms in enumerate(ROOMS) for room in rooms}


def modules() -> Iterator[Path]:
    return (path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


def room_of(path: Path) -> str:
    relative = path.relative_to(SOURCE)
    return relative.parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module] if node.module != "perkey" else [f"perkey.{a.name}" for a in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            if name.startswith("perkey."):
                room = name.split(".")[1]
                # A public name, such as FileDirDict, comes with all dictionaries.
                yield room if room in FLOOR else "dicts"


def type_checking_only(path: Path) -> set[str]:
    """Imports that exist for type checkers only do not couple rooms at run time."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for inner in ast.walk(node):
                if isinstance(inner, ast.ImportFrom) and inner.module and inner.module.startswith("perkey."):
                    found.add(inner.module.split(".")[1])
    return found


def test_every_module_has_a_room() -> None:
    assert {room_of(path) for path in modules()} <= set(FLOOR)


def test_imports_point_one_way() -> None:
    wrong = [
        f"{path.relative_to(SOURCE)} imports {room}"
        for path in modules()
        for room in imported_rooms(path)
        if FLOOR[room] > FLOOR[room_of(path)] and room not in type_checking_only(path)
    ]
    assert wrong == []


def test_stores_know_nothing_of_values_and_formats_nothing_of_stores() -> None:
    for path in modules():
        rooms = set(imported_rooms(path))
        if room_of(path) == "stores":
            assert not rooms & {"formats", "jokers"}, path
        if room_of(path) == "formats":
            assert "stores" not in rooms, path


def test_descriptors_are_opened_where_no_interrupt_can_lose_them() -> None:
    """The value of a call can be lost before it is assigned; `Handle` and `use` open within a call in C."""
    losing = {"open", "dup", "dup2", "fdopen", "pipe", "openpty", "mkstemp", "memfd_create"}
    wrong = [
        f"{path.relative_to(SOURCE)}:{node.lineno}"
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and ast.unparse(node.func.value) in {"os", "tempfile"}
        and node.func.attr in losing
        # It redirects a descriptor that a handle owns already.
        and (path.name, node.func.attr) != ("folder.py", "dup2")
    ]
    assert wrong == []


def test_no_module_has_outgrown_its_idea() -> None:
    large = {path.name: lines for path in modules() if (lines := path.read_text().count("\n")) > 900}
    assert large == {}


def run(code: str, **environment: str) -> str:
    environment = {**os.environ, "PYTHONPATH": "", **environment}
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment
    )
    return done.stdout.strip()


def test_importing_loads_nothing_heavy() -> None:
    heavy = "numpy pandas boto3 joblib jsonpickle pytest sklearn matplotlib logging _hashlib shutil queue"
    assert run(f"import sys, perkey; print([m for m in {heavy.split()} if m in sys.modules])") == "[]"


def test_importing_loads_at_most_70_modules_of_perkey() -> None:
    """Each costs about half a millisecond; what few programs need is loaded when it is used."""
    assert int(run("import sys, perkey; print(sum(m.startswith('perkey') for m in sys.modules))")) <= 70


@pytest.mark.parametrize(("module", "most"), [("perkey.synced", 76), ("perkey.cli", 63)])
def test_importing_a_part_loads_few_modules(module: str, most: int) -> None:
    """Searches, and the hashes and encodings of single backends, are loaded when they are used."""
    late = "_hashlib hashlib base64 perkey.query perkey.dataspace click rich numpy redis pymongo zarr logging"
    code = f"import sys, {module}; print([m for m in {late.split()} if m in sys.modules])"
    assert run(code) == "[]"
    count = f"import sys, {module}; print(sum(m.startswith('perkey') for m in sys.modules))"
    assert int(run(count)) <= most


def test_counts_agree_with_their_words() -> None:
    """A number before a plural in a text that users read is written by `counted`, which knows of one."""
    words = "items|tasks|faults|conflicts|keys|columns|rows|entries|more items"
    found = re.compile(rf"\{{[^{{}}]*(?:len\(|\|count|count_text)[^{{}}]*\}}+ (?:{words})\b")
    folders = [SOURCE / "cli", SOURCE / "viewer", SOURCE / "tools", SOURCE / "mapping", SOURCE / "formats"]
    texts = [path for each in folders for path in (*each.rglob("*.py"), *each.rglob("*.html"))]
    assert len(texts) > 100
    assert {f"{path.name}: {text}" for path in texts for text in found.findall(path.read_text())} == {
        # Of several keys, always.
        "racing.py: {len(winners)} keys",
    }
    assert perkey.errors.counted(1, "entry") == "1 entry"


def test_every_public_name_exists_and_is_documented() -> None:
    for name in perkey.__all__:
        thing = getattr(perkey, name)
        assert not isinstance(thing, type) or thing.__doc__, name
