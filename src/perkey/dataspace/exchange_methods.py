"""Export, import and views, as methods of projects and of the jobs that a search finds."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from perkey.dataspace.legacy import refuse_index

if TYPE_CHECKING:
    from perkey.dataspace.exchange.discovery import Schema
    from perkey.dataspace.exchange.paths import PathSpec
    from perkey.dataspace.space import CopyTree


class ExportedJobs:
    """What the jobs of a search do with other places; see `JobsCursor`."""

    def export_to(
        self: Any,
        target: str | os.PathLike[str],
        path: PathSpec = None,
        copytree: CopyTree | None = None,
    ) -> dict[str, str]:
        """Export these jobs to a folder or an archive; as `Project.export_to`."""
        from perkey.dataspace.exchange.export import export_jobs  # noqa: PLC0415 - archives are seldom needed

        return export_jobs(self._project, self.ids(), target, path, copytree)


class ExchangingProject:
    """What a project does with other places; see `Project`."""

    def export_to(
        self: Any,
        target: str | os.PathLike[str],
        path: PathSpec = None,
        copytree: CopyTree | None = None,
    ) -> dict[str, str]:
        """Export all jobs to a folder or an archive, under paths that tell their state points.

        It appears when it is complete; what fails leaves nothing. Only with a `copytree`, jobs appear one by
        one, and those that were exported stay if a later one fails.

        Relative links within a job stay links; others become what they lead to.

        Args:
            target: A new or empty folder, or a new file: ``.zip``, ``.tar``, ``.tar.gz`` (or ``.tgz``,
                ``.gz``), ``.tar.bz2`` (``.bz2``) or ``.tar.xz`` (``.xz``).
            path: The path of each job: a format string, in which ``{a.b}`` is a key of the state point,
                ``{job.id}``, ``{job.sp.a}`` and ``{job.doc.b}`` attributes of the job, and ``{{auto}}`` all
                keys that differ and are not named otherwise (``{{auto:_}}`` with another separator); or a
                function of the job; or False for the ids. By default ``{{auto}}``, with the ids where that
                is not enough.
            copytree: For folders: what copies a job, as `shutil.copytree`. `shutil.move` and `os.replace`
                move jobs, each of which is in one place, or for a moment in both.

        Returns:
            The path of each job in the target, by the path of its folder.

        Raises:
            FileExistsError: The target exists; nothing was changed.
            ExchangePathError: Paths clash or lead out of the target; nothing was changed.
            ValueError: A `copytree` for an archive.
            JobsCorruptedError: The state point of a job cannot be read.
        """
        found: dict[str, str] = self.find_jobs().export_to(target, path, copytree)
        return found

    def import_from(
        self: Any,
        origin: str | os.PathLike[str] | None = None,
        schema: Schema = None,
        sync: bool | Mapping[str, Any] | None = None,
        copytree: CopyTree | None = None,
    ) -> dict[str, str]:
        """Import the jobs that are in a folder or an archive, with all their files.

        All is looked at, and copied, before the first job appears. If several processes import the same at
        once, some of a later one's jobs may have appeared before it fails.

        Archives are extracted safely: an absolute path, one with ``..``, a link that leads out, or a device
        raises `ArchiveError`, and nothing is left of it.

        Args:
            origin: The folder or archive, by default the working directory.
            schema: How jobs are recognised: by default by the state-point files in them; by a path such as
                ``foo/{foo:int}/{n.bar}`` with types ``str``, ``int``, ``float`` and ``bool``; or by a
                function of the path of a folder, which returns its state point or None.
            sync: Whether jobs that exist are synchronised, folders within included, as `sync` does; or the
                arguments for that. A conflict leaves the project and the origin as they were.
            copytree: For folders: what copies a job, as `shutil.copytree`. `shutil.move` and `os.replace`
                move jobs.

        Returns:
            The path of each job in this project, by its path in the origin.

        Raises:
            DestinationExistsError: There is such a job, and `sync` was not asked for; nothing was changed.
            StatepointParsingError: A state point cannot be read, contradicts the schema, or belongs to two
                folders; nothing was changed.
            FileNotFoundError: There is no such origin.
            ArchiveError: It is no archive, or damaged, or not safe.
            ValueError: The schema makes no sense.
        """
        from perkey.dataspace.exchange.importing import import_jobs  # noqa: PLC0415 - archives are seldom needed

        return import_jobs(self, origin, schema, sync, copytree)

    def create_linked_view(
        self: Any,
        prefix: str | os.PathLike[str] | None = None,
        job_ids: Iterable[str] | None = None,
        index: None = None,
        path: PathSpec = None,
    ) -> dict[str, str]:
        """Make or update a folder of paths that tell state points, each with a relative link ``job``.

        Links to jobs that are not in the view any more are removed, with the folders that held nothing else.
        Files and links of others in that folder stay.

        Args:
            prefix: The folder, by default ``view`` in the working directory.
            job_ids: The jobs, by default all.
            index: Not supported: use `job_ids`.
            path: As for `export_to`.

        Returns:
            The path of each link, by the path of its job's folder.

        Raises:
            FileExistsError: Something else is where a link must be; nothing was changed.
            ExchangePathError: Paths clash or lead out of the view; nothing was changed.
            KeyError: There is no such job.
        """
        from perkey.dataspace.exchange.views import link_jobs  # noqa: PLC0415 - seldom needed

        refuse_index(index)
        jobs = None if job_ids is None else {job: self._index.statepoint(job) for job in map(str, job_ids)}
        statepoints = self._index.all() if jobs is None else jobs
        return link_jobs(self, statepoints, os.fspath(prefix or "view"), path)
