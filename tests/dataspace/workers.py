"""What each of many processes does to one project; it imports little, because each process imports it."""

from __future__ import annotations

import random
from typing import Any

from perkey.dataspace import Project, errors, init_project


def make_the_same(number: int, path: str, count: int) -> list[bool]:
    project = init_project("race", path, durability="none")
    return [project.space.workspace.create(*_job(project, n)) for n in range(count)]


def _job(project: Project, n: int) -> tuple[str, dict[str, Any]]:
    job = project.open_job({"n": n})
    return job.id, job._plain_statepoint()


def write_and_move(number: int, path: str, count: int) -> list[str]:
    """Each has jobs of its own, and all write to the documents of some common ones."""
    project = Project(path, durability="none")
    other = Project(f"{path}/other", durability="none")
    choose = random.Random(number)
    removed = []
    for n in range(count):
        job = project.open_job({"owner": number, "n": n})
        job.doc.n = n
        job.sp.moved = True
        common = project.open_job({"common": n % 3})
        common.doc[f"{number}-{n}"] = n
        fate = choose.randrange(4)
        if fate == 0:
            removed.append(job.id)
            job.remove()
        elif fate == 1:
            job.move(other)
        elif fate == 2:
            job.sp = {**job.sp(), "again": n}
        assert len(project.find_jobs({"owner": number, "doc.n": n})) == (fate > 1)
    return removed


def fight(number: int, path: str, rounds: int) -> int:
    """Move one job to a place of one's own, wherever it is at the moment."""
    project = Project(path, durability="none")
    won = 0
    for n in range(rounds):
        for job in project.find_jobs({"token": 1}):
            before = job.id
            try:
                job.reset_statepoint({"token": 1, "at": [number, n]})
            except (errors.JobsCorruptedError, KeyError):
                raise AssertionError(f"{before} was torn") from None
            won += 1
    return won


def claim(number: int, path: str) -> bool:
    """Try to bring one's own job to the place that all want."""
    project = Project(path, durability="none")
    try:
        project.open_job({"from": number}).sp = {"to": "here"}
    except errors.DestinationExistsError:
        return False
    return True


def search(number: int, path: str, count: int) -> None:
    """Make jobs of one's own and find all of them, always."""
    project = Project(path, durability="none")
    for n in range(count):
        project.open_job({"owner": number, "n": n}).init()
        fresh = Project(path, durability="none")
        for each in (project, fresh):
            assert len(each.find_jobs({"owner": number})) == n + 1
