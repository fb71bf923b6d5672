"""The configuration of a project, and of a user."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from perkey.cli.groups import Group
from perkey.cli.options import Command
from perkey.cli.output import dumped, json_option, line, note
from perkey.cli.selecting import not_rebuilt, project_here
from perkey.dataspace.errors import ConfigError, IncompatibleSchemaVersion
from perkey.dataspace.space import config as configuration
from perkey.dataspace.space import find
from perkey.files import read_file, write_file
from perkey.query import MISSING, split, value_at


@click.group("config", cls=Group)
@click.option("-g", "--global", "is_global", is_flag=True, help="The user's configuration.")
@click.option("-l", "--local", "is_local", is_flag=True, help="The project's configuration.")
@click.option("-f", "--force", is_flag=True, help="Set a value even if the result cannot be used.")
@click.pass_context
def command(context: click.Context, *, is_global: bool, is_local: bool, force: bool) -> None:
    """Show, set or verify what is configured.

    Without -g and -l, what is shown is what is valid in the project: its own over the user's.
    """
    if is_global and is_local:
        raise click.UsageError("-g and -l exclude each other")
    context.obj |= {"global": is_global, "local": is_local, "force": force}


@command.command("show", cls=Command)
@click.argument("key", required=False)
@json_option
@click.pass_context
def show(context: click.Context, *, key: str | None, as_json: bool) -> None:
    """Print the configuration, or one value of it.

    A value in a section is section.key.
    """
    values: Any = _values(context)
    if key is not None:
        values = _at(values, key)
    if as_json or not isinstance(values, Mapping):
        line(dumped(values) if as_json else values)
    elif values:
        line(configuration.dump_config(values).decode().rstrip("\n"))


@command.command("set", cls=Command)
@click.argument("key")
@click.argument("value", nargs=-1, required=True)
@click.option("-f", "--force", is_flag=True, help="Set the value even if the result cannot be used.")
@click.pass_context
def set_value(context: click.Context, *, key: str, value: tuple[str, ...], force: bool) -> None:
    """Set a value.

    Without -g it is set in the project's configuration.
    """
    path = _path(context)
    before = read_file(path)
    configuration.set_config_value(path, key, " ".join(value))
    if not (force or context.obj["force"]):
        try:
            _verify(context)
        except (ConfigError, IncompatibleSchemaVersion):
            _restore(path, before)
            raise
    note(f"Set {key} in {path}.")


@command.command("verify", cls=Command)
@click.pass_context
def verify(context: click.Context) -> None:
    """Check that the configuration can be used."""
    _verify(context)
    note("Passed.")


@command.command(
    "host",
    cls=Command,
    hidden=True,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)
def host() -> None:
    """Name the replacement of the configuration of hosts."""
    not_rebuilt("config host", "get_database")


def _values(context: click.Context) -> Mapping[str, Any]:
    if context.obj["global"] or context.obj["local"]:
        return configuration.read_config(_path(context))
    found = configuration.search(_start(context))
    return configuration.read_config(configuration.global_config_path()) if found is None else found


def _at(values: Any, key: str) -> Any:
    found = value_at(values, split(key))
    if found is MISSING:
        raise click.ClickException(f"{key} is not set")
    return found


def _path(context: click.Context) -> str:
    """Return the path of the file that the options choose, by default the project's."""
    if context.obj["global"]:
        return configuration.global_config_path()
    return find(_start(context), search=True).path


def _start(context: click.Context) -> str:
    return str(context.obj["project"] or ".")


def _verify(context: click.Context) -> None:
    configuration.read_config(configuration.global_config_path())
    if not context.obj["global"]:
        project_here(context)


def _restore(path: str, before: bytes | None) -> None:
    if before is None:
        Path(path).unlink()
    else:
        write_file(path, before)
