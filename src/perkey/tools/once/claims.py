"""Claims: the right to work on an item, which at most one live process has."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal, Self, TypeAlias

from perkey.answers import answer
from perkey.arguments import check_kind, wrong_kind
from perkey.errors import ClaimLostError, ConflictError, OutcomeUnknownError, UnsupportedConditionError
from perkey.expectations import Version
from perkey.keys import NonEmptyPersiDictKey, NonEmptySafeStrTuple
from perkey.mapping import PersiDict
from perkey.naming import Name
from perkey.stores import Store
from perkey.tools.once.holders import CLOCK, Clock, Holder
from perkey.tools.once.leases import FAILURES, Contender, Lease, Patience, leave_alone, log, swap
from perkey.tools.once.places import Spot, at, key_under, spot_of, spots
from perkey.tools.once.records import Failure, Record

LEASE: Final = 60.0
"""Seconds without a renewal after which a claim may be taken over."""

Renewal: TypeAlias = Literal["thread", "process"]
"""What renews a claim."""

RENEWALS_PER_LEASE: Final = 4
_SHORTEST_PAUSE: Final = 0.01
_LONGEST_PAUSE: Final = 5.0


def claim(
    d: PersiDict[Any],
    key: NonEmptyPersiDictKey,
    lease: float = LEASE,
    wait: bool | float = False,
    *,
    renewal: Renewal = "thread",
) -> Claim:
    """Return a claim on an item, for a ``with`` block; in at most one live process it is true.

    The claim is taken when the block is entered, renewed in the background, and released at its end. It is a
    right to work, not a lock on the item: every caller may still read and write the item. The key need not
    exist. Claims work wherever the dictionary's place supports conditional writes.

    If the holder dies, the claim is taken over: at once if its process is provably gone (on the same machine
    and boot, in the same pid namespace), else when it was not renewed for a whole lease. That takes several
    looks: a program that looks once in a while, such as a nightly job, waits for two leases.

    Args:
        d: The dictionary: any, also a sub-dictionary, which shares its claims with the whole.
        key: The key of the item.
        lease: Seconds without a renewal after which another process may take the claim over. A claim is
            renewed four times in a lease.
        wait: False for one attempt, True to wait until the claim is free, or seconds to wait at most. The
            claim is looked at after a tenth of the time waited, every 10 ms at first and every 5 s at last.
        renewal: ``"thread"``, or ``"process"`` for a helper process, for code that holds the interpreter's
            lock for longer than a lease, as some C extensions do.

    Returns:
        A `Claim`. In the block, ``bool(mine)`` is whether it is held, ``mine.check()`` raises
        `ClaimLostError` if it is not, and ``mine.token`` counts the takeovers.

    Raises:
        TypeError, ValueError: An argument is of the wrong kind or out of bounds.
        UnsupportedConditionError: In the block's entry: the place cannot compare, or keeps nothing.

    Cost: one insertion, one removal, and four writes for each lease. If another process holds the claim, one
        read an attempt.

    >>> from perkey import LocalDict
    >>> d = LocalDict()
    >>> with claim(d, "a") as mine:
    ...     bool(mine), bool(claim(d, "a").try_enter())
    (True, False)
    """
    return Claim(spot_of(d, key), check_lease(lease), _seconds_of(wait), check_renewal(renewal))


class Claim:
    """A claim on an item; `claim` makes it.

    Args:
        spot: Where it is.
        lease: Seconds without a renewal after which it may be taken over.
        wait: Seconds to wait for it; infinity for no limit.
        renewal: What renews it.
        clock: The clocks.
    """

    def __init__(
        self, spot: Spot, lease: float, wait: float = 0.0, renewal: Renewal = "thread", clock: Clock = CLOCK
    ) -> None:
        if renewal == "process" and not spot.is_shared:
            raise ValueError(
                "renewal='process' needs a dictionary that other processes see, such as a FileDirDict, not "
                f"one in {spot.store.describe()}"
            )
        self._spot = spot
        self._seconds = wait
        self._clock = clock
        self._renewal: Renewal = renewal
        self.contender = Contender(spot, lease, clock=clock)
        self._lease: Lease | None = None
        self._renewer: _Renewer | None = None

    def __enter__(self) -> Self:
        if self._lease is not None:
            raise RuntimeError(f"{self!r} is held already; make another claim for another block")
        _require_kept(self._spot)
        began = self._clock.monotonic()
        self.try_enter()
        patience = Patience(self._clock)
        while not self and (waited := self._clock.monotonic() - began) < self._seconds:
            lease = self.contender.seen.lease if self.contender.seen else LEASE
            self._clock.sleep(min(pause_after(waited, lease), self._seconds - waited))
            try:
                self.try_enter()
            except answer(*FAILURES) as error:
                patience.bear(error)
            else:
                patience.rest()
        return self

    def try_enter(self) -> Self:
        """Try once to get the claim, as entering a block without waiting does; `release` gives it back."""
        if self._lease is None:
            self.hold(self.contender.attempt())
        return self

    def hold(self, lease: Lease | None) -> None:
        """Begin to renew a lease that was got; None is ignored."""
        self._lease = lease
        if lease is None:
            return
        try:
            self._renewer = _start_renewer(lease, self._renewal)
        except BaseException:
            leave_alone(self.release)
            raise

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.release()

    def release(self, failure: Failure | None = None, *, forget: bool = False) -> None:
        """Give the claim back, if it is held; the block's end does this.

        An error of the place is logged: the claim then ends with its lease.

        Args:
            failure: What is kept in it.
            forget: Whether the count of takeovers may be forgotten.
        """
        lease, self._lease = self._lease, None
        renewer, self._renewer = self._renewer, None
        if lease is None:
            return
        self._released = lease
        if not lease.is_own:
            return  # a fork has no thread that renews, and the locks of that thread may be held there
        try:
            if renewer is not None:
                renewer.stop()
            problem = leave_alone(lambda: lease.release(failure, forget=forget))
        except BaseException:  # interrupted, as by a second Ctrl-C
            leave_alone(lambda: lease.release(failure, forget=forget))
            raise
        if problem is not None:
            log("claim on %s could not be released, it ends with its lease: %s", self._spot.key, problem)

    _released: Lease | None = None

    def __bool__(self) -> bool:
        """Return whether the claim is held now."""
        return self._lease is not None and not self._lease.lost

    @property
    def lost(self) -> bool:
        """Whether the claim was got and is not held any more, or was not renewed for a whole lease."""
        lease = self._lease or self._released
        return lease is not None and lease.lost

    @property
    def token(self) -> int:
        """How often the claim was taken over; a later holder has a greater number than all earlier holders.

        Raises:
            ClaimLostError: The claim was never got.
        """
        return self._got().token

    @property
    def record(self) -> Record | None:
        """The content of the claim as this process wrote it last; None if it is not held."""
        return None if self._lease is None else self._lease.record

    @property
    def holder(self) -> Holder | None:
        """The process that held the claim when it was last looked at; None if no process did."""
        lease = self._lease
        record = self.contender.seen if lease is None else lease.record
        return None if record is None or record.free else record.holder

    def check(self) -> None:
        """Raise ClaimLostError unless the claim is held; call this before steps that only one process may do.

        A process that is stopped right after the check goes on when the claim may be another's. Writes to the
        dictionary on the condition of absence or of an etag are safe all the same; for other things pass
        ``mine.token`` along, and refuse those that are smaller than one seen before.

        Raises:
            ClaimLostError: It is not held.

        Cost: none; a renewal if the lease is over.
        """
        lease = self._lease
        if lease is None:
            reason = "it was released" if self._released else self._whose()
            raise ClaimLostError(self._spot.key, reason)
        lease.check()

    def _got(self) -> Lease:
        lease = self._lease or self._released
        if lease is None:
            raise ClaimLostError(self._spot.key, self._whose())
        return lease

    def _whose(self) -> str:
        holder = self.holder
        return "it was not taken" if holder is None else f"{holder} holds it"

    def __repr__(self) -> str:
        return f"<claim on {tuple(self._spot.key)!r}, {'held' if self else 'not held'}>"


@dataclass(frozen=True)
class ClaimInfo:
    """A claim as `claims` lists it.

    Attributes:
        key: The key of the item.
        host: The machine of its holder.
        process: The process id of its holder.
        since: When it was claimed, in seconds since the epoch by the holder's clock.
        lease: Seconds without a renewal after which it may be taken over.
        token: How often it was taken over.
        free: Whether it was released, and is kept for its failure or its count only.
        gone: Whether its holder is provably gone, so that the next contender gets it.
        failure: The last attempt that failed, or None.
    """

    key: NonEmptySafeStrTuple
    host: str
    process: int
    since: float
    lease: float
    token: int
    free: bool
    gone: bool
    failure: Failure | None


def claims(d: PersiDict[Any], *, free: bool = False) -> list[ClaimInfo]:
    """Return the claims on items of a dictionary, sorted by key.

    Args:
        d: The dictionary.
        free: Whether those are listed, too, that were released and are kept for their failure or count.

    Cost: one listing, and one read for each claim.
    """
    from perkey.arguments import check_flag

    check_flag("free", free)
    found = (_info(spot, d) for spot in spots(d))
    listed = [info for info in found if info is not None and (free or not info.free)]
    return sorted(listed, key=lambda info: info.key)


def _info(spot: Spot, d: PersiDict[Any]) -> ClaimInfo | None:
    try:
        found = spot.read()
    except answer(KeyError):
        return None  # released since it was seen
    if found is None:
        return None
    record = Record.decode(found[0], LEASE)
    key = key_under(spot, record.leaf, d) if record.leaf else spot.key
    holder = record.holder
    return ClaimInfo(
        key=key,
        host=holder.host,
        process=holder.pid,
        since=record.since,
        lease=record.lease,
        token=record.takeovers,
        free=record.free,
        gone=not record.free and holder.is_gone(),
        failure=record.failure,
    )


def break_claim(d: PersiDict[Any], key: NonEmptyPersiDictKey) -> bool:
    """Take a claim away from its holder, and return whether a claim existed.

    The holder notices it at its next renewal, at most a quarter of its lease later. Its `check` raises no
    error until then. Its work goes on, but `compute_once` inserts no second result. Use this if the holder
    hangs.

    The claim stays as a free one, which only ``claims(d, free=True)`` lists: it keeps the count of takeovers,
    so that the next holder's token is greater than that of the old holder. It is removed when the item is
    computed, or by ``d.clear()``.

    Args:
        d: The dictionary.
        key: The key of the item.

    Cost: one read and one write, again after a conflict.
    """
    spot = spot_of(d, key)
    while True:
        try:
            found = spot.read()
        except answer(KeyError):
            return False
        if found is None:
            continue
        record = Record.decode(found[0], LEASE)
        if record.free:
            return False
        if swap(spot, record.released(record.failure, broken=True), found[1]) is not None:
            return True


def remove_stale(store: Store, names: Iterable[Name]) -> None:
    """Remove claims that are free, or whose holder is provably gone, each by its version; leave all others.

    Args:
        store: A dictionary's store.
        names: Names of claims there.
    """
    for name in names:
        spot = at(store, name)
        try:
            found = spot.read()
            if found is not None and _is_stale(found):
                spot.remove(found[1])
        except answer(KeyError, ConflictError, OutcomeUnknownError, UnsupportedConditionError):
            continue  # it is another one by now, or stays as a free one


def _is_stale(found: tuple[bytes, Version]) -> bool:
    record = Record.decode(found[0], LEASE)
    return record.free or record.holder.is_gone()


def pause_after(waited: float, lease: float) -> float:
    """Return after how many seconds a claim is looked at again: a tenth of the time waited, 10 ms to 5 s.

    It is less than a third of the lease, so that the time between two looks counts.
    """
    return min(max(waited / 10, _SHORTEST_PAUSE), _LONGEST_PAUSE, lease / RENEWALS_PER_LEASE)


# --- Arguments ------------------------------------------------------------------------------------


def check_seconds(name: str, value: Any, *, positive: bool = False) -> float:
    """Return a number of seconds, or raise TypeError or ValueError."""
    if isinstance(value, (bool, str)) or not hasattr(type(value), "__float__"):
        raise wrong_kind(name, "a number of seconds", value)
    seconds = float(value)
    if not (seconds > 0 if positive else seconds >= 0):
        raise ValueError(f"{name} must be {'more than' if positive else 'at least'} 0 seconds, not {value!r}")
    return seconds


def check_lease(lease: Any) -> float:
    """Return a lease, or raise TypeError or ValueError."""
    seconds = check_seconds("lease", lease, positive=True)
    if seconds == float("inf"):
        raise ValueError("lease must be finite: the claim of a holder that died would never end")
    return seconds


def _seconds_of(wait: Any) -> float:
    if isinstance(wait, bool):
        return float("inf") if wait else 0.0
    return check_seconds("wait", wait)


def check_renewal(renewal: Any) -> Renewal:
    """Return what renews a claim, or raise TypeError or ValueError."""
    check_kind("renewal", renewal, str, "'thread' or 'process'")
    if renewal not in {"thread", "process"}:
        raise ValueError(f"renewal must be 'thread' or 'process', not {renewal!r}")
    found: Renewal = renewal
    return found


def _require_kept(spot: Spot) -> None:
    if not spot.keeps:
        raise UnsupportedConditionError(
            f"{spot.store.describe()} keeps nothing, so that it cannot have claims; nothing was changed"
        )


# --- Renewal --------------------------------------------------------------------------------------


class _Renewer:
    """Renews a lease until it is stopped; `stop` does not wait for a renewal that is under way."""

    def __init__(self, stop: Callable[[], object]) -> None:
        self.stop = stop


def _start_renewer(lease: Lease, renewal: Renewal) -> _Renewer:
    thread = _thread(lease)
    return thread if renewal == "thread" else _helper(lease, thread)


def _thread(lease: Lease) -> _Renewer:
    stopped = threading.Event()
    # The lease is referred to weakly, so that a claim that was dropped without a release ends.
    thread = threading.Thread(
        target=_renew_until,
        args=(stopped.wait, weakref.ref(lease), renewal_period(lease.record.lease)),
        name="perkey_claim",
        daemon=True,
    )
    try:
        thread.start()
    except RuntimeError as error:  # the interpreter is about to end, or a limit is reached
        log("claim on %s is not renewed, it is valid for one lease: %s", lease.spot.key, error)
    return _Renewer(stopped.set)


def renewal_period(lease: float) -> float:
    """Return the seconds between two renewals, at most as many as a thread or `select` can wait for."""
    return min(lease / RENEWALS_PER_LEASE, threading.TIMEOUT_MAX)


def _renew_until(stopped: Callable[[float], bool], of: weakref.ref[Lease], period: float) -> None:
    """Renew a lease until it is stopped, lost, or dropped."""
    pause = period
    while not stopped(pause):
        lease = of()
        if lease is None:
            return
        try:
            if not lease.renew():
                return
            pause = period
        except answer(
            Exception
        ) as error:  # also for lack of memory: the claim is renewed as long as possible
            log("claim on %s could not be renewed, this is tried again: %s", lease.spot.key, error)
            pause = period / RENEWALS_PER_LEASE
        del lease


def _require_ready(line: bytes, lease: Lease) -> None:
    if not line:
        raise RuntimeError(f"the helper process that renews the claim on {lease.spot.key} has ended")


def _helper(lease: Lease, thread: _Renewer) -> _Renewer:
    """Let another process renew a lease, too, until its input ends; return when it has begun."""
    task = pickle.dumps((lease.spot, lease.record, lease.version, os.getpid()))
    process = subprocess.Popen(
        [sys.executable, "-m", "perkey.tools.once.helper"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    pipe: Any = process.stdin
    ready: Any = process.stdout

    def stop() -> None:
        thread.stop()
        pipe.close()
        process.wait()

    try:
        with ready:
            pipe.write(len(task).to_bytes(8, "big") + task)
            pipe.flush()
            _require_ready(ready.readline(), lease)
        lease.renew()
    except BaseException:
        stop()
        raise

    return _Renewer(stop)
