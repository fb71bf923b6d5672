"""What we export signac 2.4.1 imports, and the other way: in each format, by each kind of path and schema."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dataspace.signac_side import signac
from dataspace.trees import write_tree
from perkey.dataspace import Project, init_project
from perkey.files.folder import OURS

ENDINGS = ["", ".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".zip"]
ONLY_OURS = [".tgz", ".gz", ".bz2", ".xz"]
NUMBERS: list[dict[str, Any]] = [
    {"a": 1, "n": {"x": 0.5}},
    {"a": 10, "n": {"x": 1.5}},
    {"a": 100, "n": {"x": -2e-7}},
    {"a": 12},
]
AWKWARD: list[dict[str, Any]] = [
    {"a": "x/y"},
    {"a": ""},
    {"a": ".."},
    {"a": "ü é"},
    {"a": "x" * 200},
    {"a": None},
    {"a": [1, {"c": 2}]},
    {"a": "c\\d"},
    {"a": "1/f"},
    {"b": "a b"},
    {"a": {}},
    {"": {"": 1}},
    {},
]
FILES = {"f": "1", "s/t/g": "2", "s ü/ä": "3", "empty/inner/": ""}
LINKS = {"link": "s/t/g", "folder": "s", "s/up": "../f"}
PATHS: dict[str, Any] = {
    "auto": None,
    "ids": False,
    "string": "in/{job.id}/{{auto:_}}",
    "function": lambda job: f"my/p_{job.id[:6]}",
    "nested function": lambda job: "/".join(job.id[:3]) + f"/{job.id}",
}

SEEN = """
def seen(project):
    found = {}
    for job in project:
        files = found[job.id] = {}
        for place, folders, names in os.walk(job.path, followlinks=True):
            for name in names:
                path = os.path.join(place, name)
                with open(path) as file:
                    files[os.path.relpath(path, job.path)] = file.read()
            if not folders and not names:
                files[os.path.relpath(place, job.path) + "/"] = ""
    return found
"""


def seen(project: Project) -> dict[str, dict[str, str]]:
    """Return what signac shows of a project, here for ours."""
    scope: dict[str, Any] = {"os": os}
    exec(SEEN, scope)
    found: dict[str, dict[str, str]] = scope["seen"](project)
    return found


def without_placeholders(jobs: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """Return what is there without the files that stand for empty folders."""
    return {
        job: {re.sub(f"(?<=/){re.escape(OURS)}.*", "", name): content for name, content in files.items()}
        for job, files in jobs.items()
    }


def make_jobs(project: Project, points: list[dict[str, Any]], *, links: bool) -> Project:
    """Make jobs with documents, files in folders, empty folders and links."""
    for point in points:
        job = project.open_job(point).init()
        write_tree(job.path, FILES | {"id": job.id})
        job.doc.point = point
        for name, target in LINKS.items() if links else ():
            os.symlink(target, job.fn(name))
    return project


@pytest.mark.parametrize("points", [NUMBERS, AWKWARD], ids=["numbers", "awkward"])
@pytest.mark.parametrize("links", [False, True])
def test_signac_imports_what_we_exported(
    project: Project, tmp_path: Path, points: list[dict[str, Any]], links: bool
) -> None:
    make_jobs(project, points, links=links)
    targets = {}
    for ending in [*ENDINGS, *ONLY_OURS]:
        for name, path in PATHS.items() if ending in {"", ".tar", ".zip"} else [("auto", None)]:
            target = targets[f"{ending} {name}"] = str(tmp_path / f"{name}{ending}")
            project.export_to(target, path)
    code = """
found = {}
for number, (name, target) in enumerate(given.items()):
    project = signac.init_project(f"project{number}")
    try:
        project.import_from(target)
        found[name] = seen(project)
    except Exception as error:
        found[name] = repr(error)
give(found)
"""
    expected = seen(project)
    for name, found in signac(SEEN + code, targets, tmp_path).items():
        assert not isinstance(found, str), (name, found)
        assert without_placeholders(found) == expected, name


def test_we_import_what_signac_exported(project: Project, tmp_path: Path) -> None:
    texts: list[dict[str, Any]] = [{"a": "te xt"}, {"b": "ü"}]
    make_jobs(project, [*NUMBERS, *texts], links=False)
    targets: dict[str, tuple[str, Any]] = {
        f"{ending} {path}": (str(tmp_path / f"{number}{ending}"), path)
        for ending in ENDINGS
        for number, path in enumerate([None, False, "in/{job.id}", "in/{{auto}}"])
    }
    code = """
project = signac.get_project(given[0])
for target, path in given[1].values():
    project.export_to(target, path=path)
"""
    signac(code, [project.path, targets], tmp_path)
    expected = seen(project)
    for number, (name, (target, _)) in enumerate(targets.items()):
        theirs = init_project(root=tmp_path / f"project{number}", durability="none")
        theirs.import_from(target)
        found = seen(theirs)
        if ".zip" in name:  # in which signac writes no empty folders
            found = {job: files | {"empty/inner/": ""} for job, files in found.items()}
        assert found == expected, name


SCHEMAS: dict[str, tuple[str, str]] = {
    "string": ("'a_{a:int}/b_{b:str}'", "'a_{a:int}/b_{b:str}'"),
    "string with the origin": ("'data/a_{a:int}/b_{b}'", "'a_{a:int}/b_{b}'"),
    "function": ("by_path", "by_path"),
}
BY_PATH = r"""
import re
def by_path(path):
    found = re.fullmatch(r"(?:.*/)?a_(\d+)/b_(\w+)", path)
    return found and {"a": int(found[1]), "b": found[2]}
"""


@pytest.mark.parametrize("schema", SCHEMAS)
def test_schemas_mean_the_same_to_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, schema: str, place: Path
) -> None:
    """Of folders that no program for projects has made; signac reads no such zip file."""
    monkeypatch.chdir(place)
    for a in (1, 10):
        write_tree("data", {f"a_{a}/b_x/f": "1", f"a_{a}/b_y/s/g": "2", "other/n": "3"})
    of_folder, of_archive = SCHEMAS[schema]
    code = """
import shutil
for kind in ("tar", "gztar", "bztar", "xztar"):
    shutil.make_archive(kind, kind, "data")
found = {}
for origin in ["data", *sorted(name for name in os.listdir() if ".tar" in name)]:
    project = signac.init_project("theirs-" + origin)
    project.import_from(origin, schema=eval(given[origin != "data"]))
    found[origin] = seen(project)
give(found)
"""
    theirs = signac(SEEN + BY_PATH + code, [of_folder, of_archive], place)
    assert len(theirs) == 5
    scope: dict[str, Any] = {}
    exec(BY_PATH, scope)
    for origin, expected in theirs.items():
        ours = init_project(root=tmp_path / f"ours-{origin}", durability="none")
        given: str | Callable[[str], Any] = eval(of_folder if origin == "data" else of_archive, scope)
        ours.import_from(origin, schema=given)
        assert len(expected) == 4
        assert seen(ours) == expected, origin


ORIGINS: dict[str, list[str]] = {
    "data": ["{k}", "{k}/{v}", "data/{k}", "data/{k}/{v}", "{k}/{v:int}", "data", "no/{k}"],
    "data/": ["{k}", "{k}/{v}", "data/{k}/{v}"],
    "data/data": ["{k}", "{v:int}", "data/{k}", "data/data/{k}"],
    ".": ["data/{k}", "{k}/{v}/{w}", "{k}/x/{v:int}"],
}


@pytest.mark.parametrize("origin", ORIGINS)
def test_a_field_never_takes_the_name_of_the_origin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Path, origin: str
) -> None:
    """A schema string is relative to the origin, or begins with it: one of both for all folders."""
    monkeypatch.chdir(place)
    write_tree("data", {"x/1/f": "1", "y/2/g": "2", "data/3/h": "3"})
    code = """
found = {}
for schema in given[1]:
    project = signac.init_project(os.path.join(given[2], "theirs-" + schema.replace("/", "-")))
    try:
        project.import_from(given[0], schema=schema)
    except Exception as error:
        found[schema] = type(error).__name__
    else:
        found[schema] = seen(project)
give(found)
"""
    theirs = signac(SEEN + code, [origin, ORIGINS[origin], str(tmp_path)], place)
    for schema, expected in theirs.items():
        ours = init_project(root=tmp_path / f"ours-{schema.replace('/', '-')}", durability="none")
        ours.import_from(origin, schema=schema)
        if expected:
            assert seen(ours) == expected, schema
    assert sum(map(bool, theirs.values())) > 1
