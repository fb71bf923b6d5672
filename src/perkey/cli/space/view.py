"""A view of links with names for people."""

from __future__ import annotations

import click

from perkey.cli.options import Command, Perhaps
from perkey.cli.output import working
from perkey.cli.selecting import Words, project_here, replaced_option, select_options, selected


@click.command("view", cls=Command)
@click.argument("prefix", required=False, type=click.Path())
@click.argument("path", required=False)
@click.option(
    "-p",
    "--prefix",
    "folder",
    cls=Perhaps,
    bare="view",
    metavar="[PREFIX]",
    help="The folder of the view; then the only argument is PATH.",
)
@select_options
@replaced_option("-i", "--index")
@click.pass_context
def command(
    context: click.Context,
    *,
    prefix: str | None,
    path: str | None,
    folder: str | None,
    sp_filter: Words,
    doc_filter: Words,
    job_id: Words,
) -> None:
    """Make or update a folder of links to jobs.

    The links in the folder PREFIX, by default "view", are named by the values that differ between the
    jobs, or by PATH; see export.
    """
    if folder is not None:
        if path is not None:
            raise click.UsageError("with --prefix the only argument is PATH")
        prefix, path = folder, prefix
    elif prefix is not None and path is None and "{" in prefix:
        raise click.UsageError(f"{prefix!r} is a PATH and not a folder: write --prefix view {prefix!r}")
    prefix = prefix or "view"
    project = project_here(context)
    jobs = selected(project, sp_filter, doc_filter, job_id)
    with working("Linking..."):
        project.create_linked_view(prefix, jobs.ids(), path=path)
