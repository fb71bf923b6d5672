"""The main job on real input: workers are killed, and nothing is lost or computed twice."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from example_programs import run_example

import parameter_sweep
from sweep.audit import Summary
from sweep.grid import all_tasks


def run_sweep(cwd: Path, *options: str) -> dict[str, Any]:
    printed = run_example("parameter_sweep", "--quick", "--folder", "sweep", *options, cwd=cwd)
    summary: dict[str, Any] = json.loads((cwd / "sweep" / "summary.json").read_text())
    assert f"{summary['computed']} computed now, {summary['reused']} reused" in printed
    assert "0 results lost, 0 computed twice by living workers" in printed
    return summary


def test_workers_are_killed_and_every_task_is_computed_once_and_reused_afterwards(tmp_path: Path) -> None:
    first = run_sweep(tmp_path, "--kills", "3", "--seed", "1")
    assert (first["tasks"], first["computed"], first["reused"]) == (13, 13, 0)
    assert (first["lost"], first["computed_twice"]) == (0, 0)
    assert first["kills"] > 0
    # A killed worker cuts short one attempt at most, and each attempt is either that or a result.
    assert first["entries"] == first["computed"] + first["interrupted"]
    assert first["interrupted"] <= first["takeovers"] <= first["kills"]
    plot = tmp_path / "sweep" / "scores.png"
    assert plot.read_bytes().startswith(b"\x89PNG\r\n")
    assert {family: best["score"] > 0.9 for family, best in first["best"].items()} == dict.fromkeys(
        {task.family for task in all_tasks()}, True
    )

    second = run_sweep(tmp_path, "--kills", "3")
    assert (second["computed"], second["reused"], second["entries"], second["kills"]) == (0, 13, 0, 0)
    assert (second["lost"], second["computed_twice"]) == (0, 0)
    assert second["best"] == first["best"]


def summary_with(**counts: int) -> Summary:
    zeros = dict.fromkeys(("computed", "reused", "lost", "computed_twice", "entries"), 0)
    others = dict.fromkeys(("tasks", "interrupted", "kills", "takeovers"), 0)
    return Summary(**{**zeros, **others, **counts}, seconds=0.0, best={})


@pytest.mark.parametrize(
    ("summary", "exit_code"),
    [
        (summary_with(), 0),
        (summary_with(lost=1), 1),
        (summary_with(computed_twice=1), 1),
    ],
)
def test_the_exit_code_tells_whether_something_was_lost_or_computed_twice(
    summary: Summary, exit_code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["parameter_sweep.py", "--folder", str(tmp_path)])
    monkeypatch.setattr(parameter_sweep, "sweep", lambda *_, **__: summary)
    assert parameter_sweep.main() == exit_code


@pytest.mark.parametrize("options", [["--workers", "0"], ["--kills", "-1"], ["--seed", "x"]])
def test_options_out_of_bounds_are_refused(
    options: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["parameter_sweep.py", *options])
    with pytest.raises(SystemExit):
        parameter_sweep.parse_options()
    assert options[0] in capsys.readouterr().err


def test_keys_of_tasks_are_different() -> None:
    tasks = all_tasks()
    assert 40 <= len({task.key for task in tasks}) == len(tasks)
    assert {task.key for task in all_tasks(quick=True)} < {task.key for task in tasks}
