"""Names that signac has given up: those that still work here, and what replaces the others."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from perkey.dataspace.errors import DataspaceDeprecationWarning

if TYPE_CHECKING:
    from perkey.dataspace.cursor import JobsCursor
    from perkey.dataspace.index import Index
    from perkey.dataspace.job import Job

_INDEXING: Final = "the index is built in: use find_jobs(), or a Collection for documents of your own"
_MIRRORS: Final = "copy files with Project.export_to(), Project.sync() or the tools of your system"
_HOSTS: Final = "use a client of the database itself; perkey has no host configuration"

REPLACED: Final[Mapping[str, str]] = {
    "index": _INDEXING,
    "index_files": _INDEXING,
    "build_job_search_index": _INDEXING,
    "build_job_statepoint_index": "use detect_schema()",
    "create_access_module": _INDEXING,
    "RegexFileCrawler": _INDEXING,
    "MainCrawler": _INDEXING,
    "MasterCrawler": _INDEXING,
    "SignacProjectCrawler": _INDEXING,
    "fetch": _MIRRORS,
    "export": _MIRRORS,
    "export_one": _MIRRORS,
    "export_to_mirror": _MIRRORS,
    "export_pymongo": _MIRRORS,
    "fs": _MIRRORS,
    "FetchError": _MIRRORS,
    "ExportError": _MIRRORS,
    "get_database": _HOSTS,
    "db": _HOSTS,
    "AuthenticationError": _HOSTS,
}
"""Names of signac that are not rebuilt, and what to use instead."""


def replaced(owner: str, name: str) -> AttributeError:
    """Return the error for a name that does not exist, with what replaces it, if it was signac's."""
    advice = f"; it is not part of perkey: {REPLACED[name]}" if name in REPLACED else ""
    return AttributeError(f"{owner} has no attribute {name!r}{advice}")


def deprecated(old: str, new: str) -> None:
    """Warn the caller's caller that a name is kept for old programs only."""
    warnings.warn(f"{old} is deprecated: use {new}", DataspaceDeprecationWarning, stacklevel=3)


class LegacyProject:
    """The old names of what a project does."""

    _index: Index

    if TYPE_CHECKING:

        @property
        def id(self) -> str:
            """The project's name."""
            ...

        def find_jobs(
            self, filter: Mapping[str, Any] | None = None, doc_filter: Mapping[str, Any] | None = None
        ) -> JobsCursor:
            """Return the jobs that match a filter."""
            ...

    else:

        def __getattr__(self, name: str) -> Any:
            """Say what replaces a name of signac that is not rebuilt."""
            raise replaced(type(self).__name__, name)

    def get_id(self) -> str:
        """Return the project's name. Deprecated: `Project.id`."""
        deprecated("Project.get_id()", "Project.id")
        return self.id

    def get_statepoint(self, jobid: str, fn: str | None = None) -> dict[str, Any]:
        """Return the state point of a job, or of an id in a state-point file. Deprecated.

        Raises:
            KeyError: There is none.
        """
        deprecated("Project.get_statepoint()", "Project.open_job(id=...).statepoint()")
        try:
            return dict(self._index.statepoint(jobid))
        except KeyError:
            try:
                entries: dict[str, dict[str, Any]] = self.read_statepoints(fn)  # type: ignore[attr-defined]
            except FileNotFoundError:
                entries = {}
            return entries[jobid]

    def find_job_ids(
        self, filter: Mapping[str, Any] | None = None, doc_filter: Mapping[str, Any] | None = None
    ) -> list[str]:
        """Return the ids of the jobs that match. Deprecated: `Project.find_jobs`."""
        deprecated("Project.find_job_ids()", "[job.id for job in Project.find_jobs()]")
        return [job.id for job in self.find_jobs(filter, doc_filter)]

    def reset_statepoint(self, job: Job, new_statepoint: Mapping[str, Any]) -> None:
        """Give a job another state point. Deprecated: `Job.reset_statepoint`."""
        deprecated("Project.reset_statepoint()", "Job.reset_statepoint()")
        job.reset_statepoint(new_statepoint)

    def update_statepoint(self, job: Job, update: Mapping[str, Any], overwrite: bool = False) -> None:
        """Change a job's state point. Deprecated: `Job.update_statepoint`."""
        deprecated("Project.update_statepoint()", "Job.update_statepoint()")
        job.update_statepoint(update, overwrite)
