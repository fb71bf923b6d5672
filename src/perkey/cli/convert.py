"""Change the format or the digest length of a dictionary."""

from __future__ import annotations

from typing import Any

import click

import perkey
from perkey.cli.output import json_option
from perkey.cli.places import (
    named_as_options,
    open_place,
    place_argument,
    place_command,
    resumable,
    unpickle_option,
)
from perkey.cli.transfers import check_formats, destination, finish


@place_command(
    "convert",
    ("convert results results-json --to-type json --unpickle", "to a new place, from pickles that you trust"),
    ("convert results --to-digest-len 0", "in place, to names without digests"),
)
@place_argument("src")
@click.argument("dst", required=False)
@click.option("--to-type", metavar="TYPE", help="The new file type; by default that of SRC.")
@click.option("--to-digest-len", type=click.IntRange(0, 26), help="The new length of digests in names.")
@json_option
@unpickle_option
def command(*, src: str, dst: str | None, as_json: bool, unpickle: bool, **options: Any) -> None:
    """Change the file type or the digest length of SRC: into the new place DST, or in place.

    In place, each item is under its old or its new name, or both; the old one is removed last.
    """
    changes = {
        name: value
        for name, value in (("file_type", options["to_type"]), ("digest_len", options["to_digest_len"]))
        if value is not None
    }
    if dst is None and not changes:
        raise click.UsageError("nothing to change: use --to-type or --to-digest-len, or name DST")
    source = open_place(src, "r" if dst else "r+")
    target = None if dst is None else destination(source, dst, options)
    file_type = target.file_type if target is not None else changes.get("file_type", source.file_type)
    check_formats(source, file_type, unpickle=unpickle)
    resumable("every item is whole, under its old or its new name; the same command goes on")
    with named_as_options():
        report = perkey.convert(source, target, **changes if target is None else {})
    finish(report, as_json=as_json)
