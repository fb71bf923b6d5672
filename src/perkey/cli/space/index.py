"""signac's indexing, which is not rebuilt."""

from __future__ import annotations

import click

from perkey.cli.options import Command
from perkey.cli.selecting import not_rebuilt


@click.command(
    "index",
    cls=Command,
    hidden=True,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)
def command() -> None:
    """Name the replacement of indexing."""
    not_rebuilt("the command index", "index")
