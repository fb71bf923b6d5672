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
from perkey.errors import counted

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


@pytest.mark.parametrize(("module", "most"), [("perkey.synced", 77), ("perkey.cli", 64)])
def test_importing_a_part_loads_few_modules(module: str, most: int) -> None:
    """Searches, and the hashes and encodings of single backends, are loaded when they are used."""
    late = "_hashlib hashlib base64 perkey.query perkey.dataspace click rich numpy redis pymongo zarr logging"
    code = f"import sys, {module}; print([m for m in {late.split()} if m in sys.modules])"
    assert run(code) == "[]"
    count = f"import sys, {module}; print(sum(m.startswith('perkey') for m in sys.modules))"
    assert int(run(count)) <= most


THINGS = {"attempt", "bar", "chart", "change", "machine", "member", "place", "point", "range", "worker"}
"""What may be counted besides what is."""


def texts_with_counts(sources: dict[str, str]) -> set[str]:
    """Return the placeholders that stand before a plural in sources and templates."""
    calls = re.compile(r"""(?:counted|plural)\([^"']*["'](?:more |other )?(\w+)["']""")
    things = THINGS.union(*(calls.findall(text) for text in sources.values()))
    plurals = "|".join(counted(2, thing).removeprefix("2 ") for thing in things)
    found = re.compile(rf"\{{+[^{{}}!\n]*\}}+ (?:more |other )?(?:{plurals})\b")
    return {f"{name}: {text}" for name, source in sources.items() for text in found.findall(source)}


def test_no_count_stands_before_a_plural_though_it_may_be_one() -> None:
    """Texts that users read have their counts from `counted`, which knows of one."""
    paths = [path for end in ("py", "html") for path in SOURCE.rglob(f"*.{end}")]
    found = texts_with_counts({str(path.relative_to(SOURCE)): path.read_text() for path in paths})
    assert found == {
        # Of several, always.
        "cli/doctor.py: {len(machines)} machines",
        "cli/doctor.py: {with_others - 1} other machines",
        "dataspace/exchange/paths.py: {len(clashing)} jobs",
        "dataspace/search/showing.py: {len(looked):,} jobs",
        "dataspace/space/space.py: {len(found)} jobs",
        "tools/meeting.py: {different[0]['machines']} machines",
        "tools/meeting.py: {expected} machines",
        "tools/meeting.py: {len(present)} machines",
        "tools/racing.py: {acknowledged} increments",
        "tools/racing.py: {len(winners)} keys",
        "viewer/charts/bars.py: {len(finite):,} bars",
        "viewer/charts/parallels.py: {len(strands):,} lines",
        "viewer/charts/planes.py: {kept:,} points",
        "viewer/charts/planes.py: {last} other groups",
        "viewer/spaces/plots.py: {len(axes)} values",
        "viewer/templates/space_schema.html: {{ each.count }} values",
        # A limit of more than one.
        "viewer/images.py: {step} rows",
        "viewer/spaces/files.py: {LONGEST_ARRAY:,} values",
        "viewer/spaces/reader.py: {size:,} bytes",
        "viewer/values.py: {_HEX} bytes",
        "formats/guarded.py: {_LEAST_SECRET} bytes",
        "testing/streams.py: {len(content)} bytes",
        # As signac writes it, for programs.
        "cli/space/sync.py: {stats.volume} bytes",
        # No count, but a name.
        "mapping/items.py: {of_format.__name__} values",
        "viewer/templates/dict_keys_part.html: {% endif %} keys",
        # Where there is only one there is another text.
        "errors.py: {self.count} attempts",
    }


@pytest.mark.parametrize(
    "text", ["{n} items", "{len(d):,} items", "{{ total }} jobs", "{count} more columns", "{sum(x)} entries"]
)
def test_any_count_before_a_plural_is_seen(text: str) -> None:
    known = 'counted(1, "item"), counted(1, "job"), counted(1, "more column"), counted(1, "entry")'
    assert texts_with_counts({"a.py": f"{known}, f'there are {text}.'"}) == {f"a.py: {text}"}


def test_a_count_agrees_with_its_word() -> None:
    for thing, things in (("item", "items"), ("entry", "entries"), ("key", "keys")):
        assert [counted(number, thing) for number in (0, 1, 2, 1000)] == [
            f"0 {things}",
            f"1 {thing}",
            f"2 {things}",
            f"1,000 {things}",
        ]


def test_every_public_name_exists_and_is_documented() -> None:
    for name in perkey.__all__:
        thing = getattr(perkey, name)
        assert not isinstance(thing, type) or thing.__doc__, name
