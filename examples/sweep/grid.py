"""What is to be trained: every task of the sweep, as plain data."""

from __future__ import annotations

from itertools import product
from typing import Any, NamedTuple

from perkey import NonEmptySafeStrTuple

GRIDS: dict[str, dict[str, list[Any]]] = {
    "logistic_regression": {"C": [0.001, 0.01, 0.1, 1.0, 10.0, 100.0]},
    "svc": {"C": [0.3, 1.0, 10.0, 100.0], "gamma": [0.01, 0.03, 0.1, 0.3]},
    "random_forest": {"n_estimators": [25, 50, 100], "max_depth": [5, 10, None]},
    "extra_trees": {"n_estimators": [25, 50, 100], "max_depth": [5, 10, None]},
    "k_nearest_neighbors": {"n_neighbors": [1, 3, 5, 9, 15, 30], "weights": ["uniform", "distance"]},
}


class Task(NamedTuple):
    """One model to train."""

    family: str
    parameters: dict[str, Any]

    @property
    def key(self) -> NonEmptySafeStrTuple:
        """Where its result is kept: all that the result depends on, so that a change makes a new task."""
        return NonEmptySafeStrTuple(self.family, self.settings)

    @property
    def settings(self) -> list[str]:
        """The parameters, as texts such as ``C=0.1``."""
        return [f"{name}={value}" for name, value in self.parameters.items()]


def all_tasks(*, quick: bool = False) -> list[Task]:
    """Return the tasks of the whole grid, or of a quarter of it."""
    tasks = [
        Task(family, dict(zip(grid, values, strict=True)))
        for family, grid in GRIDS.items()
        for values in product(*grid.values())
    ]
    return tasks[::4] if quick else tasks
