"""Where everything is kept: four parts of one shared dictionary."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

from perkey import PersiDict, WriteOnceDict

Record = dict[str, Any]
"""A value of the study: plain JSON, readable by anyone."""


class Study(NamedTuple):
    """The shared dictionary, seen as its parts.

    Attributes:
        claims: For each task, who works on it.
        attempts: For each entry into the training function, who entered it and when.
        results: For each task, its result. The first one written stays, whatever happens later.
        workers: For each worker, when it was last known to be alive.
    """

    claims: PersiDict[Record]
    attempts: PersiDict[Record]
    results: PersiDict[Record]
    workers: PersiDict[Record]

    @classmethod
    def of(cls, shared: PersiDict[Record]) -> Self:
        """Return the parts of a dictionary; this costs nothing and creates nothing."""
        return cls(
            claims=shared.get_subdict("claims"),
            attempts=shared.get_subdict("attempts"),
            results=WriteOnceDict(shared.get_subdict("results")),
            workers=shared.get_subdict("workers"),
        )
