"""Choosing jobs of a project: by state point, id or filter, and what may be said of them together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, Any, cast

from perkey.dataspace.cursor import JobsCursor
from perkey.dataspace.handle import Handle
from perkey.dataspace.job import Job
from perkey.dataspace.legacy import refuse_index
from perkey.dataspace.search import ProjectSchema, neighbors_of
from perkey.dataspace.space import ID_LENGTH, is_job_id

if TYPE_CHECKING:
    from perkey.dataspace.project import Project


class Selection(Handle):
    """The jobs of a project; see `Project`."""

    job_class: type[Job] = Job
    """The class of the jobs; a subclass of `Project` may have another."""

    @property
    def _project(self) -> Project:
        return cast("Project", self)

    def open_job(self, statepoint: Mapping[str, Any] | None = None, id: str | None = None) -> Job:
        """Return a handle on the job of a state point, or of an id.

        Args:
            statepoint: The state point; the job need not exist.
            id: The id of an existing job, or the beginning of it, if that is enough.

        Raises:
            ValueError: Not one of both was given.
            TypeError: The state point is no mapping, or JSON has no form for a part of it.
            KeyError: There is no such job.
            LookupError: There are several jobs whose ids begin like this.
        """
        if (statepoint is None) == (id is None):
            raise ValueError("a job is opened by its state point or by its id, by one of both")
        if statepoint is not None:
            return self.job_class(self._project, statepoint)
        return self.job_class(self._project, _id=self._complete(str(id)))

    def _complete(self, beginning: str) -> str:
        if len(beginning) < ID_LENGTH:
            found = [job for job in self._index.ids() if job.startswith(beginning)]
            if len(found) > 1:
                raise LookupError(f"{beginning!r} is the beginning of the ids of {len(found)} jobs")
            if found:
                return found[0]
        elif is_job_id(beginning) and beginning in self._jobs:
            return beginning
        raise KeyError(beginning)

    def min_len_unique_id(self) -> int:
        """Return how many characters of an id are enough to tell all jobs apart.

        Cost: as a listing, and sorting the ids.
        """
        ids = sorted(self._index.ids())
        return max((_common(*pair) + 1 for pair in pairwise(ids)), default=0)

    def find_jobs(
        self, filter: Mapping[str, Any] | None = None, doc_filter: Mapping[str, Any] | None = None
    ) -> JobsCursor:
        """Return the jobs that match a filter; `perkey.query` describes the language.

        Paths that begin with ``doc.`` speak of the jobs' documents, all others, and those that begin with
        ``sp.``, of their state points.

        Args:
            filter: The filter; None is all jobs.
            doc_filter: A filter whose paths all speak of documents. Deprecated, write ``doc.`` paths.

        Raises:
            TypeError, ValueError: It is no filter.
        """
        return JobsCursor(self._project, filter, doc_filter)

    def __iter__(self) -> Iterator[Job]:
        return iter(self.find_jobs())

    def __len__(self) -> int:
        return len(self._index.ids())

    def __bool__(self) -> bool:
        """A project without jobs is one, too."""
        return True

    def __contains__(self, job: object) -> bool:
        """Tell whether a job is initialised here; one system call, however many jobs there are."""
        return isinstance(job, Job) and job.id in self._jobs

    def num_jobs(self) -> int:
        """Return the number of jobs; the same as ``len(project)``."""
        return len(self)

    def groupby(self, key: Any = None, default: Any = None) -> Iterator[tuple[Any, Iterator[Job]]]:
        """Group all jobs; as `JobsCursor.groupby`."""
        return self.find_jobs().groupby(key, default)

    def groupbydoc(self, key: Any = None, default: Any = None) -> Iterator[tuple[Any, Iterator[Job]]]:
        """Group all jobs by their documents; as `JobsCursor.groupbydoc`. Deprecated."""
        return self.find_jobs().groupbydoc(key, default)

    def to_dataframe(self, *args: Any, **kwargs: Any) -> Any:
        """Return all jobs as a data frame; as `JobsCursor.to_dataframe`."""
        return self.find_jobs().to_dataframe(*args, **kwargs)

    def get_neighbors(self, ignore: str | Iterable[str] = ()) -> dict[str, dict[str, dict[Any, str]]]:
        """Return for each job the jobs whose state points differ from its own in one value only.

        Args:
            ignore: Keys that may differ, too: those that change together with others.

        Returns:
            By the id of each job, and the path of each key that it has and that is not the same in all jobs:
            the ids of the jobs with the next smaller and the next larger value, by that value (lists as
            tuples), as far as there are such jobs.

        Raises:
            ValueError: Without the keys to ignore, jobs could not be told apart.
            JobsCorruptedError: The state points of some jobs cannot be read.
        """
        return neighbors_of(self._index.all(), [ignore] if isinstance(ignore, str) else list(ignore))

    def detect_schema(
        self,
        exclude_const: bool = False,
        subset: Iterable[Job | str] | None = None,
        index: None = None,
    ) -> ProjectSchema:
        """Return which keys the state points have, of which types and with which values.

        Args:
            exclude_const: Whether to leave out keys that have one value, the same in all jobs.
            subset: Look at these jobs (or ids) only.
            index: Not supported: use `subset`.

        Raises:
            JobsCorruptedError: The state points of some jobs cannot be read.
        """
        refuse_index(index)
        if subset is None:
            return ProjectSchema.detect(self._index.all().values(), exclude_const=exclude_const)
        jobs = [job if isinstance(job, str) else job.id for job in subset]
        statepoints = [self._index.statepoint(job) for job in jobs]
        return ProjectSchema.detect(statepoints, exclude_const=exclude_const)


def _common(one: str, other: str) -> int:
    """Return the length of the beginning that two texts share."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
