"""The times that writers give their files, by a clock that does what it is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from perkey.files import folder, next_time
from perkey.files import versions as stamps

NOW = 1_790_000_000_123_456_700
SECOND = 1_000_000_000


class Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now = NOW

    def time_ns(self) -> int:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock, of a process that has given no time yet."""
    clock = Clock()
    monkeypatch.setattr(folder, "time", clock)
    monkeypatch.setattr(folder, "_latest", 0)
    return clock


def status(tmp_path: Path, mtime: int) -> os.stat_result:
    """Return the status of a file with such a time."""
    (tmp_path / "file").touch()
    os.utime(tmp_path / "file", ns=(mtime, mtime))
    return os.stat(tmp_path / "file")


def test_it_is_the_clocks_in_steps_that_other_file_systems_keep(clock: Clock) -> None:
    clock.now += 42
    assert next_time(None) == NOW


def test_it_is_never_one_of_a_coarse_clock(clock: Clock, tmp_path: Path) -> None:
    """Such times make readers compute a digest of the content."""
    clock.now -= clock.now % 1000
    given = next_time(None)
    assert given == clock.now + 100
    assert not stamps.needs_digest(status(tmp_path, given))
    assert stamps.was_set(status(tmp_path, given))


@pytest.mark.parametrize("step", [0, -5, -SECOND // 2])
def test_while_the_clock_stands_still_or_goes_back_times_go_on(clock: Clock, step: int) -> None:
    """Each is later than the one before, also as a float of seconds."""
    given = []
    for _ in range(200):
        given.append(next_time(None))
        clock.now += step // 200
    assert given == sorted(set(given))
    seconds = [each / 1e9 for each in given]
    assert seconds == sorted(set(seconds))
    assert all(each % 100 == 0 and each % 1000 for each in given)


def test_it_is_later_than_the_predecessors_by_another_hosts_clock(clock: Clock, tmp_path: Path) -> None:
    ahead = clock.now + SECOND // 2
    given = next_time(status(tmp_path, ahead))
    assert ahead < given < ahead + 10_000
    assert next_time(None) > given


def test_a_time_that_somebody_set_by_hand_is_not_followed(clock: Clock, tmp_path: Path) -> None:
    assert next_time(status(tmp_path, clock.now + SECOND)) == NOW


def test_after_a_clock_that_was_far_ahead_the_right_one_is_followed(clock: Clock) -> None:
    clock.now += 3600 * SECOND
    next_time(None)
    clock.now = NOW
    assert next_time(None) == NOW


def test_an_earlier_predecessor_changes_nothing(clock: Clock, tmp_path: Path) -> None:
    assert next_time(status(tmp_path, clock.now - 5)) == NOW
