"""List the claims on items, and break them."""

from __future__ import annotations

import click

import perkey
from perkey.cli.output import remark
from perkey.cli.places import key_from, open_place, place_argument, place_command, text_of_key
from perkey.cli.tables import KEY, Column, Form, Row, forms, show, time_of, time_text
from perkey.tools.once import ClaimInfo

_COLUMNS = (
    KEY,
    Column("state"),
    Column("host"),
    Column("process"),
    Column("since", time_text),
    Column("lease", "{:g} s".format, right=True),
    Column("takeovers", right=True),
    Column("failure"),
)


@place_command(
    "claims",
    ("claims results", "which processes compute which items now"),
    ("claims results --all --json", "also released claims that keep a failure"),
    ("claims results --break run1/loss", "take a claim away from a process that hangs"),
)
@place_argument()
@click.option("--all", "everything", is_flag=True, help="List released claims, too.")
@click.option("--break", "broken", metavar="KEY", help="Take the claim on KEY away from its holder.")
@forms
def command(*, place: str, everything: bool, broken: str | None, form: Form) -> None:
    """List the claims on items of PLACE: the processes that compute values once for all.

    The state is held, gone (the process has ended; the next contender gets the claim) or free.
    """
    if broken is not None:
        d = open_place(place, "r+")
        if not perkey.break_claim(d, key_from(broken)):
            raise click.ClickException(f"{place}: no process holds a claim on {broken!r}")
        remark(f"the claim on {broken} is free")
        return
    show(_COLUMNS, map(_row, perkey.claims(open_place(place), free=everything)), form)


def _row(claim: ClaimInfo) -> Row:
    failure = claim.failure
    return {
        "key": text_of_key(claim.key),
        "state": "free" if claim.free else "gone" if claim.gone else "held",
        "host": claim.host,
        "process": claim.process,
        "since": time_of(claim.since),
        "lease": claim.lease,
        "takeovers": claim.token,
        "failure": failure and f"{failure.type}: {failure.text}",
    }
