"""Change the format or the digest length of a dictionary, or make one of another program's place."""

from __future__ import annotations

import os
from typing import Any, Final, Literal

import click

import perkey
from perkey.cli.output import detail, json_option
from perkey.cli.places import (
    open_place,
    place_argument,
    place_command,
    resumable,
    text_of_key,
    unpickle_option,
)
from perkey.cli.transfers import check_formats, cleaned_up, destination, finish
from perkey.tools.converting import kind_of

_WITHOUT_PICKLES: Final = frozenset(("files", "zict"))


@place_command(
    "convert",
    ("convert results results-json --to-type json --unpickle", "to a new place, from pickles that you trust"),
    ("convert results --to-digest-len 0", "in place, to names without digests"),
    ("convert --unpickle shelf.db results", "from a shelf; also of diskcache, sqlitedict, joblib"),
    ("convert --from files notes results --to-type txt", "from a folder of files"),
)
@place_argument("src")
@click.argument("dst", required=False)
@click.option(
    "--from",
    "kind",
    type=click.Choice(["auto", "perkey", "shelve", "diskcache", "sqlitedict", "zict", "joblib", "files"]),
    default="auto",
    show_default=True,
    help="What wrote SRC; auto looks, and knows all but zict and files.",
)
@click.option("--to-type", metavar="TYPE", help="The new file type; by default that of SRC, or pkl.")
@click.option("--to-digest-len", type=click.IntRange(0, 26), help="The new length of digests in names.")
@click.option("-n", "--dry-run", is_flag=True, help="Change nothing; with -v, print what would be done.")
@click.option(
    "--fail-fast", is_flag=True, help="Stop at the first error; by default all other items are done."
)
@json_option
@unpickle_option
def command(
    *,
    src: str,
    dst: str | None,
    kind: Any,
    dry_run: bool,
    fail_fast: bool,
    as_json: bool,
    unpickle: bool,
    **options: Any,
) -> None:
    """Change the file type or the digest length of SRC: into the place DST, or in place.

    In place, each item is under its old or under both names at any time. The old one is removed last.
    Values of shelve, diskcache, sqlitedict and joblib are pickles, and need --unpickle.
    Exit codes: 0 all items are converted; 1 items failed, or were written by other programs meanwhile.
    """
    resumable("every item is whole, under its old or its new name; the same command goes on")
    on_error: Literal["raise", "collect"] = "raise" if fail_fast else "collect"
    chosen = {"file_type": options["to_type"], "digest_len": options["to_digest_len"]}
    source: Any
    target: Any
    if kind == "auto":
        kind = _kind_of(src)
    with cleaned_up(dst):
        if kind == "perkey":
            source, target = _of_perkey(src, dst, chosen, {**options, "dry_run": dry_run}, unpickle=unpickle)
        else:
            source, target = _of_others(src, dst, kind, unpickle=unpickle), dst
            if chosen["file_type"] is None and kind in _WITHOUT_PICKLES:
                raise click.UsageError(
                    "--to-type is needed: txt keeps the files as they are, json parses them"
                )
        report = perkey.convert(
            source,
            target,
            kind=kind,
            **(chosen if not isinstance(target, perkey.PersiDict) else {}),
            on_error=on_error,
            dry_run=dry_run,
            on_item=lambda item: detail(f"{item.action} {text_of_key(item.key)}"),
        )
    finish(report, as_json=as_json)


def _kind_of(src: str) -> str:
    """Return which program wrote a place; a dictionary of perkey, where that is not certain."""
    path = os.path.expanduser(src)  # noqa: PTH111 - text, as places are
    try:
        found = "perkey" if "://" in src else kind_of(path)
    except (OSError, ValueError):
        return "perkey"
    return "perkey" if found == "files" else found


def _of_perkey(
    src: str, dst: str | None, chosen: dict[str, Any], options: dict[str, Any], *, unpickle: bool
) -> tuple[perkey.PersiDict[Any], perkey.PersiDict[Any] | None]:
    """Return the dictionary to convert, and the one to write, None if that is the same."""
    if dst is None and not any(value is not None for value in chosen.values()):
        raise click.UsageError("nothing to change: use --to-type or --to-digest-len, or name DST")
    in_place = dst is None and not options["dry_run"]
    source = open_place(src, "r+" if in_place else "r")
    target = None if dst is None else destination(source, dst, options)
    file_type = chosen["file_type"] or source.file_type
    check_formats(source, file_type if target is None else target.file_type, unpickle=unpickle)
    return source, target


def _of_others(src: str, dst: str | None, kind: str, *, unpickle: bool) -> str:
    """Return the place of another program, if it can be read."""
    if dst is None:
        raise click.UsageError("DST is missing: only dictionaries of perkey are converted in place")
    if kind not in _WITHOUT_PICKLES and not unpickle:
        raise click.ClickException(
            f"{src}: values of {kind} are pickles, and loading them runs code that their writers chose: "
            "use --unpickle if you trust the place"
        )
    return src
