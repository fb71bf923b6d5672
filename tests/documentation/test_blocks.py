"""Every block of code that people read works: in the README, the documentation, and docstrings."""

from __future__ import annotations

import ast
import contextlib
import doctest
import io
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE, STDOUT
from typing import Any

import pytest

from documentation.pages import ROOT, Block, blocks, pages

pytest.importorskip("moto")
from moto import mock_aws

RUN = {"python", "console", "json"}
"""Languages whose blocks this module runs."""

SHOWN = {"text"}
"""Languages of what is not code: output, or a drawing."""

OPTIONS = doctest.ELLIPSIS


@pytest.fixture
def _reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The place of a reader who types what the page shows: a folder of their own, and buckets."""
    folder = tmp_path / "study"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(ROOT / "examples")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with mock_aws():
        yield


def run(page: str, here: Path) -> int:
    """Run the blocks of a page in their order, in one namespace; return how many there are."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    saved: list[str] = []
    commands = "".join(block.text for block in blocks(page) if block.language in {"console", "bash"})
    count = 0
    for block in blocks(page):
        count += block.language in RUN and not block.is_recipe
        if block.is_recipe:
            continue
        if block.language == "json":
            json.loads(block.text)
        elif block.language == "console":
            run_commands(block, here)
        elif block.language == "python" and block.title:
            Path(block.title).write_text(block.text)
            saved.append(block.title)
        elif block.language == "python" and block.text.startswith(">>> "):
            run_session(block, namespace)
        elif block.language == "python":
            run_program(block, namespace)
    assert [title for title in saved if title not in commands] == [], "saved, and not run by a command"
    return count


def run_session(block: Block, namespace: dict[str, Any]) -> None:
    """Run a block of `>>>` lines."""
    test = doctest.DocTestParser().get_doctest(block.text, {}, str(block), block.page, block.line)
    test.globs = namespace
    report = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    runner.run(test, out=report.write, clear_globs=False)
    assert runner.failures == 0, report.getvalue()


def run_program(block: Block, namespace: dict[str, Any]) -> None:
    """Run a block without prompts; what it prints is in its comments that begin with `# >>> `."""
    program = block.text.replace("time.sleep(1)", "time.sleep(0)")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile("\n" * block.line + program, block.page, "exec"), namespace)
    shown = re.findall(r"^ *# >>> (.*)$", program, re.MULTILINE)
    assert_shown("\n".join([*shown, ""] if shown else []), printed.getvalue(), block)


def run_commands(block: Block, here: Path) -> None:
    """Run the commands of a block, each after `$ `; what follows them is what they print."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        done = subprocess.run(
            ["sh", "-c", command], stdout=PIPE, stderr=STDOUT, text=True, check=False, timeout=100
        )
        assert done.returncode == 0, (command, done.stdout)
        assert_shown(output, done.stdout.replace(str(here), "/tmp"), command)


def assert_shown(shown: str, printed: str, what: object) -> None:
    printed = printed if printed.endswith("\n") or not printed else f"{printed}\n"
    assert doctest.OutputChecker().check_output(shown, printed, OPTIONS), f"{what}\n{shown}\n---\n{printed}"


@pytest.mark.usefixtures("_reader")
@pytest.mark.parametrize("page", [page for page in pages() if any(blocks(page))])
def test_each_block_of_a_page_works(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] in {"signac", "flow"}]:
        monkeypatch.delitem(sys.modules, name)  # a page begins as a new program does
    run(page, tmp_path)


def test_there_are_blocks_to_run() -> None:
    found = [block for page in pages() for block in blocks(page)]
    assert sum(block.language in RUN for block in found) > 60
    fences = sum((ROOT / page).read_text().count("```") for page in pages())
    assert fences == 2 * len(found), "a fence that the search for blocks does not see"


def test_no_block_is_of_a_language_that_is_not_run() -> None:
    """Commands in bash are run by other tests or by CI; commands in sh install something."""
    for page in pages():
        for block in blocks(page):
            if block.language == "bash":
                assert block.page in RUN_ELSEWHERE, block
            elif block.language == "sh":
                lines = block.text.splitlines()
                assert all(re.match(r"(pip install |cd |git clone |#)", line) for line in lines), block
            else:
                assert block.language in RUN | SHOWN, block
            has_commands = re.search(r"^(\$|>>>) ", block.text, re.MULTILINE) is not None
            assert block.is_excused == (block.language in SHOWN and has_commands), block


RUN_ELSEWHERE = {"README.md": ".ci/run", "docs/compute_once.md": "tests/test_readme.py"}


def test_commands_of_the_readme_are_run_by_ci() -> None:
    ci = (ROOT / ".ci/run").read_text().replace('"$work/plain/bin/python"', "python")
    for block in blocks("README.md"):
        if block.language == "bash":
            command = block.text.strip().split(" && ")[-1]
            assert command in ci, command


def test_recipes_are_where_their_tests_look_for_them() -> None:
    found = {page for page in pages() for block in blocks(page) if block.is_recipe}
    assert found == {"docs/joblib.md", "docs/dask.md", "docs/ray.md"}


def test_each_extra_that_is_named_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = set()
    for path in [*map(ROOT.joinpath, pages()), *(ROOT / "src").rglob("*.py")]:
        for extras in re.findall(r"(?:perkey|\.)\[([a-z,0-9]+)\]'?", path.read_text()):
            named.update(extras.split(","))
    assert named > {"aws", "cli", "dev"}
    assert named - set(project["optional-dependencies"]) == set()


# --- Docstrings ---------------------------------------------------------------------------------------


def docstrings() -> Iterator[tuple[str, str]]:
    """Yield place and text of each docstring of the package."""
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    for path in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, kinds) and (text := ast.get_docstring(node)):
                yield f"{path.relative_to(ROOT)}: {getattr(node, 'name', '')}", text


CODE = re.compile(r"^ *```|::$|^ *(from [\w.]+ )?import \w", re.MULTILINE)
"""Code that is not an example of doctest, which the tests run (`--doctest-modules`)."""


def test_code_in_docstrings_is_run_by_doctest() -> None:
    assert [place for place, text in docstrings() if CODE.search(text)] == []


def test_docstrings_with_examples_are_found_by_doctest() -> None:
    """doctest looks into functions, classes and modules; it skips examples of names made in other ways."""
    examples = [place for place, text in docstrings() if ">>> " in text]
    assert len(examples) > 20
