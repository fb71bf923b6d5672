"""Keys that users choose come before names that perkey has chosen, at every depth, reading and writing.

signac's own methods are compared by `dir()`; all other names of ours must be free for keys.
"""

from __future__ import annotations

import copy
import pickle
from functools import cache
from typing import Any

import pytest

from dataspace.signac_side import signac
from perkey.dataspace import Project
from perkey.synced import editing, resource_of, transform

DEPTHS = ["sp", "sp.a", "doc", "doc.a"]

PEERS = """
import types
project = signac.init_project()
job = project.open_job({"a": {}}).init()
job.doc.a = {}
def methods(thing):
    found = []
    for name in dir(thing):
        own = name == "buffered" or name.startswith("_")
        kind = type(next((vars(c)[name] for c in type(thing).__mro__ if name in vars(c)), None))
        if own or kind in (types.FunctionType, classmethod, staticmethod):
            found.append(name)
    return found
give({"sp": methods(job.sp), "sp.a": methods(job.sp.a), "doc": methods(job.doc), "doc.a": methods(job.doc.a)})
"""


@cache
def methods_of_signac() -> dict[str, list[str]]:
    """Return the methods by depth, with all that is signac's own and begins with an underscore."""
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        found: dict[str, list[str]] = signac(PEERS, cwd=Path(folder))
    return found


def at(job: Any, depth: str) -> Any:
    for name in depth.split("."):
        job = getattr(job, name)
    return job


def names_of_ours(thing: Any) -> set[str]:
    """Return all names of a document's class and handle that are not Python's own."""
    return {name for name in object.__dir__(thing) if not name.startswith("__")}


@pytest.fixture
def job(project: Project) -> Any:
    job = project.open_job({"a": {}}).init()
    job.doc.a = {}
    return job


def free_names(job: Any, depth: str) -> list[str]:
    common = {"value", "_x", "_id", "_path", "_handle", "_data", "path", "load", "save", "resource"}
    ours = names_of_ours(at(job, depth)) | common
    return sorted(ours - set(methods_of_signac()[depth]))


@pytest.mark.parametrize("depth", DEPTHS)
def test_keys_of_any_name_are_read_as_attributes(job: Any, project: Project, depth: str) -> None:
    names = free_names(job, depth)
    keys = {name: [name] for name in names}
    nested = {"a": keys} if depth.endswith(".a") else keys
    if depth.startswith("sp"):
        job = project.open_job(nested).init()
    else:
        job.doc = nested
    wrong = [name for name in names if getattr(at(job, depth), name) != keys[name]]
    assert wrong == []
    assert at(job, depth) == keys


@pytest.mark.parametrize("depth", DEPTHS)
def test_attributes_of_any_name_are_stored_as_keys(job: Any, depth: str) -> None:
    """And the handle is usable afterwards, and any other one."""
    for name in sorted({*names_of_ours(at(job, depth)), "_x", "load", "update", "keys"}):
        place = at(job, depth)
        setattr(place, name, name)
        assert place[name] == name
        assert at(copy.copy(job), depth)[name] == name
        assert pickle.loads(pickle.dumps(place))() == place()
        delattr(place, name)
        assert name not in place


@pytest.mark.parametrize("depth", DEPTHS)
def test_methods_of_signac_stay_methods(job: Any, depth: str) -> None:
    place = at(job, depth)
    for name in set(methods_of_signac()[depth]) & names_of_ours(place):
        if not name.startswith("_"):
            place[name] = 1
            assert callable(getattr(place, name)), name
            del place[name]


@pytest.mark.parametrize("depth", DEPTHS)
def test_missing_keys_are_missing_attributes(job: Any, depth: str) -> None:
    """Programs ask `hasattr(job.sp, "resource")`."""
    place = at(job, depth)
    for name in ("resource", "load", "registry", "_path", "value"):
        assert not hasattr(place, name)
    if depth.startswith("sp"):
        assert not hasattr(place, "buffered")
    extras = {name for name in dir(place) if not name.startswith("_")} - set(methods_of_signac()[depth])
    assert extras <= {"filename"}


@pytest.mark.parametrize("depth", DEPTHS)
def test_two_underscores_are_attributes_of_the_handle(job: Any, depth: str) -> None:
    """As in signac."""
    place = at(job, depth)
    setattr(place, "__x", 1)
    assert getattr(place, "__x") == 1
    assert "__x" not in place


def test_what_keys_hide_is_there_as_a_function(job: Any) -> None:
    job.doc.update({"transform": 1, "editing": 2, "resource": 3, "filename": 4})
    transform(job.doc, lambda data: {**data, "transform": data["transform"] + 1})
    with editing(job.doc) as document:
        document.editing = 5
    assert job.doc.transform == 2
    assert job.doc.editing == 5
    assert resource_of(job.doc).filename == job.fn("signac_job_document.json")  # type: ignore[attr-defined]


def test_a_search_by_attributes_finds_the_job(project: Project) -> None:
    job = project.open_job({"transform": "log", "buffered": False}).init()
    project.open_job({"other": 1}).init()
    assert [each.id for each in project if getattr(each.sp, "buffered", None) is False] == [job.id]
    assert [each.id for each in project if each.sp.get("transform") == "log"] == [job.id]
    assert job.sp()["transform"] == job.sp.transform
