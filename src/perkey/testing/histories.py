"""Recorded histories of one item, and whether they can be explained.

Several threads work on one name; of each operation its result is recorded, and when it was called and
returned. The history is linearisable if there is an order in which the same operations, one after another,
find the same, and in which none comes before one that had returned when it was called. The search is that
of Wing and Gong, with a memory of what was tried; it is meant for some dozens of operations.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Literal, TypeAlias

from perkey.content import read_all
from perkey.errors import ConflictError, OutcomeUnknownError
from perkey.expectations import ABSENT, ANY, Expectation, Version
from perkey.naming import Name
from perkey.stores import Store


class Outcome(Enum):
    """How an operation ended."""

    DONE = "done"
    MISSING = "KeyError"
    CONFLICT = "ConflictError"
    UNKNOWN = "may or may not have happened"


@dataclass(frozen=True, slots=True)
class Event:
    """One operation and what came of it.

    Attributes:
        verb: The primitive.
        outcome: How it ended.
        called: When, in ticks of one counter.
        returned: When; infinity if it is unknown whether it took effect, or when.
        expect: What a write or removal expected.
        content: What was read or written.
        version: The version that was returned.
    """

    verb: Literal["read", "write", "remove"]
    outcome: Outcome
    called: float
    returned: float
    expect: Expectation = ANY
    content: bytes | None = None
    version: Version | None = None

    def __str__(self) -> str:
        content = "" if self.content is None else f" {self.content[:20]!r}"
        expect = "" if self.expect is ANY else f" expecting {self.expect!r}"
        version = "" if self.version is None else f" -> {self.version}"
        when = f"[{self.called:g}, {self.returned:g}]"
        return f"{when:>12} {self.verb}{content}{expect}: {self.outcome.value}{version}"


State: TypeAlias = tuple[bytes, Version] | None
"""Content and version of the item; None if it is absent."""


class Recorder:
    """Operates on one item for any number of threads, and records.

    Args:
        name: The item.
    """

    def __init__(self, name: Name) -> None:
        self.name = name
        self.events: list[Event] = []
        self._clock = itertools.count()

    def read(self, store: Store) -> Event:
        """Read, and return the event."""

        def act() -> tuple[bytes, Version]:
            found = store.read(self.name)
            assert found is not None, "read() returned None though nothing was known"
            return read_all(found[0]), found[1]

        return self._record("read", act)

    def write(self, store: Store, content: bytes, *, expect: Expectation = ANY) -> Event:
        """Write, and return the event; contents should be unique within a history."""
        return self._record(
            "write", lambda: (content, store.write(self.name, content, expect=expect)), expect, content
        )

    def remove(self, store: Store, *, expect: Expectation = ANY) -> Event:
        """Remove, and return the event."""

        def act() -> tuple[None, None]:
            store.remove(self.name, expect=expect)
            return None, None

        return self._record("remove", act, expect)

    def _record(
        self,
        verb: Literal["read", "write", "remove"],
        act: Callable[[], tuple[bytes | None, Version | None]],
        expect: Expectation = ANY,
        content: bytes | None = None,
    ) -> Event:
        version = None
        outcome = Outcome.DONE
        called = next(self._clock)
        try:
            content, version = act()
        except KeyError:
            outcome = Outcome.MISSING
        except ConflictError:
            outcome = Outcome.CONFLICT
        except (OSError, OutcomeUnknownError):
            outcome = Outcome.UNKNOWN
        returned = math.inf if outcome is Outcome.UNKNOWN else next(self._clock)
        event = Event(verb, outcome, called, returned, expect, content, version)
        self.events.append(event)
        return event


def find_order(events: Iterable[Event], initial: State = None) -> list[Event] | None:
    """Return an order that explains the history, or None without such an order.

    Args:
        events: The history; operations of unknown outcome may be missing from the order.
        initial: The state before.
    """
    return _Search(list(events), initial).run()


def assert_linearisable(events: Iterable[Event], initial: State = None) -> None:
    """Assert that there is an order that explains the history, and show the history without such an order."""
    history = list(events)
    shown = "\n".join(str(event) for event in sorted(history, key=lambda event: event.called))
    assert find_order(history, initial) is not None, f"no order explains, starting from {initial}:\n{shown}"


class _Search:
    def __init__(self, events: list[Event], initial: State) -> None:
        # A writer whose reply was lost does not know its version; a reader of the content does.
        seen = {event.content: event.version for event in events if event.version is not None}
        self._events = [
            replace(event, version=seen.get(event.content, f"of event {number}"))
            if event.verb == "write" and event.version is None
            else event
            for number, event in enumerate(events)
        ]
        self._initial = initial
        self._fruitless: set[tuple[int, State]] = set()
        self._order: list[Event] = []

    def run(self) -> list[Event] | None:
        everything = (1 << len(self._events)) - 1
        return self._order if self._explain(everything, self._initial) else None

    def _explain(self, left: int, state: State) -> bool:
        """Try to order the events whose bits are set in `left`, beginning at `state`."""
        rest = [(bit, event) for bit, event in enumerate(self._events) if left >> bit & 1]
        if all(event.outcome is Outcome.UNKNOWN for _, event in rest):
            return True  # whether they took place does not matter any more
        if (left, state) in self._fruitless:
            return False
        first_return = min(event.returned for _, event in rest)
        for bit, event in rest:
            # One that was called after another had returned cannot come before that one.
            if event.called < first_return and possible(event, state):
                self._order.append(event)
                if self._explain(left & ~(1 << bit), after(event, state)):
                    return True
                self._order.pop()
        self._fruitless.add((left, state))
        return False


def possible(event: Event, state: State) -> bool:
    """Return whether an operation, acting at once on `state`, can end as it did."""
    if event.outcome is Outcome.MISSING:
        return state is None and event.expect is ANY
    if event.verb == "read":
        return event.outcome is Outcome.UNKNOWN or state == (event.content, event.version)
    meets = _meets(event.expect, state)
    if event.outcome is Outcome.CONFLICT:
        return not meets
    return meets and (event.verb == "write" or state is not None)


def after(event: Event, state: State) -> State:
    """Return the state that follows when `event` has taken place."""
    if event.verb == "read" or event.outcome in {Outcome.MISSING, Outcome.CONFLICT}:
        return state
    return None if event.content is None or event.version is None else (event.content, event.version)


def _meets(expect: Expectation, state: State) -> bool:
    if expect is ANY:
        return True
    return state is None if expect is ABSENT else state is not None and state[1] == expect
