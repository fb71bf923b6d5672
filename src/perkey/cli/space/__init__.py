"""`perkey space`: data spaces on the command line; commands and options are those of signac."""

from __future__ import annotations

from typing import Final

import click

from perkey.cli.groups import LazyGroup

_COMMANDS: Final = {
    "init": "init",
    "job": "job",
    "find": "find",
    "statepoint": "statepoint",
    "document": "document",
    "diff": "diff",
    "schema": "schema",
    "view": "view",
    "rm": "rm",
    "move": "move",
    "clone": "clone",
    "sync": "sync",
    "export": "export",
    "import": "importing",
    "project": "project",
    "config": "config",
    "update-cache": "update_cache",
    "shell": "shell",
    "index": "index",
}


@click.group(
    "space", cls=LazyGroup, modules={name: f"{__name__}.{module}" for name, module in _COMMANDS.items()}
)
@click.option(
    "-C",
    "--project",
    metavar="PATH",
    type=click.Path(file_okay=False),
    help="The project's folder; by default the working directory or the nearest project above it.",
)
@click.pass_context
def command(context: click.Context, *, project: str | None) -> None:
    """Projects of jobs, each with a state point, a document and files."""
    context.obj["project"] = project
