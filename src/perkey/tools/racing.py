"""Races of several machines through one dictionary, which show whether its place keeps its promises.

What one machine sees of a shared place proves nothing about another machine. So each machine reports what its
calls have returned: how many increments were acknowledged, and which keys it has inserted. All machines
compare the reports with what is stored in the end, and come to the same result.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from perkey.errors import (
    ConcurrencyConflictError,
    OutcomeUnknownError,
    PerkeyError,
    UnsupportedConditionError,
    counted,
)
from perkey.jokers import ANY_ETAG, ITEM_NOT_AVAILABLE
from perkey.mapping import PersiDict
from perkey.tools.diagnosis import Promise
from perkey.tools.meeting import LAST, Meeting, MeetingError

_MOST_KEYS: Final = 1000
_POLL_SECONDS: Final = 0.02
_LEAST_SECONDS: Final = 5.0
_STEPS: Final = (("look", None), ("write", 1), ("change", 2), ("removal", None))
"""What is done to an item, and its value then. The other machines look for it before it exists, so that their
caches may remember that it is missing."""

VISIBILITY: Final = "visibility"
VERSIONS: Final = "versions"
EXCLUSION: Final = "exclusion"
INSERTION: Final = "insertion"
RACES: Final = (VISIBILITY, VERSIONS, EXCLUSION, INSERTION)
"""What is tested."""


@dataclass(slots=True)
class _Reports:
    """What this machine reports to the others."""

    faults: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in RACES})
    times: dict[str, list[float]] = field(default_factory=lambda: {"write": [], "change": [], "removal": []})
    attempts: int = 0
    acknowledged: int = 0
    unknown: int = 0
    won: list[int] = field(default_factory=list)
    doubtful: list[int] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


def race(meeting: Meeting, place: PersiDict[Any], seconds: float) -> list[Promise]:
    """Race with the other machines of a meeting, and return the findings; they are the same on all machines.

    Args:
        meeting: The machines, gathered.
        place: An empty dictionary of JSON values that only they use.
        seconds: How long the races take, about.

    Raises:
        MeetingError: A machine has given up or does not answer any more.
    """
    racer = _Racer(meeting, place, seconds)
    racer.warm_up()
    racer.look_at_each_other()
    meeting.arrive(3)
    racer.guarded(EXCLUSION, racer.count_up)
    meeting.arrive(4)
    racer.guarded(INSERTION, racer.insert)
    mine = racer.mine
    meeting.arrive(
        5,
        attempts=mine.attempts,
        acknowledged=mine.acknowledged,
        unknown=mine.unknown,
        won=mine.won,
        doubtful=mine.doubtful,
        refused=mine.refused,
        times=mine.times,
    )
    racer.guarded(EXCLUSION, racer.compare_count)
    racer.guarded(INSERTION, racer.compare_keys)
    meeting.arrive(6, faults=mine.faults)
    result = racer.conclude()
    meeting.arrive(LAST)  # a machine that leaves before is taken for a lost one
    return result


class _Racer:
    """This machine's part in the races."""

    def __init__(self, meeting: Meeting, place: PersiDict[Any], seconds: float) -> None:
        self.mine = _Reports()
        self._meeting = meeting
        self._place = place
        self._seconds = seconds
        self._index = meeting.group.index(meeting.id)

    def warm_up(self) -> None:
        """Do once what takes longer the first time, so that the machines race at the same moment."""
        self.guarded(EXCLUSION, self._warm_up)
        self._meeting.arrive(2)

    def _warm_up(self) -> None:
        own = f"warm-{self._index}"
        self._place[own] = 0
        try:
            self._place.transform_item(own, lambda number: number + 1)
        finally:
            self._place.discard(own)

    def guarded(self, what: str, act: Callable[[], None]) -> None:
        """Do something in which errors of the place are faults of it."""
        try:
            act()
        except UnsupportedConditionError as error:
            self.mine.refused[what] = str(error)
        except MeetingError:
            raise
        except (PerkeyError, OSError, ValueError) as error:
            self._fault(what, f"{type(error).__name__}: {error}")

    def _fault(self, what: str, text: str) -> None:
        self.mine.faults[what].append(f"{self._meeting.name(self._meeting.id)}: {text}")

    # --- Visibility ----------------------------------------------------------------------------------------

    def look_at_each_other(self) -> None:
        """Each machine in turn writes, changes and removes an item; the others answer when they see it."""
        for turn, writer in enumerate(self._meeting.group):
            for step, (kind, value) in enumerate(_STEPS):
                if writer == self._meeting.id:
                    act = partial(self._show, turn, step, kind, value)
                else:
                    act = partial(self._answer, turn, step, value)
                self.guarded(VISIBILITY, act)

    def _show(self, turn: int, step: int, kind: str, value: int | None) -> None:
        """Change the item of this turn, and wait for the answers of the others."""
        began = time.monotonic()
        key, version = f"item-{turn}", ""
        if kind == "removal":
            self._place.discard(key)
        elif value is not None:
            written = self._place.set_item_if(
                key, value=value, condition=ANY_ETAG, expected_etag=ITEM_NOT_AVAILABLE
            )
            version = str(written.resulting_etag)
        answers = {
            machine: self._poll(partial(self._place.get, f"answer-{turn}-{step}-{machine}"), limit=2.0)
            for machine in self._meeting.others
        }
        for machine, answer in answers.items():
            if answer is None:
                self._fault(VISIBILITY, f"an answer of {self._meeting.name(machine)} was never seen")
            elif answer["seen"] and value is not None and answer["version"] != version:
                self._fault(
                    VERSIONS, f"{self._meeting.name(machine)} reads version {answer['version']} of {version}"
                )
        if kind != "look":
            self.mine.times[kind].append(time.monotonic() - began)

    def _answer(self, turn: int, step: int, value: int | None) -> None:
        """Wait until the item of this turn has a value, and acknowledge it. After a fault, do not wait."""
        seen = None
        if not self.mine.faults[VISIBILITY]:
            seen = self._poll(lambda: self._version_with(f"item-{turn}", value))
            if seen is None:
                writer = self._meeting.name(self._meeting.group[turn])
                did = "write" if value else "removal"
                self._fault(VISIBILITY, f"a {did} of {writer} was not seen within {self._limit:g} s")
        answer = {"seen": seen is not None, "version": seen or ""}
        self._place[f"answer-{turn}-{step}-{self._meeting.id}"] = answer

    def _version_with(self, key: str, value: int | None) -> str | None:
        """Return the version of an item, or None if it has another value than expected."""
        found = self._place.get_with_etag(key)
        if found.actual_etag is ITEM_NOT_AVAILABLE:
            return None if value else "missing"
        return str(found.actual_etag) if found.new_value == value else None

    def _poll(self, look: Callable[[], Any], limit: float = 1.0) -> Any:
        """Return the first answer that is not None, or None after the limit."""
        # What was missed once is not waited for again.
        end = time.monotonic() + (1.0 if self.mine.faults[VISIBILITY] else limit * self._limit)
        while (answer := look()) is None and time.monotonic() < end:
            self._meeting.pause(_POLL_SECONDS)
        return answer

    @property
    def _limit(self) -> float:
        return max(self._seconds, _LEAST_SECONDS)

    # --- Exclusion and insertion ---------------------------------------------------------------------------

    def count_up(self) -> None:
        """Increment a counter by compare-and-swap, as often as there is time for."""
        end = time.monotonic() + self._seconds / 2
        while True:
            try:
                self._place.transform_item("counter", self._next, default=0, n_retries=50)
                self.mine.acknowledged += 1
            except ConcurrencyConflictError:
                pass  # nothing was changed
            except OutcomeUnknownError:
                self.mine.unknown += 1
            self._meeting.renew()
            if time.monotonic() > end:
                return

    def _next(self, number: int) -> int:
        self.mine.attempts += 1
        return number + 1

    def insert(self) -> None:
        """Insert one key after the other if it is absent, as long as there is time."""
        end = time.monotonic() + self._seconds / 2
        for number in range(_MOST_KEYS):
            try:
                if self._place.setdefault_if(f"key-{number}", self._index).condition_was_satisfied:
                    self.mine.won.append(number)
            except OutcomeUnknownError:
                self.mine.doubtful.append(number)
            self._meeting.renew()
            if time.monotonic() > end:
                return

    # --- Comparing -----------------------------------------------------------------------------------------

    def compare_count(self) -> None:
        """Compare the counter with the increments that all machines were promised."""
        if any(EXCLUSION in refused for refused in self._meeting.said("refused").values()):
            return
        counted = self._place.get("counter", 0)
        acknowledged = sum(self._meeting.said("acknowledged").values())
        unknown = sum(self._meeting.said("unknown").values())
        if not acknowledged <= counted <= acknowledged + unknown:
            self._fault(EXCLUSION, f"{acknowledged} increments were acknowledged, {counted} are counted")

    def compare_keys(self) -> None:
        """Compare the stored keys with those that the machines have inserted."""
        winners: dict[int, list[int]] = {}
        for index, machine in enumerate(self._meeting.group):
            for number in self._meeting.said("won")[machine]:
                winners.setdefault(number, []).append(index)
        doubtful = {number for numbers in self._meeting.said("doubtful").values() for number in numbers}
        twice = sum(len(won) > 1 for won in winners.values())
        if twice:
            self._fault(INSERTION, f"{twice} of {len(winners)} keys were inserted by several machines")
        wrong = [
            number
            for number, won in winners.items()
            if number not in doubtful and self._kept(number) not in won
        ]
        if wrong:
            self._fault(INSERTION, f"{len(wrong)} of {len(winners)} keys do not have their winner's value")

    def _kept(self, number: int) -> Any:
        self._meeting.renew()
        return self._place.get(f"key-{number}")

    def conclude(self) -> list[Promise]:
        """Return what all machines have found."""
        faults: dict[str, list[str]] = {
            name: [fault for own in self._meeting.said("faults").values() for fault in own[name]]
            for name in RACES
        }
        for refused in self._meeting.said("refused").values():
            for name, text in refused.items():
                faults[name].insert(0, text)
        why = {
            VISIBILITY: self._visibility(),
            VERSIONS: "all machines read the version that the writer's call has returned",
            EXCLUSION: self._exclusion(),
            INSERTION: self._insertion(),
        }
        return [
            Promise(name, not faults[name], _in_short(faults[name]) if faults[name] else why[name])
            for name in RACES
        ]

    def _visibility(self) -> str:
        said = list(self._meeting.said("times").values())
        longest = {kind: max(max(own[kind], default=0.0) for own in said) for kind in said[0]}
        return "seen and answered by all after at most " + ", ".join(
            f"{seconds:.2f} s ({kind})" for kind, seconds in longest.items()
        )

    def _exclusion(self) -> str:
        done = sum(self._meeting.said("acknowledged").values())
        conflicts = sum(self._meeting.said("attempts").values()) - done
        return f"{counted(done, 'increment')} acknowledged and found, {counted(conflicts, 'conflict')}"

    def _insertion(self) -> str:
        won = [len(own) for own in self._meeting.said("won").values()]
        return f"{counted(sum(won), 'key')}, each inserted by one machine ({', '.join(map(str, won))})"


def _in_short(faults: list[str]) -> str:
    """Return the first of several faults, and how many more there are."""
    faults = list(dict.fromkeys(faults))
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return faults[0] + more
