"""Many processes want many values, and are killed and stopped on the way: nothing lost, nothing twice.

With PERKEY_LONG=1: 8 processes, 200 keys, 30 disturbances, and a minute of outage of the bucket.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from s3.proxy import Proxy, drops_reply, drops_request

from perkey import claims
from tools.once.programs import start
from tools.once.workers import open_place

LONG: Final = bool(os.environ.get("PERKEY_LONG"))
PROCESSES: Final = 8 if LONG else 4
KEYS: Final = 200 if LONG else 40
DISTURBANCES: Final = 30 if LONG else 8
OUTAGE: Final = 60.0 if LONG else 4.0
PATIENCE: Final = 250.0
"""Seconds after which the workers are taken to hang."""

pytestmark = [pytest.mark.timeout(900), pytest.mark.skipif(os.name != "posix", reason="signals")]


@dataclass
class Crowd:
    """Workers that compute the same keys, each killed one replaced.

    Attributes:
        arguments: What each is started with.
        program: The function of `workers` that each runs.
        running: Those that have not ended.
        disturbed: The ids of those that were killed, or stopped for longer than the lease.
    """

    arguments: tuple[Any, ...]
    program: str = "compute_many"
    running: list[subprocess.Popen[str]] = field(default_factory=list)
    disturbed: set[int] = field(default_factory=set)

    def begin(self) -> None:
        for _ in range(PROCESSES):
            self.add()

    def add(self) -> None:
        self.running.append(start(self.program, *self.arguments))

    def kill_one(self) -> None:
        victim = random.choice(self.running)
        self.disturbed.add(victim.pid)
        victim.kill()
        victim.communicate()
        self.running.remove(victim)
        self.add()

    def stop_one(self, seconds: float) -> None:
        victim = random.choice(self.running)
        self.disturbed.add(victim.pid)
        victim.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        victim.send_signal(signal.SIGCONT)

    def join(self) -> None:
        """Wait for all: no waiter is left behind."""
        end = time.monotonic() + PATIENCE
        for worker in self.running:
            output, _ = worker.communicate(timeout=max(0.1, end - time.monotonic()))
            assert worker.returncode == 0, output

    def close(self) -> None:
        for worker in self.running:
            worker.kill()
            worker.communicate()


def check(crowd: Crowd, place: str, logs: Path) -> None:
    """Each key has one result, and each computation more is that of a disturbed worker."""
    d = open_place(place)
    stored = {key[0]: value for key, value in d.items()}
    assert set(stored) == {f"k{number}" for number in range(KEYS)}
    assert all(value[0] == key for key, value in stored.items())
    computed = defaultdict(list)
    for line in (logs / "computed").read_text().splitlines():
        key, pid = line.split()
        computed[key].append(int(pid))
    excess = {key: pids for key, pids in computed.items() if len(pids) > 1}
    assert sum(len(pids) - 1 for pids in excess.values()) <= len(crowd.disturbed)
    for key, pids in excess.items():
        assert crowd.disturbed & set(pids), f"{key} was computed by {pids}, none of which was disturbed"
        assert stored[key][1] in pids
    assert [info for info in claims(d) if not info.gone] == []


@pytest.mark.parametrize("program", ["compute_many", "run_many"])
def test_a_crowd_on_a_folder(program: str, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    place = str(tmp_path / "d")
    lease = 2.0
    crowd = Crowd((place, logs, KEYS, 0.2, lease), program)
    try:
        crowd.begin()
        for number in range(DISTURBANCES):
            time.sleep(random.uniform(0.1, 0.6))
            if number % 4 == 3:
                crowd.stop_one(lease + 0.7)
            else:
                crowd.kill_one()
        crowd.join()
    finally:
        crowd.close()
    check(crowd, place, logs)


@pytest.mark.parametrize("program", ["compute_many", "run_many"])
@pytest.mark.parametrize("engine", ["boto3", "obstore"] if LONG else ["boto3"])
def test_a_crowd_on_a_bucket_whose_replies_are_lost(
    engine: str, program: str, tmp_path: Path, proxy: Proxy, bucket: str
) -> None:
    """And which is away for a while."""
    logs = tmp_path / "logs"
    logs.mkdir()
    place = f"s3|{engine}|{bucket}|{proxy.endpoint}"
    proxy.plan(drops_reply, times=None, every=20)
    crowd = Crowd((place, logs, KEYS, 0.2, 20.0), program)
    try:
        crowd.begin()
        for number in range(DISTURBANCES // 2):
            time.sleep(random.uniform(0.5, 1.5))
            crowd.kill_one()
            if number == 1:
                proxy.heal()
                proxy.plan(drops_request, times=None)
                time.sleep(OUTAGE)
                proxy.heal()
                proxy.plan(drops_reply, times=None, every=20)
        crowd.join()
    finally:
        crowd.close()
    proxy.heal()
    check(crowd, place, logs)


def test_a_stampede_of_threads_in_several_processes_computes_once(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    workers = [start("stampede", tmp_path / "d", logs, 50) for _ in range(PROCESSES)]
    answers = {worker.communicate(timeout=PATIENCE)[0].strip() for worker in workers}
    assert len((logs / "computed").read_text().splitlines()) == 1
    assert len(answers) == 1
    assert answers != {""}
