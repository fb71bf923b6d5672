"""Whatever is given to an entrance is refused, or can be read back: the place can always be opened again."""

from __future__ import annotations

import enum
import json
import math
import operator
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from perkey.dataspace import Collection, get_project, init_project
from perkey.dataspace.errors import ConfigError
from perkey.dataspace.space import config as configuration
from perkey.errors import PerkeyError
from perkey.synced import BufferedJSONDict, JSONDict, JSONList

REFUSALS = (TypeError, ValueError, KeyError, PerkeyError)


class Word(enum.StrEnum):
    """Text that is more than text."""

    A = "a"
    DOTTED = "a.b"


class Number(enum.IntEnum):
    """An int that is more than an int."""

    ONE = 1


class Huge(int):
    """An int that no reader takes, and that can be shown."""

    def __repr__(self) -> str:
        return "HUGE"


HUGE = Huge(10**5000)
TEXTS = st.sampled_from(
    [
        *(
            "",
            "a",
            "_id",
            "a b",
            ".",
            "a.b",
            "é",
            "\udcff",
            "\u2028",
            "\x85",
            "\x0b\x1c",
            "\n",
            "\r",
            "\0",
            "#",
        ),
        *("=", "[x]", "'", '"', "'\"", " a ", "$set", "py/object", "0" * 32, Word.A, Word.DOTTED),
    ]
)
ATOMS: list[Any] = [
    *(None, True, 0, 1, -1, 1.5, math.nan, math.inf, -0.0, 2**64, 10**700, HUGE, Number.ONE),
    *(b"x", bytearray(b"x"), 1j, object(), {1}, np.float32(0.5), np.int8(3), np.arange(2)),
    *(np.datetime64("2020"), (1, 2), range(2), MappingProxyType({"a": 1}), float, ...),
]
KEYS = TEXTS | st.sampled_from([0, None, True, 1.5, b"x", (1,), Number.ONE])
VALUES: st.SearchStrategy[Any] = st.recursive(
    TEXTS | st.sampled_from(ATOMS) | st.integers() | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=4,
)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=3)


def text(data: Any) -> str:
    """Return what is equal for equal data, NaN included."""
    return json.dumps(data, sort_keys=True)


def attempt(act: Callable[[], Any]) -> Any:
    """Return what an act returns; None if it refuses, which only errors of some types are."""
    try:
        return act()
    except REFUSALS:
        return None


SETTINGS = settings(
    max_examples=60,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


class CollectionMachine(RuleBasedStateMachine):
    """A collection in a file, under any calls, opened again after each."""

    keys = Bundle("keys")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.path = os.path.join(self.folder, "c.txt")
        self.expected: dict[str, str] = {}

    def act(self, change: Callable[[Collection], Any]) -> Any:
        """Change the collection, and note what it has acknowledged before it is closed."""
        with Collection.open(self.path) as collection:
            result = attempt(lambda: change(collection))
            self.expected = {key: text(collection[key]) for key in collection.ids}
        return result

    @rule(target=keys, key=KEYS, document=DOCUMENTS)
    def assign(self, key: Any, document: Any) -> Any:
        before = self.expected
        self.act(lambda c: c.__setitem__(key, document))
        assert set(self.expected) - set(before) <= {key}
        return key

    @rule(target=keys, document=DOCUMENTS, key=st.none() | KEYS)
    def insert(self, document: Any, key: Any) -> Any:
        before = self.expected
        given = document if key is None else {**document, "_id": key}
        inserted = self.act(lambda c: c.insert_one(given))
        assert before.items() <= self.expected.items()
        assert set(self.expected) - set(before) == ({inserted} - {None})
        return inserted

    @rule(documents=st.lists(DOCUMENTS, max_size=3))
    def update(self, documents: Any) -> None:
        before = self.expected
        self.act(lambda c: c.update(documents))
        assert set(before) <= set(self.expected)
        new = len(self.expected) - len(before)
        named = sum("_id" in document for document in documents)
        assert new == 0 or len(documents) - named <= new <= len(documents)

    @rule(key=keys, document=DOCUMENTS, upsert=st.booleans())
    def replace(self, key: Any, document: Any, upsert: bool) -> None:
        before = self.expected
        self.act(lambda c: c.replace_one({"_id": key}, document, upsert))
        changed = {each for each in before if self.expected.get(each) != before[each]}
        assert changed <= {key}

    @rule(document=DOCUMENTS)
    def replace_any(self, document: Any) -> None:
        before = self.expected
        self.act(lambda c: c.replace_one({"no such key": 1}, document, upsert=True))
        assert before.items() <= self.expected.items()

    @rule(key=keys)
    def delete(self, key: Any) -> None:
        self.act(lambda c: c.delete_one({"_id": key}))

    @rule(documents=st.lists(DOCUMENTS, max_size=2), name=st.just("_id") | KEYS)
    def make_another(self, documents: Any, name: Any) -> None:
        made = attempt(lambda: Collection(documents, primary_key=name))
        if made is not None:
            back = Collection(json.loads(made.to_json()), made.primary_key)
            assert [text(each) for each in back] == [text(each) for each in made]
            assert len(made) == len({text(made[key]) for key in made.ids})

    @invariant()
    def can_be_opened(self) -> None:
        with Collection.open(self.path) as collection:
            assert {key: text(collection[key]) for key in collection.ids} == self.expected
        if os.path.getsize(self.path):
            assert all(
                type(json.loads(line)["_id"]) is str for line in Path(self.path).read_bytes().splitlines()
            )

    def teardown(self) -> None:
        shutil.rmtree(self.folder)


STEPS = TEXTS | st.sampled_from(["a", "b", "project", "schema_version", "[a", "a]", "#a"])


class ConfigurationMachine(RuleBasedStateMachine):
    """The configuration of a project, under any values."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.path = init_project("name", self.folder, durability="none").config.path
        self.expected = configuration.read_config(self.path)

    @rule(
        steps=st.lists(STEPS, min_size=1, max_size=3),
        value=TEXTS | st.sampled_from(["a # b", "'a' b", '"', "x", "2", ",", "\t"]),
    )
    def set_value(self, steps: list[str], value: str) -> None:
        key = ".".join(steps)
        if steps[0] == "schema_version":
            return
        before = self.expected
        try:
            configuration.set_config_value(self.path, key, value)
        except ConfigError:
            return
        self.expected = configuration.read_config(self.path)
        found: Any = self.expected
        for step in key.split("."):
            found = found[step]
        assert found == value
        assert leaves(before) - leaves(self.expected) <= {key}

    @invariant()
    def can_be_opened(self) -> None:
        assert configuration.read_config(self.path) == self.expected
        assert len(get_project(self.folder)) == 0

    def teardown(self) -> None:
        shutil.rmtree(self.folder)


def leaves(values: dict[str, Any], above: str = "") -> set[str]:
    """Return the paths of all values of a configuration."""
    return {
        leaf
        for key, value in values.items()
        for leaf in (leaves(value, f"{above}{key}.") if isinstance(value, dict) else {above + key})
    }


class ProjectMachine(RuleBasedStateMachine):
    """State points and documents of a project, under any values, and seen by a project opened anew."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.project = init_project("name", self.folder, durability="none")
        self.jobs: dict[str, tuple[str, str]] = {}

    def note(self) -> None:
        self.jobs = {job.id: (text(job.sp()), text(job.doc())) for job in self.project}

    @rule(point=DOCUMENTS | VALUES)
    def init(self, point: Any) -> None:
        job = attempt(lambda: self.project.open_job(point).init())
        assert job is None or job in self.project
        self.note()

    @rule(key=KEYS, value=VALUES, where=st.sampled_from(["sp", "doc"]))
    def edit(self, key: Any, value: Any, where: str) -> None:
        for job in list(self.project)[:1]:
            attempt(partial(operator.setitem, getattr(job, where), key, value))
        self.note()

    @rule(document=DOCUMENTS, how=st.sampled_from(["document", "statepoint", "update", "transform"]))
    def replace(self, document: Any, how: str) -> None:
        acts: dict[str, Callable[[Any], Any]] = {
            "document": lambda job: setattr(job, "document", document),
            "statepoint": lambda job: job.reset_statepoint(document),
            "update": lambda job: job.update_statepoint(document),
            "transform": lambda job: job.doc.transform(lambda _: document),
        }
        for job in list(self.project)[:1]:
            attempt(partial(acts[how], job))
        self.note()

    @rule(point=DOCUMENTS)
    def import_folder(self, point: Any) -> None:
        origin = tempfile.mkdtemp(dir=self.folder)
        os.mkdir(os.path.join(origin, "x"))
        attempt(lambda: self.project.import_from(origin, lambda path: point if path.endswith("x") else None))
        self.note()

    @rule(point=DOCUMENTS)
    def clone_and_synchronise(self, point: Any) -> None:
        with self.project.temporary_project() as other:
            job = attempt(lambda: other.open_job(point).init())
            if job is not None and job not in self.project:
                attempt(lambda: setattr(job, "document", point))
                self.project.clone(job)
        self.note()

    @invariant()
    def can_be_opened(self) -> None:
        fresh = get_project(self.folder)
        fresh.check()
        assert {job.id: (text(job.sp()), text(job.doc())) for job in fresh} == self.jobs
        assert len(list(fresh.find_jobs({"doc.none": {"$exists": False}}))) == len(self.jobs)
        fresh.detect_schema()

    def teardown(self) -> None:
        shutil.rmtree(self.folder)


TestCollections = pytest.mark.filterwarnings("ignore")(CollectionMachine.TestCase)
TestCollections.settings = SETTINGS
TestConfigurations = ConfigurationMachine.TestCase
TestConfigurations.settings = SETTINGS
TestProjects = ProjectMachine.TestCase
TestProjects.settings = settings(SETTINGS, max_examples=30)


@pytest.mark.parametrize("workspace", ["a\0b", "a\nb", "file", "file/deeper", "\udcff\u2028", "'\""])
@pytest.mark.parametrize("name", ["name", "a\u2028b", "\x85", " a ", "'\"", "\udcff", "a\nb", 5])
def test_a_project_that_could_not_be_opened_is_not_made(tmp_path: Path, workspace: str, name: Any) -> None:
    (tmp_path / "file").write_text("")
    try:
        project = init_project(name, tmp_path, workspace)
    except (ValueError, OSError, PerkeyError):
        assert not (tmp_path / "signac.rc").exists()
        assert not (tmp_path / ".signac/config").exists()
    else:
        project.open_job({"a": 1}).init()
        fresh = get_project(tmp_path)
        assert (fresh.id, fresh.workspace, len(fresh)) == (str(name), project.workspace, 1)
        assert init_project(name, tmp_path, workspace) == fresh


def test_what_no_reader_takes_is_refused_by_buffers_too(tmp_path: Path) -> None:
    """At once, and not when the buffer is written: the edits beside it would be lost."""
    d, plain, items = BufferedJSONDict(tmp_path / "d"), JSONDict(tmp_path / "p"), JSONList(tmp_path / "l")
    huge = 10 ** (sys.get_int_max_str_digits() + 1)
    with BufferedJSONDict.buffer_backend():
        d["good"] = 1
        acts: list[Callable[[], Any]] = [
            lambda: d.update(bad=huge),
            lambda: d.update(bad=[{"x": -huge}]),
            lambda: plain.update(bad=huge),
            lambda: items.append(huge),
        ]
        for act in acts:
            with pytest.raises(ValueError, match="digits"):
                act()
        with pytest.raises(ValueError, match="digits"), d.editing():
            d.update(also=2, bad=huge)
        d["more"] = 2
    assert JSONDict(tmp_path / "d")() == {"good": 1, "more": 2}
    almost = 10 ** (sys.get_int_max_str_digits() - 1)
    plain["almost"] = almost
    assert JSONDict(tmp_path / "p")() == {"almost": almost}


@pytest.mark.parametrize("level", [-1, 10, 99, "9", None.__class__])
def test_levels_of_compression_are_checked_before_documents_are_taken(tmp_path: Path, level: Any) -> None:
    Collection.open(str(tmp_path / "c.gz")).close()
    for mode in ("rb+", "ab+", "wb"):
        with pytest.raises(ValueError, match="compression"):
            Collection.open(str(tmp_path / "c.gz"), mode, level)


def test_an_insertion_that_is_refused_inserts_nothing() -> None:
    collection = Collection([{"_id": "a"}])
    for document in (MappingProxyType({"b": 1}), {"_id": "a"}, {"_id": 0}):
        with pytest.raises((TypeError, KeyError)):
            collection.insert_one(document)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        collection.update([{"_id": "b"}, {"_id": 0}])
    with pytest.raises(KeyError):
        collection.replace_one({"x": 1}, {"_id": "a", "x": 1}, upsert=True)
    assert list(collection) == [{"_id": "a"}]


def test_a_key_that_is_given_later_is_not_given_twice() -> None:
    first = "0" * 32
    assert len(Collection([{"a": 1}, {"_id": first}])) == 2
    collection = Collection()
    documents: list[dict[str, Any]] = [{"a": 1}, {"_id": first}, {"a": 2}]
    collection.update(iter(documents))
    assert sorted(each.get("a", 0) for each in collection) == [0, 1, 2]
    assert collection[first] == {"_id": first}
