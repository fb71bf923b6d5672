"""Train many models in several processes that share one dictionary, and survive the death of any of them.

    python examples/parameter_sweep.py

The work is one call of `run_all`, in the function `work`. Each process makes this call, takes tasks that
are neither done nor claimed, and ends when all are done. This program starts such processes, kills some of
them at random, and starts new ones. Results stay in the folder: the same command again computes nothing, and
after an interruption of any kind it goes on where it was. Other machines that share the folder help if the
command is started there, too.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import sys
import time
import uuid
from functools import partial
from itertools import combinations, product
from multiprocessing import get_context
from multiprocessing.context import SpawnProcess
from operator import itemgetter
from pathlib import Path
from typing import Any

from perkey import FileDirDict, key_of, run_all

Task = dict[str, Any]

GRIDS: dict[str, dict[str, list[Any]]] = {
    "logistic regression": {"C": [0.001, 0.01, 0.1, 1.0, 10.0, 100.0]},
    "SVC": {"C": [0.3, 1.0, 10.0, 100.0], "gamma": [0.01, 0.03, 0.1, 0.3]},
    "random forest": {"n_estimators": [25, 50, 100], "max_depth": [5, 10, None]},
    "extra trees": {"n_estimators": [25, 50, 100], "max_depth": [5, 10, None]},
    "k-nearest neighbors": {"n_neighbors": [1, 3, 5, 9, 15, 30], "weights": ["uniform", "distance"]},
}
TASKS = [
    {"family": family, "parameters": dict(zip(grid, values, strict=True))}
    for family, grid in GRIDS.items()
    for values in product(*grid.values())
]


def train(task: Task) -> Task:
    """Cross-validate a model on 1,797 images of digits; the same task always gives the same score."""
    from sklearn import ensemble, linear_model, neighbors, svm  # noqa: PLC0415 - a rerun can spare the time
    from sklearn.datasets import load_digits  # noqa: PLC0415
    from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score  # noqa: PLC0415

    models = {
        "logistic regression": partial(linear_model.LogisticRegression, max_iter=1000),
        "SVC": svm.SVC,
        "random forest": partial(ensemble.RandomForestClassifier, random_state=0),
        "extra trees": partial(ensemble.ExtraTreesClassifier, random_state=0),
        "k-nearest neighbors": neighbors.KNeighborsClassifier,
    }
    images, labels = load_digits(return_X_y=True)
    folds = RepeatedStratifiedKFold(n_splits=5, n_repeats=3, random_state=0)
    scores = cross_val_score(models[task["family"]](**task["parameters"]), images / 16, labels, cv=folds)
    return {**task, "score": float(scores.mean()), "spread": float(scores.std())}


def work(folder: Path, tasks: list[Task], run: str) -> None:
    """Do the tasks, together with all other processes that call this; note each attempt when it begins."""
    results, attempts = open_both(folder)

    def noted(task: Task) -> Task:
        attempts[run, uuid.uuid4().hex] = {"task": task, "worker": os.getpid(), "at": time.monotonic()}
        return {**train(task), "run": run}

    run_all(results, noted, tasks).check()


def open_both(folder: Path) -> list[FileDirDict[Any]]:
    """Return the dictionaries of the results, and of the notes of attempts."""
    return [FileDirDict(folder / name, file_type="json") for name in ("results", "attempts")]


def sweep(folder: Path, tasks: list[Task], size: int, kills: int) -> int:
    """Let workers do the tasks, kill some, report; return 1 if a result was lost or computed twice."""
    run, killed = uuid.uuid4().hex, dict[Any, float]()
    results, attempts = open_both(folder)
    missing = [task for task in tasks if key_of(task) not in results]
    print(f"{len(tasks)} tasks, {len(tasks) - len(missing)} of them with a result already")

    def start() -> SpawnProcess:
        worker = get_context("spawn").Process(target=work, args=(folder, tasks, run), daemon=True)
        worker.start()
        return worker

    workers, before = [start() for _ in range(size if missing else 0)], len(results)
    # Workers are killed at random moments, but while there is something left to take over.
    latest = max(1, len(missing) - size)
    for moment in sorted(random.randrange(latest) for _ in range(kills if workers else 0)):
        while len(results) - before < moment and any(worker.is_alive() for worker in workers):
            time.sleep(0.05)
        victim = random.choice(workers)
        if victim.is_alive():
            killed[victim.pid] = time.monotonic()
            victim.kill()
            print(f"  killed worker {victim.pid}")
            workers[workers.index(victim)] = start()
    for worker in workers:
        worker.join()
    return report(tasks, run, results, list(attempts.get_subdict(run).values()), killed)


def report(tasks: list[Task], run: str, results: Any, attempts: list[Task], killed: dict[Any, float]) -> int:
    """Print the best models and what happened."""
    found = [results[key_of(task)] for task in tasks if key_of(task) in results]
    found.sort(key=itemgetter("score"), reverse=True)
    for family in dict.fromkeys(map(itemgetter("family"), found)):
        best = next(each for each in found if each["family"] == family)
        print(f"{family:<22}{best['score']:.4f}   {best['parameters']}")
    # An attempt is needless if the worker of an earlier attempt at the same task was alive.
    attempts.sort(key=itemgetter("at"))
    twice = sum(
        first["task"] == later["task"] and killed.get(first["worker"], math.inf) > later["at"]
        for first, later in combinations(attempts, 2)
    )
    computed, lost = [each["run"] for each in found].count(run), len(tasks) - len(found)
    print(f"\n{len(tasks)} tasks: {computed} computed now, {len(found) - computed} reused")
    print(f"{len(killed)} workers killed, {len(attempts) - computed} attempts cut short and taken over")
    print(f"{lost} results lost, {twice} computed twice by living workers")
    return int(lost + twice > 0)


def main() -> int:
    """Read the command line, and run the sweep."""
    parser = argparse.ArgumentParser(description="Train many models in processes that share one dictionary.")
    parser.add_argument("--folder", type=Path, default="parameter_sweep", help="where results are kept")
    parser.add_argument("--workers", type=int, default=4, help="how many processes work at a time")
    parser.add_argument("--kills", type=int, default=6, help="how many of them are killed on the way")
    parser.add_argument("--quick", action="store_true", help="a quarter of the tasks only")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # models are trained side by side
    return sweep(options.folder, TASKS[::4] if options.quick else TASKS, options.workers, options.kills)


if __name__ == "__main__":
    sys.exit(main())
