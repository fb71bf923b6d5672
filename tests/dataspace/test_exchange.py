"""Jobs go into folders and archives, and come back."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dataspace.trees import contents, job_files, leftovers, read_tree, write_tree
from perkey.dataspace import Project, TemporaryProject, init_project
from perkey.dataspace.errors import (
    ArchiveError,
    DestinationExistsError,
    ExchangePathError,
    FileSyncConflict,
    StatepointParsingError,
)
from perkey.dataspace.exchange.discovery import SchemaString
from perkey.dataspace.sync import FileSync
from perkey.files.folder import OURS

ARCHIVES = [".zip", ".tar", ".tar.gz", ".tgz", ".gz", ".tar.bz2", ".bz2", ".tar.xz", ".xz"]
GRID = [{"foo": i, "bar": j, "n": {"k": i * 2}} for i in range(2) for j in range(2)]


def fill(project: Project, points: list[Any]) -> Project:
    for point in points:
        job = project.open_job(point).init()
        write_tree(job.path, {"f": repr(point), "s/t/g": "deep", "empty/": ""})
        job.doc.point = point
    return project


# --- Paths ----------------------------------------------------------------------------------------------


def exported(points: list[Any], target: Path, path: Any = None) -> set[str]:
    with TemporaryProject() as project:
        for point in points:
            project.open_job(point).init()
        paths = project.export_to(target, path)
        for folder, name in paths.items():
            assert (target / name / "signac_statepoint.json").exists()
            assert os.path.dirname(folder) == project.workspace
        return set(paths.values())


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([{"foo": i} for i in range(3)], {"foo/0", "foo/1", "foo/2"}),
        ([{"foo": i, "const": 1} for i in range(2)], {"foo/0", "foo/1"}),
        (
            [{"b": i, "a": j} for i in range(2) for j in range(2)],
            {"a/0/b/0", "a/0/b/1", "a/1/b/0", "a/1/b/1"},
        ),
        ([{"b": i, "a": 0} for i in range(2)] + [{"b": 0, "a": 1}], {"a/0/b/0", "a/0/b/1", "a/1/b/0"}),
        ([{"b": {"x": i}} for i in range(2)], {"b.x/0", "b.x/1"}),
        ([{"a": 1}, {"b": 2}, {"a": 2, "b": 3}], {"a/1", "b/2", "a/2/b/3"}),
        ([{"a": 0.1}, {"a": None}, {"a": True}, {"a": [1, 2]}], {"a/0.1", "a/None", "a/True", "a/(1, 2)"}),
        ([{"a": "x/y"}, {"a": ".."}, {"a": ""}], {"a/x%2Fy", "a/%2E%2E", "a/%"}),
        ([{"a": ".@perkey"}, {"a": "\x00"}, {"a": "\ud800"}], {"a/%2E@perkey", "a/%00", "a/%D800"}),
        ([], set()),
    ],
)
def test_paths_are_made_of_what_differs(points: list[Any], expected: set[str], tmp_path: Path) -> None:
    assert exported(points, tmp_path / "out") == expected


def test_what_no_path_tells_apart_is_told_apart_by_ids(tmp_path: Path) -> None:
    points: list[Any] = [{"a": 1}, {"a": "1"}, {"a": 2}]
    with TemporaryProject() as project:
        one, other = (project.open_job(point).id for point in points[:2])
    assert exported(points, tmp_path / "out") == {f"a/1/id/{one}", f"a/1/id/{other}", "a/2"}


def test_no_job_is_within_another(tmp_path: Path) -> None:
    points = [{"a": 1}, {"a": 2}, {"a": 1, "b": 1}, {"a": 1, "b": 2}]
    with TemporaryProject() as project:
        short = project.open_job(points[0]).id
    assert exported(points, tmp_path / "out") == {f"a/1/id/{short}", "a/2", "a/1/b/1", "a/1/b/2"}


def test_a_single_job_is_named_by_its_id(tmp_path: Path) -> None:
    (name,) = exported([{"a": 1}], tmp_path / "out")
    assert name == "42b7b4f2921788ea14dac5566e6f06d0"


def test_long_values_are_cut_and_told_apart(tmp_path: Path) -> None:
    points = [{"a": "ü" * 300 + end} for end in "xyz"]
    names = exported(points, tmp_path / "out")
    assert len(names) == 3
    assert all(len(name.encode()) < 130 for name in names)


@pytest.mark.parametrize(
    ("path", "example"),
    [
        ("foo/{foo}/bar/{bar}", "foo/1/bar/0"),
        ("foo/{job.sp.foo}/{sp.bar}", "foo/1/0"),
        ("{job.id}", "aca33fc36112e9dbeffbc7167685a412"),
        (False, "aca33fc36112e9dbeffbc7167685a412"),
        ("f/{foo}/{{auto}}", "f/1/bar/0/n.k/2"),
        ("f/{foo}/{auto}", "f/1/bar/0/n.k/2"),
        ("{{auto:_}}", "bar_0_foo_1_n.k_2"),
        ("{{auto: _ }}", "bar_0_foo_1_n.k_2"),
        ("foo_{foo}/{{auto:-}}", "foo_1/bar-0-n.k-2"),
        ("{n.k}/{{auto}}/id/{job.id}", "2/bar/0/foo/1/id/aca33fc36112e9dbeffbc7167685a412"),
        ("{{auto}}/{foo:03d}", "bar/0/n.k/2/001"),
        ("{foo!r}.{bar}", "1.0"),
        ("{job.doc.x}/{doc.y.z}", "a%2Fb-10/[1, 2]"),
        (lambda job: os.path.join(f"f{job.sp.foo}", str(job.sp.bar)), "f1/0"),
        (lambda job: Path("p", f"{job.sp.foo}{job.sp.bar}"), "p/10"),
    ],
)
def test_paths_may_be_chosen(path: Any, example: str, project: Project, tmp_path: Path) -> None:
    for point in GRID:
        job = project.open_job(point)
        job.doc.x = f"a/b-{job.sp.foo}{job.sp.bar}"
        job.doc.y = {"z": [1, 2]}
    paths = project.export_to(tmp_path / "out", path)
    assert paths[project.open_job(GRID[2]).path] == example
    assert len(set(paths.values())) == 4


@pytest.mark.parametrize(
    "path",
    [
        "foo/{foo}",
        lambda job: "a" if job.sp.foo else f"a/{job.sp.bar}",
        lambda _: "",
        lambda _: 5,
        "../{job.id}",
        "/abs/{job.id}",
        "{job.id}/../../../x",
        "{nothing}",
        "{job.nothing}",
        "{job._id}",
        "{job.doc.x}",
        "{foo",
        "{foo:q}/{job.id}",
        ".@perkey-{job.id}",
        True,
        5,
    ],
)
def test_bad_paths_are_refused_before_anything_is_written(
    path: Any, project: Project, tmp_path: Path
) -> None:
    fill(project, GRID)
    for target in ("out", "out.zip"):
        with pytest.raises(ExchangePathError):
            project.export_to(tmp_path / target, path)
    assert not set(os.listdir(tmp_path)) & {"out", "out.zip", "abs"}


def test_a_key_named_auto_is_a_key(tmp_path: Path) -> None:
    points = [{"auto": i, "b": i} for i in range(2)]
    assert exported(points, tmp_path / "out", "{auto}/{{auto}}") == {"0/b/0", "1/b/1"}


# --- Folders --------------------------------------------------------------------------------------------


def test_an_export_comes_back_whole(project: Project, other: Project, tmp_path: Path) -> None:
    fill(project, GRID)
    paths = project.export_to(tmp_path / "out")
    back = other.import_from(tmp_path / "out")
    assert back == {
        os.path.join(tmp_path / "out", name): other.open_job(id=os.path.basename(folder)).path
        for folder, name in paths.items()
    }
    assert contents(other) == contents(project)
    other.check()
    assert leftovers(tmp_path) == []


def test_some_jobs_are_exported(project: Project, tmp_path: Path) -> None:
    fill(project, GRID)
    paths = project.find_jobs({"foo": 1}).export_to(tmp_path / "out")
    assert set(paths.values()) == {"bar/0", "bar/1"}


@pytest.mark.parametrize("name", ["out", "out.zip"])
def test_what_exists_is_not_overwritten(project: Project, tmp_path: Path, name: str) -> None:
    fill(project, GRID)
    write_tree(tmp_path, {"out/precious": "1", "out.zip": "2"})
    with pytest.raises(FileExistsError):
        project.export_to(tmp_path / name)
    with pytest.raises(FileExistsError):
        project.export_to(tmp_path / "out/precious")
    assert read_tree(tmp_path / "out") == {"precious": "1"}
    assert (tmp_path / "out.zip").read_text() == "2"


def test_an_empty_folder_is_filled(project: Project, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert len(fill(project, GRID).export_to(tmp_path / "out")) == 4


@pytest.mark.parametrize("name", ["out", "out.tar", "out.zip"])
def test_a_failed_export_leaves_nothing(
    project: Project, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(project, GRID)

    def fail(*_: object, **__: object) -> None:
        raise OSError("no space")

    for function in ("shutil.copyfile", "shutil.copyfileobj", "tarfile.copyfileobj"):
        monkeypatch.setattr(function, fail)
    before = set(os.listdir(tmp_path))
    with pytest.raises(OSError, match="no space"):
        project.export_to(tmp_path / name)
    assert set(os.listdir(tmp_path)) == before


def test_an_export_keeps_times_permissions_and_links_and_leaves_unfinished_files(
    project: Project, tmp_path: Path
) -> None:
    write_tree(tmp_path / "outside", {"x": "outer", "d/y": "inner"})
    job = project.open_job({"a": 1}).init()
    write_tree(job.path, {"s/f": "1", OURS + "tmp-x": "2"})
    os.chmod(job.fn("s/f"), 0o751)
    os.utime(job.fn("s/f"), (10**9, 10**9))
    links = {"in": "s/f", "s/up": "../s/f", "dead": "nothing", "out": str(tmp_path / "outside/x")}
    links |= {"folder": str(tmp_path / "outside/d"), "lost": "/nowhere/at/all", "loop": ".."}
    for name, target in links.items():
        os.symlink(target, job.fn(name))
    project.export_to(tmp_path / "out", path="j")
    found = read_tree(tmp_path / "out/j")
    assert found.pop(job.FN_STATE_POINT)
    loops = [name for name in found if name.startswith("loop/")]
    for name in loops:
        del found[name]
    assert found == {
        "s/f": "1",
        "in": "-> s/f",
        "s/up": "-> ../s/f",
        "dead": "-> nothing",
        "out": "outer",
        "folder/y": "inner",
    }
    copied = os.stat(tmp_path / "out/j/s/f")
    assert (stat.S_IMODE(copied.st_mode), copied.st_mtime) == (0o751, 10**9)


def test_pipes_are_left_out(project: Project, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    job = project.open_job({"a": 1}).init()
    os.mkfifo(job.fn("pipe"))
    project.export_to(tmp_path / "out", path="j")
    project.export_to(tmp_path / "x.tar")
    assert os.listdir(tmp_path / "out/j") == [job.FN_STATE_POINT]
    assert [job.fn("pipe") in message for message in caplog.messages] == [True, True]


@pytest.mark.parametrize("durability", ["sync", "none"])
def test_an_import_is_on_the_disk_if_the_project_is_durable(
    tmp_path: Path, synced: list[str], durability: Any
) -> None:
    write_tree(tmp_path / "in", {"1/f": "x", "1/s/g": "y"})
    project = init_project(root=tmp_path / "p", durability=durability)
    synced.clear()
    project.import_from(tmp_path / "in", "{a:int}")
    names = {os.path.basename(path) for path in synced}
    assert ({"f", "g"} <= names) == (durability == "sync")
    assert (project.workspace in synced) == (durability == "sync")


@pytest.mark.parametrize("copytree", [shutil.move, os.replace])
def test_jobs_are_moved_out_and_in(project: Project, tmp_path: Path, copytree: Any) -> None:
    before = contents(fill(project, GRID))
    project.export_to(tmp_path / "out", copytree=copytree)
    assert len(project) == 0
    project.import_from(tmp_path / "out", copytree=copytree)
    assert contents(project) == before
    assert not any(files for _, _, files in os.walk(tmp_path / "out"))


@pytest.mark.parametrize("copytree", [shutil.move, shutil.copytree])
def test_another_file_system_is_no_obstacle(
    project: Project, other: Project, tmp_path: Path, copytree: Any, place: Path
) -> None:
    """Only in so far as there is another: `place` is in memory where that can be."""
    before = contents(fill(project, GRID))
    project.export_to(place / "out", copytree=copytree)
    other.import_from(place / "out", copytree=copytree)
    assert contents(other) == before
    assert len(project) == (0 if copytree is shutil.move else 4)
    assert leftovers(tmp_path) == leftovers(place) == []


def test_a_function_copies_folders(project: Project, other: Project, tmp_path: Path) -> None:
    fill(project, GRID)
    calls = []

    def copytree(source: str, target: str) -> None:
        calls.append((source, target))
        shutil.copytree(source, target)

    paths = project.export_to(tmp_path / "out", copytree=copytree)
    assert calls == [(folder, str(tmp_path / "out" / name)) for folder, name in paths.items()]
    other.import_from(tmp_path / "out", copytree=copytree)
    assert contents(other) == contents(project)


@pytest.mark.parametrize("act", ["export_to", "import_from"])
def test_archives_are_not_moved(project: Project, tmp_path: Path, act: str) -> None:
    fill(project, GRID).export_to(tmp_path / "x.zip")
    target = tmp_path / ("y.zip" if act == "export_to" else "x.zip")
    with pytest.raises(ValueError, match="archive"):
        getattr(project, act)(target, copytree=shutil.move)


# --- Import ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "path", "expected"),
    [
        ("foo/{foo:int}", "foo/7", {"foo": 7}),
        ("foo/{foo:int}", "foo/-7", {"foo": -7}),
        ("foo/{foo:int}", "foo/7/8", None),
        ("foo/{foo:int}", "foo/x", None),
        ("foo/{foo:int}", "x/foo/7", None),
        ("{foo}", "a b.c", {"foo": "a b.c"}),
        ("{a:float}/{b:bool}", "-1.5e-3/False", {"a": -0.0015, "b": False}),
        ("{a:float}", "inf", {"a": float("inf")}),
        ("{b:bool}", "true", {"b": True}),
        ("{b:bool}", "maybe", None),
        ("a_{n.a:int}_b_{n.b}", "a_1_b_x_y", {"n": {"a": 1, "b": "x_y"}}),
        ("{sp.a}/{job.sp.b}", "x/y", {"a": "x", "b": "y"}),
        ("{a:int}/{a:int}", "1/1", {"a": 1}),
        ("{a:int}/{a:int}", "1/2", None),
        ("x.y+{a}", "x.y+1", {"a": "1"}),
        ("x.y+{a}", "xzyy1", None),
        ("plain", "plain", {}),
        ("{sp.:int}/{a.}/{b..c}", "1/x/y", {"": 1, "a": {"": "x"}, "b": {"": {"c": "y"}}}),
    ],
)
def test_schema_strings(schema: str, path: str, expected: Any) -> None:
    assert SchemaString(schema).statepoint_of(path) == expected


@pytest.mark.parametrize(
    "schema",
    ["{a}/{a.b}", "{a.b:int}/{a}", "{a.b.c}_{a.b}", "{x}/{a.b}/{sp.a}", "{job.sp.a}/{a.b}", "{a.}/{a}"],
)
def test_a_field_within_another_one_is_refused(project: Project, tmp_path: Path, schema: str) -> None:
    """One of both values would be lost."""
    (tmp_path / "1/2/3").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"contradict each other: 'a.*' cannot be a value and a mapping"):
        project.import_from(tmp_path, schema=schema)
    assert not len(project)
    assert SchemaString("{a.b}/{a.c}/{ab}").statepoint_of("1/2/3") == {"a": {"b": "1", "c": "2"}, "ab": "3"}


@pytest.mark.parametrize("schema", ["{a:foo}", "{}", "{:int}", "{a", "{{auto}}/{auto:_}", 5])
def test_schemata_that_make_no_sense(project: Project, tmp_path: Path, schema: Any) -> None:
    with pytest.raises(ValueError, match=r"field|expected|schema|'}'"):
        project.import_from(tmp_path, schema=schema)


def test_foreign_data_is_imported_by_a_schema(project: Project, tmp_path: Path) -> None:
    write_tree(tmp_path / "in", {"foo/1/a": "1", "foo/2/b/c": "2", "foo/x/d": "3", "bar/3/e": "4", "f": "5"})
    found = project.import_from(tmp_path / "in", schema="foo/{foo:int}")
    one, two = (project.open_job({"foo": n}) for n in (1, 2))
    assert found == {str(tmp_path / "in/foo/1"): one.path, str(tmp_path / "in/foo/2"): two.path}
    assert (job_files(one), job_files(two)) == ({"a": "1"}, {"b/c": "2"})
    assert len(project) == 2
    project.check()
    assert set(read_tree(tmp_path / "in")) == {"foo/1/a", "foo/2/b/c", "foo/x/d", "bar/3/e", "f"}


def test_foreign_data_is_imported_by_a_function(project: Project, tmp_path: Path) -> None:
    write_tree(tmp_path / "in", {"1/f": "x", "2/f": "y", "zz/f": "z"})

    def schema(path: str) -> dict[str, Any] | None:
        name = os.path.basename(path)
        return {"n": int(name)} if name.isdigit() else None

    assert set(project.import_from(tmp_path / "in", schema)) == {str(tmp_path / f"in/{n}") for n in (1, 2)}


def test_the_working_directory_is_the_default(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tree(tmp_path / "in", {"a/1/f": "x"})
    monkeypatch.chdir(tmp_path / "in")
    assert set(project.import_from(schema="a/{a:int}")) == {"./a/1"}


def test_a_project_does_not_import_its_own_jobs(project: Project) -> None:
    fill(project, GRID[:1])
    write_tree(project.path, {"new/signac_statepoint.json": '{"new": 1}'})
    assert set(project.import_from(project.path)) == {project.fn("new")}
    assert len(project) == 2


def test_what_is_in_a_job_is_not_another_job(project: Project, tmp_path: Path) -> None:
    write_tree(
        tmp_path / "in",
        {"signac_statepoint.json": '{"a": 1}', "sub/signac_statepoint.json": '{"a": 2}', "f": "x"},
    )
    project.import_from(tmp_path / "in")
    assert [job.sp() for job in project] == [{"a": 1}]


@pytest.mark.parametrize(
    ("files", "schema"),
    [
        ({"d/signac_statepoint.json": '{"a": '}, None),
        ({"d/signac_statepoint.json": "[1]"}, None),
        ({"d/signac_statepoint.json": '{"a.b": 1}'}, None),
        ({"1/signac_statepoint.json": '{"a": 2}'}, "{a:int}"),
        ({"1/f": "", "01/f": ""}, "{a:int}"),
        ({"x/f": ""}, lambda path: 5 if path.endswith("x") else None),
    ],
)
def test_state_points_that_cannot_be_told_change_nothing(
    project: Project, tmp_path: Path, files: dict[str, str], schema: Any
) -> None:
    write_tree(tmp_path / "in", {"0/ok": "", **files})
    with pytest.raises(StatepointParsingError):
        project.import_from(tmp_path / "in", schema)
    assert len(project) == 0


def test_there_is_nothing_to_import_from(project: Project, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        project.import_from(tmp_path / "nothing")


@pytest.mark.parametrize("copytree", [None, shutil.move])
def test_jobs_that_exist_are_a_conflict_that_changes_nothing(
    project: Project, tmp_path: Path, copytree: Any
) -> None:
    write_tree(tmp_path / "in", {f"{n}/f": str(n) for n in range(4)})
    job = project.open_job({"a": 3}).init()
    before = read_tree(tmp_path / "in")
    with pytest.raises(DestinationExistsError) as raised:
        project.import_from(tmp_path / "in", "{a:int}", copytree=copytree)
    assert raised.value.destination == job
    assert (len(project), read_tree(tmp_path / "in")) == (1, before)


@pytest.mark.parametrize("copytree", [None, shutil.move])
def test_jobs_that_exist_are_synchronised_on_demand(project: Project, tmp_path: Path, copytree: Any) -> None:
    write_tree(tmp_path / "in", {"1/f": "new", "1/s/g": "deep", "2/f": "other"})
    write_tree(project.open_job({"a": 1}).init().path, {"f": "old"})
    with pytest.raises(FileSyncConflict):
        project.import_from(tmp_path / "in", "{a:int}", sync=True, copytree=copytree)
    assert len(project) == 1
    assert len(read_tree(tmp_path / "in")) == 3
    found = project.import_from(
        tmp_path / "in", "{a:int}", sync={"strategy": FileSync.always}, copytree=copytree
    )
    one, two = (project.open_job({"a": n}) for n in (1, 2))
    assert found == {str(tmp_path / "in/1"): one.path, str(tmp_path / "in/2"): two.path}
    assert (job_files(one), job_files(two)) == ({"f": "new", "s/g": "deep"}, {"f": "other"})
    assert len(read_tree(tmp_path / "in")) == (0 if copytree else 3)
    assert sorted(os.listdir(project.workspace)) == sorted([".@perkey", one.id, two.id])


def test_a_failed_import_leaves_nothing_and_gives_back_what_was_moved(
    project: Project, tmp_path: Path
) -> None:
    write_tree(tmp_path / "in", {"1/f": "1", "2/f": "2"})
    before = read_tree(tmp_path / "in")

    def copytree(source: str, target: str) -> None:
        if source.endswith("2"):
            raise OSError("no space")
        shutil.move(source, target)

    with pytest.raises(OSError, match="no space"):
        project.import_from(tmp_path / "in", "{a:int}", copytree=copytree)
    assert (len(project), read_tree(tmp_path / "in")) == (0, before)
    assert leftovers(project.path) == []


# --- Archives (damaged and evil ones: see test_exchange_archives) ------------------------------------------


@pytest.mark.parametrize("ending", ARCHIVES)
def test_an_archive_comes_back_whole(project: Project, other: Project, tmp_path: Path, ending: str) -> None:
    fill(project, GRID)
    job = project.open_job(GRID[0])
    os.chmod(job.fn("f"), 0o740)
    os.utime(job.fn("f"), (10**9, 10**9))
    os.symlink("s/t/g", job.fn("link"))
    os.symlink("s", job.fn("folder"))
    paths = project.export_to(tmp_path / f"x{ending}")
    back = other.import_from(tmp_path / f"x{ending}")
    assert set(back) == set(paths.values())
    assert contents(other) == contents(project)
    found = os.stat(other.open_job(GRID[0]).fn("f"))
    assert (stat.S_IMODE(found.st_mode), found.st_mtime) == (0o740, 10**9)
    assert leftovers(tmp_path) == []


def test_archives_are_imported_by_a_schema(project: Project, other: Project, tmp_path: Path) -> None:
    fill(project, [{"foo": n} for n in range(3)])
    project.export_to(tmp_path / "x.tar")
    seen = []

    def schema(path: str) -> dict[str, Any] | None:
        seen.append(path)
        return {"foo": int(path[4:])} if path.startswith("foo/") else None

    other.import_from(tmp_path / "x.tar", schema)
    assert seen == [".", "foo", "foo/0", "foo/1", "foo/2"]
    other.import_from(tmp_path / "x.tar", "foo/{foo:int}", sync=True)
    assert contents(other) == contents(project)


def test_an_old_archive_is_a_synchronisation_away(project: Project, tmp_path: Path) -> None:
    fill(project, GRID).export_to(tmp_path / "x.tar.gz")
    before = contents(project)
    project.open_job(GRID[0]).remove()
    os.unlink(project.open_job(GRID[1]).fn("s/t/g"))
    project.import_from(tmp_path / "x.tar.gz", sync=True)
    assert contents(project) == before


def test_times_before_1980_are_no_obstacle_to_zip(project: Project, tmp_path: Path) -> None:
    job = fill(project, GRID[:1]).open_job(GRID[0])
    os.utime(job.fn("f"), (0, 0))
    project.export_to(tmp_path / "x.zip")


def test_a_jobs_exotic_state_point_file_is_complete_in_the_archive(project: Project, tmp_path: Path) -> None:
    """What unfinished changes left stays behind, so the file must be the job's own."""
    job = fill(project, GRID[:1]).open_job(GRID[0])
    write_tree(job.path, {OURS + "tmp-1": "x"})
    project.export_to(tmp_path / "x.zip")
    with TemporaryProject() as other:
        other.import_from(tmp_path / "x.zip")
        assert leftovers(other.open_job(GRID[0]).path) == []


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=3,
)
KEYS = st.text(max_size=3).filter(lambda text: "." not in text)
POINTS = st.lists(
    st.dictionaries(KEYS, VALUES | st.dictionaries(KEYS, VALUES, max_size=2), max_size=3), max_size=5
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(points=POINTS, ending=st.sampled_from(["", ".tar", ".zip"]))
@example(points=[{"a": ""}, {"a": "."}, {"a": ".."}, {"a": "/"}, {}], ending=".zip")
@example(points=[{"id": {"id": 1}}, {"id": 1}, {"id": "1"}, {"": 1}], ending="")
def test_a_round_trip_loses_nothing(points: list[Any], ending: str, tmp_path_factory: Any) -> None:
    folder = tmp_path_factory.mktemp("trip")
    with TemporaryProject() as ours, TemporaryProject() as theirs:
        for point in points:
            job = ours.open_job(point).init()
            write_tree(job.path, {"f": job.id, "s/g": "x"})
            job.doc.x = point
        ours.export_to(folder / f"x{ending}")
        theirs.import_from(folder / f"x{ending}")
        assert contents(theirs) == contents(ours)
    shutil.rmtree(folder)


def test_types_of_paths_do_not_matter(project: Project, other: Project, tmp_path: Path) -> None:
    fill(project, GRID)
    acts: list[Callable[[], Any]] = [
        lambda: project.export_to(str(tmp_path / "a")),
        lambda: other.import_from(str(tmp_path / "a")),
    ]
    for act in acts:
        assert len(act()) == 4


MTIMES = [-(10**9), 0, 315532799, 2**31, 2**32, 4354819200, 7258118400, 2**34]
"""Seconds, to the year 2514: ext4 holds no later ones."""
FIRST_OF_ZIP, LAST_OF_ZIP = 315532800.0, 4354819198.0
"""1980 and 2107, in some time zone."""


@pytest.mark.parametrize("ending", ARCHIVES)
def test_files_of_any_time_are_archived(
    project: Project, other: Project, tmp_path: Path, ending: str
) -> None:
    job = fill(project, [{"a": 1}]).open_job({"a": 1})
    expected = {}
    for mtime in MTIMES:
        Path(job.fn(f"f{mtime}")).touch()
        os.utime(job.fn(f"f{mtime}"), (mtime, mtime))
        expected[f"f{mtime}"] = os.stat(job.fn(f"f{mtime}")).st_mtime  # what the file system made of it
    target = tmp_path / f"x{ending}"
    project.export_to(target)
    other.import_from(target)
    copied = other.open_job({"a": 1})
    for name, stored in expected.items():
        kept = min(max(stored, FIRST_OF_ZIP), LAST_OF_ZIP) if ending == ".zip" else stored
        assert abs(os.stat(copied.fn(name)).st_mtime - kept) <= (2 if kept == stored else 86400), name


@pytest.mark.parametrize("ending", ["", *ARCHIVES])
@pytest.mark.parametrize("mode", [0o400, 0o444, 0o600, 0o644, 0o755])
def test_files_that_must_not_be_changed_stay_so(
    project: Project, other: Project, tmp_path: Path, mode: int, ending: str
) -> None:
    job = fill(project, [{"a": 1}]).open_job({"a": 1})
    Path(job.fn("raw")).touch()
    os.chmod(job.fn("raw"), mode)
    target = tmp_path / f"x{ending}"
    project.export_to(target)
    other.import_from(target)
    assert stat.S_IMODE(os.stat(other.open_job({"a": 1}).fn("raw")).st_mode) == mode


@pytest.mark.parametrize("ending", ["", *ARCHIVES])
def test_names_that_are_not_text_are_kept_or_refused(
    project: Project, other: Project, tmp_path: Path, ending: str
) -> None:
    job = fill(project, [{"a": 1}]).open_job({"a": 1})
    name = os.fsdecode(b"\xff\xfe")
    Path(job.fn(name)).touch()
    target = tmp_path / f"x{ending}"
    if ending == ".zip":
        with pytest.raises(ArchiveError, match=r"not UTF-8: rename the file, or export to .* a \.tar file"):
            project.export_to(target)
        assert not os.path.lexists(target)
        return
    project.export_to(target)
    other.import_from(target)
    assert other.open_job({"a": 1}).isfile(name)
