"""A process killed anywhere leaves each job where it was or where it should go, and nothing in the way."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from crashes import crash_everywhere

from dataspace import crash_acts
from dataspace.crash_acts import NEW, OLD, Spaces
from perkey.dataspace import init_project
from perkey.dataspace.space import transfers
from perkey.files import SCRATCH
from perkey.stores.folder.store import Durability


@pytest.fixture(params=["sync", "none"])
def durability(request: pytest.FixtureRequest) -> Durability:
    found: Durability = request.param
    return found


@pytest.fixture
def template(place: Path) -> Path:
    """Two projects; in one a job with a document and files."""
    folder = place / "template"
    project = init_project("one", folder / "one", durability="none")
    job = project.open_job(OLD).init()
    job.doc.kept = True
    os.makedirs(job.fn("sub"))
    Path(job.fn("sub/file")).write_text("content")
    project.open_job({"bystander": 1}).init()
    init_project("two", folder / "two", durability="none")
    return folder


class Found(Spaces):
    """What is found after a crash, by a process that opens the projects next."""

    def check(self) -> list[tuple[str, Any]]:
        """Return where the job is, with which state point; everything else must be in order."""
        found = []
        for name, project in (("one", self.one), ("two", self.two)):
            project.check()
            for job in project:
                if "bystander" in job.cached_statepoint:
                    continue
                found.append((name, job.sp()))
                assert project.open_job(job.sp()) == job
                project.space.workspace.sweep(min_age=0)
        assert [job.sp() for job in self.one.find_jobs({"bystander": 1})] == [{"bystander": 1}]
        return found

    def check_data(self) -> None:
        for project in (self.one, self.two):
            for job in project.find_jobs({"bystander": {"$exists": False}}):
                assert job.doc() == {"kept": True}
                assert Path(job.fn("sub/file")).read_text() == "content"


def killed_everywhere(
    template: Path, folder: Path, durability: Durability, act: Callable[[Spaces], Any]
) -> tuple[int, list[list[tuple[str, Any]]]]:
    """Return at how many points the process was killed, and what was found after each."""
    outcomes = []
    points = 0
    opened = partial(Spaces, folder, durability)
    for points in crash_everywhere(template, folder, act, prepare=opened):  # noqa: B007
        found = Found(folder)
        outcomes.append(found.check())
        home = os.path.join(found.one.workspace, SCRATCH)
        if os.path.isdir(home):
            found.one.space.workspace.sweep(min_age=0)
            assert set(os.listdir(home)) <= {"index", "moves"}
    return points, outcomes


def check_both_seen(outcomes: list[Any], before: Any, after: Any) -> None:
    """Each outcome is one of the two, first the one and then the other."""
    assert all(outcome in (before, after) for outcome in outcomes)
    assert outcomes == sorted(outcomes, key=lambda outcome: outcome == after)
    assert before in outcomes
    assert after in outcomes


def test_init(
    template: Path, place: Path, durability: Durability, record_property: Callable[[str, object], None]
) -> None:
    points, outcomes = killed_everywhere(template, place / "p", durability, crash_acts.init)
    record_property("crash points", points)
    check_both_seen(outcomes, [("one", OLD)], [("one", OLD), ("two", NEW)])


def test_reset_statepoint(
    template: Path, place: Path, durability: Durability, record_property: Callable[[str, object], None]
) -> None:
    folder = place / "p"
    points, outcomes = killed_everywhere(template, folder, durability, crash_acts.reset_statepoint)
    record_property("crash points", points)
    check_both_seen(outcomes, [("one", OLD)], [("one", NEW)])
    Found(folder).check_data()


def test_move(template: Path, place: Path, record_property: Callable[[str, object], None]) -> None:
    folder = place / "p"
    points, outcomes = killed_everywhere(template, folder, "sync", crash_acts.move)
    record_property("crash points", points)
    check_both_seen(outcomes, [("one", OLD)], [("two", OLD)])
    Found(folder).check_data()


def test_move_between_file_systems(
    template: Path, place: Path, record_property: Callable[[str, object], None]
) -> None:
    """By copying; what is found after the kill is found by whoever opens the old project next."""
    folder = place / "p"
    points, outcomes = killed_everywhere(template, folder, "none", crash_acts.move_by_copy)
    record_property("crash points", points)
    check_both_seen(outcomes, [("one", OLD)], [("two", OLD)])
    found = Found(folder)
    found.check_data()
    assert os.listdir(os.path.join(found.one.workspace, SCRATCH, "moves")) == []


def test_remove(template: Path, place: Path, record_property: Callable[[str, object], None]) -> None:
    points, outcomes = killed_everywhere(template, place / "p", "sync", crash_acts.remove)
    record_property("crash points", points)
    check_both_seen(outcomes, [("one", OLD)], [])


def test_clone(template: Path, place: Path, record_property: Callable[[str, object], None]) -> None:
    folder = place / "p"
    points, outcomes = killed_everywhere(template, folder, "none", crash_acts.clone)
    record_property("crash points", points)
    check_both_seen(outcomes, [("one", OLD)], [("one", OLD), ("two", OLD)])
    Found(folder).check_data()


def test_a_search(template: Path, place: Path, record_property: Callable[[str, object], None]) -> None:
    """Which writes the index."""
    folder = place / "p"
    points, outcomes = killed_everywhere(template, folder, "none", crash_acts.search)
    record_property("crash points", points)
    assert all(outcome == [("one", OLD)] for outcome in outcomes)
    assert points > 10


def test_a_job_made_anew_in_the_place_of_one_that_was_moved_is_kept(template: Path, place: Path) -> None:
    """1. killed when the original was removed   2. a new job in its place   3. the next opening."""
    folder = place / "p"
    shutil.copytree(template, folder)
    spaces = Spaces(folder)
    leave = transfers._unlink

    def killed(path: str) -> None:
        raise KeyboardInterrupt(path)

    transfers._unlink = killed
    try:
        with pytest.raises(KeyboardInterrupt):
            crash_acts.move_by_copy(spaces)
    finally:
        transfers._unlink = leave
    spaces.one.open_job(OLD).init()
    assert Found(folder).check() == [("one", OLD), ("two", OLD)]
