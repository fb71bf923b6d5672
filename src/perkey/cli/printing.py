"""Printing state points and documents, one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import click

from perkey.cli.options import Perhaps
from perkey.cli.output import dumped, form, line, lines
from perkey.dataspace import Job

F = TypeVar("F", bound=Callable[..., Any])

DEPTH = 3
"""How deep values are shown where no depth is given."""


def pretty_option(function: F) -> F:
    """Add the option `--pretty`."""
    return click.option(
        "-p",
        "--pretty",
        cls=Perhaps,
        bare=DEPTH,
        type=int,
        metavar="[DEPTH]",
        help=f"Print in Python's form, down to a depth, by default {DEPTH}.",
    )(function)


def indent_option(function: F) -> F:
    """Add the option `--indent`."""
    return click.option(
        "-i",
        "--indent",
        cls=Perhaps,
        bare=2,
        type=int,
        metavar="[N]",
        help="Print JSON on several lines, indented by so many characters, by default 2.",
    )(function)


def form_options(function: F) -> F:
    """Add the options `--pretty`, `--indent` and `--sort`."""
    function = click.option("-s", "--sort", is_flag=True, help="Sort the keys of JSON.")(function)
    return pretty_option(indent_option(function))


def document_of(job: Job) -> dict[str, Any]:
    """Return the document of a job as plain data."""
    return dict(job.document())


def print_each(
    jobs: Iterable[Job],
    values: Callable[[Job], Mapping[str, Any]],
    depth: int | None,
    indent: int | None,
    *,
    sort: bool,
    as_json: bool,
) -> None:
    """Print something of each job on its own line; or of all by their ids, as one object of JSON."""
    if as_json:
        line(dumped({job.id: dict(values(job)) for job in jobs}, indent=indent, sort=sort))
    else:
        lines(form(values(job), depth, indent, sort=sort) for job in jobs)
