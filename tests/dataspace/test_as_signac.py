"""Programs written for signac run with the module that stands in for it: signac-flow and signac-dashboard."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from perkey.dataspace import Project, init_project

needs_flow = pytest.mark.skipif(find_spec("flow") is None, reason="signac-flow is not installed")
needs_dashboard = pytest.mark.skipif(
    find_spec("signac_dashboard") is None, reason="signac-dashboard is not installed"
)

FLOW = """
from perkey.dataspace import as_signac
as_signac()
from flow import FlowProject, aggregator

class Study(FlowProject):
    pass

@Study.label
def computed(job):
    return job.isfile("result.txt")

@Study.post.isfile("result.txt")
@Study.operation
def compute(job):
    with job, open("result.txt", "w") as file:
        file.write(str(job.sp.a * 2))

@Study.pre.after(compute)
@Study.post(lambda job: "result" in job.doc)
@Study.operation
def collect(job):
    with open(job.fn("result.txt")) as file:
        job.doc.result = int(file.read())

@Study.pre(lambda *jobs: all("result" in job.doc for job in jobs))
@Study.post(lambda *jobs: "sum" in Study.get_project().doc)
@Study.operation(aggregator=aggregator())
def add(*jobs):
    Study.get_project().doc.sum = sum(job.doc.result for job in jobs)

if __name__ == "__main__":
    Study().main()
"""

DASHBOARD = """
import json, sys
from perkey.dataspace import as_signac
signac = as_signac()
from signac_dashboard import Dashboard, modules

dashboard = Dashboard(
    config={"SECRET_KEY": "key", "ACCESS_TOKEN": None, "PER_PAGE": 2},
    project=signac.get_project(),
    modules=[
        modules.StatepointList(),
        modules.DocumentList(),
        modules.DocumentEditor(),
        modules.FileList(),
        modules.Navigator(),
        modules.Notes(),
        modules.Schema(context="ProjectContext"),
    ],
)
client = dashboard.app.test_client()
pages = {}
for url in json.loads(sys.argv[1]):
    answer = client.get(url, follow_redirects=True)
    pages[url] = [answer.status_code, answer.text]
print("PAGES" + json.dumps(pages))
"""


def run(code: str, folder: Path, *words: str) -> str:
    (folder / "program.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "program.py", *words], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = init_project(path=tmp_path)
    for a in range(3):
        project.open_job({"a": a, "nested": {"b": 1}}).init()
    return project


@needs_flow
@pytest.mark.parametrize("parallel", [[], ["--parallel", "2"]])
def test_flow_runs_operations(project: Project, tmp_path: Path, parallel: list[str]) -> None:
    run(FLOW, tmp_path, "run", *parallel)
    assert sorted(job.doc.result for job in project) == [0, 2, 4]
    assert project.doc.sum == 6


@needs_flow
def test_flow_shows_the_status(project: Project, tmp_path: Path) -> None:
    before = run(FLOW, tmp_path, "status", "--detailed")
    assert "compute" in before
    assert all(job.id in before for job in project)
    run(FLOW, tmp_path, "run", "-o", "compute", "-f", "a.$gt", "0")
    after = run(FLOW, tmp_path, "status")
    assert "2/3" in after
    assert not project.open_job({"a": 0, "nested": {"b": 1}}).isfile("result.txt")


@needs_flow
def test_flow_executes_one_operation_and_prints_what_is_next(project: Project, tmp_path: Path) -> None:
    first = next(iter(project))
    run(FLOW, tmp_path, "exec", "compute", first.id)
    assert [job.id for job in project if job.isfile("result.txt")] == [first.id]
    assert first.id in run(FLOW, tmp_path, "next", "collect")


@needs_dashboard
def test_the_dashboard_serves_pages(project: Project, tmp_path: Path) -> None:
    for job in project:
        job.doc.result = job.sp.a + 100
        Path(job.fn("text.txt")).write_text(f"file of {job.sp.a}")
    one = project.open_job({"a": 1, "nested": {"b": 1}})
    two = project.open_job({"a": 2, "nested": {"b": 1}})
    urls = {
        "/": [],
        "/project/": [],
        "/jobs/": ["3"],
        "/jobs/?page=2": [],
        f"/jobs/{one.id}": ["101", "text.txt", two.id],
        "/search?q=a 1": [one.id],
        '/search?q={"a": {"$gt": 1}}': [two.id],
        "/search?q=doc.result 102": [two.id],
        f"/jobs/{one.id}/file/text.txt": ["file of 1"],
    }
    output = run(DASHBOARD, tmp_path, json.dumps(list(urls)))
    pages: dict[str, Any] = json.loads(output.rpartition("PAGES")[2])
    for url, wanted in urls.items():
        status, text = pages[url]
        assert status == 200, url
        assert [each for each in wanted if each not in text] == [], url


def test_subclasses_of_projects_are_pickled_with_what_they_added(project: Project, tmp_path: Path) -> None:
    """Their constructors may take anything, and are not called."""
    code = """
import pickle
from perkey.dataspace import as_signac
signac = as_signac()

class Own(signac.Project):
    def __init__(self, path=None):
        super().__init__(path)
        self.extra = [1]

own = Own()
same = pickle.loads(pickle.dumps(own))
assert same == own and same.extra == [1] and len(same) == 3
job = pickle.loads(pickle.dumps(next(iter(own))))
assert type(job.project) is Own and isinstance(job, signac.job.Job)
"""
    run(code, tmp_path)


def test_functions_take_what_those_of_signac_2_take(tmp_path: Path) -> None:
    code = """
from perkey.dataspace import as_signac
as_signac()
import signac
from signac.contrib.project import Project as Same
from signac.synced_collections.backends.collection_json import JSONDict

project = signac.init_project("below")
assert project.path.endswith("below") and signac.get_project("below", False) == project
assert type(project) is signac.Project is Same
job = project.open_job({"a": 1}).init()
assert signac.get_job(job.path) == job and type(job.project) is signac.Project
with project.temporary_project() as other:
    assert type(other) is signac.Project
with signac.TemporaryProject() as other:
    assert len(other) == 0
with signac.buffered():
    assert signac.is_buffered()
    job.doc.a = 1
project.create_linked_view("view", [job.id], "{a}")
project.repair([job.id])
assert signac.filterparse.parse_filter_arg(["a", "1"]) == {"a": 1}
assert list(project.find_jobs({"a": 1})) == [job] and signac.Project(project.path) == project
"""
    run(code, tmp_path)
