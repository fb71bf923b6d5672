"""`perkey space`: data spaces on the command line; commands and options are those of signac."""

from __future__ import annotations

from typing import Final

import click

from perkey import __version__
from perkey.cli.groups import LazyGroup

_COMMANDS: Final = {
    "init": "init",
    "job": "job",
    "find": "find",
    "statepoint": "statepoint",
    "document": "document",
    "diff": "diff",
    "neighbors": "neighbors",
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
    "migrate": "migrate",
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
@click.version_option(__version__, prog_name="perkey")
@click.option("--debug", is_flag=True, help="Show where in the program an error occurred.")
@click.option("-v", "--verbosity", "--verbose", "verbose", count=True, help="Print more.")
@click.option("-y", "--yes", is_flag=True, help="Answer all questions with yes.")
@click.pass_context
def command(context: click.Context, *, project: str | None, debug: bool, verbose: int, yes: bool) -> None:
    """Projects of jobs, each with a state point, a document and files."""
    from perkey.cli.program import set_flags  # noqa: PLC0415 - which loads this

    context.obj["project"] = project
    set_flags(context, debug=debug, verbose=bool(verbose), yes=yes)
