"""What one job does."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perkey.dataspace import Job, Project, errors
from perkey.files import SCRATCH


def test_opening_touches_nothing(project: Project) -> None:
    job = project.open_job({"a": 1})
    assert job not in project
    assert not os.path.exists(job.path)
    assert not job.isfile("x")
    assert job.ws == job.workspace() == job.path == os.path.join(project.workspace, job.id)
    assert job.fn("x") == os.path.join(job.path, "x")
    job.remove()
    job.clear()
    assert len(project) == 0


def test_init_makes_the_folder_with_the_state_point_and_nothing_else(project: Project) -> None:
    job = project.open_job({"b": [1, None], "a": {"c": 0.5}})
    assert job.init() is job
    assert job.init() in project
    assert os.listdir(job.path) == [Job.FN_MANIFEST]
    assert Path(job.fn(Job.FN_MANIFEST)).read_text() == '{"b": [1, null], "a": {"c": 0.5}}'
    assert os.listdir(os.path.join(project.workspace, SCRATCH)) == []


def test_the_document_saves_itself_and_initialises_the_job(project: Project) -> None:
    job = project.open_job({"a": 1})
    job.doc.x = {"y": 1}
    job.document["z"] = [1]
    assert job in project
    assert project.open_job({"a": 1}).doc() == {"x": {"y": 1}, "z": [1]}
    job.doc = {"q": 1}
    assert project.open_job({"a": 1}).document.q == 1
    job.remove()
    job.doc.again = True
    assert job in project
    assert job.doc() == {"again": True}


CHANGES = {
    "state point": "job.sp.a = 2",
    "project": "job.move(Project.get_project('other', search=False))",
    "removal": "job.remove()",
}


def used(place: Project | Job, use: Callable[[Job], object]) -> Job:
    job = place if isinstance(place, Job) else place.open_job({"a": 1})
    use(job)
    return job


HANDLES: dict[str, Callable[[Project], Job]] = {
    "initialised": lambda project: project.open_job({"a": 1}).init(),
    "by id": lambda project: project.open_job(id=project.open_job({"a": 1}).id),
    "found": lambda project: project.find_jobs({"a": 1})[0],
    "iteration": lambda project: next(iter(project)),
    "used document": lambda project: used(project, lambda job: job.doc()),
    "read state point": lambda project: used(next(iter(project)), lambda job: job.sp()),
    "entered": lambda project: used(project, lambda job: (job.open(), job.close())),  # type: ignore[func-returns-value]
    "pickled": lambda project: pickle.loads(pickle.dumps(project.open_job({"a": 1}).init())),
    "deep copy": lambda project: copy.deepcopy(project.open_job({"a": 1}).init()),
}

USES: dict[str, Callable[[Job], Any]] = {
    "document": lambda job: job.doc.update(x=1),
    "assigned document": lambda job: setattr(job, "doc", {"x": 1}),
    "open": lambda job: job.open(),
    "stores": lambda job: setattr(job.stores, "x", {"y": 1}),
    "data": lambda job: setattr(job, "data", {"y": 1}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_handle_on_a_job_that_another_process_took_away_never_makes_it_anew(
    change: str, project: Project, tmp_path: Path
) -> None:
    """Held documents and stores included; a folder without a state point is never left either."""
    Project.init_project(path=tmp_path / "other")
    project.open_job({"a": 1}).init()
    handles = {name: make(project) for name, make in HANDLES.items()}
    documents = {name: job.doc for name, job in handles.items() if name in {"initialised", "used document"}}
    stores = {
        name: copy.copy(job.stores) for name, job in handles.items() if name in {"initialised", "found"}
    }
    stores["pickled"] = pickle.loads(pickle.dumps(handles["initialised"].stores))
    code = f"""
from perkey.dataspace import Project
job = Project.get_project({project.path!r}).open_job({{"a": 1}})
{CHANGES[change]}
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    left = [{"a": 2}] if change == "state point" else []
    for job in handles.values():
        for use in USES.values():
            with pytest.raises(FileNotFoundError):
                use(job)
    for document in documents.values():
        assert document() == {}
        with pytest.raises(FileNotFoundError, match=r"removed, or moved to .*init\(\)"):
            document["x"] = 1
    for each in stores.values():
        with pytest.raises(FileNotFoundError):
            each["x"] = {"y": 1}
    assert [job.sp() for job in Project(project.path)] == left
    project.check()
    for job in handles.values():
        job.init()
        job.doc.x = 1
    for document in documents.values():
        assert document() == {"x": 1}


def test_assigning_to_the_state_point_moves_the_job(project: Project) -> None:
    job = project.open_job({"a": 1, "n": {"m": [1]}}).init()
    job.doc.kept = True
    old = job.id
    job.sp.a = 2
    assert project.open_job({"a": 2, "n": {"m": [1]}}) == job
    job.sp.n.m.append(2)
    job.sp["new"] = {"x": 1}
    job.sp.new.x = 3
    del job.sp.a
    assert job.sp() == job.statepoint() == {"n": {"m": [1, 2]}, "new": {"x": 3}}
    assert job.cached_statepoint == job.sp()
    assert job.doc.kept
    assert [each.id for each in project] == [job.id]
    assert old not in project.workspace
    job.sp = {"other": 1}
    assert job.statepoint == {"other": 1}
    project.check()


def test_reading_the_state_point(project: Project) -> None:
    job = project.open_job(id=project.open_job({"a": 1, "b": {"c": 2}}).init().id)
    assert job.sp.b.c == 2
    assert job.sp.get("z", 5) == 5
    assert "a" in job.sp
    with pytest.raises(AttributeError):
        _ = job.sp.nope
    with pytest.raises(KeyError):
        _ = job.sp["nope"]
    with pytest.raises(TypeError):
        job.cached_statepoint["a"] = 2  # type: ignore[index]


def test_a_state_point_that_another_job_has_is_refused(project: Project) -> None:
    job, taken = project.open_job({"a": 1}).init(), project.open_job({"a": 2}).init()
    job.doc.mine = True
    with pytest.raises(errors.DestinationExistsError) as caught:
        job.sp.a = 2
    assert caught.value.destination == taken.id
    with pytest.raises(errors.DestinationExistsError):
        job.reset_statepoint({"a": 2})
    assert job.sp() == {"a": 1}
    assert sorted(os.listdir(job.path)) == [Job.FN_DOCUMENT, Job.FN_MANIFEST]
    assert job.doc.mine
    assert len(project) == 2


def test_update_statepoint_adds_and_overwrites_only_if_told_to(project: Project) -> None:
    job = project.open_job({"a": 1}).init()
    job.update_statepoint({"b": 2, "a": 1})
    with pytest.raises(KeyError, match="overwrite=True"):
        job.update_statepoint({"a": 3, "c": 1})
    assert job.sp() == {"a": 1, "b": 2}
    job.update_statepoint({"a": 3}, overwrite=True)
    assert job.sp() == {"a": 3, "b": 2}


def test_the_state_point_of_a_job_that_does_not_exist_changes_the_handle_only(project: Project) -> None:
    job = project.open_job({"a": 1})
    job.sp.a = 2
    assert job == project.open_job({"a": 2})
    assert len(project) == 0


def test_clear_and_reset_keep_the_job(project: Project) -> None:
    job = project.open_job({"a": 1}).init()
    os.makedirs(job.fn("sub/folder"))
    Path(job.fn("file")).touch()
    os.symlink(job.path, job.fn("link"))
    job.doc.x = 1
    job.clear()
    assert os.listdir(job.path) == [Job.FN_MANIFEST]
    assert job.doc() == {}
    fresh = project.open_job({"a": 2})
    fresh.clear()
    assert fresh not in project
    fresh.reset()
    assert fresh in project


def test_remove_takes_everything(project: Project) -> None:
    job = project.open_job(id=project.open_job({"a": 1}).init().id)
    os.makedirs(job.fn("sub"))
    job.remove()
    assert job not in project
    assert len(project) == 0
    assert os.listdir(os.path.join(project.workspace, SCRATCH)) == []
    assert job.init().sp() == {"a": 1}


def test_move_and_clone_between_projects(project: Project, other: Project) -> None:
    job = project.open_job({"a": 1}).init()
    job.doc.x = 1
    copied = other.clone(job)
    assert copied == other.open_job({"a": 1})
    assert copied.doc() == {"x": 1}
    assert job in project
    for act in (lambda: other.clone(job), lambda: job.move(other)):
        with pytest.raises(errors.DestinationExistsError):
            act()
    copied.remove()
    job.move(other)
    assert job.project == other
    assert job in other
    assert job not in project
    assert job.doc.x == 1
    assert [each.sp.a for each in other.find_jobs({"a": 1})] == [1]
    absent = project.open_job({"never": 1})
    with pytest.raises(RuntimeError, match="not initialized"):
        absent.move(other)
    with pytest.raises(ValueError, match="not initialized"):
        other.clone(absent)


def test_open_and_close_nest(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    one, two = project.open_job({"a": 1}), project.open_job({"a": 2})
    one.close()
    with one:
        assert os.path.samefile(os.getcwd(), one.path)
        with two as opened, one:
            assert opened is two
            assert os.path.samefile(os.getcwd(), one.path)
        assert os.path.samefile(os.getcwd(), one.path)
    assert os.path.samefile(os.getcwd(), tmp_path)


def test_identity(project: Project, other: Project) -> None:
    job = project.open_job({"a": 1})
    assert job == project.open_job({"a": 1})
    assert hash(job) == hash(project.open_job({"a": 1}))
    assert job != project.open_job({"a": 2})
    assert job != other.open_job({"a": 1})
    assert job != job.id
    assert str(job) == job.id
    assert {job: 1}[copy.copy(job)] == 1
    assert copy.deepcopy(job) == job == pickle.loads(pickle.dumps(job))
    assert eval(repr(job), {"Job": Job, "Project": Project}) == job


def test_a_damaged_state_point_is_told_and_can_be_repaired(project: Project) -> None:
    job = project.open_job({"a": 1}).init()
    for damage in ("{", "[]", '{"a": 2}', "\udcff"):
        Path(job.fn(Job.FN_MANIFEST)).write_text(damage, errors="surrogateescape")
        fresh = Project(project.path, durability="none")
        with pytest.raises(errors.JobsCorruptedError) as caught:
            fresh.open_job(id=job.id).sp()
        assert caught.value.job_ids == (job.id,)
        with pytest.raises(errors.JobsCorruptedError):
            fresh.open_job({"a": 1}).init()
        fresh.open_job({"a": 1}).init(validate_statepoint=False)
        fresh.open_job({"a": 1}).init(force=True)
        fresh.check()


def test_a_damaged_job_can_be_removed_and_moved(project: Project, other: Project) -> None:
    for statepoint in ({"a": 1}, {"a": 2}):
        Path(project.open_job(statepoint).init().fn(Job.FN_MANIFEST)).write_text("{")
    one, two = Project(project.path)
    one.remove()
    two.move(other)
    assert len(project) == 0
    assert [job.id for job in other] == [two.id]


def test_a_folder_without_a_state_point_is_given_one(project: Project) -> None:
    job = project.open_job({"a": 1})
    os.makedirs(job.path)
    Path(job.fn("data")).touch()
    with pytest.raises(errors.JobsCorruptedError):
        project.check()
    job.init()
    assert sorted(os.listdir(job.path)) == ["data", Job.FN_MANIFEST]
    project.check()


def test_a_workspace_that_cannot_be_made_says_so(project: Project) -> None:
    os.rmdir(project.workspace)
    Path(project.workspace).touch()
    with pytest.raises((errors.WorkspaceError, NotADirectoryError)):
        project.open_job({"a": 1}).init()
