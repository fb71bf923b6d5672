"""A view of links with names for people."""

from __future__ import annotations

import click

from perkey.cli.options import Command
from perkey.cli.output import working
from perkey.cli.selecting import Words, project_here, replaced_option, select_options, selected


@click.command("view", cls=Command)
@click.argument("prefix", default="view", type=click.Path())
@click.argument("path", required=False)
@select_options
@replaced_option("-i", "--index")
@click.pass_context
def command(
    context: click.Context,
    *,
    prefix: str,
    path: str | None,
    sp_filter: Words,
    doc_filter: Words,
    job_id: Words,
) -> None:
    """Make or update a folder of links to jobs.

    The links in the folder PREFIX, by default "view", are called by what tells the jobs apart, or as PATH
    says; see export.
    """
    project = project_here(context)
    jobs = selected(project, sp_filter, doc_filter, job_id)
    with working("Linking..."):
        project.create_linked_view(prefix, jobs.ids(), path=path)
