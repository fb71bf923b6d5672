"""In what state points differ."""

from __future__ import annotations

import click

from perkey.cli.options import Command
from perkey.cli.output import dumped, form, json_option, line, lines
from perkey.cli.printing import indent_option, pretty_option
from perkey.cli.selecting import Words, filter_options, ids_argument, project_here, selected
from perkey.dataspace import diff_jobs

_ALL = 0
"""The depth without an option: a difference that is deeper must not be hidden."""


@click.command("diff", cls=Command)
@ids_argument()
@pretty_option
@indent_option
@filter_options
@json_option
@click.pass_context
def command(
    context: click.Context,
    *,
    job_id: tuple[str, ...],
    pretty: int | None,
    indent: int | None,
    sp_filter: Words,
    doc_filter: Words,
    as_json: bool,
) -> None:
    """Print in what the state points of jobs differ.

    That is what each has that not all have. Without ids and filters of all jobs.
    """
    found = diff_jobs(*selected(project_here(context), sp_filter, doc_filter, job_id))
    if as_json:
        line(dumped(found, indent=indent))
        return
    depth = _ALL if pretty is None and indent is None else pretty
    lines(text for job, own in found.items() for text in (job, form(own, depth, indent, sort=False)))
