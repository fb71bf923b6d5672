"""Print values."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import click

from perkey import PersiDict
from perkey.cli.output import dumped, failures, harmless, line, lines
from perkey.cli.places import (
    STDIO,
    key_from,
    keys_from,
    missing,
    name_of,
    open_place,
    place_argument,
    place_command,
    text_of_key,
    unpickle_option,
)
from perkey.cli.values import is_text, parse, read_each, text_of_value
from perkey.content import close, read_all


@place_command(
    "get",
    ("get results run1/loss", "a value: JSON and text as they are"),
    ("get results run1/loss run2/loss --jsonl", "several, an object of JSON in each line"),
    ("ls -r results | perkey get results --jsonl -", "the values of the keys on standard input"),
    ("get --raw results run1/model -o model.pkl", "the stored bytes, to a file; nothing is loaded"),
)
@place_argument()
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@click.option("--raw", is_flag=True, help="Print the stored bytes as they are; for one key.")
@click.option("-o", "--output", metavar="FILE", help="Write to a file, all or nothing; - is standard output.")
@click.option("--json", "form", flag_value="json", help="Print JSON: the value, or all values by their keys.")
@click.option("--jsonl", "form", flag_value="jsonl", help="Print an object with key and value in each line.")
@unpickle_option
def command(
    *, place: str, keys: tuple[str, ...], raw: bool, output: str | None, form: str | None, unpickle: bool
) -> None:
    """Print the value of KEY in PLACE; - stands for keys on standard input.

    Nothing of the place is run: in JSON, tags of jsonpickle are shown as text, and pickles are loaded only
    with --unpickle.
    """
    d = open_place(place)
    single = len(keys) == 1 and keys[0] != STDIO
    if raw or (single and form != "jsonl"):
        if not single:
            raise click.UsageError("--raw is for one key")
        _print_one(d, place, keys[0], output, as_json=form == "json", raw=raw, unpickle=unpickle)
        return
    if output not in {None, STDIO}:
        raise click.UsageError("--output is for one key")
    wanted = keys_from(keys)
    with failures() as failed:
        found = _sound(place, read_each(d, wanted, unpickle=unpickle), failed)
        if form == "json":
            line(dumped({text_of_key(key): value for key, value in found}, indent=1))
        else:
            lines(dumped({"key": text_of_key(key), "value": value}) for key, value in found)


def _sound(place: str, found: Any, failed: Any) -> Iterator[tuple[Any, Any]]:
    for key, value, error in found:
        if error is None:
            yield key, value
        else:
            failed(text_of_key(key), missing(place, key).message if isinstance(error, KeyError) else error)


def _print_one(
    d: PersiDict[Any],
    place: str,
    text: str,
    output: str | None,
    *,
    as_json: bool,
    raw: bool,
    unpickle: bool,
) -> None:
    key = key_from(text)
    try:
        content = d.store.content(name_of(d, key))
    except KeyError:
        raise missing(place, key) from None
    try:
        stored = read_all(content)
    finally:
        close(content)
    if raw or (is_text(d) and not as_json and (output or not sys.stdout.isatty())):
        shown = stored
    else:
        value = parse(d, stored, unpickle=unpickle)
        written = dumped(value, indent=1) if as_json else text_of_value(value)
        if output in {None, STDIO} and sys.stdout.isatty():
            written = harmless(written)
        shown = _encoded(written if written.endswith("\n") else written + "\n")
    if output in {None, STDIO}:
        sys.stdout.flush()
        sys.stdout.buffer.write(shown)
        sys.stdout.buffer.flush()
    else:
        _write_file(str(output), shown)


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        found = text[error.start]
        raise click.ClickException(f"the text has {found!r}, which UTF-8 does not have: use --json") from None


def _write_file(path: str, content: bytes) -> None:
    from perkey.files import write_file  # noqa: PLC0415 - for this option only

    write_file(path, content)
