"""The protocol of claims, without threads: taking, renewing, losing and releasing a lease.

A claim is a small item that names its holder. Each change of it is one compare-and-swap, so at most one of
any number of processes makes it. The holder renews the claim, which changes its version. A contender takes it
over when the version has not changed for a whole lease. It counts the time between two of its own reads, at
most a third of the lease for each two, and nothing if it could not read in between. So an outage of the
service, or a contender that was itself stopped, is not taken for the death of the holder. No two clocks are
ever compared.

The holder counts its lease from before the request of its last renewal, by a clock that goes on while the
machine sleeps. The contender counts from after the first read of what that request wrote. So the holder's
time is over before any contender's.
"""

from __future__ import annotations

import errno
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import RLock
from typing import Final, TypeVar

from perkey.answers import answer, interrupted
from perkey.errors import (
    AccessDeniedError,
    BackendError,
    ClaimLostError,
    ConflictError,
    LockTimeoutError,
    OutcomeUnknownError,
    UnsupportedConditionError,
)
from perkey.expectations import ABSENT, Expectation, Version
from perkey.tools.once.holders import CLOCK, Clock, at_fork_in_child, process_token, this_process
from perkey.tools.once.places import Spot
from perkey.tools.once.records import Failure, Record

_ROUNDS: Final = 4
"""How often an attempt looks again after it was overtaken."""
_SHORT: Final = 3
"""The lease divided by this is the most that counts of the time between two reads."""
_WATCHED: Final = 4096
_BEARS_FOR: Final = 300.0
"""Seconds for which errors of the place are borne when there is a result that would be lost."""
_PAUSE: Final = 0.5
_RELEASED: Final = "it was released"

R = TypeVar("R")

FAILURES: Final = (BackendError, OutcomeUnknownError, OSError)
"""The errors of a place, an `OSError` of a full disk included; `is_passing` picks those that may pass."""

PASSING: Final = frozenset(
    (
        errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.ECONNRESET, errno.ECONNREFUSED,
        errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EBUSY,
    )
)  # fmt: skip
"""Errors of system calls that may pass by themselves, on shared file systems."""


def is_passing(error: BaseException) -> bool:
    """Return whether an error of a store may pass by itself, as an outage does."""
    if isinstance(error, BackendError):
        return not isinstance(error, AccessDeniedError)
    if isinstance(error, (OutcomeUnknownError, LockTimeoutError)):
        return True
    return isinstance(error, OSError) and error.errno in PASSING


@dataclass(frozen=True)
class Reading:
    """What a contender read.

    Attributes:
        record: The content; None if the claim does not exist.
        version: Its version; None if the claim does not exist.
        began: When the request was sent.
        ended: When the reply was there.
    """

    record: Record | None
    version: Version | None
    began: float
    ended: float


@dataclass(frozen=True)
class _Seen:
    """Readings that found one version.

    Attributes:
        start: The first since the last gap.
        last: The last.
        counted: For how long the version was seen to stay before that gap.
    """

    start: Reading
    last: Reading
    counted: float = 0.0

    def then(self, reading: Reading, *, is_after_failure: bool) -> _Seen:
        """Return what is known after another reading."""
        if self.last.version != reading.version or reading.record is None:
            return _Seen(reading, reading)
        most = reading.record.lease / _SHORT
        if reading.ended - self.last.began < most:
            return _Seen(self.start, reading, self.counted)
        # The service was away if reads failed, or took so long because they were tried again.
        was_away = is_after_failure or reading.ended - reading.began >= most
        more = 0.0 if was_away else min(most, _between(self.last, reading))
        return _Seen(reading, reading, self.seconds + more)

    @property
    def seconds(self) -> float:
        """For how long the version was seen to stay."""
        return self.counted + _between(self.start, self.last)


class Watch:
    """What this process has seen of one claim of another holder.

    Threads share it without a lock. It is replaced as a whole: of two readings that are added at a time, one
    is lost, but they are never mixed up.
    """

    def __init__(self) -> None:
        self._seen: _Seen | None = None
        self._has_failed = False

    @property
    def last(self) -> Reading | None:
        """What was read last; None if that is not known."""
        seen = self._seen
        return None if seen is None else seen.last

    def note(self, reading: Reading) -> None:
        """Take note of what was read."""
        seen, has_failed, self._has_failed = self._seen, self._has_failed, False
        first = _Seen(reading, reading)
        self._seen = first if seen is None else seen.then(reading, is_after_failure=has_failed)

    def note_failure(self) -> None:
        """Take note that the claim could not be read."""
        self._has_failed = True

    def forget(self) -> None:
        """Forget all that was read."""
        self._seen = None

    def is_silent(self, at: Reading) -> bool:
        """Return whether the holder did not renew what was read for a whole lease."""
        seen = self._seen
        if seen is None or seen.last.version != at.version or at.record is None:
            return False
        return seen.seconds >= at.record.lease


def _between(first: Reading, last: Reading) -> float:
    """Return the time that certainly passed between what two readings saw."""
    return max(0.0, last.began - first.ended)


class _Watches:
    """The watches of this process that were used last; a call that does not wait continues an older one."""

    def __init__(self) -> None:
        self._lock = RLock()  # a signal handler or a finaliser may come in between
        self._watches: OrderedDict[object, Watch] = OrderedDict()

    def of(self, identity: object) -> Watch:
        with self._lock:
            watch = self._watches.setdefault(identity, Watch())
            self._watches.move_to_end(identity)
            if len(self._watches) > _WATCHED:
                self._watches.popitem(last=False)
            return watch

    def reset(self) -> None:
        self._lock = RLock()
        self._watches = OrderedDict()


_watches: Final = _Watches()
at_fork_in_child(_watches.reset)


class Contender:
    """One process or thread that wants a claim.

    Args:
        spot: The claim.
        lease: The lease that it asks for, in seconds.
        watch: What is known of the claim; None for what this process has seen of it.
        clock: The clocks.
    """

    def __init__(self, spot: Spot, lease: float, *, watch: Watch | None = None, clock: Clock = CLOCK) -> None:
        self.spot = spot
        self._lease = lease
        self._clock = clock
        self._watch = _watches.of(spot.identity) if watch is None else watch

    @property
    def seen(self) -> Record | None:
        """The claim as it was last seen; None if it did not exist."""
        last = self._watch.last
        return None if last is None else last.record

    def look(self) -> Reading:
        """Read the claim. Cost: one read, without transfer if it has not changed."""
        last = self._watch.last
        unless = None if last is None else last.version
        began = self._clock.monotonic()
        try:
            found = self.spot.read(unless)
        except answer(KeyError):
            reading = Reading(None, None, began, self._clock.monotonic())
        except BaseException:
            self._watch.note_failure()
            raise
        else:
            ended = self._clock.monotonic()
            if found is None and last is not None:
                reading = Reading(last.record, last.version, began, ended)
            elif found is None:
                raise RuntimeError(f"{self.spot.store!r} returned no content although no version was given")
            else:
                reading = Reading(Record.decode(found[0], self._lease), found[1], began, ended)
        self._watch.note(reading)
        return reading

    def attempt(self) -> Lease | None:
        """Try once to get the claim; return None if another holder has it.

        Cost: one insertion if the claim does not exist. Else one read, and a write if it is free or its
            holder is silent or gone.
        """
        if self.seen is None:
            lease = self._take(None, ABSENT)
            if lease is not None:
                return lease
        for _ in range(_ROUNDS):
            found = self.look()
            if self.is_held(found):
                return None
            lease = self._take(found.record, ABSENT if found.version is None else found.version)
            if lease is not None:
                return lease
        return None

    def is_held(self, found: Reading) -> bool:
        """Return whether a claim is another holder's, which is neither silent nor gone."""
        record = found.record
        if record is None or record.free:
            return False
        return not (self._watch.is_silent(found) or record.holder.is_gone())

    def _take(self, before: Record | None, expect: Expectation) -> Lease | None:
        """Write a claim of this process, and return its lease; None if another writer was first."""
        if expect is ABSENT:
            self.spot.require_versions()
        began = self._clock.running()
        mine = Record(
            nonce=secrets.token_hex(16),
            counter=0,
            takeovers=0 if before is None else before.takeovers + (not before.free),
            lease=self._lease,
            holder=this_process(),
            since=self._clock.wall(),
            leaf=self.spot.leaf,
            failure=None if before is None else before.failure,
        )
        try:
            version = swap(self.spot, mine, expect)
        except BaseException as error:
            if interrupted(error) or not isinstance(error, Exception):
                leave_alone(lambda: self._undo(mine))
            raise
        if version is None:
            return None
        self._watch.forget()
        return Lease(self.spot, mine, version, began + self._lease, self._clock)

    def _undo(self, mine: Record) -> None:
        """Give back a claim whose writing was interrupted; a later call would wait for a whole lease."""
        version = _version_if_written(self.spot, mine)
        if version is not None:
            Lease(self.spot, mine, version, 0.0, self._clock).release(mine.failure)


def swap(spot: Spot, record: Record, expect: Expectation) -> Version | None:
    """Write a claim that must be at a version; return the new version, or None if it was another one.

    A write whose outcome is unknown is settled by reading: each record is unlike all others.

    Raises:
        UnsupportedConditionError: The place cannot compare, so that it can have no claims.
        Exception: The place failed, and the record is not there.
    """
    try:
        return spot.write(record.encode(), expect)
    except answer(ConflictError, OutcomeUnknownError):
        return _version_if_written(spot, record)
    except answer(*FAILURES) as error:
        failure = error
    try:
        version = _version_if_written(spot, record)
    except answer(*FAILURES):
        version = None
    if version is None:
        raise failure
    return version


def _version_if_written(spot: Spot, record: Record) -> Version | None:
    try:
        found = spot.read()
    except answer(KeyError):
        return None
    if found is None or Record.decode(found[0], record.lease) != record:
        return None
    return found[1]


class Lease:
    """A claim that this process got.

    Args:
        spot: The claim.
        record: Its content.
        version: Its version.
        valid_until: When the lease is over unless it is renewed, by `Clock.running`.
        clock: The clocks.
    """

    def __init__(
        self, spot: Spot, record: Record, version: Version, valid_until: float, clock: Clock
    ) -> None:
        self.spot = spot
        self.record = record
        self._version = version
        self._valid_until = valid_until
        self._clock = clock
        self._lock = RLock()  # of a signal handler, too, which may check or release the claim
        self._owner = process_token()
        self._ended = ""
        """Why it is not held any more."""

    @property
    def version(self) -> Version:
        """The version of the claim as this process left it."""
        return self._version

    @property
    def token(self) -> int:
        """How often the claim was taken over: greater than that of each holder that lost it before."""
        return self.record.takeovers

    @property
    def is_own(self) -> bool:
        """Whether this process got it, and not one that this process is a fork of."""
        return self._owner is process_token()

    @property
    def lost(self) -> bool:
        """Whether the claim is, or may be, that of another process; False once it was released."""
        return self._reason() not in {"", _RELEASED}

    def _reason(self) -> str:
        """Return why the claim is not held, or an empty text."""
        if not self.is_own:
            return "it belongs to the process that made it, not to a fork of that process"
        if self._ended:
            return self._ended
        if self._clock.running() >= self._valid_until:
            return f"it was not renewed for {self.record.lease:g} s, its lease"
        return ""

    def check(self) -> None:
        """Return if the claim is held; else raise ClaimLostError.

        If the lease is over, the claim is renewed first: while no other process has taken it, it is still
        held.

        Cost: none, or a renewal.
        """
        if not self._reason():
            return
        if self.is_own and not self._ended:
            try:
                self.renew()
            except answer(*FAILURES) as error:
                raise ClaimLostError(self.spot.key, f"its lease is over, and {error}") from error
        reason = self._reason()
        if reason:
            raise ClaimLostError(self.spot.key, reason)

    def renew(self) -> bool:
        """Renew the claim, and return whether it is still held.

        Cost: one write; after a conflict a read.

        Raises:
            Exception: The place failed; it may be tried again.
        """
        if not self.is_own:
            return False
        with self._lock:
            for _ in range(_ROUNDS):
                if self._ended:
                    break
                began = self._clock.running()
                record = self.record.renewed()
                version = swap(self.spot, record, self._version)
                if version is not None:
                    self.record, self._version = record, version
                    self._valid_until = began + record.lease
                    return True
                if not self._is_still_mine():
                    break
            return not self._ended

    def _is_still_mine(self) -> bool:
        """Read a claim that is not as this process left it: it is lost, or was renewed by a helper."""
        try:
            found = self.spot.read()
        except answer(KeyError):
            self._ended = "it was removed"
            return False
        if found is None:
            return True
        record = Record.decode(found[0], self.record.lease)
        if record.nonce != self.record.nonce:
            self._ended = f"{record.holder} took it over"
        elif record.free:
            self._ended = "it was broken"
        else:
            self.record, self._version = record, found[1]
        return not self._ended

    def release(self, failure: Failure | None = None, *, forget: bool = False) -> None:
        """Give the claim back: remove it, or leave it free where it must be remembered.

        Args:
            failure: What is kept in it.
            forget: Whether the count of takeovers may be forgotten: because the item is there, no other
                process claims it again.

        Cost: one removal or write; after a conflict a read.
        """
        if not self.is_own:
            return
        with self._lock:
            if self._ended:
                return
            keep = failure is not None or (self.record.takeovers and not forget)
            for _ in range(_ROUNDS):
                if self._gave_back(failure) if keep else self._removed():
                    break
                if not self._is_still_mine():
                    return
            self._ended = _RELEASED

    def _removed(self) -> bool:
        try:
            self.spot.remove(self._version)
        except answer(UnsupportedConditionError):
            return self._gave_back(None)
        except answer(ConflictError, OutcomeUnknownError):
            return False
        return True

    def _gave_back(self, failure: Failure | None) -> bool:
        try:
            return swap(self.spot, self.record.released(failure), self._version) is not None
        except answer(OSError):
            if failure is None or self.record.takeovers:
                raise
            return self._removed()  # no space for the failure: a removal needs no space


class Patience:
    """Bears errors that may pass by themselves, for some minutes, because there is work that would be lost.

    Args:
        clock: The clocks.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: float | None = None

    def bear(self, error: Exception) -> None:
        """Return if it may be tried again, else raise the error."""
        now = self._clock.monotonic()
        if self._since is None:
            self._since = now
        if not is_passing(error) or now - self._since > _BEARS_FOR:
            raise error
        log("the place failed, it is tried again: %s", error)

    def rest(self) -> None:
        """Take note of a success."""
        self._since = None

    def until_done(self, act: Callable[[], R]) -> R:
        """Call a function until it does not fail, and return its result."""
        while True:
            try:
                result = act()
            except answer(*FAILURES) as error:
                self.bear(error)
                self._clock.sleep(_PAUSE)
            else:
                self.rest()
                return result


def log(message: str, *arguments: object) -> None:
    """Log information that needs no action."""
    import logging

    logging.getLogger("perkey.tools.once").warning(message, *arguments)


def leave_alone(act: Callable[[], object]) -> Exception | None:
    """Call a function; return an error of the place that it raised, which its caller goes on without."""
    try:
        act()
    except answer(*FAILURES) as error:
        return error
    return None
