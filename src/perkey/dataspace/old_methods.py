"""Old names of what a project does, for programs written for signac."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from perkey.dataspace.job import Job
from perkey.dataspace.legacy import deprecated, refuse_index, replaced
from perkey.dataspace.selection import Selection
from perkey.dataspace.statepoints import StatePoints


class LegacyProject(Selection, StatePoints):
    """The old names of what a project does."""

    if not TYPE_CHECKING:

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
                entries: dict[str, dict[str, Any]] = self.read_statepoints(fn)
            except FileNotFoundError:
                entries = {}
            return entries[jobid]

    def find_job_ids(
        self,
        filter: Mapping[str, Any] | None = None,
        doc_filter: Mapping[str, Any] | None = None,
        index: None = None,
    ) -> list[str]:
        """Return the ids of the jobs that match. Deprecated: `Project.find_jobs`."""
        refuse_index(index)
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
