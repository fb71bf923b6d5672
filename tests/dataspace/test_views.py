"""Linked views: relative links, kept up to date, and nothing of anybody else's is touched."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from dataspace.signac_side import signac
from dataspace.trees import leftovers, read_tree
from perkey.dataspace import Project
from perkey.dataspace.errors import ExchangePathError
from perkey.dataspace.exchange.views import _require_free


@pytest.fixture
def view(tmp_path: Path) -> Path:
    return tmp_path / "view"


def fill(project: Project, *points: dict[str, Any]) -> Project:
    for point in points:
        project.open_job(point).init()
    return project


def links(view: Path) -> dict[str, dict[str, Any]]:
    """Return the state point of each job that is linked, by the path of its link."""
    found = {}
    for name, text in read_tree(view).items():
        if text.startswith("-> "):
            assert not os.path.isabs(text[3:])
            found[name] = Project.get_job((view / name).resolve()).sp()
    return found


def test_a_view_has_a_relative_link_for_each_job(project: Project, view: Path) -> None:
    fill(project, *({"foo": n} for n in range(3)))
    made = project.create_linked_view(view)
    assert links(view) == {f"foo/{n}/job": {"foo": n} for n in range(3)}
    assert made == {project.open_job({"foo": n}).path: str(view / f"foo/{n}/job") for n in range(3)}


def test_the_links_are_those_of_signac(project: Project, view: Path, tmp_path: Path) -> None:
    fill(project, *({"foo": i, "bar": j, "n": {"k": i}} for i in range(2) for j in range(2)))
    project.create_linked_view(view)
    theirs = tmp_path / "theirs"
    signac("signac.get_project().create_linked_view(given)", str(theirs), Path(project.path))
    assert read_tree(view) == read_tree(theirs)


@pytest.mark.parametrize(
    "statepoints",
    [
        [{"a": 1, "c": 0}, {"b": 1, "c": 0}, {"a": 2, "b": 1, "c": 0}],
        [{"a": 1}, {"a": 1, "b": 1}, {"a": 1, "b": 2}, {"a": 2, "b": 1}],
        [{"n": {"k": 1}}, {"n": {"k": 1, "m": 2}}, {"n": {"k": 2}}, {"a": True}],
    ],
)
def test_jobs_that_have_some_of_the_keys_are_linked_as_by_signac(
    project: Project, view: Path, tmp_path: Path, statepoints: list[dict[str, Any]]
) -> None:
    """The path of one job is within another's, and their links are not."""
    fill(project, *statepoints).create_linked_view(view)
    theirs = tmp_path / "theirs"
    signac("signac.get_project().create_linked_view(given)", str(theirs), Path(project.path))
    assert read_tree(view) == read_tree(theirs)


def test_by_default_it_is_in_the_working_directory(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fill(project, {"a": 1}).create_linked_view()
    assert links(tmp_path / "view") == {"job": {"a": 1}}


def test_the_path_may_be_chosen(project: Project, view: Path) -> None:
    fill(project, {"a": 1, "b": 2}, {"a": 2, "b": 1})
    project.create_linked_view(view, path="x/{a}/{{auto}}")
    assert links(view) == {"x/1/b/2/job": {"a": 1, "b": 2}, "x/2/b/1/job": {"a": 2, "b": 1}}


def test_an_update_removes_what_is_no_more_and_the_folders_that_held_it(project: Project, view: Path) -> None:
    fill(project, *({"a": n, "b": n} for n in range(4))).create_linked_view(view)
    project.open_job({"a": 1, "b": 1}).remove()
    project.open_job({"a": 2, "b": 2}).sp.b = 7
    fill(project, {"a": 9, "b": 9})
    project.create_linked_view(view)
    assert links(view) == {f"a/{a}/b/{b}/job": {"a": a, "b": b} for a, b in [(0, 0), (2, 7), (3, 3), (9, 9)]}
    assert sorted(os.listdir(view / "a")) == ["0", "2", "3", "9"]


def test_an_update_that_changes_nothing_writes_nothing(
    project: Project, view: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(project, {"a": 1}, {"a": 2}).create_linked_view(view)
    with monkeypatch.context() as patched:
        patched.setattr(os, "symlink", None)
        patched.setattr(os, "unlink", None)
        project.create_linked_view(view)


def test_jobs_may_be_chosen_and_the_others_leave_the_view(project: Project, view: Path) -> None:
    fill(project, *({"a": n} for n in range(4))).create_linked_view(view)
    project.create_linked_view(view, job_ids=[job.id for job in project.find_jobs({"a": {"$lt": 2}})])
    assert links(view) == {"a/0/job": {"a": 0}, "a/1/job": {"a": 1}}
    project.create_linked_view(view, job_ids=[])
    assert os.listdir(view) == []


def test_files_and_links_of_others_stay(project: Project, other: Project, view: Path) -> None:
    fill(project, {"a": 1}, {"a": 2}).create_linked_view(view)
    fill(other, {"a": 3})
    (view / "a/1/mine").write_text("precious")
    (view / "empty").mkdir()
    os.symlink("mine", view / "a/1/link")
    os.symlink(project.open_job({"a": 1}).path, view / "a/1/named")
    os.makedirs(view / "x")
    os.symlink(other.open_job({"a": 3}).path, view / "x/job")
    os.symlink("/nowhere", view / "job")
    before = {name: text for name, text in read_tree(view).items() if name not in {"a/1/job", "a/2/job"}}
    for job in project:
        job.remove()
    project.create_linked_view(view)
    assert read_tree(view) == before


@pytest.mark.parametrize("obstacle", ["file", "folder", "foreign link", "file above", "link above"])
def test_what_is_in_the_way_is_an_error_that_changes_nothing(
    project: Project, other: Project, view: Path, obstacle: str
) -> None:
    fill(project, {"a": 1}, {"a": 2})
    fill(other, {"a": 1})
    (view / "a").mkdir(parents=True)
    if obstacle == "file":
        (view / "a/1").mkdir()
        (view / "a/1/job").write_text("precious")
    elif obstacle == "folder":
        (view / "a/1/job").mkdir(parents=True)
    elif obstacle == "foreign link":
        (view / "a/1").mkdir()
        os.symlink(other.open_job({"a": 1}).path, view / "a/1/job")
    elif obstacle == "file above":
        (view / "a/1").write_text("precious")
    else:
        os.symlink(other.path, view / "a/1")
    before = read_tree(view)
    with pytest.raises(FileExistsError, match="nothing was changed"):
        project.create_linked_view(view)
    assert read_tree(view) == before


def test_a_view_of_a_project_that_moved_is_mended(project: Project, view: Path, tmp_path: Path) -> None:
    fill(project, {"a": 1}, {"a": 2}).create_linked_view(view)
    shutil.move(project.path, tmp_path / "moved")
    Project(tmp_path / "moved").create_linked_view(view)
    assert links(view) == {f"a/{n}/job": {"a": n} for n in (1, 2)}


def test_a_view_reached_by_a_link_leads_to_the_jobs(project: Project, tmp_path: Path) -> None:
    """A relative link starts where it really is."""
    (tmp_path / "x/y/real").mkdir(parents=True)
    os.symlink("x/y/real", tmp_path / "short")
    fill(project, {"a": 1}, {"a": 2}).create_linked_view(tmp_path / "short/view")
    assert links(tmp_path / "x/y/real/view") == {f"a/{n}/job": {"a": n} for n in (1, 2)}


def test_what_no_path_tells_apart_is_told_apart_by_ids(project: Project, view: Path) -> None:
    fill(project, {"a": 1}, {"a": "1"}, {})
    project.create_linked_view(view)
    assert len(links(view)) == 3
    with pytest.raises(ExchangePathError):
        project.create_linked_view(view, path="{{auto}}")
    assert len(links(view)) == 3


def test_indexes_are_not_supported_and_jobs_must_exist(project: Project, view: Path) -> None:
    with pytest.raises(ValueError, match="index"):
        project.create_linked_view(view, index={})  # type: ignore[arg-type]
    with pytest.raises(KeyError):
        project.create_linked_view(view, job_ids=["0" * 32])
    assert not view.exists()


def test_many_update_one_view_at_once(project: Project, view: Path) -> None:
    """Each has another selection, so that they remove each other's folders; the last one is right."""
    fill(project, *({"a": n, "b": n} for n in range(10)))
    jobs = [job.id for job in project]
    failures = []

    def update(number: int) -> None:
        try:
            for turn in range(10):
                Project(project.path).create_linked_view(
                    view, job_ids=jobs[number :: 2 + turn % 2], path=None
                )
        except Exception as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=update, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    project.create_linked_view(view)
    assert links(view) == {f"a/{n}/b/{n}/job": {"a": n, "b": n} for n in range(10)}
    assert leftovers(view) == []


def test_folders_and_links_that_others_make_and_remove_meanwhile_are_in_nobodys_way(tmp_path: Path) -> None:
    """They are there at one look and not at the next."""
    root, workspace = str(tmp_path / "view"), str(tmp_path / "workspace")
    link, job = f"{root}/a/1/job", f"{workspace}/{'0' * 32}"
    os.makedirs(f"{root}/a")
    done = threading.Event()

    def come_and_go() -> None:
        while not done.is_set():
            os.mkdir(f"{root}/a/1")
            os.symlink(job, link)
            os.unlink(link)
            os.rmdir(f"{root}/a/1")

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        for _ in range(3_000):
            _require_free(root, workspace, {link: job}, {})
    finally:
        done.set()
        thread.join()
