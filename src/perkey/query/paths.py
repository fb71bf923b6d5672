"""Paths into nested values: the keys of mappings inside mappings, from the outermost to the innermost.

As text, a path has dots between its keys. The empty text is a key, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

from perkey.arguments import MISSING

Path: TypeAlias = tuple[str, ...]
"""The keys. The empty path leads to the value itself."""

Predicate: TypeAlias = Callable[[Any], bool]
"""Returns whether a value is as expected."""


_SINGLE: Final = frozenset((str, int, float, bool, type(None), list))


def split(text: str) -> Path:
    """Return the path that a text with dots stands for.

    >>> split("a.b"), split(""), split("a.")
    (('a', 'b'), ('',), ('a', ''))
    """
    return tuple(text.split("."))


joined: Final[Callable[[Iterable[str]], str]] = ".".join
"""Returns a path as text with dots."""


def value_at(value: Any, path: Iterable[str], default: Any = MISSING) -> Any:
    """Return the value at a path, or the default if the path does not exist.

    >>> value_at({"a": {"b": 1}}, ("a", "b")), value_at({"a": 5}, ("a", "b"))
    (1, MISSING)
    """
    for key in path:
        # Most mappings are exact dicts. A call for each of them would take as long as the look.
        value = value.get(key, MISSING) if type(value) is dict else _inner(value, key)
    return default if value is MISSING else value


def holds_at(path: Path, test: Predicate) -> Predicate:
    """Return the predicate that applies a test to the value at a path, or to `MISSING`.

    A search calls it for each document. `value_at` in its place would be one call more for each of them.
    """
    if not path:
        return test

    def holds(document: Any) -> bool:
        for key in path:
            document = document.get(key, MISSING) if type(document) is dict else _inner(document, key)
        return test(document)

    return holds


def leaves(mapping: Mapping[str, Any], above: Path = ()) -> list[tuple[Path, Any]]:
    """Return the paths to all values that have no keys, with the values.

    A mapping without items is such a value.

    Args:
        mapping: The mapping.
        above: The path that all paths begin with.

    >>> leaves({"a": 1, "b": {"c": [2], "d": {}}})
    [(('a',), 1), (('b', 'c'), [2]), (('b', 'd'), {})]
    """
    found: list[tuple[Path, Any]] = []
    for key, value in mapping.items():
        path = (*above, key)
        kind = type(value)
        if kind not in _SINGLE and (kind is dict or isinstance(value, Mapping)) and value:
            found += leaves(value, path)
        else:
            found.append((path, value))
    return found


def nested(leaves: Iterable[tuple[Iterable[str], Any]]) -> dict[str, Any]:
    """Return the dict of dicts in which values are at their paths: the inverse of `leaves`.

    >>> nested([(("a",), 1), (("b", "c"), 2)])
    {'a': 1, 'b': {'c': 2}}
    """
    root: dict[str, Any] = {}
    for path, value in leaves:
        *above, last = path
        node = root
        for key in above:
            node = node.setdefault(key, {})
        node[last] = value
    return root


def _inner(value: Any, key: str) -> Any:
    return value.get(key, MISSING) if isinstance(value, Mapping) else MISSING
