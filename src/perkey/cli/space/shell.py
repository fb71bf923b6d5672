"""Python in a project."""

from __future__ import annotations

import code
import runpy
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import click

import perkey
from perkey.cli.options import Command
from perkey.cli.selecting import Words, project_here, select_options, selected
from perkey.dataspace import Job, JobsCursor, Project, get_job
from perkey.errors import counted

_HISTORY = {1: ".signac_shell_history", 2: ".signac/shell_history"}

_BANNER = """\
Python {version}
perkey {perkey}, project {project.id!r} in {project.path} with {jobs}

project, pr: the project    jobs: the jobs chosen    job: the job, if it is only one    perkey: the library"""


@click.command("shell", cls=Command)
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("-c", "--command", "program", help="Run this program.")
@select_options
@click.pass_context
def command(
    context: click.Context,
    *,
    file: str | None,
    program: str | None,
    sp_filter: Words,
    doc_filter: Words,
    job_id: Words,
) -> None:
    """Run Python with names for the project and its jobs.

    The program is FILE, that of -c, or what is typed; it has the names project, jobs and job. Without options
    jobs is the job in whose folder the working directory is, or else all jobs. If jobs has one job, it is
    `job`, else None.
    """
    project = project_here(context)
    chosen = sp_filter or doc_filter or job_id
    jobs = selected(project, sp_filter, doc_filter, job_id) if chosen else _here(project)
    job = next(iter(jobs)) if len(jobs) == 1 else None
    names = {"project": project, "pr": project, "jobs": jobs, "job": job, "perkey": perkey}
    if program is not None:
        _run(lambda: exec(compile(program, "<string>", "exec"), {"__name__": "__main__", **names}))  # noqa: S102
    elif file == "-":
        text = sys.stdin.read()
        _run(lambda: exec(compile(text, "<stdin>", "exec"), {"__name__": "__main__", **names}))  # noqa: S102
    elif file is not None:
        _run(lambda: runpy.run_path(file, names, "__main__"))
    else:
        _talk(project, names)


def _here(project: Project) -> list[Job] | JobsCursor:
    """Return the job in whose folder the working directory is; elsewhere all jobs of the project."""
    try:
        job = get_job()
    except LookupError:
        return project.find_jobs()
    return [job] if job.project == project else project.find_jobs()


def _run(program: Callable[[], object]) -> None:
    """Run the user's program; its errors are shown as Python shows them."""
    try:
        program()
    except Exception:  # noqa: BLE001 - any error is the program's own
        traceback.print_exc()
        raise click.exceptions.Exit(1) from None


def _talk(project: Project, names: dict[str, Any]) -> None:
    version = sys.version.split(maxsplit=1)[0]
    size = counted(len(project), "job")
    banner = _BANNER.format(version=version, perkey=perkey.__version__, project=project, jobs=size)
    with _comfort(project, names) if sys.stdin.isatty() else nullcontext():
        code.interact(banner, local=names, exitmsg="")


@contextmanager
def _comfort(project: Project, names: dict[str, Any]) -> Iterator[None]:
    """Complete names, and keep what is typed in the project, where that is possible."""
    try:
        import readline  # noqa: PLC0415 - not everywhere
        import rlcompleter  # noqa: PLC0415
    except ImportError:  # pragma: not on Linux
        yield
        return
    readline.set_completer(rlcompleter.Completer(names).complete)
    readline.parse_and_bind("tab: complete")
    history = project.fn(_HISTORY[project.config.layout.version])
    with suppress(OSError):
        readline.read_history_file(history)
    try:
        yield
    finally:  # exit() raises SystemExit
        with suppress(OSError):
            readline.write_history_file(history)
