"""What commands print: lines, JSON and Python's own form; and how far long work has come."""

from __future__ import annotations

import json
import pprint
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import click

T = TypeVar("T")

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def lines(texts: Iterable[str]) -> None:
    """Print lines, as fast as the reader takes them."""
    for text in texts:
        sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def line(text: object) -> None:
    """Print one line."""
    lines([str(text)])


def dumped(value: Any, *, indent: int | None = None, sort: bool = False) -> str:
    """Return JSON; what JSON does not know, as text."""
    return json.dumps(value, indent=indent, sort_keys=sort, default=_plain)


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)


def pretty(value: Any, depth: int | None) -> str:
    """Return a value in Python's form, down to a depth; 0 and None are all of it."""
    return pprint.pformat(value, depth=depth or None)


def note(text: str) -> None:
    """Report to people, aside from the output."""
    click.echo(text, err=True)


def detail(text: str) -> None:
    """Report details, with --verbose."""
    if click.get_current_context().find_root().obj["verbose"]:
        note(text)


def track(items: Collection[T], label: str | None) -> Iterable[T]:
    """Iterate, and show the progress under a label at a terminal."""
    if label is None or not sys.stderr.isatty() or len(items) < 2:  # noqa: PLR2004 - one item is soon done
        return items
    from rich.console import Console  # noqa: PLC0415 - slow to import
    from rich.progress import track as tracked  # noqa: PLC0415

    return tracked(items, label, console=Console(stderr=True), transient=True)


@contextmanager
def working(label: str) -> Iterator[None]:
    """Show at a terminal that work of unknown length is under way."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console  # noqa: PLC0415 - slow to import

    with Console(stderr=True).status(label):
        yield


def each(items: Collection[T], label: str | None, act: Callable[[T], object]) -> None:
    """Do something with each; failures are reported in a line each, do not stop the others, and exit with 1.

    Args:
        items: What to do it with.
        label: As for `track`.
        act: Does it.
    """
    from perkey.cli.program import sentence  # noqa: PLC0415 - which loads this

    failed = False
    for item in track(items, label):
        try:
            act(item)
        except (click.Abort, click.exceptions.Exit):  # which are RuntimeErrors
            raise
        except (OSError, LookupError, RuntimeError, ValueError) as error:
            message = sentence(error)
            note(f"perkey: {message}" if str(item) in message else f"perkey: {item}: {message}")
            failed = True
    if failed:
        raise click.exceptions.Exit(1)


def form(values: Mapping[str, Any], depth: int | None, indent: int | None, *, sort: bool) -> str:
    """Return a state point or document as the options `--pretty`, `--indent` and `--sort` want it."""
    if depth is not None:
        return pretty(dict(values), depth)
    return dumped(dict(values), indent=indent, sort=sort)
