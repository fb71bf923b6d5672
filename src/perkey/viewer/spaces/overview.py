"""What all jobs of a data space have in common: the columns of the table, found in the background."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from perkey.dataspace.search import STATEPOINT
from perkey.viewer.spaces.reader import DOCUMENT, Reader, paths_of

MOST_COLUMNS: Final = 500
MOST_VALUES: Final = 200
"""Of how many different values of a column the overview keeps count."""

LONGEST_TEXT: Final = 200
_PIECE: Final = 250
_PAUSE: Final = 0.002
_FRESH_SECONDS: Final = 5.0


def text_of(value: Any) -> str:
    """Return a value as a text that differs from the texts of other values: the beginning of its JSON."""
    return json.dumps(value, default=str)[:LONGEST_TEXT]


def value_of(text: str) -> Any:
    """Return the value of a text of `text_of`; raises ValueError if that is only a beginning."""
    return json.loads(text)


def _shown(text: str) -> str:
    try:
        value = value_of(text)
    except ValueError:
        return text
    return value if isinstance(value, str) else text


@dataclass(slots=True)
class Column:
    """The values of all jobs at one path.

    Attributes:
        path: The path, as in filters.
        jobs: How many jobs have it.
        numbers: How many of the values are numbers.
        kinds: The names of their types.
        values: The different values as text in JSON, at most `MOST_VALUES`, and how many jobs have them. The
            counts are right while there are fewer.
        low: The least number.
        high: The largest number.
    """

    path: str
    jobs: int = 0
    numbers: int = 0
    kinds: set[str] = field(default_factory=set)
    values: dict[str, int] = field(default_factory=dict)
    low: float | None = None
    high: float | None = None

    @property
    def is_constant(self) -> bool:
        """Whether all jobs that have it have the same value."""
        return len(self.values) == 1

    @property
    def is_number(self) -> bool:
        """Whether most of its values are numbers."""
        return self.numbers * 2 > self.jobs

    @property
    def is_result(self) -> bool:
        """Whether it is of documents."""
        return self.path.split(".")[0] == DOCUMENT

    @property
    def count(self) -> str:
        """How many different values there are, as text."""
        return f"{len(self.values)}" if len(self.values) < MOST_VALUES else f"{MOST_VALUES} or more"

    @property
    def summary(self) -> str:
        """The range of its numbers, or some of its values."""
        if self.is_number and self.low is not None and self.low != self.high:
            return f"{self.low:g} to {self.high:g}"
        shown = [_shown(text) for text in islice(self.values, 4)]
        return ", ".join(shown) + (", …" if len(self.values) > len(shown) else "")

    def add(self, value: Any) -> None:
        """Count one more value."""
        self.jobs += 1
        self.kinds.add("null" if value is None else type(value).__name__)
        if isinstance(value, int | float) and not isinstance(value, bool):
            self.numbers += 1
            if value == value:  # noqa: PLR0124 - not NaN
                self.low = value if self.low is None or value < self.low else self.low
                self.high = value if self.high is None or value > self.high else self.high
        if len(self.values) < MOST_VALUES:
            text = text_of(value)
            self.values[text] = self.values.get(text, 0) + 1


@dataclass(slots=True)
class Overview:
    """The columns, as far as they are known.

    Attributes:
        columns: By their paths.
        done: How many jobs were looked at.
        total: How many jobs there are.
        damaged: How many state points cannot be read.
        is_complete: Whether all jobs were looked at.
        more_columns: Whether there are more columns than are kept.
    """

    columns: dict[str, Column] = field(default_factory=dict)
    done: int = 0
    total: int = 0
    damaged: int = 0
    is_complete: bool = False
    more_columns: bool = False

    def add(self, paths: Iterable[tuple[str, Any]]) -> None:
        """Count the values of a job."""
        for path, value in paths:
            column = self.columns.get(path)
            if column is None:
                if len(self.columns) >= MOST_COLUMNS:
                    self.more_columns = True
                    continue
                column = self.columns[path] = Column(path)
            column.add(value)

    def parameters(self) -> list[Column]:
        """Return the columns of state points, those that differ first."""
        return sorted(
            (each for each in self.columns.values() if not each.is_result), key=lambda each: each.is_constant
        )

    def results(self) -> list[Column]:
        """Return the columns of documents."""
        return [each for each in self.columns.values() if each.is_result]

    def proportion(self) -> int:
        """Return how many percent of the jobs were looked at."""
        return 100 if self.is_complete else 100 * self.done // max(self.total, 1)


class Overviews:
    """Keeps an overview of a data space, and makes it anew in a thread when jobs have changed.

    Args:
        reader: The jobs.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()
        self._seen: tuple[Sequence[str], float] = ((), 0.0)
        self._next_look = 0.0
        self.current = Overview()
        self.error = ""

    def get(self, ids: Sequence[str]) -> Overview:
        """Return what is known; begin a new look if jobs were added or some time has passed.

        Args:
            ids: The ids of all jobs.
        """
        with self._lock:
            is_due = ids != self._seen[0] or time.monotonic() > self._next_look
            if is_due and not self._closed.is_set() and (self._thread is None or not self._thread.is_alive()):
                self._seen = ids, 0.0
                self._thread = threading.Thread(target=self._look, args=(ids,), daemon=True, name="overview")
                self._thread.start()
        return self.current

    def ready(self, ids: Sequence[str], patience: float = 0.5) -> bool:
        """Return whether questions about all jobs are answered without a long wait.

        Args:
            ids: The ids of all jobs.
            patience: How many seconds to wait for the first look at all jobs.
        """
        self.get(ids)
        thread = self._thread
        if thread is not None and not self.current.is_complete:
            thread.join(patience)
        return self.current.is_complete

    def close(self) -> None:
        """End the look that is under way."""
        self._closed.set()

    def _look(self, ids: Sequence[str]) -> None:
        started = time.monotonic()
        found = Overview(total=len(ids))
        is_first = not self.current.is_complete
        if is_first:
            self.current = found
        try:
            self._look_at(found, ids)
            self.error = ""
        except OSError as error:
            self.error = str(error)
        took = time.monotonic() - started
        self._next_look = time.monotonic() + max(_FRESH_SECONDS, 20 * took)

    def _look_at(self, found: Overview, ids: Sequence[str]) -> None:
        with self._reader.everything() as everything:
            statepoints: Mapping[str, Any] = everything.statepoints
            found.damaged = len(everything.damaged)
        for start in range(0, len(ids), _PIECE):
            piece = ids[start : start + _PIECE]
            with self._reader.documents() as document:
                for job in piece:
                    if self._closed.is_set():
                        return
                    found.add(paths_of(statepoints.get(job, {}), STATEPOINT))
                    found.add(paths_of(document(job), DOCUMENT))
            found.done += len(piece)
            time.sleep(_PAUSE)  # requests wait for the same lock
        with self._reader.everything():
            pass  # what was learned about documents is kept for the next process
        found.is_complete = True
        self.current = found
