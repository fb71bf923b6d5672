"""A parameter study from end to end: a grid, run in parallel, searched, plotted, and packed for a colleague.

Each combination of parameters is a job: a folder with its state point, raw data, and a document of results.
The same command again computes nothing; with a larger grid it computes the rest.
"""

import itertools
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from perkey.dataspace import Job, init_project


def compute(job: Job) -> None:
    """Let a model read the digits; the confusion matrix goes into a file, the result into the document."""
    images, labels = load_digits(return_X_y=True)
    model = KNeighborsClassifier(job.sp.neighbors, weights=job.sp.weights)
    found = cross_val_predict(model, images, labels, cv=3)
    matrix = np.histogram2d(labels, found, bins=10)[0].astype(int)
    np.savetxt(job.fn("confusion.csv"), matrix, fmt="%d", delimiter=",")
    # The result comes last, and at one moment: a job that has it, is done.
    job.doc.update(score=round(float((found == labels).mean()), 3), ones_as_eights=int(matrix[1, 8]))


def main() -> None:
    """Run the study."""
    folder = Path(*sys.argv[1:] or ["study"])  # where everything is kept
    project = init_project("digits", folder)
    for neighbors, weights in itertools.product([1, 3, 9, 27, 81], ["uniform", "distance"]):
        project.open_job({"neighbors": neighbors, "weights": weights}).init()
    missing = list(project.find_jobs({"doc.score": {"$exists": False}}))
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        print(f"{len(project)} jobs, {len(list(pool.map(compute, missing)))} of them computed now")

    figure = Figure(layout="constrained")
    axes = figure.add_subplot(xlabel="neighbors", ylabel="recognised", xscale="log")
    for weights, jobs in project.groupby("weights"):
        points = sorted((job.sp.neighbors, job.doc.score) for job in jobs)
        axes.plot(*zip(*points, strict=True), marker="o", label=weights)
        print(f"{weights:<9}", *(f"{neighbors}: {score:.3f}" for neighbors, score in points))
    axes.legend(frameon=False)
    figure.savefig(folder / "study.png")
    good = project.find_jobs({"doc.score.$gt": 0.95, "neighbors.$gt": 5})
    print("good and large:", *sorted(f"{job.sp.neighbors}, {job.sp.weights};" for job in good))
    project.create_linked_view(folder / "view")  # the jobs under readable paths
    (folder / "study.zip").unlink(missing_ok=True)
    project.export_to(folder / "study.zip", path="{weights}/{neighbors}")  # a colleague imports it again


if __name__ == "__main__":
    main()
