"""Computing each value once: one of any number of callers computes, the other callers wait for its result.

A `Computation` is one call. Its `step` never waits; it returns a value, or whether it is this
call's turn to compute, or how long to wait. So the drivers for threads and for event loops are a few lines
each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from inspect import iscoroutinefunction
from threading import Condition, RLock
from types import NoneType
from typing import Any, Final, Generic, Literal, NamedTuple, Self, TypeAlias, TypeVar

from perkey.answers import answer
from perkey.arguments import check_callable, check_iterable, check_kind
from perkey.errors import BusyError, ComputationFailedError
from perkey.jokers import ETAG_IS_THE_SAME, ITEM_NOT_AVAILABLE, ETagIfExists, Joker
from perkey.keys import NonEmptyPersiDictKey
from perkey.mapping import PersiDict
from perkey.tools.once.claims import (
    LEASE,
    Claim,
    Renewal,
    check_lease,
    check_renewal,
    check_seconds,
    pause_after,
)
from perkey.tools.once.holders import CLOCK, Clock, at_fork_in_child, process_token
from perkey.tools.once.leases import FAILURES, Contender, Patience, log
from perkey.tools.once.places import Spot, spot_of
from perkey.tools.once.records import Failure, Record
from perkey.waiting import driver

R = TypeVar("R")

WhenBusy: TypeAlias = Literal["wait", "raise", "compute", "default"]
"""What a call does while another process or thread computes the value."""

ABSENT: Final[Any] = object()
"""In place of a value: no value can be used."""

_FOLLOWERS_LOOK: Final = 5.0
"""A waiter relies on its leader for so many seconds; then it checks whether the leader goes on."""

_computing: ContextVar[frozenset[str]] = ContextVar("perkey_computing", default=frozenset())
"""The nonces of the claims under which the running code computes."""


def compute_once(
    d: PersiDict[Any],
    key: NonEmptyPersiDictKey,
    function: Callable[..., R],
    /,
    *,
    args: Iterable[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    lease: float = LEASE,
    timeout: float | None = None,
    when_busy: WhenBusy = "wait",
    default: Any = None,
    renewal: Renewal = "thread",
) -> R:
    """Return the value of a key; if the key does not exist, compute the value, insert and return it.

    Of any number of calls, in any number of threads, processes and machines, one computes, under a claim (see
    `claim`), and the other calls wait. If the process that computes dies, another one takes over. A process
    that lost its claim, because it was stopped for longer than the lease, may compute a value a second time.
    It never replaces one: the value that was inserted first stays, and all calls return it.

    If the function raises, this call raises its exception. The failure is kept in the claim, never as a
    value: calls that waited for this attempt raise `ComputationFailedError`, and each later call tries again.
    If the result cannot be stored, only this call raises, and one of the waiting calls computes.

    The call that computed returns the object that the function returned; all other calls load the value.

    Args:
        d: The dictionary.
        key: The key.
        function: Computes the value; it is called with `args` and `kwargs`.
        args: Its positional arguments.
        kwargs: Its arguments by name.
        lease: Seconds without a renewal after which another process may take over the computation.
        timeout: Seconds to wait at most for another call's computation; None for no limit. Where `when_busy`
            is not ``"wait"``, None means not to wait.
        when_busy: What to do if another call computes and the time to wait is over: ``"wait"`` and
            ``"raise"`` raise `BusyError`, ``"compute"`` computes here, too, ``"default"`` returns `default`.
        default: The result for ``when_busy="default"``.
        renewal: What renews the claim, as for `claim`: ``"thread"``, or ``"process"`` for functions that hold
            the interpreter's lock for longer than a lease.

    Raises:
        BusyError: Another process or thread computes the value, and the time is over.
        ComputationFailedError: The attempt that this call waited for failed elsewhere.
        TypeError, ValueError: An argument is of the wrong kind or out of bounds.
        UnsupportedConditionError: The place cannot compare.
        Exception: The function, or storing its result, raised it.

    Cost: a hit is one read. A miss that computes is a read, an insertion of the claim, a second read, the
        insertion of the value, and a removal; and four writes for each lease that it takes. A waiter reads
        the claim after a tenth of the time waited, every 10 ms at first and every 5 s at last; threads of one
        process that wait for one key do this once for all of them.

    >>> from perkey import LocalDict
    >>> d = LocalDict()
    >>> compute_once(d, "a", sum, args=([1, 2],)), compute_once(d, "a", sum, args=([3],)), d["a"]
    (3, 3, 3)
    """
    check_kind("d", d, PersiDict, "a PersiDict")
    check_callable("function", function)
    if iscoroutinefunction(function):
        raise TypeError(
            f"function must return its result, not a coroutine as {function!r} does; in an event loop use "
            "await memoize(d, key=...)(function)(...), which takes coroutine functions, also with the "
            "dictionary of an AsyncDict: memoize(a.dictionary, ...)"
        )
    check_iterable("args", args, "arguments")
    check_kind("kwargs", kwargs, (Mapping, NoneType), "a mapping or None")
    policy = Policy.checked(
        lease=lease, timeout=timeout, when_busy=when_busy, default=default, renewal=renewal
    )
    value: Any = d.get(key, ABSENT)
    if value is not ABSENT:
        found: R = value
        return found
    call = partial(function, *args, **(kwargs or {}))
    with Computation[R](d, key, policy) as computation:
        return computation.run(call)


@dataclass(frozen=True)
class Policy:
    """How a call behaves.

    Attributes:
        lease: Seconds without a renewal after which its claim may be taken over.
        timeout: Seconds to wait at most, or None.
        when_busy: What to do when these are over.
        default: The result for ``when_busy="default"``.
        renewal: What renews the claim.
    """

    lease: float = LEASE
    timeout: float | None = None
    when_busy: WhenBusy = "wait"
    default: Any = None
    renewal: Renewal = "thread"

    @classmethod
    def checked(cls, *, lease: Any, timeout: Any, when_busy: Any, default: Any, renewal: Any) -> Self:
        """Return a policy, or raise TypeError or ValueError."""
        check_kind("when_busy", when_busy, str, "'wait', 'raise', 'compute' or 'default'")
        if when_busy not in {"wait", "raise", "compute", "default"}:
            raise ValueError(f"when_busy must be 'wait', 'raise', 'compute' or 'default', not {when_busy!r}")
        seconds = None if timeout is None else check_seconds("timeout", timeout)
        return cls(check_lease(lease), seconds, when_busy, default, check_renewal(renewal))

    @property
    def most(self) -> float:
        """Seconds to wait at most."""
        if self.timeout is not None:
            return self.timeout
        return float("inf") if self.when_busy == "wait" else 0.0


# --- Steps ----------------------------------------------------------------------------------------


class Found(NamedTuple):
    """The value exists.

    Attributes:
        value: The value.
    """

    value: Any


class Turn(NamedTuple):
    """It is this call's turn to compute."""


class Wait(NamedTuple):
    """Another call computes.

    Attributes:
        seconds: After how long to look again.
    """

    seconds: float


class Look(NamedTuple):
    """What a look at the item found.

    Attributes:
        value: The value, or ABSENT if no value can be used.
        etag: The etag that the item must still have to be replaced; ITEM_NOT_AVAILABLE if it is missing.
    """

    value: Any
    etag: ETagIfExists = ITEM_NOT_AVAILABLE


class _Room:
    """The calls of this process that want one key.

    Attributes:
        changed: Notified when the claim has changed.
        leader: The call that looks at the claim for all, or that computes; None without such a call.
        nonce: The nonce of the holding that was seen last.
        lease: The lease of that holding.
        holder: Its process, as text.
        calls: How many calls there are.
        found: How many calls have ended with a value.
        failure: The failure that was seen last.
        failures: How many were seen.
        listeners: Called when the claim has changed, too.
    """

    def __init__(self) -> None:
        self.changed = Condition()
        self.leader: object = None
        self.nonce = ""
        self.holder: str | None = None
        self.calls = 0
        self.found = 0
        self.failure: Failure | None = None
        self.failures = 0
        self.listeners: dict[int, Callable[[], object]] = {}

    def fail(self, failure: Failure) -> None:
        """Let all calls that wait have a failure; those that come later wait for another attempt."""
        with self.changed:
            self.failure = failure
            self.failures += 1
            self.nonce = ""

    def notify(self) -> None:
        """Let all calls look again."""
        with self.changed:
            self.changed.notify_all()
        for listener in list(self.listeners.values()):
            listener()


class _Rooms:
    """Where calls of this process for one key meet, by claim."""

    def __init__(self) -> None:
        self._lock = RLock()  # a signal handler or a finaliser may come in between
        self._rooms: dict[object, _Room] = {}

    def enter(self, identity: object) -> _Room:
        with self._lock:
            room = self._rooms.setdefault(identity, _Room())
            room.calls += 1
            return room

    def leave(self, identity: object, room: _Room) -> None:
        with self._lock:
            room.calls -= 1
            if not room.calls and self._rooms.get(identity) is room:
                del self._rooms[identity]

    def reset(self) -> None:
        self._lock = RLock()
        self._rooms = {}


_rooms: Final = _Rooms()
at_fork_in_child(_rooms.reset)


class Computation(Generic[R]):
    """One call that wants a value; a context manager.

    Args:
        d: The dictionary.
        key: The key.
        policy: How it behaves.
        look: Looks at the item; None for an item that counts if it is there.
        old: A value that is still good enough if the function raises; otherwise ABSENT.
        clock: The clocks.
    """

    def __init__(
        self,
        d: PersiDict[Any],
        key: NonEmptyPersiDictKey,
        policy: Policy,
        *,
        look: Callable[[], Look] | None = None,
        old: Any = ABSENT,
        clock: Clock = CLOCK,
    ) -> None:
        self._d = d
        self._key = key
        self._policy = policy
        self._look = look or self._find
        self._old = old
        self._clock = clock
        self._spot: Spot = spot_of(d, key)
        self._claim = Claim(self._spot, policy.lease, renewal=policy.renewal, clock=clock)
        self._contender: Contender = self._claim.contender
        self._began: float | None = None
        self._waited_for: set[str] = set()
        self._etag: ETagIfExists = ITEM_NOT_AVAILABLE
        self._patience = Patience(clock)
        self._owner = process_token()
        self._room = _rooms.enter(self._spot.identity)
        self._has_found = False
        self._found_before = self._room.found
        self._failures_before = self._room.failures

    def _find(self) -> Look:
        return Look(self._d.get(self._key, ABSENT))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let another call of this process go on; release the claim if it is still held."""
        if self._owner is not process_token():
            return  # all this is the parent's; threads that a fork does not have may hold its locks
        try:
            self._claim.release()
        finally:
            self._stop_leading()
            _rooms.leave(self._spot.identity, self._room)

    # --- The driver for threads ---------------------------------------------------------------------

    def run(self, function: Callable[[], R]) -> R:
        """Return the value, computed here or elsewhere."""
        while True:
            step = self.step()
            if isinstance(step, Found):
                value: R = step.value
                return value
            if isinstance(step, Turn):
                return self.compute(function)
            self._pause(step.seconds)

    def compute(self, function: Callable[[], R]) -> R:
        """Call a function in this call's turn, and return the value that is stored then."""
        try:
            with self.computing():
                value = function()
        except answer(Exception) as error:
            old = self.fail(error)
            if old is ABSENT:
                raise
            value = old
        else:
            value = self.insert(value)
        return value

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Mark the block as this computation, so that it does not wait for itself."""
        record = self._claim.record
        token = _computing.set(_computing.get() | ({record.nonce} if record else set()))
        try:
            yield
        finally:
            with suppress(ValueError):  # a coroutine that a closed event loop left behind has another context
                _computing.reset(token)

    @contextmanager
    def _listening(self, listener: Callable[[], object]) -> Iterator[None]:
        """Call a function, in any thread, whenever another call of this process ends its turn."""
        self._room.listeners[id(self)] = listener
        try:
            yield
        finally:
            del self._room.listeners[id(self)]

    def _pause(self, seconds: float) -> None:
        room, driving = self._room, driver()
        if driving is not None:
            # The call that this one waits for may run in the same event loop.
            driving.wait(lambda: self.until_changed(seconds))
        else:
            with room.changed:
                if self._must_wait():
                    self._clock.wait(room.changed, seconds)
        self.waited()

    def _must_wait(self) -> bool:
        return self._room.leader is not None and self._room.found == self._found_before

    async def until_changed(self, seconds: float) -> None:
        """Wait in an event loop until another call of this process ends its turn, or the time is over."""
        import asyncio  # heavy, and there only where a loop runs

        loop, changed = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(changed.set)

        with self._listening(wake):
            if self._must_wait():
                with suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), seconds)

    def waited(self) -> None:
        """Take note that this call has waited, for the attempt that was under way."""
        room = self._room
        if room.leader is not self and room.nonce:
            self._waited_for.add(room.nonce)

    # --- Steps --------------------------------------------------------------------------------------

    def step(self) -> Found | Turn | Wait:
        """Return what the caller has to do next; never waits.

        Raises:
            BusyError, ComputationFailedError: As for `compute_once`.
        """
        if self._began is None:
            self._began = self._clock.monotonic()
            self._failures_before = self._room.failures
            return self._contend()
        self._raise_new_failure()
        try:
            found = self._contend()
        except answer(*FAILURES) as error:
            # It has waited, and other calls depend on it, so it does not give up during an outage.
            self._patience.bear(error)
            return self._busy()
        self._patience.rest()
        return found

    def _contend(self) -> Found | Turn | Wait:
        if not self._spot.keeps:
            return Turn()
        before, self._found_before = self._found_before, self._room.found
        # If another call of this process has a value, all calls look for themselves, at the same time.
        must_look = self._waited_for and self._found_before != before
        if must_look and (look := self._look()).value is not ABSENT:
            return Found(look.value)
        if not self._lead():
            return self._busy()
        if self._waited_for and self._is_held():
            return self._busy()
        # The claim is free, or has never been looked at.
        if self._waited_for and (look := self._look()).value is not ABSENT:
            self._has_found = True
            return Found(look.value)
        lease = self._contender.attempt()
        if lease is None:
            self._note(self._contender.seen)
            return self._busy()
        self._claim.hold(lease)
        self._room.nonce, self._room.holder = lease.record.nonce, str(lease.record.holder)
        look = self._look()  # the former holder may just have inserted it
        if look.value is not ABSENT:
            self._claim.release(forget=True)
            self._has_found = True
            return Found(look.value)
        self._etag = look.etag
        return Turn()

    def _is_held(self) -> bool:
        """Look at a claim that this call has waited for; return whether it is still held."""
        found = self._contender.look()
        self._note(found.record)
        return self._contender.is_held(found)

    def _note(self, record: Record | None) -> None:
        """Take note of the claim, and raise if the attempt that this call waited for has failed."""
        failure = None if record is None else record.failure
        if failure is not None and failure.attempt in self._waited_for:
            self._room.fail(failure)
            self._raise_new_failure()
        if record is not None and not record.free:
            self._check_not_own(record.nonce)
            self._waited_for.add(record.nonce)
            if self._room.nonce != record.nonce:
                self._room.nonce, self._room.holder = record.nonce, str(record.holder)
                self._room.notify()

    def _raise_new_failure(self) -> None:
        """Raise if an attempt has failed since this call began to wait. Cost: none."""
        failure = self._room.failure
        if failure is not None and self._room.failures != self._failures_before:
            raise ComputationFailedError(
                self._spot.key,
                type=failure.type,
                text=failure.text,
                traceback=failure.traceback,
                count=failure.count,
                holder=failure.holder,
            )

    def _check_not_own(self, nonce: str) -> None:
        if nonce in _computing.get():
            raise RuntimeError(
                f"{tuple(self._spot.key)!r}: the computation of this key asks for the key itself, and would "
                "wait for itself for ever; compute what it needs under another key"
            )

    def _busy(self) -> Found | Turn | Wait:
        """Return what to do while another computes."""
        waited = self._clock.monotonic() - (self._began or 0.0)
        left = self._policy.most - waited
        room = self._room
        with room.changed:
            leading, nonce, holder = room.leader is self, room.nonce, room.holder
        self._check_not_own(nonce)
        if left > 0:
            seen = self._contender.seen
            lease = self._policy.lease if seen is None else seen.lease
            return Wait(min(pause_after(waited, lease) if leading else _FOLLOWERS_LOOK, left))
        self._stop_leading()
        if self._policy.when_busy == "compute":
            look = self._look()
            self._etag = look.etag
            return Turn() if look.value is ABSENT else Found(look.value)
        if self._policy.when_busy == "default":
            return Found(self._policy.default)
        raise BusyError(self._spot.key, holder, round(waited, 3))

    def _lead(self) -> bool:
        """Look at the claim for all calls of this process, if no other one does; return whether it does."""
        room = self._room
        with room.changed:
            if room.leader is None:
                room.leader = self
            elif room.leader is not self and room.nonce:
                self._waited_for.add(room.nonce)
            return room.leader is self

    def _stop_leading(self) -> None:
        room = self._room
        with room.changed:
            led = room.leader is self
            if led:
                room.leader = None
                room.found += self._has_found
        if led:
            room.notify()

    # --- The end of a turn --------------------------------------------------------------------------

    def fail(self, error: Exception) -> Any:
        """Keep an exception of the function as this attempt's failure; return the old value, or ABSENT."""
        record = self._claim.record
        if record is not None:
            self.keep(Failure.of(error, record))
        if self._old is not ABSENT:
            log("a value could not be computed before its time was over, the old one is used: %r", error)
        return self._old

    def keep(self, failure: Failure) -> bool:
        """Keep a failure in the claim, for all that wait; return False if another process took over."""
        self._claim.release(failure)
        if self._claim.lost:
            return False
        self._room.fail(failure)
        return True

    def insert(self, value: R) -> R:
        """Store a result, and return the stored value: this one, or one that was stored before."""
        there = self._patience.until_done(lambda: self._store(value))
        self._claim.release(forget=True)
        self._has_found = True
        return there

    def _store(self, value: R) -> R:
        d, key = self._d, self._key
        if isinstance(value, Joker):
            raise TypeError(f"the function returned {value!r}, which is not a value and cannot be stored")
        while True:
            if self._etag is ITEM_NOT_AVAILABLE:
                found = d.setdefault_if(key, value)
            else:
                found = d.set_item_if(key, value=value, condition=ETAG_IS_THE_SAME, expected_etag=self._etag)
            if found.condition_was_satisfied:
                return value
            self._etag = ITEM_NOT_AVAILABLE
            if found.actual_etag is not ITEM_NOT_AVAILABLE:
                there: Any = found.new_value
                return there  # type: ignore[no-any-return] # of the dictionary
