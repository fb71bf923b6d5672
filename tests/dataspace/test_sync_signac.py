"""Where signac 2.4.1 synchronises without an error, we do the same; and it reads what we have written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from dataspace.signac_side import signac
from dataspace.trees import contents, write_tree
from perkey.dataspace import Project, init_project
from perkey.dataspace.sync import DocSync, FileSync

SCENARIOS: dict[str, dict[str, Any]] = {
    "always, update": {"strategy": "always", "doc_sync": "update"},
    "never, keys": {"strategy": "never", "doc_sync": "ByKey('.*')", "recursive": True},
    "update, nothing": {"strategy": "update", "doc_sync": "NO_SYNC", "recursive": True},
    "exclude": {"strategy": "always", "doc_sync": "update", "exclude": "[fg]"},
    "copy always": {"strategy": "always", "doc_sync": "COPY"},
    "copy never": {"strategy": "never", "doc_sync": "COPY"},
    "preserve": {
        "strategy": "always",
        "doc_sync": "update",
        "preserve_permissions": True,
        "preserve_times": True,
    },
    "links": {"strategy": "always", "doc_sync": "update", "follow_symlinks": False},
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two projects: jobs of the one, of the other, and of both, with all kinds of differences."""
    folder = tmp_path_factory.mktemp("template")
    source = init_project("source", folder / "source", durability="none")
    target = init_project("target", folder / "target", durability="none")
    for number in range(3):
        job = source.open_job({"a": number}).init()
        write_tree(job.path, {"f": "source", "g": "s", "same": "=", "new": "n", "s/deep": "s", "s/t/x": "y"})
        os.symlink("f", job.fn("link"))
        os.utime(job.fn("f"), (2 * 10**9, 2 * 10**9))
        os.utime(job.fn("g"), (10**9, 10**9))
        job.doc.update({"x": 1, "n": {"a": 1, "b": 1}, "l": [1]})
    for number in range(1, 4):
        job = target.open_job({"a": number}).init()
        write_tree(job.path, {"f": "target", "g": "target", "same": "=", "own": "o", "s/other": "t"})
        job.doc.update({"x": 2, "n": {"b": 2, "c": 2}, "z": 3})
    return folder


CODE = """
from signac.sync import DocSync, FileSync
for name, options in given.items():
    options["strategy"] = getattr(FileSync, options["strategy"])
    options["doc_sync"] = eval("DocSync." + options["doc_sync"])
    target = signac.get_project(os.path.join(name, "target"))
    target.sync(signac.get_project(os.path.join(name, "source")), check_schema=False, **options)
"""


def test_the_results_are_those_of_signac(template: Path, tmp_path: Path) -> None:
    for name in SCENARIOS:
        for who in ("ours", "theirs"):
            shutil.copytree(template, tmp_path / who / name, symlinks=True)
    signac(CODE, SCENARIOS, tmp_path / "theirs")
    for name, scenario in SCENARIOS.items():
        options = dict(scenario)
        options["strategy"] = getattr(FileSync, options["strategy"])
        options["doc_sync"] = eval(f"DocSync.{options['doc_sync']}", {"DocSync": DocSync})
        ours, theirs = (Project(tmp_path / who / name / "target") for who in ("ours", "theirs"))
        ours.sync(Project(tmp_path / "ours" / name / "source"), check_schema=False, **options)
        if name == "exclude":  # signac copies new jobs whole
            for project in (ours, theirs):
                project.open_job({"a": 0}).remove()
        assert contents(ours) == contents(theirs), name
        assert ours.doc() == theirs.doc()
        if name == "preserve":
            for job in ours:
                twin = theirs.open_job(id=job.id)
                for file in ("f", "g"):
                    assert os.stat(job.fn(file)).st_mtime == os.stat(twin.fn(file)).st_mtime


def test_signac_reads_what_we_synchronised(template: Path, tmp_path: Path) -> None:
    shutil.copytree(template, tmp_path / "p", symlinks=True)
    project = Project(tmp_path / "p/target")
    project.sync(
        Project(tmp_path / "p/source"),
        strategy=FileSync.always,
        doc_sync=DocSync.update,
        check_schema=False,
        recursive=True,
    )
    code = """
project = signac.get_project(given)
project.check()
give(sorted([job.id, job.sp.a, dict(job.doc)["x"]] for job in project))
"""
    assert signac(code, project.path) == sorted([job.id, job.sp.a, job.doc.x] for job in project)
