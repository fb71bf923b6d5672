"""The recipes of the documentation run, on a folder and on S3, and lose nothing if workers are killed."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from s3.places import Place
from s3.servers import Server

from perkey import FileDirDict, PersiDict

DOCS = Path(__file__).parents[2] / "docs"
RECIPE = re.compile(r"<!-- runs: (?P<name>[\w.]+) -->\n```python\n(?P<program>.*?)```", re.DOTALL)
RECIPES = {
    found["name"]: found["program"]
    for page in ("joblib", "dask", "ray")
    for found in RECIPE.finditer((DOCS / f"{page}.md").read_text())
}
TASKS = 40
DEADLY = (7, 23)
"""Tasks whose first worker is killed, by the kernel as it were."""

IN_PLACE = 'results = FileDirDict("results")'
WORK = "value = n * n"
DIES = f"""value = n * n
    import os, signal
    results.transform_item(("computed", str(n)), lambda count: count + 1, default=0)
    if n in {DEADLY} and results.setdefault_if(("killed", str(n)), os.getpid()).condition_was_satisfied:
        os.kill(os.getpid(), signal.SIGKILL)"""


def test_each_engine_has_a_recipe() -> None:
    assert set(RECIPES) == {"joblib", "concurrent.futures", "multiprocessing", "dask", "ray"}


@pytest.mark.parametrize("place", ["folder", "s3"])
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_has_each_result_once_though_two_workers_are_killed(
    name: str, place: str, tmp_path: Path, bucket: str, request: pytest.FixtureRequest
) -> None:
    if importlib.util.find_spec(name.partition(".")[0]) is None:
        pytest.skip(f"THE RECIPE WITH {name.upper()} DOES NOT RUN: {name} is not installed")
    program = RECIPES[name]
    assert program.count(IN_PLACE) == program.count(WORK) == 1
    program = program.replace(WORK, DIES)
    results: PersiDict[Any] = FileDirDict(tmp_path / "results")
    if place == "s3":
        server: Server = request.getfixturevalue("ministack")
        results = Place(server.endpoint, bucket, "obstore").open()
        made = f"""from perkey import BasicS3Dict
results = BasicS3Dict({bucket!r}, region="us-east-1", root_prefix="root/prefix", engine="obstore",
                      endpoint_url={server.endpoint!r})"""
        program = program.replace(IN_PLACE, made)
    (tmp_path / "recipe.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "recipe.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"},
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert f"{TASKS} results" in done.stdout
    squares = {int(key[0]): value for key, value in results.get_subdict("squares").items()}
    assert squares == {n: n * n for n in range(TASKS)}
    killed = {int(key[0]) for key in results.get_subdict("killed")}
    assert killed == set(DEADLY)
    computed = {int(key[0]): count for key, count in results.get_subdict("computed").items()}
    assert set(computed) == set(range(TASKS))
    assert all(computed[n] >= 2 for n in DEADLY)
