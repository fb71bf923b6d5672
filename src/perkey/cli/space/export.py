"""Export jobs to a folder or an archive."""

from __future__ import annotations

import shutil

import click

from perkey.cli.options import Command
from perkey.cli.output import dumped, json_option, line, note, working
from perkey.cli.selecting import Words, project_here, select_options, selected
from perkey.errors import counted


@click.command("export", cls=Command)
@click.argument("target", type=click.Path())
@click.argument("schema_path", required=False)
@click.option("--move", is_flag=True, help="Move the jobs instead of copying them; only to a folder.")
@select_options
@json_option
@click.pass_context
def command(
    context: click.Context,
    *,
    target: str,
    schema_path: str | None,
    move: bool,
    sp_filter: Words,
    doc_filter: Words,
    job_id: Words,
    as_json: bool,
) -> None:
    """Copy jobs to a folder or an archive.

    TARGET is an archive if it ends in .zip, .tar, .tar.gz, .tar.bz2 or .tar.xz.

    SCHEMA_PATH gives their names there, such as "a/{a}" or "a_{job.sp.a}/{{auto}}".
    """
    jobs = selected(project_here(context), sp_filter, doc_filter, job_id)
    with working("Exporting..."):
        done = jobs.export_to(target, path=schema_path, copytree=shutil.move if move else None)
    if as_json:
        line(dumped(done))
    else:
        note(f"Exported {counted(len(done), 'job')} to {target}.")
