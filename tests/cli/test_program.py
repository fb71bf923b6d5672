"""The program itself: each command as a process, errors, pipes, interruptions, what is not rebuilt."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import perkey
from perkey.dataspace import Job, Project

from .conftest import Run, is_one_line

PROGRAM = Path(sys.executable).parent / "perkey"


def test_every_printing_command_runs(jobs: list[Job], program: Run) -> None:
    first = jobs[0].id
    commands = [
        ["project"],
        ["find", '{"a": 0}', "--sp"],
        ["job", '{"a": 0}'],
        ["statepoint", first],
        ["document", first],
        ["diff"],
        ["schema"],
        ["config", "show"],
        ["shell", "-c", "print(project)"],
    ]
    for words in commands:
        answer = program("space", *words)
        assert (answer.code, answer.err) == (0, ""), words
        assert answer.out, words


def test_every_changing_command_runs(project: Project, jobs: list[Job], other: Project, program: Run) -> None:
    commands = [
        ["init", "study"],
        ["config", "set", "section.key", "value"],
        ["config", "verify"],
        ["update-cache"],
        ["clone", other.path, jobs[0].id],
        ["move", other.path, jobs[1].id],
        ["rm", "-v", jobs[2].id],
    ]
    for words in commands:
        answer = program("space", *words)
        assert (answer.code, answer.out) == (0, ""), words
        assert answer.err, words
    assert (list(project), len(other)) == ([jobs[0]], 2)


def test_find_feeds_xargs(jobs: list[Job], program: Run) -> None:
    line = f"{PROGRAM} space find a.\\$gt 0 | xargs {PROGRAM} space statepoint --json"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True)
    assert jobs[1].id in done.stdout
    assert jobs[0].id not in done.stdout


@pytest.mark.parametrize("words", [["space", "find"], ["space", "--help"]], ids=str)
def test_a_reader_that_goes_away_is_no_error(project: Project, words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run([PROGRAM, *words], stdout=writing, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(writing)
    assert done.stderr == b""
    assert done.returncode == 1


def test_an_interruption_shows_no_traceback(project: Project) -> None:
    code = "print('ready', flush=True); import time; time.sleep(60)"
    with subprocess.Popen(
        [PROGRAM, "space", "shell", "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.split() == ["perkey:", "interrupted"]


INTERRUPTING = """
import os, signal, sys

class Interrupt:  # as a module is looked for
    def find_spec(self, name, path=None, target=None):
        if name == interrupted:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

interrupted = sys.argv.pop(1)
sys.meta_path.insert(0, Interrupt())
signal.signal(signal.SIGINT, signal.default_int_handler)
"""


def installed_program() -> str:
    """Return what the installed script runs."""
    project = tomllib.loads((Path(perkey.__file__).parents[2] / "pyproject.toml").read_text())["project"]
    module, _, function = project["scripts"]["perkey"].partition(":")
    return f"from {module} import {function}\nsys.exit({function}())"


@pytest.mark.parametrize(
    "module",
    ["perkey", "perkey.errors", "perkey.files", "lz4.frame", "perkey.dicts.local", "perkey.cli", "click"],
)
def test_an_interruption_while_perkey_is_imported_shows_no_traceback(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTING + installed_program(), module, "--version"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "perkey: interrupted\n")


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        ([], "cli"),
        (["space"], "cli"),
        (["space", "view"], "cli"),
        (["view", "p"], "view"),
        (["-q", "view", "p"], "view"),
    ],
)
def test_without_the_extra_one_line_says_how_to_get_it(words: list[str], extra: str) -> None:
    code = "import sys; sys.modules['click'] = None; from perkey.cli import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"pip install 'perkey[{extra}]'" in done.stderr
    assert is_one_line(done.stderr)


def test_the_extra_of_the_viewer_brings_the_program() -> None:
    project = tomllib.loads((Path(perkey.__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert "perkey[cli]" in project["optional-dependencies"]["view"]


def test_it_is_also_a_module(project: Project) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "perkey.cli", "--version"], capture_output=True, text=True, check=True
    )
    assert perkey.__version__ in done.stdout


@pytest.mark.parametrize("words", [[], ["space"], ["space", "config"]], ids=str)
def test_without_a_command_it_helps(program: Run, words: list[str]) -> None:
    answer = program(*words)
    assert (answer.out + answer.err).startswith(" ".join(["Usage: perkey", *words]))


def test_outside_of_a_project(tmp_path: Path, space: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    answer = space("find")
    assert answer.code == 1
    assert is_one_line(answer.err)
    with pytest.raises(LookupError):
        space("find", options=("--debug",))


def test_a_project_elsewhere(
    project: Project, tmp_path: Path, space: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for option in ("-C", "--project"):
        assert len(space(option, project.path, "find").words) == 3


@pytest.mark.parametrize(
    "words", [["nope"], ["find", "--nope"], ["schema", "-t"], ["schema", "-f"], ["schema", "-t", "x"]]
)
def test_a_wrong_command_line(project: Project, space: Run, words: list[str]) -> None:
    answer = space(*words)
    assert answer.code == 2
    assert is_one_line(answer.err)
    assert "--help" in answer.err


@pytest.mark.parametrize(
    "command",
    [
        "init",
        "job",
        "find",
        "statepoint",
        "document",
        "diff",
        "schema",
        "view",
        "rm",
        "move",
        "clone",
        "sync",
        "export",
        "import",
        "project",
        "config",
        "update-cache",
        "shell",
    ],
)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_every_command_has_help_and_is_listed(space: Run, command: str, option: str) -> None:
    answer = space(command, option)
    assert answer.code == 0
    assert answer.out.startswith(f"Usage: perkey space {command}")
    assert f"  {command} " in space("--help").out


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (["index"], "find_jobs"),
        (["index", "-t", "tag", "--", "root"], "find_jobs"),
        (["find", "-i", "file"], "find_jobs"),
        (["find", "--index", "file"], "find_jobs"),
        (["document", "--index", "file"], "find_jobs"),
        (["view", "-i", "file"], "find_jobs"),
        (["view", "--index", "file"], "find_jobs"),
        (["project", "-i"], "find_jobs"),
        (["project", "--index"], "find_jobs"),
        (["project", "-a"], "find_jobs"),
        (["project", "--access"], "find_jobs"),
        (["config", "host", "name", "uri"], "database"),
    ],
    ids=str,
)
def test_what_is_not_rebuilt_says_what_replaces_it(
    project: Project, space: Run, words: list[str], advice: str
) -> None:
    answer = space(*words)
    assert answer.code == 2
    assert is_one_line(answer.err)
    assert "not part of perkey" in answer.err
    assert advice in answer.err
