"""signac's migration of projects, which perkey does not need."""

from __future__ import annotations

import click

from perkey.cli.options import Command
from perkey.cli.output import note
from perkey.dataspace import Project


@click.command("migrate", cls=Command)
@click.option("-r", "--root-directory", type=click.Path(file_okay=False), help="The project's folder.")
@click.option("-y", "--yes", is_flag=True, help="Does nothing: nothing is changed.")
@click.pass_context
def command(context: click.Context, *, root_directory: str | None, yes: bool) -> None:
    """Report that nothing needs migration: perkey works with the projects of signac 1 and 2 as they are."""
    del yes
    project = Project.get_project(root_directory or context.find_root().obj["project"])
    version = project.config.layout.version
    note(f"Nothing to do: the layout of {project.path} is that of signac {version}, which perkey works with.")
    if version == 1:
        note("Programs of signac 2 do not: for them run the program `signac migrate`.")
