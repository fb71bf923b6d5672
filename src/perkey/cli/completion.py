"""Print what makes a shell complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

_VARIABLE = "_PERKEY_COMPLETE"


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, /, *, shell: str) -> None:
    """Print a script that makes SHELL complete commands, options and paths.

    \b
    Examples:
      eval "$(perkey completion bash)"                                  for this shell; or in ~/.bashrc
      eval "$(perkey completion zsh)"                                   for this shell; or in ~/.zshrc
      perkey completion fish > ~/.config/fish/completions/perkey.fish   for all
    """  # noqa: D301 - click's mark for lines that are kept
    found = get_completion_class(shell)
    if found is None:
        raise click.ClickException(f"completion for {shell} is not part of this version of click")
    click.echo(found(context.find_root().command, {}, "perkey", _VARIABLE).source())
