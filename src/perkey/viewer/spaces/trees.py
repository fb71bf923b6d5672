"""Nested values as trees for pages, bounded."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

MOST_NODES: Final = 1_000
MOST_CHILDREN: Final = 100
MOST_DEPTH: Final = 30
LONGEST_TEXT: Final = 2_000
LONGEST_CELL: Final = 60


@dataclass(slots=True)
class Branch:
    """A value with its key.

    Attributes:
        key: The key, or the number in a list.
        text: The value, or how many values it has.
        kind: ``"number"``, ``"text"``, ``"word"`` (true, false and null) or ``"many"``.
        children: The values in it.
        left_out: How many more values it has.
    """

    key: str
    text: str
    kind: str
    children: list[Branch]
    left_out: int = 0


def tree(values: Mapping[str, Any]) -> list[Branch]:
    """Return the values of a mapping with all values in them, at most `MOST_NODES`."""
    return _Budget(MOST_NODES).children(values, 0)[0]


def cell(value: Any) -> str:
    """Return a value as a short text for a cell of a table."""
    if isinstance(value, str):
        found = " ".join(value.split())
    elif isinstance(value, float):
        found = f"{value:.6g}"
    elif isinstance(value, bool | int) or value is None:
        found = json.dumps(value)
    else:
        found = json.dumps(value, default=str, ensure_ascii=False)
    return found if len(found) <= LONGEST_CELL else f"{found[: LONGEST_CELL - 1]}…"


class _Budget:
    def __init__(self, nodes: int) -> None:
        self._left = nodes

    def children(self, value: Any, depth: int) -> tuple[list[Branch], int]:
        """Return branches for the values in a container, and how many were left out."""
        items: Iterable[tuple[Any, Any]] = value.items() if isinstance(value, Mapping) else enumerate(value)
        most = 0 if depth >= MOST_DEPTH else min(MOST_CHILDREN, self._left)
        chosen = list(islice(items, most))
        self._left -= len(chosen)
        return [self._branch(str(key), each, depth) for key, each in chosen], len(value) - len(chosen)

    def _branch(self, key: str, value: Any, depth: int) -> Branch:
        if isinstance(value, Mapping) or (isinstance(value, Sequence) and not isinstance(value, str | bytes)):
            children, left_out = self.children(value, depth + 1)
            noun = "keys" if isinstance(value, Mapping) else "items"
            return Branch(key, f"{len(value):,} {noun}", "many", children, left_out)
        if isinstance(value, str):
            whole = len(value) <= LONGEST_TEXT
            text = value if whole else f"{value[:LONGEST_TEXT]}… ({len(value):,} characters)"
            return Branch(key, text, "text", [])
        kind = "word" if value is None or isinstance(value, bool) else "number"
        return Branch(key, json.dumps(value, default=str), kind, [])
