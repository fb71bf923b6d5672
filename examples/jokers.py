"""Jokers: values that are commands, so that a function can decide what happens to an item.

The items are the best scores of classifiers of the wines that scikit-learn ships.
"""

import tempfile

from sklearn.datasets import load_wine
from sklearn.model_selection import cross_val_score
from sklearn.svm import SVC

from perkey import DELETE_CURRENT, KEEP_CURRENT, FileDirDict, Joker

LEAST = 0.45
"""A model that is not better has learned little: 40 % of the wines are of one kind."""


def scored(gamma: float) -> float:
    """Return how many of the wines a model recognises."""
    data, kinds = load_wine(return_X_y=True)
    return round(float(cross_val_score(SVC(gamma=gamma), data, kinds, cv=4).mean()), 2)


def judged(score: float, best: float) -> float | Joker:
    """Return what to store: a better score; nothing for a worse one, and no item for a poor model."""
    if score < LEAST:
        return DELETE_CURRENT
    return score if score > best else KEEP_CURRENT


def main() -> None:
    """Keep the best score, then the scores of each model that has learned something."""
    with tempfile.TemporaryDirectory() as folder:
        scores = FileDirDict(folder, file_type="json")
        for gamma in (1e-3, 1e-2, 1e-5, 1e-4):
            score = scored(gamma)
            scores["best"] = judged(score, scores.get("best", 0.0))
            print(f"gamma {gamma:g}: {score}, best: {scores['best']}")

        # They work wherever a value is given: in update() ...
        scores.update({f"gamma-{gamma:g}": judged(scored(gamma), 0.0) for gamma in (1e-3, 1e2)})
        scores.update({"best": DELETE_CURRENT, "none": DELETE_CURRENT})  # a missing key is not an error
        print("after the update:", {key[0]: value for key, value in sorted(scores.items())})

        # ... and as the result of a transforming function.
        scores.transform_item("gamma-0.001", transformer=lambda score: judged(score - 0.5, 0.0))
        print("half a point less, is it still there?", "gamma-0.001" in scores)


if __name__ == "__main__":
    main()
