"""What state points have in common, and in what they differ."""

from __future__ import annotations

from typing import Any

import pytest

from perkey.dataspace import Project, diff_jobs
from perkey.dataspace.search.schema import ProjectSchema

POINTS: list[dict[str, Any]] = [
    {"a": n % 3, "n": {"m": n % 2, "k": f"x{n}"}, "c": 1, "n2": n} | ({"b": n} if n > 2 else {})
    for n in range(7)
]


@pytest.fixture
def study(project: Project) -> Project:
    for point in POINTS:
        project.open_job(point).init()
    return project


def test_the_printed_schema(study: Project) -> None:
    """As signac prints it."""
    assert (
        str(study.detect_schema())
        == """{
 'a': 'int([0, 1, 2], 3)',
 'b': 'int([3, 4, 5, 6], 4)',
 'c': 'int([1], 1)',
 'n.k': 'str([x0, x1, x2, ..., x5, x6], 7)',
 'n.m': 'int([0, 1], 2)',
 'n2': 'int([0, 1, 2, ..., 5, 6], 7)',
}"""
    )


def test_values_of_several_types(project: Project) -> None:
    for value in (1, 1.5, "x", [1, [2]], None, True, {"z": 1}, {}, [1, {"a": 2}], "it's"):
        project.open_job({"h": value}).init()
    schema = project.detect_schema()
    assert (
        str(schema)
        == """{
 'h': 'NoneType([None], 1), bool([True], 1), dict([{}], 1), float([1.5], 1), int([1], 1), \
str([it's, x], 2), tuple([(1, (2,)), (1, {'a': 2})], 2)',
 'h.z': 'int([1], 1)',
}"""
    )
    assert schema["h"][int] == {1}
    assert schema["h"][bool] == {True}
    assert schema.format(depth=1)


def test_format(study: Project) -> None:
    schema = study.detect_schema()
    nested = schema.format(depth=2, max_num_range=3)
    assert "'n': {'k': 'str([x0, ..., x5, x6], 7)', 'm': 'int([0, 1], 2)'}" in nested
    assert "'n': {...}" in schema.format(depth=1)
    assert "[..., 5, 6]" in schema.format(max_num_range=2)
    assert "[..., 6]" in schema.format(max_num_range=1)
    assert "[...]" in schema.format(max_num_range=0)
    floats = ProjectSchema.detect({"f": n / 7} for n in range(2))
    assert floats.format(precision=2) == "{\n 'f': 'float([0.0, 0.14], 2)',\n}"
    assert schema._repr_html_().startswith("<strong>ProjectSchema(&lt;len=6&gt;)</strong><pre>{")


def test_subset_and_constants(study: Project) -> None:
    few = list(study.find_jobs({"n2": {"$lt": 2}}))
    schema = study.detect_schema(subset=iter(few))
    assert schema == study.detect_schema(subset=[job.id for job in few])
    assert set(schema) == {"a", "c", "n.k", "n.m", "n2"}
    assert set(study.detect_schema(exclude_const=True)) == {"a", "b", "n.k", "n.m", "n2"}
    alone = study.detect_schema(subset=few[:1], exclude_const=True)
    assert len(alone) == 0
    assert str(alone) == "{\n}"


def test_what_only_some_jobs_have_is_not_constant() -> None:
    assert set(ProjectSchema.detect([{"a": 1, "b": 1}, {"a": 1}], exclude_const=True)) == {"b"}
    assert set(ProjectSchema.detect([{"a": 1}, {"a": 1.0}], exclude_const=True)) == {"a"}


def test_a_schema_is_a_mapping(study: Project) -> None:
    schema = study.detect_schema()
    assert len(schema) == 6
    assert "n.m" in schema
    assert ("n", "m") in schema  # type: ignore[comparison-overlap]
    assert schema["n", "m"] == schema["n.m"] == {int: {0, 1}}
    assert schema == study.detect_schema()
    assert schema != ProjectSchema()
    other = study.detect_schema(subset=list(study.find_jobs({"n2": 0})))
    assert schema.difference(other) == {"a", "b", "n.k", "n.m", "n2"}
    assert schema.difference(other, ignore_values=True) == {"b"}
    assert other.difference(schema, ignore_values=True) == set()


def test_diff_jobs(project: Project) -> None:
    points: list[dict[str, Any]] = [
        {"a": 1, "b": {"c": 1, "d": 2}, "l": [1, 2], "x": {"y": {}}},
        {"a": 1.0, "b": {"c": 1, "d": 3}, "l": [1, 2], "e": 5, "x": {"y": {}}},
        {"a": 1, "b": 7, "l": [1, 3], "x": {"y": {}}},
    ]
    one, two, three = (project.open_job(point).init() for point in points)
    assert diff_jobs() == {}
    assert diff_jobs(one) == {one.id: {}}
    assert diff_jobs(one, two) == {one.id: {"b": {"d": 2}}, two.id: {"b": {"d": 3}, "e": 5}}
    assert diff_jobs(one, two, three) == {
        one.id: {"b": {"c": 1, "d": 2}, "l": [1, 2]},
        two.id: {"b": {"c": 1, "d": 3}, "l": [1, 2], "e": 5},
        three.id: {"b": 7, "l": [1, 3]},
    }
