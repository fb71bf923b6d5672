"""A project is brought up to date with another."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataspace.trees import contents, job_files, leftovers, write_tree
from perkey.dataspace import Job, Project, TemporaryProject, init_project
from perkey.dataspace.errors import DocumentSyncConflict, FileSyncConflict, SchemaSyncConflict
from perkey.dataspace.sync import DocSync, FileSync, FileTransferStats, sync_projects
from perkey.files.folder import OURS


def fill(project: Project, numbers: range, text: str = "same") -> Project:
    """Make jobs with a file each."""
    for number in numbers:
        write_tree(project.open_job({"a": number}).init().path, {"f": f"{number} {text}"})
    return project


def test_an_empty_project_gets_everything(project: Project, other: Project) -> None:
    fill(other, range(5))
    other.open_job({"a": 1}).doc.x = 1
    other.doc.y = {"z": 2}
    write_tree(other.open_job({"a": 2}).path, {"s/t/f": "deep", "empty/": ""})
    project.sync(other)
    assert contents(project) == contents(other)
    assert project.doc() == {"y": {"z": 2}}
    project.check()
    assert leftovers(project.path) == []


def test_jobs_of_both_are_synchronised_and_others_stay(project: Project, other: Project) -> None:
    fill(other, range(4))
    fill(project, range(2, 6))
    write_tree(other.open_job({"a": 2}).path, {"g": "new"})
    project.sync(other, check_schema=False)
    assert [job_files(project.open_job({"a": n})) for n in (0, 2, 5)] == [
        {"f": "0 same"},
        {"f": "2 same", "g": "new"},
        {"f": "5 same"},
    ]
    assert len(project) == 6


def test_a_conflict_anywhere_changes_nothing_anywhere(project: Project, other: Project) -> None:
    fill(other, range(20))
    fill(project, range(10, 11), "different")
    other.doc.x = 1
    before = contents(project)
    with pytest.raises(FileSyncConflict):
        project.sync(other, check_schema=False)
    other.open_job({"a": 10}).doc.x = 1
    project.open_job({"a": 10}).doc.x = 2
    with pytest.raises(DocumentSyncConflict):
        project.sync(other, check_schema=False, strategy=FileSync.never)
    project.open_job({"a": 10}).doc.clear()
    assert contents(project) == before
    assert project.doc() == {}


def test_the_project_document_is_synchronised_by_the_same_rule(project: Project, other: Project) -> None:
    other.doc.update({"x": 1, "new": 1})
    project.doc.x = 2
    with pytest.raises(DocumentSyncConflict) as raised:
        project.sync(other)
    assert set(raised.value.keys) == {"x"}
    project.sync(other, doc_sync=DocSync.NO_SYNC)
    assert project.doc() == {"x": 2}
    project.sync(other, doc_sync=DocSync.COPY, strategy=FileSync.never)
    assert project.doc() == {"x": 2}
    project.sync(other, doc_sync=DocSync.update)
    assert project.doc() == {"x": 1, "new": 1}
    project.doc.x = 3
    project.sync(other, doc_sync=DocSync.COPY, strategy=FileSync.always)
    assert project.doc() == {"x": 1, "new": 1}


def test_nothing_of_a_project_but_jobs_and_document_is_copied(project: Project, other: Project) -> None:
    write_tree(other.path, {"script.py": "x", "data/f": "y"})
    other.doc.x = 1
    project.sync(other, doc_sync=DocSync.COPY, recursive=True)
    assert not os.path.exists(project.fn("script.py"))
    assert not os.path.exists(project.fn("data"))
    assert project.id == "test"


@pytest.mark.parametrize("theirs", [{"b": 1}, {"a": 9}, {"a": "1"}, {"a": 1, "b": 1}])
def test_schemata_that_differ_are_a_conflict(
    project: Project, other: Project, theirs: dict[str, Any]
) -> None:
    fill(project, range(1, 2))
    other.open_job(theirs).init()
    with pytest.raises(SchemaSyncConflict) as raised:
        project.sync(other)
    assert raised.value.schema_src == other.detect_schema()
    assert raised.value.schema_dst == project.detect_schema()
    assert len(project) == 1
    project.sync(other, check_schema=False)
    assert len(project) == 2


def test_equal_schemata_and_empty_projects_are_no_conflict(project: Project, other: Project) -> None:
    project.sync(other)
    fill(project, range(3))
    project.sync(other)
    fill(other, range(3))
    project.sync(other)


@pytest.mark.parametrize("as_jobs", [True, False])
def test_a_selection_leaves_other_jobs_alone(project: Project, other: Project, as_jobs: bool) -> None:
    fill(other, range(5))
    jobs = list(other.find_jobs({"a": {"$gte": 3}}))
    strange = project.open_job({"strange": 1})
    chosen: list[Job | str] = [*jobs, strange] if as_jobs else [*(job.id for job in jobs), strange.id]
    project.sync(other, selection=chosen)
    assert sorted(job.sp.a for job in project) == [3, 4]
    project.sync(other, selection=[], check_schema=False)
    assert len(project) == 2


def test_statistics_count_files_and_bytes(project: Project, other: Project) -> None:
    fill(other, range(2))
    fill(project, range(1))
    assert project.sync(other, check_schema=False) is None
    project.open_job({"a": 1}).remove()
    expected = FileTransferStats(2, len('{"a": 1}') + len("1 same"))
    found = project.sync(other, check_schema=False, dry_run=True, collect_stats=True)
    assert found == expected
    assert len(project) == 1
    assert project.sync(other, check_schema=False, collect_stats=True) == expected
    assert project.sync(other, collect_stats=True) == FileTransferStats(num_files=0, volume=0)


def test_a_dry_run_prints_all_that_would_be_done(
    project: Project, other: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(other, range(2))
    other.doc.x = 1
    assert project.sync(other, dry_run=True) is None
    printed = capsys.readouterr().out
    for job in other:
        assert f"new job    {project.open_job(job.sp()).path}\n" in printed
    assert f"merge      {project.fn(project.FN_DOCUMENT)}\n" in printed
    assert (len(project), project.doc()) == (0, {})


@pytest.mark.parametrize("parallel", [True, 3])
def test_in_parallel_the_result_is_the_same(project: Project, other: Project, parallel: Any) -> None:
    fill(other, range(40))
    fill(project, range(20), "different")
    running = []

    def strategy(*_: object) -> bool:
        running.append(1)
        assert len(running) == 1, "two threads ask at once"
        running.pop()
        return True

    project.sync(other, strategy=strategy, check_schema=False, parallel=parallel)
    assert contents(project) == contents(other)


def test_in_parallel_a_conflict_changes_nothing(project: Project, other: Project) -> None:
    fill(other, range(40))
    fill(project, range(1), "different")
    with pytest.raises(FileSyncConflict):
        project.sync(other, check_schema=False, parallel=4)
    assert len(project) == 1


@pytest.mark.parametrize("durability", ["sync", "none"])
def test_what_is_copied_is_on_the_disk_if_the_project_is_durable(
    tmp_path: Path, other: Project, synced: list[str], durability: Any
) -> None:
    """Each file before it gets its name, and then the folders."""
    project = fill(init_project(root=tmp_path / "p", durability=durability), range(1))
    write_tree(other.open_job({"a": 0}).init().path, {"s/g": "x"})
    fill(other, range(2))
    synced.clear()
    project.sync(other, recursive=True, check_schema=False)
    old = project.open_job({"a": 0})
    assert (old.fn("s") in synced) == (durability == "sync")
    assert (project.workspace in synced) == (durability == "sync")
    # Of the old job s/g, under its temporary name; of the new one its file and its state point.
    names = {os.path.basename(path) for path in synced}
    assert ({"f", old.FN_STATE_POINT} <= names) == (durability == "sync")
    assert any(name.startswith(OURS + "tmp-") for name in names) == (durability == "sync")


def test_a_project_cannot_be_synchronised_with_itself(project: Project) -> None:
    with pytest.raises(ValueError, match="same"):
        project.sync(Project(project.path))


def test_jobs_that_others_make_meanwhile_are_synchronised(project: Project, other: Project) -> None:
    """The strategy is asked while planning; what it makes then is found when the plan is carried out."""
    fill(other, range(2))
    fill(project, range(1), "different")

    def strategy(*_: object) -> bool:
        project.open_job({"a": 1}).doc.theirs = 1
        return True

    other.open_job({"a": 1}).doc.ours = 1
    project.sync(other, strategy=strategy, check_schema=False)
    assert project.open_job({"a": 1}).doc() == {"theirs": 1, "ours": 1}
    assert contents(project)[0][3] == contents(other)[0][3]


def _sync(source: str, destination: str, barrier: Any) -> None:
    barrier.wait()
    sync_projects(
        Project(source, durability="none"),
        Project(destination, durability="none"),
        check_schema=False,
        recursive=True,
    )


def test_several_processes_sync_into_one_project_and_nothing_is_lost(
    tmp_path: Path, project: Project
) -> None:
    sources = []
    for number in range(3):
        source = fill(init_project(root=tmp_path / f"s{number}", durability="none"), range(30))
        for job in source:
            job.doc[f"from{number}"] = number
            write_tree(job.path, {f"g{number}": "x"})
        sources.append(source.path)
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(len(sources))
    crew = [context.Process(target=_sync, args=(source, project.path, barrier)) for source in sources]
    for process in crew:
        process.start()
    for process in crew:
        process.join()
    assert [process.exitcode for process in crew] == [0, 0, 0]
    assert len(project) == 30
    for job in project:
        assert job.doc() == {f"from{n}": n for n in range(3)}
        assert set(job_files(job)) == {"f", "g0", "g1", "g2"}
    project.check()
    assert leftovers(project.path) == []


NAMES = st.sampled_from(["f", "g", "s/f", "s/t/g", "ü x"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text("abé", max_size=2), inner, max_size=2)
    ),
    max_leaves=4,
)
JOB = st.tuples(
    st.dictionaries(NAMES, st.text("xyz", max_size=3), max_size=3),
    st.dictionaries(st.text("abc", min_size=1, max_size=2), JSON, max_size=3),
)
SPACE = st.dictionaries(st.integers(0, 3), JOB, max_size=3)


def build(project: Project, space: dict[int, Any]) -> None:
    for number, (files, document) in space.items():
        job = project.open_job({"n": number}).init()
        write_tree(job.path, files)
        job.doc.reset(document)


def merged(ours: Any, theirs: Any) -> Any:
    """What a plain reference says: theirs goes into ours, key by key."""
    if not (isinstance(ours, dict) and isinstance(theirs, dict)):
        return theirs
    return {
        **ours,
        **{key: merged(ours[key], value) if key in ours else value for key, value in theirs.items()},
    }


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(source=SPACE, destination=SPACE)
def test_a_sync_loses_nothing(source: dict[int, Any], destination: dict[int, Any]) -> None:
    with TemporaryProject() as theirs, TemporaryProject() as ours:
        build(theirs, source)
        build(ours, destination)
        rule: dict[str, Any] = {"recursive": True, "check_schema": False, "deep": True}
        ours.sync(theirs, strategy=FileSync.always, doc_sync=DocSync.ByKey(".*"), **rule)
        assert {job.sp.n for job in ours} == source.keys() | destination.keys()
        for job in ours:
            mine, other = destination.get(job.sp.n, ({}, {})), source.get(job.sp.n, ({}, {}))
            assert {name: text for name, text in job_files(job).items() if not name.endswith("/")} == {
                **mine[0],
                **other[0],
            }
            assert job.doc() == merged(mine[1], other[1])
        # And once more there is nothing to do.
        stats = ours.sync(
            theirs, strategy=FileSync.always, doc_sync=DocSync.ByKey(".*"), collect_stats=True, **rule
        )
        assert stats == FileTransferStats(0, 0)
