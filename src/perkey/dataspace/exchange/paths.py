"""Where each job goes in an export or a view: a relative path that contains its state point.

Paths are safe: they stay below the target, no job's folder is in another's, and what cannot be in a file
name is replaced: by ``%`` and hexadecimal digits, and beyond 120 bytes by a digest.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping
from string import Formatter
from typing import Any, Final, Literal, TypeAlias

from perkey.dataspace.errors import ExchangePathError
from perkey.dataspace.search import STATEPOINT, ProjectSchema, frozen, split_path
from perkey.dataspace.space import Space, StatePoint
from perkey.query import MISSING, joined, split, value_at
from perkey.synced import SyncedCollection

PathSpec: TypeAlias = str | Callable[[Any], str] | Literal[False] | None
"""A format string, a function of the job, False for ids; None stands for ``{{auto}}``."""

_AUTO: Final = re.compile(r"\{\{\s*auto\s*(?::(?P<double>[^{}]*))?\}\}|\{auto(?::(?P<single>[^{}]*))?\}")
_AWKWARD: Final = re.compile("[/\\\\\x00-\x1f\x7f\ud800-\udfff]")
_LONGEST: Final = 120
_RESERVED: Final = (".@perkey",)


def paths_of(
    space: Space, jobs: Mapping[str, StatePoint], path: PathSpec, *, below: str = ""
) -> dict[str, str]:
    """Return the path of each job, by its id.

    Without a specification no two paths clash: jobs whose paths would be the same
    get their ids into them.

    Args:
        space: The space.
        jobs: The ids of the jobs with their state points.
        path: How paths are made.
        below: A name that each path ends in, besides what `path` makes.

    Raises:
        ExchangePathError: Paths clash, or lead out of the target, or name what a job does not have.
    """
    if path is False:
        return {job: _path(job, below) for job in jobs}
    if path is None:
        auto = _Auto(jobs.values(), frozenset())
        paths = {job: auto.expand(statepoint, "/") for job, statepoint in jobs.items()}
        return _distinguished(paths, below)
    if callable(path):
        make = path
    elif isinstance(path, str):
        make = _Template(path, jobs).expand
    else:
        raise ExchangePathError(f"a path must be a string, a function, False, or None: {path!r}")
    return {
        job: _path(_inside(make(space.make_job(job, statepoint))), below) for job, statepoint in jobs.items()
    }


def _path(*parts: str) -> str:
    """Return a relative path of those parts that are not empty."""
    return "/".join(part for part in parts if part)


def require_distinct(paths: Mapping[str, str]) -> None:
    """Raise ExchangePathError if the folder of one job would be in that of another, or the same."""
    clashing = _clashing(paths)
    if clashing:
        example = paths[clashing[0]] or "."
        raise ExchangePathError(
            f"{len(clashing)} jobs share paths, or have paths within others, such as {example!r}: "
            "add '/id/{job.id}' to the path"
        )


class _Template:
    """A format string, such as ``foo/{foo}/{{auto}}``.

    Args:
        text: The string.
        jobs: The jobs that it is for.
    """

    def __init__(self, text: str, jobs: Mapping[str, StatePoint]) -> None:
        self._pieces: list[str | None] = []
        self._separator = "/"
        position = 0
        has_key = any("auto" in statepoint for statepoint in jobs.values())
        for found in _AUTO.finditer(text):
            if found.group().startswith("{{") or not has_key:
                separator = (found["double"] or found["single"] or "").strip()
                self._separator = separator or "/"
                self._pieces += [text[position : found.start()], None]
                position = found.end()
        self._pieces.append(text[position:])
        try:
            fields = [
                field
                for piece in self._pieces
                if piece is not None
                for _, field, _, _ in Formatter().parse(piece)
                if field is not None
            ]
        except ValueError as error:
            raise ExchangePathError(f"{text!r} is not a format string: {error}") from None
        self._auto = _Auto(jobs.values(), frozenset(map(_key_of, fields)))

    def expand(self, job: Any) -> str:
        """Return the path of a job."""
        parts = [
            self._auto.expand(job.cached_statepoint, self._separator)
            if piece is None
            else _formatted(piece, job)
            for piece in self._pieces
        ]
        return re.sub("/+", "/", "".join(parts)).strip("/") if None in self._pieces else "".join(parts)


def _formatted(text: str, job: Any) -> str:
    result = []
    for literal, field, spec, conversion in Formatter().parse(text):
        result.append(literal)
        if field is not None:
            value = _value_of(field, job)
            try:
                shown = format(Formatter().convert_field(value, conversion), spec or "")
            except (TypeError, ValueError) as error:
                raise ExchangePathError(f"{{{field}}} of job {job.id}: {error}") from None
            result.append(quoted(shown))
    return "".join(result)


def _key_of(field: str) -> str | None:
    """Return the key of the state point that a field names; None if it names something else."""
    namespace, path = split_path(field.removeprefix("job.").replace("statepoint.", "sp.", 1))
    return joined(path) if namespace == STATEPOINT and path else None


def _value_of(field: str, job: Any) -> Any:
    namespace, path = split_path(field)
    value: Any = job
    for step in split(field)[1:] if field.startswith("job.") else (namespace, *path):
        try:
            value = value[step] if isinstance(value, Mapping) else _attribute(value, step)
        except (AttributeError, KeyError):
            raise ExchangePathError(f"job {job.id} has no {field!r}") from None
    return value() if isinstance(value, SyncedCollection) else value


def _attribute(value: Any, name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    return getattr(value, name)


class _Auto:
    """Makes paths of all keys whose values are not the same in all jobs, those with few values first.

    Args:
        statepoints: The state points.
        named: Keys that are in the path already.
    """

    def __init__(self, statepoints: Any, named: frozenset[str | None]) -> None:
        schema = ProjectSchema.detect(statepoints, exclude_const=True)
        keys = sorted((sum(map(len, schema[key].values())), key) for key in schema if key not in named)
        self._keys: Final = [(key, split(key)) for _, key in keys]

    def expand(self, statepoint: Mapping[str, Any], separator: str) -> str:
        """Return the keys and values that a state point has."""
        parts: list[str] = []
        for key, path in self._keys:
            found = value_at(statepoint, path)
            if found is not MISSING and not (isinstance(found, Mapping) and found):
                parts += [quoted(key), quoted(str(frozen(found)))]
        return separator.join(parts)


def quoted(text: str) -> str:
    """Return a text as one part of a path.

    >>> quoted("a b"), quoted("../x"), quoted(".."), quoted("")
    ('a b', '..%2Fx', '%2E%2E', '%')
    """
    text = _AWKWARD.sub(lambda found: f"%{ord(found.group()):02X}", text)
    if text in {"", ".", ".."} or text.startswith(_RESERVED):
        text = text.replace(".", "%2E") or "%"
    raw = text.encode()
    if len(raw) <= _LONGEST:
        return text
    digest = hashlib.md5(raw, usedforsecurity=False).hexdigest()
    return f"{raw[: _LONGEST - len(digest)].decode(errors='ignore')}~{digest}"


def _inside(path: Any) -> str:
    """Return a relative path in its shortest form; raises ExchangePathError if it leads elsewhere."""
    text = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not isinstance(text, str):
        raise ExchangePathError(f"a path is text, not {path!r}")
    parts = [part for part in text.split("/") if part not in {"", "."}]
    if os.path.isabs(text) or os.path.splitdrive(text)[0] or ".." in parts or "\0" in text:
        raise ExchangePathError(f"{text!r} leads out of the target")
    if any(part.startswith(_RESERVED) for part in parts):
        raise ExchangePathError(
            f"{text!r}: names that begin with {_RESERVED[0]!r} are for unfinished changes"
        )
    return "/".join(parts)


def _distinguished(paths: Mapping[str, str], below: str) -> dict[str, str]:
    """Return the paths, with ids in those that clash."""
    found = {job: _path(path, below) for job, path in paths.items()}
    found |= {job: _path(paths[job], "id", job, below) for job in _clashing(found)}
    return {job: _path(job, below) for job in paths} if _clashing(found) else found


def _clashing(paths: Mapping[str, str]) -> list[str]:
    """Return the jobs whose path is another's as well, or is above another's."""
    taken = Counter(paths.values())
    above = {folder for path in taken for folder in folders_above(path)}
    return [job for job, path in paths.items() if taken[path] > 1 or path in above]


def folders_above(path: str) -> set[str]:
    """Return the paths of all folders above a relative path; ``""`` is the root."""
    parts = path.split("/") if path else []
    return {"/".join(parts[:end]) for end in range(len(parts))}
