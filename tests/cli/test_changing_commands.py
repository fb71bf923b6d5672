"""The commands that change something: init, rm, move, clone, config, update-cache; and shell."""

from __future__ import annotations

from pathlib import Path

import pytest

from perkey.dataspace import Job, Project, get_project

from .conftest import Run, is_one_line

# --- init -----------------------------------------------------------------------------------------------


def test_init(tmp_path: Path, space: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert space("init", "name").code == 0
    assert get_project(tmp_path).id == "name"
    answer = space("init", "another")
    assert answer.code == 1
    assert is_one_line(answer.err)


@pytest.mark.parametrize("option", ["-w", "--workspace"])
def test_init_with_another_workspace(tmp_path: Path, space: Run, option: str) -> None:
    assert space("-C", str(tmp_path / "new"), "init", "name", option, "jobs").code == 0
    assert get_project(tmp_path / "new").workspace == str(tmp_path / "new" / "jobs")


# --- rm -------------------------------------------------------------------------------------------------


def test_rm(project: Project, jobs: list[Job], space: Run) -> None:
    assert space("rm", jobs[0].id, jobs[1].id[:10]).code == 0
    assert list(project) == [jobs[2]]


@pytest.mark.parametrize("option", ["-c", "--clear"])
def test_rm_clears(project: Project, jobs: list[Job], space: Run, option: str) -> None:
    assert space("rm", option, jobs[1].id).code == 0
    assert jobs[1] in project
    assert project.open_job(id=jobs[1].id).document() == {}


@pytest.mark.parametrize("option", ["-i", "--interactive"])
def test_rm_asks(project: Project, jobs: list[Job], space: Run, option: str) -> None:
    answer = space("rm", option, *(job.id for job in jobs), stdin="y\nn\ny\n")
    assert answer.code == 0
    assert answer.err.count("[y/N]") == 3
    assert list(project) == [jobs[1]]
    assert space("rm", option, jobs[1].id, options=("-y",)).code == 0
    assert len(project) == 0


def test_rm_does_nothing_if_nobody_answers(project: Project, jobs: list[Job], space: Run) -> None:
    answer = space("rm", "-i", jobs[0].id, stdin="")
    assert answer.code == 1
    assert len(project) == 3


@pytest.mark.parametrize("option", ["-v", "--verbose"])
def test_rm_says_what_it_does(jobs: list[Job], space: Run, option: str) -> None:
    assert jobs[0].path in space("rm", option, jobs[0].id).err
    assert space("rm", jobs[1].id).err == ""


def test_rm_removes_nothing_if_a_job_is_not_there(project: Project, jobs: list[Job], space: Run) -> None:
    answer = space("rm", jobs[0].id, "nope")
    assert answer.code == 1
    assert len(project) == 3


def test_rm_wants_to_know_what(project: Project, space: Run) -> None:
    answer = space("rm")
    assert answer.code == 2
    assert is_one_line(answer.err)


# --- move and clone -------------------------------------------------------------------------------------


def test_move(project: Project, jobs: list[Job], other: Project, space: Run) -> None:
    assert space("move", other.path, jobs[0].id, jobs[1].id).code == 0
    assert set(other) == {other.open_job(id=job.id) for job in jobs[:2]}
    assert list(project) == [jobs[2]]


def test_clone(project: Project, jobs: list[Job], other: Project, space: Run) -> None:
    assert space("clone", other.path, "-", stdin=jobs[1].id).code == 0
    assert other.open_job(id=jobs[1].id).document() == jobs[1].document()
    assert len(project) == 3


@pytest.mark.parametrize("command", ["move", "clone"])
def test_what_is_there_already_is_told_and_the_rest_is_done(
    jobs: list[Job], other: Project, space: Run, command: str
) -> None:
    other.clone(jobs[0])
    answer = space(command, other.path, *(job.id for job in jobs))
    assert answer.code == 1
    assert [line for line in answer.err.splitlines() if "exists" in line and jobs[0].id in line]
    assert len(other) == 3


@pytest.mark.parametrize("command", ["move", "clone"])
def test_to_no_project(jobs: list[Job], tmp_path: Path, space: Run, command: str) -> None:
    answer = space(command, str(tmp_path), jobs[0].id)
    assert answer.code == 1
    assert is_one_line(answer.err)


# --- config ---------------------------------------------------------------------------------------------


def test_config_show(project: Project, space: Run) -> None:
    assert space("config", "show").out == "project = study\nschema_version = 2\n"
    assert space("config", "show", "project").out == "study\n"
    assert space("config", "show", "--json").json == {"project": "study", "schema_version": "2"}
    assert is_one_line(space("config", "show", "nope").err)


@pytest.mark.parametrize("option", ["-l", "--local"])
def test_config_of_the_project(project: Project, space: Run, home: Path, option: str) -> None:
    assert space("config", option, "set", "section.key", "some", "words").code == 0
    assert space("config", option, "show", "section.key").out == "some words\n"
    assert space("config", option, "verify").code == 0
    assert not (home / ".signacrc").exists()


@pytest.mark.parametrize("option", ["-g", "--global"])
def test_config_of_the_user(project: Project, space: Run, home: Path, option: str) -> None:
    assert space("config", option, "show").out == ""
    assert space("config", option, "set", "key", "value").code == 0
    assert (home / ".signacrc").read_text() == "key = value\n"
    assert space("config", option, "show").out == "key = value\n"
    assert "key = value" in space("config", "show").out
    assert "key" not in space("config", "-l", "show").out


@pytest.mark.parametrize("option", ["-f", "--force"])
def test_config_refuses_what_cannot_be_used(project: Project, space: Run, option: str) -> None:
    answer = space("config", "set", "schema_version", "99")
    assert answer.code == 1
    assert is_one_line(answer.err)
    assert space("config", "verify").code == 0
    assert space("config", option, "set", "schema_version", "99").code == 0
    assert space("config", "verify").code == 1


def test_config_of_both(project: Project, space: Run) -> None:
    assert space("config", "-g", "-l", "show").code == 2


def test_config_outside_of_a_project(tmp_path: Path, space: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert space("config", "show").code == 0
    assert is_one_line(space("config", "set", "a", "b").err)


# --- update-cache and shell -----------------------------------------------------------------------------


def test_update_cache(project: Project, space: Run) -> None:
    answer = space("update-cache")
    assert answer.code == 0
    assert "size=3" in answer.err
    assert Path(project.path, ".signac", "statepoint_cache.json.gz").exists()


@pytest.mark.parametrize("option", ["-c", "--command"])
def test_shell_runs_a_program(project: Project, space: Run, option: str) -> None:
    code = "print(project == pr, len(jobs), job, perkey.__name__)"
    assert space("shell", option, code).out == "True 3 None perkey\n"


@pytest.mark.parametrize(
    "words",
    [
        ["-f", "a", "1"],
        ["--filter", "a", "1"],
        ["-d", "result.value", "1.5"],
        ["--doc-filter", "result.value", "1.5"],
    ],
    ids=str,
)
def test_shell_with_one_job(jobs: list[Job], space: Run, words: list[str]) -> None:
    assert space("shell", "-c", "print(job, *jobs)", *words).words == [jobs[1].id] * 2


def test_shell_in_a_project_of_one_job(project: Project, jobs: list[Job], space: Run) -> None:
    for job in jobs[1:]:
        job.remove()
    assert space("shell", "-c", "print(job, *jobs)").words == [jobs[0].id] * 2


@pytest.mark.parametrize("option", ["-j", "--job-id"])
def test_shell_with_jobs_by_id(jobs: list[Job], space: Run, option: str) -> None:
    answer = space("shell", "-c", "print(job, *jobs)", option, jobs[0].id, jobs[1].id)
    assert answer.words == ["None", jobs[0].id, jobs[1].id]


def test_shell_in_the_folder_of_a_job(jobs: list[Job], space: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(jobs[1].path)
    assert space("shell", "-c", "print(job)").words == [jobs[1].id]


def test_shell_runs_a_file(project: Project, space: Run, tmp_path: Path) -> None:
    file = tmp_path / "script.py"
    file.write_text("print(__name__, len(jobs))")
    assert space("shell", str(file)).out == "__main__ 3\n"
    assert space("shell", "-", stdin="print(len(jobs))").out == "3\n"


def test_shell_talks(project: Project, space: Run) -> None:
    answer = space("shell", stdin="print('jobs:', len(jobs))\n")
    assert answer.code == 0
    assert "jobs: 3" in answer.out
    assert "study" in answer.err


def test_shell_shows_where_a_program_failed(project: Project, space: Run) -> None:
    answer = space("shell", "-c", "1 / 0")
    assert answer.code == 1
    assert "ZeroDivisionError" in answer.err
