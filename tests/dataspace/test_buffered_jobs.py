"""What a buffered block holds back of a job's document is where the job is, whatever becomes of the job."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import perkey.dataspace as space
from perkey.dataspace import Job, Project, get_project
from perkey.synced import BufferedFileError

Act = Callable[[Project, Job, Project], object]

BLOCKS: dict[str, Callable[[Job], Any]] = {
    "all documents": lambda job: space.buffered(),
    "this document": lambda job: job.doc.buffered,
}


@pytest.fixture
def job(project: Project) -> Job:
    job = project.open_job({"a": 1}).init()
    job.doc.n = 0
    return job


def moved_twice(job: Job) -> None:
    job.reset_statepoint({"a": 3})
    job.reset_statepoint({"a": 1})


def removed_and_made(job: Job) -> None:
    job.remove()
    job.init()


MOVES: dict[str, Act] = {
    "an attribute": lambda project, job, other: setattr(job.sp, "a", 2),
    "reset_statepoint": lambda project, job, other: job.reset_statepoint({"b": 1}),
    "update_statepoint": lambda project, job, other: job.update_statepoint({"b": 1}),
    "of the project": lambda project, job, other: project.reset_statepoint(job, {"c": 1}),
    "twice": lambda project, job, other: moved_twice(job),
    "move": lambda project, job, other: job.move(other),
}


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("move", MOVES)
@pytest.mark.filterwarnings("ignore::perkey.dataspace.DataspaceDeprecationWarning")
def test_edits_go_with_the_job(project: Project, job: Job, other: Project, move: str, block: str) -> None:
    with BLOCKS[block](job):
        job.doc.n = 1
        MOVES[move](project, job, other)
        assert job.doc.n == 1
        job.doc.m = 2
    assert json.loads(Path(job.fn(job.FN_DOCUMENT)).read_text()) == {"n": 1, "m": 2}
    assert [each.doc() for each in (*project, *other)] == [{"n": 1, "m": 2}]


REMOVALS: dict[str, Act] = {
    "clear": lambda project, job, other: job.clear(),
    "reset": lambda project, job, other: job.reset(),
    "remove and init": lambda project, job, other: removed_and_made(job),
}


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("removal", REMOVALS)
def test_edits_are_removed_with_the_data(
    project: Project, job: Job, other: Project, removal: str, block: str
) -> None:
    with BLOCKS[block](job):
        job.doc.n = 1
        REMOVALS[removal](project, job, other)
        assert job.doc == {}
        job.doc.m = 2
    assert [each.doc() for each in project] == [{"m": 2}]


@pytest.mark.parametrize("block", BLOCKS)
def test_a_job_that_was_removed_is_not_written(project: Project, job: Job, block: str) -> None:
    with BLOCKS[block](job):
        job.doc.n = 1
        job.remove()
    assert not list(project)


READERS: dict[str, Act] = {
    "find_jobs": lambda project, job, other: [each.doc() for each in project.find_jobs({"doc.n": 1})],
    "in": lambda project, job, other: [job.doc() for _ in range(job in project.find_jobs({"doc.n": 1}))],
    "another handle": lambda project, job, other: [
        each.doc() for each in get_project(project.path).find_jobs({"doc.n": 1})
    ],
    "groupby": lambda project, job, other: [{"n": n} for n, _ in project.groupby("doc.n")],
    "to_dataframe": lambda project, job, other: [{"n": n} for n in project.to_dataframe()["doc.n"]],
    "clone": lambda project, job, other: [other.clone(job).doc()],
    "sync of a new job": lambda project, job, other: synced(project, other),
    "sync of a job": lambda project, job, other: (other.open_job({"a": 1}).init(), synced(project, other))[1],
    "sync of jobs": lambda project, job, other: synced_jobs(job, other.open_job({"a": 1}).init()),
    "export_to": lambda project, job, other: (project.export_to(other.fn("x")), imported(other, "x"))[1],
    "export_to an archive": lambda project, job, other: (
        project.export_to(other.fn("x.zip")),
        imported(other, "x.zip"),
    )[1],
    "import_from": lambda project, job, other: (
        other.import_from(project.workspace()),
        [each.doc() for each in other],
    )[1],
}


def synced(project: Project, other: Project) -> list[Any]:
    other.sync(project)
    return [each.doc() for each in other]


def synced_jobs(job: Job, target: Job) -> list[Any]:
    target.sync(job)
    return [target.doc()]


def imported(other: Project, name: str) -> list[Any]:
    other.import_from(other.fn(name))
    return [each.doc() for each in other]


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("reader", READERS)
def test_what_reads_documents_finds_what_is_held_back(
    project: Project, job: Job, other: Project, reader: str, block: str
) -> None:
    with BLOCKS[block](job):
        job.doc.n = 1
        assert READERS[reader](project, job, other) == [{"n": 1}]


def test_an_edit_that_cannot_be_written_leaves_the_job_in_its_place(project: Project, job: Job) -> None:
    def edit_and_move() -> None:
        with space.buffered():
            job.doc.n = 1
            Path(job.fn(job.FN_DOCUMENT)).write_text('{"n": "of another program"}')
            job.sp.a = 2

    with pytest.raises(BufferedFileError) as caught:
        edit_and_move()
    assert caught.value.data == {job.fn(job.FN_DOCUMENT): {"n": 1}}
    assert [(each.sp.a, each.doc.n) for each in project] == [(1, "of another program")]


def test_searches_write_nothing_that_is_not_theirs(project: Project, job: Job, other: Project) -> None:
    foreign = other.open_job({"a": 1}).init()
    with space.buffered():
        foreign.doc.n = 1
        assert not project.find_jobs({"doc.n": 1})
        assert not foreign.isfile(foreign.FN_DOCUMENT)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda jobs: pickle.loads(pickle.dumps(jobs))])
@pytest.mark.parametrize("filter", [None, {"a": {"$gt": 1}}, {"doc.n": {"$in": [2, 3]}}])
def test_the_jobs_of_a_search_travel(project: Project, filter: Any, copied: Callable[[Any], Any]) -> None:
    for a in range(4):
        project.open_job({"a": a}).init().doc.n = a
    jobs = project.find_jobs(filter)
    assert list(jobs)
    twin = copied(jobs)
    assert list(twin) == list(jobs)
    next(iter(jobs)).remove()
    assert list(twin) == list(jobs)
    assert pickle.dumps(jobs) != pickle.dumps(jobs)  # joblib must not take it for an argument of earlier
