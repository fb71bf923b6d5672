"""Searching, grouping and tabulating jobs."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perkey import CorruptValueError
from perkey.dataspace import DataspaceDeprecationWarning, Job, Project
from perkey.query import matches


@pytest.fixture
def study(project: Project) -> Project:
    """Six jobs with documents."""
    for n in range(6):
        point = {"n": n, "a": n % 3, "s": f"x{n}", "deep": {"m": n % 2}} | ({"b": n} if n > 2 else {})
        job = project.open_job(point).init()
        job.doc.d = n
        if n % 2:
            job.doc.e = {"f": n}
    return project


def numbers(jobs: Any) -> list[int]:
    return sorted(job.cached_statepoint["n"] for job in jobs)


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        (None, [0, 1, 2, 3, 4, 5]),
        ({}, [0, 1, 2, 3, 4, 5]),
        ({"a": 0}, [0, 3]),
        ({"sp.a": 0}, [0, 3]),
        ({"sp": {"a": 0}}, [0, 3]),
        ({"deep.m": 1}, [1, 3, 5]),
        ({"doc.d": 2.0}, [2]),
        ({"doc": {"d": 2}}, [2]),
        ({"doc.e.f": {"$gt": 1}}, [3, 5]),
        ({"doc.e": {"$exists": False}}, [0, 2, 4]),
        ({"doc": {"$exists": True}}, [0, 1, 2, 3, 4, 5]),
        ({"doc": {"$where": lambda doc: doc["d"] > 4}}, [5]),
        ({"d": 2}, []),
        ({"a": 0, "doc.d": {"$gt": 0}}, [3]),
        ({"$or": [{"a": 1}, {"doc.d": 5}]}, [1, 4, 5]),
        ({"$not": {"doc.e": {"$exists": True}}}, [0, 2, 4]),
        ({"$and": [{"$or": [{"n": 1}, {"n": 2}]}, {"$not": {"n": 1}}]}, [2]),
        ({"$not": {}}, []),
        ({"b": {"$ne": 3}}, [4, 5]),
        ({"document": 1}, []),
    ],
)
def test_filters(study: Project, filter: Any, expected: list[int]) -> None:
    found = study.find_jobs(filter)
    assert numbers(found) == expected
    assert len(found) == len(expected)
    assert bool(found) == bool(expected)
    assert numbers(job for job in study if job in found) == expected


def test_a_filter_that_makes_no_sense_is_refused_at_once(study: Project) -> None:
    for wrong in ({"a": {"$foo": 1}}, {"$or": [{"doc.a": {"$type": "x"}}]}, {"a": {"$where": "lambda x: 1"}}):
        with pytest.raises(ValueError, match=r"\$"):
            study.find_jobs(wrong)
    with pytest.raises(TypeError):
        study.find_jobs(["a"])  # type: ignore[arg-type]


def test_documents_are_read_only_if_they_decide(study: Project) -> None:
    for job in study.find_jobs({"a": 1}):
        Path(job.fn(Job.FN_DOCUMENT)).write_text("{")
    assert numbers(study.find_jobs({"a": 0, "doc.d": 0})) == [0]
    with pytest.raises(CorruptValueError, match=Job.FN_DOCUMENT):
        list(study.find_jobs({"a": 1, "doc.d": 0}))
    Path(job.fn(Job.FN_DOCUMENT)).write_text("[]")
    with pytest.raises(CorruptValueError):
        list(study.find_jobs({"a": 1, "doc.d": 0}))


def test_a_changed_document_is_read_again(study: Project) -> None:
    assert numbers(study.find_jobs({"doc.d": 0})) == [0]
    Project(study.path).open_job(id=next(iter(study.find_jobs({"n": 1}))).id).doc.d = 0
    assert numbers(study.find_jobs({"doc.d": 0})) == [0, 1]


def test_cursors(study: Project) -> None:
    jobs = study.find_jobs({"a": 0})
    assert jobs == study.find_jobs({"a": 0})
    assert jobs != study.find_jobs({"a": 1})
    assert jobs != [*jobs]
    assert jobs[0] in jobs
    assert study.open_job({"z": 1}) not in jobs
    study.open_job({"n": 9, "a": 0}).init()
    assert numbers(jobs) == [0, 3, 9]


def test_doc_filter_works_and_warns(study: Project) -> None:
    with pytest.warns(DataspaceDeprecationWarning, match=r"doc\."):
        assert numbers(study.find_jobs({"a": 0}, {"d": 3})) == [3]
    with pytest.warns(DataspaceDeprecationWarning):
        assert numbers(study.find_jobs(doc_filter={"$or": [{"d": 3}, {"e.f": 1}]})) == [1, 3]


# --- groupby --------------------------------------------------------------------------------------------


def groups(found: Any) -> list[tuple[Any, list[int]]]:
    return [(key, numbers(jobs)) for key, jobs in found]


@pytest.mark.parametrize(
    ("key", "default", "expected"),
    [
        ("a", None, [(0, [0, 3]), (1, [1, 4]), (2, [2, 5])]),
        ("sp.a", None, [(0, [0, 3]), (1, [1, 4]), (2, [2, 5])]),
        ("b", None, [(3, [3]), (4, [4]), (5, [5])]),
        ("b", -1, [(-1, [0, 1, 2]), (3, [3]), (4, [4]), (5, [5])]),
        ("deep.m", None, [(0, [0, 2, 4]), (1, [1, 3, 5])]),
        ("doc.e.f", None, [(1, [1]), (3, [3]), (5, [5])]),
        ("doc.e.f", 0, [(0, [0, 2, 4]), (1, [1]), (3, [3]), (5, [5])]),
        (("a", "deep.m"), None, [((a, m), [n]) for a, m, n in sorted((n % 3, n % 2, n) for n in range(6))]),
        (["deep.m", "doc.e.f"], None, [((1, 1), [1]), ((1, 3), [3]), ((1, 5), [5])]),
        (
            ("a", "b"),
            -1,
            [((0, -1), [0]), ((0, 3), [3]), ((1, -1), [1]), ((1, 4), [4]), ((2, -1), [2]), ((2, 5), [5])],
        ),
        (lambda job: job.sp.n > 3, None, [(False, [0, 1, 2, 3]), (True, [4, 5])]),
        ((), None, [((), [0, 1, 2, 3, 4, 5])]),
        ("nope", None, []),
        ("deep", None, [({"m": 0}, [0, 2, 4]), ({"m": 1}, [1, 3, 5])]),
        ("b", "none", [(3, [3]), (4, [4]), (5, [5]), ("none", [0, 1, 2])]),
    ],
)
def test_groupby(study: Project, key: Any, default: Any, expected: Any) -> None:
    assert groups(study.groupby(key, default)) == expected
    assert groups(study.find_jobs({"n": {"$lt": 9}}).groupby(key, default)) == expected


def test_groupby_nothing_is_by_id(study: Project) -> None:
    assert [(key, [job.id for job in jobs]) for key, jobs in study.groupby()] == [
        (job, [job]) for job in sorted(job.id for job in study)
    ]


def test_groups_stay_valid(study: Project) -> None:
    assert [numbers(jobs) for _, jobs in list(study.groupby("a"))] == [[0, 3], [1, 4], [2, 5]]


def test_groupby_of_what_is_no_key(study: Project) -> None:
    with pytest.raises(TypeError):
        study.groupby(5)


@pytest.mark.parametrize(
    ("key", "default", "expected"),
    [
        ("d", None, [(n, [n]) for n in range(6)]),
        (("d", "e.f"), 0, [((n, n if n % 2 else 0), [n]) for n in range(6)]),
        (lambda doc: "e" in doc, None, [(False, [0, 2, 4]), (True, [1, 3, 5])]),
    ],
)
def test_groupbydoc_works_and_warns(study: Project, key: Any, default: Any, expected: Any) -> None:
    with pytest.warns(DataspaceDeprecationWarning):
        assert groups(study.groupbydoc(key, default)) == expected


# --- to_dataframe ---------------------------------------------------------------------------------------


def test_to_dataframe(study: Project) -> None:
    frame = study.to_dataframe()
    assert set(frame.columns) == {"sp.n", "sp.a", "sp.s", "sp.deep", "sp.b", "doc.d", "doc.e"}
    assert sorted(frame.index) == sorted(job.id for job in study)
    for job in study:
        row = frame.loc[job.id]
        assert (row["sp.n"], row["sp.deep"], row["doc.d"]) == (job.sp.n, job.sp.deep(), job.doc.d)
        assert row["sp.b"] == job.sp.n if "b" in job.sp else math.isnan(row["sp.b"])
    assert frame["sp.n"].dtype == "int64"


def test_to_dataframe_with_all_options(study: Project) -> None:
    flat = study.find_jobs({"a": 0}).to_dataframe(sp_prefix="", doc_prefix="D_", flatten=True)
    assert set(flat.columns) == {"n", "a", "s", "deep.m", "b", "D_d", "D_e.f"}
    assert list(study.to_dataframe(usecols=["sp.a", "doc.d"]).columns) == ["sp.a", "doc.d"]
    assert set(study.to_dataframe(usecols=lambda name: "doc" in name).columns) == {"doc.d", "doc.e"}
    empty = study.find_jobs({"n": 99}).to_dataframe()
    assert empty.shape == (0, 0)


def test_without_pandas_the_extra_is_named(study: Project) -> None:
    code = f"""
import sys
sys.modules["pandas"] = None
from perkey import MissingExtraError
from perkey.dataspace import Project
project = Project({study.path!r})
try:
    project.to_dataframe()
except MissingExtraError as error:
    assert "perkey[pandas]" in str(error)
else:
    raise AssertionError
assert "filter=None" in project.find_jobs()._repr_html_()
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ})


# --- Against a plain reading ----------------------------------------------------------------------------

VALUES = (
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.5, 1.0]) | st.text("xy", max_size=2)
)
MAPPINGS = st.dictionaries(
    st.sampled_from("ab"), VALUES | st.dictionaries(st.sampled_from("ab"), VALUES), max_size=2
)
CONDITIONS = st.dictionaries(
    st.sampled_from(["a", "sp.a", "sp.a.b", "doc.a", "doc.b.a", "b.a"]),
    VALUES
    | VALUES.map(lambda value: {"$ne": value})
    | VALUES.map(lambda value: {"$gt": value})
    | st.booleans().map(lambda value: {"$exists": value}),
    max_size=2,
)
FILTERS = st.recursive(
    CONDITIONS,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=2).map(lambda several: {"$or": several})
        | inner.map(lambda one: {"$not": one})
    ),
    max_leaves=3,
)


def with_namespaces(filter: Any) -> Any:
    if not isinstance(filter, dict):
        return filter
    conditions: list[Any] = []
    for key, expected in filter.items():
        if key == "$or":
            conditions.append({key: [with_namespaces(each) for each in expected]})
        elif key == "$not":
            conditions.append({key: with_namespaces(expected)})
        else:
            conditions.append({key if key.startswith(("sp.", "doc.")) else f"sp.{key}": expected})
    return {"$and": conditions} if conditions else {}


def test_a_key_said_with_and_without_its_namespace_is_two_conditions(project: Project) -> None:
    project.open_job({"a": 2}).init()
    both = {"a": 1, "sp.a": 2}
    assert len(project.find_jobs(both)) == 0
    assert len(project.find_jobs({"$not": both})) == 1
    assert len(project.find_jobs({"$or": [both]})) == 0


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(MAPPINGS, MAPPINGS), max_size=5), st.lists(FILTERS, min_size=1, max_size=6))
def test_find_jobs_means_what_a_plain_reading_says(project: Project, jobs: Any, filters: Any) -> None:
    for job in project:
        job.remove()
    for point, document in jobs:
        project.open_job(point).doc.reset(document)
    for filter in filters:
        wanted = with_namespaces(filter)
        expected = {job.id for job in project if matches({"sp": job.sp(), "doc": job.doc()}, wanted)}
        assert {job.id for job in project.find_jobs(filter)} == expected
        assert {job.id for job in Project(project.path).find_jobs(filter)} == expected


@pytest.mark.parametrize("value", [{1}, b"x", object(), [b"x"], 1j], ids=lambda value: type(value).__name__)
def test_what_json_cannot_hold_is_no_value_to_look_for(project: Project, value: Any) -> None:
    """Nothing could be equal to it, and "no jobs" would be a misleading answer."""
    project.open_job({"a": 1}).init()
    for wanted in ({"a": value}, {"a": {"$eq": value}}, {"doc.a": value}, {"$and": [{"a": value}]}):
        with pytest.raises(TypeError):
            project.find_jobs(wanted)
