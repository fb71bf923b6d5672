"""Train many models in several processes that share one dictionary, and survive the death of any of them.

    python examples/parameter_sweep.py

Each worker takes its next task from the dictionary itself; some workers are killed at random, and others
take over what they had begun. Results stay in the folder: the same command again computes nothing, and
after an interruption of any kind it goes on where it was. So do workers started on other machines, if the
folder is on a file system that they share.

The parts are in the folder ``sweep``: ``claims.py`` is the one to look at first.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import uuid
from pathlib import Path

from perkey import FileDirDict, PersiDict
from sweep.audit import Summary, audit, readable_results
from sweep.crew import Crew, run_crew, spawner
from sweep.grid import Task, all_tasks
from sweep.study import Record, Study


def main() -> int:
    """Run the sweep; the exit code is 0 if no result was lost and none computed twice."""
    options = parse_options()
    folder = Path(options.folder)
    shared = FileDirDict[Record](folder / "shared", file_type="json")
    if options.fresh:
        shared.clear()
    tasks = all_tasks(quick=options.quick)
    kills = (2 if options.quick else 6) if options.kills is None else options.kills
    summary = sweep(shared, tasks, workers=options.workers, kills=kills, rng=random.Random(options.seed))
    publish(summary, Study.of(shared), tasks, folder)
    return 1 if summary.lost or summary.computed_twice else 0


def parse_options() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", default="parameter_sweep", help="where everything is kept (%(default)s)")
    parser.add_argument("--workers", type=positive, default=4, help="processes at a time (%(default)s)")
    parser.add_argument("--kills", type=natural, help="workers to kill on the way (6, or 2 if quick)")
    parser.add_argument("--seed", type=int, help="makes it repeatable which workers are killed and when")
    parser.add_argument("--quick", action="store_true", help="a quarter of the tasks only")
    parser.add_argument("--fresh", action="store_true", help="forget the results of former runs")
    return parser.parse_args()


def natural(text: str) -> int:
    """Return a number from 0."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return number


def positive(text: str) -> int:
    """Return a number from 1."""
    number = natural(text)
    if not number:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def sweep(
    shared: PersiDict[Record], tasks: list[Task], *, workers: int, kills: int, rng: random.Random
) -> Summary:
    """Have all tasks done that have no result yet, and say what happened."""
    began = time.monotonic()
    run = uuid.uuid4().hex
    study = Study.of(shared)
    there = len(readable_results(study, tasks))
    missing = len(tasks) - there
    print(f"{len(tasks)} tasks, {there} of them with a result already")
    killed = 0
    if missing:
        from sweep.worker import work  # noqa: PLC0415 - scikit-learn takes a second that a rerun can spare

        print(f"{workers} workers do the rest; {kills} will be killed ...")
        crew = Crew(workers, spawner(work, shared, tasks, run), study.workers)
        # At random moments, but early enough that those who are killed leave something to take over.
        before = len(study.results)
        moments = [rng.randrange(max(1, missing - workers)) for _ in range(kills)]
        run_crew(crew, lambda: len(study.results) - before, moments, rng)
        killed = crew.kills
    return audit(study, tasks, run=run, kills=killed, seconds=time.monotonic() - began)


def publish(summary: Summary, study: Study, tasks: list[Task], folder: Path) -> None:
    """Print the outcome, and save it beside the dictionary."""
    from sweep import report  # noqa: PLC0415 - workers import this module, and have nothing to plot

    print(f"\n{report.table(summary)}")
    report.save_json(summary, folder / "summary.json")
    report.save_plot(summary, tasks, readable_results(study, tasks), folder / "scores.png")
    print(f"details: {folder / 'summary.json'}, {folder / 'scores.png'}")


if __name__ == "__main__":
    sys.exit(main())
