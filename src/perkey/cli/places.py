"""What the commands for dictionaries have in common: places, keys, and the options for them."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import click

import perkey
from perkey.cli.options import Command
from perkey.keys import NonEmptySafeStrTuple, SafeStrTuple
from perkey.naming import Name, naming

F = TypeVar("F", bound=Callable[..., Any])

STDIO: Final = "-"
"""Stands for the standard input, or the standard output."""

_S3: Final = "s3://"
_OF_NAMES: Final = frozenset(("file_type", "digest_len"))
_DEFAULT_TYPE: Final = "json"
"""The file type of a new place: values that are typed at a shell are text, and can be shown again."""

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_BYTES: Final = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "t": 1000**4}
_BINARY: Final = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}


class PlaceCommand(Command):
    """A command for dictionaries; its help ends in examples.

    Args:
        examples: Command lines without the program's name, each with what it does.
    """

    def __init__(self, *args: Any, examples: Sequence[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        with formatter.section("Examples"):
            for line, what in self.examples:
                formatter.write(f"  perkey {line}\n      {what}\n")


class _Place(click.ParamType):  # type: ignore[type-arg] # generic from click 8.5 on
    """A path or a URL; the shell completes paths."""

    name = "place"

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's
        param: click.Parameter,  # noqa: ARG002 - click's
        incomplete: str,
    ) -> list[Any]:
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - for completion only

        return [CompletionItem(incomplete, type="file")]


PLACE: Final = _Place()


class Duration(click.ParamType):  # type: ignore[type-arg] # generic from click 8.5 on
    """Seconds, or a number with the unit s, m, h, d or w."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdw]?)", str(value).strip().lower())
        if match is None:
            self.fail(f"{value!r} is not a time: write seconds, or 90s, 15m, 12h, 30d or 2w", param, ctx)
        return float(match[1]) * _SECONDS[match[2] or "s"]


class Bytes(click.ParamType):  # type: ignore[type-arg] # generic from click 8.5 on
    """A number of bytes, also with the unit k, M, G or T (1,000) or KiB, MiB, GiB or TiB (1,024)."""

    name = "bytes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", str(value).strip().lower())
        if match is None or (match[3] and not match[2]):
            self.fail(f"{value!r} is not a size: write bytes, or 500k, 10MB, 1.5GiB", param, ctx)
        return int(float(match[1]) * (_BINARY if match[3] else _BYTES)[match[2]])


# --- Options ------------------------------------------------------------------------------------------------


def _noted(ctx: click.Context, option: click.Parameter, value: Any) -> None:
    """Keep a parameter of the place for `open_place`."""
    if value is not None:
        ctx.find_root().obj.setdefault("place", {})[option.name] = value


def _said(ctx: click.Context, option: click.Parameter, value: Any) -> None:
    """Note an option that is for all commands, given behind a command."""
    if value:
        ctx.find_root().obj[option.name] = True


_PLACE_OPTIONS: Final = (
    click.option(
        "--file-type",
        metavar="TYPE",
        expose_value=False,
        callback=_noted,
        help="The type of the items: json, pkl, txt, ...; by default it is read off the names.",
    ),
    click.option(
        "--digest-len",
        type=click.IntRange(0, 26),
        expose_value=False,
        callback=_noted,
        help="The length of the digests in names; by default it is read off them.",
    ),
    click.option(
        "--endpoint-url",
        metavar="URL",
        expose_value=False,
        callback=_noted,
        help="The address of an S3 service other than AWS.",
    ),
    click.option(
        "--region", metavar="NAME", expose_value=False, callback=_noted, help="The region of a bucket."
    ),
)

_COMMON_OPTIONS: Final = tuple(
    click.option(*names, is_flag=True, expose_value=False, callback=_said, help=text)
    for *names, text in (
        ("-q", "--quiet", "Print data and errors only, no progress."),
        ("-v", "--verbose", "Print details."),
        ("-y", "--yes", "Answer all questions with yes."),
    )
)


def place_command(name: str, *examples: tuple[str, str]) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a function a command for dictionaries, with the options that all of these have."""

    def decorate(function: Callable[..., Any]) -> click.Command:
        for option in reversed(_PLACE_OPTIONS + _COMMON_OPTIONS):
            function = option(function)
        return click.command(name, cls=PlaceCommand, examples=examples)(function)

    return decorate


def place_argument(name: str = "place") -> Callable[[F], F]:
    """Add a place as an argument."""
    return click.argument(name, type=PLACE)


def unpickle_option(function: F) -> F:
    """Add the option `--unpickle`."""
    return click.option(
        "--unpickle",
        is_flag=True,
        help="Load pickles. That runs code that their writers chose: only for places that you trust.",
    )(function)


# --- Places -------------------------------------------------------------------------------------------------


def parameters(place: str) -> dict[str, Any]:
    """Return the parameters of a place that options give."""
    given = dict(click.get_current_context().find_root().obj.get("place", {}))
    if not place.startswith(_S3):
        for name in ("endpoint_url", "region"):
            given.pop(name, None)
    return given


def open_place(place: str, mode: Any = "r", **params: Any) -> perkey.PersiDict[Any]:
    """Return the dictionary in a place; errors name the options that help.

    Args:
        place: A path or a URL.
        mode: As for `perkey.open`.
        **params: Take the place of what options give.
    """
    try:
        return perkey.open(place, mode, **{**parameters(place), **params})
    except perkey.AmbiguousPlaceError as error:
        raise _ambiguous(place, error) from None
    except FileNotFoundError:
        raise click.ClickException(
            f"{place}: this place has no dictionary; check the address, "
            "or make a dictionary with `perkey put`"
        ) from None


def open_to_write(
    place: str, params: Mapping[str, Any] | None = None, **defaults: Any
) -> perkey.PersiDict[Any]:
    """Return the dictionary in a place, which is made if need be.

    Args:
        place: A path or a URL.
        params: Parameters of the place; None means those that options give.
        **defaults: Parameters for a place that has no items yet.
    """
    given = parameters(place)
    if params is not None:
        given = {name: value for name, value in given.items() if name not in _OF_NAMES} | dict(params)
    try:
        found = perkey.open(place, "r+", **given)
    except FileNotFoundError:
        found = None
    except perkey.AmbiguousPlaceError as error:
        raise _ambiguous(place, error) from None
    if found is not None and found:
        return found
    return perkey.open(place, "a", **{"file_type": _DEFAULT_TYPE, **defaults, **given})


def _ambiguous(place: str, error: perkey.AmbiguousPlaceError) -> click.ClickException:
    choices = " or ".join(
        f"--file-type {choice['file_type']} --digest-len {choice['digest_len']}"
        for choice, _ in error.choices
    )
    return click.ClickException(f"{place}: the names fit several dictionaries: choose {choices}")


# --- Keys ---------------------------------------------------------------------------------------------------


def key_from(text: str) -> NonEmptySafeStrTuple:
    """Return the key whose parts are between the slashes of a text."""
    try:
        return NonEmptySafeStrTuple(text.split("/"))
    except ValueError as error:
        raise click.ClickException(f"{text!r} is not a key: {error}") from None


def prefix_from(text: str) -> SafeStrTuple:
    """Return the beginning of keys that a text stands for; a slash at its end does not matter."""
    bare = text.rstrip("/")
    return key_from(bare) if bare else SafeStrTuple(())


def keys_from(words: Iterable[str]) -> Iterator[NonEmptySafeStrTuple]:
    """Yield keys; ``-`` stands for those on the standard input, one in each line."""
    for word in words:
        if word == STDIO:
            yield from (key_from(line.rstrip("\n")) for line in sys.stdin if line.strip())
        else:
            yield key_from(word)


def text_of_key(key: Iterable[str]) -> str:
    """Return a key as it is typed."""
    return "/".join(key)


def name_of(d: perkey.PersiDict[Any], key: Iterable[str]) -> Name:
    """Return the stored name of a key."""
    return naming(d.digest_len, d.file_type).name_of(tuple(key))


def missing(place: str, key: Iterable[str]) -> click.ClickException:
    """Return the error for a key that does not exist."""
    return click.ClickException(f"{place} has no key {text_of_key(key)!r}: `perkey ls` lists its keys")


def keys_below(d: perkey.PersiDict[Any], prefix: SafeStrTuple) -> Iterator[NonEmptySafeStrTuple]:
    """Yield the keys that begin with a prefix."""
    names = naming(d.digest_len, d.file_type)
    found = map(names.key_of, d.store.scan(names.prefix_of(prefix)))
    return (key for key in found if key is not None)


def resumable(text: str) -> None:
    """Note what an interruption reports: how the work that was begun is continued."""
    click.get_current_context().find_root().obj["resume"] = text
