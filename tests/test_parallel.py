"""Many calls at a time, few arguments ahead, and every result told or put away."""

import re
import threading
import time
from collections.abc import Iterator
from itertools import count

import pytest

from perkey.parallel import is_abandoned, map_unordered

HANG = 30.0


def no_discard(result: object) -> None:
    raise AssertionError(f"{result!r} was put away though nobody left early")


class Gauge:
    """Counts how many are inside at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.inside = 0
        self.most = 0

    def __enter__(self) -> None:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.inside -= 1


@pytest.mark.parametrize("workers", [1, 3, 16])
@pytest.mark.parametrize("size", [0, 1, 2, 100])
def test_each_argument_is_told_once_with_its_result(workers: int, size: int) -> None:
    told = list(map_unordered(lambda n: n * n, range(size), workers=workers, discard=no_discard))
    assert sorted(told) == [(n, n * n) for n in range(size)]


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_as_many_calls_as_there_are_workers_are_made_at_a_time_and_no_more(workers: int) -> None:
    gauge = Gauge()
    together = threading.Barrier(workers)

    def call(number: int) -> None:
        with gauge:
            if number < workers:
                together.wait(HANG)  # fails unless all of them are here at once
            time.sleep(0.001)

    told = list(map_unordered(call, range(10 * workers), workers=workers, discard=no_discard))
    assert all(result is None for _, result in told)
    assert gauge.most == workers


def test_arguments_are_drawn_only_a_little_ahead() -> None:
    """So an endless source may be used, and a long one takes no memory."""
    drawn = 0

    def source() -> Iterator[int]:
        nonlocal drawn
        for number in count(1):
            drawn = number
            yield number

    results = map_unordered(lambda n: n, source(), workers=4, discard=lambda _: None)
    for told, _ in enumerate(results, 1):
        assert drawn <= told + 2 * 4
        if told == 1000:
            break
    results.close()  # type: ignore[attr-defined] # it is a generator


def test_what_is_no_error_is_raised_from_a_thread_that_is_done_before_it_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Quick(threading.Thread):
        def start(self) -> None:
            super().start()
            self.join(0.2)

    def call(number: int) -> int:
        raise SystemExit(number)

    monkeypatch.setattr("perkey.parallel.Thread", Quick)
    raised: list[BaseException] = []

    def run() -> None:
        try:
            list(map_unordered(call, range(3), workers=2, discard=no_discard))
        except SystemExit as error:
            raised.append(error)

    caller = threading.Thread(target=run, daemon=True)
    caller.start()
    caller.join(HANG / 3)
    assert [str(error) for error in raised] == ["0"]


def test_results_are_told_as_they_are_completed() -> None:
    go_on = threading.Event()

    def call(number: int) -> int:
        if number == 0:
            assert go_on.wait(HANG)
        return number

    results = map_unordered(call, range(3), workers=2, discard=no_discard)
    assert {next(results)[0], next(results)[0]} == {1, 2}
    go_on.set()
    assert list(results) == [(0, 0)]


def test_an_exception_is_the_result_of_its_argument_alone() -> None:
    def call(number: int) -> int:
        if number % 3 == 0:
            raise ValueError(number)
        return number

    told = dict(map_unordered(call, range(9), workers=3, discard=no_discard))
    assert {n for n, result in told.items() if isinstance(result, ValueError)} == {0, 3, 6}
    assert {n for n, result in told.items() if result == n} == {1, 2, 4, 5, 7, 8}


def test_what_is_no_error_is_raised() -> None:
    def call(number: int) -> int:
        if number == 5:
            raise KeyboardInterrupt
        return number

    with pytest.raises(KeyboardInterrupt):
        list(map_unordered(call, range(100), workers=3, discard=lambda _: None))


@pytest.mark.parametrize("workers", [1, 4])
def test_an_exception_of_the_source_is_raised_when_what_was_drawn_is_done(workers: int) -> None:
    done: list[int] = []

    def source() -> Iterator[int]:
        yield from range(6)
        raise LookupError("no more")

    def call(number: int) -> None:
        time.sleep(0.01)
        done.append(number)

    told: list[int] = []
    results = map_unordered(call, source(), workers=workers, discard=no_discard)
    with pytest.raises(LookupError, match="no more"):
        told.extend(argument for argument, _ in results)
    assert sorted(done) == sorted(told) == list(range(6))


def test_leaving_early_makes_no_further_calls_and_puts_results_away() -> None:
    made: list[int] = []
    put_away: list[int] = []

    def call(number: int) -> int:
        made.append(number)
        time.sleep(0.005)
        return number

    results = map_unordered(call, range(1000), workers=4, discard=put_away.append)
    first = next(results)
    results.close()  # type: ignore[attr-defined] # it is a generator
    calls = len(made)
    assert calls <= 2 * 4 + 1
    time.sleep(0.05)
    assert len(made) == calls, "calls went on"
    assert sorted([first[0], *put_away]) == sorted(made), "a result was lost"


def test_heavy_arguments_count_as_many() -> None:
    drawn = 0

    def source() -> Iterator[int]:
        nonlocal drawn
        for number in range(200):
            drawn = number
            yield number

    gauge = Gauge()

    def call(_: int) -> None:
        with gauge:
            time.sleep(0.001)

    results = map_unordered(
        call, source(), workers=8, discard=no_discard, weigh=lambda n: 4 if n < 100 else 1
    )
    for told, (number, _) in enumerate(results, 1):
        if number < 80:
            assert drawn <= told + 4
    assert drawn == 199
    assert gauge.most <= 8


def test_no_thread_stays() -> None:
    list(map_unordered(lambda n: n, range(100), workers=8, discard=no_discard))
    assert not workers_alive()


def workers_alive() -> list[threading.Thread]:
    """Return the threads of iterations; those of pools that live as long as the process have other names."""
    return [thread for thread in threading.enumerate() if re.fullmatch(r"perkey_\d+", thread.name)]


def attempts_until_abandoned(ended: list[int], number: int) -> int:
    """Try again and again, as a request does while its service does not answer."""
    while not is_abandoned():
        time.sleep(0.001)
    ended.append(number)
    return number


@pytest.mark.parametrize("workers", [1, 4])
def test_calls_under_way_see_that_their_iteration_was_left(workers: int) -> None:
    ended: list[int] = []

    def call(number: int) -> int:
        assert not is_abandoned()
        if number == 0:
            return number
        return attempts_until_abandoned(ended, number)

    results = map_unordered(call, range(50), workers=workers, discard=lambda _: None)
    assert next(results) == (0, 0)
    results.close()  # type: ignore[attr-defined] # it is a generator
    wait_for_no_worker()
    assert len(ended) <= workers
    assert not is_abandoned()


def test_calls_of_an_iteration_within_one_that_was_left_see_it() -> None:
    ended: list[int] = []
    begun = threading.Event()

    def inner(number: int) -> int:
        begun.set()
        return attempts_until_abandoned(ended, number)

    def outer(number: int) -> int:
        if number == 0:
            assert begun.wait(HANG)
            return number
        return len(list(map_unordered(inner, range(2), workers=2, discard=no_discard)))

    results = map_unordered(outer, range(2), workers=2, discard=lambda _: None)
    assert next(results) == (0, 0)
    results.close()  # type: ignore[attr-defined] # it is a generator
    wait_for_no_worker()
    assert sorted(ended) == [0, 1]


def test_nothing_is_abandoned_while_results_are_taken() -> None:
    told = list(map_unordered(lambda _: is_abandoned(), range(100), workers=8, discard=no_discard))
    assert not any(result for _, result in told)
    assert not is_abandoned()


def wait_for_no_worker() -> None:
    end = time.monotonic() + HANG
    while workers_alive():
        assert time.monotonic() < end, "calls went on"
        time.sleep(0.001)
