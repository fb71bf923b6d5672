"""Removing the oldest items of a dictionary, each only if it is still as it was seen.

Memory is bounded: candidates are chosen in rounds, each by one listing, of which the oldest are kept in a
heap.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from perkey.answers import answer
from perkey.arguments import Duration, check_callable, check_count, check_flag, check_kind, seconds_of
from perkey.errors import AccessDeniedError, ConflictError, MutationPolicyError, ReadOnlyError
from perkey.expectations import ANY, refuse
from perkey.keys import PersiDictKey
from perkey.mapping import PersiDict
from perkey.naming import CLAIM_ENDING, Name, Naming, naming
from perkey.showing import Shown
from perkey.stores import CachedStore, PrefixStore, Stat, Store, WrapperStore

Clock: TypeAlias = Literal["place", "machine"]

_ROUND: Final = 100_000
"""How many candidates are kept in memory."""

_IN_VAIN: Final = 8
"""After so many rounds that removed nothing, because other writers were faster, pruning ends."""

_SHOWN: Final = 100
"""How many failures a report has."""


@dataclass(slots=True)
class PruneReport(Shown):
    """What `prune` removed.

    Attributes:
        place: The path or address of the dictionary.
        dry_run: Whether nothing was removed, and the report is about what would be.
        removed: How many items were removed.
        removed_bytes: How long they were together.
        kept: How many items the last listing saw that stayed.
        kept_bytes: How long these are together.
        conflicts: How often an item stayed because it was written or removed after it was seen.
        claims: How many claims were removed that no process holds; always 0 in a dry run.
        clock: Whose clock ages are by: that of the place, or that of this machine.
        failures: Keys that could not be removed, with the reason; at most 100.
        failed: How many could not be removed.
    """

    place: str
    dry_run: bool = False
    removed: int = 0
    removed_bytes: int = 0
    kept: int = 0
    kept_bytes: int = 0
    conflicts: int = 0
    claims: int = 0
    clock: Clock = "machine"
    failures: dict[tuple[str, ...], str] = field(default_factory=dict)
    failed: int = 0

    @property
    def exit_code(self) -> int:
        """0 if all that was to be removed could be, else 1."""
        return 1 if self.failed else 0

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data, keys joined by slashes."""
        failures = {"/".join(key): reason for key, reason in self.failures.items()}
        return {**asdict(self), "failures": failures, "exit_code": self.exit_code}


@dataclass(frozen=True, slots=True)
class Pruned:
    """An item that was removed, or would be.

    Attributes:
        key: Its key.
        time: When it was last written, or used, in seconds since the epoch.
        size: Its length in bytes.
    """

    key: tuple[str, ...]
    time: float
    size: int


def prune(
    d: PersiDict[Any],
    prefix: PersiDictKey = (),
    *,
    older_than: Duration | None = None,
    max_items: int | None = None,
    max_bytes: int | None = None,
    by: Literal["write", "use"] = "write",
    dry_run: bool = False,
    unconditional: bool = False,
    on_item: Callable[[Pruned], object] | None = None,
) -> PruneReport:
    """Remove the oldest items of a dictionary, each only if it is still as it was seen.

    An item that is written again after it was seen stays. On S3 a version is made from the content: an item
    that was written again with the same bytes counts as not written.

    Ages are by the place's own clock where it has one, as object services do. In a folder, times are set by
    the clocks of the writers, and compared with this machine's: items of a writer whose clock is an hour
    behind look an hour older than they are.

    Args:
        d: The dictionary.
        prefix: Only items whose keys begin with it; empty for all.
        older_than: Remove items that were last written longer ago, in seconds or as a `timedelta`.
        max_items: Remove the oldest items until at most so many are left.
        max_bytes: Remove the oldest items until the stored items have at most so many bytes.
        by: ``"write"``: the oldest are those written longest ago. ``"use"``: those read or written longest
            ago, as the cache of an `S3Dict` on this machine knows; items that are not in it are as old as
            their last write.
        dry_run: Whether to remove nothing, and report what would be removed.
        unconditional: Whether to remove items without comparing where the place cannot compare. An item that
            is written in the moment between may then be lost.
        on_item: Called with each item that was removed, or would be.

    Returns:
        The report.

    Raises:
        UnsupportedConditionError: The place cannot remove on the condition of a version (Ceph, Azure, Google,
            file systems without locks), and `unconditional` is False; nothing was removed.
        MutationPolicyError: Items are immutable; nothing was removed.
        ReadOnlyError: The handle only reads; nothing was removed.
        ValueError: No limit is given, or ``by="use"`` where no cache notes uses.

    Cost: one listing for `older_than`. For the other limits two listings, and one more for each 100,000 items
        to remove. A removal for each item. Memory for at most 100,000 items.

    >>> from perkey import LocalDict
    >>> d = LocalDict()
    >>> for number in range(5):
    ...     d[f"k{number}"] = number
    >>> prune(d, max_items=2).removed
    3
    >>> sorted(d.values())
    [3, 4]
    """
    check_kind("d", d, PersiDict, "a PersiDict")
    seconds = seconds_of("older_than", older_than)
    check_count("max_items", max_items, or_none=True)
    check_count("max_bytes", max_bytes, or_none=True)
    check_kind("by", by, str, "'write' or 'use'")
    check_flag("dry_run", dry_run)
    check_flag("unconditional", unconditional)
    if on_item is not None:
        check_callable("on_item", on_item)
    if by not in {"write", "use"}:
        raise ValueError(f"by must be 'write' or 'use', not {by!r}")
    if seconds is None and max_items is None and max_bytes is None:
        raise ValueError("prune needs a limit: older_than, max_items or max_bytes")
    if not dry_run:
        _check_removable(d)
    conditional = dry_run or d.store.supports("remove", "version")
    if not conditional and not unconditional:
        reason = (
            "items that are written meanwhile could be lost; unconditional=True removes them all the same"
        )
        raise refuse(d.store.describe(), "remove", "version", reason)
    work = _Pruning(
        d,
        prefix,
        last_use_of(d.store) if by == "use" else None,
        conditional=conditional,
        dry_run=dry_run,
        on_item=on_item,
    )
    if seconds is not None:
        work.remove_older(seconds)
    if max_items is not None or max_bytes is not None:
        work.remove_excess(max_items, max_bytes)
    work.remove_claims()
    return work.report


def _check_removable(d: PersiDict[Any]) -> None:
    """Raise the error of a dictionary that items cannot be removed from."""
    if d.store.read_only:
        raise ReadOnlyError(d.store.describe())
    if d.immutable_items:
        raise MutationPolicyError(
            "immutable_items=True: items cannot be deleted; open the place without immutable_items"
        )


def last_use_of(store: Store) -> Callable[[Name], float | None]:
    """Return the function that knows when this machine last used an item.

    Raises:
        ValueError: No cache notes that.
    """
    inner: Store | None = store
    prefix: Name = ()
    while inner is not None:
        if isinstance(inner, CachedStore):
            known = getattr(inner.cache, "last_used", None)
            if known is not None:
                last_used: Callable[[Name], float | None] = known
                return lambda name: last_used(prefix + name)
        if isinstance(inner, PrefixStore):
            prefix = inner.prefix + prefix
        inner = inner.inner if isinstance(inner, WrapperStore) else None
    raise ValueError(
        f"{store.describe()}: no cache here notes when items are used; "
        "by='use' is for an S3Dict with base_dir, by='write' for all dictionaries"
    )


class _Candidate(NamedTuple):
    """An item that may be removed; the oldest ones are the smallest, by the first two."""

    time: float
    name: Name
    found: Stat


class _Reversed:
    """A candidate in a heap whose top is the newest one."""

    __slots__ = ("candidate",)

    def __init__(self, candidate: _Candidate) -> None:
        self.candidate = candidate

    def __lt__(self, other: _Reversed) -> bool:
        return other.candidate[:2] < self.candidate[:2]


@dataclass(slots=True)
class _Seen:
    """What a listing saw: the totals, and the oldest items after a position."""

    items: int = 0
    bytes: int = 0
    oldest: list[_Candidate] = field(default_factory=list)


class _Pruning:
    """One call of `prune`.

    Attributes:
        report: What was done so far.
        below: The names whose beginnings are looked at.
    """

    def __init__(
        self,
        d: PersiDict[Any],
        prefix: PersiDictKey,
        last_use: Callable[[Name], float | None] | None,
        *,
        conditional: bool,
        dry_run: bool,
        on_item: Callable[[Pruned], object] | None,
    ) -> None:
        self._store = d.store
        self._names: Naming = naming(d.digest_len, d.file_type)
        self.below = self._names.prefix_of(prefix)
        self._last_use = last_use
        self._conditional = conditional
        self._dry_run = dry_run
        self._on_item = on_item
        self._limit = float("-inf")
        self._claim = self._names.shape.ending + CLAIM_ENDING
        self._claims: set[Name] = set()
        self.report = PruneReport(self._store.describe(self.below), dry_run)

    def remove_older(self, seconds: float) -> None:
        """Remove what is older, in one listing."""
        limit = self._limit = self._now() - seconds
        self.report.kept = self.report.kept_bytes = 0
        self._remove(self._older(limit))

    def _older(self, limit: float) -> Iterator[_Candidate]:
        for candidate in self._items():
            if candidate.time < limit:
                yield candidate
            else:
                self._keep(candidate)

    def remove_excess(self, max_items: int | None, max_bytes: int | None) -> None:
        """Remove the oldest items until the bounds hold, as a listing sees it.

        Where other writers are at work, a round may find that items were written since they were seen. They
        are newer then, and the next round looks again.
        """
        in_vain = 0
        gone_items, gone_bytes = (self.report.removed, self.report.removed_bytes) if self._dry_run else (0, 0)
        after: tuple[float, Name] | None = None
        if self._dry_run and gone_items:
            # What is older than the limit is gone in this account; the oldest of the rest follow.
            after = (self._limit, ())
        while in_vain < _IN_VAIN:
            seen = self._look(after)
            items, size = seen.items - gone_items, seen.bytes - gone_bytes
            self.report.kept, self.report.kept_bytes = items, size
            excess = list(_excess(seen.oldest, items, size, max_items, max_bytes))
            if not excess:
                return
            before, before_bytes = self.report.removed, self.report.removed_bytes
            if not self._dry_run:
                self.report.failed = 0  # those that failed before are tried again
                self.report.failures.clear()
            self._remove(iter(excess))
            self.report.kept = items - (self.report.removed - before)
            self.report.kept_bytes = size - (self.report.removed_bytes - before_bytes)
            if self._dry_run:
                gone_items, gone_bytes = self.report.removed, self.report.removed_bytes
                after = excess[-1][:2]
            else:
                in_vain = 0 if self.report.removed > before else in_vain + 1

    def _look(self, after: tuple[float, Name] | None) -> _Seen:
        """Count all items in one listing, and keep the oldest ones that come after a position."""
        seen = _Seen()
        heap: list[_Reversed] = []
        for candidate in self._items():
            seen.items += 1
            seen.bytes += candidate.found.size
            if after is not None and candidate[:2] <= after:
                continue
            if len(heap) < _ROUND:
                heapq.heappush(heap, _Reversed(candidate))
            elif candidate[:2] < heap[0].candidate[:2]:
                heapq.heapreplace(heap, _Reversed(candidate))
        seen.oldest = sorted((each.candidate for each in heap), key=lambda candidate: candidate[:2])
        return seen

    def _items(self) -> Iterator[_Candidate]:
        for name, found in self._store.scan_sizes(self.below):
            if self._names.key_of(name) is None:
                if name[-1].endswith(self._claim) and len(self._claims) < _ROUND:
                    self._claims.add(name)
            else:
                used = None if self._last_use is None else self._last_use(name)
                yield _Candidate(found.mtime if used is None else max(used, found.mtime), name, found)

    def remove_claims(self) -> None:
        """Remove the claims that no process holds, among those that listings saw; as `PersiDict.clear`."""
        if self._claims and not self._dry_run:
            from perkey.tools.once import remove_stale

            remove_stale(self._store, sorted(self._claims))
            self.report.claims = sum(not self._store.exists(name) for name in self._claims)

    def _remove(self, candidates: Iterator[_Candidate]) -> None:
        """Remove items that are still as they were seen, and take note of each."""
        if self._dry_run:
            for candidate in candidates:
                self._note(candidate)
            return
        pending: dict[Name, _Candidate] = {}
        drawn = self._still_as_seen(candidates, pending)
        expect = (lambda name: pending[name].found.version) if self._conditional else ANY
        for name, error in self._store.remove_many(drawn, expect=expect):
            candidate = pending.pop(name)
            if error is None:
                self._note(candidate)
            elif isinstance(error, (ConflictError, KeyError)):
                self._meet_conflict(candidate)
            else:
                self._fail(candidate, error)

    def _still_as_seen(
        self, candidates: Iterator[_Candidate], pending: dict[Name, _Candidate]
    ) -> Iterator[Name]:
        """Yield names; the version of each is known by then, where a listing is without it."""
        for candidate in candidates:
            known = candidate
            if self._conditional and not candidate.found.version:
                try:
                    found = self._store.stat(candidate.name)
                except answer(KeyError):
                    self._meet_conflict(candidate)
                    continue
                if (found.mtime, found.size) != (candidate.found.mtime, candidate.found.size):
                    self._meet_conflict(candidate)
                    continue
                known = candidate._replace(found=found)
            pending[known.name] = known
            yield known.name

    def _note(self, candidate: _Candidate) -> None:
        self.report.removed += 1
        self.report.removed_bytes += candidate.found.size
        if self._on_item is not None:
            self._on_item(Pruned(self._key(candidate), candidate.time, candidate.found.size))

    def _keep(self, candidate: _Candidate) -> None:
        self.report.kept += 1
        self.report.kept_bytes += candidate.found.size

    def _meet_conflict(self, candidate: _Candidate) -> None:
        self.report.conflicts += 1
        self._keep(candidate)

    def _fail(self, candidate: _Candidate, error: Exception) -> None:
        self._keep(candidate)
        self.report.failed += 1
        if len(self.report.failures) < _SHOWN:
            self.report.failures[self._key(candidate)] = str(error)

    def _key(self, candidate: _Candidate) -> tuple[str, ...]:
        return tuple(self._names.key_of(candidate.name) or candidate.name)

    def _now(self) -> float:
        """Return the time of the place, or of this machine if the place has no clock that it may ask."""
        try:
            there = self._store.now()
        except answer(AccessDeniedError):
            there = None
        self.report.clock = "machine" if there is None else "place"
        return time.time() if there is None else there


def _excess(
    oldest: list[_Candidate], items: int, size: int, max_items: int | None, max_bytes: int | None
) -> Iterator[_Candidate]:
    """Yield the oldest items until the bounds hold without them."""
    for candidate in oldest:
        too_many = max_items is not None and items > max_items
        too_long = max_bytes is not None and size > max_bytes
        if not too_many and not too_long:
            return
        yield candidate
        items -= 1
        size -= candidate.found.size
