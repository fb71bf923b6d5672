"""An import or a move killed anywhere loses nothing, shows no part of a job, and can be continued."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from crashes import crash_everywhere

from dataspace.crash_acts import export_by_moving, import_by_moving, import_copies, open_in
from dataspace.trees import job_files, read_tree, write_tree
from perkey.dataspace import init_project

STEP = 7
FILES = {"f": "1", "s/g": "2"}


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A project, and foreign data of three jobs."""
    folder = tmp_path / "template"
    init_project(root=folder / "project", durability="none")
    for number in range(3):
        write_tree(folder / f"in/{number}", FILES)
    return folder


def imported(folder: Path) -> dict[int, dict[str, str]]:
    """Return the files of the jobs that there are."""
    project = open_in(folder)
    project.check()
    return {job.sp.a: job_files(job) for job in project}


def test_import(template: Path, place: Path, record_property: Callable[[str, object], None]) -> None:
    folder = place / "p"
    points = 0
    for points in crash_everywhere(template, folder, partial(import_copies, folder), step=STEP):  # noqa: B007
        assert all(files == FILES for files in imported(folder).values())
        assert len(read_tree(folder / "in")) == 6
        open_in(folder).import_from(folder / "in", "{a:int}", sync=True)
        assert imported(folder) == dict.fromkeys(range(3), FILES)
    record_property("crash points", points)
    assert points > 20


def test_import_by_moving(
    template: Path, place: Path, record_property: Callable[[str, object], None]
) -> None:
    folder = place / "p"
    act = partial(import_by_moving, folder)
    points = 0
    for points in crash_everywhere(template, folder, act, step=STEP):  # noqa: B007
        found = imported(folder)
        left = {int(path.name) for path in (folder / "in").iterdir()}
        assert sorted([*found, *left]) == [0, 1, 2], "in both places, or in none"
        assert all(files == FILES for files in found.values())
        act()
        assert imported(folder) == dict.fromkeys(range(3), FILES)
        assert list((folder / "in").iterdir()) == []
    record_property("crash points", points)
    assert points > 20


def test_export_by_moving(
    template: Path, place: Path, record_property: Callable[[str, object], None]
) -> None:
    open_in(template).import_from(template / "in", "{a:int}")
    folder = place / "p"
    act = partial(export_by_moving, folder)
    points = 0
    for points in crash_everywhere(template, folder, act, step=STEP):  # noqa: B007
        found = imported(folder)
        out = folder / "out"
        left = {int(path.name) for path in out.iterdir()} if out.exists() else set()
        assert sorted([*found, *left]) == [0, 1, 2], "in both places, or in none"
        if out.exists():
            open_in(folder).import_from(out, copytree=shutil.move)
        assert imported(folder) == dict.fromkeys(range(3), FILES)
    record_property("crash points", points)
    assert points > 20
