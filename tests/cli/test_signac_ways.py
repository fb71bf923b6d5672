"""Command lines written for signac do the same here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.conftest import Run
from perkey import __version__
from perkey.cli import main
from perkey.dataspace import Job, Project


def test_options_for_all_commands_come_before_or_after_space(project: Project, program: Run) -> None:
    for before, after in (([], ["-v"]), (["-v"], []), ([], ["--verbosity"]), ([], ["--verb"])):
        assert "filter: {'a': 1}" in program(*before, "space", *after, "find", '{"a": 1}').err
    for words in (["--version"], ["space", "--version"], ["space", "--vers"]):
        assert __version__ in program(*words).out


def test_yes_after_space_answers_questions(jobs: list[Job], program: Run) -> None:
    assert program("space", "-y", "rm", "-i", jobs[0].id).code == 0
    assert jobs[0] not in jobs[0].project


def test_debug_after_space_shows_where_an_error_occurred(project: Project, program: Run) -> None:
    for words in (["space", "--debug"], ["--debug", "space"], ["space", "--deb"]):
        err = program(*words, "find", '{"a": {"$nope": 1}}').err
        assert "Traceback" in err
        assert "unknown operator" in err
    assert "Traceback" not in program("space", "find", '{"a": {"$nope": 1}}').err
    assert program("space", "find", '{"a": {"$nope": 1}}', "--doc", "--debug").code == 2


def test_abbreviated_options_are_spelled_out(jobs: list[Job], space: Run) -> None:
    first = jobs[0].id
    for short, full in (
        (["document", "--pre", "1", first], ["document", "--pretty", "1", first]),
        (["find", '{"a": 1}', "--one", "--sp"], ["find", '{"a": 1}', "--one-line", "--sp"]),
        (["schema", "--exc"], ["schema", "--exclude-const"]),
        (["schema", "--dep=1"], ["schema", "--depth=1"]),
        (["diff", "--filt", "a", "1"], ["diff", "--filter", "a", "1"]),
        (["config", "--loc", "show"], ["config", "--local", "show"]),
    ):
        found, wanted = space(*short), space(*full)
        assert (found.code, found.out) == (0, wanted.out), short
    answer = space("sync", "--s", "x")
    assert answer.code == 2
    assert "--s" in answer.err
    assert space("find", "--", "--one", "1").code == 0


def test_job_reads_the_standard_input_for_a_dash(
    project: Project, space: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.path)
    for words in ([], ["-"], ["-", "-c"]):
        done = subprocess.run(
            [sys.executable, "-m", "perkey.cli", "space", "job", *words],
            input='{"a": 17}',
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == project.open_job({"a": 17}).id
    assert project.open_job({"a": 17}) in project
    path = project.open_job({"a": 17}).path
    for option in ("-p", "--path", "-w", "--workspace"):
        assert space("job", option, '{"a": 17}').out.strip() == path


def test_view_takes_its_folder_as_an_option(jobs: list[Job], space: Run, tmp_path: Path) -> None:
    for number, words in enumerate((["-p"], ["--prefix"])):
        folder = tmp_path / str(number)
        assert space("view", *words, str(folder), "x/{a}").code == 0
        assert sorted(os.listdir(folder / "x")) == ["0", "1", "2"]
    assert space("view", "-p").code == 0
    assert space("view", "a", "b", "-p", "c").code == 2
    answer = space("view", "x/{a}")
    assert answer.code == 2
    assert "--prefix" in answer.err


def test_neighbors_are_printed(project: Project, space: Run) -> None:
    a, b, c = (project.open_job({"a": n, "b": -n, "k": 1}).init() for n in range(3))
    assert space("neighbors", a.id[:8]).out == "{}\n"
    assert space("neighbors", b.id, "--ignore", "b").out.count(a.id) == 1
    found = json.loads(space("neighbors", b.id, "--ignore", "b", "--json").out)
    assert found == {b.id: {"a": {"0": a.id, "2": c.id}}}
    assert space("neighbors", "zzz").code == 1
    assert space("neighbors", b.id, "--ignore", "a", "b").code == 1


def test_migrating_does_nothing(project: Project, program: Run, tmp_path: Path) -> None:
    files = sorted(tmp_path.rglob("*"))
    answer = program("space", "migrate", "-y", "-r", project.path)
    assert answer.code == 0
    assert "Nothing to do" in answer.err
    assert sorted(tmp_path.rglob("*")) == files


def test_init_refuses_a_path(program: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    answer = program("space", "init", "a/b")
    assert answer.code == 2
    assert "perkey space -C a/b init" in answer.err
    assert os.listdir(tmp_path / "empty") == []


@pytest.mark.parametrize(
    ("program_text", "code", "err"),
    [
        ("import sys; sys.exit()", 0, ""),
        ("raise SystemExit", 0, ""),
        ("raise SystemExit(0)", 0, ""),
        ("import sys; sys.exit(3)", 3, ""),
        ("import sys; sys.exit(True)", 1, ""),
        ("import sys; sys.exit('no data')", 1, "no data\n"),
        ("raise SystemExit(1.5)", 1, "1.5\n"),
    ],
)
@pytest.mark.parametrize("way", ["-c", "file", "typed", "stdin"])
def test_the_shell_ends_as_python_does(
    project: Project, tmp_path: Path, program_text: str, code: int, err: str, way: str
) -> None:
    file = tmp_path / "program.py"
    file.write_text(program_text)
    words = {"-c": ["-c", program_text], "file": [str(file)], "typed": [], "stdin": ["-"]}[way]
    done = subprocess.run(
        [sys.executable, "-m", "perkey.cli", "space", "-C", project.path, "shell", *words],
        input=program_text + "\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert done.stderr.endswith(err) if way == "typed" else done.stderr == err


def test_main_returns_the_code_of_a_program(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project.path)
    assert main(["space", "shell", "-c", "raise SystemExit('why')"]) == 1
    assert capsys.readouterr().err == "why\n"
