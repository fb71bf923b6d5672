"""Show the help on a command."""

from __future__ import annotations

import click


@click.command("help")
@click.argument("words", nargs=-1, metavar="[COMMAND]...")
@click.pass_context
def command(context: click.Context, /, *, words: tuple[str, ...]) -> None:
    """Show the help on COMMAND, as `perkey COMMAND --help` does.

    \b
    Examples:
      perkey help cp
      perkey help space find
    """  # noqa: D301 - click's mark for lines that are kept
    parent = context.find_root()
    for word in words:
        found = parent.command.get_command(parent, word) if isinstance(parent.command, click.Group) else None
        if found is None:
            raise click.UsageError(f"No such command {word!r}.", parent)
        parent = click.Context(found, parent, info_name=word, **found.context_settings)
    click.echo(parent.get_help())
