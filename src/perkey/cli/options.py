"""Options that take any number of words: `--filter a 1 b 2`, `--pretty`, `--pretty 2`.

click gives an option a fixed number of words. Here the words are joined to one before click sees them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterator
from typing import Any

import click


class Several(click.Option):
    """An option with any number of words, all up to the next option; its value is a list, or None.

    Args:
        at_least: How many words there must be.
    """

    def __init__(self, *args: Any, at_least: int = 1, **kwargs: Any) -> None:
        super().__init__(*args, **{"metavar": "WORD...", "callback": _unpacked, **kwargs})
        self.at_least = at_least

    def takes(self, words: list[str], stop: Callable[[str], bool]) -> int:
        """Return how many of the words that follow belong to the option."""
        return next((number for number, word in enumerate(words) if stop(word)), len(words))

    def packed(self, words: list[str]) -> str:
        """Return the words as one."""
        return json.dumps(words)


class Perhaps(click.Option):
    """An option that may be followed by a value, and else has the value `bare`.

    Args:
        bare: Its value without one.
    """

    def __init__(self, *args: Any, bare: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.bare = str(bare)

    def takes(self, words: list[str], stop: Callable[[str], bool]) -> int:
        """Return whether the next word is the value: a number if one is wanted, else any word."""
        if not words or stop(words[0]):
            return 0
        return int(self.type is not click.INT or words[0].isdecimal())

    def packed(self, words: list[str]) -> str:
        """Return the value."""
        return words[0] if words else self.bare


class Command(click.Command):
    """A command with such options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, list(self._joined(ctx, list(spelled_out(ctx, self, args)))))

    def _joined(self, ctx: click.Context, args: list[str]) -> Iterator[str]:
        names = {name: option for option in self.get_params(ctx) for name in option.opts}
        plain: list[str] = []
        rest = list(args)
        while rest:
            word = rest.pop(0)
            if word == "--":
                plain += rest
                break
            if _is_option(word, names):
                yield from _with_values(ctx, word, rest, names)
            else:
                plain.append(word)
        yield from ["--", *plain]


def spelled_out(ctx: click.Context, command: click.Command, args: list[str]) -> Iterator[str]:
    """Yield the words of a command line with options that are abbreviated spelled out, as signac takes them.

    Raises:
        click.NoSuchOption: An abbreviation may stand for several options.
    """
    options = {name: option for option in command.get_params(ctx) for name in option.opts}
    names = [name for name in options if name.startswith("--")]
    rest = iter(args)
    for word in rest:
        if word == "--" or (isinstance(command, click.Group) and not word.startswith("-")):
            yield word
            yield from rest  # those of a command are its own
            return
        name, sign, value = word.partition("=")
        meant = [each for each in names if each.startswith(name)] if name.startswith("--") else []
        if name not in meant and len({id(options[each]) for each in meant}) > 1:
            raise click.NoSuchOption(name, possibilities=meant, ctx=ctx)
        yield word if not meant or name in meant else meant[0] + sign + value


def _with_values(
    ctx: click.Context, word: str, rest: list[str], names: dict[str, click.Parameter]
) -> Iterator[str]:
    """Yield an option and its values as click wants them; the values are taken from the rest."""
    name, attached = _split(word, names)
    option = names.get(name)
    if isinstance(option, Several | Perhaps):
        # A value given as --name=value is the only one of a Perhaps, and the first of a Several.
        done = attached and isinstance(option, Perhaps)
        count = 0 if done else option.takes(rest, lambda each: _is_option(each, names))
        values = [*attached, *rest[:count]]
        if isinstance(option, Several) and len(values) < option.at_least:
            raise click.BadOptionUsage(name, f"Option {name!r} requires a word.", ctx)
        yield f"{name}={option.packed(values)}" if name.startswith("--") else name + option.packed(values)
    else:
        needs_value = isinstance(option, click.Option) and not (option.is_flag or option.count or attached)
        count = int(needs_value)
        yield from [word, *rest[:count]]
    del rest[:count]


def _split(word: str, names: dict[str, click.Parameter]) -> tuple[str, list[str]]:
    """Return the name of an option, and the value that is attached to it, if any."""
    if word in names:
        return word, []
    if word.startswith("--"):
        name, sign, value = word.partition("=")
        return name, [value] if sign else []
    if isinstance(names.get(word[:2]), Several | Perhaps):
        return word[:2], [word[2:]]
    return word, []


def _is_option(word: str, names: Container[str]) -> bool:
    """Return whether a word is meant as an option; negative numbers are values."""
    return word.startswith("-") and word != "-" and (word in names or not _is_number(word))


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _unpacked(_: click.Context, __: click.Parameter, value: str | None) -> list[str] | None:
    return None if value is None else list(json.loads(value))
