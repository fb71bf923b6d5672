"""Everybody gets through: of contenders for one item none is overtaken without end, and none is lost."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from crews import Method, run_crew, same, times
from workers import Marked, increment

from perkey import ITEM_NOT_AVAILABLE, ConcurrencyConflictError, FileDirDict, LocalDict, PersiDict
from perkey.stores.folder.store import Durability

CONTENDERS: Final = 8
EACH: Final = times(50, 500)

MOST_ATTEMPTS: Final = 150
"""A lottery among eight equals is lost so often in a row once in 5e8 operations, and chances grow with age.
One that never had luck would lose to each update of the others, of which there are nearly twice as many."""


def slow_increment(me: int, target: PersiDict[int], count: int, seconds: float) -> list[int]:
    """Count up by a function that takes its time; return how often it ran for each operation."""
    attempts = []
    for _ in range(count):
        runs = 0

        def step(found: Any) -> int:
            nonlocal runs
            runs += 1
            time.sleep(seconds)
            return 1 if found is ITEM_NOT_AVAILABLE else found + 1

        target.transform_item("counter", transformer=step)
        attempts.append(runs)
    return attempts


def report(attempts: list[list[int]]) -> int:
    """Print how the attempts are distributed; return the largest number that an operation needed."""
    every = sorted(runs for worker in attempts for runs in worker)
    mean = sum(every) / len(every)
    print(f"{len(every)} operations: {mean:.2f} attempts in the mean, {every[-1]} at most")
    return every[-1]


@pytest.mark.parametrize("durability", ["sync", "none"])
@pytest.mark.parametrize("method", ["fork", "thread"])
def test_contenders_for_one_item_all_get_through_soon(
    tmp_path: Path, method: Method, durability: Durability
) -> None:
    target = FileDirDict[Marked](tmp_path, durability=durability)
    attempts = run_crew(method, same(CONTENDERS, increment, target, "counter", EACH))
    count, marks = target["counter"]
    assert count == len(set(marks)) == CONTENDERS * EACH
    assert report(attempts) <= MOST_ATTEMPTS


def test_contenders_with_slow_functions_all_get_through_soon(tmp_path: Path) -> None:
    """While one computes, others write; what was computed in vain is computed again."""
    target = FileDirDict[int](tmp_path, durability="none")
    each = times(40, 400)
    attempts = run_crew("fork", same(CONTENDERS, slow_increment, target, each, 0.001))
    assert target["counter"] == CONTENDERS * each
    assert report(attempts) <= MOST_ATTEMPTS


def test_a_function_slower_than_those_of_its_rivals_gets_through(tmp_path: Path) -> None:
    """At the latest when they are done; and then at once."""
    target = FileDirDict[int](tmp_path, durability="none")
    fast = same(3, slow_increment, target, times(200, 2000), 0)
    *_, attempts = run_crew("fork", [*fast, partial(slow_increment, 3, target, 5, 0.002)])
    assert target["counter"] == 3 * times(200, 2000) + 5
    assert report([attempts]) <= 3 * times(200, 2000) + 1


@pytest.mark.parametrize("n_retries", [0, 1, 5])
def test_one_who_is_overtaken_more_often_than_it_wants_changes_nothing(n_retries: int) -> None:
    """Every attempt is overtaken here, and each of them is one more call of the function."""
    target = LocalDict[int]()
    target["counter"] = 0
    calls = 0

    def overtaken(found: Any) -> int:
        nonlocal calls
        calls += 1
        target["counter"] = found + 1
        return -1

    with pytest.raises(ConcurrencyConflictError) as caught:
        target.transform_item("counter", transformer=overtaken, n_retries=n_retries)
    assert caught.value.attempts == calls == n_retries + 1
    assert target["counter"] == calls


def test_the_more_often_one_was_overtaken_the_less_it_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """The longest pause that may be drawn falls with the number of attempts; the first comes without any."""
    pauses: list[float] = []
    monkeypatch.setattr("random.uniform", lambda _, longest: longest)
    monkeypatch.setattr("time.sleep", pauses.append)
    monkeypatch.setattr("time.perf_counter", iter(range(10**6)).__next__)
    monkeypatch.setattr("perkey.retrying.LONGEST_GIVING_WAY", 10**6)
    target = LocalDict[int]()
    left = 20

    def overtaken_for_a_while(found: Any) -> int:
        nonlocal left
        if left:
            left -= 1
            target["counter"] = left
        return -1

    target.transform_item("counter", transformer=overtaken_for_a_while)
    assert len(pauses) == 19  # none after the first
    assert pauses == sorted(pauses, reverse=True)
    assert pauses[-1] < pauses[0]
