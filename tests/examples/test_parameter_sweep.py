"""The main job on real input: workers are killed, and nothing is lost or computed twice."""

import multiprocessing
import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from example_programs import FOLDER, assert_printed_as_kept, run_example

from perkey import FileDirDict, run_all

SUMMARY = re.compile(
    r"(\d+) tasks: (\d+) computed now, (\d+) reused\n"
    r"(\d+) workers killed, (\d+) attempts cut short and taken over\n"
    r"0 results lost, 0 computed twice by living workers\n"
)


def run_sweep(cwd: Path, *options: str) -> tuple[str, list[int], list[str]]:
    """Run the sweep; return what it printed, the numbers in it, and the lines of the best models."""
    printed = run_example("parameter_sweep", "--quick", "--folder", "sweep", *options, cwd=cwd)
    best, summary = printed.split("\n\n")
    numbers = SUMMARY.fullmatch(summary)
    assert numbers is not None, printed
    return printed, [int(number) for number in numbers.groups()], best.splitlines()


@pytest.mark.slow
def test_workers_are_killed_and_every_task_is_computed_once_and_reused_afterwards(tmp_path: Path) -> None:
    printed, (tasks, computed, reused, killed, cut_short), best = run_sweep(tmp_path, "--kills", "3")
    assert (tasks, computed, reused, killed) == (12, 12, 0, 3)
    assert cut_short <= killed
    results = FileDirDict[Any](tmp_path / "sweep" / "results", "json")
    (run,) = (tmp_path / "sweep" / "attempts").iterdir()
    attempts = FileDirDict[Any](run, "json")
    assert {key[0] for key in attempts} == {key[0] for key in results}
    assert len(attempts) == computed + cut_short
    scores = sorted((result["score"] for result in results.values()), reverse=True)
    assert [float(line.split()[0]) for line in best] == [round(score, 4) for score in scores[:3]]
    assert scores[0] > 0.95
    assert_printed_as_kept("parameter_sweep", printed)
    assert run_sweep(tmp_path, "--kills", "3")[1:] == ([12, 0, 12, 0, 0], best)


class Worker:
    """Stands for a process: does its work when it is started, and has ended then."""

    made = 0

    def __init__(self, target: Callable[..., Any], args: tuple[Any, ...]) -> None:
        Worker.made += 1
        self.name, self.work, self.args = f"Worker-{Worker.made}", target, args

    def start(self) -> None:
        multiprocessing.current_process().name = self.name
        self.work(*self.args)

    def is_alive(self) -> bool:
        return False


def twice(results: Any, function: Callable[[Any], Any], tasks: Any) -> None:
    """Do as `run_all`, and compute one of the tasks again."""
    run_all(results, function, tasks)
    multiprocessing.current_process().name += "-needless"
    function(next(iter(tasks.values())))


@pytest.mark.parametrize(
    ("work", "summary", "status"),
    [
        (run_all, "48 tasks: 48 computed now, 0 reused\n0 workers killed, 0 attempts cut short", 0),
        (twice, "0 results lost, 1 computed twice", 1),
        (lambda *_: None, "48 results lost, 0 computed twice", 1),
    ],
)
def test_the_exit_code_is_1_if_a_result_was_lost_or_computed_twice(
    work: Any,
    summary: str,
    status: int,
    *,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["parameter_sweep.py", "--folder", str(tmp_path), "--workers", "1"])
    monkeypatch.setattr("multiprocessing.get_context", lambda _: type("", (), {"Process": Worker}))
    monkeypatch.setattr(multiprocessing.current_process(), "name", "main")
    monkeypatch.setattr("perkey.run_all", work)
    monkeypatch.setattr("sklearn.model_selection.cross_val_score", lambda *_, **__: np.array([0.5]))
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(FOLDER / "parameter_sweep.py"), run_name="__main__")
    assert ended.value.code == status
    assert summary in capsys.readouterr().out
