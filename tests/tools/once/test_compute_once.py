"""Each value is computed once; what fails, is lost or cannot be stored reaches the right callers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import Context
from pathlib import Path
from typing import Any

import pytest

from perkey import (
    DELETE_CURRENT,
    BusyError,
    CachedDict,
    ComputationFailedError,
    EmptyDict,
    FileDirDict,
    LocalDict,
    PersiDict,
    UnstorableValueError,
    WriteOnceDict,
    claim,
    claims,
    compute_once,
)
from perkey.errors import BackendError, OutcomeUnknownError
from perkey.testing.faults import FaultyStore
from perkey.tools.once.compute import Computation, Found, Policy, Turn, Wait
from tools.once.programs import said, started
from tools.once.simulated import ScriptedStore, SimulatedClock

MAKERS: dict[str, Callable[[Path], PersiDict[Any]]] = {
    "folder": lambda path: FileDirDict(path, durability="none"),
    "durable folder": FileDirDict,
    "immutable": lambda path: FileDirDict(path, immutable_items=True),
    "sub-dictionary": lambda path: FileDirDict[Any](path).get_subdict("below"),
    "write once": lambda path: WriteOnceDict(FileDirDict(path, immutable_items=True), 1.0),
    "memory": lambda _: LocalDict(),
    "cached": lambda path: CachedDict(FileDirDict(path), LocalDict()),
}


@pytest.fixture(params=MAKERS)
def d(request: pytest.FixtureRequest, tmp_path: Path) -> PersiDict[Any]:
    return MAKERS[request.param](tmp_path / "d")


@pytest.fixture
def folder(tmp_path: Path) -> PersiDict[Any]:
    return FileDirDict(tmp_path / "d", durability="none")


class Slow:
    """A function that runs until it is let go, and counts its calls."""

    def __init__(self, result: Any = 7) -> None:
        self.result = result
        self.calls = 0
        self.began = threading.Event()
        self.end = threading.Event()

    def __call__(self) -> Any:
        self.calls += 1
        self.began.set()
        assert self.end.wait(60)
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


@contextmanager
def computing(d: PersiDict[Any], key: str, slow: Slow) -> Iterator[Any]:
    """Let a thread compute until the block ends."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(compute_once, d, key, slow)
        assert slow.began.wait(60)
        try:
            yield future
        finally:
            slow.end.set()


def is_waiting(room_calls: int, d: PersiDict[Any], key: str) -> bool:
    from perkey.tools.once.compute import _rooms
    from perkey.tools.once.places import spot_of

    room = _rooms._rooms.get(spot_of(d, key).identity)
    return room is not None and room.calls >= room_calls


def await_calls(count: int, d: PersiDict[Any], key: str) -> None:
    """Wait until so many calls of this process want a key."""
    while not is_waiting(count, d, key):
        time.sleep(0.002)


# --- Once ---------------------------------------------------------------------------------------------


def test_a_value_is_computed_and_then_loaded(d: PersiDict[Any]) -> None:
    assert compute_once(d, ("x", "a"), pow, args=(2, 5)) == 32
    assert compute_once(d, ("x", "a"), pow, args=(2, 6)) == 32
    assert compute_once(d, "b", dict, kwargs={"u": 1}) == {"u": 1}
    assert d["x", "a"] == 32
    assert claims(d, free=True) == []


@pytest.mark.parametrize("value", [None, False, 0, "", [], {}])
def test_every_value_counts(value: Any, d: PersiDict[Any]) -> None:
    calls: list[int] = []

    def function() -> Any:
        calls.append(1)
        return value

    assert [compute_once(d, "a", function) for _ in range(3)] == [value] * 3
    assert len(calls) == 1


def test_fifty_threads_that_want_one_key_compute_it_once(d: PersiDict[Any]) -> None:
    slow = Slow()
    with ThreadPoolExecutor(50) as pool:
        futures = [pool.submit(compute_once, d, "a", slow) for _ in range(50)]
        await_calls(50, d, "a")
        slow.end.set()
        assert [future.result() for future in futures] == [7] * 50
    assert slow.calls == 1
    assert claims(d, free=True) == []


def test_threads_with_handles_of_their_own_compute_once(tmp_path: Path) -> None:
    handles = [FileDirDict[Any](tmp_path).get_subdict("x") for _ in range(10)]
    slow = Slow()
    with ThreadPoolExecutor(10) as pool:
        futures = [pool.submit(compute_once, each, "a", slow) for each in handles]
        await_calls(10, handles[0], "a")
        slow.end.set()
        assert {future.result() for future in futures} == {7}
    assert slow.calls == 1


def test_a_dictionary_that_keeps_nothing_computes_each_time() -> None:
    d = EmptyDict[Any]()
    assert [compute_once(d, "a", lambda: 3) for _ in range(2)] == [3, 3]


def test_a_value_that_another_program_inserted_meanwhile_wins(folder: PersiDict[Any]) -> None:
    def function() -> int:
        folder["a"] = 1
        return 2

    assert compute_once(folder, "a", function) == 1
    assert folder["a"] == 1
    assert claims(folder, free=True) == []


def test_a_claim_of_a_dead_process_is_taken_over(folder: PersiDict[Any]) -> None:
    with started("hold_until_killed", folder.store.describe(), "a", 600) as process:
        assert said(process) == "True"
        with pytest.raises(BusyError, match=f"process {process.pid} on"):
            compute_once(folder, "a", int, when_busy="raise")
        process.kill()
        assert compute_once(folder, "a", lambda: 5) == 5
    assert claims(folder, free=True) == []


# --- Failures -----------------------------------------------------------------------------------------


def test_those_that_waited_for_an_attempt_get_its_failure_and_later_calls_try_again(
    folder: PersiDict[Any],
) -> None:
    slow = Slow(ValueError("no such thing"))
    with ThreadPoolExecutor(5) as pool, computing(folder, "a", slow) as first:
        waiting = [pool.submit(compute_once, folder, "a", int) for _ in range(5)]
        await_calls(6, folder, "a")
        slow.end.set()
        with pytest.raises(ValueError, match="no such thing"):
            first.result()
        for each in waiting:
            with pytest.raises(ComputationFailedError, match="no such thing") as caught:
                each.result()
            assert caught.value.key == ("a",)
            assert caught.value.type == "ValueError"
            assert caught.value.text == "no such thing"
            assert "raise self.result" in caught.value.traceback
            assert caught.value.count == 1
    assert "a" not in folder
    (kept,) = claims(folder, free=True)
    assert kept.free
    assert kept.failure is not None
    assert kept.failure.count == 1
    with pytest.raises(ZeroDivisionError):
        compute_once(folder, "a", lambda: 1 // 0)
    assert claims(folder) == []
    (kept,) = claims(folder, free=True)
    assert kept.failure is not None
    assert (kept.failure.count, kept.failure.type) == (2, "ZeroDivisionError")
    assert compute_once(folder, "a", lambda: 8) == 8
    assert claims(folder, free=True) == []


@pytest.mark.parametrize("where", ["here", "in another process"])
def test_calls_that_wait_share_one_look_at_a_failure(where: str, folder: PersiDict[Any]) -> None:
    store = FaultyStore(folder.store)
    seen = PersiDict[Any](store)
    holder: Computation[Any] = Computation(folder, "a", Policy())
    if where == "in another process":
        holder.close()
        holder = Other(folder, SimulatedClock())
    assert isinstance(holder.step(), Turn)
    count = 20
    with ThreadPoolExecutor(count) as pool:
        waiting = [pool.submit(compute_once, seen, "a", int, lease=2.0) for _ in range(count)]
        await_calls(count + (where == "here"), seen, "a")
        time.sleep(0.3)
        before = store.calls["read"]
        holder.fail(ValueError("no such thing"))
        holder.close()
        assert {type(each.exception(30)) for each in waiting} == {ComputationFailedError}
    assert store.calls["read"] - before <= 2, "the looks of all calls"
    assert compute_once(seen, "a", int) == 0


def test_a_call_that_comes_after_a_failure_waits_for_the_next_attempt(folder: PersiDict[Any]) -> None:
    """Though other calls of its process have waited for the one that failed."""
    slow = Slow(ValueError("first"))
    with computing(folder, "a", slow) as first, Computation[Any](folder, "a", Policy()) as early:
        assert isinstance(early.step(), Wait)
        slow.end.set()
        assert isinstance(first.exception(), ValueError)
        with computing(folder, "a", Slow()) as second, Computation[Any](folder, "a", Policy()) as late:
            assert isinstance(late.step(), Wait)
            with pytest.raises(ComputationFailedError, match="first"):
                early.step()
            assert isinstance(late.step(), Wait)
    assert second.result() == 7


def test_a_waiter_in_another_process_gets_the_failure(folder: PersiDict[Any]) -> None:
    """The room of this process is not shared with another one's: the claim is."""
    clock = SimulatedClock()
    with computing(folder, "a", Slow(ValueError("elsewhere"))) as first:
        other = Other(folder, clock)
        assert isinstance(other.step(), Wait)
    with pytest.raises(ValueError, match="elsewhere"):
        first.result()
    with pytest.raises(ComputationFailedError, match="elsewhere"):
        other.step()
    other.close()


def test_a_waiter_gets_the_failure_that_it_waited_for_though_the_next_attempt_runs(
    folder: PersiDict[Any],
) -> None:
    other = Other(folder, SimulatedClock())
    with computing(folder, "a", Slow(ValueError("first"))) as first:
        assert isinstance(other.step(), Wait)
    assert isinstance(first.exception(), ValueError)
    with computing(folder, "a", Slow()) as second:
        with pytest.raises(ComputationFailedError, match="first"):
            other.step()
        late = Other(folder, SimulatedClock())
        assert isinstance(late.step(), Wait)
    assert second.result() == 7
    assert late.step() == Found(7)
    other.close()
    late.close()


class Other(Computation[Any]):
    """A call of another process: it has a room of its own."""

    def __init__(self, d: PersiDict[Any], clock: SimulatedClock, policy: Policy | None = None) -> None:
        super().__init__(d, "a", policy or Policy(), clock=clock)
        from perkey.tools.once.compute import _Room

        self._room = _Room()

    def close(self) -> None:
        self._stop_leading()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interruption_is_not_a_failure_of_the_computation(
    error: type[BaseException], folder: PersiDict[Any]
) -> None:
    def function() -> None:
        raise error

    with pytest.raises(error):
        compute_once(folder, "a", function)
    assert claims(folder, free=True) == []


def test_the_error_of_a_store_that_the_function_uses_is_the_functions(folder: PersiDict[Any]) -> None:
    def function() -> None:
        raise BackendError("another service", backend="x", operation="get")

    with pytest.raises(BackendError, match="another service"):
        compute_once(folder, "a", function)
    (kept,) = claims(folder, free=True)
    assert kept.failure is not None


class Unprintable(Exception):  # noqa: N818 - the name says it
    def __str__(self) -> str:
        raise ValueError("no text")


def test_an_error_without_text_is_kept_all_the_same(folder: PersiDict[Any]) -> None:
    def function() -> None:
        raise Unprintable

    with pytest.raises(Unprintable):
        compute_once(folder, "a", function)
    (kept,) = claims(folder, free=True)
    assert kept.failure is not None
    assert "cannot be shown" in kept.failure.text


@pytest.mark.parametrize(
    ("result", "error"), [(threading.Lock(), UnstorableValueError), (DELETE_CURRENT, TypeError)]
)
def test_a_result_that_cannot_be_stored_is_an_error_of_its_call_alone(
    result: Any, error: type[Exception], folder: PersiDict[Any]
) -> None:
    slow = Slow(result)
    with ThreadPoolExecutor(1) as pool, computing(folder, "a", slow) as first:
        waiting = pool.submit(compute_once, folder, "a", lambda: 5)
        await_calls(2, folder, "a")
        slow.end.set()
        with pytest.raises(error):
            first.result()
        assert waiting.result() == 5
    assert claims(folder, free=True) == []


def test_a_computation_that_asks_for_itself_is_an_error(folder: PersiDict[Any]) -> None:
    def function() -> Any:
        return compute_once(folder, "a", function)

    with pytest.raises(RuntimeError, match="asks for the key itself"):
        compute_once(folder, "a", function)

    def other() -> Any:
        return compute_once(folder, "b", lambda: 1) + 1

    assert compute_once(folder, "a", other) == 2


# --- When another one computes ------------------------------------------------------------------------


def test_what_a_call_does_while_another_one_computes(folder: PersiDict[Any]) -> None:
    with computing(folder, "a", Slow()) as first:
        with pytest.raises(BusyError, match="works on it"):
            compute_once(folder, "a", int, when_busy="raise")
        with pytest.raises(BusyError):
            compute_once(folder, "a", int, timeout=0)
        with pytest.raises(BusyError):
            compute_once(folder, "a", int, timeout=0.05)
        with pytest.raises(TimeoutError):
            compute_once(folder, "a", int, when_busy="raise", timeout=0.01)
        assert compute_once(folder, "a", int, when_busy="default", default=9) == 9
        assert compute_once(folder, "a", int, when_busy="default", default=9, timeout=0.01) == 9
        assert compute_once(folder, "a", lambda: 3, when_busy="compute") == 3
        assert folder["a"] == 3
        assert compute_once(folder, "a", int, when_busy="raise") == 3
    assert first.result() == 3  # the value that was inserted first stays


def test_a_claim_of_the_users_own_is_respected(folder: PersiDict[Any]) -> None:
    with claim(folder, "a"), pytest.raises(BusyError):
        compute_once(folder, "a", int, when_busy="raise")
    assert compute_once(folder, "a", int) == 0


def test_a_waiter_whose_time_is_over_leaves_the_watch_to_another(folder: PersiDict[Any]) -> None:
    slow = Slow()
    with claim(folder, "a") as mine, ThreadPoolExecutor(3) as pool:
        short = pool.submit(compute_once, folder, "a", int, timeout=0.2)
        await_calls(1, folder, "a")
        long = [pool.submit(compute_once, folder, "a", slow) for _ in range(2)]
        with pytest.raises(BusyError):
            short.result()
        assert mine
        mine.release()
        slow.end.set()
        assert [each.result() for each in long] == [7, 7]
    assert slow.calls == 1


# --- Places that fail ---------------------------------------------------------------------------------


class World:
    """A place and a clock in the hands of the test."""

    def __init__(self) -> None:
        self.clock = SimulatedClock()
        self.store = ScriptedStore(self.clock)
        self.d = PersiDict[Any](self.store)

    def call(self, function: Callable[[], Any], **policy: Any) -> Any:
        with Computation[Any](self.d, "a", Policy(**policy), clock=self.clock) as computation:
            return computation.run(function)


@pytest.mark.parametrize("kind", ["outage", "unknown"])
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("nth", range(1, 6))
def test_no_lost_reply_makes_a_second_result_or_reaches_the_caller(moment: str, nth: int, kind: str) -> None:
    """The first look is left out: nothing is lost yet, and the error is the caller's."""
    world = World()
    left = [nth]
    calls: list[int] = []

    def function() -> int:
        calls.append(1)
        return 5

    def fail() -> None:
        left[0] -= 1
        if left[0] == 0:
            if kind == "unknown" and not world.store.is_read:
                raise OutcomeUnknownError(("a",), "here")
            raise BackendError("lost", backend="x", operation="any")

    setattr(world.store, moment, fail)
    try:
        assert world.call(function) == 5
    except BackendError:
        # Before it has computed anything, an outage is the caller's to know.
        assert calls == []
    finally:
        setattr(world.store, moment, lambda: None)
    assert len(calls) <= 1
    assert world.call(lambda: 6) == (5 if calls else 6)


def test_a_result_survives_a_minute_of_outage() -> None:
    world = World()
    until = world.clock.now + 60

    def outage() -> None:
        if world.clock.now < until:
            raise BackendError("outage", backend="x", operation="any")

    def function() -> int:
        world.store.before = outage
        return 5

    assert world.call(function) == 5
    assert world.d["a"] == 5
    assert world.clock.now >= until
    assert claims(world.d, free=True) == []


def test_a_full_disk_is_reported_at_once(folder: PersiDict[Any]) -> None:
    import errno

    store = FaultyStore(folder.store)
    seen = PersiDict[Any](store)

    def function() -> int:
        store.fail("write", OSError(errno.ENOSPC, "full"), nth=None)
        return 5

    with pytest.raises(OSError, match="full"):
        compute_once(seen, "a", function)
    store.heal()
    assert compute_once(seen, "a", lambda: 6) == 6


def test_a_holder_that_was_paused_for_longer_than_its_lease_makes_no_second_result() -> None:
    world = World()
    inner: list[Any] = []

    def overtaker() -> int:
        return 2

    def function() -> int:
        other = Other(world.d, world.clock)
        elsewhere = Context()  # another process is not within this computation
        while not isinstance(step := elsewhere.run(other.step), Turn):
            assert isinstance(step, Wait)
            world.clock.now += 3.0
        inner.append(elsewhere.run(other.compute, overtaker))
        return 1

    assert world.call(function, lease=12.0) == 2
    assert inner == [2]
    assert world.d["a"] == 2
    assert claims(world.d, free=True) == []


def test_a_value_that_was_inserted_after_the_first_look_is_not_computed_again() -> None:
    """Its holder inserts it and releases its claim before this call takes the claim."""
    world = World()

    def insert() -> None:
        world.store.before = lambda: None
        former = Other(world.d, world.clock)
        assert former.run(lambda: 1) == 1
        former.close()

    def function() -> int:
        raise AssertionError

    world.store.before = insert
    assert world.call(function) == 1
    assert claims(world.d, free=True) == []


def test_wall_clocks_do_not_matter() -> None:
    world = World()
    world.clock.wall_offset = 3600.0
    later = SimulatedClock()
    later.wall_offset = -3600.0
    with Computation[Any](world.d, "a", Policy(lease=12.0), clock=world.clock) as first:
        assert isinstance(first.step(), Turn)
        other = Other(world.d, later, Policy(lease=12.0))
        for _ in range(10):
            assert isinstance(other.step(), Wait)
            later.now += 1.0
        first.insert(1)
    assert other.step() == Found(1)


# --- Arguments ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"args": 5}, TypeError, "args must be an iterable"),
        ({"args": "abc"}, TypeError, "args must be an iterable"),
        ({"kwargs": ["a"]}, TypeError, "kwargs must be a mapping"),
        ({"when_busy": "later"}, ValueError, "when_busy must be"),
        ({"timeout": -1}, ValueError, "timeout must be"),
        ({"lease": 0}, ValueError, "lease must be"),
        ({"renewal": "none"}, ValueError, "renewal must be"),
    ],
)
def test_wrong_arguments_are_refused_though_the_value_is_there(
    options: dict[str, Any], error: type[Exception], message: str, folder: PersiDict[Any]
) -> None:
    folder["a"] = 1
    with pytest.raises(error, match=message):
        compute_once(folder, "a", int, **options)


# --- Requests -----------------------------------------------------------------------------------------


def test_requests_of_a_task_and_of_a_waiter() -> None:
    world = World()
    assert world.call(lambda: 1) == 1
    # The claim, the second look, the insertion and the release; the first look is `compute_once`'s.
    assert world.store.requests == 4
    world.d.clear()
    with Computation[Any](world.d, "a", Policy(), clock=world.clock) as first:
        assert isinstance(first.step(), Turn)
        lease = first._claim._lease
        assert lease is not None
        other = Other(world.d, world.clock)
        began, polls, renewed = world.clock.now, 0, world.clock.now
        while world.clock.now < began + 3600:
            before = world.store.requests
            step = other.step()
            polls += world.store.requests - before
            assert isinstance(step, Wait)
            world.clock.now += step.seconds
            if world.clock.now - renewed >= 15:
                lease.renew()
                renewed = world.clock.now
        assert polls < 800  # every 5 s, and more often in the first minute
        assert not lease.lost


def test_threads_that_wait_look_once_for_all(folder: PersiDict[Any]) -> None:
    store = FaultyStore(folder.store)
    seen = PersiDict[Any](store)
    with claim(folder, "a") as mine, ThreadPoolExecutor(20) as pool:
        first = pool.submit(compute_once, seen, "a", int)
        await_calls(1, seen, "a")
        others = [pool.submit(compute_once, seen, "a", int) for _ in range(19)]
        await_calls(20, seen, "a")
        inserted = store.calls["write"]
        assert inserted == 1  # the first has tried to claim it, the others have not
        mine.release()
        assert [each.result() for each in [first, *others]] == [0] * 20


def test_a_coroutine_function_is_refused_and_the_form_for_event_loops_is_named() -> None:
    async def compute() -> int:
        return 1

    with pytest.raises(TypeError, match=r"not a coroutine.*await memoize\(.*AsyncDict"):
        _ = compute_once(LocalDict[Any](), "a", compute)
