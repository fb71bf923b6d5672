"""The commands view, export and import."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import pytest

from perkey.dataspace import Job, Project

from .conftest import Run, is_one_line

SELECTIONS = [
    (["-f", "a.$lt", "2"], {0, 1}),
    (["--filter", '{"a": 2}'], {2}),
    (["-d", "result.value", "3"], {2}),
    (["--doc-filter", "result"], {1, 2}),
    (["-j", "0", "2"], {0, 2}),
    (["--job-id", "1"], {1}),
    (["-j", "0", "2", "-f", "a.$gt", "0"], {2}),
]


def named(options: list[str], jobs: list[Job]) -> list[str]:
    """Return options with the ids of jobs instead of their numbers."""
    if options[0] not in {"-j", "--job-id"}:
        return options
    return [jobs[int(word)].id if word in {"0", "1", "2"} and "a.$gt" not in options[:n] else word
            for n, word in enumerate(options)]  # fmt: skip


# --- export ---------------------------------------------------------------------------------------------


def test_export_to_a_folder(project: Project, jobs: list[Job], space: Run, tmp_path: Path) -> None:
    answer = space("export", str(tmp_path / "out"))
    assert (answer.code, answer.out) == (0, "")
    found = [path.parent for path in (tmp_path / "out").rglob(Job.FN_STATE_POINT)]
    assert len(found) == len(project) == 3


@pytest.mark.parametrize("path", ["n/{a}", "n/{job.sp.a}"])
def test_export_to_paths(jobs: list[Job], space: Run, tmp_path: Path, path: str) -> None:
    assert space("export", str(tmp_path / "out"), path).code == 0
    assert sorted(path.name for path in (tmp_path / "out" / "n").iterdir()) == ["0", "1", "2"]
    assert (tmp_path / "out" / "n" / "1" / Job.FN_DOCUMENT).exists()


@pytest.mark.parametrize("name", ["out.zip", "out.tar", "out.tar.gz", "out.tar.bz2", "out.tar.xz"])
def test_export_to_archives(jobs: list[Job], space: Run, tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    assert space("export", str(target), "n/{a}").code == 0
    if name.endswith(".zip"):
        with zipfile.ZipFile(target) as archive:
            names = archive.namelist()
    else:
        with tarfile.open(target) as tar:
            names = tar.getnames()
    assert f"n/2/{Job.FN_STATE_POINT}" in names


def test_export_moves(project: Project, jobs: list[Job], space: Run, tmp_path: Path) -> None:
    answer = space("export", "--move", str(tmp_path / "out.zip"))
    assert answer.code == 1
    assert is_one_line(answer.err)
    assert space("export", str(tmp_path / "out"), "n/{a}", "--move").code == 0
    assert len(project) == 0
    assert (tmp_path / "out" / "n" / "2" / Job.FN_STATE_POINT).exists()


@pytest.mark.parametrize(("options", "numbers"), SELECTIONS, ids=str)
def test_export_of_some_jobs(
    jobs: list[Job], space: Run, tmp_path: Path, options: list[str], numbers: set[int]
) -> None:
    assert space("export", str(tmp_path / "out"), "n/{a}", *named(options, jobs)).code == 0
    assert {int(path.name) for path in (tmp_path / "out" / "n").iterdir()} == numbers


def test_export_tells_where_in_json(jobs: list[Job], space: Run, tmp_path: Path) -> None:
    found = space("export", str(tmp_path / "out"), "n/{a}", "--json").json
    assert found.keys() == {job.path for job in jobs}


def test_export_overwrites_nothing(project: Project, space: Run, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "file").touch()
    answer = space("export", str(tmp_path / "out"))
    assert answer.code == 1
    assert is_one_line(answer.err)


# --- import ---------------------------------------------------------------------------------------------


@pytest.fixture
def exported(project: Project, tmp_path: Path) -> Path:
    """An export of the project."""
    project.export_to(tmp_path / "exported", "n/{a}")
    return tmp_path / "exported"


def test_import_what_was_exported(project: Project, other: Project, exported: Path, space: Run) -> None:
    answer = space("-C", other.path, "import", str(exported))
    assert (answer.code, answer.out) == (0, "")
    assert {job.id for job in other} == {job.id for job in project}


def test_import_from_the_working_directory(
    other: Project, exported: Path, space: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(exported)
    assert space("-C", other.path, "import").code == 0
    assert len(other) == 3


def test_import_from_an_archive(project: Project, other: Project, space: Run, tmp_path: Path) -> None:
    project.export_to(tmp_path / "out.tar.gz")
    assert space("-C", other.path, "import", str(tmp_path / "out.tar.gz"), "--json").code == 0
    assert len(other) == 3


def test_import_with_a_schema(other: Project, space: Run, tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / "data" / "x" / str(number)).mkdir(parents=True)
        (tmp_path / "data" / "x" / str(number) / "file").write_text("text")
    found = space("-C", other.path, "import", str(tmp_path / "data"), "x/{x:int}", "--json").json
    assert len(found) == 2
    assert sorted(job.sp.x for job in other) == [0, 1]
    assert all(job.isfile("file") for job in other)


def test_import_moves(other: Project, exported: Path, space: Run) -> None:
    assert space("-C", other.path, "import", "--move", str(exported)).code == 0
    assert len(other) == 3
    assert list(exported.rglob(Job.FN_STATE_POINT)) == []


def test_import_of_what_is_there_already(project: Project, exported: Path, space: Run) -> None:
    answer = space("import", str(exported))
    assert answer.code == 1
    assert is_one_line(answer.err)
    assert len(project) == 3


def test_import_synchronises(project: Project, jobs: list[Job], exported: Path, space: Run) -> None:
    (exported / "n" / "1" / "folder").mkdir()
    (exported / "n" / "1" / "folder" / "file").write_text("new")
    assert space("import", "--sync", str(exported)).code == 0
    assert Path(jobs[1].fn("folder/file")).read_text() == "new"


@pytest.mark.parametrize(
    ("answers", "options", "text", "value"),
    [
        ("y\ny\n" * 9, (), "one", 1),
        ("n\nn\n" * 9, (), "other", 2),
        ("", ("--yes",), "one", 1),
        ("", ("-y",), "one", 1),
    ],
    ids=str,
)
def test_import_asks(
    project: Project, jobs: list[Job], space: Run, tmp_path: Path, answers: str, options: tuple[str, ...],
    text: str, value: int,
) -> None:  # fmt: skip
    jobs[1].doc.key = 1
    Path(jobs[1].fn("file")).write_text("one")
    project.export_to(tmp_path / "exported")
    jobs[1].doc.key = 2
    Path(jobs[1].fn("file")).write_text("other")
    answer = space("import", "--sync-interactive", str(tmp_path / "exported"), stdin=answers, options=options)
    assert answer.code == 0
    assert Path(jobs[1].fn("file")).read_text() == text
    assert jobs[1].document()["key"] == value


def test_import_from_nowhere(project: Project, space: Run) -> None:
    answer = space("import", "nowhere")
    assert answer.code == 2
    assert is_one_line(answer.err)


# --- view -----------------------------------------------------------------------------------------------


def test_view(project: Project, jobs: list[Job], space: Run) -> None:
    for _ in range(2):
        assert space("view").code == 0
        links = sorted(Path("view").rglob("job"))
        assert [link.resolve() for link in links] == [Path(job.path) for job in jobs]


def test_view_elsewhere_and_otherwise(jobs: list[Job], space: Run, tmp_path: Path) -> None:
    assert space("view", str(tmp_path / "seen"), "n_{a}").code == 0
    assert (tmp_path / "seen" / "n_1" / "job").resolve() == Path(jobs[1].path)


@pytest.mark.parametrize(("options", "numbers"), SELECTIONS, ids=str)
def test_view_of_some_jobs(jobs: list[Job], space: Run, options: list[str], numbers: set[int]) -> None:
    assert space("view", "seen", "{a}", *named(options, jobs)).code == 0
    assert {int(path.name) for path in Path("seen").iterdir()} == numbers


# --- As processes ---------------------------------------------------------------------------------------


def test_they_run_as_processes(project: Project, other: Project, program: Run, tmp_path: Path) -> None:
    commands = [
        ["space", "view"],
        ["space", "export", str(tmp_path / "out.zip")],
        ["space", "-C", other.path, "import", str(tmp_path / "out.zip")],
    ]
    for words in commands:
        answer = program(*words)
        assert answer.code == 0, answer
    assert len(other) == 3
    assert Path("view").is_dir()
