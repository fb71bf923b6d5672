"""Which folders are jobs, and of which state points: by the files in them, a schema string, or a function."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Any, Final, TypeAlias

from perkey.dataspace.errors import StatepointParsingError
from perkey.dataspace.space import FN_STATEPOINT, StatePoint, job_id, normalized
from perkey.files import OURS, SCRATCH, read_file
from perkey.query import nested, split

Schema: TypeAlias = str | Callable[[str], Mapping[str, Any] | None] | None
"""A schema string, a function of a folder's path that returns its state point, if any; None: by files."""

_TYPES: Final[dict[str, tuple[str, Callable[[str], Any]]]] = {
    "str": ("[^/]+?", str),
    "int": ("[-+]?[0-9]+", int),
    "float": (r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?inf|nan", float),
    "bool": ("True|False|true|false|1|0", lambda text: text in {"True", "true", "1"}),
}


@dataclass(frozen=True, slots=True)
class FoundJob:
    """A folder that is to become a job.

    Attributes:
        name: Its path relative to the origin, ``""`` for the origin itself.
        path: Its path.
        statepoint: Its state point.
        id: The id of that.
        is_complete: Whether its state point is in a file in it.
    """

    name: str
    path: str
    statepoint: StatePoint
    id: str
    is_complete: bool


def discover(
    origin: str, schema: Schema, shown: Callable[[str], str], apart: frozenset[str]
) -> list[FoundJob]:
    """Return the folders at and below `origin` that are jobs; what is in a job is not looked at.

    Args:
        origin: The folder.
        schema: How state points are found.
        shown: Makes of the relative path of a folder the path that a function is given.
        apart: Real paths of folders that are not looked into.

    Raises:
        StatepointParsingError: A state point cannot be read, contradicts the file in its folder, or belongs
            to two folders.
        ValueError: The schema string makes no sense.
    """
    for statepoint_of in _readings(schema, shown):
        found = _found_jobs(_walk(origin, statepoint_of, apart), shown)
        if found:
            return found
    return []


def _found_jobs(jobs: Iterable[FoundJob], shown: Callable[[str], str]) -> list[FoundJob]:
    """Return the jobs; raises StatepointParsingError if two have one state point."""
    found: dict[str, FoundJob] = {}
    for job in jobs:
        if job.id in found:
            raise StatepointParsingError(
                f"{shown(found[job.id].name)} and {shown(job.name)} have one state point: {job.statepoint}"
            )
        found[job.id] = job
    return list(found.values())


def _walk(
    origin: str, statepoint_of: Callable[[str], Mapping[str, Any] | None], apart: frozenset[str]
) -> Iterator[FoundJob]:
    for folder, names, _ in os.walk(origin):
        name = "" if folder == origin else os.path.relpath(folder, origin).replace(os.sep, "/")
        present = _read_statepoint(folder)
        statepoint = present if statepoint_of is _by_files else statepoint_of(name)
        if statepoint is not None:
            names.clear()
            yield _found(name, folder, statepoint, present)
            continue
        names[:] = sorted(
            each
            for each in names
            if each != SCRATCH
            and not each.startswith(OURS)
            and os.path.realpath(os.path.join(folder, each)) not in apart
        )


def _found(name: str, folder: str, statepoint: Any, present: StatePoint | None) -> FoundJob:
    try:
        plain = normalized(statepoint)
    except (TypeError, ValueError) as error:
        raise StatepointParsingError(f"{folder}: {error}") from error
    job = job_id(plain)
    if present is not None and job_id(present) != job:
        raise StatepointParsingError(f"{folder}: {FN_STATEPOINT} has {present}, but the schema gives {plain}")
    return FoundJob(name, folder, plain, job, present is not None)


def _read_statepoint(folder: str) -> StatePoint | None:
    path = os.path.join(folder, FN_STATEPOINT)
    content = read_file(path)
    try:
        return None if content is None else normalized(json.loads(content))
    except (TypeError, ValueError) as error:
        raise StatepointParsingError(f"{path} is not a state point: {error}") from error


def _by_files(_name: str) -> None:
    """Stand for the files in the folders."""


def _readings(schema: Schema, shown: Callable[[str], str]) -> list[Callable[[str], Mapping[str, Any] | None]]:
    """Return functions of a folder's path in the origin; each is used if those before it find no job."""
    if schema is None:
        return [_by_files]
    if isinstance(schema, str):
        text = schema.removeprefix("./")
        within = _within_origin(text, shown(""))
        texts = [text] if within is None else [within, text]
        return [SchemaString(text).statepoint_of for text in texts]
    if not callable(schema):
        raise ValueError(f"a schema must be a string, a function, or None: {schema!r}")
    function = schema
    return [lambda name: function(shown(name))]


def _within_origin(schema: str, origin: str) -> str | None:
    """Return the rest of a schema string that begins with the origin as it was given, if it does.

    One interpretation holds for all folders: a field never takes the name of the origin.

    >>> _within_origin("data/{a}", "./data/"), _within_origin("{a}/{b}", "data")
    ('{a}', None)
    """
    path = os.path.normpath(origin).replace(os.sep, "/").replace("{", "{{").replace("}", "}}").rstrip("/")
    text = f"{schema}/"
    return text.removeprefix(f"{path}/").strip("/") if text.startswith(f"{path}/") else None


class SchemaString:
    """A path in which fields stand for values, such as ``foo/{foo:int}/{n.bar}``.

    Args:
        text: The path. Types are str, which is the default, int, float and bool; a field that occurs again
            must have the same value. ``{sp.foo}`` and ``{job.sp.foo}`` are the same as ``{foo}``.

    The empty key of the state point is ``{sp.}``, that of ``a`` is ``{a.}``.

    Raises:
        ValueError: A type is unknown, a field has no name, or a field is within another one.
    """

    def __init__(self, text: str) -> None:
        self._fields: dict[str, tuple[str, Callable[[str], Any]]] = {}
        pattern = ""
        for literal, field, kind, _ in Formatter().parse(text.strip("/")):
            pattern += re.escape(literal)
            if field is not None:
                pattern += self._group(field, kind or "str")
        self._match = re.compile(pattern).fullmatch

    def _group(self, field: str, kind: str) -> str:
        if kind not in _TYPES:
            raise ValueError(
                f"{{{field}:{kind}}} is not a field: its type must be one of {', '.join(_TYPES)}"
            )
        if not field:
            raise ValueError("a field has no name; the empty key is {sp.}")
        key = field.removeprefix("job.").removeprefix("sp.")
        for group, (known, _) in self._fields.items():
            if known == key:
                return f"(?P={group})"
        self._require_apart(key)
        pattern, convert = _TYPES[kind]
        group = f"field{len(self._fields)}"
        self._fields[group] = key, convert
        return f"(?P<{group}>{pattern})"

    def _require_apart(self, key: str) -> None:
        """Raise ValueError if a key would be a value and a mapping, of which one would be lost."""
        path = split(key)
        for known, _ in self._fields.values():
            other = split(known)
            if all(ours == theirs for ours, theirs in zip(path, other, strict=False)):
                above = known if len(other) < len(path) else key
                raise ValueError(
                    f"{{{known}}} and {{{key}}} contradict each other: {above!r} cannot be a "
                    "value and a mapping"
                )

    def statepoint_of(self, path: str) -> StatePoint | None:
        """Return the state point that a path contains; None if it is another kind of path.

        >>> SchemaString("a_{a:int}/{b.c}").statepoint_of("a_1/x")
        {'a': 1, 'b': {'c': 'x'}}
        """
        found = self._match(path)
        if found is None:
            return None
        return nested((split(key), convert(found[group])) for group, (key, convert) in self._fields.items())
