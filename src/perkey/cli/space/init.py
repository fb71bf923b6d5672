"""Make a project."""

from __future__ import annotations

import os

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
    if project_id is not None and project_id != os.path.basename(project_id):  # noqa: PTH119 - as it is
        raise click.UsageError(
            f"{project_id!r} is a path, not a name: make a project in this folder by "
            f"perkey space -C {project_id} init"
        )
    project = Project.init_project(project_id, context.find_root().obj["project"], workspace)
    note(f"Initialized project {project.id!r} in {project.path}.")
