"""The empty text is a key like any other, wherever a path is split.

So whatever is asked of a project, the answers are those of a project in which each empty key has another
name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from perkey.cli import main
from perkey.dataspace import Collection, Project, diff_jobs, init_project
from perkey.query import find

OTHER = "z"

Rename = Callable[[str], str]


def same(key: str) -> str:
    return key


def other(path: str) -> str:
    """Return a path with another name for each empty key."""
    return ".".join(part or OTHER for part in path.split("."))


def renamed(value: Any, rename: Rename) -> Any:
    if isinstance(value, list | tuple):
        return [renamed(each, rename) for each in value]
    if not isinstance(value, dict):
        return value
    names = {key: key if key.startswith("$") else rename(key) for key in value}
    return {names[key]: renamed(inner, rename) for key, inner in value.items()}


keys = st.sampled_from(["", "a", "b"])
mappings = st.recursive(
    st.integers(0, 2), lambda inner: st.dictionaries(keys, inner, min_size=1, max_size=2), max_leaves=4
).filter(lambda value: isinstance(value, dict))
paths = st.lists(keys, min_size=1, max_size=3).map(".".join)
namespaces = st.sampled_from(["", "sp.", "doc."])
full_paths = st.builds(str.__add__, namespaces, paths)
expected = st.one_of(
    st.integers(0, 2),
    st.booleans().map(lambda there: {"$exists": there}),
    st.just({"$gt": 0}),
    mappings,
)
plain_filters = st.dictionaries(full_paths, expected, max_size=2)
filters = st.one_of(
    plain_filters,
    st.builds(lambda path, wanted: {f"{path}.$ne": wanted}, full_paths, st.integers(0, 2)),
    st.lists(plain_filters, min_size=1, max_size=2).map(lambda each: {"$or": each}),
    plain_filters.map(lambda each: {"$not": each}),
    st.builds(lambda where, inner: {where: inner}, st.sampled_from(["sp", "doc"]), mappings),
)


def made(folder: Path, jobs: list[tuple[Any, Any]], rename: Rename) -> Project:
    project = init_project("p", folder, durability="none")
    for number, (statepoint, document) in enumerate(jobs):
        job = project.open_job({**renamed(statepoint, rename), "number": number}).init()
        job.doc = renamed(document, rename)
    return project


def numbers(jobs: Any) -> list[int]:
    return sorted(job.cached_statepoint["number"] for job in jobs)


def answers(project: Project, filter: Any, path: str, namespace: str) -> Iterator[Any]:
    """Yield what can be asked about a filter and a path."""
    yield numbers(project.find_jobs(filter))
    for key, default in ((namespace + path, None), ([namespace + path], -1)):
        groups = [(value, numbers(jobs)) for value, jobs in project.groupby(key, default)]
        yield sorted((json.dumps(renamed(value, other)), found) for value, found in groups)
    statepoints = {str(number): job.statepoint() for number, job in by_number(project).items()}
    yield sorted(dict(find(statepoints, {path: {"$exists": True}})))
    collection = Collection({"_id": key, **each} for key, each in statepoints.items())
    yield sorted(each["_id"] for each in collection.find({path: 1}))
    yield sorted(each["_id"] for each in collection.find({f"{path}.$exists": False}))


def by_number(project: Project) -> dict[int, Any]:
    return {job.cached_statepoint["number"]: job for job in project}


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    jobs=st.lists(st.tuples(mappings, mappings), min_size=1, max_size=3),
    filter=filters,
    path=paths,
    namespace=namespaces,
)
@example(jobs=[({"": 1}, {"": 1}), ({"a": 1}, {})], filter={"": 1}, path="", namespace="")
@example(jobs=[({"": 1}, {"": 1}), ({"a": 1}, {})], filter={"doc.": 1}, path="", namespace="doc.")
@example(jobs=[({"": 1}, {}), ({"a": 1}, {})], filter={"sp.": {"$exists": False}}, path="a.", namespace="sp.")
def test_an_empty_key_is_found_like_any_other(
    tmp_path_factory: pytest.TempPathFactory, jobs: Any, filter: Any, path: str, namespace: str
) -> None:
    folder = tmp_path_factory.mktemp("projects")
    empty, named = made(folder / "empty", jobs, same), made(folder / "named", jobs, other)
    prefix = namespace.removesuffix(".")
    there = [
        *answers(empty, filter, path, namespace),
        [renamed(each, other) for each in diff_by_number(empty)],
        sorted(other(each) for each in empty.detect_schema()),
    ]
    assert there == [
        *answers(named, renamed_filter(filter), other(path), f"{prefix}." if prefix else ""),
        diff_by_number(named),
        sorted(named.detect_schema()),
    ]


def renamed_filter(filter: Any) -> Any:
    return renamed(filter, lambda key: key if key in {"sp", "doc"} else other(key))


def diff_by_number(project: Project) -> list[Any]:
    found = diff_jobs(*project)
    return [found[job.id] for _, job in sorted(by_number(project).items())]


@pytest.fixture
def three(project: Project) -> Project:
    for statepoint in ({"": 1, "a": {"": 5}}, {"": 2, "a": {"": 6}}, {"b": 1}):
        project.open_job(statepoint).init().doc[""] = 7
    return project


def test_frames_and_schemas_have_columns_of_empty_keys(three: Project) -> None:
    pytest.importorskip("pandas")
    frame = three.to_dataframe(flatten=True)
    assert sorted(frame.columns) == ["doc.", "sp.", "sp.a.", "sp.b"]
    schema = three.detect_schema()
    assert schema[("a", "")] == {int: {5, 6}}
    assert schema[("",)] == schema[""] == {int: {1, 2}}
    assert "'': 'int([1, 2], 2)'" in schema.format(depth=2)


def test_a_value_and_a_key_below_are_both_shown(project: Project) -> None:
    for value in (1, {"": 2}):
        project.open_job({"a": value}).init()
    shown = project.detect_schema().format(depth=2)
    assert "int([1], 1)" in shown
    assert "int([2], 1)" in shown


def test_paths_of_exports_name_the_empty_key(three: Project, other: Project, tmp_path: Path) -> None:
    jobs = three.find_jobs({"": {"$exists": True}})
    for number, path in enumerate(("{sp.}_{a.}", "{job.sp.}_{job.sp.a.}", "{}_{a.}")):
        found = jobs.export_to(tmp_path / str(number), path=path)
        assert sorted(Path(each).name for each in found.values()) == ["1_5", "2_6"]
    found = jobs.export_to(tmp_path / "auto", path="{sp.}/{{auto}}")
    assert sorted(os_path.removeprefix(f"{tmp_path}/auto/") for os_path in found.values()) == [
        "1/a./5",
        "2/a./6",
    ]
    for each in (tmp_path / "0").glob("*/signac_statepoint.json"):
        each.unlink()
    other.import_from(tmp_path / "0", schema="{sp.:int}_{a.:int}")
    assert sorted(job.sp[""] for job in other) == [1, 2]


def test_the_command_line_says_it_in_json(
    three: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(three.path)
    for words, count in ((['{"": 1}'], 1), (["", "1"], 1), (['{"doc.": 7}'], 3), (['{"a.": {"$gt": 5}}'], 1)):
        assert main(["space", "find", *words]) == 0
        assert len(capsys.readouterr().out.splitlines()) == count
    assert main(["space", "find", '{"": 1}', "--sp", "", "a.", "--doc", ""]) == 0
    assert "{'': 1, 'a.': 5}\n{'': 7}" in capsys.readouterr().out
