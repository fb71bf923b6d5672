"""Every command, argument and option of signac 1.7's command line is there, and some test uses it."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from perkey.cli.space import command as space

HERE = Path(__file__).parent
LINES = [line for line in (HERE / "signac_options.txt").read_text().splitlines() if not line.startswith("#")]
TESTS = "".join(path.read_text() for path in HERE.glob("test_*.py") if path.name != "test_names.py")


def looked_up(words: list[str]) -> tuple[click.Command, list[str]]:
    """Return the command that a line names, and the rest of the line."""
    found: click.Command | None = space
    rest = list(words)
    while rest and isinstance(found, click.Group) and not rest[0].startswith("-"):
        found = found.get_command(click.Context(found), rest.pop(0))
    assert found is not None, f"there is no command {words}"
    return found, rest


@pytest.mark.parametrize("line", LINES)
def test_it_is_there(line: str) -> None:
    command, wanted = looked_up(line.split())
    names = {name for parameter in command.params for name in [*parameter.opts, parameter.name]}
    assert [name for name in wanted if name not in names] == []


@pytest.mark.parametrize("line", LINES)
def test_a_test_uses_it(line: str) -> None:
    name, *rest = line.split()
    for word in [name, *(word for word in rest if word.startswith("-"))]:
        assert re.search(rf'"(-pt|{re.escape(word)})["=]', TESTS), word


def test_every_option_is_explained() -> None:
    for line in LINES:
        for parameter in looked_up(line.split())[0].params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert parameter.help, (line, parameter.name)
