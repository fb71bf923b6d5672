"""Models trained by processes that share one dictionary; some are killed on the way, and nothing is lost.

The same command again computes nothing. Other machines that share the folder help if they start it, too.
"""

import argparse
import random
import time
from functools import partial
from multiprocessing import current_process, get_context
from typing import Any

from sklearn.datasets import load_digits
from sklearn.model_selection import ParameterGrid, cross_val_score
from sklearn.svm import SVC

from perkey import FileDirDict, PersiDict, key_of, run_all

GRID = {"C": [0.1, 1, 10, 100], "gamma": [0.0001, 0.0003, 0.001, 0.003], "kernel": ["poly", "rbf", "sigmoid"]}


def train(attempts: PersiDict[Any], task: dict[str, Any]) -> dict[str, Any]:
    """Note the attempt, and return how many images of digits a model recognises that it has not learnt."""
    attempts[key_of(task)[0], worker := current_process().name] = task
    score = cross_val_score(SVC(**task), *load_digits(return_X_y=True), cv=5).mean()
    return {**task, "score": float(score), "worker": worker}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train 48 models in processes that share one dictionary.")
    for option, default in {"folder": "parameter_sweep", "workers": 4, "kills": 6}.items():
        parser.add_argument(f"--{option}", type=type(default), default=default, help=f"by default {default}")
    parser.add_argument("--quick", action="store_true", help="a quarter of the models only")
    options = parser.parse_args()
    results = FileDirDict[Any](f"{options.folder}/results", file_type="json")
    attempts = FileDirDict[Any](f"{options.folder}/attempts/{time.time_ns()}", file_type="json")
    tasks = {key_of(task)[0]: task for task in list(ParameterGrid(GRID))[:: 4 if options.quick else 1]}
    todo = [key for key in tasks if key not in results]
    process, arguments = get_context("spawn").Process, (results, partial(train, attempts), tasks)
    workers = [process(target=run_all, args=arguments) for _ in range(options.workers + options.kills)]
    for worker in workers[: options.workers if todo else 0]:
        worker.start()
    moments = sorted(random.choices(range(max(1, len(todo) - options.workers)), k=options.kills))
    killed = list[str]()
    while alive := [worker for worker in workers if worker.is_alive()]:
        if len(killed) < len(moments) and sum(key in results for key in todo) >= moments[len(killed)]:
            (victim := random.choice(alive)).kill()
            workers[options.workers + len(killed)].start()  # takes its place
            killed.append(victim.name)
        time.sleep(0.05)
    found = {key: results[key] for key in tasks if key in results}
    for best in sorted(found.values(), key=lambda each: each["score"])[:-4:-1]:
        print(f"{best['score']:.4f}", {name: best[name] for name in GRID})
    ended = [worker for key, worker in attempts if found.get(key, {}).get("worker") != worker]
    cut, lost = sum(worker in killed for worker in ended), len(tasks) - len(found)
    print(f"\n{len(tasks)} tasks: {len(todo) - lost} computed now, {len(tasks) - len(todo)} reused")
    print(f"{len(killed)} workers killed, {cut} attempts cut short and taken over")
    print(f"{lost} results lost, {len(ended) - cut} computed twice by living workers")
    raise SystemExit(bool(lost or len(ended) > cut))
