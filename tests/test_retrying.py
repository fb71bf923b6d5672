"""Pauses between attempts, by a clock that moves only when somebody sleeps."""

import pytest

from perkey import retrying
from perkey.retrying import Attempts, Retry


class Clock:
    """Stands still, but for sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.sleeps: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(retrying, "time", found)
    monkeypatch.setattr(retrying, "sleep", found.sleep)
    return found


def failing(attempts: Attempts, wanted: float | None = None) -> None:
    """Fail until the time is over."""
    while attempts.pause(OSError("no"), wanted=wanted):
        pass


def test_pauses_grow_with_jitter_to_five_seconds_and_fill_the_time(clock: Clock) -> None:
    failing(Retry(60).attempts())
    assert sum(clock.sleeps) == pytest.approx(60)
    for number, seconds in enumerate(clock.sleeps[:-1]):
        longest = min(5, 0.05 * 2**number)
        assert longest / 2 <= seconds <= longest


def test_there_is_no_pause_after_the_last_attempt(clock: Clock) -> None:
    attempts = Retry(1).attempts()
    failing(attempts)
    before = list(clock.sleeps)
    assert not attempts.pause(OSError("no"))
    assert clock.sleeps == before
    assert not Retry(0).attempts().pause(OSError("no"))
    assert clock.sleeps == before


def test_a_service_is_given_the_time_that_it_wants_or_none(clock: Clock) -> None:
    failing(Retry(10).attempts(), wanted=3)
    assert clock.sleeps == [3, 3, 3]
    clock.sleeps.clear()
    failing(Retry(10).attempts(), wanted=10)
    assert clock.sleeps == []


def test_the_timeout_ends_all_attempts_of_an_operation_and_of_its_parts(clock: Clock) -> None:
    whole = Retry(30, timeout=4).attempts()
    with whole.shared():
        failing(Retry(30).attempts())
    assert clock.now == pytest.approx(104)
    assert whole.timed_out
    assert not Retry(30).attempts().timed_out


def test_an_attempt_may_be_idle_for_as_long_as_the_operation_may_take() -> None:
    assert Retry().idle() == retrying.IDLE_SECONDS < Retry().retry_for
    assert Retry(timeout=3).idle() == 3
    assert Retry(timeout=1000).idle() == retrying.IDLE_SECONDS
