"""How many items a dictionary has, how large they are, and how old: by one listing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from perkey.arguments import check_count, check_kind
from perkey.keys import PersiDictKey
from perkey.mapping import PersiDict
from perkey.naming import naming
from perkey.showing import Shown
from perkey.stores import Stat


@dataclass(slots=True)
class Written:
    """An item, and when it was last written.

    Attributes:
        key: Its key.
        time: Seconds since the epoch, by the clock that `PersiDict.timestamp` is of.
    """

    key: tuple[str, ...]
    time: float

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"key": list(self.key), "time": self.time}


@dataclass(slots=True)
class Usage(Shown):
    """What a dictionary, or a part of one, takes.

    Attributes:
        items: How many items there are.
        bytes: How long they are together, as they are stored.
        oldest: The item that was written longest ago; None for an empty dictionary.
        newest: The item that was written last; None for an empty dictionary.
        place: The path or address of the whole.
        by_prefix: The same for the items below each beginning of keys; those with shorter keys are below
            the beginning that they have.
    """

    items: int = 0
    bytes: int = 0
    oldest: Written | None = None
    newest: Written | None = None
    place: str = ""
    by_prefix: dict[tuple[str, ...], Usage] = field(default_factory=dict)

    def add(self, key: tuple[str, ...], found: Stat) -> None:
        """Count an item."""
        self.items += 1
        self.bytes += found.size
        if self.oldest is None or (found.mtime, key) < (self.oldest.time, self.oldest.key):
            self.oldest = Written(key, found.mtime)
        if self.newest is None or (found.mtime, key) > (self.newest.time, self.newest.key):
            self.newest = Written(key, found.mtime)

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data, beginnings of keys joined by slashes."""
        whole: dict[str, Any] = {"place": self.place} if self.place else {}
        whole |= {
            "items": self.items,
            "bytes": self.bytes,
            "oldest": self.oldest and self.oldest.as_dict(),
            "newest": self.newest and self.newest.as_dict(),
        }
        if self.by_prefix:
            parts = sorted(self.by_prefix.items())
            whole["by_prefix"] = {"/".join(prefix): part.as_dict() for prefix, part in parts}
        return whole


def usage(d: PersiDict[Any], prefix: PersiDictKey = (), *, depth: int = 1) -> Usage:
    """Return how many items a dictionary has, how large they are, and which are the oldest and the newest.

    What lies in the place and is not an item of this dictionary is not counted: items of other types, foreign
    files, claims, unfinished writes.

    Args:
        d: The dictionary.
        prefix: Only items whose keys begin with it; empty for all.
        depth: How many parts of a key, after `prefix`, make a group of `Usage.by_prefix`; 0 means no groups.

    Returns:
        The totals. Keys in it are those of `d`.

    Cost: one listing; in a folder a stat for each item. Memory for each group. No item is read.

    >>> from perkey import LocalDict
    >>> d = LocalDict("txt")
    >>> d.update({("a", "x"): "one", ("a", "y"): "four", "b": "!"})
    >>> usage(d).items, usage(d).bytes, usage(d).by_prefix["a",].bytes
    (3, 8, 7)
    """
    check_kind("d", d, PersiDict, "a PersiDict")
    check_count("depth", depth)
    names = naming(d.digest_len, d.file_type)
    below = names.prefix_of(prefix)
    whole = Usage(place=d.store.describe(below))
    for name, found in d.store.scan_sizes(below):
        key_found = names.key_of(name)
        if key_found is None:
            continue
        key = tuple(key_found)
        whole.add(key, found)
        if depth:
            group = key[: min(len(below) + depth, len(key) - 1)]
            whole.by_prefix.setdefault(group, Usage()).add(key, found)
    return whole
