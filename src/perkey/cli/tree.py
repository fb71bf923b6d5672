"""Draw keys as a tree."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

import click

from perkey.cli.output import dumped, json_option, line, lines
from perkey.cli.places import open_place, place_argument, place_command, prefix_from, text_of_key
from perkey.errors import counted
from perkey.naming import naming
from perkey.showing import size_text


@dataclass(slots=True)
class _Branch:
    """What is below a beginning of keys.

    Attributes:
        items: How many items.
        bytes: How long they are together.
        is_item: Whether the beginning is itself the key of an item.
        parts: The next parts of the keys; none below the depth that is drawn.
    """

    items: int = 0
    bytes: int = 0
    is_item: bool = False
    parts: dict[str, _Branch] = field(default_factory=dict)


@place_command(
    "tree",
    ("tree results", "all keys as a tree"),
    ("tree -L 1 -s results", "the first parts of keys, with how much is below"),
)
@place_argument()
@click.argument("prefix", default="")
@click.option("-L", "--depth", type=click.IntRange(1), help="Draw so many parts of the keys.")
@click.option("-s", "--sizes", is_flag=True, help="Show sizes.")
@json_option
def command(*, place: str, prefix: str, depth: int | None, sizes: bool, as_json: bool) -> None:
    """Draw the keys of PLACE that begin with PREFIX as a tree."""
    d = open_place(place)
    below = prefix_from(prefix)
    names = naming(d.digest_len, d.file_type)
    stored = names.prefix_of(below)
    sized = sizes or as_json
    root = _Branch()
    found = (
        ((name, stat.size) for name, stat in d.store.scan_sizes(stored))
        if sized
        else ((name, 0) for name in d.store.scan(stored))
    )
    for name, size in found:
        key = names.key_of(name)
        if key is not None:
            _add(root, tuple(key)[len(below) :], size, depth)
    if as_json:
        line(dumped(_plain(root), indent=1))
        return
    line(text_of_key(below) or d.store.describe())
    lines(_drawn(root, "", sizes=sizes))
    line(counted(root.items, "item") + (f", {size_text(root.bytes)}" if sizes else ""))


def _add(root: _Branch, key: tuple[str, ...], size: int, depth: int | None) -> None:
    branch = root
    branch.items += 1
    branch.bytes += size
    for part in key[:depth]:
        branch = branch.parts.setdefault(part, _Branch())
        branch.items += 1
        branch.bytes += size
    branch.is_item |= depth is None or len(key) <= depth


def _drawn(branch: _Branch, margin: str, *, sizes: bool) -> Iterator[str]:
    fork, last, bar = _marks()
    for number, (part, inner) in enumerate(sorted(branch.parts.items()), 1):
        ends = number == len(branch.parts)
        below = inner.items - inner.is_item
        notes = [counted(below, "item")] if below and not inner.parts else []
        notes += [size_text(inner.bytes)] if sizes else []
        note = f"  ({', '.join(notes)})" if notes else ""
        yield f"{margin}{last if ends else fork}{part}{'/' if below and not inner.is_item else ''}{note}"
        yield from _drawn(inner, margin + ("    " if ends else bar), sizes=sizes)


def _marks() -> tuple[str, str, str]:
    """Return the lines of the drawing, as the output can show them."""
    marks = "├── ", "└── ", "│   "
    try:
        "".join(marks).encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return "|-- ", "`-- ", "|   "
    return marks


def _plain(branch: _Branch) -> dict[str, object]:
    plain: dict[str, object] = {"items": branch.items, "bytes": branch.bytes, "is_item": branch.is_item}
    if branch.parts:
        plain["parts"] = {part: _plain(inner) for part, inner in sorted(branch.parts.items())}
    return plain
