"""What a project is called, and where it is."""

from __future__ import annotations

import click

from perkey.cli.options import Command
from perkey.cli.output import dumped, json_option, line
from perkey.cli.selecting import project_here, replaced_option


@click.command("project", cls=Command)
@click.option("-w", "--workspace", is_flag=True, help="Print the path of the workspace instead of the name.")
@replaced_option("-i", "--index", is_flag=True)
@replaced_option("-a", "--access", name="create_access_module", is_flag=True)
@json_option
@click.pass_context
def command(context: click.Context, *, workspace: bool, as_json: bool) -> None:
    """Print the name of the project.

    A project without a name is called by its path.
    """
    project = project_here(context)
    if as_json:
        facts = {
            "id": project.id,
            "path": project.path,
            "workspace": project.workspace(),
            "jobs": len(project),
        }
        line(dumped(facts))
    else:
        line(project.workspace() if workspace else project.id)
