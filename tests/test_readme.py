"""The first pages that people read: each program in them works, and survives what the page says."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import perkey
from perkey import FileDirDict, key_of

ROOT = Path(perkey.__file__).parents[2]
README = (ROOT / "README.md").read_text()
GUIDE = (ROOT / "docs" / "compute_once.md").read_text()


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}(?: [^\n]*)?\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def program_of_the_readme() -> str:
    return next(block for block in blocks(README, "python") if "run_all" in block)


def test_the_readme_begins_with_what_a_newcomer_looks_for() -> None:
    """One sentence, one picture, how to install it, a shared dictionary in ten lines, computing once, S3."""
    order = [
        "**A Python dictionary", "![", "pip install .", "FileDirDict(", "run_all(", "S3Dict(",
        "## Why perkey", "## Which platforms work", "## Compared with others", "## More",
    ]  # fmt: skip
    places = [README.index(each) for each in order]
    assert places == sorted(places)
    text = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    titles = re.findall(r"^##? (.*)$", text, re.MULTILINE)
    assert titles[:4] == ["perkey", "Compute each result once", "The same in S3", "See it"]
    first = [line for line in blocks(README, "python")[0].splitlines() if line and not line.startswith("#")]
    assert len(first) <= 10
    assert README.count("](docs/images/") == 3


@contextlib.contextmanager
def started(command: list[str], cwd: Path, count: int) -> Iterator[list[subprocess.Popen[str]]]:
    """Start a program several times; kill what is left at the end."""
    running = [subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    try:
        yield running
    finally:
        for process in running:
            process.kill()
            process.communicate()


def test_the_program_of_the_readme_survives_a_kill(tmp_path: Path) -> None:
    (tmp_path / "sweep.py").write_text(program_of_the_readme())
    results = FileDirDict[Any](tmp_path / "results")
    with started([sys.executable, "sweep.py"], tmp_path, 3) as running:
        victim = None
        while victim is None or not len(results):
            time.sleep(0.02)
            at_work = {info.process for info in perkey.claims(results)}
            victim = next((each for each in running if each.pid in at_work), None)
        victim.send_signal(signal.SIGKILL)
        survivors = [each for each in running if each is not victim]
        reports = [each.communicate(timeout=100)[0] for each in survivors]
    assert all("0 failed, 0 held" in report for report in reports)
    assert dict(results) == {(f"at-{t}",): t**2 for t in range(250, 350, 10)}
    again = subprocess.run(
        [sys.executable, "sweep.py"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=100
    )
    assert again.stdout == "10 tasks: 0 computed, 10 reused, 0 failed, 0 held\n"


def test_the_batch_systems_of_the_guide_compute_each_task_once(tmp_path: Path) -> None:
    """xargs is run as it is; SLURM runs its script once for each element of the array."""
    program = next(block for block in blocks(GUIDE, "python") if "run_all" in block)
    traced = program.replace("    time.sleep(0.2)", "    print('computing', flush=True)\n    time.sleep(0.2)")
    assert traced != program
    (tmp_path / "sweep.py").write_text(traced)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    xargs, slurm = blocks(GUIDE, "bash")
    assert xargs.startswith("seq 8 | xargs -P 8")
    assert "#SBATCH --array=1-8" in slurm
    for script in (xargs.replace("8", "3"), f"for element in 1 2 3; do ({slurm}) & done; wait"):
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=True,
        )
        assert done.stderr == ""
        assert done.stdout.count("computing") == 9
        assert done.stdout.count("0 failed, 0 held") == 3
        results = FileDirDict[Any](tmp_path / "results", "json")
        assert len(results) == 9
        assert results[key_of({"temperature": 300, "pressure": 1})] == 300
        results.clear()
