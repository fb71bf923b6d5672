"""The job of a state point."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from perkey.cli.options import Command
from perkey.cli.output import dumped, json_option, line
from perkey.cli.selecting import project_here


@click.command("job", cls=Command)
@click.argument("statepoint", required=False)
@click.option(
    "-w",
    "--workspace",
    "-p",
    "--path",
    "workspace",
    is_flag=True,
    help="Print the path of the job's folder instead of the id.",
)
@click.option("-c", "--create", is_flag=True, help="Make the job if it does not exist.")
@json_option
@click.pass_context
def command(
    context: click.Context, *, statepoint: str | None, workspace: bool, create: bool, as_json: bool
) -> None:
    """Print the id of the job of a state point.

    The state point is given in JSON; without one, and for "-", it is read from the standard input.
    """
    text = sys.stdin.read() if statepoint in {None, "-"} else statepoint
    job = project_here(context).open_job(_parsed(str(text)))
    if create:
        job.init()
    line(dumped({"id": job.id, "path": job.path}) if as_json else job.path if workspace else job.id)


def _parsed(text: str) -> dict[str, Any]:
    try:
        statepoint = json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"the state point {text.strip()!r} is not JSON: {error}") from None
    if not isinstance(statepoint, dict):
        raise click.UsageError(f"a state point in JSON must be an object, not {text.strip()!r}")
    return statepoint
