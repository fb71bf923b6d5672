"""The faulty store: every fault at its call and at no other, and none unless planned."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from perkey.mapping.persi_dict import PersiDict
from perkey.stores import DirectoryStore, MemoryStore
from perkey.testing import FaultyStore
from perkey.testing.faults import Call, Moment
from perkey.testing.racing import Meeting, elsewhere, together
from perkey.testing.stores.suite import A, B, content_of

ALL: dict[Call, Callable[[FaultyStore], object]] = {
    "read": lambda store: store.read(A),
    "stat": lambda store: store.stat(A),
    "write": lambda store: store.write(A, b"new"),
    "remove": lambda store: store.remove(A),
    "exists": lambda store: store.exists(A),
    "scan": lambda store: list(store.scan()),
    "scan_stats": lambda store: list(store.scan_stats()),
    "folders": lambda store: list(store.folders()),
}


@pytest.fixture
def store() -> FaultyStore:
    store = FaultyStore(MemoryStore())
    store.inner.write(A, b"old")
    return store


@pytest.mark.parametrize("call", ALL)
@pytest.mark.parametrize("when", ["before", "after"])
def test_the_nth_call_of_a_verb_fails_and_no_other(store: FaultyStore, call: Call, when: Moment) -> None:
    store.fail(call, OSError("planned"), nth=2, when=when)
    store.inner.write(("x", "b.pkl"), b"x")
    for number in (1, 2, 3):
        store.inner.write(A, b"old")
        if number == 2:
            with pytest.raises(OSError, match="planned"):
                ALL[call](store)
        else:
            ALL[call](store)
    assert store.calls[call] == 3


def test_a_fault_before_leaves_the_old_state_and_one_after_the_new(store: FaultyStore) -> None:
    store.fail("write", OSError("before"))
    with pytest.raises(OSError, match="before"):
        store.write(A, b"new")
    assert content_of(store, A) == b"old"
    store.fail("write", OSError("after"), when="after")
    with pytest.raises(OSError, match="after"):
        store.write(A, b"new")
    assert content_of(store, A) == b"new"
    store.fail("remove", OSError("after"), when="after")
    with pytest.raises(OSError, match="after"):
        store.remove(A)
    assert not store.exists(A)


def test_calls_are_counted_from_the_plan_on(store: FaultyStore) -> None:
    store.read(A)
    store.read(A)
    store.fail("read", OSError("planned"), nth=1)
    with pytest.raises(OSError, match="planned"):
        store.read(A)
    assert store.calls == {"read": 3}


def test_a_fault_may_come_every_time_until_the_store_heals(store: FaultyStore) -> None:
    store.fail("read", TimeoutError(), nth=None)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            store.read(A)
    store.heal()
    assert content_of(store, A) == b"old"


def test_what_is_planned_happens_exactly_between_two_steps(store: FaultyStore) -> None:
    """A reader that is told one thing, and finds another: without any luck."""
    store.on("read", lambda: store.inner.write(A, b"overtaken"), nth=1, when="before")
    store.on("read", lambda: store.inner.write(A, b"too late"), nth=1, when="after")
    assert content_of(store, A) == b"overtaken"
    assert content_of(store, A) == b"too late"


def test_another_thread_can_wait_for_a_call(store: FaultyStore) -> None:
    arrived, go_on = threading.Event(), threading.Event()
    store.on("write", arrived.set, nth=1)
    store.on("write", lambda: go_on.wait(30), nth=1)

    def write() -> None:
        store.write(A, b"late")

    def look() -> bytes:
        assert arrived.wait(30)
        content = content_of(store, A)
        go_on.set()
        return content

    assert together([write, look])[1] == b"old"
    assert content_of(store, A) == b"late"


def test_a_slow_store_waits_before_it_acts(store: FaultyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("perkey.testing.faults.time.sleep", waited.append)
    store.latency = 0.25
    for act in ALL.values():
        store.inner.write(A, b"old")
        act(store)
    assert waited == [0.25] * len(ALL)


def test_a_file_that_was_read_is_closed_if_the_reader_gets_an_error(
    tmp_path: Path,
) -> None:
    """Unclosed files would be warned of."""
    faulty = FaultyStore(DirectoryStore(tmp_path, durability="none"))
    faulty.write(A, b"x" * 100)
    faulty.fail("read", OSError("planned"), when="after")
    with pytest.raises(OSError, match="planned"):
        faulty.read(A, limit=10)


def test_a_handle_can_be_pickled(store: FaultyStore) -> None:
    store.read(A)
    woken: FaultyStore = pickle.loads(pickle.dumps(store))
    assert woken.calls == {"read": 1}
    assert content_of(woken, A) == b"old"


def test_a_dictionary_works_on_it(store: FaultyStore) -> None:
    d = PersiDict[int](store)
    d["a"] = 1
    store.fail("write", OSError("planned"))
    with pytest.raises(OSError, match="planned"):
        d["a"] = 2
    assert d["a"] == 1
    assert len(d) == 1


def test_two_that_meet_go_on_together_and_one_alone_goes_on_too() -> None:
    passed: list[int] = []
    meeting = Meeting(seconds=30)

    def pass_through(number: int) -> None:
        meeting()
        passed.append(number)

    together([lambda n=n: pass_through(n) for n in range(4)])  # type: ignore[misc]
    assert sorted(passed) == [0, 1, 2, 3]
    Meeting(seconds=0.01)()


def test_what_a_thread_raises_reaches_the_one_that_waits() -> None:
    def fail() -> None:
        raise LookupError("in a thread")

    with pytest.raises(LookupError, match="in a thread"):
        elsewhere(fail)
    assert elsewhere(lambda: B) == B
