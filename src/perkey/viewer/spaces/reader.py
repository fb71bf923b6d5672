"""What the pages of a data space ask about its jobs: search, order, columns, neighbors.

Nothing here changes a job. Searches keep perkey's own index in the workspace up to date, as all searches do.
"""

from __future__ import annotations

import json
import os
import shlex
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from perkey.answers import answer, system_answer
from perkey.dataspace import Project, get_project
from perkey.dataspace.errors import JobsCorruptedError
from perkey.dataspace.search import STATEPOINT, JobFilter, neighbors_of, split_path
from perkey.dataspace.space import FN_DOCUMENT, StatePoint
from perkey.errors import CorruptValueError
from perkey.query import MISSING, joined, leaves, parse_filter, value_at
from perkey.viewer.spaces.expressions import Expressions

Values = Mapping[str, Any]

DOCUMENT: Final = "doc"
ID: Final = "id"
"""The name of the column of ids. A key of state points with this name is ``sp.id``."""
_NAMED: Final = frozenset(((STATEPOINT,), (DOCUMENT,)))
_PIECE: Final = 500
LARGEST_DOCUMENT: Final = 8 << 20
"""Documents of more bytes are not read."""


class Parts(NamedTuple):
    """A job, as far as it can be read.

    Attributes:
        id: The id.
        statepoint: The state point; empty if it cannot be read.
        document: The document; empty if it cannot be read.
        problems: What cannot be read, and why.
    """

    id: str
    statepoint: Values
    document: Values
    problems: tuple[str, ...] = ()


class Search(NamedTuple):
    """The outcome of a filter that a user typed.

    Attributes:
        ids: The jobs, or all of them if the filter is not valid.
        understood: The filter in JSON; empty if all jobs are asked for.
        error: What is wrong with it; empty if it is valid.
        hint: What is probably not meant.
    """

    ids: Sequence[str]
    understood: str = ""
    error: str = ""
    hint: str = ""


class Reader:
    """The jobs of a project, for pages.

    Two handles on the project are used. Pages of few jobs read only these jobs, by the one. Questions about
    all jobs go to the other, whose index is complete, one at a time.

    Args:
        project: The project.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        self._all = get_project(project.path, search=False)
        self._lock = threading.Lock()
        self._expressions = Expressions()
        self._searching = threading.Lock()

    def ids(self) -> list[str]:
        """Return the ids of all jobs in the order of the listing; raises OSError."""
        return self.project.space.index.ids()

    def parts(self, job: str) -> Parts:
        """Return a job.

        Raises:
            KeyError: The job does not exist.
        """
        return _parts(self.project, job)

    def project_document(self) -> tuple[Values, str]:
        """Return the document of the project, and why it cannot be read."""
        return _guarded(self.project.fn(self.project.FN_DOCUMENT), self.project.doc)

    @contextmanager
    def everything(self) -> Iterator[Everything]:
        """Give access to all jobs in a block; another thread waits until it ends."""
        with self._lock:
            space = self._all.space
            statepoints, damaged = space.index.sound()
            with space.documents.many(statepoints):
                yield Everything(self._all, statepoints, damaged)

    @contextmanager
    def documents(self) -> Iterator[Callable[[str], Values]]:
        """Give access to the documents of the jobs in a block, as `everything`, but to nothing else."""
        with self._lock:
            yield Everything(self._all, {}, ()).document

    def search(self, typed: str) -> Search:
        """Return the jobs that match a filter as on the command line: JSON, or keys and values in turn."""
        if not typed.strip():
            return Search(self.ids())
        try:
            with self._lock, warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                wanted = parse_filter([typed] if typed.lstrip().startswith("{") else shlex.split(typed))
                JobFilter(wanted)  # or it is not valid
                compiled = JobFilter(self._expressions.replaced(wanted or {}))
        except answer(TypeError, ValueError, RecursionError) as error:
            return Search(self.ids(), error=str(error) or "the filter is nested too deeply")
        hint = "; ".join(str(each.message) for each in caught)
        try:
            found = self._select(compiled)
        except answer(ValueError) as error:
            return Search(self.ids(), error=str(error))
        return Search(found, json.dumps(wanted, ensure_ascii=False), hint=hint)

    def _select(self, compiled: JobFilter) -> list[str]:
        with self._searching:
            while True:  # each time, more texts are known
                with self.everything() as everything:
                    found = compiled.select(
                        everything.statepoints, everything.statepoints, everything.document
                    )
                if not self._expressions.learn():
                    return found

    def ordered(self, ids: Sequence[str], path: str, *, descending: bool) -> list[str]:
        """Return jobs in the order of a value; jobs without it come last.

        Args:
            ids: The jobs.
            path: As in filters; ``id`` is the id.
            descending: Whether large values come first.
        """
        if path == ID:
            return sorted(ids, reverse=descending)
        values = dict(zip(ids, self.column(ids, path), strict=True))
        there = [job for job in ids if values[job] is not MISSING]
        there.sort(key=lambda job: _order(values[job]), reverse=descending)
        return there + [job for job in ids if values[job] is MISSING]

    def column(self, ids: Iterable[str], path: str) -> list[Any]:
        """Return the value of each job at a path; MISSING where the path does not exist."""
        namespace, rest = split_path(path)
        with self.everything() as everything:
            if namespace == STATEPOINT:
                statepoints = everything.statepoints
                return [value_at(statepoints.get(job, {}), rest) for job in ids]
            return [value_at(everything.document(job), rest) for job in ids]

    def flat(self, ids: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield the values of jobs by their paths, as `flat`, with the id in front; an empty one if unknown.

        Other threads wait for at most `_PIECE` jobs.
        """
        for start in range(0, len(ids), _PIECE):
            piece = ids[start : start + _PIECE]
            with self.everything() as everything:
                found = [
                    Parts(job, everything.statepoints.get(job, {}), everything.document(job)) for job in piece
                ]
            yield from ({ID: parts.id, **flat(parts)} for parts in found)

    def parameters(self, ids: Iterable[str], paths: Sequence[str]) -> list[list[Any]]:
        """Return, for each path of state points, the values of the jobs that have it, in any order."""
        with self.everything() as everything:
            statepoints = [everything.statepoints.get(job, {}) for job in ids]
        columns = ([value_at(each, split_path(path)[1]) for each in statepoints] for path in paths)
        return [[value for value in column if value is not MISSING] for column in columns]

    def neighbors(self, job: str) -> list[tuple[str, list[tuple[Any, str]]]]:
        """Return, for each key, the jobs whose state points differ from that of a job in its value only.

        Of these jobs, those with the next smaller and the next larger value.
        """
        with self.everything() as everything:
            own = dict(leaves(everything.statepoints.get(job, {})))
            near = {
                other: statepoint
                for other, statepoint in everything.statepoints.items()
                if other == job or _is_near(own, statepoint)
            }
        found = neighbors_of(near, []).get(job, {})
        return [(key, list(jobs.items())) for key, jobs in sorted(found.items()) if jobs]


class Everything:
    """All jobs, at one moment.

    Args:
        project: The handle whose index is complete.
        statepoints: The state points.
        damaged: The ids of the jobs whose state points cannot be read.
    """

    def __init__(
        self, project: Project, statepoints: Mapping[str, StatePoint], damaged: Sequence[str]
    ) -> None:
        self._project = project
        self.statepoints = statepoints
        self.damaged = damaged

    def document(self, job: str) -> Values:
        """Return a document; an empty one if it cannot be read."""
        return _document(self._project, job)[0]


def flat(parts: Parts) -> dict[str, Any]:
    """Return the values of a job by their paths: ``a.b`` for state points, ``doc.a`` for documents."""
    return {**dict(paths_of(parts.statepoint, STATEPOINT)), **dict(paths_of(parts.document, DOCUMENT))}


def paths_of(values: Values, namespace: str) -> Iterator[tuple[str, Any]]:
    """Yield path and value of each leaf."""
    for path, value in leaves(values):
        is_plain = namespace == STATEPOINT and path[:1] not in _NAMED and path != (ID,)
        yield joined(path if is_plain else (namespace, *path)), value


def _parts(project: Project, job: str) -> Parts:
    problems = []
    statepoint: Values = {}
    try:
        statepoint = project.space.index.statepoint(job)
    except answer(JobsCorruptedError):
        problems.append("The state point is damaged: `perkey space` and Project.repair() can mend it.")
    document, problem = _document(project, job)
    return Parts(job, statepoint, document, (*problems, *([problem] if problem else ())))


def _document(project: Project, job: str) -> tuple[Values, str]:
    path = os.path.join(project.space.workspace.path, job, FN_DOCUMENT)
    return _guarded(path, lambda: project.space.documents(job))


def _guarded(path: str, read: Callable[[], Values]) -> tuple[Values, str]:
    """Return a document, and why it cannot be read if so; a large file is not read."""
    try:
        size = os.stat(path).st_size
        if size > LARGEST_DOCUMENT:
            return (
                {},
                f"The document is not read: it has {size:,} bytes, and {LARGEST_DOCUMENT:,} is the limit.",
            )
        return read(), ""
    except system_answer(FileNotFoundError, NotADirectoryError) as error:
        return {}, f"The document is a link that leads nowhere: {error}" if os.path.islink(path) else ""
    except answer(CorruptValueError, OSError, RecursionError) as error:
        return {}, f"The document cannot be read: {error}"


def _is_near(own: Mapping[Any, Any], other: Values) -> bool:
    """Return whether a state point has the same keys, and one other value."""
    different = 0
    count = 0
    for path, value in leaves(other):
        count += 1
        if path not in own:
            return False
        if own[path] != value:
            different += 1
            if different > 1:
                return False
    return count == len(own)


def _order(value: Any) -> tuple[int, Any]:
    """Return what sorts values of all types: numbers, texts, then all others by their JSON."""
    if isinstance(value, int | float):
        return (0, value) if value == value else (1, 0)  # noqa: PLR0124 - NaN has no order
    if isinstance(value, str):
        return 2, value
    return 3, json.dumps(value, sort_keys=True, default=repr)
