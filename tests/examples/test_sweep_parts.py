"""The parts of the sweep: identities of processes, claims, and an audit that finds what went wrong."""

import operator
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import example_programs  # noqa: F401 - makes the parts importable
import pytest

from perkey import FileDirDict, LocalDict
from sweep.audit import Summary, audit
from sweep.claims import Claims
from sweep.crew import Crew, run_crew, spawner
from sweep.grid import Task
from sweep.owners import Heartbeat, Liveness, Owner, note_alive, start_by_ps, start_of, this_place
from sweep.study import Record, Study

TASK = Task("svc", {"C": 1.0})
ME = Owner.of(os.getpid())
HERE = this_place()


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


@pytest.fixture
def liveness() -> Liveness:
    return Liveness(LocalDict(), silent_after=0)


def test_a_process_lives_until_it_is_killed_even_if_nobody_waits_for_it(
    child: subprocess.Popen[bytes], liveness: Liveness
) -> None:
    owner = Owner.of(child.pid)
    assert owner.started
    assert owner.started != ME.started, "both started at the same time?"
    assert not liveness.is_dead(owner)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie now
    assert start_of(child.pid) is None
    assert liveness.is_dead(owner)
    child.wait()
    assert liveness.is_dead(owner)


def test_a_process_with_the_id_of_a_dead_one_is_not_mistaken_for_it(liveness: Liveness) -> None:
    assert not liveness.is_dead(ME)
    assert liveness.is_dead(Owner(HERE, ME.pid, ME.started + "1"))


def test_an_owner_elsewhere_is_dead_when_its_heartbeat_stops_to_change() -> None:
    workers = LocalDict[Record](file_type="json")
    liveness = Liveness(workers, silent_after=0)
    elsewhere = Owner("another host", ME.pid, ME.started)
    for _ in range(3):
        note_alive(workers, elsewhere, "heartbeat")
        assert not liveness.is_dead(elsewhere)
    time.sleep(0.001)
    assert liveness.is_dead(elsewhere)
    note_alive(workers, elsewhere, "heartbeat")
    assert not liveness.is_dead(elsewhere)


def test_a_heartbeat_changes_as_long_as_its_block_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweep.owners.BEAT_EVERY", 0.001)
    workers = LocalDict[Record](file_type="json")
    key = (ME.key, "heartbeat")
    with Heartbeat(workers, ME):
        first = workers[key]["alive_at"]
        deadline = time.monotonic() + 60
        while workers[key]["alive_at"] == first:
            assert time.monotonic() < deadline
    assert Owner(**workers[key]["owner"]) == ME


@pytest.mark.skipif(shutil.which("ps") is None, reason="capability missing: the program ps")
def test_without_proc_the_program_ps_tells_when_a_process_started(child: subprocess.Popen[bytes]) -> None:
    started = start_by_ps(child.pid)
    assert started
    assert started.endswith(str(datetime.now().astimezone().year))
    assert started == start_by_ps(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert start_by_ps(child.pid) is None


def test_of_several_who_claim_or_take_over_a_task_exactly_one_gets_it() -> None:
    for round_ in range(30):
        claims = LocalDict[Record](file_type="json")
        if round_ % 2:
            claims[TASK.key] = {"owner": Owner(HERE, ME.pid, "0").record(), "takeovers": ["before"]}
        barrier = threading.Barrier(8)
        got: list[bool] = []

        def compete(claims: LocalDict[Record] = claims, barrier: threading.Barrier = barrier) -> None:
            mine = Claims(claims, Liveness(LocalDict()), ME, "now")
            barrier.wait(30)
            got.append(mine.take(TASK.key))  # noqa: B023 - the threads end with the round

        threads = [threading.Thread(target=compete) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(got) == [False] * 7 + [True]
        assert claims[TASK.key]["takeovers"] == (["before", "now"] if round_ % 2 else [])


# --- The audit, on planted traces -------------------------------------------------------------------

A, B = Owner(HERE, 1, "a"), Owner(HERE, 2, "b")


def attempt(owner: Owner, entered: float, run: str = "now", **more: float) -> Record:
    return {"owner": owner.record(), "run": run, "entered": entered, **more}


def audited(
    folder: Path, attempts: list[Record], alive: dict[Owner, float], results: list[Record]
) -> tuple[Summary, Study]:
    study = Study.of(FileDirDict[Record](folder, file_type="json", durability="none"))
    for number, record in enumerate(attempts):
        study.attempts[TASK.key, str(number)] = record
    for owner, alive_at in alive.items():
        study.workers[owner.key, "heartbeat"] = {"owner": owner.record(), "alive_at": alive_at}
    for result in results:
        study.results[TASK.key] = result
    return audit(study, [TASK], run="now", kills=0, seconds=0), study


RESULT = {"score": 0.5, "run": "now"}


@pytest.mark.parametrize(
    ("attempts", "alive", "computed_twice"),
    [
        ([attempt(A, 1, finished=2)], {A: 2}, 0),
        # The first owner died, the second one took over.
        ([attempt(A, 1), attempt(B, 3, finished=4)], {A: 2, B: 4}, 0),
        # The first owner was still alive, whether it finished or not.
        ([attempt(A, 1), attempt(B, 3, finished=4)], {A: 3.5, B: 4}, 1),
        ([attempt(A, 1, finished=5), attempt(B, 3, finished=4)], {A: 5, B: 4}, 1),
        # It was alive, and entered a second time.
        ([attempt(A, 1), attempt(A, 3, finished=4)], {A: 4}, 1),
        # It had finished and died, so there was no need for a second entry.
        ([attempt(A, 1, finished=2), attempt(B, 3, finished=4)], {A: 2, B: 4}, 1),
        # It had finished in a former run, and somebody deleted the result: no mistake of this run.
        ([attempt(A, 1, "before", finished=2), attempt(B, 3, finished=4)], {A: 2, B: 4}, 0),
    ],
)
def test_the_audit_finds_what_was_computed_twice(
    tmp_path: Path, attempts: list[Record], alive: dict[Owner, float], computed_twice: int
) -> None:
    summary, _ = audited(tmp_path, attempts, alive, [RESULT])
    assert summary.computed_twice == computed_twice
    assert (summary.computed, summary.lost) == (1, 0)


def test_the_audit_finds_results_that_are_missing_or_damaged(tmp_path: Path) -> None:
    summary, _ = audited(tmp_path / "missing", [attempt(A, 1, finished=2)], {A: 2}, [])
    assert (summary.lost, summary.computed, summary.interrupted) == (1, 0, 1)

    summary, study = audited(tmp_path / "damaged", [attempt(A, 1, finished=2)], {A: 2}, [RESULT])
    assert summary.lost == 0
    (path,) = (tmp_path / "damaged").glob("results*/**/*.json")
    path.write_bytes(path.read_bytes()[:-5])
    assert audit(study, [TASK], run="now", kills=0, seconds=0).lost == 1


def test_results_of_others_count_as_reused(tmp_path: Path) -> None:
    summary, _ = audited(tmp_path, [attempt(A, 1, "before")], {A: 2}, [{"score": 0.5, "run": "before"}])
    assert (summary.computed, summary.reused, summary.entries) == (0, 1, 0)


# --- The crew ---------------------------------------------------------------------------------------


def run_one(work: Any, *args: object) -> Crew:
    crew = Crew(1, spawner(work, *args), LocalDict[Record]())
    run_crew(crew, lambda: 0, [], random.Random(0))
    return crew


def test_a_worker_that_fails_by_itself_stops_the_run(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="exit code 1"):
        run_one(operator.truediv, 1, 0)
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_a_worker_that_finds_nothing_more_to_do_is_not_replaced() -> None:
    assert len(run_one(operator.truediv, 1, 1)) == 0
