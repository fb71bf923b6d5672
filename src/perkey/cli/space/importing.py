"""Import jobs from a folder or an archive."""

from __future__ import annotations

import os
import shutil
from typing import Any

import click

from perkey.cli.options import Command
from perkey.cli.output import dumped, json_option, line, note, working
from perkey.cli.selecting import project_here
from perkey.dataspace.sync import DocSync, FileSync
from perkey.errors import counted


@click.command("import", cls=Command)
@click.argument("origin", default=os.curdir, type=click.Path(exists=True))
@click.argument("schema_path", required=False)
@click.option("--move", is_flag=True, help="Move the data instead of copying them; only from a folder.")
@click.option("--sync", is_flag=True, help="Synchronise with jobs that are there already.")
@click.option("--sync-interactive", is_flag=True, help="The same, and ask about what differs.")
@json_option
@click.pass_context
def command(
    context: click.Context,
    *,
    origin: str,
    schema_path: str | None,
    move: bool,
    sync: bool,
    sync_interactive: bool,
    as_json: bool,
) -> None:
    """Copy jobs from a folder or an archive.

    ORIGIN is by default the working directory.

    SCHEMA_PATH finds state points in paths, such as "a/{a:int}". Without it they are read from the files
    that an export left. Types are int, float, bool and str.
    """
    project = project_here(context)
    with working("Importing..."):
        done = project.import_from(
            origin,
            schema=schema_path,
            sync=_synchronisation(context, interactive=sync_interactive)
            if sync or sync_interactive
            else None,
            copytree=shutil.move if move else None,
        )
    if as_json:
        line(dumped(done))
    else:
        note(f"Imported {counted(len(done), 'job')} from {origin}.")


def _synchronisation(context: click.Context, *, interactive: bool) -> dict[str, Any]:
    if not interactive:
        return {"recursive": True}
    if context.find_root().obj["yes"]:
        return {"recursive": True, "strategy": FileSync.always, "doc_sync": DocSync.update}
    return {
        "recursive": True,
        "strategy": FileSync.Ask(),
        "doc_sync": DocSync.ByKey(_overwrites, otherwise="keep"),
    }


def _overwrites(key: str) -> bool:
    return click.confirm(f"Overwrite the values of {key!r} in documents?", err=True)
