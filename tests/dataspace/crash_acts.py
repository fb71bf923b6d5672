"""What is killed at each of its points; in a module that imports nothing heavy."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from perkey.dataspace import Project
from perkey.dataspace.space import transfers
from perkey.dataspace.sync import FileSync
from perkey.stores.folder.store import Durability

OLD: Final = {"a": 1}
NEW: Final = {"a": 2, "b": [1]}


class Spaces:
    """Two projects, and a job of the first."""

    def __init__(self, folder: Path, durability: Durability = "none") -> None:
        self.one = Project(folder / "one", durability=durability)
        self.two = Project(folder / "two", durability=durability)
        self.job = self.one.open_job(OLD)


def init(spaces: Spaces) -> None:
    spaces.two.open_job(NEW).init()


def reset_statepoint(spaces: Spaces) -> None:
    spaces.job.reset_statepoint(NEW)


def move(spaces: Spaces) -> None:
    spaces.job.move(spaces.two)


def move_by_copy(spaces: Spaces) -> None:
    transfers.move_by_copy(spaces.job.id, spaces.one.space.workspace, spaces.two.space.workspace)


def remove(spaces: Spaces) -> None:
    spaces.job.remove()


def clone(spaces: Spaces) -> None:
    spaces.two.clone(spaces.job)


def search(spaces: Spaces) -> None:
    list(spaces.one.find_jobs({"a": 1}))


def open_in(folder: Path) -> Project:
    return Project(folder / "project", durability="none")


def import_copies(folder: Path) -> None:
    open_in(folder).import_from(folder / "in", "{a:int}")


def import_by_moving(folder: Path) -> None:
    open_in(folder).import_from(folder / "in", "{a:int}", copytree=shutil.move)


def export_by_moving(folder: Path) -> None:
    open_in(folder).export_to(folder / "out", "{a}", copytree=shutil.move)


def sync(folder: Path) -> None:
    Project(folder / "dst", durability="none").sync(
        Project(folder / "src", durability="none"),
        strategy=FileSync.always,
        recursive=True,
        check_schema=False,
    )
