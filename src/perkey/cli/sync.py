"""Make a copy of a dictionary equal to it."""

from __future__ import annotations

from typing import Any

import click

import perkey
from perkey.cli.places import (
    open_place,
    place_argument,
    place_command,
    prefix_from,
    resumable,
)
from perkey.cli.transfers import (
    arguments,
    bar,
    cleaned_up,
    destination,
    finish,
    source_for,
    transfer_options,
)


@place_command(
    "sync",
    ("sync results s3://bucket/results", "copy what is new or differs"),
    ("sync results backup --delete -n -v", "show what would be copied and deleted"),
)
@place_argument("src")
@place_argument("dst")
@click.option("--delete", is_flag=True, help="Delete what SRC does not have, after all was copied.")
@click.option("--force", is_flag=True, help="With --delete: also more than half of DST.")
@transfer_options
def command(*, src: str, dst: str, delete: bool, force: bool, **options: Any) -> None:
    """Bring DST up to date with SRC: as cp, and with --delete nothing else is left there.

    Exit codes: 0 DST has all of SRC; 1 items failed, or were written by others meanwhile.
    """
    source = open_place(src)
    resumable("every item is whole; the same command goes on with what is missing")
    with cleaned_up(dst):
        target = destination(source, dst, options)
        source = source_for(source, src, target, unpickle=options["unpickle"])
        with bar("copying") as progress:
            report = perkey.sync(
                source,
                target,
                delete=delete,
                force=force,
                prefix=prefix_from(options["prefix"]),
                progress=progress,
                **arguments(options),
            )
    finish(report, as_json=options["as_json"])
