"""What a program written for signac does in other ways than ours works as it does there."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import perkey.dataspace as space
from dataspace.signac_side import signac
from perkey.dataspace import Collection, Job, Project, ProjectSchema, init_project
from perkey.dataspace.search.neighbors import neighbors_of
from perkey.synced import BufferedJSONDict, JSONAttrDict, JSONDict, MemoryBufferedJSONDict


@pytest.fixture
def five(project: Project) -> Project:
    for a in range(5):
        project.open_job({"a": a}).init()
    return project


# --- Cursors ---------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(part=st.slices(7))
def test_slices_of_a_cursor_are_slices_of_its_jobs(five: Project, part: slice) -> None:
    for filter in (None, {"a": {"$gte": 1}}, {"a": 9}):
        jobs = five.find_jobs(filter)
        assert jobs[part] == list(jobs)[part]


def test_positions_of_a_cursor_are_numbers(five: Project) -> None:
    for wrong in ("a", 1.0, None, [1]):
        with pytest.raises(TypeError):
            five.find_jobs()[wrong]  # type: ignore[call-overload]


@pytest.mark.filterwarnings("ignore::perkey.dataspace.DataspaceDeprecationWarning")
def test_next_goes_through_all_jobs_and_begins_again(five: Project) -> None:
    jobs = five.find_jobs({"a": {"$lt": 3}})
    for _ in range(2):
        assert [jobs.next() for _ in range(3)] == list(jobs)
        with pytest.raises(StopIteration):
            jobs.next()


def test_what_is_not_a_job_is_not_in_a_project(five: Project) -> None:
    others: list[Any] = [None, "a", [], five]
    for other in others:
        assert other not in five
        assert other not in five.find_jobs({"a": 1})


# --- Projects and jobs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a/b", "/a", "./a", "a/", Path("a")])
def test_a_path_is_not_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: Any) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    for make in (init_project, Project.init_project):
        with pytest.raises(ValueError, match=r"path="):
            make(name)
        with pytest.raises(ValueError, match=r"path="):
            make(name, tmp_path / "new")
    assert sorted(tmp_path.iterdir()) == before


def test_a_project_that_has_such_a_name_is_opened(tmp_path: Path) -> None:
    (tmp_path / "signac.rc").write_text("project = a/b\nschema_version = 1\n")
    assert init_project("a/b", tmp_path).id == "a/b"


def test_the_parameters_of_signac_2(five: Project) -> None:
    assert Project(path=five.path) == five
    job = five.open_job({"a": 1})
    assert Job(five, id_=job.id, directory_known=True) == job
    assert Job(five, {"a": 1}, job.id, True) == job


def test_a_subclass_has_jobs_of_its_own_class(five: Project) -> None:
    class OwnJob(Job):
        pass

    class Own(Project):
        Job = OwnJob

    class Further(Own):
        pass

    for cls in (Own, Further):
        project = cls(five.path)
        assert type(project.open_job({"a": 1})) is OwnJob
        assert {type(job) for job in project} == {OwnJob}
    assert space.Project.Job is Job  # type: ignore[attr-defined]


def test_updating_the_cache_returns_its_size(five: Project) -> None:
    assert five.update_cache() == five.update_cache() == 5


# --- Neighbors -------------------------------------------------------------------------------------------

values = st.one_of(st.integers(0, 3), st.sampled_from(["x", "y"]))
statepoints = st.lists(
    st.fixed_dictionaries(
        {"a": st.integers(0, 4), "b": st.integers(0, 1)},
        optional={"n": st.fixed_dictionaries({"c": values}), "l": st.lists(st.integers(0, 2), max_size=2)},
    ),
    min_size=1,
    max_size=8,
)


def test_neighbors_are_those_of_signac(project: Project) -> None:
    """For state points of many shapes, with and without keys to ignore."""
    shapes: list[list[dict[str, Any]]] = [
        [{"a": a, "b": b} for a in (0, 1, 4) for b in (0, 1)],
        [{"a": 1, "b": 2}, {"a": 3, "b": 2}, {"a": 2, "b": 1}, {"a": 7, "b": 2}],
        [{"a": a, "b": a // 2, "c": {"d": -a}} for a in range(4)],
        [{"a": "x"}, {"a": 5}, {"a": None}, {"a": [1]}, {"a": 2.5}, {"b": 1}],
        [{"l": [1, 2]}, {"l": [1]}, {"l": [0]}],
        [{"c": {"d": 1, "e": "x"}}, {"c": {"d": 2, "e": "x"}}, {"c": {"d": 2, "e": "y"}}],
    ]
    ignored: list[list[list[str]]] = [[[]], [[]], [[], ["c.d"], ["c.d", "b"]], [[]], [[]], [[]]]
    theirs = signac(
        """
import tempfile
found = []
def shown(jobs):
    return sorted([repr(value), job] for value, job in jobs.items())
for shapes, ignored in given:
    project = signac.init_project(tempfile.mkdtemp())
    for statepoint in shapes:
        project.open_job(statepoint).init()
    for ignore in ignored:
        near = project.get_neighbors(ignore=ignore)
        found.append({job: {key: shown(jobs) for key, jobs in each.items()} for job, each in near.items()})
give(found)
""",
        list(zip(shapes, ignored, strict=True)),
    )
    found = []
    for statepoints, each in zip(shapes, ignored, strict=True):
        by_id = project.dump_statepoints(statepoints)
        found += [neighbors_of(by_id, ignore) for ignore in each]
    assert [
        {job: {key: shown(jobs) for key, jobs in each.items()} for job, each in near.items()}
        for near in found
    ] == theirs


def shown(jobs: dict[Any, str]) -> list[list[str]]:
    return sorted([repr(value), job] for value, job in jobs.items())


@given(statepoints)
def test_neighbors_are_mutual_and_differ_in_one_value(found: list[dict[str, Any]]) -> None:
    by_id = Project.dump_statepoints(None, found)  # type: ignore[arg-type]
    near = neighbors_of(by_id, [])
    for job, keys in near.items():
        for key, jobs in keys.items():
            assert len(jobs) <= 2
            for other in jobs.values():
                assert job in near[other][key].values()
                assert {**flat(by_id[job]), key: 0} == {**flat(by_id[other]), key: 0}


def flat(statepoint: dict[str, Any]) -> dict[str, Any]:
    nested = {f"n.{key}": value for key, value in statepoint.get("n", {}).items()}
    return {**{key: value for key, value in statepoint.items() if key != "n"}, **nested}


def test_keys_to_ignore_must_leave_the_jobs_apart(five: Project) -> None:
    with pytest.raises(ValueError, match="'a' these jobs are the same"):
        five.get_neighbors(ignore="a")
    with pytest.warns(RuntimeWarning, match="no job has the key to ignore 'nope'"):
        assert five.get_neighbors(ignore=["nope"]) == five.get_neighbors()


# --- Schemata and collections ----------------------------------------------------------------------------


def test_a_schema_is_asked_by_lists_of_keys_and_of_jobs(project: Project) -> None:
    jobs = [project.open_job({"a": {"b": n}, "c": n}).init() for n in range(3)]
    schema = project.detect_schema()
    assert schema[["a", "b"]] == schema["a", "b"] == schema["a.b"]
    there: Any = ["a", "b"]
    missing: Any = ["a", "x"]
    assert there in schema
    assert missing not in schema
    assert schema(jobs[:1]) == ProjectSchema({"a.b": {int: {0}}, "c": {int: {0}}})
    assert schema([{"c": 7, "other": 1}]) == ProjectSchema({"c": {int: {7}}})


def test_results_are_counted_and_documents_are_not_changed() -> None:
    collection = Collection([{"a": 1}, {"a": 1}, {"a": 2}])
    found = collection.find({"a": 1})
    assert found.count() == len(found) == 2
    assert found.count(found[0]) == 1
    document = {"b": 1}
    collection["key"] = document
    assert document == {"b": 1}


# --- Buffers ---------------------------------------------------------------------------------------------

Block = Callable[[Any], Any]

BLOCKS: dict[str, Block] = {
    "buffered": lambda d: d.buffered,
    "buffered()": lambda d: d.buffered(),
    "buffer_backend()": lambda d: type(d).buffer_backend(),
    "buffer_backend(buffer_capacity)": lambda d: type(d).buffer_backend(buffer_capacity=10**6),
    "buffer_backend(buffer_size)": lambda d: type(d).buffer_backend(buffer_size=10**6, force_write=True),
    "buffer_backend by position": lambda d: type(d).buffer_backend(10**6),
}


@pytest.mark.parametrize("make", BLOCKS.values(), ids=BLOCKS)
@pytest.mark.parametrize("cls", [JSONDict, JSONAttrDict, BufferedJSONDict, MemoryBufferedJSONDict])
def test_blocks_are_entered_again_and_nested(tmp_path: Path, cls: Any, make: Block) -> None:
    path = tmp_path / "d.json"
    d = cls(path)
    block = make(d)
    for n in range(2):
        with block:
            d["a"] = n
            with block:
                d["b"] = n
            assert not path.exists() or f'"b": {n}' not in path.read_text()
        assert cls(path) == {"a": n, "b": n}
        with pytest.raises(ZeroDivisionError), block:
            d["c"] = n / 0
    assert not cls.backend_is_buffered()


def test_the_module_buffers_documents(five: Project) -> None:
    job = next(iter(five))
    before = space.get_buffer_capacity()
    with space.buffered(buffer_capacity=10**7):
        assert space.is_buffered()
        assert space.get_buffer_capacity() == space.get_buffer_size() == 10**7
        job.doc.a = 1
        assert space.get_buffer_load() == space.get_current_buffer_size() > 0
        assert not job.isfile(job.FN_DOCUMENT)
    assert job.isfile(job.FN_DOCUMENT)
    assert not space.is_buffered()
    assert space.get_buffer_capacity() == before


def test_values_and_items_of_documents_are_live(five: Project) -> None:
    job = next(iter(five))
    job.doc.update({"a": {"n": 1}})
    (value,), view = job.doc.values(), job.doc.items()
    value["n"] = 2
    job.doc.b = 3
    assert job.doc() == {"a": {"n": 2}, "b": 3}
    assert len(view) == 2


def test_using_the_names_warns_of_nothing(five: Project) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert space.__version__
        five.get_neighbors()
        five.find_jobs()[:1]
