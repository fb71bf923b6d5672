"""The work itself: cross-validate one scikit-learn model on the digits that scikit-learn ships."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from sklearn.datasets import load_digits
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from sweep.grid import Task

# Random states are fixed: a task that is computed again must give the same result again.
MODELS: dict[str, Callable[..., Any]] = {
    "logistic_regression": partial(LogisticRegression, max_iter=1000),
    "svc": SVC,
    "random_forest": partial(RandomForestClassifier, random_state=0),
    "extra_trees": partial(ExtraTreesClassifier, random_state=0),
    "k_nearest_neighbors": KNeighborsClassifier,
}


@cache
def digits() -> tuple[Any, Any]:
    """Return 1,797 images of 8 x 8 pixels, scaled to 0..1, and the digits they show."""
    images, labels = load_digits(return_X_y=True)
    return images / 16, labels


def train(task: Task) -> dict[str, Any]:
    """Return the mean accuracy of a model, its spread over the folds, and the seconds it took."""
    began = time.perf_counter()
    model = MODELS[task.family](**task.parameters)
    folds = RepeatedStratifiedKFold(n_splits=5, n_repeats=3, random_state=0)
    scores = cross_val_score(model, *digits(), cv=folds)
    return {
        "score": float(scores.mean()),
        "spread": float(scores.std()),
        "seconds": time.perf_counter() - began,
    }
