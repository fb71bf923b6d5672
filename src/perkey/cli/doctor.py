"""What perkey promises for a place."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any, Final

import click

from perkey.cli.options import Command
from perkey.cli.output import dumped, json_option, line, lines, note, working
from perkey.errors import counted
from perkey.files import Locking
from perkey.showing import size_text
from perkey.tools.diagnosis import Diagnosis, Promise
from perkey.tools.doctor import examine, race_with_others
from perkey.tools.meeting import MeetingError

_WIDTH: Final = 80
_MARKS: Final = {True: "yes", False: "NO", None: "unknown"}
_BROKEN: Final = 3
_UNKNOWN: Final = 4
_ALONE: Final = 5


@click.command("doctor", cls=Command)
@click.argument("place")
@click.option(
    "--with-others",
    type=click.IntRange(2, 100),
    metavar="N",
    help="Race with the same command on other machines: N processes in all, started at the same time.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(1, 3600),
    default=20.0,
    show_default=True,
    help="How long the machines race.",
)
@click.option(
    "--wait",
    type=click.FloatRange(1, 86_400),
    default=60.0,
    show_default=True,
    help="For how many seconds the machines wait for each other.",
)
@click.option(
    "--locking",
    type=click.Choice(["auto", "local", "shared", "none"]),
    default="auto",
    help="How writers of a folder exclude each other, as for FileDirDict.",
)
@click.option("--endpoint-url", metavar="URL", help="The address of an S3 service other than AWS.")
@json_option
def command(
    *,
    place: str,
    with_others: int | None,
    seconds: float,
    wait: float,
    locking: Locking,
    endpoint_url: str | None,
    as_json: bool,
) -> None:
    """Report which promises hold for a folder or a bucket (s3://, az://, gs://), and why.

    Exit codes: 0 all promises hold; 1 the place cannot be examined; 2 wrong command line; 3 a promise does
    not hold; 4 it is not known whether a promise holds; 5 the other machines did not come, or left.
    With --with-others, the races alone decide.
    """
    diagnosis = examine(place, locking=locking, endpoint_url=endpoint_url)
    races: list[Promise] = []
    machines: list[dict[str, Any]] = []
    if with_others is not None:
        try:
            with working(f"racing with {with_others - 1} other machines"):
                races, machines = race_with_others(
                    diagnosis,
                    with_others,
                    seconds=seconds,
                    wait=wait,
                    locking=locking,
                    endpoint_url=endpoint_url,
                )
        except MeetingError as error:
            note(f"perkey: {diagnosis.place}: {error}")
            raise click.exceptions.Exit(_ALONE) from None
    code = exit_code(races or diagnosis.promises)
    if as_json:
        others = {"machines": machines, "races": _plain(races)} if with_others is not None else None
        report = {
            "place": diagnosis.place,
            **diagnosis.facts,
            "promises": _plain(diagnosis.promises),
            "advice": diagnosis.advice,
            "others": others,
            "exit_code": code,
        }
        line(dumped(report, indent=1))
    else:
        lines(_text(diagnosis, races, machines))
    raise click.exceptions.Exit(code)


def exit_code(promises: list[Promise]) -> int:
    """Return the exit code for promises."""
    found = {promise.holds for promise in promises}
    if False in found:
        return _BROKEN
    return _UNKNOWN if None in found else 0


def _plain(promises: list[Promise]) -> dict[str, dict[str, Any]]:
    return {promise.name: {"holds": promise.holds, "why": promise.why} for promise in promises}


def _text(diagnosis: Diagnosis, races: list[Promise], machines: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of a report."""
    yield diagnosis.place
    rows = _bucket_rows if diagnosis.facts["kind"] == "bucket" else _folder_rows
    for label, text in rows(diagnosis.facts):
        yield from _row(f"  {label:<13} ", text)
    yield "promises"
    yield from _promise_lines(diagnosis.promises)
    if races:
        yield f"races of {len(machines)} machines"
        for each in machines:
            via = f"{each['way']} on {each['file_system']}" if each["file_system"] else each["way"]
            yield from _row("  ", f"{each['host']}, process {each['process']}: {via}")
        yield from _promise_lines(races)
    if diagnosis.advice:
        yield "what to change"
        for advice in diagnosis.advice:
            yield from _row("  - ", advice)


def _promise_lines(promises: list[Promise]) -> Iterator[str]:
    for promise in promises:
        yield from _row(f"  {_MARKS[promise.holds]:<7}  {promise.name:<22}  ", promise.why)


def _row(head: str, text: str) -> list[str]:
    """Return a text after a head, in lines that fit a terminal."""
    return textwrap.wrap(
        text, _WIDTH, initial_indent=head, subsequent_indent=" " * len(head), break_on_hyphens=False
    ) or [head]


def _folder_rows(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if not facts["exists"]:
        yield "folder", "does not exist yet; this is about the nearest folder above it"
    system = facts["file_system"]
    yield "file system", f"{system['type']} ({system['kind']}, {system['evidence']})"
    if system["options"]:
        yield "mounted with", _shortened(", ".join(system["options"]))
    yield "locking", f"{facts['locking']['way']}, chosen by: {facts['locking']['chosen_by']}"
    yield "access", _access(facts["access"])
    files = facts["free"]["files"]
    yield "free", size_text(facts["free"]["bytes"]) + ("" if files is None else f", {counted(files, 'file')}")
    yield "leftovers", _leftovers(facts["leftovers"])


def _access(access: dict[str, Any]) -> str:
    rights = " and ".join(name for name in ("read", "write") if access[name]) or "none"
    seconds = access.get("seconds")
    return rights + (f"; a durable write took {1000 * seconds:.1f} ms" if seconds is not None else "")


def _leftovers(found: dict[str, Any]) -> str:
    parts = []
    if found["stale_files"]:
        parts.append(counted(found["stale_files"], "stale temporary file"))
    if found["doctor"]:
        parts.append("a test of this command")
    text = ", ".join(parts) or "none"
    return text if found["complete"] else f"{text} (only a part of the folder was searched)"


def _bucket_rows(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if not facts["exists"]:
        yield "bucket", "does not exist yet"
    yield "endpoint", facts["endpoint"]
    if facts["region"]:
        yield "region", facts["region"]
    if facts["exists"]:
        if facts["versioning"]:
            yield "versioning", facts["versioning"]
        uploads = facts["unfinished_uploads"]
        yield "leftovers", "cannot be asked" if uploads is None else f"{uploads} unfinished uploads"


def _shortened(text: str) -> str:
    most = 3 * 60
    return text if len(text) <= most else f"{text[:most]} ... (all: --json)"
