"""The index: one file instead of one a job, and never stale."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from perkey.dataspace import Job, Project
from perkey.dataspace.space import index as statepoint_index
from perkey.dataspace.space import workspace
from perkey.files import SCRATCH, folder
from perkey.files.folder import Folder


class Reads:
    """Counts the state-point files that are read, and the listings of the workspace."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.files = self.listings = 0
        read_path, ids = folder.read_path, workspace.Workspace.ids

        def reading(path: str) -> bytes:
            self.files += 1
            return read_path(path)

        def listing(jobs: workspace.Workspace) -> list[str]:
            self.listings += 1
            return ids(jobs)

        monkeypatch.setattr(workspace, "read_path", reading)
        monkeypatch.setattr(workspace.Workspace, "ids", listing)

    def of(self, act: Any) -> tuple[int, int]:
        before = self.files, self.listings
        act()
        return self.files - before[0], self.listings - before[1]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    return Reads(monkeypatch)


@pytest.fixture
def many(project: Project) -> Project:
    """A project of 50 jobs, each known to the index."""
    for n in range(50):
        project.open_job({"n": n}).init()
    assert len(project.find_jobs({"n": {"$gte": 0}})) == 50
    return Project(project.path, durability="none")


def file_of(project: Project) -> Path:
    return Path(project.workspace, SCRATCH, statepoint_index.FILE)


def values(project: Project) -> list[int]:
    return sorted(job.sp.n for job in project.find_jobs({"n": {"$gte": 0}}))


def test_a_cold_search_reads_one_file(many: Project, reads: Reads) -> None:
    assert reads.of(lambda: [job.id for job in many.find_jobs({"n": {"$lt": 25}})]) == (0, 1)
    assert reads.of(lambda: list(many.find_jobs({"n": 1}))) == (0, 2)  # `list` asks for the length first
    assert reads.of(many.detect_schema) == (0, 1)


def test_only_what_is_new_is_read(many: Project, reads: Reads) -> None:
    for n in (50, 51):
        many.open_job({"n": n}).init()
    fresh = Project(many.path)
    assert reads.of(lambda: values(fresh)) == (2, 1)
    assert reads.of(lambda: values(Project(many.path))) == (0, 1)


def test_jobs_of_other_programs_are_seen_at_once(many: Project) -> None:
    """Made, moved and removed behind our back, as signac or `rm -r` would."""
    assert values(many) == list(range(50))
    theirs = Project(many.path, durability="none")
    theirs.open_job({"n": 0}).remove()
    assert values(many) == list(range(1, 50))
    theirs.open_job({"n": 100}).init()
    assert values(many) == [*range(1, 50), 100]
    theirs.open_job({"n": 1}).sp.n = 101
    assert values(many) == [*range(2, 50), 100, 101]
    assert len(many) == 50


def test_a_workspace_that_changed_just_now_is_listed_again(many: Project, reads: Reads) -> None:
    os.utime(many.workspace, ns=(1, 1))  # its change time is now all the same, so nothing is proven yet
    values(many)
    assert reads.of(lambda: values(many)) == (0, 1)


def test_a_workspace_that_was_quiet_is_not_listed_again(
    many: Project, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + 3_000_000_000)
    values(many)
    assert reads.of(lambda: values(many)) == (0, 0)
    many.open_job({"n": 70}).init()
    assert 70 in values(many)


@pytest.fixture(params=["cut", "changed", "empty", "garbage", "missing"])
def damaged(request: pytest.FixtureRequest, many: Project) -> Project:
    """An index that something happened to."""
    path = file_of(many)
    content = path.read_bytes()
    middle = len(content) // 2
    if request.param == "missing":
        path.unlink()
    else:
        path.write_bytes(
            {
                "cut": content[:-3],
                "changed": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
                "empty": b"",
                "garbage": b"not an index at all",
            }[request.param]
        )
    return many


def test_a_damaged_index_heals_itself(damaged: Project, reads: Reads) -> None:
    assert values(damaged) == list(range(50))
    assert reads.of(lambda: values(Project(damaged.path))) == (0, 1)


def test_an_append_that_was_cut_short_is_written_over(many: Project, reads: Reads) -> None:
    many.open_job({"n": 50}).init()
    values(Project(many.path))
    whole = file_of(many).read_bytes()
    file_of(many).write_bytes(whole[:-1])
    assert reads.of(lambda: values(Project(many.path)))[0] == 1
    assert file_of(many).read_bytes() == whole


def test_entries_of_jobs_that_are_gone_are_dropped_in_the_end(
    many: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statepoint_index, "_FEW", 10)
    before = file_of(many).stat().st_size
    for job in list(many):
        job.remove()
    for n in range(5):
        many.open_job({"n": n + 100}).init()
    assert values(many) == [100, 101, 102, 103, 104]
    assert file_of(many).stat().st_size < before / 2
    assert values(Project(many.path)) == [100, 101, 102, 103, 104]


def test_without_rights_to_write_searches_work(many: Project) -> None:
    """A workspace that has no place for an index."""
    job = many.open_job({"n": 50}).init()
    file_of(many).unlink()
    os.rmdir(file_of(many).parent)
    file_of(many).parent.touch()
    assert values(Project(many.path)) == list(range(51))
    assert job in many


def test_where_there_are_no_locks_the_file_is_replaced(
    many: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Folder, "lock", lambda _: False)
    many.open_job({"n": 50}).init()
    fresh = Project(many.path)
    assert values(fresh) == list(range(51))
    fresh.open_job({"n": 51}).init()
    assert values(fresh) == list(range(52))
    assert values(Project(many.path)) == list(range(52))


def test_update_cache_writes_what_signac_reads(many: Project) -> None:
    many.update_cache()
    assert many.FN_CACHE == Project.FN_CACHE == os.path.join(".signac", "statepoint_cache.json.gz")
    entries = statepoint_index.read_cache(many.fn(many.FN_CACHE))
    assert entries == {job.id: job.sp() for job in many}
    path = os.path.join(many.path, "broken")
    Path(path).write_bytes(b"\x1f\x8b broken")
    assert statepoint_index.read_cache(path) == {}


def test_what_dead_processes_left_is_swept_and_nothing_else(many: Project) -> None:
    jobs = many.space.workspace
    stale, fresh, copy = jobs.stage(), jobs.stage(), jobs.stage(copy=True)
    for path in (stale, copy):
        Path(path, "file").touch()
        os.utime(path, ns=(1, 1))
    os.utime(copy)
    other = Path(jobs.home, "something else")
    other.touch()
    os.utime(other, ns=(1, 1))
    assert jobs.sweep() == 1
    assert not os.path.exists(stale)
    assert all(os.path.exists(path) for path in (fresh, copy, other, file_of(many)))
    assert [job for job in many if not job.isfile(Job.FN_MANIFEST)] == []
