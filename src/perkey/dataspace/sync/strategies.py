"""Who wins when source and destination differ: strategies for files and for documents."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any, Final, Literal, Protocol, TypeAlias

from perkey.dataspace.errors import DocumentSyncConflict
from perkey.dataspace.space import Space
from perkey.synced import SyncedCollection


class Place(Protocol):
    """A job or a project, as a synchronisation and its strategies see it."""

    @property
    def FN_DOCUMENT(self) -> str:  # noqa: N802 - signac's name
        """The file of its document."""

    @property
    def space(self) -> Space:
        """The space that it belongs to."""

    @property
    def path(self) -> str:
        """Its folder."""

    @property
    def document(self) -> SyncedCollection:
        """Its document."""

    def fn(self, filename: str) -> str:
        """Return the path of a file in its folder."""


class JobPlace(Place, Protocol):
    """A job."""

    @property
    def id(self) -> str:
        """The id."""

    def init(self) -> object:
        """Make its folder, unless it exists."""


FileStrategy: TypeAlias = Callable[[Any, Any, str], Any]
"""Takes source, destination and the name of a file that differs; returns whether to overwrite it."""

DocStrategy: TypeAlias = Callable[[Any, Any], object]
"""Takes the documents of source and destination as plain dictionaries, and changes the second one."""

KeyStrategy: TypeAlias = Callable[[str], Any] | str | re.Pattern[str]
"""Decides whether the value of a key, given with dots, is overwritten: by a function, or by being found."""


class FileSync:
    """Strategies for files that differ."""

    @classmethod
    def keys(cls) -> tuple[str, ...]:
        """Return the names of the strategies."""
        return ("always", "never", "update", "Ask")

    @staticmethod
    def always(src: Place, dst: Place, fn: str) -> bool:  # noqa: ARG004 - a strategy is asked with all three
        """Overwrite."""
        return True

    @staticmethod
    def never(src: Place, dst: Place, fn: str) -> bool:  # noqa: ARG004 - a strategy is asked with all three
        """Keep what the destination has."""
        return False

    @staticmethod
    def update(src: Place, dst: Place, fn: str) -> bool:
        """Overwrite if the file of the source was modified later."""
        return os.stat(src.fn(fn)).st_mtime_ns > os.stat(dst.fn(fn)).st_mtime_ns

    class Ask:
        """Ask the user once for each file name; the answer is valid for that name in all jobs."""

        _YES: Final = frozenset(("y", "yes"))
        _NO: Final = frozenset(("n", "no", ""))

        def __init__(self) -> None:
            self._answers: dict[str, bool] = {}

        def __call__(self, src: Place, dst: Place, fn: str) -> bool:  # noqa: ARG002 - as above
            """Return the answer; raises EOFError if standard input is closed."""
            if fn not in self._answers:
                self._answers[fn] = self._ask(fn)
            return self._answers[fn]

        def _ask(self, fn: str) -> bool:
            while True:
                answer = input(f"Overwrite files named {fn!r}? [y/N] ").strip().lower()
                if answer in self._YES | self._NO:
                    return answer in self._YES


def compiled(pattern: str | re.Pattern[str]) -> re.Pattern[str]:
    """Return a regular expression that a user gave; raises ValueError if it is not one."""
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from error


class DocSync:
    """Functions that bring a document up to date with another."""

    NO_SYNC: Final = False
    """Leave documents alone."""

    COPY: Final = "copy"
    """Treat documents as files: copied if missing, and by the strategy for files if they differ."""

    @staticmethod
    def update(src: Mapping[str, Any], dst: MutableMapping[str, Any]) -> None:
        """Overwrite every key that the source has."""
        dst.update(src)

    class ByKey:
        """Add what is missing, key by key and within nested mappings; ask a strategy for what differs.

        Args:
            key_strategy: Returns for a key (``a.b`` if it is nested) whether its value is overwritten: a
                function, or a regular expression that is searched for in the key.
            otherwise: What becomes of keys that differ and are not to be overwritten: ``"raise"`` a
                `DocumentSyncConflict` that names them all, or ``"keep"`` the destination's values.

        Raises:
            ValueError: The text is not a regular expression.
        """

        def __init__(
            self, key_strategy: KeyStrategy | None = None, *, otherwise: Literal["raise", "keep"] = "raise"
        ) -> None:
            if isinstance(key_strategy, str | re.Pattern):
                key_strategy = compiled(key_strategy).search
            self._overwrites: Final = key_strategy or (lambda _: False)
            self._raises: Final = otherwise == "raise"

        def __call__(self, src: Mapping[str, Any], dst: MutableMapping[str, Any]) -> None:
            """Change `dst`, all of it or, if a conflict is raised, nothing."""
            changes, conflicts = [], set()
            for target, key, value, path in _differences(src, dst, ""):
                if key not in target or self._overwrites(path):
                    changes.append((target, key, value))
                else:
                    conflicts.add(path)
            if conflicts and self._raises:
                raise DocumentSyncConflict(conflicts)
            for target, key, value in changes:
                target[key] = value


def _differences(
    src: Mapping[str, Any], dst: MutableMapping[str, Any], above: str
) -> Iterator[tuple[MutableMapping[str, Any], str, Any, str]]:
    """Yield where a key of the source is missing or differs: the mapping, the key, its value, its path."""
    for key, value in src.items():
        path = f"{above}{key}"
        if key in dst:
            present = dst[key]
            if isinstance(value, Mapping) and isinstance(present, MutableMapping):
                yield from _differences(value, present, f"{path}.")
                continue
            if present == value or _text(present) == _text(value):
                continue
        yield dst, key, value, path


def _text(value: Any) -> str:
    """Return a text by which NaN equals itself."""
    plain = value() if isinstance(value, SyncedCollection) else value
    return json.dumps(plain, sort_keys=True, default=repr)
