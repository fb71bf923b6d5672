"""Many processes want many values, and are killed and stopped on the way: nothing lost, nothing twice.

Their dates are an hour apart, they fork within a claim, and reach the items by different handles. With
PERKEY_LONG=1: 8 processes, 200 keys, 30 disturbances, and a minute of outage of the bucket.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from operator import attrgetter
from pathlib import Path
from typing import Final, Self

import pytest
from combinations import mostly_slow
from s3.proxy import Proxy, drops_reply, drops_request

from perkey import claims
from tools.once.programs import start
from tools.once.workers import open_place

LONG: Final = bool(os.environ.get("PERKEY_LONG"))
PROCESSES: Final = 8 if LONG else 4
KEYS: Final = 200 if LONG else 40
DISTURBANCES: Final = 30 if LONG else 8
OUTAGE: Final = 60.0 if LONG else 4.0
BUCKET_LEASE: Final = 20.0 if LONG else 8.0
PATIENCE: Final = 250.0
"""Seconds after which the workers are taken to hang."""
SLACK: Final = 2.0
"""Seconds in which a busy machine gets round to what a process is to do next."""

pytestmark = [pytest.mark.timeout(900), pytest.mark.skipif(os.name != "posix", reason="signals")]


@dataclass
class Disturbance:
    """A worker that was killed, or stopped for longer than a lease.

    Attributes:
        pid: The worker.
        begin: When, by the clock that all processes of a machine share.
        end: When a stopped one went on; never if it was killed.
    """

    pid: int
    begin: float
    end: float = inf


@dataclass(frozen=True)
class Attempt:
    """A computation.

    Attributes:
        pid: The worker.
        begin: When the function was called.
    """

    pid: int
    begin: float


@dataclass
class Crowd:
    """Workers that compute the same keys, each killed one replaced.

    Attributes:
        place: Where the results are.
        logs: Where workers note what they do.
        seconds: How long a computation takes.
        lease: The lease of their claims.
        program: The function of `workers` that each runs.
        running: Those that have not ended.
        disturbed: What was done to them.
    """

    place: str
    logs: Path
    seconds: float
    lease: float
    program: str
    running: list[subprocess.Popen[str]] = field(default_factory=list)
    disturbed: list[Disturbance] = field(default_factory=list)
    stopped: dict[int, Disturbance] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self.logs.mkdir()
        (self.logs / "computed").touch()
        for _ in range(PROCESSES):
            self.add()
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.running:
            worker.kill()
            worker.communicate()

    def add(self) -> None:
        arguments = (self.place, self.logs, KEYS, self.seconds, self.lease)
        self.running.append(start(self.program, *arguments))

    def disturb_while_they_work(self, in_the_middle: Callable[[], object] = lambda: None) -> None:
        """Disturb workers at random moments, the last one before the work is done."""
        moments = sorted(random.uniform(0.02, 0.9) for _ in range(DISTURBANCES))
        for number, moment in enumerate(moments):
            while self.progress() < moment:
                self.let_go_on()
                time.sleep(0.02)
            if number == DISTURBANCES // 2:
                in_the_middle()
            self.disturb(stops=number % 3 == 2)

    def progress(self) -> float:
        """Return which part of the keys was begun."""
        return len(self.computed()) / KEYS

    def disturb(self, *, stops: bool) -> None:
        """Kill a worker that has not finished, or stop it."""
        time.sleep(random.uniform(0.0, 0.2))
        self.let_go_on()
        while not (free := [each for each in self.running if self.is_at_work(each)]):
            time.sleep(0.02)
            self.let_go_on()
        victim = random.choice(free)
        event = Disturbance(victim.pid, time.monotonic())
        if stops:
            victim.send_signal(signal.SIGSTOP)
            self.stopped[victim.pid] = event
        else:
            victim.kill()
            victim.communicate()
            self.running.remove(victim)
            self.add()
        self.disturbed.append(event)

    def is_at_work(self, worker: subprocess.Popen[str]) -> bool:
        """Return whether a worker runs, is not stopped, and has not finished."""
        is_done = (self.logs / f"done-{worker.pid}").exists()
        return worker.pid not in self.stopped and worker.poll() is None and not is_done

    def let_go_on(self) -> None:
        """Let those go on that were stopped for longer than their lease."""
        for pid, event in list(self.stopped.items()):
            if time.monotonic() - event.begin > 1.3 * self.lease:
                os.kill(pid, signal.SIGCONT)
                event.end = time.monotonic()
                del self.stopped[pid]

    def join(self) -> None:
        """Wait for all: no waiter is left behind."""
        while self.stopped:
            time.sleep(0.02)
            self.let_go_on()
        end = time.monotonic() + PATIENCE
        for worker in self.running:
            output, _ = worker.communicate(timeout=max(0.1, end - time.monotonic()))
            assert worker.returncode == 0, output

    def computed(self) -> dict[str, list[Attempt]]:
        """Return the computations of each key in their order."""
        found = defaultdict(list)
        for line in (self.logs / "computed").read_text().splitlines():
            name, pid, begin = line.split()
            found[name].append(Attempt(int(pid), float(begin)))
        return {name: sorted(attempts, key=attrgetter("begin")) for name, attempts in found.items()}

    def check(self) -> None:
        """Each key has one result; each computation in excess has a disturbance of its own as its cause."""
        assert len(self.disturbed) == DISTURBANCES
        handle = open_place(self.place)
        stored = {key[-1]: value for key, value in handle.d.items()}
        assert set(stored) == {f"k{number}" for number in range(KEYS)}
        left = list(self.disturbed)
        for name, attempts in self.computed().items():
            assert stored[name][0] == name
            assert stored[name][1] in {each.pid for each in attempts}
            for earlier, later in pairwise(attempts):
                cause = next((event for event in left if explains(event, earlier, later)), None)
                assert cause, f"{name} was computed again for no reason: {attempts}, {self.disturbed}"
                left.remove(cause)
        explained = DISTURBANCES - len(left)
        print(f"{KEYS} keys, {DISTURBANCES} disturbances, {explained} computations in excess, all explained")
        assert [info for info in claims(handle.d) if not info.gone] == []


def explains(event: Disturbance, earlier: Attempt, later: Attempt) -> bool:
    """Return whether a disturbance is the cause of a second computation.

    The first worker was killed or stopped within its computation. Or the second was stopped when it had the
    claim and had not begun to compute, so that the first one took the claim over.
    """
    if event.pid == earlier.pid:
        return earlier.begin <= event.begin <= later.begin
    is_late = event.begin <= earlier.begin <= event.end + SLACK and event.end <= later.begin
    return event.pid == later.pid and is_late


@pytest.mark.parametrize("program", mostly_slow(["compute_many", "run_many"], "run_many"))
def test_a_crowd_on_a_folder(program: str, tmp_path: Path) -> None:
    with Crowd(str(tmp_path / "d"), tmp_path / "logs", 0.5, 2.0, program) as crowd:
        crowd.disturb_while_they_work()
        crowd.join()
    crowd.check()


@pytest.mark.slow
@pytest.mark.parametrize("program", ["compute_many", "run_many"])
@pytest.mark.parametrize("engine", ["boto3", "obstore"] if LONG else ["boto3"])
def test_a_crowd_on_a_bucket_whose_replies_are_lost(
    engine: str, program: str, tmp_path: Path, proxy: Proxy, bucket: str
) -> None:
    """And which is away for a while; workers that were stopped before may sleep through a part of that."""

    def be_away() -> None:
        proxy.heal()
        proxy.plan(drops_request, times=None)
        end = time.monotonic() + OUTAGE
        while time.monotonic() < end:
            crowd.let_go_on()
            time.sleep(0.02)
        proxy.heal()
        lose_replies()

    def lose_replies() -> None:
        proxy.plan(drops_reply, times=None, every=20)

    lose_replies()
    place = f"s3|{engine}|{bucket}|{proxy.endpoint}"
    with Crowd(place, tmp_path / "logs", 1.0, BUCKET_LEASE, program) as crowd:
        crowd.disturb_while_they_work(be_away)
        crowd.join()
    proxy.heal()
    crowd.check()


def test_a_stampede_of_threads_in_several_processes_computes_once(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    workers = [start("stampede", tmp_path / "d", logs, 50) for _ in range(PROCESSES)]
    answers = {worker.communicate(timeout=PATIENCE)[0].strip() for worker in workers}
    assert len((logs / "computed").read_text().splitlines()) == 1
    assert len(answers) == 1
    assert answers != {""}
