"""The scenarios of two clients over a local folder: the control, which shows that the scenarios are right.

tests/network/vm runs them over real clients of a server, see its README.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PROGRAM = HERE / "two_clients.py"
SCENARIOS = ("insert", "count", "pop", "keep", "document", "jobs")


def run(folder: Path, *options: str, locking: str = "auto") -> list[dict[str, object]]:
    """Run the program on a folder, and return what it reports."""
    place = str(folder)
    command = [sys.executable, str(PROGRAM), place, place, place, "--json", *options]
    environment = {**os.environ, "PERKEY_LOCKING": locking}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert [report["faults"] for report in reports if report["faults"]] == []
    assert (done.returncode, done.stderr) == (0, "")
    return reports


def test_all_scenarios_hold_on_one_machine(tmp_path: Path) -> None:
    reports = run(tmp_path, "--keys", "10", "--histories", "2")
    assert [report["name"] for report in reports] == [*SCENARIOS, "histories"]


@pytest.mark.parametrize("scenario", ["count", "jobs"])
def test_they_hold_by_the_lock_of_shared_folders(tmp_path: Path, scenario: str) -> None:
    run(tmp_path, "--keys", "10", "--only", scenario, locking="shared")


def test_a_killed_worker_costs_at_most_its_last_act(tmp_path: Path) -> None:
    run(tmp_path, "--keys", "60", "--only", "count", "--only", "pop", "--kill")


def test_a_stopped_writer_is_named_to_the_others(tmp_path: Path) -> None:
    run(tmp_path, "--only", "stopped", locking="shared")


@pytest.mark.parametrize("may_refuse", [[], ["--may-refuse"]])
def test_what_is_refused_is_reported_as_such(tmp_path: Path, may_refuse: list[str]) -> None:
    """Without locks, conditions are refused; insertions and plain writes are exact all the same."""
    place = str(tmp_path)
    command = [sys.executable, str(PROGRAM), place, place, "--keys", "5", "--json", *may_refuse]
    environment = {**os.environ, "PERKEY_LOCKING": "none"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    reports = {report["name"]: report for report in map(json.loads, done.stdout.splitlines())}
    refused = {name for name, report in reports.items() if 'locking="none" was chosen' in report["refused"]}
    assert {name: report["faults"] for name, report in reports.items() if report["faults"]} == {}
    assert refused == {"count", "pop", "document", "jobs"}
    assert done.returncode == (0 if may_refuse else len(refused))


def test_the_scenarios_see_a_fault(tmp_path: Path) -> None:
    """Where one folder is locked in two ways, they fail: the control of the control."""
    code = (
        "import sys, itertools; sys.path.insert(0, sys.argv.pop(1)); import two_clients as t;"
        "from perkey.files import sharing; sharing._try_lock = lambda fd: True;"
        "sys.exit(t.main(sys.argv[1:]))"
    )
    place = str(tmp_path)
    command = [sys.executable, "-c", code, str(HERE), place, place, "--keys", "200", "--only", "count"]
    environment = {**os.environ, "PERKEY_LOCKING": "shared"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "increments acknowledged" in done.stdout


@pytest.mark.parametrize("wrong", [[], ["sideways"]])
def test_the_command_that_cuts_a_client_off_refuses_wrong_arguments(wrong: list[str]) -> None:
    done = subprocess.run([HERE / "vm" / "cut.sh", *wrong], capture_output=True, text=True, check=False)
    assert (done.returncode, "down|up" in done.stderr) == (2, True)


def test_a_report_is_printed_before_the_next_scenario_begins(tmp_path: Path) -> None:
    """A time limit that ends the program does not hide what had failed before."""
    code = (
        "import sys, os; sys.path.insert(0, sys.argv.pop(1)); import two_clients as t;"
        "t.SCENARIOS = {'insert': t.insert_once, 'count': lambda *_: os._exit(9)};"
        "t.main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", code, str(HERE), str(tmp_path), str(tmp_path), "--keys", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()[:2]) == (9, ["insert", "ok"])
