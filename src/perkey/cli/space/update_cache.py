"""Bring the cache of state points up to date."""

from __future__ import annotations

import click

from perkey.cli.options import Command
from perkey.cli.output import note, working
from perkey.cli.selecting import project_here


@click.command("update-cache", cls=Command)
@click.pass_context
def command(context: click.Context) -> None:
    """Bring the cache of signac's programs up to date.

    What perkey itself remembers is updated, too, which it does anyway when it is needed.
    """
    project = project_here(context)
    with working("Updating cache..."):
        size = project.update_cache()
    note(f"Updated cache (size={size}).")
