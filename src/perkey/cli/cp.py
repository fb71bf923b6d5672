"""Copy a dictionary."""

from __future__ import annotations

from typing import Any

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
    "cp",
    ("cp results s3://bucket/results", "copy all items; those that DST has already are passed over"),
    ("cp results backup -n -v", "show what would be copied"),
    ("cp results backup --prefix run1 --no-clobber", "only keys that begin with run1, none replaced"),
)
@place_argument("src")
@place_argument("dst")
@transfer_options
def command(*, src: str, dst: str, **options: Any) -> None:
    """Copy the items of SRC to DST, under the same keys. DST is made if need be.

    Bytes are copied, and nothing is loaded. Items that DST has already are not copied again, so that the same
    command goes on after an interruption.
    Exit codes: 0 DST has all of SRC; 1 items failed, or were written by others meanwhile.
    """
    source = open_place(src)
    resumable("every item is whole; the same command copies what is missing")
    with cleaned_up(dst):
        target = destination(source, dst, options)
        source = source_for(source, src, target, unpickle=options["unpickle"])
        with bar("copying") as progress:
            report = perkey.copy(
                source, target, prefix=prefix_from(options["prefix"]), progress=progress, **arguments(options)
            )
    finish(report, as_json=options["as_json"])
