"""Options that choose jobs, and the jobs that they choose."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NoReturn, TypeAlias, TypeVar

import click

from perkey.cli.options import Several
from perkey.cli.output import detail, dumped, note
from perkey.dataspace import Job, JobsCursor, Project
from perkey.dataspace.legacy import REPLACED
from perkey.query import is_json, parse_filter

F = TypeVar("F", bound=Callable[..., Any])

Words: TypeAlias = Sequence[str] | None

_STDIN: Final = "-"
_MEANT: Final = {"true": "true", "false": "false", "none": "null", "null": "null"}


def project_here(context: click.Context) -> Project:
    """Return the project that the command is about."""
    return Project.get_project(context.find_root().obj.get("project"))


def filter_options(function: F) -> F:
    """Add the options `-f` and `-d`."""
    function = click.option(
        "-d", "--doc-filter", cls=Several, help="Only jobs whose documents match this filter."
    )(function)
    return click.option("-f", "--filter", "sp_filter", cls=Several, help="Only jobs that match this filter.")(
        function
    )


def select_options(function: F) -> F:
    """Add the options `-f`, `-d` and `-j`."""
    function = click.option("-j", "--job-id", cls=Several, help="Only the jobs of these ids.")(function)
    return filter_options(function)


def ids_argument(*, required: bool = False) -> Callable[[F], F]:
    """Add the ids of jobs, or the beginnings of them, as arguments."""
    return click.argument("job_id", nargs=-1, required=required)


def filter_of(sp_filter: Words, doc_filter: Words) -> dict[str, Any] | None:
    """Return the filter that the words of both options stand for."""
    wanted = _understood(sp_filter)
    of_document = _understood(doc_filter)
    if of_document is not None:
        wanted = {"$and": [wanted or {}, {"doc": of_document}]}
    if wanted is not None:
        detail(f"filter: {wanted}")
    return wanted


def _understood(words: Words) -> dict[str, Any] | None:
    """Return the filter that words stand for; print how they are understood, as signac does."""
    found = parse_filter(words)
    if words and not is_json(words):
        for word in words:
            if word not in _MEANT.values() and word.lower() in _MEANT:
                note(f"Did you mean {_MEANT[word.lower()]}?")
        note(f"Interpreted filter arguments as '{dumped(found)}'.")
    return found


def jobs_named(project: Project, ids: Iterable[str]) -> list[Job]:
    """Return jobs by their ids; ``-`` stands for those on the standard input.

    Raises:
        click.ClickException: No job has such an id.
        LookupError: The ids of several jobs begin with it.
    """
    words = [word for each in ids for word in (sys.stdin.read().split() if each == _STDIN else [each])]
    return [_job_named(project, word) for word in words]


def _job_named(project: Project, word: str) -> Job:
    try:
        return project.open_job(id=word)
    except KeyError:
        raise click.ClickException(
            f"no job {word!r} in {project.path}: `perkey space find` lists the ids of its jobs"
        ) from None


def selected(project: Project, sp_filter: Words, doc_filter: Words, ids: Words = None) -> JobsCursor:
    """Return the jobs that the options choose: all conditions hold for them, and no option is all jobs."""
    wanted = filter_of(sp_filter, doc_filter)
    return NamedJobs(project, wanted, jobs_named(project, ids)) if ids else project.find_jobs(wanted)


class NamedJobs(JobsCursor):
    """Those of some jobs that match a filter, in the order in which they are named.

    Args:
        project: The project.
        wanted: The filter.
        named: The jobs that are named.
    """

    def __init__(self, project: Project, wanted: Mapping[str, Any] | None, named: Iterable[Job]) -> None:
        super().__init__(project, wanted)
        self._named = [job.id for job in named if job in self]

    def ids(self) -> list[str]:
        return self._named


def _refuse(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(_: click.Context, option: click.Parameter, value: Any) -> None:
        if value:
            not_rebuilt(f"option {option.opts[-1]}", name)

    return callback


def not_rebuilt(what: str, name: str) -> NoReturn:
    """Raise click.UsageError, which names the replacement of a part of signac."""
    raise click.UsageError(f"{what} is not part of perkey: {REPLACED[name]}")


def replaced_option(*names: str, name: str = "index", is_flag: bool = False) -> Callable[[F], F]:
    """Add an option of signac's that is not rebuilt: asking for it names the replacement."""
    return click.option(*names, hidden=True, expose_value=False, is_flag=is_flag, callback=_refuse(name))
