"""Many tasks, many processes: each process takes what is neither done nor claimed, until all is done."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from inspect import iscoroutinefunction
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from perkey.answers import answer
from perkey.arguments import check_callable, check_count, check_flag, check_iterable, check_kind
from perkey.errors import BusyError, ComputationFailedError, counted, shown_key
from perkey.keys import NonEmptyPersiDictKey, NonEmptySafeStrTuple, key_of
from perkey.mapping import PersiDict, progress_bar
from perkey.naming import Name
from perkey.showing import text_html
from perkey.tools.once.claims import LEASE, Renewal, check_seconds, pause_after
from perkey.tools.once.compute import ABSENT, Computation, Found, Look, Policy
from perkey.tools.once.holders import CLOCK, Clock, this_process
from perkey.tools.once.leases import FAILURES, Contender, Patience, Reading, log
from perkey.tools.once.places import Spot, spot_of, spots
from perkey.tools.once.records import Failure, Record

T = TypeVar("T")

Key: TypeAlias = NonEmptySafeStrTuple

_OUTAGE_PAUSE: Final = 0.5
_NAMES_PER_REQUEST: Final = 1000
_LEAST_OUTDATED: Final = 10
"""So many tasks that changed since they were listed are worth a new listing, however short it is."""
_SHOWN: Final = 10
"""How many failed and held tasks the text of a report names."""


def run_all(
    d: PersiDict[Any],
    function: Callable[[T], Any],
    tasks: Mapping[NonEmptyPersiDictKey, T] | Iterable[T],
    *,
    max_attempts: int = 1,
    retry_failed: bool = False,
    timeout: float | None = None,
    lease: float = LEASE,
    renewal: Renewal = "thread",
    progress: bool = False,
) -> Report:
    """Compute the result of each task once, together with all processes that call this for the same tasks.

    Any number of processes, on any number of machines, call this with the same dictionary and tasks. They
    need not know each other, and may start and end at any time. Each takes a task that is neither done nor
    claimed, in random order, calls the function, and inserts its result. The call returns when every task is
    done, has failed, or is held by another process for longer than `timeout`.

    If a process dies, its task is taken over: at once if it is provably gone (on the same machine and boot,
    in the same pid namespace), else when its claim was not renewed for a whole lease. The same call after an
    interruption of any kind goes on where the work was. A process that was stopped for longer than its lease
    may compute a task a second time, but the result that was inserted first stays.

    A task fails if the function raises, or if the dictionary cannot store its result. The failure is kept in
    the task's claim, for all processes and later calls. Other tasks go on. The death of a process is not a
    failure.

    Args:
        d: The dictionary of the results: any whose place supports conditional writes.
        function: Called with a task, or with the value of its key in a mapping; returns the result.
        tasks: A mapping from the key of each result to the argument of the function, which is read when
            its turn comes. Or an iterable of tasks: a task that is a key, a string or a sequence of strings,
            has its result under itself. Any other task is JSON-like, and has its result under
            ``perkey.key_of(task)``.
        max_attempts: How often a task may fail, in all processes and calls, before it is given up.
        retry_failed: Whether tasks that had failed before this call may fail `max_attempts` times more.
        timeout: Seconds to wait at most when other processes hold all tasks that are left; None for no limit.
        lease: Seconds without a renewal after which another process may take over a task.
        renewal: What renews the claims, as for `claim`: ``"thread"``, or ``"process"`` for functions that
            hold the interpreter's lock for longer than a lease.
        progress: Whether to show a progress bar of all tasks, also of those done elsewhere; needs tqdm.

    Returns:
        A `Report`: which tasks were computed here, were done elsewhere or before, failed, or are held.

    Raises:
        TypeError, ValueError: An argument is of the wrong kind or out of bounds.
        UnsupportedConditionError: The place cannot compare.
        Exception: The place failed: at the first request, for longer than five minutes, or in a way that does
            not pass by itself. The claim is given back if possible, and the same call goes on later.

    Cost: two listings for each pass over the tasks, of the part of the dictionary that has them. A task that
        is computed takes five requests, six if it is taken over or was tried before, and four writes for each
        lease. A call that waits passes again after a tenth of the time waited, every 10 ms at first and every
        5 s at last, and reads each claim.

    >>> from perkey import LocalDict
    >>> d = LocalDict()
    >>> report = run_all(d, sum, {"a": [1, 2], "b": [3], "c": [None]})
    >>> len(report.computed), list(report.failed), d["a"]
    (2, [('c',)], 3)
    """
    check_kind("d", d, PersiDict, "a PersiDict")
    check_callable("function", function)
    if iscoroutinefunction(function):
        raise TypeError(
            f"function must return its result, not a coroutine; wrap {function!r} in a function that calls "
            "asyncio.run"
        )
    check_count("max_attempts", max_attempts, least=1)
    check_flag("retry_failed", retry_failed)
    policy = Policy.checked(lease=lease, timeout=0.0, when_busy="raise", default=None, renewal=renewal)
    seconds = float("inf") if timeout is None else check_seconds("timeout", timeout)
    check_flag("progress", progress)
    run = _Run(d, _tasks_of(d, function, tasks), policy, max_attempts, retry_failed=retry_failed)
    return run.until_settled(seconds, progress=progress)


@dataclass(frozen=True)
class Report:
    """What became of the tasks of `run_all`; its text is a summary, with tracebacks.

    Attributes:
        computed: The keys of the tasks whose result this call computed.
        reused: The keys of the tasks that were done before, or by other processes meanwhile.
        failed: For each key of a task that was given up, its last failure, with the traceback as text.
        held: For each key of a task that another process still held at the end, that process.
        takeovers: How many claims this call took over from processes that had died or were silent.
        seconds: How long the call took.
    """

    computed: tuple[Key, ...]
    reused: tuple[Key, ...]
    failed: dict[Key, Failure]
    held: dict[Key, str]
    takeovers: int
    seconds: float

    @property
    def is_complete(self) -> bool:
        """Whether every task has a result."""
        return not self.failed and not self.held

    def check(self) -> None:
        """Return if every task has a result.

        Raises:
            ComputationFailedError: A task failed; this is the first one, a note has the others.
            BusyError: No task failed, and another process holds one.
        """
        if self.is_complete:
            return
        error: Exception
        if self.failed:
            key, failure = next(iter(self.failed.items()))
            error = ComputationFailedError(
                key,
                type=failure.type,
                text=failure.text,
                traceback=failure.traceback,
                count=failure.count,
                holder=failure.holder,
            )
        else:
            key, holder = next(iter(self.held.items()))
            error = BusyError(key, holder, round(self.seconds, 3))
        error.add_note(str(self))
        raise error

    def _repr_html_(self) -> str:
        """Return the summary for a notebook."""
        return text_html(self)

    def __str__(self) -> str:
        """Summarise, and show the first failures."""
        counts = [len(each) for each in (self.computed, self.reused, self.failed, self.held)]
        computed, reused, failed, held = counts
        total = counted(sum(counts), "task")
        lines = [f"{total}: {computed:,} computed, {reused:,} reused, {failed:,} failed, {held:,} held"]
        lines += [f"held: {shown_key(key)} by {holder}" for key, holder in list(self.held.items())[:_SHOWN]]
        for key, failure in list(self.failed.items())[:_SHOWN]:
            times = "once" if failure.count == 1 else f"{failure.count} times"
            lines.append(f"failed {times}: {shown_key(key)}, last in {failure.holder}\n{failure.traceback}")
        hidden = max(0, failed - _SHOWN) + max(0, held - _SHOWN)
        return "\n".join([*lines, *([f"and {hidden:,} more"] if hidden else [])])


# --- Tasks ----------------------------------------------------------------------------------------


class _Task(NamedTuple):
    """A task.

    Attributes:
        spot: Where its claim is.
        compute: Returns its result.
    """

    spot: Spot
    compute: Callable[[], Any]


def _tasks_of(d: PersiDict[Any], function: Callable[[T], Any], tasks: Any) -> dict[Key, _Task]:
    """Return the tasks by their keys, or raise TypeError or ValueError."""
    check_iterable("tasks", tasks, "tasks")
    pairs: Iterable[tuple[Any, Callable[[], Any]]]
    if isinstance(tasks, Mapping):
        pairs = ((key, partial(_call_for, function, tasks, key)) for key in tasks)
    else:
        pairs = ((_key_of_task(task), partial(function, task)) for task in tasks)
    found = ((spot_of(d, key), compute) for key, compute in pairs)
    return {spot.key: _Task(spot, compute) for spot, compute in found}


def _call_for(function: Callable[[T], Any], tasks: Mapping[Any, T], key: Any) -> Any:
    return function(tasks[key])


def _key_of_task(task: Any) -> Any:
    if isinstance(task, str):
        return task
    is_key = isinstance(task, (tuple, list)) and task and all(isinstance(part, str) for part in task)
    return task if is_key else key_of(task)


def _common_prefix(keys: Iterable[Key]) -> tuple[str, ...]:
    """Return the longest beginning that all keys have in common, without the last part of any."""
    first, last = min(keys, default=None), max(keys, default=None)
    if first is None or last is None:
        return ()
    length = 0
    while length < min(len(first), len(last)) - 1 and first[length] == last[length]:
        length += 1
    return tuple(first[:length])


class _Attempt(Computation[Any]):
    """One attempt at one task; it never waits for other processes.

    Args:
        patience: Bears outages, for all attempts of a call together.
        *more: As for `Computation`.
        **options: As for `Computation`.
    """

    def __init__(self, *more: Any, patience: Patience, **options: Any) -> None:
        super().__init__(*more, **options)
        self._patience = patience

    @property
    def record(self) -> Record | None:
        """The claim under which it runs; None where nothing is kept."""
        return self._claim.record

    @property
    def failure(self) -> Failure | None:
        """The last failure before this attempt."""
        return None if self.record is None else self.record.failure

    @property
    def takeovers(self) -> int:
        """How often the task was taken over so far."""
        return 0 if self.record is None else self.record.takeovers

    def close(self) -> None:
        """Give the claim back if it is still held, with the failures before this attempt."""
        try:
            self._claim.release(self.failure)
        finally:
            super().close()

    def failed(self, error: Exception) -> Failure | None:
        """Keep an error as the failure of this attempt, and return it; None if another process took over."""
        record = self.record or Record("", 0, 0, self._policy.lease, this_process(), self._clock.wall(), "")
        failure = Failure.of(error, record)
        return failure if self.keep(failure) else None


# --- Running --------------------------------------------------------------------------------------


@dataclass
class _Run:
    """One call of `run_all`.

    Attributes:
        d: The dictionary.
        tasks: The tasks that are not settled yet.
        policy: How an attempt behaves.
        max_attempts: How often a task may fail.
        retry_failed: Whether failures of the past do not count.
        clock: The clocks.
        forgiven: How many failures of a task do not count.
    """

    d: PersiDict[Any]
    tasks: dict[Key, _Task]
    policy: Policy
    max_attempts: int
    retry_failed: bool
    clock: Clock = CLOCK
    forgiven: dict[Key, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._prefix = _common_prefix(self.tasks)
        self._names = {task.spot.name: key for key, task in self.tasks.items()}
        self._computed: list[Key] = []
        self._reused: list[Key] = []
        self._failed: dict[Key, Failure] = {}
        self._held: dict[Key, str] = {}
        self._takeovers = 0
        self._is_reached = False
        self._patience = Patience(self.clock)
        self._settled: Callable[[], object] = lambda: None

    def until_settled(self, timeout: float, *, progress: bool) -> Report:
        """Do tasks until each is settled, or the time is over; return what became of them."""
        began = self.clock.monotonic()
        bar = progress_bar("run_all", total=len(self.tasks), unit="task") if progress else None
        if bar is not None:
            self._settled = bar.update
        try:
            self._pass_until(timeout)
        finally:
            if bar is not None:
                bar.close()
        held = {key: self._held.get(key, "another process") for key in self.tasks}
        seconds = self.clock.monotonic() - began
        computed, reused = tuple(self._computed), tuple(self._reused)
        return Report(computed, reused, self._failed, held, self._takeovers, seconds)

    def _pass_until(self, timeout: float) -> None:
        idle_since = self.clock.monotonic()
        while self.tasks:
            has_worked = self._pass_or_bear()
            now = self.clock.monotonic()
            if has_worked:
                idle_since = now
            elif self.tasks:
                left = timeout - (now - idle_since)
                if left <= 0:
                    return
                self.clock.sleep(min(pause_after(now - idle_since, self.policy.lease), left))

    def _pass_or_bear(self) -> bool:
        """Pass over the tasks once; an outage of the place ends the pass, and is borne for some minutes."""
        try:
            return self._pass()
        except answer(*FAILURES) as error:
            if not self._is_reached:
                raise
            self._patience.bear(error)
        self.clock.sleep(_OUTAGE_PAUSE)
        return True

    def _pass(self) -> bool:
        """Do each task that is free; return whether there was one, or the listings were out of date."""
        claimed, done = self._listed()
        self._is_reached = True
        self._patience.rest()
        for key in done:
            self._settle(key, self._reused)
        seen = self._forgive(claimed)
        free = [key for key in self.tasks if key not in claimed]
        most_outdated = max(_LEAST_OUTDATED, 2 * len(free) // _NAMES_PER_REQUEST)
        has_worked, outdated = False, 0
        for key in _shuffled(free):
            is_mine = self._take(key)
            has_worked |= is_mine
            outdated += not is_mine
            if outdated > most_outdated:
                return True  # other processes do these: a new listing costs less than to ask for each
        for key in _shuffled(claimed & self.tasks.keys()):
            has_worked |= self._take_over(key, seen.get(key))
        return has_worked

    def _listed(self) -> tuple[set[Key], set[Key]]:
        """Return the tasks that are claimed, and those that are done; a task may become done in between."""
        part = self.d.get_subdict(self._prefix) if self._prefix else self.d
        names: Iterable[Name] = (spot.name for spot in spots(part))
        claimed = {self._names[name] for name in names if name in self._names}
        keys = (Key(*self._prefix, *key) for key in part)
        return claimed, {key for key in keys if key in self.tasks}

    def _forgive(self, claimed: set[Key]) -> dict[Key, Reading]:
        """In the first pass, forgive the failures of the past if wanted; return the claims as they are."""
        if not self.retry_failed:
            return {}
        self.retry_failed = False
        seen = {key: self._contender(key).look() for key in claimed & self.tasks.keys()}
        for key, found in seen.items():
            if found.record is not None and found.record.failure is not None:
                self.forgiven[key] = found.record.failure.count
        return seen

    def _contender(self, key: Key) -> Contender:
        return Contender(self.tasks[key].spot, self.policy.lease, clock=self.clock)

    def _take_over(self, key: Key, found: Reading | None) -> bool:
        """Look at a task that was claimed, and do it if it can be had; return whether this process did it."""
        contender = self._contender(key)
        found = found or contender.look()
        record = found.record
        if record is None:
            return self._take(key)  # it was released, and is done or not
        if contender.is_held(found):
            self._held[key] = str(record.holder)
            return False
        if record.free and self._is_given_up(key, record.failure):
            return False
        return self._attempt(key, record.takeovers)

    def _take(self, key: Key) -> bool:
        """Do a task that seems to be free; return whether this process did it."""
        if key in self.d:
            self._settle(key, self._reused)
            return False
        return self._attempt(key, 0)

    def _attempt(self, key: Key, takeovers: int) -> bool:
        """Claim a task and do it; return whether this process did it."""
        look = partial(self._look, key)
        patience = self._patience
        with _Attempt(self.d, key, self.policy, look=look, clock=self.clock, patience=patience) as attempt:
            try:
                step = attempt.step()
            except answer(BusyError) as error:
                self._held[key] = error.holder or "another process"
                return False
            self._patience.rest()
            self._takeovers += attempt.takeovers > takeovers
            if isinstance(step, Found):
                self._settle(key, self._reused)
                return False
            if self._is_given_up(key, attempt.failure):
                return False
            self._compute(key, attempt)
        return True

    def _look(self, key: Key) -> Look:
        return Look(value=True if key in self.d else ABSENT)

    def _compute(self, key: Key, attempt: _Attempt) -> None:
        try:
            with attempt.computing():
                value = self.tasks[key].compute()
        except answer(Exception) as error:
            self._is_given_up(key, attempt.failed(error))
            return
        try:
            there = attempt.insert(value)
        except answer(*FAILURES):
            raise  # the place failed, and not the task
        except answer(Exception) as error:
            self._is_given_up(key, attempt.failed(error))
            return
        self._settle(key, self._computed if there is value else self._reused)

    def _is_given_up(self, key: Key, failure: Failure | None) -> bool:
        """Return whether a task has failed too often; settle it then."""
        if failure is None or failure.count - self.forgiven.get(key, 0) < self.max_attempts:
            return False
        self._failed[key] = failure
        text = "task %s failed, its traceback is in the report: %s: %s"
        log(text, shown_key(key), failure.type, failure.text)
        self._settle(key)
        return True

    def _settle(self, key: Key, where: list[Key] | None = None) -> None:
        del self.tasks[key]
        if where is not None:
            where.append(key)
        self._settled()


def _shuffled(keys: Iterable[Key]) -> list[Key]:
    """Return keys in random order, so that processes that start together do not meet at each task.

    The order is that of a generator of its own: users seed the common one alike in all processes.
    """
    found = list(keys)
    random.SystemRandom().shuffle(found)
    return found
