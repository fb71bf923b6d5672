"""Print documents."""

from __future__ import annotations

import click

from perkey.cli.options import Command
from perkey.cli.output import json_option
from perkey.cli.printing import document_of, form_options, print_each
from perkey.cli.selecting import (
    Words,
    filter_options,
    ids_argument,
    project_here,
    replaced_option,
    selected,
)


@click.command("document", cls=Command)
@ids_argument()
@form_options
@filter_options
@replaced_option("--index")
@json_option
@click.pass_context
def command(
    context: click.Context,
    *,
    job_id: tuple[str, ...],
    pretty: int | None,
    indent: int | None,
    sort: bool,
    sp_filter: Words,
    doc_filter: Words,
    as_json: bool,
) -> None:
    """Print the documents of jobs.

    Without ids and filters of all jobs; "-" stands for ids on the standard input.
    """
    jobs = selected(project_here(context), sp_filter, doc_filter, job_id)
    print_each(jobs, document_of, pretty, indent, sort=sort, as_json=as_json)
