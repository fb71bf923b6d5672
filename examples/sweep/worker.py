"""A worker: takes tasks until all have a result. It may be killed at any moment."""

from __future__ import annotations

import os
import time
import uuid

from perkey import PersiDict
from sweep.claims import Claims
from sweep.grid import Task
from sweep.owners import Heartbeat, Liveness, Owner
from sweep.study import Record, Study
from sweep.training import train

PAUSE = 0.1
"""Seconds to wait when all that is left is being done by others."""


def work(shared: PersiDict[Record], tasks: list[Task], run: str) -> None:
    """Do tasks, one after another, until each of `tasks` has a result, whoever computed it."""
    study = Study.of(shared)
    me = Owner.of(os.getpid())
    claims = Claims(study.claims, Liveness(study.workers), me, run)
    with Heartbeat(study.workers, me):
        while tasks := [task for task in tasks if task.key not in study.results]:
            mine = next((task for task in tasks if claims.take(task.key)), None)
            if mine is None:
                time.sleep(PAUSE)  # we stay, because those who do the last tasks may die
            elif mine.key not in study.results:  # the last owner may have died just after storing it
                compute(study, mine, me, run)


def compute(study: Study, task: Task, me: Owner, run: str) -> None:
    """Do one task, leaving a trace of the attempt before it begins, so that killed ones are seen, too."""
    attempt = uuid.uuid4().hex
    record = {"owner": me.record(), "run": run, "entered": time.time()}
    study.attempts[task.key, attempt] = record
    outcome = train(task)
    finished = {"attempt": attempt, "run": run, "finished": time.time()}
    study.results[task.key] = {**outcome, **finished}
    study.attempts[task.key, attempt] = {**record, **finished}
