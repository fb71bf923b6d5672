"""Versions and times of files: one etag never stands for two contents, and timestamps are honest."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from unittest import mock

import pytest

from perkey import ANY_ETAG, ETAG_IS_THE_SAME, FileDirDict, PersiDict
from perkey.stores import DirectoryStore

LONG: Final = bool(os.environ.get("PERKEY_LONG"))
REWRITES: Final = 100_000 if LONG else 1000
FEWER: Final = REWRITES // 10
SECOND: Final = 1_000_000_000
TICK: Final = 10_000_000
"""Steps in which kernels before Linux 6.13 note the time of change, at worst, in nanoseconds."""
HONEST: Final = 2.5
"""Seconds by which a timestamp may be wrong: the coarsest file systems keep steps of 2 s."""


pytestmark = pytest.mark.timeout(3600 if LONG else 300)


class Etags:
    """All etags that an item ever had, and the content that each stood for."""

    def __init__(self) -> None:
        self._contents: dict[Any, str] = {}

    def record(self, etag: Any, content: str) -> None:
        """Take note; the same etag must not have been that of another content."""
        assert self._contents.setdefault(etag, content) == content, f"{etag} stands for two contents"

    def __len__(self) -> int:
        return len(self._contents)


class Past:
    """The times that a file had, and how long ago that must be for the change time to tell a second use."""

    def __init__(self, folder: Path) -> None:
        self._last_seen: dict[int, int] = {}
        self._least_age = 0 if notes_changes_finely(folder) else 2 * TICK

    def record(self, file: Path) -> None:
        """Take note of the present time of the file."""
        modified = file.stat().st_mtime_ns
        self._last_seen.pop(modified, None)  # to be the last one
        self._last_seen[modified] = time.monotonic_ns()

    def choose(self, chance: random.Random) -> int | None:
        """Return one of the latest times that are old enough."""
        before = time.monotonic_ns() - self._least_age
        latest = [one for one in list(self._last_seen)[-500:] if self._last_seen[one] <= before]
        return chance.choice(latest[-5:]) if latest else None


def notes_changes_finely(folder: Path) -> bool:
    """Tell whether every change of a file that was looked at gets a change time of its own (Linux 6.13)."""
    probe = folder / "probe"
    seen = set()
    for _ in range(100):
        probe.write_bytes(b"")
        os.utime(probe, ns=(0, 0))
        seen.add(os.stat(probe).st_ctime_ns)
    probe.unlink()
    return len(seen) == 100


Game = Callable[[random.Random, Path, Past], None]
"""What somebody else does to the file between two writes."""


def leave_alone(chance: random.Random, file: Path, past: Past) -> None:
    """Do nothing."""


def set_an_earlier_time(chance: random.Random, file: Path, past: Past) -> None:
    """Set a time that the file had before, so that content, size and time would be taken for the old ones."""
    earlier = past.choose(chance)
    if earlier is not None:
        os.utime(file, ns=(earlier, earlier))


def set_any_time(chance: random.Random, file: Path, past: Past) -> None:
    """Set times long past, far ahead, just ahead, or without digits below the second."""
    now = time.time_ns()
    whole = now - now % SECOND
    chosen = chance.choice(
        (0, now - 3600 * SECOND, now + 10**8 * SECOND, now + SECOND // 2, whole, whole + SECOND)
    )
    os.utime(file, ns=(chosen, chosen))


def set_some_time(chance: random.Random, file: Path, past: Past) -> None:
    """Do any of this."""
    chance.choice((leave_alone, set_an_earlier_time, set_any_time))(chance, file, past)


@contextmanager
def coarse_storage(step: int, tick: int | None = None) -> Iterator[None]:
    """Let files keep the times that are set in steps only, and the time of change in ticks of the kernel."""
    stat, fstat, utime = os.stat, os.fstat, os.utime

    def rounded(found: os.stat_result) -> os.stat_result:
        modified = found.st_mtime_ns // step * step
        changed = found.st_ctime_ns // (tick or step) * (tick or step)
        made_from: Any = found.__reduce__()[1]
        fields, more = made_from
        times = {"st_mtime_ns": modified, "st_ctime_ns": changed}
        seconds = {"st_mtime": modified / SECOND, "st_ctime": changed / SECOND}
        return os.stat_result(fields, {**more, **times, **seconds})

    def coarse_utime(path: Any, *, ns: tuple[int, int], **names: Any) -> None:
        utime(path, ns=(ns[0] // step * step, ns[1] // step * step), **names)

    with (
        mock.patch.object(os, "stat", lambda *args, **names: rounded(stat(*args, **names))),
        mock.patch.object(os, "fstat", lambda fd: rounded(fstat(fd))),
        mock.patch.object(os, "utime", coarse_utime),
    ):
        yield


@contextmanager
def coarse_clock(step: int) -> Iterator[None]:
    """Let the clock of the process advance in steps only."""
    time_ns = time.time_ns

    def coarse_time_ns() -> int:
        return time_ns() // step * step

    with mock.patch.object(time, "time_ns", coarse_time_ns):
        yield


def rewrite(target: PersiDict[str], folder: Path, count: int, play: Game, seed: int = 0) -> Etags:
    """Rewrite one key with changing content of one size, deleting it now and then, others playing games."""
    chance = random.Random(seed)
    file = folder / "a.txt"
    etags, past = Etags(), Past(folder)
    for number in range(count):
        content = f"{number % 97:08}" if number % 3 else f"{number:08}"
        etags.record(write(target, chance, content), content)
        etags.record(target.etag("a"), content)
        past.record(file)
        if chance.random() < 0.1:
            play(chance, file, past)
            past.record(file)
            found = target.get_with_etag("a")
            assert found.new_value == content
            etags.record(found.actual_etag, content)
        if chance.random() < 0.2:
            del target["a"]
    return etags


def write(target: PersiDict[str], chance: random.Random, content: str) -> Any:
    """Write in one of several ways; return the etag that the writer is told."""
    way = chance.randrange(3)
    if way == 0:
        return target.transform_item("a", transformer=lambda _: content).resulting_etag
    if way == 1:
        condition, expected = ANY_ETAG, "whatever"
        return target.set_item_if(
            "a", value=content, condition=condition, expected_etag=expected
        ).resulting_etag
    target["a"] = content
    return target.etag("a")


def dictionary(folder: Path) -> FileDirDict[str]:
    return FileDirDict(folder, "txt", digest_len=0, durability="none")


@pytest.mark.parametrize(
    ("play", "count"),
    [
        (set_some_time, REWRITES),
        (set_an_earlier_time, 4 * FEWER),
        (set_any_time, FEWER),
        (leave_alone, FEWER),
    ],
)
def test_no_etag_stands_for_two_contents(tmp_path: Path, play: Game, count: int) -> None:
    """Through thousands of rewrites of one size, deletions and re-creations, and times set by others."""
    etags = rewrite(dictionary(tmp_path), tmp_path, count, play)
    assert len(etags) >= count


@pytest.mark.parametrize("step", [SECOND, 2 * SECOND, 1_000_000, 1000])
@pytest.mark.parametrize("play", [leave_alone, set_an_earlier_time, set_any_time])
def test_no_etag_stands_for_two_contents_where_times_are_stored_coarsely(
    tmp_path: Path, play: Game, step: int
) -> None:
    with coarse_storage(step):
        etags = rewrite(dictionary(tmp_path), tmp_path, FEWER, play)
    assert len(etags) >= FEWER / 3  # as many as there are contents


@pytest.mark.parametrize("step", [SECOND, 15_600_000, 1000, 1])
@pytest.mark.parametrize("play", [leave_alone, set_an_earlier_time, set_any_time])
def test_no_etag_stands_for_two_contents_where_the_clock_is_coarse(
    tmp_path: Path, play: Game, step: int
) -> None:
    """Also when a file is deleted and made again, and nothing tells what time its predecessor had."""
    with coarse_clock(step), coarse_storage(1, TICK):
        etags = rewrite(dictionary(tmp_path), tmp_path, FEWER, play)
    assert len(etags) >= FEWER


def test_a_swap_that_expects_an_etag_of_long_ago_never_succeeds(tmp_path: Path) -> None:
    """Though the file has the size and, by somebody's hand, the time of then."""
    target = dictionary(tmp_path)
    file = tmp_path / "a.txt"
    target["a"] = "content 0"
    of_old, then = target.etag("a"), file.stat().st_mtime_ns
    for number in range(1, FEWER // 2):
        if number % 5 == 0:
            del target["a"]
        target["a"] = f"content {number % 10}"
        os.utime(file, ns=(then, then))
        swapped = target.set_item_if("a", value="wrong", condition=ETAG_IS_THE_SAME, expected_etag=of_old)
        assert not swapped.condition_was_satisfied


@pytest.mark.parametrize("ahead", [-(10**9), -3600, -1, 0.5, 1.5, 3600, 10**9])
@pytest.mark.parametrize("delete", [False, True])
def test_the_timestamp_of_a_write_is_that_of_now_whatever_the_predecessor_had(
    tmp_path: Path, ahead: float, *, delete: bool
) -> None:
    """Also after many writes, and in the listings by time."""
    target = dictionary(tmp_path)
    for number in range(200):
        target["a"] = str(number)
        if number % 50 == 0:
            set_to = time.time() + ahead
            os.utime(tmp_path / "a.txt", (set_to, set_to))
        if delete and number % 7 == 0:
            del target["a"]
    target["a"] = "last"
    assert abs(target.timestamp("a") - time.time()) < HONEST
    [(_, listed)] = target.keys_and_timestamps()
    assert abs(listed - time.time()) < HONEST


@pytest.mark.parametrize("step", [SECOND, 2 * SECOND])
def test_timestamps_are_honest_where_times_are_stored_coarsely(tmp_path: Path, step: int) -> None:
    target = dictionary(tmp_path)
    with coarse_storage(step), coarse_clock(step):
        for number in range(500):
            target["a"] = str(number)
        assert abs(target.timestamp("a") - time.time()) < HONEST


def test_thousands_of_writes_within_a_tick_do_not_run_ahead_of_the_clock(tmp_path: Path) -> None:
    """Each time is later than its predecessor's, by as little as can be stored."""
    store = DirectoryStore(tmp_path, durability="none")
    with coarse_clock(3600 * SECOND):
        start = time.time_ns() / SECOND
        times = []
        for number in range(2000):
            store.write(("a.txt",), b"%d" % number)
            times.append(store.stat(("a.txt",)).mtime)
        assert times == sorted(times)
        assert times[-1] - start < HONEST


def test_a_version_survives_reading_copying_elsewhere_and_other_items(tmp_path: Path) -> None:
    """What does not change the item does not change its etag."""
    target = dictionary(tmp_path)
    target["a"] = "content"
    before = target.etag("a")
    for number in range(50):
        target[f"b{number}"] = target["a"]
    target.discard("b1")
    assert len(target) == 50
    assert target.etag("a") == before == dictionary(tmp_path).get_with_etag("a").actual_etag
