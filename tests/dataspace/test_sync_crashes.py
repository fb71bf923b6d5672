"""A sync killed anywhere leaves files old or new, jobs there or not; run again, it does the rest."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from crashes import crash_everywhere

from dataspace.crash_acts import sync
from dataspace.trees import contents, job_files, leftovers, write_tree
from perkey.dataspace import Project, init_project

STEP = 7
"""Most points are between two system calls that only look."""


def test_sync(tmp_path: Path, place: Path, record_property: Callable[[str, object], None]) -> None:
    template = tmp_path / "template"
    source, target = (init_project(root=template / name, durability="none") for name in ("src", "dst"))
    write_tree(source.open_job({"a": 1}).init().path, {"f": "new", "s/g": "more"})
    source.open_job({"a": 1}).doc.x = 1
    write_tree(source.open_job({"a": 2}).init().path, {"h": "whole"})
    source.open_job({"a": 2}).doc.y = 2
    write_tree(target.open_job({"a": 1}).init().path, {"f": "old", "kept": "kept"})
    target.open_job({"a": 1}).doc.z = 3

    folder = place / "p"
    points = 0
    for points in crash_everywhere(template, folder, partial(sync, folder), step=STEP):  # noqa: B007
        found = Project(folder / "dst", durability="none")
        found.check()
        old = found.open_job({"a": 1})
        files = {name: text for name, text in job_files(old).items() if name not in leftovers(old.path)}
        assert files["f"] in {"old", "new"}
        assert files["kept"] == "kept"
        assert files.get("s/g", "more") == "more"
        assert old.doc() in ({"z": 3}, {"z": 3, "x": 1})
        new = found.open_job({"a": 2})
        assert new not in found or (job_files(new), new.doc()) == ({"h": "whole"}, {"y": 2})

        sync(folder)
        for name in leftovers(old.path):
            next(Path(old.path).rglob(name)).unlink()  # swept when it is an hour old
        assert job_files(old) == {"f": "new", "s/g": "more", "kept": "kept"}
        assert old.doc() == {"z": 3, "x": 1}
        assert contents(found)[1] == contents(Project(folder / "src", durability="none"))[1]
    record_property("crash points", points)
    assert points > 50  # else nothing was killed
