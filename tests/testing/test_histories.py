"""The judge of histories: right ones have an explanation, wrong ones have none."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perkey.errors import OutcomeUnknownError
from perkey.expectations import ABSENT, ANY, Expectation
from perkey.stores import MemoryStore
from perkey.testing import Event, FaultyStore, Outcome, Recorder, assert_linearisable, find_order
from perkey.testing.histories import State, after, possible
from perkey.testing.stores.suite import A

EXPECTATIONS: list[Expectation] = [ANY, ABSENT, "v1", "v2"]
DONE, MISSING, CONFLICT, UNKNOWN = Outcome.DONE, Outcome.MISSING, Outcome.CONFLICT, Outcome.UNKNOWN


def wrote(content: bytes, called: float, returned: float, *, expect: Expectation = ANY) -> Event:
    return Event("write", DONE, called, returned, expect, content, f"v{content.decode()}")


def read(content: bytes, called: float, returned: float) -> Event:
    return Event("read", DONE, called, returned, ANY, content, f"v{content.decode()}")


def removed(called: float, returned: float, outcome: Outcome = DONE, expect: Expectation = ANY) -> Event:
    return Event("remove", outcome, called, returned, expect)


RIGHT: dict[str, list[Event]] = {
    "one after another": [wrote(b"1", 0, 1), read(b"1", 2, 3), removed(4, 5), removed(6, 7, MISSING)],
    "a read may see what is still being written": [wrote(b"1", 0, 9), read(b"1", 1, 2)],
    "or not yet": [wrote(b"1", 0, 9), Event("read", MISSING, 1, 2)],
    "one of two inserters": [
        wrote(b"1", 0, 9, expect=ABSENT),
        Event("write", CONFLICT, 1, 8, ABSENT, b"2"),
        read(b"1", 10, 11),
    ],
    "writes at once in either order": [wrote(b"1", 0, 9), wrote(b"2", 1, 8), read(b"1", 10, 11)],
    "the same twice, replaced meanwhile": [
        wrote(b"1", 0, 1),
        wrote(b"2", 2, 9, expect="v1"),
        read(b"1", 3, 4),
        read(b"2", 5, 6),
    ],
    "a lost reply to what happened": [
        wrote(b"1", 0, 1),
        Event("write", UNKNOWN, 2, math.inf, ANY, b"2"),
        read(b"2", 5, 6),
        wrote(b"3", 7, 8, expect="v2"),
    ],
    "a lost reply to what did not happen": [
        wrote(b"1", 0, 1),
        Event("write", UNKNOWN, 2, math.inf, ANY, b"2"),
        read(b"1", 5, 6),
    ],
    "a lost reply to what happened late": [
        wrote(b"1", 0, 1),
        Event("remove", UNKNOWN, 2, math.inf),
        read(b"1", 3, 4),
        Event("read", MISSING, 5, 6),
    ],
    "nothing at all": [],
}

WRONG: dict[str, list[Event]] = {
    "an old value after the new one was seen": [
        wrote(b"1", 0, 1),
        wrote(b"2", 2, 9),
        read(b"2", 3, 4),
        read(b"1", 5, 6),
    ],
    "a value after it was replaced": [wrote(b"1", 0, 1), wrote(b"2", 2, 3), read(b"1", 4, 5)],
    "a value that nobody wrote": [wrote(b"1", 0, 1), read(b"2", 2, 3)],
    "a value at another version": [
        wrote(b"1", 0, 1),
        Event("read", DONE, 2, 3, ANY, b"1", "another"),
    ],
    "two winners": [wrote(b"1", 0, 9, expect=ABSENT), wrote(b"2", 1, 8, expect=ABSENT)],
    "two that replaced one version": [
        wrote(b"1", 0, 1),
        wrote(b"2", 2, 9, expect="v1"),
        wrote(b"3", 3, 8, expect="v1"),
    ],
    "no winner": [
        Event("write", CONFLICT, 0, 9, ABSENT, b"1"),
        Event("write", CONFLICT, 1, 8, ABSENT, b"2"),
    ],
    "removed twice": [wrote(b"1", 0, 1), removed(2, 9), removed(3, 8)],
    "not there though nobody removed it": [wrote(b"1", 0, 1), Event("read", MISSING, 2, 3)],
    "a conflict with what was expected": [wrote(b"1", 0, 1), removed(2, 3, CONFLICT, "v1")],
    "a version replaced after it was gone": [
        wrote(b"1", 0, 1),
        Event("write", UNKNOWN, 2, math.inf, ANY, b"2"),
        read(b"2", 5, 6),
        wrote(b"3", 7, 8, expect="v1"),
    ],
    "a removal that never took place": [wrote(b"1", 0, 1), removed(2, 3), read(b"1", 4, 5)],
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_history_is_explained_by_an_order_of_its_events(name: str) -> None:
    events = RIGHT[name]
    order = find_order(events)
    assert order is not None
    assert_linearisable(events)
    known = {event for event in events if event.outcome is not UNKNOWN}
    assert {(event.verb, event.called) for event in known} <= {(event.verb, event.called) for event in order}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_history_is_shown_with_all_its_events(name: str) -> None:
    assert find_order(WRONG[name]) is None
    with pytest.raises(AssertionError) as error:
        assert_linearisable(WRONG[name])
    assert all(str(event) in str(error.value) for event in WRONG[name])


def test_a_history_starts_from_what_was_there() -> None:
    assert find_order([read(b"1", 0, 1)]) is None
    assert find_order([read(b"1", 0, 1)], (b"1", "v1")) is not None
    assert find_order([wrote(b"2", 0, 1, expect="v1")], (b"1", "v1")) is not None
    assert find_order([wrote(b"2", 0, 1, expect=ABSENT)], (b"1", "v1")) is None


def by_permutations(events: list[Event], initial: State) -> bool:
    """Try every order: slow, and surely right."""
    for order in itertools.permutations(events):
        if any(
            order[late].returned < order[early].called
            for early, late in itertools.combinations(range(len(order)), 2)
        ):
            continue
        state = initial
        for event in order:
            if not possible(event, state):
                break
            state = after(event, state)
        else:
            return True
    return False


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Few events with few contents at random times, so that right and wrong ones both occur."""
    count = draw(st.integers(1, 5))
    times = draw(st.permutations(range(2 * count)))
    events = []
    for number in range(count):
        called, returned = sorted(times[2 * number : 2 * number + 2])
        content = draw(st.sampled_from([b"1", b"2"]))
        expect = draw(st.sampled_from(EXPECTATIONS))
        kind = draw(st.sampled_from(["read", "write", "remove", "missing", "conflict"]))
        if kind == "read":
            events.append(read(content, called, returned))
        elif kind == "write":
            events.append(wrote(content, called, returned, expect=expect))
        elif kind == "remove":
            events.append(removed(called, returned, DONE, expect if expect is not ABSENT else ANY))
        elif kind == "missing":
            events.append(Event("read", MISSING, called, returned))
        else:
            expect = "v1" if expect is ANY else expect
            events.append(Event("write", CONFLICT, called, returned, expect, content))
    return events


@given(histories(), st.sampled_from([None, (b"1", "v1")]))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_the_search_agrees_with_trying_every_order(events: list[Event], initial: State) -> None:
    assert (find_order(events, initial) is not None) == by_permutations(events, initial)


def test_right_and_wrong_are_both_common_among_the_histories_tried() -> None:
    """So that the agreement above says something."""
    verdicts = []
    seeds = random.Random(1)
    for _ in range(300):
        times = list(range(8))
        seeds.shuffle(times)
        events = []
        for number in range(4):
            called, returned = sorted(times[2 * number : 2 * number + 2])
            make = seeds.choice([wrote, read])
            events.append(make(seeds.choice([b"1", b"2"]), called, returned))
        verdict = find_order(events) is not None
        assert verdict == by_permutations(events, None)
        verdicts.append(verdict)
    assert 30 < sum(verdicts) < 270


def test_what_is_recorded_is_what_happened() -> None:
    store = FaultyStore(MemoryStore())
    recorder = Recorder(A)
    assert recorder.read(store).outcome is MISSING
    first = recorder.write(store, b"1", expect=ABSENT)
    assert recorder.write(store, b"2", expect=ABSENT).outcome is CONFLICT
    found = recorder.read(store)
    assert (found.content, found.version) == (b"1", first.version)
    store.fail("write", OSError("lost reply"), when="after")
    assert recorder.write(store, b"3").outcome is UNKNOWN
    store.fail("remove", OutcomeUnknownError(A, "here"))
    assert recorder.remove(store).outcome is UNKNOWN
    assert recorder.read(store).content == b"3"
    assert recorder.remove(store).outcome is DONE
    assert recorder.remove(store).outcome is MISSING
    assert len(recorder.events) == 9
    assert_linearisable(recorder.events)


def test_long_histories_of_few_threads_are_judged_quickly() -> None:
    """The memory of what was tried keeps the search short: 60 overlapping events, and no explanation."""
    events = [wrote(b"%d" % number, 10 * number, 10 * number + 25) for number in range(60)]
    assert find_order(events) is not None
    assert find_order([*events, read(b"never", 1, 700)]) is None
