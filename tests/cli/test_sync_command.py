"""The command sync: every option."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from perkey.dataspace import Job, Project

from .conftest import Run, is_one_line

OLD, NEW = 1_000_000_000.25, 1_000_000_000.75


def write(job: Job, name: str, text: str, time: float = OLD) -> Path:
    path = Path(job.fn(name))
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    os.utime(path, (time, time))
    return path


@pytest.fixture
def source(project: Project, other: Project) -> Project:
    """A project of the same jobs, with the same documents."""
    for job in project:
        other.clone(job)
    return other


@pytest.fixture
def pair(source: Project, jobs: list[Job]) -> tuple[Job, Job]:
    """A job of the source, and the same job here."""
    return source.open_job(id=jobs[1].id), jobs[1]


def test_new_files_are_copied(source: Project, pair: tuple[Job, Job], space: Run) -> None:
    write(pair[0], "file", "new")
    assert space("sync", source.path).code == 0
    assert Path(pair[1].fn("file")).read_text() == "new"


def test_a_destination_may_be_named(
    project: Project, source: Project, pair: tuple[Job, Job], space: Run
) -> None:
    write(pair[1], "file", "new")
    assert space("sync", project.path, source.path).code == 0
    assert Path(pair[0].fn("file")).read_text() == "new"


def test_the_destination_may_be_a_workspace(
    project: Project, source: Project, pair: tuple[Job, Job], space: Run
) -> None:
    write(pair[1], "file", "new")
    assert is_one_line(space("sync", project.path, source.workspace).err)
    for option in ("-w", "--allow-workspace"):
        assert space("sync", project.path, source.workspace, option).code == 0
    assert Path(pair[0].fn("file")).read_text() == "new"


def test_without_a_project_at_the_source(project: Project, tmp_path: Path, space: Run) -> None:
    answer = space("sync", str(tmp_path))
    assert answer.code == 1
    assert is_one_line(answer.err)


# --- Differing files ------------------------------------------------------------------------------------


def test_files_that_differ_are_a_conflict(source: Project, pair: tuple[Job, Job], space: Run) -> None:
    write(pair[0], "file", "one", NEW)
    path = write(pair[1], "file", "other")
    answer = space("sync", source.path)
    assert answer.code == 1
    assert is_one_line(answer.err)
    assert "--strategy" in answer.err
    assert path.read_text() == "other"


@pytest.mark.parametrize(
    ("options", "time", "text"),
    [
        (["-u"], NEW, "one"),
        (["--update"], NEW, "one"),
        (["-u"], OLD - 1, "other"),
        (["-s", "update"], NEW, "one"),
        (["--strategy", "always"], OLD - 1, "one"),
        (["-s", "never"], NEW, "other"),
        (["-s", "Ask"], OLD, "one"),
        (["-u", "-s", "update"], NEW, "one"),
    ],
    ids=str,
)
def test_strategies(
    source: Project, pair: tuple[Job, Job], space: Run, options: list[str], time: float, text: str
) -> None:
    write(pair[0], "file", "one", time)
    path = write(pair[1], "file", "other")
    assert space("sync", source.path, *options, stdin="y\n").code == 0
    assert path.read_text() == text


def test_ask_without_anybody_to_answer(source: Project, pair: tuple[Job, Job], space: Run) -> None:
    write(pair[0], "file", "one")
    path = write(pair[1], "file", "other")
    assert space("sync", source.path, "-s", "Ask").code == 1
    assert path.read_text() == "other"


@pytest.mark.parametrize(
    ("options", "differs"),
    [
        ([], False),
        (["-I"], True),
        (["--ignore-times"], True),
        (["--size-only"], False),
        (["--round-times"], False),
    ],
    ids=str,
)
def test_comparing_files_of_one_size_and_time(
    source: Project, pair: tuple[Job, Job], space: Run, options: list[str], differs: bool
) -> None:
    write(pair[0], "file", "one", OLD)
    path = write(pair[1], "file", "two", OLD)
    assert space("sync", source.path, "-s", "always", *options).code == 0
    assert (path.read_text() == "one") is differs


@pytest.mark.parametrize(
    ("options", "time", "differs"),
    [
        ([], NEW, True),
        (["--round-times"], NEW, False),
        (["--round-times"], NEW + 1, True),
        (["--size-only"], NEW, False),
    ],
    ids=str,
)
def test_comparing_files_of_other_times(
    source: Project, pair: tuple[Job, Job], space: Run, options: list[str], time: float, differs: bool
) -> None:
    write(pair[0], "file", "one", time)
    path = write(pair[1], "file", "two", OLD)
    assert space("sync", source.path, "-s", "always", *options).code == 0
    assert (path.read_text() == "one") is differs


# --- How files are copied -------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["-r", "--recursive", "-a", "--archive"])
def test_folders(source: Project, pair: tuple[Job, Job], space: Run, option: str) -> None:
    write(pair[0], "folder/file", "deep")
    assert space("sync", source.path).code == 0
    assert not Path(pair[1].fn("folder/file")).exists()
    assert space("sync", source.path, option).code == 0
    assert Path(pair[1].fn("folder/file")).read_text() == "deep"


@pytest.mark.parametrize(
    ("option", "is_link"), [("-l", True), ("--links", True), ("-a", True), ("-r", False)]
)
def test_links(source: Project, pair: tuple[Job, Job], space: Run, option: str, is_link: bool) -> None:
    write(pair[0], "file", "text")
    Path(pair[0].fn("link")).symlink_to("file")
    assert space("sync", source.path, option).code == 0
    assert Path(pair[1].fn("link")).is_symlink() is is_link
    assert Path(pair[1].fn("link")).read_text() == "text"


@pytest.mark.parametrize("options", [["-p"], ["--perms"], ["-a"]], ids=str)
def test_permissions(source: Project, pair: tuple[Job, Job], space: Run, options: list[str]) -> None:
    write(pair[0], "file", "text").chmod(0o751)
    assert space("sync", source.path, *options).code == 0
    assert Path(pair[1].fn("file")).stat().st_mode & 0o777 == 0o751


@pytest.mark.parametrize("options", [["-p", "-t"], ["--perms", "--times"], ["-pt"], ["-a"]], ids=str)
def test_times(source: Project, pair: tuple[Job, Job], space: Run, options: list[str]) -> None:
    write(pair[0], "file", "text", OLD)
    assert space("sync", source.path, *options).code == 0
    assert Path(pair[1].fn("file")).stat().st_mtime == OLD


@pytest.mark.parametrize("options", [["-o", "-g"], ["--owner", "--group"], ["-a"]], ids=str)
def test_owner_and_group(source: Project, pair: tuple[Job, Job], space: Run, options: list[str]) -> None:
    path = write(pair[0], "file", "text")
    if os.geteuid() == 0:
        os.chown(path, 1234, 5678)
    assert space("sync", source.path, *options).code == 0
    assert (found := Path(pair[1].fn("file")).stat()).st_uid == path.stat().st_uid
    assert found.st_gid == path.stat().st_gid


@pytest.mark.parametrize(
    ("options", "copied"),
    [
        (["-x", "a.*"], ["b"]),
        (["--exclude=b"], ["ab"]),
        (["-x"], []),
        (["--exclude", "-r"], []),
        ([], ["ab", "b"]),
    ],
    ids=str,
)
def test_excluded_files(
    source: Project, pair: tuple[Job, Job], space: Run, options: list[str], copied: list[str]
) -> None:
    write(pair[0], "ab", "text")
    write(pair[0], "b", "text")
    assert space("sync", source.path, *options).code == 0
    assert [name for name in ("ab", "b") if pair[1].isfile(name)] == copied


@pytest.mark.parametrize("option", ["-n", "--dry-run"])
def test_a_dry_run_tells_and_changes_nothing(
    source: Project, pair: tuple[Job, Job], space: Run, option: str
) -> None:
    write(pair[0], "file", "text")
    answer = space("sync", source.path, option)
    assert answer.code == 0
    assert pair[1].fn("file") in answer.out
    assert not pair[1].isfile("file")


# --- Documents ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["-k", "^a"], {"ab": 1, "new": 1}),
        (["--key", "a"], {"ab": 1, "new": 1}),
        (["--all-keys"], {"ab": 1, "new": 1}),
        (["--no-keys"], {"ab": 2, "new": 1}),
        (["-k", "b$"], {"ab": 1, "new": 1}),
    ],
    ids=str,
)
def test_keys_of_documents(
    source: Project, pair: tuple[Job, Job], space: Run, options: list[str], expected: dict[str, Any]
) -> None:
    pair[0].document = {"ab": 1, "new": 1}
    pair[1].document = {"ab": 2}
    assert space("sync", source.path, *options).code == 0
    assert pair[1].document() == expected


@pytest.mark.parametrize("options", [[], ["-k", "x"]], ids=str)
def test_documents_that_differ_are_a_conflict(
    source: Project, pair: tuple[Job, Job], space: Run, options: list[str]
) -> None:
    pair[0].document = {"ab": 1, "new": 1}
    pair[1].document = {"ab": 2}
    answer = space("sync", source.path, *options)
    assert answer.code == 1
    assert is_one_line(answer.err)
    assert "--all-keys" in answer.err
    assert pair[1].document() == {"ab": 2}


@pytest.mark.parametrize(
    "options",
    [
        ["--all-keys", "--no-keys"],
        ["-k", "a", "--all-keys"],
        ["-u", "-s", "never"],
        ["-I", "--size-only"],
        ["-s", "x"],
    ],
    ids=str,
)
def test_options_that_exclude_each_other(source: Project, space: Run, options: list[str]) -> None:
    answer = space("sync", source.path, *options)
    assert answer.code == 2
    assert is_one_line(answer.err)


# --- Which jobs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["-m", "--merge"])
def test_missing_jobs_are_copied_by_merge_only(
    project: Project, source: Project, space: Run, option: str
) -> None:
    source.open_job({"another": 1}).init()
    answer = space("sync", source.path)
    assert answer.code == 1
    assert is_one_line(answer.err)
    assert "--merge" in answer.err
    assert space("sync", source.path, "--force").code == 0
    assert len(project) == 3
    assert space("sync", source.path, option).code == 0
    assert len(project) == 4


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        (["-f", "a.$lt", "2"], {0, 1}),
        (["--filter", '{"a": 2}'], {2}),
        (["-d", "result.value", "3"], {2}),
        (["--doc-filter", "result"], {1, 2}),
        (["-j", "0", "2"], {0, 2}),
        (["--job-id", "1"], {1}),
    ],
    ids=str,
)
def test_selections(
    source: Project, jobs: list[Job], space: Run, options: list[str], numbers: set[int]
) -> None:
    for job in source:
        write(job, "file", "text")
    if options[0] in {"-j", "--job-id"}:
        options = [options[0], *(jobs[int(number)].id for number in options[1:])]
    assert space("sync", source.path, *options).code == 0
    assert {number for number, job in enumerate(jobs) if job.isfile("file")} == numbers


# --- How it is done, and told ---------------------------------------------------------------------------


@pytest.mark.parametrize("options", [["--parallel"], ["--parallel", "2"], ["--parallel=2"]], ids=str)
def test_in_parallel(source: Project, jobs: list[Job], space: Run, options: list[str]) -> None:
    for job in source:
        write(job, "file", "text")
    assert space("sync", *options, source.path).code == 0
    assert all(job.isfile("file") for job in jobs)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], ""),
        (["--stats"], "files: 1\nvolume: 2048 bytes\n"),
        (["--stats", "-H"], "files: 1\nvolume: 2.0 KiB\n"),
        (["--stats", "--human-readable"], "files: 1\nvolume: 2.0 KiB\n"),
        (["--stats", "--json"], '{"num_files": 1, "volume": 2048}\n'),
        (["--json"], '{"num_files": 1, "volume": 2048}\n'),
    ],
    ids=str,
)
def test_statistics(
    source: Project, pair: tuple[Job, Job], space: Run, options: list[str], told: str
) -> None:
    write(pair[0], "file", "x" * 2048)
    assert space("sync", source.path, *options).out == told


@pytest.mark.parametrize("option", ["-v", "--verbosity"])
def test_verbosity(project: Project, source: Project, space: Run, option: str) -> None:
    assert f"{source.path} -> {project.path}" in space("sync", source.path, option).err
    assert space("sync", source.path).err == ""


def test_it_runs_as_a_process(source: Project, pair: tuple[Job, Job], program: Run) -> None:
    write(pair[0], "file", "new")
    answer = program("space", "sync", source.path, "--stats")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("files: 1\n")


@pytest.mark.parametrize("option", ["-k", "--key", "-x", "--exclude"])
def test_an_expression_that_is_wrong_is_an_error_on_one_line(
    source: Project, pair: tuple[Job, Job], space: Run, option: str
) -> None:
    answer = space("sync", source.path, option, "[")
    assert answer.code == 1
    assert is_one_line(answer.err)
    assert "'[' is not a regular expression" in answer.err
