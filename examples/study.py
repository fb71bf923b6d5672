"""A small parameter study from end to end: a grid, run in parallel, collected, plotted, and packed.

    python examples/study.py

How far does a random walker get that keeps its direction with some probability? Each combination of
parameters is a job of a data space: a folder with its state point, a file of raw data, and a document of
results. Results are kept: the same command again computes nothing, and after an interruption or with a larger
grid it does the rest.

What is left in the folder: the project (``workspace``, a folder for each job), ``view`` with links to
the jobs by parameter, ``results.csv``, ``study.png``, and ``study.zip``, which `Project.import_from` makes
a project again.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import math
import random
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from matplotlib.figure import Figure

from perkey.dataspace import Job, JobsCursor, Project, init_project


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path("study"), help="where everything is kept")
    parser.add_argument("--workers", type=int, default=2, help="processes at a time (%(default)s)")
    parser.add_argument("--walkers", type=int, default=200, help="walkers of each job (%(default)s)")
    options = parser.parse_args()

    project = init_project("walkers", options.folder)
    make_grid(project, options.walkers)
    computed = run(project, options.workers)
    print(f"{len(project)} jobs, {computed} of them computed now")
    print(project.detect_schema())
    jobs = project.find_jobs({"walkers": options.walkers})
    collect(jobs, options.folder / "results.csv")
    plot(jobs, options.folder / "study.png")
    publish(project, options.folder)


def make_grid(project: Project, walkers: int) -> None:
    """Make a job for each combination; what exists stays as it is."""
    for steps, stay in itertools.product([10, 30, 100, 300], [0.0, 0.5, 0.9]):
        project.open_job({"steps": steps, "keep_direction": stay, "walkers": walkers}).init()


# --- Run ------------------------------------------------------------------------------------------------


def run(project: Project, workers: int) -> int:
    """Compute what has no result yet; return how much that was."""
    missing = list(project.find_jobs({"doc.distance": {"$exists": False}}))
    # Jobs travel to other processes; "spawn" works on every platform, with whatever the parent has open.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return sum(pool.map(compute, missing))


def compute(job: Job) -> int:
    """Let walkers walk: raw data goes into a file, the result into the document."""
    rng = random.Random(job.id)
    ends = [walk(job.sp.steps, job.sp.keep_direction, rng) for _ in range(job.sp.walkers)]
    with Path(job.fn("ends.csv")).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(ends)
    # The result comes last, and at one moment: a job that has it, is done.
    squares = [x * x + y * y for x, y in ends]
    job.doc.update(distance=math.sqrt(sum(squares) / len(squares)), farthest=math.sqrt(max(squares)))
    return 1


def walk(steps: int, keep_direction: float, rng: random.Random) -> tuple[float, float]:
    """Return where a walker ends."""
    x = y = angle = 0.0
    for _ in range(steps):
        if rng.random() >= keep_direction:
            angle = rng.uniform(0, 2 * math.pi)
        x += math.cos(angle)
        y += math.sin(angle)
    return x, y


# --- Collect --------------------------------------------------------------------------------------------


def collect(jobs: JobsCursor, path: Path) -> None:
    """Write a table of parameters and results."""
    rows = sorted((job.sp.keep_direction, job.sp.steps, job.doc.distance) for job in jobs)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["keep_direction", "steps", "distance"])
        writer.writerows(rows)


def plot(jobs: JobsCursor, path: Path) -> None:
    """Draw a line for each probability."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    for keep_direction, group in jobs.groupby("keep_direction"):
        points = sorted((job.sp.steps, job.doc.distance) for job in group)
        axes.loglog(*zip(*points, strict=True), marker="o", label=f"keeps direction: {keep_direction:.0%}")
        print(
            f"keeps direction {keep_direction:.0%}: distance {points[-1][1]:.1f} after {points[-1][0]} steps"
        )
    axes.set_xlabel("steps")
    axes.set_ylabel("distance (root mean square)")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)


def publish(project: Project, folder: Path) -> None:
    """Make the data easy to look through, and to send to a colleague."""
    project.create_linked_view(folder / "view")
    archive = folder / "study.zip"
    archive.unlink(missing_ok=True)
    project.export_to(archive, path="keep_{keep_direction}/steps_{steps}/{{auto:_}}")
    print(f"look into {folder / 'view'}, or send {archive}")


if __name__ == "__main__":
    main()
