"""Which jobs are next to others."""

from __future__ import annotations

import pprint

import click

from perkey.cli.options import Command, Several
from perkey.cli.output import dumped, json_option, line, lines
from perkey.cli.selecting import Words, ids_argument, jobs_named, project_here


@click.command("neighbors", cls=Command)
@ids_argument()
@click.option("--ignore", cls=Several, help="Keys that may differ, too: those that change with others.")
@json_option
@click.pass_context
def command(context: click.Context, *, job_id: tuple[str, ...], ignore: Words, as_json: bool) -> None:
    """Print the jobs whose state points differ from those of jobs in one value only.

    By each key, the ids of the jobs with the next smaller and the next larger value. "-" stands for ids on
    the standard input.
    """
    project = project_here(context)
    jobs = jobs_named(project, job_id)
    found = {
        job: {key: near for key, near in each.items() if near}
        for job, each in project.get_neighbors(ignore=ignore or ()).items()
    }
    if as_json:
        line(dumped({job.id: _by_text(found[job.id]) for job in jobs}))
    else:
        lines(pprint.pformat(found[job.id]) for job in jobs)


def _by_text(neighbors: dict[str, dict[object, str]]) -> dict[str, dict[str, str]]:
    return {key: {str(value): job for value, job in jobs.items()} for key, jobs in neighbors.items()}
