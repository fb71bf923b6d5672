"""What `cp`, `sync` and `convert` have in common."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from perkey import LocalDict, PersiDict
from perkey.cli.output import detail, dumped, json_option, line, list_failures, note
from perkey.cli.places import open_place, open_to_write, parameters, text_of_key, unpickle_option
from perkey.cli.tables import count_text
from perkey.cli.values import is_text
from perkey.errors import counted
from perkey.showing import size_text

F = TypeVar("F", bound=Callable[..., Any])


def transfer_options(function: F) -> F:
    """Add the options of `cp` and `sync`."""
    for option in reversed(
        (
            click.option("--prefix", default="", metavar="KEY", help="Only keys that begin with it."),
            click.option(
                "-n", "--dry-run", is_flag=True, help="Change nothing; with -v, print what would be done."
            ),
            click.option(
                "--no-clobber", is_flag=True, help="Keep each item that is there, and compare none."
            ),
            click.option(
                "--checksum", is_flag=True, help="Compare contents where sizes are equal, and not times."
            ),
            click.option(
                "--fail-fast",
                is_flag=True,
                help="Stop at the first error; by default all other items are copied.",
            ),
            click.option(
                "--unconditional",
                is_flag=True,
                help="Write also where the place cannot compare; what is written meanwhile may be lost.",
            ),
            click.option("--workers", type=click.IntRange(1), help="How many requests at a time."),
            click.option(
                "--to-type", metavar="TYPE", help="The file type of DST; a new DST gets that of SRC."
            ),
            click.option(
                "--to-digest-len",
                type=click.IntRange(0, 26),
                help="The length of the digests in the names of DST.",
            ),
            json_option,
            unpickle_option,
        )
    ):
        function = option(function)
    return function


def destination(src: PersiDict[Any], place: str, options: dict[str, Any]) -> PersiDict[Any]:
    """Return the dictionary that is written; a new place gets the parameters of the source."""
    given = {"file_type": options["to_type"], "digest_len": options["to_digest_len"]}
    given = {name: value for name, value in given.items() if value is not None}
    like = {"file_type": src.file_type, "digest_len": src.digest_len}
    if options.get("dry_run") and _is_missing_folder(place):
        return LocalDict(**{**like, **given})  # a plan makes no folder
    return open_to_write(place, given, **like)


def _is_missing_folder(place: str) -> bool:
    return "://" not in _path_of(place) and not Path(_path_of(place)).expanduser().exists()


def _path_of(place: str) -> str:
    return place.removeprefix("file://")


@contextmanager
def cleaned_up(place: str | None) -> Iterator[None]:
    """Remove the folders that the block makes for a place, if it raises and they are empty.

    Args:
        place: A path or a URL, of a place that may not exist; None does nothing.
    """
    new: list[Path] = []
    if place is not None and _is_missing_folder(place):
        path = Path(_path_of(place)).expanduser().absolute()
        new = [each for each in (path, *path.parents) if not each.exists()]
    try:
        yield
    except Exception:
        for folder in new:
            try:
                folder.rmdir()
            except OSError:
                break  # it is in use, or was never made
        raise


def check_formats(src: PersiDict[Any], file_type: str, *, unpickle: bool) -> None:
    """Refuse another format if that takes to load what may run code: pickles, and tags in JSON."""
    if file_type != src.file_type and not unpickle and not is_text(src):
        raise click.ClickException(
            f"from {src.file_type!r} to {file_type!r} values are loaded, which runs code that their writers "
            "chose: use --unpickle if you trust the place"
        )


def source_for(src: PersiDict[Any], place: str, target: PersiDict[Any], *, unpickle: bool) -> PersiDict[Any]:
    """Return the source, whose format is checked; a place without items has that of the target."""
    if target.file_type != src.file_type and "file_type" not in parameters(place) and not src:
        return open_place(place, file_type=target.file_type, digest_len=target.digest_len)
    check_formats(src, target.file_type, unpickle=unpickle)
    return src


def arguments(options: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of `perkey.copy` and `perkey.sync` that options stand for."""
    return {
        "overwrite": not options["no_clobber"],
        "on_error": "raise" if options["fail_fast"] else "collect",
        "dry_run": options["dry_run"],
        "checksum": options["checksum"],
        "unconditional": options["unconditional"],
        "workers": options["workers"],
        "on_item": _report_item,
    }


def _report_item(item: Any) -> None:
    detail(f"{item.action} {text_of_key(item.key)}")


@contextmanager
def bar(label: str) -> Iterator[Any]:
    """Yield what `progress` of the functions is: a bar with totals and rates at a terminal, or False."""
    quiet = click.get_current_context().find_root().obj["quiet"]
    if quiet or not sys.stderr.isatty():
        yield False
        return
    from rich import progress as bars  # noqa: PLC0415 - slow to import
    from rich.console import Console  # noqa: PLC0415

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TextColumn("{task.fields[size]}"),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task(label, total=None, size="")

        def update(report: Any, total: int) -> None:
            rate = report.bytes / shown.tasks[0].elapsed if shown.tasks[0].elapsed else 0
            size = f"{size_text(report.bytes)}, {size_text(rate)}/s"
            shown.update(task, completed=report.done, total=total, size=size)

        yield update


def finish(report: Any, *, as_json: bool) -> None:
    """Print a report of `perkey.copy`, `perkey.sync` or `perkey.convert`, and exit with its exit code."""
    if as_json:
        line(dumped(report.as_dict(), indent=1))
    else:
        line(_summary(report))
        list_failures(report.errors, report.failed)
        if report.delete_refused:
            note("perkey: nothing was deleted, because some items could not be copied")
    raise click.exceptions.Exit(report.exit_code)


def _summary(report: Any) -> str:
    would = "would be " if report.dry_run else ""
    parts = [
        f"{counted(report.copied, 'item')} ({size_text(report.bytes)}) {would}copied",
        f"{count_text(report.skipped)} there already",
    ]
    parts += [f"{count_text(report.deleted)} {would}deleted"] if report.deleted else []
    parts += [counted(report.conflicts, "conflict")] if report.conflicts else []
    parts += [f"{count_text(report.failed)} failed"] if report.failed else []
    return ", ".join(parts)
