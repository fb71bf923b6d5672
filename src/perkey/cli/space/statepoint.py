"""Print state points."""

from __future__ import annotations

import click

from perkey.cli.options import Command
from perkey.cli.output import json_option
from perkey.cli.printing import form_options, print_each
from perkey.cli.selecting import ids_argument, jobs_named, project_here


@click.command("statepoint", cls=Command)
@ids_argument()
@form_options
@json_option
@click.pass_context
def command(
    context: click.Context,
    *,
    job_id: tuple[str, ...],
    pretty: int | None,
    indent: int | None,
    sort: bool,
    as_json: bool,
) -> None:
    """Print the state points of jobs.

    Without ids of all jobs; "-" stands for ids on the standard input.
    """
    project = project_here(context)
    jobs = jobs_named(project, job_id) if job_id else project
    print_each(jobs, lambda job: job.cached_statepoint, pretty, indent, sort=sort, as_json=as_json)
