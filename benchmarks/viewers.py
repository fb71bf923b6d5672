"""perkey's viewer and its peers before the same study: ``python -m benchmarks.viewers FOLDER [--jobs N]``.

The folder has an environment for each program, made by ``python -m venv FOLDER/NAME`` and pip: perkey,
signac-dashboard, mlflow, datasette, sqlite-web. Those that are missing are left out. The rows of
docs/explanation/viewers.md that need no browser are tried by requests, and printed.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import HTTPCookieProcessor, OpenerDirector, Request, build_opener

from perkey.dataspace import init_project

HOSTILE = '<script>window.hacked = 1</script><img src=x onerror="window.hacked = 1">'
FOREIGN = {"Host": "elsewhere.example"}
CROSS_SITE = {"Origin": "http://elsewhere.example", "Sec-Fetch-Site": "cross-site"}
LONGEST = 180.0

DASHBOARD = """
from signac_dashboard import Dashboard, modules as m
Dashboard(config={"PORT": %d}, modules=[m.StatepointList(), m.DocumentList(), m.FileList(), m.ImageViewer(),
    m.Schema(), m.Navigator(), m.Notes(), m.DocumentEditor()]).main()
"""
RUN = """
artifact_uri: {folder}/artifacts
end_time: 1700000001000
entry_point_name: ''
experiment_id: '1'
lifecycle_stage: active
run_id: '{run}'
run_name: run
source_name: ''
source_type: 4
source_version: ''
start_time: 1700000000000
status: 3
tags: []
user_id: user
"""


@dataclass(frozen=True)
class Peer:
    """A viewer, and how it is started and asked.

    Attributes:
        command: Its program and arguments; ``{bin}`` is the folder of the environment's programs.
        page: The page of the jobs.
        folder: Where it is started.
        body: What is posted for the page, if it is not a GET.
        write: The address of a change and what is posted for it, if there is one.
        export: The address of the table of all jobs as CSV, if there is one.
        environment: Variables that it needs.
    """

    command: list[str]
    page: str
    folder: str = "."
    body: bytes | None = None
    write: tuple[str, bytes] | None = None
    export: str = ""
    environment: dict[str, str] = field(default_factory=dict)


def peers(port: int) -> dict[str, Peer]:
    """Return the programs by the names of their packages."""
    number = str(port)
    search = b'{"experiment_ids": ["1"], "max_results": 100}'
    tag = b'{"run_id": "%032x", "key": "a", "value": "b"}' % 1
    allowed = {"MLFLOW_ALLOW_FILE_STORE": "true"}
    api = "/api/2.0/mlflow/runs/"
    return {
        "perkey": Peer(
            ["{bin}/perkey", "view", "--no-browser", "--port", number, "study"],
            "/s/0/",
            write=("/s/0/", b"a=b"),
            export="/s/0/jobs.csv",
        ),
        "signac-dashboard": Peer(
            ["{bin}/python", "-c", DASHBOARD % port, "run"],
            "/jobs/",
            folder="study",
            write=("/module/notes/update", b"jobid={job}&note_text=a&redirect=/"),
        ),
        "mlflow": Peer(
            ["{bin}/mlflow", "ui", "--backend-store-uri", "file:mlruns", "--port", number],
            f"{api}search",
            body=search,
            write=(f"{api}set-tag", tag),
            environment=allowed,
        ),
        "datasette": Peer(
            ["{bin}/datasette", "study.db", "-p", number], "/study/jobs", export="/study/jobs.csv?_stream=1"
        ),
        "sqlite-web": Peer(
            ["{bin}/sqlite_web", "-p", number, "-x", "study.db"],
            "/jobs/content/",
            write=("/jobs/query/", b"sql=delete from jobs where id = '0'"),
        ),
    }


def make_study(folder: Path, jobs: int) -> str:
    """Make the same study for all programs; return the id of a job."""
    project = init_project("study", folder / "study")
    store = folder / "mlruns" / "1"
    store.mkdir(parents=True)
    about = f"artifact_location: file://{store}\nexperiment_id: '1'\nlifecycle_stage: active\nname: study\n"
    (store / "meta.yaml").write_text(about)
    database = sqlite3.connect(folder / "study.db")
    database.execute("CREATE TABLE jobs (id TEXT PRIMARY KEY, temperature, pressure, kind, score, note)")
    for number in range(jobs):
        parameters = {"temperature": 280 + number % 20, "pressure": number // 20, "kind": "ab"[number % 2]}
        score, note = round(math.sin(number / 9), 4), HOSTILE if number == 3 else f"note {number}"
        job = project.open_job(parameters).init()
        job.doc.update(score=score, note=note)
        database.execute(
            "INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?)", (number, *parameters.values(), score, note)
        )
        run = store / f"{number:032x}"
        for part in ("params", "metrics", "tags", "artifacts"):
            (run / part).mkdir(parents=True)
        (run / "meta.yaml").write_text(RUN.format(folder=run, run=run.name))
        (run / "metrics" / "score").write_text(f"1700000000000 {score} 0\n")
        for name, value in {**parameters, "note": note}.items():
            (run / "params" / name).write_text(str(value))
    database.commit()
    database.close()
    return next(iter(project.find_jobs({"temperature": 280}))).id


def family(process: int) -> Iterator[int]:
    """Yield a process and what it started."""
    yield process
    for child in Path(f"/proc/{process}/task/{process}/children").read_text().split():
        yield from family(int(child))


def memory(process: int) -> float:
    """Return the memory of a process and what it started, in MB; shared pages count in parts."""
    texts = (Path(f"/proc/{each}/smaps_rollup").read_text() for each in family(process))
    return sum(int(re.findall(r"^Pss: +(\d+)", text, re.MULTILINE)[0]) for text in texts) / 1024


def status(opener: OpenerDirector, url: str, body: bytes | None, headers: dict[str, str]) -> int:
    """Return the status of a request."""
    kind = "application/json" if body and body.startswith(b"{") else "application/x-www-form-urlencoded"
    try:
        with opener.open(Request(url, body, {"Content-Type": kind, **headers}), timeout=LONGEST) as answer:
            answer.read()
            return int(answer.status)
    except HTTPError as error:
        return error.code


def answering(opener: OpenerDirector, base: str, log: Path) -> str:
    """Wait until the program answers; return the base of its address, and log in if it printed a token."""
    began = time.monotonic()
    while time.monotonic() - began < LONGEST:
        found = re.search(r"(http://[^/\s]+)\S*\?token=\S+", log.read_text())
        try:
            if status(opener, found[0] if found else base, None, {}) < 400:
                return found[1] if found else base
        except OSError:
            pass
        time.sleep(0.05)
    raise TimeoutError(log.read_text())


def measure(peer: Peer, binaries: Path, folder: Path, job: str, port: int) -> dict[str, str]:
    """Start a program, try the rows, and end it."""
    log = folder / "log.txt"
    command = [each.replace("{bin}", str(binaries)) for each in peer.command]
    began = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder / peer.folder,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **peer.environment},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        opener = build_opener(HTTPCookieProcessor(CookieJar()))
        base = answering(opener, f"http://127.0.0.1:{port}", log)
        rows = {"start": f"{time.monotonic() - began:.1f} s"}
        for name in ("first page", "again"):
            began = time.monotonic()
            code = status(opener, base + peer.page, peer.body, {})
            rows[name] = f"{code} in {time.monotonic() - began:.2f} s"
        if peer.export:
            began = time.monotonic()
            with opener.open(base + peer.export, timeout=LONGEST) as answer:
                lines = answer.read().count(b"\n")
            rows["export"] = f"{lines} lines in {time.monotonic() - began:.2f} s"
        rows["memory"] = f"{memory(process.pid):.0f} MB"
        rows["no token"] = str(status(build_opener(), base + peer.page, peer.body, {}))
        rows["other Host"] = str(status(opener, base + peer.page, peer.body, FOREIGN))
        if peer.write:
            address, body = peer.write[0], peer.write[1].replace(b"{job}", job.encode())
            rows["write of another site"] = str(status(opener, base + address, body, CROSS_SITE))
        return rows
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(10)


def packages(binaries: Path) -> int:
    """Return how many packages an environment has, without pip and setuptools."""
    listed = subprocess.run(
        [binaries / "pip", "list", "--format=freeze"], capture_output=True, text=True, check=True
    )
    return sum(not line.startswith(("pip=", "setuptools=")) for line in listed.stdout.splitlines())


def main() -> int:
    """Try each program that there is."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.viewers", description=__doc__)
    parser.add_argument("environments", type=Path, help="the folder of the environments")
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--port", type=int, default=8860)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        job = make_study(Path(folder), options.jobs)
        for name, peer in peers(options.port).items():
            binaries = options.environments.absolute() / name / "bin"
            if not binaries.exists():
                print(f"{name}: no environment")
                continue
            rows = measure(peer, binaries, Path(folder), job, options.port)
            print(f"{name}:", {"packages": packages(binaries), **rows}, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
