"""The recipes of the documentation run, on a folder and on S3, and lose nothing if workers are killed."""

import importlib.util
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from combinations import combinations, mostly_slow
from s3.places import Place
from s3.servers import Server

from perkey import FileDirDict, PersiDict, claims

DOCS = Path(__file__).parents[2] / "docs"
RECIPE = re.compile(r"<!-- runs: (?P<name>[\w.]+) -->\n```python\n(?P<program>.*?)```", re.DOTALL)
RECIPES = {
    found["name"]: found["program"]
    for page in ("joblib", "dask", "ray")
    for found in RECIPE.finditer((DOCS / f"{page}.md").read_text())
}
PLACES = ["folder", "s3"]
TASKS = 1000
WORKERS = 4
ENDS_ALL_WORKERS = {"joblib", "concurrent.futures"}
"""Engines that kill all workers when one of them was killed."""
DEADLY = (7, 423)
"""Tasks whose first worker is killed, by the kernel as it were."""

ONE_WAS_KILLED = 125
"""How xargs ends if a program was killed; it then starts no other ones."""

IN_PLACE = 'results = FileDirDict("results")'
WORK = "    return n * n\n"
DIES = f"""
    import os, signal, time
    folder = os.open({{folder!r}}, os.O_RDONLY)
    log = os.open("computed", os.O_WRONLY | os.O_CREAT | os.O_APPEND, dir_fd=folder)
    os.write(log, b"%d %d\\n" % (n, os.getpid()))
    os.close(log)
    if n in {DEADLY} and not os.access(f"killed-{{{{n}}}}", os.F_OK, dir_fd=folder):
        os.close(os.open(f"killed-{{{{n}}}}", os.O_CREAT, dir_fd=folder))
        os.kill(os.getpid(), signal.SIGKILL)
    os.close(folder)
    time.sleep(0.001)
    return n * n
"""
"""Notes each computation in a folder, which costs no request."""


def test_each_engine_has_a_recipe() -> None:
    assert set(RECIPES) == {"joblib", "concurrent.futures", "multiprocessing", "dask", "ray"}


@pytest.fixture
def results(request: pytest.FixtureRequest, tmp_path: Path, bucket: str) -> tuple[str, PersiDict[Any]]:
    """The line that opens the results in a recipe, and the results."""
    if request.param == "folder":
        return IN_PLACE, FileDirDict(tmp_path / "results")
    server: Server = request.getfixturevalue("ministack")
    line = f"""from perkey import BasicS3Dict
results = BasicS3Dict({bucket!r}, region="us-east-1", root_prefix="root/prefix", engine="obstore",
                      endpoint_url={server.endpoint!r})"""
    return line, Place(server.endpoint, bucket, "obstore").open()


def run(command: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a program in a folder."""
    return subprocess.run(
        command,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"},
    )


@pytest.mark.parametrize(
    ("results", "name"),
    combinations(PLACES, RECIPES, always=[("s3", "multiprocessing")]),
    indirect=["results"],
)
def test_a_recipe_has_each_result_once_though_two_workers_are_killed(
    name: str, results: tuple[str, PersiDict[Any]], tmp_path: Path
) -> None:
    if importlib.util.find_spec(name.partition(".")[0]) is None:
        pytest.skip(f"THE RECIPE WITH {name.upper()} DOES NOT RUN: {name} is not installed")
    line, d = results
    program = RECIPES[name]
    assert program.count(IN_PLACE) == program.count(WORK) == 1
    assert program.count(f"range({TASKS})") >= 1
    program = program.replace(WORK, DIES.format(folder=str(tmp_path))).replace(IN_PLACE, line)
    (tmp_path / "recipe.py").write_text(program)
    done = run([sys.executable, "recipe.py"], tmp_path)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert f"{TASKS} results" in done.stdout
    check(d, tmp_path, name)


SWEEP = """
from perkey import FileDirDict, run_all

{line}

def simulate(n):
{work}

if __name__ == "__main__":
    report = run_all(results, simulate, {{("squares", str(n)): n for n in range({tasks})}})
    print(report)
    report.check()
"""


@pytest.mark.parametrize("results", mostly_slow(PLACES, "folder"), indirect=True)
def test_programs_of_a_batch_system_have_each_result_once_though_two_are_killed(
    results: tuple[str, PersiDict[Any]], tmp_path: Path
) -> None:
    """They are started independently of each other; those that live do what the dead left."""
    line, d = results
    work = DIES.format(folder=str(tmp_path))
    (tmp_path / "sweep.py").write_text(SWEEP.format(line=line, work=work, tasks=TASKS))
    start = f"seq {WORKERS} | xargs -P {WORKERS} -I{{}} {sys.executable} sweep.py"
    done = run(["bash", "-c", start], tmp_path)
    assert done.returncode == ONE_WAS_KILLED, done.stdout[-3000:] + done.stderr[-3000:]
    assert done.stdout.count(", 0 failed, 0 held") == WORKERS - len(DEADLY)
    check(d, tmp_path, "xargs")
    again = run(["bash", "-c", start], tmp_path)
    assert again.returncode == 0, again.stderr
    nothing = f"{TASKS:,} tasks: 0 computed, {TASKS:,} reused, 0 failed, 0 held"
    assert again.stdout.replace("\n", "") == WORKERS * nothing  # their lines may mix


def check(d: PersiDict[Any], folder: Path, name: str) -> None:
    """Each result is there, two workers were killed, and each task was computed once."""
    squares = {int(key[0]): value for key, value in d.get_subdict("squares").items()}
    assert squares == {n: n * n for n in range(TASKS)}
    assert {path.name for path in folder.glob("killed-*")} == {f"killed-{n}" for n in DEADLY}
    lines = (folder / "computed").read_text().splitlines()
    check_computed([(int(n), int(pid)) for n, pid in map(str.split, lines)], name)
    assert all(info.gone for info in claims(d))  # of a worker that was killed after it had stored


def check_computed(computed: list[tuple[int, int]], name: str) -> None:
    """Each task was computed once; those cut off with their process, whose last task it was, once more."""
    times = Counter(n for n, _ in computed)
    assert set(times) == set(range(TASKS))
    again = {n for n, count in times.items() if count > 1}
    assert set(DEADLY) <= again
    assert times.total() - TASKS <= len(DEADLY) * (WORKERS if name in ENDS_ALL_WORKERS else 1)
    last = {pid: n for n, pid in computed}
    for n in again:
        *before, _ = [pid for each, pid in computed if each == n]
        assert all(last[pid] == n for pid in before), f"task {n} was computed twice by {before}"
