"""Remove the oldest items."""

from __future__ import annotations

from typing import Any, Literal

import click

import perkey
from perkey.cli.output import dumped, json_option, line, list_failures, note, progress
from perkey.cli.places import (
    Bytes,
    Duration,
    open_place,
    place_argument,
    place_command,
    prefix_from,
    resumable,
    text_of_key,
)
from perkey.cli.tables import count_text
from perkey.errors import counted
from perkey.showing import size_text


@place_command(
    "prune",
    ("prune results --older-than 30d -n -v", "show what would be removed"),
    ("prune results --max-bytes 10GiB", "remove the oldest items until 10 GiB are left"),
    ("prune s3://bucket/cache run1 --max-items 1000", "keep the 1,000 newest items below run1"),
)
@place_argument()
@click.argument("prefix", default="")
@click.option("--older-than", type=Duration(), help="Remove what was last written longer ago: 90s, 12h, 30d.")
@click.option("--max-items", type=click.IntRange(0), help="Remove the oldest until so many items are left.")
@click.option("--max-bytes", type=Bytes(), help="Remove the oldest until so much is left: 500MB, 10GiB.")
@click.option(
    "--by",
    type=click.Choice(["write", "use"]),
    default="write",
    show_default=True,
    help="What makes an item old: its last write, or its last use where a cache notes that.",
)
@click.option("-n", "--dry-run", is_flag=True, help="Remove nothing; with -v, print what would be removed.")
@click.option(
    "--unconditional",
    is_flag=True,
    help="Remove also where the place cannot compare; an item that is written meanwhile may be lost.",
)
@json_option
@click.pass_context
def command(
    context: click.Context,
    /,
    *,
    place: str,
    prefix: str,
    older_than: float | None,
    max_items: int | None,
    max_bytes: int | None,
    by: Literal["write", "use"],
    dry_run: bool,
    unconditional: bool,
    as_json: bool,
) -> None:
    """Remove the oldest items of PLACE, each only if it is still as it was seen.

    At least one of --older-than, --max-items and --max-bytes is needed.
    """
    if older_than is None and max_items is None and max_bytes is None:
        raise click.UsageError("a limit is needed: --older-than, --max-items or --max-bytes")
    d = open_place(place, "r" if dry_run else "r+")
    verbose = context.find_root().obj["verbose"]
    resumable("no item is half removed; the same command goes on")
    with progress("removing") as advance:

        def each(item: Any) -> None:
            advance()
            if verbose:
                note(f"{text_of_key(item.key)} ({size_text(item.size)})")

        report = perkey.prune(
            d,
            prefix_from(prefix),
            older_than=older_than,
            max_items=max_items,
            max_bytes=max_bytes,
            by=by,
            dry_run=dry_run,
            unconditional=unconditional,
            on_item=each,
        )
    if as_json:
        line(dumped(report.as_dict(), indent=1))
    else:
        verb = "would be removed" if dry_run else "removed"
        line(
            f"{counted(report.removed, 'item')} ({size_text(report.removed_bytes)}) {verb}, "
            f"{count_text(report.kept)} ({size_text(report.kept_bytes)}) kept"
        )
        list_failures(report.failures, report.failed)
    context.exit(report.exit_code)
