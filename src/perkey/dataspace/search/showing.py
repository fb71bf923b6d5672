"""Jobs as tables for notebooks: of the first jobs only, each read by itself, so that no index is built."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, Final

from perkey.answers import answer, system_answer
from perkey.dataspace.search.filter import JobFilter
from perkey.dataspace.space import FN_DOCUMENT, FN_STATEPOINT, Space
from perkey.errors import CorruptValueError, counted
from perkey.files import OURS
from perkey.showing import ROWS, Markup, count_text, escaped, page, shown, size_text, table, value_text

_JOBS: Final = 10
"""How many jobs are shown."""

_READ: Final = 100
"""How many jobs are read to find those that match a filter."""

_COLUMNS: Final = 12


def project_html(title: str, space: Space, text: Callable[[], str]) -> str:
    """Return a project and its first jobs for a notebook.

    Args:
        title: Its class and name.
        space: The space of the project.
        text: Returns its text, which is shown if the workspace cannot be listed.

    Cost: one listing of at most 1,000 entries of the workspace, and two files for each job that is shown.
    """

    def build() -> str:
        notes = [f"workspace: {space.workspace.path}"]
        return page(title, space.config.root, notes, [_first_jobs(space)])

    return shown(build, text)


def jobs_html(
    title: str, space: Space, jobs: JobFilter, last: list[str] | None, text: Callable[[], str]
) -> str:
    """Return the first jobs that match a filter for a notebook.

    Args:
        title: The class of the cursor.
        space: The space of the project.
        jobs: The filter.
        last: The jobs that the last search found, if there was one; then the workspace is not listed.
        text: Returns the text of the cursor.

    Cost: as `project_html`; with a filter that was not searched for, the files of at most 100 jobs.
    """

    def build() -> str:
        if last is not None:
            found_text = f"{count_text('job', len(last[:_JOBS]), len(last), complete=True)} (last search)"
            part = _jobs_table(space, last[:_JOBS], found_text)
        else:
            part = _first_jobs(space) if jobs.is_open else _first_matches(space, jobs)
        return page(title, space.config.root, [text()], [part])

    return shown(build, text)


def job_html(
    title: str, space: Space, job: str, statepoint: Mapping[str, Any] | None, text: Callable[[], str]
) -> str:
    """Return a job for a notebook: state point, document and the names of the first files.

    Args:
        title: Its class and id.
        space: The space of the project.
        job: The id.
        statepoint: The state point, if the handle knows it.
        text: Returns the text of the job.

    Cost: two small files, and one listing of at most 20 entries of the job's folder.
    """

    def build() -> str:
        known = space.workspace.foreign_statepoint(job) if statepoint is None else statepoint
        files, exists = _files(space.workspace.folder(job))
        parts = [_mapping("state point", known or {}), _mapping("document", _document(space, job))]
        parts += [Markup(f"<p>files</p>{table(('name', 'size'), files, right=[1])}")] if files else []
        return page(title, space.workspace.folder(job), [] if exists else ["not initialised"], parts)

    return shown(build, text)


def _first_jobs(space: Space) -> Markup:
    ids, complete = space.workspace.beginning()
    picked = sorted(ids)[:_JOBS] if complete else sorted(ids[:_JOBS])
    return _jobs_table(space, picked, count_text("job", len(picked), len(ids), complete=complete))


def _first_matches(space: Space, jobs: JobFilter) -> Markup:
    """Return the table of those jobs that match, among the first ones of the listing."""
    ids, complete = space.workspace.beginning()
    looked = ids[:_READ]
    statepoints = {
        job: found for job in looked if (found := space.workspace.foreign_statepoint(job)) is not None
    }
    matching = jobs.select(list(statepoints), statepoints, space.documents)
    all_seen = complete and len(looked) == len(ids)
    found_text = f"{len(matching):,} of the first {len(looked):,} jobs match; iterate or call len() for all"
    if all_seen:
        found_text = count_text("job", len(matching[:_JOBS]), len(matching), complete=True)
    return _jobs_table(space, sorted(matching)[:_JOBS], found_text)


def _jobs_table(space: Space, jobs: list[str], found_text: str) -> Markup:
    """Return a row for each job: its id, and the values of its state point and document."""
    rows: dict[str, dict[str, Any]] = {}
    for job in jobs:
        values = {
            f"sp.{key}": value for key, value in (space.workspace.foreign_statepoint(job) or {}).items()
        }
        rows[job] = values | {f"doc.{key}": value for key, value in _document(space, job).items()}
    columns = list(dict.fromkeys(name for values in rows.values() for name in values))
    columns.sort(key=lambda name: not name.startswith("sp."))
    more = f"; {counted(len(columns) - _COLUMNS, 'more column')}" if len(columns) > _COLUMNS else ""
    del columns[_COLUMNS:]
    cells = [
        [job, *(value_text(values[name]) if name in values else "" for name in columns)]
        for job, values in rows.items()
    ]
    return Markup(f"<p>{escaped(found_text + more)}</p>{table(['job', *columns], cells) if cells else ''}")


def _document(space: Space, job: str) -> Mapping[str, Any]:
    """Return the document of a job; or the name of the error: one damaged file hides no other job."""
    try:
        return space.documents(job)
    except answer(CorruptValueError, OSError) as error:
        return {type(error).__name__: "the document cannot be read"}


def _mapping(name: str, values: Mapping[str, Any]) -> Markup:
    found_text = count_text("entry", min(len(values), ROWS), len(values), complete=True)
    rows = [(value_text(key), value_text(value)) for key, value in islice(values.items(), ROWS)]
    return Markup(f"<p>{escaped(f'{name}: {found_text}')}</p>{table(('key', 'value'), rows) if rows else ''}")


def _files(folder: str) -> tuple[list[tuple[str, str]], bool]:
    """Return name and size of the first files of a folder, and whether the folder exists."""
    try:
        with os.scandir(folder) as entries:
            found = [
                (entry.name, size_text(entry.stat(follow_symlinks=False).st_size))
                for entry in islice(entries, ROWS)
                if entry.name not in {FN_STATEPOINT, FN_DOCUMENT} and not entry.name.startswith(OURS)
            ]
    except system_answer(FileNotFoundError):
        return [], False
    return sorted(found), True
