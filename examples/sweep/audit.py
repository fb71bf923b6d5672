"""What happened, found out from the traces alone and not from what the claims said.

It compares times written by several processes, so it is exact for workers of one machine, and as exact as
the clocks agree for several.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from perkey import CorruptValueError, NonEmptySafeStrTuple
from sweep.grid import Task
from sweep.owners import Owner
from sweep.study import Record, Study

Results = dict[NonEmptySafeStrTuple, Record]


@dataclass(frozen=True)
class Best:
    """The best model of a family."""

    score: float
    parameters: dict[str, Any]


@dataclass(frozen=True)
class Summary:
    """The counts of a run.

    Attributes:
        tasks: How many there are.
        computed: Results that this run computed.
        reused: Results that were there, or that others computed meanwhile.
        lost: Tasks without a readable result.
        computed_twice: Entries into the training function that were needless, because another worker who
            had entered for the same task was alive or had finished.
        entries: All entries of this run into the training function.
        interrupted: Those of them that did not lead to the result.
        kills: Workers killed.
        takeovers: Claims taken over from dead workers.
        seconds: Duration of the run.
        best: For each family, its best model.
    """

    tasks: int
    computed: int
    reused: int
    lost: int
    computed_twice: int
    entries: int
    interrupted: int
    kills: int
    takeovers: int
    seconds: float
    best: dict[str, Best]


def audit(study: Study, tasks: list[Task], *, run: str, kills: int, seconds: float) -> Summary:
    """Look at everything that is in the dictionary about `tasks`."""
    results = readable_results(study, tasks)
    attempts = {task.key: list(study.attempts.get_subdict(task.key).values()) for task in tasks}
    last_alive = last_signs_of_life(study)
    entries = sum(attempt["run"] == run for of_task in attempts.values() for attempt in of_task)
    computed = sum(result["run"] == run for result in results.values())
    return Summary(
        tasks=len(tasks),
        computed=computed,
        reused=len(results) - computed,
        lost=len(tasks) - len(results),
        computed_twice=sum(
            is_needless(attempt, of_task, last_alive)
            for of_task in attempts.values()
            for attempt in of_task
            if attempt["run"] == run
        ),
        entries=entries,
        interrupted=entries - computed,
        kills=kills,
        takeovers=sum(claim["takeovers"].count(run) for claim in study.claims.values()),
        seconds=round(seconds, 1),
        best=best_of_families(tasks, results),
    )


def readable_results(study: Study, tasks: list[Task]) -> Results:
    """Return the results of `tasks` that are there and can be read."""
    found = {}
    for task in tasks:
        try:
            found[task.key] = study.results[task.key]
        except (KeyError, CorruptValueError):
            continue  # counted as lost
    return found


def last_signs_of_life(study: Study) -> dict[Owner, float]:
    """Return when each worker was last known to be alive; one that was killed, just before that."""
    last: dict[Owner, float] = {}
    for sign in study.workers.values():
        owner = Owner(**sign["owner"])
        last[owner] = max(sign["alive_at"], last.get(owner, 0))
    return last


def is_needless(attempt: Record, of_task: list[Record], last_alive: dict[Owner, float]) -> bool:
    """Tell whether an attempt at a task was made while the owner of an earlier one was still alive.

    An earlier attempt of the same run that was finished makes it needless as well, whoever lives.
    """
    entered = attempt["entered"]
    earlier = [other for other in of_task if other["entered"] < entered]
    return any(
        last_alive[Owner(**other["owner"])] >= entered
        or (other["run"] == attempt["run"] and other.get("finished", entered) < entered)
        for other in earlier
    )


def best_of_families(tasks: list[Task], results: Results) -> dict[str, Best]:
    """Return the best model of each family, families with the best ones first."""
    best: dict[str, Best] = {}
    done = [task for task in tasks if task.key in results]
    for task in sorted(done, key=lambda task: results[task.key]["score"], reverse=True):
        best.setdefault(task.family, Best(results[task.key]["score"], task.parameters))
    return best
