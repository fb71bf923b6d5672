"""Remove jobs, or what is in them."""

from __future__ import annotations

import click

from perkey.cli.options import Command
from perkey.cli.output import each, note
from perkey.cli.selecting import ids_argument, jobs_named, project_here
from perkey.dataspace import Job


@click.command("rm", cls=Command)
@ids_argument(required=True)
@click.option("-c", "--clear", is_flag=True, help="Remove the data of the jobs, but not the jobs.")
@click.option("-i", "--interactive", is_flag=True, help="Ask before each job.")
@click.option("-v", "--verbose", is_flag=True, help="Print the path of each job that is removed.")
@click.pass_context
def command(
    context: click.Context, *, job_id: tuple[str, ...], clear: bool, interactive: bool, verbose: bool
) -> None:
    """Remove jobs with all their data.

    "-" stands for ids on the standard input.
    """
    verb, past, label = ("clear", "Cleared", "Clearing") if clear else ("remove", "Removed", "Removing")
    asks = interactive and not context.find_root().obj["yes"]

    def act(job: Job) -> None:
        if asks and not click.confirm(f"Do you want to {verb} job {job.id}?", err=True):
            return
        (job.clear if clear else job.remove)()
        if verbose:
            note(f"{past} {job.path}.")

    # A bar of progress would be drawn over the questions.
    each(jobs_named(project_here(context), job_id), None if asks else label, act)
