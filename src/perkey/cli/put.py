"""Write values."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import IO, Any, Literal, TypeAlias

import click

from perkey import ConflictError, CorruptValueError, PersiDict
from perkey.cli.output import detail, failures, progress, remark
from perkey.cli.places import (
    STDIO,
    key_from,
    name_of,
    open_to_write,
    place_argument,
    place_command,
    resumable,
    text_of_key,
)
from perkey.cli.transfers import cleaned_up
from perkey.cli.values import encoded, is_text
from perkey.errors import counted
from perkey.expectations import ABSENT, ANY
from perkey.formats import format_of
from perkey.naming import Name, naming

_As: TypeAlias = Literal["text", "bytes", "raw"] | None


@place_command(
    "put",
    ("put results run1/loss 0.25", "one value, in JSON where the items are json or pkl"),
    ("put notes --file-type txt today -", "a text from standard input; the place is made if need be"),
    ("get a run1 --raw | perkey put b run1 --raw -", "the stored bytes of an item, unchanged"),
    ("find a --jsonl | perkey put b --jsonl -", "many items, a JSON object with key and value in each line"),
)
@place_argument()
@click.argument("key", required=False)
@click.argument("value", required=False)
@click.option("--text", "kind", flag_value="text", default=None, help="The value is text and not JSON.")
@click.option("--bytes", "kind", flag_value="bytes", help="The value is a bytes object; for pkl.")
@click.option(
    "--raw", "kind", flag_value="raw", help="The value is stored as it is, as `get --raw` prints it."
)
@click.option(
    "--jsonl",
    "source",
    type=click.File("rb"),
    metavar="FILE",
    help="Write the items of a file; - is standard input.",
)
@click.option(
    "-n", "--no-clobber", is_flag=True, help="Only if the key is missing; an item that exists is an error."
)
def command(
    *,
    place: str,
    key: str | None,
    value: str | None,
    kind: _As,
    source: IO[bytes] | None,
    no_clobber: bool,
) -> None:
    """Write VALUE under KEY in PLACE; without VALUE, or with -, it is read from standard input.

    A new place gets the file type json, or that of --file-type.
    """
    if source is not None:
        if key is not None or kind is not None:
            raise click.UsageError("--jsonl takes keys and values from the file")
        with cleaned_up(place):
            _put_many(place, source, no_clobber=no_clobber)
        return
    if key is None:
        raise click.UsageError("KEY is missing; --jsonl FILE writes many items")
    wanted = key_from(key)
    given = sys.stdin.buffer.read() if value in {None, STDIO} else os.fsencode(str(value))
    with cleaned_up(place):
        d = open_to_write(place)
        content = _content(d, given, kind)
        try:
            d.store.write(name_of(d, wanted), content, expect=_expected(d, no_clobber=no_clobber))
        except ConflictError:
            raise click.ClickException(f"{place} has the key {key!r} already; nothing was changed") from None
    detail(f"{text_of_key(wanted)}: {counted(len(content), 'byte')}")


def _expected(d: PersiDict[Any], *, no_clobber: bool) -> Any:
    return ABSENT if no_clobber or d.immutable_items else ANY


def _content(d: PersiDict[Any], given: bytes, kind: _As) -> bytes:
    """Return what is stored for a value that was given as bytes."""
    if kind == "raw":
        try:
            format_of(d.file_type).check(given)
        except CorruptValueError as error:
            raise click.ClickException(
                f"the value is not of the type {d.file_type!r}, nothing was changed: {error.reason}"
            ) from None
        return given
    if kind == "bytes":
        if d.file_type == "json":
            raise click.ClickException(
                "json has no bytes: use a place with --file-type pkl, or --raw for stored bytes"
            )
        return encoded(d, given)
    try:
        text = given.decode()
    except UnicodeDecodeError:
        raise click.ClickException(
            "the value is not text in UTF-8: use --bytes for a pkl, or --raw for stored bytes"
        ) from None
    if kind == "text" or is_text(d):
        return encoded(d, text)
    try:
        return encoded(d, json.loads(text))
    except ValueError as error:
        raise click.ClickException(
            f"the value is not JSON ({error}): quote texts as '\"text\"', or use --text"
        ) from None


def _put_many(place: str, source: IO[bytes], *, no_clobber: bool) -> None:
    d = open_to_write(place)
    names = naming(d.digest_len, d.file_type)
    resumable("the items that were written are whole; the same command writes all again")
    written = 0
    with failures() as failed, progress("writing") as advance:
        results = d.store.write_many(_items(d, source, failed), expect=_expected(d, no_clobber=no_clobber))
        for name, result in results:
            if isinstance(result, ConflictError):
                failed(text_of_key(names.key_of(name) or name), "exists already; it was not changed")
            elif isinstance(result, Exception):
                failed(text_of_key(names.key_of(name) or name), result)
            else:
                written += 1
            advance()
        if written:
            remark(f"{counted(written, 'item')} written")


def _items(d: PersiDict[Any], source: IO[bytes], failed: Any) -> Iterator[tuple[Name, bytes]]:
    for number, text in enumerate(source, 1):
        if not text.strip():
            continue
        try:
            item = json.loads(text)
            key = item["key"]
            yield name_of(d, key_from(key) if isinstance(key, str) else key), encoded(d, item["value"])
        except (ValueError, TypeError, KeyError, click.ClickException) as error:
            failed(f"line {number}", f"not an object with key and value that can be stored: {error}")
