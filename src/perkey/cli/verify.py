"""Read every value, and report what is wrong."""

from __future__ import annotations

import os
from typing import Any

import click

import perkey
from perkey.cli.output import dumped, line, note, progress, remark
from perkey.cli.places import (
    open_place,
    place_argument,
    place_command,
    resumable,
    text_of_key,
    unpickle_option,
)
from perkey.cli.tables import KEY, Column, Form, count_text, forms, show
from perkey.errors import counted
from perkey.showing import size_text

_COLUMNS = tuple(map(Column, ("kind", "place", "detail", "moved_to")))
_PROJECTS = (os.path.join(".signac", "config"), "signac.rc")  # noqa: PTH118 - text, as places are


@place_command(
    "verify",
    ("verify results", "what is damaged, foreign or left over, a line for each"),
    ("verify results --quarantine", "damaged values are moved to a folder of the place"),
    ("verify results --unquarantine", "and back, unless a newer value was written"),
    ("verify results --json > report.json", "the whole report"),
)
@place_argument()
@click.option(
    "--quarantine", is_flag=True, help="Move damaged values to a folder of the place; nothing is deleted."
)
@click.option(
    "--unquarantine", is_flag=True, help="Move them back where their places are free, and check nothing."
)
@click.option("--workers", type=click.IntRange(1), help="How many values are read at a time.")
@unpickle_option
@forms
@click.pass_context
def command(
    context: click.Context,
    /,
    *,
    place: str,
    quarantine: bool,
    unquarantine: bool,
    workers: int | None,
    unpickle: bool,
    form: Form,
) -> None:
    """Read every value of PLACE, and report what is wrong: damage, foreign files, leftovers, wrong names.

    Frames, checksums and grammar are checked, and nothing is loaded; with --unpickle, values are built, too.
    A project of data spaces is checked by its own check, and repaired with --quarantine.
    Exit codes: 0 no faults; 1 faults, also if all were moved away.
    """
    resumable("nothing was deleted; the same command begins again")
    if unquarantine:
        if quarantine:
            raise click.UsageError("--quarantine and --unquarantine exclude each other")
        _move_back(open_place(place, "r+"), form)
        return
    repair: Any = "quarantine" if quarantine else None
    if any(os.path.exists(os.path.join(place, config)) for config in _PROJECTS):  # noqa: PTH110, PTH118
        from perkey.dataspace import get_project  # noqa: PLC0415 - slow, and for projects only

        report = perkey.verify(get_project(place), repair)
    else:
        d = open_place(place, "r+" if quarantine else "r")
        with progress("reading") as advance:
            report = perkey.verify(d, repair, decode=unpickle, workers=workers, on_item=lambda _: advance())
    if form == "json":
        line(dumped(report.as_dict(), indent=1))
    else:
        rows = ({**fault.as_dict(), "key": fault.key and text_of_key(fault.key)} for fault in report.faults)
        show(_COLUMNS, rows, form)
        faults = sum(fault.is_fault for fault in report.faults)
        unchecked = f", {count_text(report.unchecked)} of them unchecked" if report.unchecked else ""
        remark(
            f"{counted(report.items, 'item')}, {size_text(report.bytes)}{unchecked}; "
            f"{counted(faults, 'fault')}"
        )
    context.exit(report.exit_code)


def _move_back(d: perkey.PersiDict[Any], form: Form) -> None:
    """Move values back from quarantine, and exit with 1 if some stay there."""
    report = perkey.unquarantine(d)
    if form == "json":
        line(dumped(report.as_dict(), indent=1))
    else:
        show((KEY,), ({"key": text_of_key(key)} for key in report.restored), form)
        for kept in report.kept:
            note(f"perkey: {kept}: not moved back: the key has a newer value")
        remark(f"{counted(len(report.restored), 'value')} moved back")
    raise click.exceptions.Exit(report.exit_code)
