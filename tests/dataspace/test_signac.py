"""Projects are signac's: either library opens, searches and edits what the other wrote."""

from __future__ import annotations

import gzip
import json
import os
import random
from pathlib import Path
from typing import Any

import numpy as np

from dataspace.signac_side import signac
from perkey.dataspace import Project, init_project
from perkey.dataspace.space.workspace import job_id, normalized
from perkey.files import SCRATCH

STATEPOINTS = [
    {"a": n, "b": {"c": n / 7, "d": [n, None, {"e": True}]}, "ü": "é☃", "k": "even" if n % 2 == 0 else "odd"}
    for n in range(6)
]


def random_value(choose: random.Random, depth: int) -> Any:
    kinds: list[Any] = [
        lambda: choose.randrange(-(10**6), 10**6),
        lambda: 10 ** choose.randrange(40),
        choose.random,
        lambda: choose.uniform(-1, 1) * 10 ** choose.randrange(-300, 300),
        lambda: choose.choice([0.0, -0.0, 1.0, 1e16, 1e-7, 1e22, float("inf"), float("-inf"), float("nan")]),
        lambda: choose.choice([True, False, None]),
        lambda: random_text(choose),
    ]
    if depth:
        kinds += [
            lambda: [random_value(choose, depth - 1) for _ in range(choose.randrange(4))],
            lambda: random_mapping(choose, depth - 1),
        ]
    return choose.choice(kinds)()


def random_text(choose: random.Random) -> str:
    signs = "abc XYZ_-0123456789\"'\\/\n\t\0äß€☃\U0001f600\u2028é"
    return "".join(choose.choice(signs) for _ in range(choose.randrange(12)))


def random_mapping(choose: random.Random, depth: int) -> dict[str, Any]:
    return {random_text(choose): random_value(choose, depth) for _ in range(choose.randrange(5))}


def test_ids_of_a_thousand_random_state_points_are_equal(tmp_path: Path) -> None:
    choose = random.Random(20)
    points = [random_mapping(choose, 3) for _ in range(1000)]
    theirs = signac(
        """
project = signac.init_project(os.getcwd())
give([project.open_job(point).id for point in given])
""",
        points,
        tmp_path,
    )
    assert [job_id(normalized(point)) for point in points] == theirs


NUMPY = """[
    {"a": np.arange(5)}, {"a": np.linspace(0, 1, 4)}, {"a": np.float64(0.1), "b": np.float32(0.1)},
    {"a": np.int8(-3), "b": np.uint64(2**63)}, {"a": np.bool_(False), "b": np.array(7)},
    {"a": np.array([[1.5, np.nan]]), "b": [np.int64(1), {"c": np.float64(2)}]}, {"a": np.array("x")},
    {"a": np.float16(0.3)}, {"a": np.array([True, False])}, {"a": np.zeros((2, 0))},
]"""


def test_ids_with_numpy_are_equal(tmp_path: Path) -> None:
    theirs = signac(
        f"project = signac.init_project(os.getcwd())\ngive([project.open_job(p).id for p in {NUMPY}])",
        cwd=tmp_path,
    )
    assert [job_id(normalized(point)) for point in eval(NUMPY, {"np": np})] == theirs


def test_signac_opens_searches_and_edits_what_we_wrote(tmp_path: Path) -> None:
    project = init_project("ours", tmp_path)
    for point in STATEPOINTS:
        job = project.open_job(point).init()
        job.doc.n = point["a"]
        job.doc.deep = {"x": [1, {"y": 2}]}
    project.doc.kept = {"a": 1}
    project.open_job(STATEPOINTS[0]).sp.a = 100
    found = signac(
        """
project = signac.get_project()
project.check()
moved, = project.find_jobs({"a": 100})
moved.doc.seen = moved.doc.deep()
moved.sp.a = 200
job, = project.find_jobs({"a": 1})
job.doc.theirs = True
job.sp.b.c = 0.5
project.open_job({"new": 1}).init()
[gone] = project.find_jobs({"a": 5})
gone.remove()
project.doc.back = project.doc.kept.a
project.update_cache()
give({
    "len": len(project),
    "odd": sorted(job.sp.a for job in project.find_jobs({"k": "odd"})),
    "doc": sorted(j.sp.a for j in project.find_jobs({"doc.n": {"$gt": 2}, "doc.deep.x": {"$exists": True}})),
    "schema": str(project.detect_schema()),
})
""",
        cwd=tmp_path,
    )
    assert found["len"] == 6
    assert found["odd"] == [1, 3]
    assert found["doc"] == [3, 4]
    fresh = Project(tmp_path)
    for each in (project, fresh):
        each.check()
        assert sorted(job.sp.a for job in each.find_jobs({"a": {"$exists": True}})) == [1, 2, 3, 4, 200]
        assert [job.sp() for job in each.find_jobs({"doc.theirs": True})] == [
            {**STATEPOINTS[1], "b": {"c": 0.5, "d": [1, None, {"e": True}]}}
        ]
        (moved,) = each.find_jobs({"a": 200})
        assert moved.doc() == {"n": 0, "deep": {"x": [1, {"y": 2}]}, "seen": {"x": [1, {"y": 2}]}}
        assert each.open_job({"new": 1}) in each
        assert each.doc() == {"kept": {"a": 1}, "back": 1}
        assert str(each.detect_schema()) == found["schema"]


def test_we_open_search_and_edit_what_signac_wrote(tmp_path: Path) -> None:
    signac(
        """
project = signac.init_project(os.getcwd())
for point in given:
    job = project.open_job(point).init()
    job.doc.n = point["a"]
project.doc.theirs = 1
project.update_cache()
""",
        STATEPOINTS,
        tmp_path,
    )
    project = Project(tmp_path)
    project.check()
    assert sorted(job.sp.a for job in project.find_jobs({"k": "even", "doc.n": {"$gt": 0}})) == [2, 4]
    for job in project.find_jobs({"a": {"$lt": 3}}):
        job.sp.b.d.append("ours")
        job.doc.ours = job.sp.a
    project.open_job({"new": 1}).init()
    project.open_job(STATEPOINTS[5]).remove()
    project.doc.ours = 2
    project.update_cache()
    found = signac(
        """
project = signac.get_project()
project.check()
give([len(project), sorted(job.doc.ours for job in project.find_jobs({"doc.ours": {"$exists": True}})),
      [job.sp.b.d() for job in project.find_jobs({"a": 1})], project.doc(),
      project.open_job({"new": 1}) in project])
""",
        cwd=tmp_path,
    )
    assert found == [6, [0, 1, 2], [[1, None, {"e": True}, "ours"]], {"theirs": 1, "ours": 2}, True]


def test_signac_reads_the_cache_that_we_wrote(tmp_path: Path) -> None:
    """It is asked about a job whose state-point file is gone."""
    project = init_project("ours", tmp_path)
    job = project.open_job({"a": 1}).init()
    project.update_cache()
    os.unlink(job.fn(job.FN_STATE_POINT))
    code = "give([dict(job.cached_statepoint) for job in signac.get_project().find_jobs({'a': 1})])"
    assert signac(code, cwd=tmp_path) == [{"a": 1}]


def test_both_change_one_document_in_turn(tmp_path: Path) -> None:
    project = init_project("ours", tmp_path)
    document = project.open_job({"a": 1}).doc
    for n in range(3):
        document[f"ours{n}"] = n
        signac(f"signac.get_project().open_job({{'a': 1}}).doc['theirs{n}'] = {n}", cwd=tmp_path)
    assert set(document) == {f"{who}{n}" for who in ("ours", "theirs") for n in range(3)}


# --- The layout of signac 1 -----------------------------------------------------------------------------


def test_a_project_of_signac_1(tmp_path: Path) -> None:
    """Files as signac 1.7.0 leaves them."""
    point = {"a": 1, "b": {"c": 1.5, "d": [1, 2, None]}, "ü": "é", "t": True}
    folder = tmp_path / "workspace" / "c91cfce90d6468c9d0adc629a8e4bb43"
    folder.mkdir(parents=True)
    (tmp_path / "signac.rc").write_text('project = "my, name"\nschema_version = 1\n[General]\n[hosts]\n')
    (folder / "signac_statepoint.json").write_text(json.dumps(point))
    (folder / "signac_job_document.json").write_text('{"x": 5}')
    (tmp_path / "signac_project_document.json").write_text('{"q": 1}')
    (tmp_path / ".signac_sp_cache.json.gz").write_bytes(
        gzip.compress(json.dumps({folder.name: point}).encode())
    )
    project = Project(tmp_path)
    assert project.id == "my, name"
    assert project.doc() == {"q": 1}
    assert [job.doc.x for job in project.find_jobs({"b.c": 1.5, "doc.x": 5})] == [5]
    project.open_job({"a": 2}).init()
    project.update_cache()
    assert project.FN_CACHE == ".signac_sp_cache.json.gz"
    cache = json.loads(gzip.decompress((tmp_path / ".signac_sp_cache.json.gz").read_bytes()))
    assert cache == {job.id: job.sp() for job in project}
    assert sorted(os.listdir(tmp_path)) == [
        ".signac_sp_cache.json.gz",
        "home",
        "signac.rc",
        "signac_project_document.json",
        "workspace",
    ]
    assert init_project("my, name", tmp_path) == project


def test_a_project_in_the_layout_of_signac_1_is_written_if_asked_for(tmp_path: Path) -> None:
    project = init_project("name", tmp_path, workspace="$HOME/jobs", schema_version=1)
    text = "project = name\nworkspace_dir = $HOME/jobs\nschema_version = 1\n"
    assert (tmp_path / "signac.rc").read_text() == text
    project.open_job({"a": 1}).init()
    assert project.workspace() == os.path.join(os.environ["HOME"], "jobs")
    assert sorted(os.listdir(project.workspace)) == [SCRATCH, "42b7b4f2921788ea14dac5566e6f06d0"]
    assert len(Project(tmp_path)) == 1
