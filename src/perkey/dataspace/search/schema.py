"""What the state points of a project have in common: which keys, of which types, with which values."""

from __future__ import annotations

import json
import pprint
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any, Final, TypeAlias

from perkey.query import Path, joined, leaves, split

Values: TypeAlias = dict[type, set[Any]]
"""The values of one key by their types; lists are tuples; mappings in lists, and empty ones, `Frozen`."""

_SHOWN: Final = 5
_ATOMS: Final = frozenset((str, int, float, bool, type(None)))
_CONTAINERS: Final = frozenset((list, dict))
_AT_END: Final = 2


class Frozen(dict[str, Any]):
    """A mapping as a value of a schema: it can be in a set, and must not be changed."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(json.dumps(self, sort_keys=True, default=repr))


class ProjectSchema(Mapping[str, Values]):
    """A mapping from paths of keys to their values by type.

    A path may also be given as a tuple or list of keys.

    Args:
        schema: Such a mapping.
    """

    def __init__(self, schema: Mapping[str, Values] | None = None) -> None:
        self._schema: dict[str, Values] = dict(sorted((schema or {}).items()))

    @classmethod
    def detect(
        cls, statepoints: Iterable[Mapping[str, Any]], *, exclude_const: bool = False
    ) -> ProjectSchema:
        """Return the schema of some state points.

        Args:
            statepoints: The state points.
            exclude_const: Whether to leave out keys that have one value, the same in all of them.
        """
        found: dict[Path, Values] = {}
        counts: dict[Path, int] = {}
        number = 0
        for statepoint in statepoints:
            number += 1
            for path, value in leaves(statepoint):
                leaf = frozen(value) if type(value) in _CONTAINERS else value
                kind = dict if type(leaf) is Frozen else type(leaf)
                kinds = found.get(path)
                if kinds is None:
                    kinds = found[path] = {}
                if kind in kinds:
                    kinds[kind].add(leaf)
                else:
                    kinds[kind] = {leaf}
                if exclude_const:
                    counts[path] = counts.get(path, 0) + 1
        if exclude_const:
            found = {
                path: values
                for path, values in found.items()
                if counts[path] < number or sum(map(len, values.values())) > 1
            }
        return cls({joined(path): values for path, values in found.items()})

    def __getitem__(self, path: str | tuple[str, ...] | list[str]) -> Values:
        return self._schema[path if isinstance(path, str) else joined(path)]

    def __contains__(self, path: object) -> bool:
        return (joined(path) if isinstance(path, list | tuple) else path) in self._schema

    def __iter__(self) -> Iterator[str]:
        return iter(self._schema)

    def __len__(self) -> int:
        return len(self._schema)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ProjectSchema) and self._schema == other._schema

    __hash__ = None  # type: ignore[assignment]

    def __call__(self, jobs_or_statepoints: Iterable[Any]) -> ProjectSchema:
        """Return the schema of some jobs, or state points, with the paths of this one only."""
        found = ProjectSchema.detect(getattr(each, "cached_statepoint", each) for each in jobs_or_statepoints)
        return ProjectSchema({path: values for path, values in found.items() if path in self})

    def difference(self, other: ProjectSchema, ignore_values: bool = False) -> set[str]:
        """Return the paths that the other schema lacks, or has with other values.

        Args:
            other: The other one.
            ignore_values: Whether it is enough that it has the path.
        """
        return {
            path
            for path, values in self._schema.items()
            if path not in other or (not ignore_values and other[path] != values)
        }

    def format(
        self, depth: int | None = None, precision: int | None = None, max_num_range: int | None = None
    ) -> str:
        """Return the schema as text for people.

        Args:
            depth: 0 is one line a path; a larger number shows nested keys nested, down to that depth.
            precision: To how many digits numbers are rounded.
            max_num_range: How many values of a type are shown at most, by default 5.
        """
        most = _SHOWN if max_num_range is None else max_num_range
        lines = {path: _describe(values, precision, most) for path, values in self._schema.items()}
        if depth:
            return pprint.pformat(_nested(lines), depth=depth)
        return "{\n" + "".join(f" {path!r}: {line!r},\n" for path, line in _quoted(lines)) + "}"

    def __str__(self) -> str:
        return self.format()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(<len={len(self)}>)"

    def _repr_html_(self) -> str:
        return f"<strong>{escape(repr(self))}</strong><pre>{escape(str(self))}</pre>"


class _Text(str):
    """Shown between single quotes, whatever is in it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"'{self}'"


def _quoted(lines: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    return ((_Text(path), _Text(line)) for path, line in lines.items())


def frozen(value: Any) -> Any:
    """Return a value in which lists are tuples, so that it can be in a set."""
    if type(value) in _ATOMS:  # most are
        return value
    if isinstance(value, list | tuple):
        return tuple(map(frozen, value))
    return Frozen(value) if isinstance(value, Mapping) else value


def _describe(values: Values, precision: int | None, most: int) -> str:
    kinds = sorted(values.items(), key=lambda item: item[0].__name__)
    return ", ".join(
        f"{kind.__name__}({_range(found, precision, most)}, {len(found)})" for kind, found in kinds
    )


def _range(values: set[Any], precision: int | None, most: int) -> str:
    try:
        ordered = sorted(values)
    except TypeError:  # None, or tuples of several types
        ordered = sorted(values, key=repr)
    texts = [_shown(value, precision) for value in ordered]
    if len(texts) > most:
        at_end = min(_AT_END, most)
        texts = [*texts[: most - at_end], "...", *texts[len(texts) - at_end :]]
    return f"[{', '.join(texts)}]"


def _shown(value: Any, precision: int | None) -> str:
    if precision is not None and isinstance(value, float):
        return str(round(value, precision))
    return str(value)


def _nested(lines: Mapping[str, str]) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for path, line in lines.items():
        node = root
        *above, last = split(path)
        for key in above:
            inner = node.get(key)
            if not isinstance(inner, _Level):
                inner = node[key] = _Level({} if inner is None else {_VALUE: inner})
            node = inner
        if isinstance(node.get(last), _Level):
            node[last][_VALUE] = line  # some jobs have a value where other jobs have keys
        else:
            node[last] = line
    return root


class _Level(dict[str, Any]):
    """What is below a key, as ``pprint`` shows dicts."""

    __repr__ = dict.__repr__


_VALUE: Final = "(value)"
