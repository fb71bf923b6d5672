"""Copies of jobs survive a loss of power, and nothing of an original is removed before its copy does."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from power_loss import Disk

from dataspace.trees import contents, write_tree
from perkey.dataspace import Job, Project, init_project
from perkey.dataspace.space import transfers
from perkey.dataspace.sync import FileSync
from perkey.files import SCRATCH
from perkey.files.folder import OURS

FILES = {"f": "1", "s/t/g": "2" * 5000, "s/h": ""}
POINTS = [{"a": 1, "n": {"x": 1}}, {"a": 2, "n": {"x": 2}}]


class Acts:
    """A durable project with jobs, and another one; each act brings jobs somewhere else."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.one = init_project("one", base / "one")
        self.two = init_project("two", base / "two")
        for point in POINTS:
            job = self.one.open_job(point).init()
            write_tree(job.path, FILES | {"id": job.id})
            os.symlink("s/t/g", job.fn("link"))
            job.doc.kept = point
        (base / "foreign").mkdir()
        self.one.export_to(base / "foreign/in")
        self.one.export_to(base / "foreign/in.tar")
        self.one.export_to(base / "foreign/in.zip")
        self.expected = contents(self.one)

    @property
    def foreign(self) -> Path:
        return self.base / "foreign"

    def move_between_file_systems(self) -> Project:
        for job in self.one:
            transfers.move_by_copy(job.id, self.one.space.workspace, self.two.space.workspace)
        return self.two

    def move(self) -> Project:
        for job in self.one:
            job.move(self.two)
        return self.two

    def clone(self) -> Project:
        for job in self.one:
            self.two.clone(job)
        return self.two

    def clone_by_a_function(self) -> Project:
        for job in self.one:
            self.two.clone(job, lambda src, dst: shutil.copytree(src, dst, symlinks=True))
        return self.two

    def sync(self) -> Project:
        self.two.sync(self.one, recursive=True, follow_symlinks=False)
        return self.two

    def sync_jobs(self) -> Project:
        for job in self.one:
            other = self.two.open_job(job.sp()).init()
            write_tree(other.path, {"f": "other"})
            other.sync(job, FileSync.always, recursive=True, follow_symlinks=False)
        return self.two

    def import_folder(self) -> Project:
        self.two.import_from(self.foreign / "in")
        return self.two

    def import_tar(self) -> Project:
        self.two.import_from(self.foreign / "in.tar")
        return self.two

    def import_zip(self) -> Project:
        self.two.import_from(self.foreign / "in.zip")
        return self.two

    def import_by_a_function(self) -> Project:
        self.two.import_from(
            self.foreign / "in", copytree=lambda src, dst: shutil.copytree(src, dst, symlinks=True)
        )
        return self.two

    def import_by_moving(self) -> Project:
        self.two.import_from(self.foreign / "in", copytree=shutil.move)
        return self.two

    def import_by_synchronising(self) -> Project:
        self.two.import_from(self.foreign / "in", sync={"follow_symlinks": False}, copytree=shutil.move)
        return self.two

    def import_into_a_new_project(self) -> Project:
        project = init_project("three", self.base / "new/deeper/three")
        project.import_from(self.foreign / "in")
        return project

    def export(self) -> str:
        self.one.export_to(self.base / "new/deeper/out", "{a}/x/{n.x}")
        return "new/deeper/out"

    def export_tar(self) -> str:
        self.one.export_to(self.base / "new/out.tar.gz")
        return "new/out.tar.gz"

    def export_zip(self) -> str:
        self.one.export_to(self.base / "new/out.zip")
        return "new/out.zip"

    def export_by_a_function(self) -> str:
        def copy(src: str, dst: str) -> None:
            shutil.copytree(src, dst, symlinks=True)

        self.one.export_to(self.base / "new/out", "{a}/x", copytree=copy)
        return "new/out"

    def export_by_moving(self) -> str:
        self.one.export_to(self.base / "new/out", "{a}/x", copytree=shutil.move)
        return "new/out"


ACTS = [name for name in vars(Acts) if not name.startswith("_") and name != "foreign"]


def after_loss(disk: Disk, base: Path, folder: Path, result: Project | str) -> list[Any]:
    """Return what the result of an act holds after a loss of power."""
    disk.write(base, folder)
    if isinstance(result, Project):
        return contents(Project(folder / os.path.relpath(result.path, base)))
    with tempfile.TemporaryDirectory() as new:
        project = init_project("back", new, durability="none")
        project.import_from(folder / result)
        return contents(project)


@pytest.mark.parametrize("act", ACTS)
def test_what_was_copied_is_on_the_disk(place: Path, act: str) -> None:
    acts = Acts(place / "base")
    disk = Disk(place / "base")
    with disk.recording():
        result = getattr(acts, act)()
    assert after_loss(disk, place / "base", place / "after", result) == acts.expected


REMOVING: dict[str, str] = {
    "move": "one/workspace",
    "import_by_moving": "foreign/in",
    "import_by_synchronising": "foreign/in",
    "export_by_moving": "one/workspace",
}


@pytest.mark.parametrize("act", REMOVING)
def test_the_copy_is_on_the_disk_before_the_original_is_touched(
    place: Path, act: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Renames out of the source fail here, as they do between file systems."""
    acts = Acts(place / "base")
    source = os.path.realpath(place / "base" / REMOVING[act])
    originals = {str(path.parent): path.read_text() for path in Path(source).rglob("id")}
    assert len(originals) == len(POINTS)
    for name in ("rename", "replace"):
        monkeypatch.setattr(os, name, refusing(getattr(os, name), source))
    disk = Disk(place / "base")
    numbers = count()
    touched = set()

    def check(path: str, new: str | None) -> None:
        if new is not None and not is_below(new, source):
            return  # will be refused
        for folder, job in originals.items():
            if is_below(path, folder) and not os.path.basename(path).startswith(OURS):
                touched.add(job)
                image = place / f"image{next(numbers)}"
                disk.write(place / "base", image)
                assert job in jobs_in(image, REMOVING[act]), path

    with disk.recording(check):
        result = getattr(acts, act)()
    assert touched == set(originals.values())
    assert after_loss(disk, place / "base", place / "after", result) == acts.expected


def is_below(path: str, folder: str) -> bool:
    return os.path.commonpath([path, folder]) == folder


def refusing(rename: Callable[..., None], source: str) -> Callable[..., None]:
    def refuse(src: Any, dst: Any, **kwargs: Any) -> None:
        if not kwargs and is_below(os.fspath(src), source) and not is_below(os.fspath(dst), source):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        rename(src, dst, **kwargs)

    return refuse


def jobs_in(image: Path, source: str) -> set[str]:
    """Return the ids of the jobs that are whole somewhere, but in the source or unfinished."""
    places = [path.parent for path in image.rglob("id") if not path.is_relative_to(image / source)]
    return {
        (place / "id").read_text()
        for place in places
        if SCRATCH not in place.parts
        and "foreign" not in place.parts
        and (place / Job.FN_STATE_POINT).exists()
        and all((place / name).read_text() == content for name, content in FILES.items())
    }
