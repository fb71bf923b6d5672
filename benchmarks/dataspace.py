"""Data spaces side by side with signac 2.4.1: the same programs, in fresh processes, on one disk.

    python -m benchmarks.dataspace [--jobs 10000] [--folder /tmp] [--shared] [--only cold]

Each phase prints both times, their ratio, and the peak memory of the processes. "cold" is a new process on
a project whose index (signac's by `update_cache()`, ours by itself) was written; the system's cache is warm
for both. signac syncs nothing, so the fair comparison is `durability="none"`; "init, synced" shows what
durability costs. On a busy disk the times of "init" say little: try `--folder /dev/shm`. With `--shared`
perkey makes one project and both search it, which saves most of the time with very many jobs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PRELUDE = """
import json, resource, sys, time, warnings
warnings.simplefilter("ignore")
library, folder, jobs = sys.argv[1], sys.argv[2], int(sys.argv[3])
begin = time.perf_counter()
if library == "signac":
    import signac
    init, get = signac.init_project, signac.get_project
else:
    import perkey.dataspace as space
    how = library.partition("-")[2] or "none"
    def init(path): return space.init_project(path=path, durability=how)
    def get(path): return space.get_project(path, durability=how)
def point(n):
    return {"a": n, "b": n % 10, "c": {"d": n / 7, "e": "x" * (n % 5)}, "k": "kind", "l": [n % 3, 1]}
def done(**more):
    took = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"time": took, "peak": peak, **more}))
def start():
    global begin
    begin = time.perf_counter()
"""

MAKE = """
project = init(folder)
start()
for n in range(jobs):
    project.open_job(point(n)).init()
done()
"""

DOCUMENTS = """
project = get(folder)
start()
for n in range(jobs):
    project.open_job(point(n)).doc.update({"n": n, "deep": {"x": n % 7}})
done()
"""

UPDATE = """
project = get(folder)
start()
project.update_cache()
done()
"""

QUERY = """
project = get(folder)
start()
def ids(filter=None): return [job.id for job in project.find_jobs(filter)]
found = {found}
if {warm}:
    start()
    found = {found}
done(found=found)
"""

QUERIES = {
    "find one value": 'len(ids({"a": 17}))',
    "find a range, nested": 'len(ids({"b": {"$lt": 5}, "c.d": {"$gt": 100}}))',
    "find all": "len(ids())",
    "find in documents": 'len(ids({"doc.deep.x": 3}))',
    "groupby": 'len([[job.id for job in jobs] for _, jobs in project.groupby("b")])',
    "detect_schema": "len(project.detect_schema())",
    "to_dataframe": "len(project.to_dataframe())",
}


def run(library: str, folder: Path, jobs: int, code: str) -> dict[str, Any]:
    """Run a program with one of the libraries, and return what it says of itself."""
    command = [sys.executable, "-c", PRELUDE + code, library, str(folder), str(jobs)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def report(phase: str, ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    if ours.get("found") != theirs.get("found"):
        raise RuntimeError(f"{phase}: {ours} is not {theirs}")
    print(
        f"{phase:32} {ours['time']:9.3f} s {theirs['time']:9.3f} s {theirs['time'] / ours['time']:7.1f}x"
        f" {ours['peak']:8.0f} MiB {theirs['peak']:7.0f} MiB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--folder", default=None)
    parser.add_argument("--shared", action="store_true")
    parser.add_argument("--only", default="", help="a part of the names of the phases wanted")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as base:
        heading = f"{options.jobs} jobs"
        print(f"{heading:32} {'perkey':>11} {'signac':>11} {'ratio':>8} {'perkey':>12} {'signac':>11}")
        ours, theirs = (make_one if options.shared else make_both)(Path(base), options.jobs)
        for name, found in QUERIES.items():
            for phase, warm in ((f"{name}, cold", False), (f"{name}, warm", True)):
                if options.only in phase:
                    code = QUERY.replace("{found}", found).replace("{warm}", str(warm))
                    answers = (
                        run(*each, options.jobs, code) for each in (("perkey", ours), ("signac", theirs))
                    )
                    report(phase, *answers)


def make_one(base: Path, jobs: int) -> tuple[Path, Path]:
    """Make one project for both."""
    for code in (MAKE, DOCUMENTS, UPDATE):
        run("perkey", base, jobs, code)
    return base, base


def make_both(base: Path, jobs: int) -> tuple[Path, Path]:
    """Make a project with each library, and compare."""
    ours, theirs, synced, unsynced = (base / name for name in ("perkey", "signac", "synced", "unsynced"))
    for folder in (ours, theirs, synced, unsynced):
        folder.mkdir()
    report("init", run("perkey", ours, jobs, MAKE), run("signac", theirs, jobs, MAKE))
    few = min(jobs, 2000)
    durable, other = run("perkey-sync", synced, few, MAKE), run("signac", unsynced, few, MAKE)
    report(f"init, synced, {few} jobs", durable, other)
    for phase, code in (("write documents", DOCUMENTS), ("update_cache, nothing known", UPDATE)):
        report(phase, run("perkey", ours, jobs, code), run("signac", theirs, jobs, code))
    return ours, theirs


if __name__ == "__main__":
    main()
