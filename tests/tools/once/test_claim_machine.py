"""The protocol of claims, under interleavings, pauses, slow requests and lost replies."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from itertools import product
from typing import Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from perkey import break_claim
from perkey.errors import BackendError, ClaimLostError, OutcomeUnknownError
from perkey.mapping import PersiDict
from perkey.tools.once.leases import Contender, Lease, Watch
from perkey.tools.once.places import spot_of
from perkey.tools.once.records import Failure
from tools.once.simulated import ScriptedStore, SimulatedClock

LONG: Final = bool(os.environ.get("PERKEY_LONG"))
LEASE: Final = 12.0
KEY: Final = "a"
VERBS: Final = ("acquire", "watch", "watch_slowly", "renew", "insert", "release", "fail")
MOMENTS: Final = ("before", "after")


class Party:
    """A process that wants the claim."""

    def __init__(self, d: PersiDict[int], clock: SimulatedClock) -> None:
        self.contender = Contender(spot_of(d, KEY), LEASE, watch=Watch(), clock=clock)
        self.lease: Lease | None = None

    @property
    def holds(self) -> bool:
        return self.lease is not None and not self.lease.lost


class World:
    """Three parties, one claim, one item; each verb is something that a party does."""

    def __init__(self) -> None:
        self.clock = SimulatedClock()
        self.store = ScriptedStore(self.clock)
        self.d = PersiDict[int](self.store)
        self.parties = [Party(self.d, self.clock) for _ in range(3)]
        self.broken: list[Lease] = []
        self.results = 0

    def do(self, verb: str, number: int) -> None:
        """Let a party do something, at which the place may fail."""
        with suppress(BackendError, OutcomeUnknownError, ClaimLostError):
            getattr(self, verb)(self.parties[number])

    def acquire(self, party: Party) -> None:
        if party.holds:
            return
        before = party.lease
        lease = party.contender.attempt()
        if lease is not None:
            assert before is None or before in self.broken or lease.token >= before.token
            party.lease = lease

    def watch(self, party: Party) -> None:
        """Look again and again, as one that waits does."""
        for _ in range(5):
            self.acquire(party)
            self.clock.now += 3.9

    def watch_slowly(self, party: Party) -> None:
        self.store.latency = 1.9
        try:
            for _ in range(8):
                self.acquire(party)
        finally:
            self.store.latency = 0.0

    def renew(self, party: Party) -> None:
        if party.lease is not None:
            party.lease.renew()

    def insert(self, party: Party) -> None:
        """Do what only the holder may do."""
        if party.lease is None:
            return
        party.lease.check()
        assert party.lease in self.broken or self.holders() == [party]
        self.results += self.d.setdefault_if(KEY, self.results).condition_was_satisfied

    def release(self, party: Party, failure: Failure | None = None) -> None:
        if party.lease is not None:
            lease, party.lease = party.lease, None
            lease.release(failure)

    def fail(self, party: Party) -> None:
        self.release(party, Failure("x", "ValueError", "", "", "", 1))

    def holders(self) -> list[Party]:
        return [party for party in self.parties if party.holds and party.lease not in self.broken]

    def overtaken(self, verb: str, inner: str, moment: str, nth: int, seconds: float, party: int) -> bool:
        """Stop the first party within its nth request, let another one act, and let it go on.

        Returns whether there were so many requests.
        """
        left = [nth]

        def interrupt() -> None:
            left[0] -= 1
            if not left[0]:
                latency, self.store.latency = self.store.latency, 0.0
                self.do(inner, party)
                self.clock.now += seconds
                self.store.latency = latency

        setattr(self.store, moment, interrupt)
        try:
            self.do(verb, 0)
        finally:
            setattr(self.store, moment, lambda: None)
        return left[0] <= 0

    def failing(self, verb: str, moment: str, nth: int, lasting: bool, unknown: bool, seconds: float) -> None:
        """Let a request of the first party fail, or all from it on."""
        left = [nth]

        def fail() -> None:
            left[0] -= 1
            if left[0] == 0 or (lasting and left[0] < 0):
                self.clock.now += seconds
                if unknown:
                    raise OutcomeUnknownError((KEY,), "here")
                raise BackendError("outage", backend="test", operation="any")

        setattr(self.store, moment, fail)
        try:
            self.do(verb, 0)
        finally:
            setattr(self.store, moment, lambda: None)

    def check(self) -> None:
        assert len(self.holders()) <= 1
        assert self.results <= 1

    def check_end(self) -> None:
        """A newcomer gets the claim after a lease, whatever has happened."""
        newcomer = Party(self.d, self.clock)
        self.acquire(newcomer)
        waited = 0.0
        while newcomer.lease is None:
            assert waited <= LEASE + 2
            self.clock.now += 1
            waited += 1
            self.acquire(newcomer)
        assert newcomer.holds


# --- Every interleaving of two ------------------------------------------------------------------------


def absent(world: World) -> None:
    """Nothing has happened."""


def held_by_the_first(world: World) -> None:
    world.do("acquire", 0)


def held_by_the_second(world: World) -> None:
    world.do("acquire", 1)


def held_by_the_first_and_watched(world: World) -> None:
    world.do("acquire", 0)
    for _ in range(4):
        world.do("acquire", 1)
        world.clock.now += 3.8
    world.clock.now -= 3.8


def held_by_the_second_and_watched(world: World) -> None:
    world.do("acquire", 1)
    for _ in range(4):
        world.do("acquire", 0)
        world.clock.now += 3.8
    world.clock.now -= 3.8


def failed_and_seen(world: World) -> None:
    world.do("acquire", 2)
    world.do("acquire", 0)
    world.do("acquire", 1)
    world.do("fail", 2)


def taken_over(world: World) -> None:
    world.do("acquire", 0)
    world.do("watch", 1)


STARTS: Final = [
    absent,
    held_by_the_first,
    held_by_the_second,
    held_by_the_first_and_watched,
    held_by_the_second_and_watched,
    failed_and_seen,
    taken_over,
]


@pytest.mark.parametrize("start", STARTS)
def test_no_interleaving_of_two_gives_two_holders(start: Callable[[World], None]) -> None:
    met = 0
    for verb, inner, moment, seconds in product(VERBS, VERBS, MOMENTS, (0.0, 11.0)):
        nth = 1
        while True:
            world = World()
            start(world)
            world.check()
            if not world.overtaken(verb, inner, moment, nth, seconds, 1):
                break
            world.check()
            for then in ("insert", "renew", "insert"):
                for number in (0, 1):
                    world.do(then, number)
                    world.check()
            world.check_end()
            nth += 1
            met += 1
    assert met > 100


@pytest.mark.parametrize("start", STARTS)
def test_a_place_that_fails_at_any_request_leaves_at_most_one_holder(start: Callable[[World], None]) -> None:
    choices = product(VERBS, MOMENTS, range(1, 5), (False, True), (False, True), (0.0, 13.0))
    for verb, moment, nth, lasting, unknown, seconds in choices:
        world = World()
        start(world)
        world.failing(verb, moment, nth, lasting, unknown, seconds)
        world.check()
        world.do("watch", 1)
        world.check()
        world.do("insert", 0)
        world.do("insert", 1)
        world.check()
        world.check_end()


def test_a_paused_holder_is_taken_over_and_finds_that_out() -> None:
    world = World()
    taken_over(world)
    first, second = world.parties[:2]
    assert world.holders() == [second]
    assert second.lease is not None
    assert second.lease.token == 1
    world.do("insert", 1)
    world.do("insert", 0)
    assert world.results == 1
    assert first.lease is not None
    with pytest.raises(ClaimLostError, match="took it over"):
        first.lease.check()


def test_an_outage_is_not_the_death_of_the_holder() -> None:
    """The contender could not read for longer than a lease; neither could the holder write."""
    world = World()
    held_by_the_first(world)
    world.do("acquire", 1)

    def outage() -> None:
        raise BackendError("outage", backend="test", operation="any")

    for _ in range(10):
        world.store.before = outage
        for party in (0, 1):
            world.clock.now += 3.0
            world.do("renew" if party == 0 else "acquire", party)
        world.store.before = lambda: None
        world.do("acquire", 1)
    first = world.parties[0]
    assert not first.holds
    assert first.lease is not None
    first.lease.check()  # nobody has taken it, so that it is held again
    assert world.holders() == [first]


def test_a_read_that_takes_long_does_not_count() -> None:
    """Its first attempts have failed, as the holder's writes have."""
    world = World()
    held_by_the_first(world)
    for _ in range(10):
        world.store.latency = 2.5
        world.do("acquire", 1)
        world.store.latency = 0.0
        world.clock.now += 1.0
    assert world.parties[1].lease is None
    assert world.parties[0].lease is not None
    world.parties[0].lease.check()


@pytest.mark.parametrize("pause", [3.9, 4.1, 30.0, 1e6])
def test_looks_that_lie_far_apart_see_that_a_holder_is_silent(pause: float) -> None:
    """As of a service that asks now and then, and never waits; or of a place with slow requests."""
    world = World()
    held_by_the_first(world)
    world.store.latency = 0.5
    looks = 0
    while world.parties[1].lease is None:
        world.do("acquire", 1)
        world.clock.now += pause
        looks += 1
    assert looks in {4, 5}


@pytest.mark.parametrize("pause", [3.9, 4.1, 30.0])
def test_looks_that_lie_far_apart_see_that_a_holder_is_alive(pause: float) -> None:
    world = World()
    held_by_the_first(world)
    for _ in range(20):
        world.do("acquire", 1)
        world.clock.now += pause - 0.1
        world.do("renew", 0)
        world.clock.now += 0.1
    assert world.parties[1].lease is None


# --- Histories that Hypothesis chooses ----------------------------------------------------------------


PARTIES: Final = st.integers(0, 2)
TIMES: Final = st.sampled_from([0.0, 0.5, 1.0, 3.9, 4.0, 6.0, 11.9, 12.0, 13.0, 50.0])


class ClaimMachine(RuleBasedStateMachine):
    """Three parties, any of which may be paused for any time at any request."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @rule(number=PARTIES, verb=st.sampled_from(VERBS), seconds=TIMES)
    def party_acts(self, number: int, verb: str, seconds: float) -> None:
        self.world.clock.now += seconds
        self.world.do(verb, number)

    @rule()
    def item_is_removed(self) -> None:
        self.world.d.discard(KEY)
        self.world.results = 0

    @rule()
    def claim_is_broken(self) -> None:
        world = self.world
        world.broken += [party.lease for party in world.parties if party.lease is not None]
        break_claim(world.d, KEY)

    @rule(
        verb=st.sampled_from(VERBS),
        inner=st.sampled_from(VERBS),
        moment=st.sampled_from(MOMENTS),
        nth=st.integers(1, 4),
        seconds=TIMES,
        other=st.integers(1, 2),
    )
    def one_overtakes_another(
        self, verb: str, inner: str, moment: str, nth: int, seconds: float, other: int
    ) -> None:
        self.world.overtaken(verb, inner, moment, nth, seconds, other)

    @rule(
        verb=st.sampled_from(VERBS),
        moment=st.sampled_from(MOMENTS),
        nth=st.integers(1, 3),
        lasting=st.booleans(),
        unknown=st.booleans(),
        seconds=TIMES,
    )
    def place_fails(
        self, verb: str, moment: str, nth: int, lasting: bool, unknown: bool, seconds: float
    ) -> None:
        self.world.failing(verb, moment, nth, lasting, unknown, seconds)

    @invariant()
    def at_most_one_holds(self) -> None:
        self.world.check()

    def teardown(self) -> None:
        self.world.check_end()


ClaimMachine.TestCase.settings = settings(
    max_examples=2000 if LONG else 100,
    stateful_step_count=60 if LONG else 30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestClaimMachine = ClaimMachine.TestCase
