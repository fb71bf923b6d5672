"""Many processes at one project: nothing is lost, nothing is torn."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from crews import METHODS, Method, run_crew, same, times

from perkey.dataspace import Project, init_project
from perkey.files import SCRATCH

from .workers import claim, fight, make_the_same, search, write_and_move


@pytest.mark.parametrize("method", METHODS)
def test_of_many_that_make_a_job_one_makes_it(method: Method, tmp_path: Path) -> None:
    count = times(30, 1000)
    made = run_crew(method, same(8, make_the_same, str(tmp_path), count))
    assert [sum(each) for each in zip(*made, strict=True)] == [1] * count
    project = Project(tmp_path)
    project.check()
    assert len(project) == count
    assert os.listdir(os.path.join(project.workspace, SCRATCH)) == []


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_jobs_are_made_written_moved_and_removed_and_nothing_is_lost(method: Method, tmp_path: Path) -> None:
    count = times(12, 200)
    project = init_project("race", tmp_path)
    other = init_project("other", tmp_path / "other")
    removed = [
        job for jobs in run_crew(method, same(8, write_and_move, str(tmp_path), count)) for job in jobs
    ]
    for each in (project, other):
        each.check()
        each.repair()
    kept = [*project.find_jobs({"owner": {"$exists": True}}), *other]
    assert len(kept) + len(removed) == 8 * count
    assert sorted((job.sp.owner, job.sp.n) for job in kept) == sorted(
        {(job.sp.owner, job.sp.n) for job in kept}
    )
    assert all(job.doc() == {"n": job.sp.n} for job in kept)
    documents = [job.doc() for job in project.find_jobs({"common": {"$exists": True}})]
    assert sum(map(len, documents)) == 8 * count


@pytest.mark.parametrize("method", METHODS)
def test_one_job_that_all_move_is_always_exactly_one(method: Method, tmp_path: Path) -> None:
    project = init_project("race", tmp_path, durability="none")
    project.open_job({"token": 1}).init().doc.kept = 1
    assert sum(run_crew(method, same(8, fight, str(tmp_path), times(20, 500)))) > 0
    project = Project(tmp_path)
    project.check()
    assert len(project) == 1
    (job,) = project
    assert job.doc() == {"kept": 1}
    assert sorted(os.listdir(job.path)) == ["signac_job_document.json", "signac_statepoint.json"]


@pytest.mark.parametrize("method", METHODS)
def test_of_many_that_move_to_one_place_one_succeeds(method: Method, tmp_path: Path) -> None:
    project = init_project("race", tmp_path, durability="none")
    for n in range(8):
        project.open_job({"from": n}).init().doc.origin = n
    won = run_crew(method, same(8, claim, str(tmp_path)))
    assert sum(won) == 1
    fresh = Project(tmp_path)
    fresh.check()
    assert fresh.open_job({"to": "here"}).doc.origin == won.index(True)
    assert sorted(job.sp["from"] for job in fresh.find_jobs({"from": {"$exists": True}})) == [
        n for n in range(8) if not won[n]
    ]


@pytest.mark.parametrize("method", ["thread", "fork"])
def test_the_index_is_never_stale(method: Method, tmp_path: Path) -> None:
    count = times(10, 200)
    init_project("race", tmp_path)
    run_crew(method, same(8, search, str(tmp_path), count))
    assert len(Project(tmp_path).find_jobs({"n": {"$gte": 0}})) == 8 * count
