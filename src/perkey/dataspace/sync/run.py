"""Synchronising jobs and projects: bringing one up to date with another, as `rsync` does with folders.

Everything is planned first: missing files, differences, and which version wins. Only if there is a rule for
each difference, anything is changed. So a conflict changes nothing. Then

- a job that is missing is copied beside the others and renamed into its place, so it appears as a whole;
- a file is copied beside its place and renamed, so readers see the old one or the new one;
- documents are merged as one atomic edit, so that no edit of another process is lost.

What was killed on the way can be run again, and does the rest.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeVar

from perkey.dataspace.errors import DestinationExistsError, SchemaSyncConflict
from perkey.dataspace.search import ProjectSchema
from perkey.dataspace.space import Space, settle_all
from perkey.dataspace.sync.plan import (
    Exclude,
    FileTransferStats,
    FolderPlan,
    JobPlan,
    Policy,
    SyncPlan,
    plan_job,
    plan_project,
)
from perkey.dataspace.sync.strategies import DocStrategy, DocSync, FileStrategy, FileSync, JobPlace, Place
from perkey.files.trees import Compare, Rules, copy_all
from perkey.parallel import map_unordered
from perkey.synced import transform

A = TypeVar("A")
R = TypeVar("R")

__all__ = [
    "DocSync",
    "FileSync",
    "FileTransferStats",
    "SyncPlan",
    "sync_jobs",
    "sync_projects",
]


def sync_jobs(  # noqa: PLR0917 - signac's parameters
    src: JobPlace,
    dst: JobPlace,
    strategy: FileStrategy | None = None,
    exclude: Exclude = None,
    doc_sync: DocStrategy | str | bool | None = None,
    recursive: bool = False,
    follow_symlinks: bool = True,
    preserve_permissions: bool = False,
    preserve_times: bool = False,
    preserve_owner: bool = False,
    preserve_group: bool = False,
    deep: bool = False,
    dry_run: bool = False,
    *,
    compare: Compare = "quick",
) -> SyncPlan:
    """Bring one job up to date with another, and return the report.

    Args:
        src: The job to copy from.
        dst: The job to copy to; its state point may be another, and stays.
        strategy: Decides about files that differ: one of `FileSync`, or a function of `src`, `dst` and the
            file's path in the job, which returns whether to overwrite. None raises a conflict.
        exclude: A regular expression, or several; a file is left out if one matches the beginning of its
            name or of its path in the job.
        doc_sync: One of `DocSync`, or a function of both documents, as plain dictionaries, which changes the
            second one; it is called again if that was changed meanwhile. None adds keys, and raises a
            conflict for a key whose values differ.
        recursive: Whether folders in the job are synchronised, too.
        follow_symlinks: Whether what links lead to is copied, instead of links.
        preserve_permissions: Whether copies have the permissions of their sources.
        preserve_times: Whether they have their times; only together with permissions.
        preserve_owner: Whether they have their owners; needs the right to do that.
        preserve_group: Whether they have their groups; needs the right to do that.
        deep: Whether files are the same only if their contents are: ``compare="content"``.
        dry_run: Whether to print what would be done, and change nothing.
        compare: When files are the same. ``"quick"``: size and time agree, else the contents do.
            ``"content"``: by their contents. ``"size"``: their sizes agree. ``"rounded"``: as quick, with
            times in whole seconds.

    Raises:
        FileSyncConflict: A file differs, and no strategy was given; or a file is a folder in the other job
            and was to be overwritten. Nothing was changed.
        DocumentSyncConflict: The values of a key differ. Nothing was changed, unless the document was
            changed by another at this very moment; then files may have been copied.
        ValueError: `src` is not initialised, or the same as `dst`; or an argument makes no sense.
    """
    if src == dst:
        raise ValueError("source and destination are the same job")
    preserved = (preserve_permissions, preserve_times, preserve_owner, preserve_group)
    rules = Rules(recursive, follow_symlinks, *preserved, "content" if deep else compare)
    policy = Policy.of(strategy, exclude, doc_sync, rules)
    settle_all()
    plan = SyncPlan(each for each in [plan_job(src, dst, policy)] if each)
    return _carry_out(plan, policy, dry_run=dry_run, workers=1)


def sync_projects(  # noqa: PLR0917 - signac's parameters
    source: Place,
    destination: Place,
    strategy: FileStrategy | None = None,
    exclude: Exclude = None,
    doc_sync: DocStrategy | str | bool | None = None,
    selection: Iterable[object] | None = None,
    check_schema: bool = True,
    recursive: bool = False,
    follow_symlinks: bool = True,
    preserve_permissions: bool = False,
    preserve_times: bool = False,
    preserve_owner: bool = False,
    preserve_group: bool = False,
    deep: bool = False,
    dry_run: bool = False,
    parallel: bool | int = False,
    collect_stats: bool = False,
    *,
    compare: Compare = "quick",
) -> FileTransferStats | None:
    """Bring a project up to date with another: its jobs, and its document.

    Jobs that are missing are copied with everything but what is excluded; others as by `sync_jobs`, which
    describes what is not described here.

    Args:
        source: The project to copy from.
        destination: The project to copy to.
        strategy: Decides about files that differ.
        exclude: Which files are left out.
        doc_sync: What becomes of documents.
        selection: Jobs or ids; all other jobs are left alone.
        check_schema: Whether both projects, if they have jobs, must have the same schema, values included.
        recursive: Whether folders in the jobs are synchronised, too.
        follow_symlinks: Whether what links lead to is copied.
        preserve_permissions: As for `sync_jobs`.
        preserve_times: As for `sync_jobs`.
        preserve_owner: As for `sync_jobs`.
        preserve_group: As for `sync_jobs`.
        deep: As for `sync_jobs`.
        dry_run: Whether to print what would be done, and change nothing.
        parallel: In how many threads; True is one for each processor.
        collect_stats: Whether to return what was copied, or in a dry run would be.
        compare: As for `sync_jobs`.

    Raises:
        SchemaSyncConflict: The schemata differ; nothing was changed.
        FileSyncConflict, DocumentSyncConflict: As for `sync_jobs`; nothing was changed in any job.
        ValueError: Source and destination are the same project.
        JobsCorruptedError: The state point of a job cannot be read; nothing was changed.
    """
    if source == destination:
        raise ValueError("source and destination are the same project")
    preserved = (preserve_permissions, preserve_times, preserve_owner, preserve_group)
    rules = Rules(recursive, follow_symlinks, *preserved, "content" if deep else compare)
    policy = Policy.of(strategy, exclude, doc_sync, rules)
    if check_schema:
        _check_schema(source.space, destination.space)
    settle_all()
    workers = (os.cpu_count() or 1) if parallel is True else max(int(parallel), 1)
    if workers > 1:
        policy = policy.one_at_a_time()
    plan = _plan(source, destination, policy, selection, workers)
    done = _carry_out(plan, policy, dry_run=dry_run, workers=workers)
    return done.stats if collect_stats else None


def _check_schema(source: Space, destination: Space) -> None:
    here, there = source.index.all(), destination.index.all()
    schemata = ProjectSchema.detect(here.values()), ProjectSchema.detect(there.values())
    if here and there and schemata[0] != schemata[1]:
        raise SchemaSyncConflict(*schemata)


def _plan(
    source: Place,
    destination: Place,
    policy: Policy,
    selection: Iterable[object] | None,
    workers: int,
) -> SyncPlan:
    statepoints = source.space.index.all()
    chosen = None if selection is None else {str(each) for each in selection}
    jobs = sorted(statepoints if chosen is None else chosen & statepoints.keys())

    def plan(job: str) -> FolderPlan:
        statepoint = statepoints[job]
        make, make_there = source.space.make_job, destination.space.make_job
        return plan_job(make(job, statepoint), make_there(job, statepoint), policy)

    plans = [plan_project(source, destination, policy), *_each(plan, jobs, workers)]
    found = [each for each in plans if each]
    return SyncPlan(sorted(found, key=lambda each: str(each.target.path)))


def _carry_out(plan: SyncPlan, policy: Policy, *, dry_run: bool, workers: int) -> SyncPlan:
    if dry_run:
        print(plan)  # noqa: T201 - a dry run is for looking at
        return plan
    return SyncPlan(_each(partial(_apply, policy=policy), plan, workers))


def _each(function: Callable[[A], R], arguments: Iterable[A], workers: int) -> Iterator[R]:
    """Yield the results of a function; the first error is raised when what is under way is done."""
    if workers == 1:
        yield from map(function, arguments)
        return
    for _, result in map_unordered(function, arguments, workers=workers, discard=lambda _: None):
        if isinstance(result, Exception):
            raise result
        yield result


def _apply(plan: FolderPlan, policy: Policy) -> FolderPlan:
    """Do what is planned, and return the report."""
    if isinstance(plan, JobPlan) and plan.is_new:
        try:
            _clone(plan, policy)
        except DestinationExistsError:
            # Another process made the job meanwhile: bring that job up to date.
            return _apply(plan_job(plan.source, plan.target, policy), policy)
        return plan
    if isinstance(plan, JobPlan):
        plan.target.init()
    durable = plan.target.space.durable
    copy_all(plan.copies, plan.source.path, plan.target.path, policy.rules, durable=durable)
    if plan.merge is not None:
        transform(plan.target.document, plan.merge)
    return plan


def _clone(plan: JobPlan, policy: Policy) -> None:
    jobs = plan.target.space.workspace
    staging = jobs.stage(copy=True)
    try:
        copy_all(plan.copies, plan.source.path, staging, policy.rules, durable=jobs.durable, private=True)
        jobs.publish(staging, plan.target.id)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
