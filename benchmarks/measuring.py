"""Contests: several contenders do the same, in turns, and the median of each is compared.

Machines are disturbed for seconds at a time. So contenders take turns within a round, in another order each
round: what disturbs one disturbs all, and ratios stay honest where times are not.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeAlias

Act: TypeAlias = Callable[[], object]

FLOOR = "floor"
"""The contender that does by bare system calls, or with a bare client, what cannot be avoided."""


@dataclass
class Contest:
    """What several contenders do, and how often in each round.

    Attributes:
        name: What is done, such as "get".
        count: How many operations an act does: times are told for one.
        acts: Contender to what it does.
        before: Contender to what it does before each of its acts, untimed.
        rounds: How often each has its turn.
    """

    name: str
    count: int
    acts: dict[str, Act]
    before: dict[str, Act] = field(default_factory=dict)
    rounds: int = 7

    def repeated(self, times: int) -> Contest:
        """Return the same contest with acts that are done so many times in each turn."""
        acts: dict[str, Act] = {name: partial(_repeat, act, times) for name, act in self.acts.items()}
        return replace(self, count=self.count * times, acts=acts)

    def hold(self, suite: str) -> Outcome:
        """Let all take their turns; the first turn of each is not counted."""
        times: dict[str, list[float]] = {name: [] for name in self.acts}
        names = list(self.acts)
        for turn in range(self.rounds + 1):
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                self.before.get(name, _nothing)()
                gc.collect()
                began = time.perf_counter()
                self.acts[name]()
                elapsed = time.perf_counter() - began
                if turn:
                    times[name].append(elapsed / self.count)
        return Outcome(suite, self.name, {name: statistics.median(taken) for name, taken in times.items()})


@dataclass(frozen=True)
class Outcome:
    """Seconds for one operation, by contender."""

    suite: str
    name: str
    seconds: dict[str, float]

    def ratios(self, ours: str = "perkey") -> Iterator[tuple[str, float]]:
        """Yield, for each other contender, its time as a multiple of ours."""
        for other, seconds in self.seconds.items():
            if other != ours and ours in self.seconds:
                yield other, seconds / self.seconds[ours]


@dataclass(frozen=True)
class Settings:
    """What the command line asks for.

    Attributes:
        folder: Where to measure; it decides which file system is measured.
        quick: Whether a rough answer within seconds is enough.
        full: Whether an hour may be spent.
    """

    folder: str
    quick: bool = False
    full: bool = False

    def pick(self, quick: int, normal: int, full: int | None = None) -> int:
        """Choose a size."""
        if self.quick:
            return quick
        return full if self.full and full is not None else normal


def _repeat(act: Act, times: int) -> None:
    for _ in range(times):
        act()


def _nothing() -> None:
    pass
