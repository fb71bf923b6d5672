"""The main job on real input: workers are killed, and nothing is lost or computed twice."""

import re
from pathlib import Path
from typing import Any

import pytest
from example_programs import assert_printed_as_kept, run_example

from parameter_sweep import GRIDS, TASKS, report
from perkey import FileDirDict, key_of


def run_sweep(cwd: Path, *options: str) -> tuple[str, list[int], dict[str, float]]:
    """Run the sweep; return what it printed, the numbers in it, and the best score of each family."""
    printed = run_example("parameter_sweep", "--quick", "--folder", "sweep", *options, cwd=cwd)
    assert "0 results lost, 0 computed twice by living workers" in printed
    numbers = re.search(
        r"(\d+) tasks: (\d+) computed now, (\d+) reused\n(\d+) workers killed, (\d+) attempts cut short",
        printed,
    )
    assert numbers is not None
    best = {
        family: float(score) for family, score in re.findall(r"^(.+?) +(0\.\d{4}) ", printed, re.MULTILINE)
    }
    return printed, [int(number) for number in numbers.groups()], best


def test_workers_are_killed_and_every_task_is_computed_once_and_reused_afterwards(tmp_path: Path) -> None:
    printed, (tasks, computed, reused, killed, cut_short), best = run_sweep(tmp_path, "--kills", "3")
    assert (tasks, computed, reused, killed) == (13, 13, 0, 3)
    assert cut_short <= killed
    assert set(best) == set(GRIDS)
    assert min(best.values()) > 0.9
    assert list(best.values()) == sorted(best.values(), reverse=True)
    assert_printed_as_kept("parameter_sweep", printed)
    assert run_sweep(tmp_path, "--kills", "3")[1:] == ([13, 0, 13, 0, 0], best)
    assert [path.name for path in tmp_path.iterdir()] == ["sweep"]


def test_the_exit_code_is_1_if_a_result_was_lost_or_computed_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = TASKS[0]
    results = FileDirDict[Any](tmp_path, "json")
    first = {"task": task, "worker": 1, "at": 1.0}
    again = {"task": task, "worker": 2, "at": 2.0}
    other = {"task": TASKS[1], "worker": 1, "at": 3.0}
    assert report([task], "now", results, [first], {}) == 1
    assert "1 results lost, 0 computed twice" in capsys.readouterr().out
    results[key_of(task)] = {**task, "score": 0.9, "run": "now"}
    assert report([task], "now", results, [first], {}) == 0
    assert report([task], "now", results, [first, again, other], {}) == 1
    assert "0 results lost, 1 computed twice" in capsys.readouterr().out
    assert report([task], "now", results, [again, first], {1: 2.5}) == 1
    assert report([task], "now", results, [again, first], {1: 1.5}) == 0
    assert report([task], "then", results, [], {}) == 0
    assert "0 computed now, 1 reused" in capsys.readouterr().out


def test_keys_of_tasks_are_different() -> None:
    assert 40 <= len({key_of(task) for task in TASKS}) == len(TASKS)
