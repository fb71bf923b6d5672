"""Make a project."""

from __future__ import annotations

import click

from perkey.cli.options import Command
from perkey.cli.output import note
from perkey.dataspace import Project


@click.command("init", cls=Command)
@click.argument("project_id", required=False)
@click.option("-w", "--workspace", type=click.Path(), help="The path of the workspace.")
@click.pass_context
def command(context: click.Context, *, project_id: str | None, workspace: str | None) -> None:
    """Make a project of this name.

    Nothing happens if there is one in the working directory already.
    """
    project = Project.init_project(project_id, context.find_root().obj["project"], workspace)
    note(f"Initialized project {project.id!r} in {project.path}.")
