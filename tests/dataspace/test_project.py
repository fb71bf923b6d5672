"""What a project does."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import perkey.dataspace as space
from perkey.dataspace import (
    DataspaceDeprecationWarning,
    Job,
    Project,
    TemporaryProject,
    errors,
    get_job,
    get_project,
    init_project,
)


def test_init_project_may_be_called_again_and_refuses_another(tmp_path: Path) -> None:
    project = init_project("name", tmp_path)
    assert init_project("name", tmp_path) == project == init_project(path=tmp_path)
    assert project.id == str(project) == "name"
    assert project.root_directory() == project.path == str(tmp_path)
    assert project.workspace() == project.workspace == str(tmp_path / "workspace")
    assert os.path.isdir(project.workspace)
    for arguments in (("other", tmp_path), ("name", tmp_path, "elsewhere")):
        with pytest.raises(RuntimeError, match="nothing was changed"):
            init_project(*arguments)
    with pytest.raises(FileNotFoundError):
        init_project("name", tmp_path / "new", make_dir=False)
    assert init_project(root=tmp_path / "unnamed").id == str(tmp_path / "unnamed")


def test_a_project_is_found_from_within(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    job = project.open_job({"a": 1}).init()
    deep = os.path.join(job.path, "deep", "folder")
    os.makedirs(deep)
    assert get_project(deep) == get_project(path=project.path, search=False) == project
    assert get_job(deep) == get_job(job.path) == job
    with pytest.raises(LookupError):
        get_project(deep, search=False)
    with pytest.raises(LookupError):
        get_job(project.path)
    monkeypatch.chdir(deep)
    assert get_project() == Project() == project
    assert get_job() == Project.get_job() == job


def test_a_job_is_found_through_a_link(project: Project, tmp_path: Path) -> None:
    job = project.open_job({"a": 1}).init()
    os.symlink(job.path, tmp_path / "view")
    os.symlink(project.path, tmp_path / "linked")
    assert get_job(tmp_path / "view") == job
    assert Project(tmp_path / "linked") == project
    assert hash(Project(tmp_path / "linked")) == hash(project)
    assert job == Project(tmp_path / "linked").open_job({"a": 1})


def test_no_project(tmp_path: Path) -> None:
    for act in (get_project, get_job, Project):
        with pytest.raises(LookupError):
            act(tmp_path)


def test_a_path_that_does_not_exist_is_not_in_the_project_above(project: Project) -> None:
    """Else whoever mistypes a path would delete jobs of another project."""
    job = project.open_job({"a": 1}).init()
    with pytest.raises(LookupError, match="does not exist"):
        get_project(project.fn("no/such/place"))
    with pytest.raises(LookupError, match="does not exist"):
        get_job(job.fn("no/such/place"))


@pytest.mark.filterwarnings("ignore::perkey.dataspace.DataspaceDeprecationWarning")
@pytest.mark.parametrize(
    "act",
    [
        lambda project: project.find_job_ids({}, None, []),
        lambda project: project.detect_schema(index=[]),
        lambda project: project.repair(None, []),
        lambda project: project.create_linked_view("view", index=[]),
    ],
    ids=["find_job_ids", "detect_schema", "repair", "create_linked_view"],
)
def test_an_index_of_signac_1_is_refused_with_advice(
    act: Callable[[Project], object], project: Project
) -> None:
    with pytest.raises(ValueError, match="find_jobs"):
        act(project)


def test_the_rooms_are_attributes(project: Project) -> None:
    code = "import perkey.dataspace as signac; signac.cite.bibtex; signac.sync.FileSync; signac.errors"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=project.path)


def require_advice(error: KeyError, job: str, project: Project) -> None:
    """The error says what was looked for, where, and what to do; it keeps all that in a pickle."""
    assert error.args == (job,)
    for shown in (str(error), str(pickle.loads(pickle.dumps(error)))):
        for part in (repr(job), str(project.workspace), "find_jobs()", "perkey space find", "init()"):
            assert part in shown


def test_a_job_that_is_gone_is_named_with_advice(project: Project) -> None:
    job = project.open_job({"n": 1}).init()
    stale = Project(project.path).open_job(id=job.id)
    job.remove()
    for use in (stale.sp, lambda: stale.sp.n, lambda: setattr(stale.sp, "n", 2)):
        with pytest.raises(errors.JobsCorruptedError, match=job.id):
            use()
    assert stale.id == job.id
    for read in (lambda: stale.cached_statepoint, stale.init, lambda: repr(stale)):
        with pytest.raises(KeyError) as found:
            read()
        require_advice(found.value, job.id, project)


@pytest.mark.parametrize("search", [True, False])
@pytest.mark.parametrize("name", [".", "missing"])
def test_where_no_project_is_the_error_says_how_to_make_one(tmp_path: Path, search: bool, name: str) -> None:
    place = str(tmp_path / name) if name != "." else str(tmp_path)
    with pytest.raises(LookupError) as one:
        Project.get_project(place, search=search)
    with pytest.raises(LookupError) as other:
        Project(place)
    for error in (str(one.value), str(other.value)):
        for part in ("no project in", place, "perkey space", "init", f"init_project(path={place!r})"):
            assert part in error


def test_open_job_by_id_or_its_beginning(project: Project) -> None:
    jobs = [project.open_job({"n": n}).init() for n in range(40)]
    length = project.min_len_unique_id()
    assert length == 3
    for job in jobs:
        assert project.open_job(id=job.id) == project.open_job(id=job.id[:length]) == job
    with pytest.raises(LookupError) as caught:
        project.open_job(id=jobs[0].id[:1])
    assert not isinstance(caught.value, KeyError)
    for part in (repr(jobs[0].id[:1]), str(project.workspace), f"{length} are enough"):
        assert part in str(caught.value)
    for missing in ("zzz", "0" * 32, "0" * 40, jobs[0].id[::-1]):
        with pytest.raises(KeyError) as found:
            project.open_job(id=missing)
        require_advice(found.value, missing, project)
    for arguments in ({}, {"statepoint": {}, "id": jobs[0].id}):
        with pytest.raises(ValueError, match="one of both"):
            project.open_job(**arguments)  # type: ignore[arg-type]


def test_iteration_len_and_in(project: Project) -> None:
    assert list(project) == []
    assert project.min_len_unique_id() == 0
    jobs = {project.open_job({"n": n}).init() for n in range(5)}
    assert set(project) == jobs
    assert len(project) == project.num_jobs() == 5
    assert all(job in project for job in jobs)
    assert project.open_job({"n": 9}) not in project
    assert bool(project)


def test_jobs_may_be_made_and_removed_during_iteration(project: Project) -> None:
    for n in range(10):
        project.open_job({"n": n}).init()
    for job in project.find_jobs({"n": {"$lt": 10}}):
        project.open_job({"n": job.sp.n + 10}).init()
        job.remove()
    assert sorted(job.sp.n for job in project) == list(range(10, 20))


def test_the_document(project: Project) -> None:
    project.doc.a = {"b": 1}
    project.document["c"] = 2
    assert Project(project.path).doc() == {"a": {"b": 1}, "c": 2}
    project.doc = {"d": 1}
    project.document = {"e": 1}
    assert json.loads(Path(project.fn(Project.FN_DOCUMENT)).read_text()) == {"e": 1}
    assert project.isfile(Project.FN_DOCUMENT)
    assert not project.isfile("nope")


def test_state_points_are_written_and_read(project: Project, tmp_path: Path) -> None:
    jobs = {job.id: job.sp() for job in (project.open_job({"n": n}).init() for n in range(3))}
    project.write_statepoints()
    assert project.read_statepoints() == jobs
    project.write_statepoints([{"w": 1}], indent=None)
    assert project.read_statepoints() == {**jobs, **project.dump_statepoints([{"w": 1}])}
    path = str(tmp_path / "a file.json")
    project.write_statepoints([{"w": 1}], fn=path)
    assert Path(path).read_text().startswith("{\n  ")
    assert project.read_statepoints(path) == {"2d0a47a14d715012b065af18d57c7ed3": {"w": 1}}
    with pytest.raises(FileNotFoundError):
        project.read_statepoints("nowhere.json")


@pytest.mark.parametrize("source", ["default file", "named file", "index", "signac's cache"])
def test_repair_finds_lost_state_points(project: Project, source: str, tmp_path: Path) -> None:
    job, sound = project.open_job({"a": 1}).init(), project.open_job({"a": 2}).init()
    job.doc.kept = 1
    fn = None
    if source == "default file":
        project.write_statepoints()
    elif source == "named file":
        fn = str(tmp_path / "points")
        project.write_statepoints(fn=fn)
    elif source == "index":
        assert project.find_jobs({"a": 1})
    else:
        project.update_cache()
        os.unlink(os.path.join(project.workspace, ".@perkey", "index"))
    os.unlink(job.fn(Job.FN_MANIFEST))
    fresh = Project(project.path)
    with pytest.raises(errors.JobsCorruptedError):
        fresh.check()
    fresh.repair(fn)
    fresh.check()
    assert fresh.open_job({"a": 1}).doc.kept == 1
    assert set(fresh) == {job, sound}


def test_repair_gives_a_renamed_folder_its_name_again(project: Project) -> None:
    job = project.open_job({"a": 1}).init()
    wrong = project.space.workspace.folder("f" * 32)
    os.rename(job.path, wrong)
    with pytest.raises(errors.JobsCorruptedError) as caught:
        project.check()
    assert caught.value.job_ids == ("f" * 32,)
    project.repair()
    project.check()
    assert list(project) == [job]


def test_repair_deletes_what_killed_moves_left(project: Project) -> None:
    job = project.open_job({"a": 1}).init()
    stale, fresh = (job.fn(f".@perkey-statepoint-{'0' * 32}-{n}") for n in range(2))
    for path in (stale, fresh):
        Path(path).touch()
    os.utime(stale, ns=(1, 1))
    project.repair()
    assert not os.path.exists(stale)
    assert os.path.exists(fresh)


def test_repair_tells_what_is_lost_and_touches_nothing_else(project: Project) -> None:
    job, twin = project.open_job({"a": 1}).init(), project.open_job({"a": 2}).init()
    Path(job.fn(Job.FN_MANIFEST)).write_text("{")
    Path(twin.fn(Job.FN_MANIFEST)).write_text('{"a": 3}')
    project.open_job({"a": 3}).init()
    fresh = Project(project.path)
    with pytest.raises(errors.JobsCorruptedError) as caught:
        fresh.repair()
    assert set(caught.value.job_ids) == {job.id, twin.id}
    fresh.repair(job_ids=[])
    assert Path(job.fn(Job.FN_MANIFEST)).read_text() == "{"


def test_a_search_tells_of_jobs_that_cannot_be_read(project: Project) -> None:
    job = project.open_job({"a": 1}).init()
    Path(job.fn(Job.FN_MANIFEST)).write_text("{")
    with pytest.raises(errors.JobsCorruptedError):
        list(Project(project.path).find_jobs({"a": 1}))


def test_temporary_projects(project: Project) -> None:
    with project.temporary_project("tmp") as temporary:
        assert temporary.path.startswith(project.workspace())
        job = temporary.open_job({"a": 1}).init()
        job.move(project)
    assert not os.path.exists(temporary.path)
    assert list(project) == [job]
    with TemporaryProject() as temporary:
        assert len(temporary) == 0
    assert not os.path.exists(temporary.path)


def test_identity(project: Project, other: Project) -> None:
    assert project == Project(project.path)
    assert project != other
    assert project != "test"
    assert hash(project) == hash(Project(project.path))
    assert pickle.loads(pickle.dumps(project)) == project
    assert eval(repr(project), {"Project": Project}) == project


def test_a_project_may_have_jobs_of_another_class(tmp_path: Path) -> None:
    class MyJob(Job):
        pass

    class MyProject(Project):
        job_class = MyJob

    project = MyProject.init_project("mine", tmp_path)
    assert isinstance(project.open_job({"a": 1}).init(), MyJob)
    assert all(isinstance(job, MyJob) for job in project)
    with project.temporary_project() as temporary, TemporaryProject(cls=MyProject) as another:
        assert isinstance(temporary, MyProject)
        assert isinstance(another, MyProject)


def test_old_names_work_and_say_what_is_new(project: Project) -> None:
    job = project.open_job({"a": 1}).init()
    job.doc.x = 1
    project.write_statepoints([{"z": 1}])

    def check(act: Any, expected: Any) -> None:
        with pytest.warns(DataspaceDeprecationWarning):
            assert act() == expected

    check(project.get_id, "test")
    check(lambda: project.get_statepoint(job.id), {"a": 1})
    check(lambda: project.get_statepoint(project.open_job({"z": 1}).id), {"z": 1})
    check(lambda: project.find_job_ids({"a": 1}), [job.id])
    check(lambda: list(project.find_jobs(doc_filter={"x": 1})), [job])
    check(lambda: project.find_jobs().next(), job)
    check(lambda: project.reset_statepoint(job, {"a": 2}), None)
    check(lambda: project.update_statepoint(job, {"b": 2}), None)
    assert job.sp() == {"a": 2, "b": 2}
    with pytest.warns(DataspaceDeprecationWarning), pytest.raises(KeyError):
        project.get_statepoint("0" * 32)


def test_names_that_are_not_rebuilt_say_what_replaces_them(project: Project) -> None:
    for owner, name in ((project, "create_access_module"), (space, "fetch"), (space, "get_database")):
        with pytest.raises(AttributeError, match="not part of perkey: "):
            getattr(owner, name)
    for owner in (project, space):
        with pytest.raises(AttributeError, match=r"has no attribute 'nonsense'$"):
            getattr(owner, "nonsense")  # noqa: B009 - mypy knows better


def test_html(project: Project) -> None:
    project.open_job({"a": "<b>"}).init()
    assert "<p>1 job</p>" in project._repr_html_()
    assert "&lt;b&gt;" in project.find_jobs()._repr_html_()
    assert "filter=" in repr(project.find_jobs({"a": 1}))
