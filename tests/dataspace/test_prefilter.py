"""Searches that parse only what may match find what searches that parse everything find."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lz4.frame
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perkey.dataspace import Project
from perkey.dataspace.search.filter import prefilter_of
from perkey.query import matches, parse

TEXT = st.text(st.sampled_from('ab"\\\n,}é:'), max_size=4)
NUMBERS = st.sampled_from(
    [
        0,
        -0.0,
        1,
        1.0,
        True,
        False,
        -1,
        2**53,
        2.0**53,
        2**53 + 1,
        10**400,
        1e22,
        10**22,
        0.1,
        1e-9,
        float("inf"),
    ]
)
SINGLE = st.none() | st.booleans() | NUMBERS | st.floats() | st.integers() | TEXT
KEYS = st.sampled_from(["a", "b", 'a"', "é"])
DOCUMENTS = st.dictionaries(
    KEYS, st.recursive(SINGLE, lambda inner: st.dictionaries(KEYS, inner) | st.lists(inner))
)


def leaves(document: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    if not isinstance(document, dict):
        return [(path, document)]
    return [leaf for key, value in document.items() for leaf in leaves(value, (*path, key))]


@settings(max_examples=150)
@given(DOCUMENTS, st.data())
def test_the_text_of_what_matches_passes_the_prefilter(document: dict[str, Any], data: st.DataObject) -> None:
    document = {"n": 1, **document}
    path, value = data.draw(st.sampled_from(leaves(document)))
    expected = data.draw(st.just(value) | SINGLE)
    filter = {".".join(path): expected}
    prefilter = prefilter_of([parse(filter)])
    if prefilter is not None and matches(document, filter):
        assert prefilter.search(json.dumps(document, separators=(",", ":")))


@pytest.mark.parametrize(
    ("filter", "has_one"),
    [
        ({"a": 1}, True),
        ({"a": {"b": "x"}}, True),
        ({"a.$eq": None}, True),
        ({"a": {"$eq": 1.5}}, True),
        ({"$and": [{"b": {"$gt": 1}}, {"a": 1}]}, True),
        ({"a": {"$gt": 1}}, False),
        ({"a.$in": [1]}, False),
        ({"a": [1]}, False),
        ({"a": {}}, False),
        ({"a": float("nan")}, False),
        ({"$or": [{"a": 1}, {"b": 1}]}, False),
        ({"$not": {"a": 1}}, False),
        ({}, False),
    ],
    ids=str,
)
def test_only_what_must_be_equal_makes_a_prefilter(filter: dict[str, Any], has_one: bool) -> None:
    assert (prefilter_of([parse(filter)]) is not None) == has_one


@pytest.fixture
def many(project: Project) -> Project:
    """A project of some jobs, all in the index, that a new process would open."""
    for n in range(30):
        project.open_job(
            {"n": n, "in": {"k": f'"n":{n % 3}}}', "f": n / 2, "none": None if n % 7 else n}}
        ).init()
    project.update_cache()
    return Project(project.path, durability="none")


class Parsed:
    """Counts the entries of the index that are parsed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        monkeypatch.setattr(json, "loads", self.loads)

    def loads(self, text: str) -> Any:
        found = json.JSONDecoder().decode(text)
        self.count += len(found)
        return found


def test_a_cold_search_for_one_value_parses_what_may_match(
    many: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = Parsed(monkeypatch)
    (job,) = many.find_jobs({"n": 17})
    assert job.sp.n == 17
    assert parsed.count <= 2  # the length is asked for, too
    assert len(many.find_jobs({"in.k": '"n":1}'})) == 10
    assert parsed.count <= 22


@pytest.mark.parametrize(
    "filter",
    [
        {"n": 3.0},
        {"in.f": 7},
        {"in.none": None},
        {"in.none": 0.0},
        {"n": True},
        {"n": 99},
        {"n": 2, "in.f": 1.0},
    ],
    ids=str,
)
def test_cold_and_warm_searches_find_the_same(many: Project, filter: dict[str, Any]) -> None:
    cold = {job.id for job in many.find_jobs(filter)}
    warm = Project(many.path, durability="none")
    warm.detect_schema()  # which parses everything
    assert cold == {job.id for job in warm.find_jobs(filter)}
    assert cold == {job.id for job in warm if matches(job.sp(), filter)}


def test_what_changed_meanwhile_is_found(many: Project) -> None:
    """A search that left most unparsed is followed by changes of this handle and of another."""
    assert len(many.find_jobs({"n": 1})) == 1
    Project(many.path).open_job({"n": 1, "other": True}).init()
    many.open_job({"n": 1, "own": True}).init()
    many.open_job({"n": 2, "own": True}).init()
    assert len(many.find_jobs({"n": 1})) == 3
    next(iter(many.find_jobs({"n": 1, "own": True}))).remove()
    assert len(many.find_jobs({"n": 1})) == 2
    assert len(many.find_jobs({"n": {"$gte": 0}})) == 32


def test_searches_work_on_an_index_of_one_line(many: Project) -> None:
    """Such as none writes today."""
    statepoints = {job.id: job.sp() for job in many}
    content = lz4.frame.compress(json.dumps(statepoints).encode(), content_checksum=True)
    Path(many.workspace, ".@perkey", "index").write_bytes(content)
    assert len(Project(many.path).find_jobs({"n": 5})) == 1
