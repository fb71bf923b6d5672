"""Folders as plain data, for tests that copy them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from perkey.dataspace import Job, Project
from perkey.files.folder import OURS


def write_tree(folder: str | Path, files: dict[str, str]) -> None:
    """Write files, whose names are paths, into a folder; a name that ends with a slash is a folder."""
    for name, content in files.items():
        path = Path(folder, name)
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def read_tree(folder: str | Path) -> dict[str, str]:
    """Return the files below a folder by path, links as ``-> target``, and empty folders with a slash."""
    found: dict[str, str] = {}
    for place, folders, files in os.walk(folder):
        for name in files + [each for each in folders if os.path.islink(os.path.join(place, each))]:
            path = os.path.join(place, name)
            is_link = os.path.islink(path)
            found[os.path.relpath(path, folder)] = (
                f"-> {os.readlink(path)}" if is_link else Path(path).read_text()
            )
        if not folders and not files and place != str(folder):
            found[os.path.relpath(place, folder) + "/"] = ""
    return found


def job_files(job: Job) -> dict[str, str]:
    """Return the files of a job, but its state point and document."""
    apart = {job.FN_STATE_POINT, job.FN_DOCUMENT}
    return {name: content for name, content in read_tree(job.path).items() if name not in apart}


def contents(project: Project) -> list[Any]:
    """Return all that a project's jobs hold, in an order that does not depend on where it is."""
    return sorted(
        (job.id, repr(job.sp()), repr(job.doc()), sorted(job_files(job).items())) for job in project
    )


def leftovers(folder: str | Path) -> list[str]:
    """Return the names below a folder of what unfinished changes left."""
    names = [name for _, folders, files in os.walk(folder) for name in folders + files]
    return [name for name in names if name.startswith((OURS, "copy-"))]
