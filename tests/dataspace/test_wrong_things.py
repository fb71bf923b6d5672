"""What is not there has no name: a link that leads nowhere, or a thing of another kind, is an error."""

from __future__ import annotations

import contextlib
import copy
import os
import pickle
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perkey import FileDirDict
from perkey.dataspace import Collection, Job, Project, errors, get_project, init_project
from perkey.dataspace.search.schema import Frozen
from perkey.synced import JSONDict, JSONList

NOWHERE = "/not/mounted/place"
SP = {"a": 1}


def dangle(path: str | os.PathLike[str]) -> None:
    """Put a link that leads nowhere in the place of whatever is there."""
    if os.path.isdir(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)
    os.symlink(NOWHERE, path)


QUESTIONS: dict[str, Callable[[Project], Any]] = {
    "len": len,
    "list": list,
    "in": lambda p: p.open_job(SP) in p,
    "open by id": lambda p: p.open_job(id=p.open_job(SP).id),
    "open by a short id": lambda p: p.open_job(id="0"),
    "find": lambda p: list(p.find_jobs({"a": 1})),
    "find in documents": lambda p: list(p.find_jobs({"doc.a": 1})),
    "schema": lambda p: p.detect_schema(),
    "frame": lambda p: p.to_dataframe(),
    "group": lambda p: list(p.groupby("a")),
    "update_cache": lambda p: p.update_cache(),
    "check": lambda p: p.check(),
    "export": lambda p: p.export_to(p.fn("out")),
    "export an archive": lambda p: p.export_to(p.fn("out.zip")),
    "sync from": lambda p: init_project(root=p.fn("other")).sync(p),
    "sync to": lambda p: p.sync(init_project(root=p.fn("other"))),
    "init": lambda p: p.open_job(SP).init(),
    "remove": lambda p: p.open_job(SP).remove(),
    "clear": lambda p: p.open_job(SP).clear(),
    "document": lambda p: p.open_job(SP).doc(),
    "state point": lambda p: p.open_job(SP).reset_statepoint({"a": 2}),
    "repair": lambda p: p.repair(),
    "min_len_unique_id": lambda p: p.min_len_unique_id(),
}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("known", [False, True])
def test_a_workspace_that_is_not_mounted_is_an_error(project: Project, question: str, known: bool) -> None:
    project.open_job(SP).init()
    if known:
        list(project.find_jobs({"a": 1}))
    dangle(project.workspace)
    with pytest.raises(errors.WorkspaceError, match=r"workspace.*leads nowhere"):
        QUESTIONS[question](project if known else get_project(project.path))
    assert not {"out", "out.zip"} & set(os.listdir(project.path))


@pytest.mark.parametrize("inner", [".signac", ".signac/config"])
def test_a_configuration_that_leads_nowhere_is_not_the_project_above(project: Project, inner: str) -> None:
    below = init_project(root=project.fn("below"))
    dangle(below.fn(inner))
    acts: list[Callable[[], Any]] = [
        lambda: get_project(below.path),
        lambda: init_project(root=below.path),
    ]
    for act in acts:
        with pytest.raises(errors.ConfigError, match="leads nowhere"):
            act()


def test_a_folder_is_no_configuration(project: Project, home: Path) -> None:
    below = init_project(root=project.fn("below"))
    os.unlink(below.fn(".signac/config"))
    os.mkdir(below.fn(".signac/config"))
    with pytest.raises(errors.ConfigError, match="not a file"):
        get_project(below.path)
    (home / ".signacrc").mkdir()
    with pytest.raises(errors.ConfigError):
        get_project(project.path)


def test_the_users_configuration_that_leads_nowhere_is_an_error(project: Project, home: Path) -> None:
    dangle(home / ".signacrc")
    with pytest.raises(errors.ConfigError, match="leads nowhere"):
        get_project(project.path)


THINGS = ["link", "file", "pipe", "folder", "socket"]


def listen(path: str | os.PathLike[str]) -> None:
    """Put a socket somewhere; paths of sockets are short."""
    place, name = os.path.split(path)
    with contextlib.chdir(place), socket.socket(socket.AF_UNIX) as made:
        made.bind(name)


@pytest.mark.parametrize(
    "put", [dangle, lambda path: Path(path).write_text("x"), os.mkfifo, os.mkdir, listen], ids=THINGS
)
@pytest.mark.parametrize("state_point", [False, True])
def test_what_is_no_job_is_told_by_searches(
    project: Project, put: Callable[[Any], Any], state_point: bool
) -> None:
    """In the place of a job, or of its state-point file."""
    project.open_job({"a": 2}).init()
    job = project.open_job(SP).init()
    if state_point:
        os.unlink(job.fn(Job.FN_STATE_POINT))
        put(job.fn(Job.FN_STATE_POINT))
    else:
        shutil.rmtree(job.path)
        put(job.path)
    fresh = Project(project.path)
    questions: list[Callable[[], Any]] = [
        lambda: list(fresh.find_jobs({"a": 2})),
        fresh.detect_schema,
        fresh.check,
    ]
    for question in questions:
        with pytest.raises(errors.JobsCorruptedError) as caught:
            question()
        assert caught.value.job_ids == (job.id,)


def test_documents_that_lead_nowhere_are_errors(project: Project, tmp_path: Path) -> None:
    job = project.open_job(SP).init()
    dangle(job.fn(Job.FN_DOCUMENT))
    dangle(project.fn(Project.FN_DOCUMENT))
    dangle(tmp_path / "x.json")
    acts: list[Callable[[], Any]] = [
        job.doc,
        lambda: job.doc.get("a"),
        lambda: job.doc.update(a=1),
        lambda: list(project.find_jobs({"doc.a": 1})),
        project.doc,
        project.to_dataframe,
        lambda: init_project(root=tmp_path / "new").open_job(SP).init().sync(job),
        JSONDict(tmp_path / "x.json"),
        JSONList(tmp_path / "x.json"),
        lambda: JSONList(tmp_path / "x.json").append(1),
    ]
    for act in acts:
        with pytest.raises(FileNotFoundError, match="leads nowhere"):
            act()
    for path in (job.fn(Job.FN_DOCUMENT), project.fn(Project.FN_DOCUMENT), tmp_path / "x.json"):
        assert os.readlink(path) == NOWHERE


@pytest.mark.parametrize("mode", [None, "r", "rb+", "ab+"])
def test_collections_that_lead_nowhere_are_errors(tmp_path: Path, mode: str | None) -> None:
    dangle(tmp_path / "c.txt")
    with pytest.raises(FileNotFoundError):
        Collection.open(str(tmp_path / "c.txt"), mode)


def test_folders_of_dictionaries_that_lead_nowhere_are_errors(tmp_path: Path) -> None:
    dangle(tmp_path / "d")
    for path in (tmp_path / "d", tmp_path / "d/e"):
        with pytest.raises(FileNotFoundError, match="leads nowhere"):
            FileDirDict(path)


def test_an_export_to_a_link_that_leads_nowhere_is_refused(project: Project, tmp_path: Path) -> None:
    project.open_job(SP).init()
    for name in ("out", "out.tar"):
        dangle(tmp_path / name)
        with pytest.raises(FileExistsError):
            project.export_to(tmp_path / name)


# --- Handles on one job ------------------------------------------------------------------------------------

COPIES: dict[str, Callable[[Project, Job], Job]] = {
    "deepcopy": lambda p, job: copy.deepcopy(job),
    "pickle": lambda p, job: pickle.loads(pickle.dumps(job)),
    "state point": lambda p, job: p.open_job(SP),
    "id": lambda p, job: p.open_job(id=job.id),
    "iteration": lambda p, job: next(iter(p)),
    "another project": lambda p, job: Project(p.path, durability="none").open_job(SP),
}
MOVES: dict[str, Callable[[Job, Project], Any]] = {
    "attribute": lambda job, other: setattr(job.sp, "a", 2),
    "reset": lambda job, other: job.reset_statepoint({"a": 2}),
    "update": lambda job, other: job.update_statepoint({"b": 1}),
    "move": lambda job, other: job.move(other),
}


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize("move", MOVES)
def test_a_copy_is_the_same_job(project: Project, other: Project, move: str, used: bool, first: bool) -> None:
    job = project.open_job(SP).init()
    job.doc.result = 42
    twin = copy.copy(job)
    if used:
        assert (twin.sp(), twin.doc()) == (SP, {"result": 42})
    mover, follower = (job, twin) if first else (twin, job)
    MOVES[move](mover, other)
    assert mover == follower
    assert hash(mover) == hash(follower)
    assert follower.id == mover.id
    assert follower.project == mover.project
    assert follower.sp() == mover.sp()
    follower.doc.more = 1
    assert mover.doc() == {"result": 42, "more": 1}
    assert len(project) + len(other) == 1


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("kind", COPIES)
def test_no_stale_handle_makes_a_second_job(project: Project, other: Project, move: str, kind: str) -> None:
    job = project.open_job(SP).init()
    job.doc.result = 42
    stale = COPIES[kind](project, job)
    assert stale == job
    assert stale.doc() == {"result": 42}
    MOVES[move](job, other)
    assert stale != job
    with pytest.raises(FileNotFoundError, match="moved to"):
        stale.doc.more = 1
    assert len(project) + len(other) == 1
    project.open_job(SP).init()  # on purpose
    stale.doc.more = 1
    assert project.open_job(SP).doc() == {"more": 1}


def test_empty_mappings_are_in_schemas_frames_and_paths(project: Project, tmp_path: Path) -> None:
    values: list[Any] = [{}, 1, {"x": {}}, {"x": {"y": 2}}]
    for point in ({"l": [{}]}, *({"o": value} for value in values)):
        project.open_job(point).init()
    schema = project.detect_schema()
    assert {key: set(schema[key]) for key in schema} == {
        "l": {tuple},
        "o": {dict, int},
        "o.x": {dict},
        "o.x.y": {int},
    }
    assert schema["o"][dict] == {Frozen({})}
    frame = project.to_dataframe(flatten=True)
    assert sorted(frame.columns) == ["sp.l", "sp.o", "sp.o.x", "sp.o.x.y"]
    assert frame["sp.o"].tolist().count({}) == 1
    assert frame["sp.o.x"].tolist().count({}) == 1
    paths = set(project.export_to(tmp_path / "out").values())
    assert {"l/({},)", "o/{}", "o/1", "o.x/{}", "o.x.y/2"} <= paths


# --- A project that is not there any more -------------------------------------------------------------------

WRITES: dict[str, Callable[[Project, Project], object]] = {
    "init": lambda project, other: project.open_job({"new": 1}).init(),
    "document of a new job": lambda project, other: project.open_job({"new": 1}).doc.update(a=1),
    "clone": lambda project, other: project.clone(next(iter(other))),
    "move": lambda project, other: next(iter(other)).move(project),
    "import": lambda project, other: project.import_from(other.workspace()),
    "sync": lambda project, other: project.sync(other),
    "document": lambda project, other: project.doc.update(a=1),
    "stores": lambda project, other: project.stores,
    "temporary project": lambda project, other: project.temporary_project().__enter__(),
}


@pytest.mark.parametrize("used", [True, False])
@pytest.mark.parametrize("write", WRITES)
def test_a_project_that_was_moved_is_not_made_anew(
    project: Project, other: Project, tmp_path: Path, write: str, used: bool
) -> None:
    """What is written there would be in no project."""
    other.open_job({"a": 1}).init().doc.b = 1
    if used:
        project.open_job({"a": 2}).init().doc.b = 1
        project.doc.a = 0
    Path(project.path).rename(tmp_path / "moved")
    with pytest.raises(errors.WorkspaceError, match="was removed or renamed since the project was opened"):
        WRITES[write](project, other)
    assert not Path(project.path).exists()
    assert [job.sp() for job in other] == [{"a": 1}]


def test_a_workspace_that_is_gone_is_made_anew(project: Project) -> None:
    Path(project.workspace()).rmdir()
    assert project.open_job({"a": 1}).init() in project


# --- Paths as users give them -------------------------------------------------------------------------------

PATHS: dict[str, Callable[[Project, str], object]] = {
    "init_project": lambda project, path: init_project(path=path).path,
    "get_project": lambda project, path: get_project(path).path,
    "get_job": lambda project, path: Project.get_job(f"{path}/workspace/{next(iter(project)).id}"),
    "export_to": lambda project, path: project.export_to(f"{path}/out"),
    "export_to an archive": lambda project, path: project.export_to(f"{path}/out.zip"),
    "import_from": lambda project, path: project.import_from(path, schema=lambda _: None),
    "create_linked_view": lambda project, path: project.create_linked_view(f"{path}/view"),
}


@pytest.mark.parametrize("use", PATHS)
def test_a_tilde_is_the_users_own_folder(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use: str
) -> None:
    """A folder of the name ``~`` is a mistake, and removing it is dangerous."""
    job = project.open_job({"a": 1}).init()
    monkeypatch.setenv("HOME", project.path)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    found = PATHS[use](project, "~")
    assert not list((tmp_path / "here").iterdir())
    if use.endswith("project"):
        assert found == project.path
    elif use == "get_job":
        assert found == job
    elif use == "create_linked_view":
        assert found == {job.path: f"{project.path}/view/job"}


@pytest.mark.parametrize("path", ["s3://bucket/x", "s3:/bucket/x", "gs://bucket/x", "https://example.org/x"])
@pytest.mark.parametrize("use", PATHS)
def test_an_address_is_not_a_path(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use: str, path: str
) -> None:
    project.open_job({"a": 1}).init()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(ValueError, match=r"must be the path of a folder, not the address"):
        PATHS[use](project, path)
    assert not list((tmp_path / "here").iterdir())
