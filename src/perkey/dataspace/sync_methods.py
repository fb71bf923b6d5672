"""Synchronisation, as methods of projects and jobs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from perkey.dataspace.sync import (
    DocStrategy,
    Exclude,
    FileStrategy,
    FileTransferStats,
    sync_jobs,
    sync_projects,
)

if TYPE_CHECKING:
    from perkey.dataspace.job import Job
    from perkey.dataspace.project import Project


class SyncedProject:
    """What a project does with another; see `Project`."""

    def sync(
        self: Any,
        other: Project,
        strategy: FileStrategy | None = None,
        exclude: Exclude = None,
        doc_sync: DocStrategy | str | bool | None = None,
        selection: Iterable[Job | str] | None = None,
        **kwargs: Any,
    ) -> FileTransferStats | None:
        """Bring this project up to date with another; all is checked before anything is changed.

        Args:
            other: The project to copy from.
            strategy: Decides about files that differ; one of `sync.FileSync`, or a function.
            exclude: Regular expressions of files that are left out.
            doc_sync: What becomes of documents; one of `sync.DocSync`, or a function.
            selection: Jobs or ids; others are left alone.
            **kwargs: As for `sync.sync_projects`, which describes everything.

        Raises:
            FileSyncConflict, DocumentSyncConflict, SchemaSyncConflict: They differ, and there is no rule.
        """
        return sync_projects(other, self, strategy, exclude, doc_sync, selection, **kwargs)


class SyncedJob:
    """What a job does with another; see `Job`."""

    def sync(
        self: Any,
        other: Job,
        strategy: FileStrategy | None = None,
        exclude: Exclude = None,
        doc_sync: DocStrategy | str | bool | None = None,
        **kwargs: Any,
    ) -> None:
        """Bring this job up to date with another; all is checked before anything is changed.

        Args:
            other: The job to copy from.
            strategy: Decides about files that differ; one of `sync.FileSync`, or a function.
            exclude: Regular expressions of files that are left out.
            doc_sync: What becomes of documents; one of `sync.DocSync`, or a function.
            **kwargs: As for `sync.sync_jobs`, which describes everything.

        Raises:
            FileSyncConflict, DocumentSyncConflict: They differ, and there is no rule.
        """
        sync_jobs(other, self, strategy, exclude, doc_sync, **kwargs)
