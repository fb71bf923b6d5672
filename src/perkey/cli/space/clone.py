"""Copy jobs to another project."""

from __future__ import annotations

import click

from perkey.cli.options import Command
from perkey.cli.output import each, note
from perkey.cli.selecting import ids_argument, jobs_named, project_here
from perkey.dataspace import Job, Project


@click.command("clone", cls=Command)
@click.argument("project", type=click.Path(file_okay=False))
@ids_argument(required=True)
@click.pass_context
def command(context: click.Context, *, project: str, job_id: tuple[str, ...]) -> None:
    """Copy jobs to another project.

    PROJECT is its folder; "-" stands for ids on the standard input.
    """
    destination = Project.get_project(project, search=False)

    def act(job: Job) -> None:
        destination.clone(job)
        note(f"Cloned {job.id} to {destination.path}.")

    each(jobs_named(project_here(context), job_id), "Cloning", act)
