"""Trees of dicts and lists that nobody changes once they were seen: an edit copies the way to its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

from perkey.synced.plain import Plain

R = TypeVar("R")

Path: TypeAlias = tuple[str | int, ...]
"""Keys and indices that lead from the root of a tree to a place in it."""

Change: TypeAlias = Callable[[Any], R]
"""Changes a dict or list in place and returns something; raises before it has changed anything."""


class PlaceGone(Exception):  # noqa: N818 - never leaves the room
    """There is no dict or list of the expected kind at the end of a path."""


def at(root: Plain, path: Path, kind: type) -> Any:
    """Return the dict or list at a place of a tree; raises PlaceGone."""
    node = root
    try:
        for step in path:
            node = node[step]
    except (LookupError, TypeError):
        raise PlaceGone("is gone") from None
    return _checked(node, kind)


def edit(root: Plain, path: Path, kind: type, change: Change[R], owned: set[int]) -> tuple[Plain, R]:
    """Return a tree in which one dict or list is changed, and what the change returns.

    Args:
        root: The tree; it stays as it is.
        path: The place.
        kind: Which of dict and list is there.
        change: The change.
        owned: The ids of those parts of the tree that nobody else has seen. They are changed in place, and
            the new copies are added. The tree that the first edit began with must be kept, so that no id
            is used again.

    Raises:
        PlaceGone: There is nothing of that kind.
        Whatever `change` raises.
    """
    at(root, path, kind)
    node = root = _own(root, owned)
    for step in path:
        node[step] = node = _own(node[step], owned)
    return root, change(node)


def _own(node: Any, owned: set[int]) -> Any:
    if id(node) in owned:
        return node
    node = node.copy()
    owned.add(id(node))
    return node


def _checked(node: Plain, kind: type) -> Any:
    if type(node) is not kind:
        raise PlaceGone(f"holds a {type(node).__name__} now, no {kind.__name__}")
    return node
