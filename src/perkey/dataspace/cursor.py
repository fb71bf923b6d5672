"""The jobs that match a filter: to be iterated over, counted, grouped and tabulated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, overload

from perkey.dataspace.job import Job
from perkey.dataspace.legacy import deprecated
from perkey.dataspace.search import JobFilter, by_document, by_job, group, jobs_html, to_dataframe
from perkey.handles import NeverSame, unlike_any

if TYPE_CHECKING:
    from perkey.dataspace.exchange.paths import PathSpec
    from perkey.dataspace.space import CopyTree, StrPath


class JobsCursor(NeverSame):
    """The jobs of a project that match a filter; see `Project.find_jobs`.

    Each iteration, and each ``len()``, searches again, so the result is current. An iteration yields the
    jobs that existed when it began.

    Args:
        project: The project.
        filter: The filter, None for all jobs.
        doc_filter: A filter of documents. Deprecated, write ``doc.`` paths.
    """

    def __init__(
        self,
        project: Any,
        filter: Mapping[str, Any] | None = None,
        doc_filter: Mapping[str, Any] | None = None,
    ) -> None:
        if doc_filter is not None:
            deprecated("doc_filter", "paths that begin with 'doc.' in the filter")
        self._project = project
        self._filter = filter
        self._doc_filter = doc_filter
        self._compiled = JobFilter(filter, doc_filter)
        self._found: tuple[list[str], list[str]] | None = None
        self._ahead: list[str] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle or a copy holds: a filter is parsed anew there, and searched anew."""
        own = {"_compiled": None, "_found": None, "_ahead": None}
        return {**self.__dict__, **own, "_unique": unlike_any()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        del state["_unique"]  # which makes pickles differ
        self.__dict__.update(state)
        self._compiled = JobFilter(self._filter, self._doc_filter)

    def ids(self) -> list[str]:
        """Return the ids of the jobs; do not change the list.

        Raises:
            JobsCorruptedError: The filter asks about state points, and those of some jobs cannot be read.
        """
        present: list[str] = self._project.space.index.ids()
        if self._compiled.is_open:
            return present
        if self._compiled.asks_documents or self._found is None or self._found[0] is not present:
            # State points never change: the answer holds as long as the jobs are the same.
            self._found = present, self._search(present)
        return self._found[1]

    def _search(self, present: list[str]) -> list[str]:
        space, compiled = self._project.space, self._compiled
        statepoints: Mapping[str, Any] = {}
        if compiled.prefilter is not None:
            statepoints = space.index.holding(compiled.prefilter, present)
        elif compiled.asks_statepoints:
            statepoints = space.index.all(present)
        # A job that was removed while they were read has no state point.
        jobs = list(statepoints) if compiled.asks_statepoints else present
        if not compiled.asks_documents:
            return compiled.select(jobs, statepoints, space.documents)
        with space.documents.many(present):
            return compiled.select(jobs, statepoints, space.documents)

    def __iter__(self) -> Iterator[Job]:
        project = self._project
        return (project.job_class(project, _id=job) for job in list(self.ids()))

    def _jobs(self, ids: Iterable[str]) -> Iterator[Job]:
        project = self._project
        return (project.job_class(project, _id=job) for job in ids)

    def __len__(self) -> int:
        return len(self.ids())

    def __bool__(self) -> bool:
        """Return whether any job matches."""
        return len(self) > 0

    def __contains__(self, job: object) -> bool:
        """Return whether a job is among them; reads only this job."""
        if job not in self._project or not isinstance(job, Job):
            return False
        space = self._project.space
        statepoints = {job.id: space.index.statepoint(job.id)}
        return bool(self._compiled.select([job.id], statepoints, space.documents))

    @overload
    def __getitem__(self, position: int) -> Job: ...
    @overload
    def __getitem__(self, position: slice) -> list[Job]: ...
    def __getitem__(self, position: int | slice) -> Job | list[Job]:
        """Return one of the jobs, or a list of several; their order is that of iteration."""
        project, ids = self._project, self.ids()
        if isinstance(position, slice):
            return list(self._jobs(ids[position]))
        job: Job = project.job_class(project, _id=ids[position])
        return job

    def next(self) -> Job:
        """Return the next job; after the last job begin again. Deprecated: iterate over the cursor.

        Raises:
            StopIteration: All jobs were returned.
        """
        deprecated("JobsCursor.next()", "for job in jobs, or next() of iter(jobs)")
        if self._ahead is None:
            self._ahead = self.ids()[::-1]
        if not self._ahead:
            self._ahead = None
            raise StopIteration
        job: Job = self._project.job_class(self._project, _id=self._ahead.pop())
        return job

    def groupby(self, key: Any = None, default: Any = None) -> Iterator[tuple[Any, Iterator[Job]]]:
        """Group the jobs, and yield each key, in order, with its jobs.

        Args:
            key: A path (``a``, ``sp.a.b``, ``doc.c``), a list or tuple of paths, whose values are the key as
                a tuple, or a function of the job; None puts each job into a group of its own, by id.
            default: What stands for a value that a job does not have; without one, such jobs are left out.

        Raises:
            TypeError: The key has another type.
        """
        return self._grouped(by_job(self._project.space, key, default))

    def groupbydoc(self, key: Any = None, default: Any = None) -> Iterator[tuple[Any, Iterator[Job]]]:
        """Group the jobs by values of their documents, as `groupby`. Deprecated: ``doc.`` paths there.

        Args:
            key: As for `groupby`, with paths in the document, or a function of the document.
            default: As for `groupby`.
        """
        deprecated("groupbydoc()", "groupby() with paths that begin with 'doc.'")
        return self._grouped(by_document(self._project.space, key, default))

    def _grouped(self, key_of: Callable[[str], Any]) -> Iterator[tuple[Any, Iterator[Job]]]:
        groups = group(self._project.space, self.ids(), key_of)
        return ((key, self._jobs(members)) for key, members in groups)

    def export_to(
        self, target: StrPath, path: PathSpec = None, copytree: CopyTree | None = None
    ) -> dict[str, str]:
        """Export these jobs to a folder or an archive; as `Project.export_to`."""
        from perkey.dataspace.exchange.export import export_jobs  # noqa: PLC0415 - archives are seldom needed

        return export_jobs(self._project.space, self.ids(), target, path, copytree)

    def to_dataframe(
        self,
        sp_prefix: str = "sp.",
        doc_prefix: str = "doc.",
        usecols: Any = None,
        flatten: bool = False,
    ) -> Any:
        """Return state points and documents as a pandas data frame, a row a job, labelled by its id.

        Args:
            sp_prefix: What the columns of state points begin with.
            doc_prefix: What the columns of documents begin with.
            usecols: The names of the columns wanted, or a function of a name; by default all.
            flatten: Whether nested values get columns of their own, with dots in their names.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        return to_dataframe(
            self._project.space, self.ids(), (sp_prefix, doc_prefix), usecols, flatten=flatten
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, JobsCursor):
            return NotImplemented
        mine = (self._project, self._filter, self._doc_filter)
        return mine == (other._project, other._filter, other._doc_filter)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(project={self._project!r}, filter={self._filter!r})"

    def _repr_html_(self) -> str:
        """Return the first of these jobs as a table for a notebook; no search is made for it."""
        found = None if self._found is None else self._found[1]
        return jobs_html(type(self).__name__, self._project.space, self._compiled, found, self.__repr__)
