"""Remove items."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import click

from perkey import PersiDict
from perkey.cli.output import failures, line, progress, remark
from perkey.cli.places import (
    keys_below,
    keys_from,
    missing,
    open_place,
    place_argument,
    place_command,
    prefix_from,
    resumable,
    text_of_key,
)
from perkey.errors import counted
from perkey.keys import SafeStrTuple
from perkey.naming import Name, naming
from perkey.parallel import map_unordered


@place_command(
    "rm",
    ("rm results run1/loss", "one item"),
    ("rm -r results run1", "the item run1, and all below it; -n shows which"),
    ("find results loss.\\$gt 1 | perkey rm results -", "the items whose keys are on standard input"),
)
@place_argument()
@click.argument("keys", nargs=-1, metavar="KEY...")
@click.option("-r", "--recursive", is_flag=True, help="Each KEY, and all keys that begin with it.")
@click.option("--all", "everything", is_flag=True, help="All items.")
@click.option("-f", "--force", is_flag=True, help="Keys that do not exist are not an error.")
@click.option("-n", "--dry-run", is_flag=True, help="Remove nothing, and print the keys.")
def command(
    *, place: str, keys: tuple[str, ...], recursive: bool, everything: bool, force: bool, dry_run: bool
) -> None:
    """Remove the items of KEY in PLACE; - stands for keys on standard input.

    With -r or --all, a question is asked if standard input is a terminal.
    """
    if bool(keys) == everything:
        raise click.UsageError("name the keys, or use --all")
    d = open_place(place, "r" if dry_run else "r+")
    act = _show if dry_run else _remove
    resumable("no item is half removed; the same command goes on")
    with failures() as failed:
        if recursive or everything:
            prefixes = [prefix_from(key) for key in keys] or [SafeStrTuple(())]
            if not all(prefixes) and not everything:
                raise click.UsageError("an empty KEY is all items: use --all")
            found = sorted({key for prefix in prefixes for key in _at_or_below(d, prefix)})
            if not found and not force:
                failed(place, f"no key begins with {' or '.join(map(repr, keys))}" if keys else "no items")
            if found and not dry_run:
                _confirm(f"remove {counted(len(found), 'item')} of {place}?")
            act(d, place, found, failed, force=True)
        else:
            act(d, place, keys_from(keys), failed, force=force)


def _at_or_below(d: PersiDict[Any], prefix: SafeStrTuple) -> Iterator[tuple[str, ...]]:
    yield from map(tuple, keys_below(d, prefix))
    if prefix and prefix in d:
        yield tuple(prefix)


def _confirm(question: str) -> None:
    said = click.get_current_context().find_root().obj
    if not said["yes"] and sys.stdin.isatty():
        click.confirm(question, abort=True, err=True)


def _show(d: PersiDict[Any], place: str, keys: Iterable[Iterable[str]], failed: Any, *, force: bool) -> None:
    """Print the keys of the items that would be removed."""
    for key in keys:
        if force or tuple(key) in d:
            line(text_of_key(key))
        else:
            failed(text_of_key(key), missing(place, key).message)


def _remove(
    d: PersiDict[Any], place: str, keys: Iterable[Iterable[str]], failed: Any, *, force: bool
) -> None:
    names = naming(d.digest_len, d.file_type)

    def fail(name: Name, error: Exception) -> None:
        key = names.key_of(name) or name
        if not isinstance(error, KeyError):
            failed(text_of_key(key), error)
        elif not force:
            failed(text_of_key(key), missing(place, key).message)

    stored: Iterator[Name] = (names.name_of(tuple(key)) for key in keys)
    if not force and d.store.workers > 1:
        stored = _existing(d, stored, fail)
    removed = 0
    with progress("removing") as advance:
        for name, error in d.store.remove_many(stored):
            if error is None:
                removed += 1
            else:
                fail(name, error)
            advance()
    if removed:
        remark(f"{counted(removed, 'item')} removed")


def _existing(
    d: PersiDict[Any], names: Iterator[Name], fail: Callable[[Name, Exception], None]
) -> Iterator[Name]:
    """Yield the names that exist: a bulk removal of an object service does not report missing items."""
    found = map_unordered(d.store.exists, names, workers=d.store.workers, discard=bool)
    for name, exists in found:
        if exists is True:
            yield name
        else:
            fail(name, exists if isinstance(exists, Exception) else KeyError(name))
