"""Reading every value of a dictionary, and reporting what is wrong in its place.

Frames and checksums are looked at; nothing is unpickled unless that is asked for. Damaged values can be moved
out of the way and back; nothing is ever deleted.
"""

from __future__ import annotations

import errno
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

from perkey.answers import answer
from perkey.arguments import check_callable, check_count, check_flag, check_kind, wrong_kind
from perkey.content import STREAM_ABOVE, Content, close
from perkey.errors import (
    BackendError,
    ConflictError,
    CorruptValueError,
    MutationPolicyError,
    ReadOnlyError,
    UnloadableValueError,
)
from perkey.expectations import Version, refuse
from perkey.files import OURS, SCRATCH
from perkey.formats import can_check, find_format, format_of
from perkey.mapping import PersiDict, parameters_of
from perkey.naming import CLAIM_ENDING, Name, Naming, naming
from perkey.parallel import map_unordered
from perkey.showing import Shown
from perkey.stores import CachedStore, PrefixStore, Store, read_only

Kind: TypeAlias = Literal[
    "damaged",
    "unloadable",
    "unreadable",
    "foreign",
    "leftover",
    "wrong_digest",
    "collision",
    "empty_folder",
    "not_a_file",
]
Repair: TypeAlias = Literal["quarantine"]

NOTES: Final = frozenset(("empty_folder",))
"""Kinds that are reported, and are not faults: deleting an item may leave its folder."""

QUARANTINE: Final = OURS + "quarantine"
"""The folder, in the place itself, that damaged values are moved to."""

DAMAGED: Final = ".damaged"
"""The ending of the names there: persidict would take files with the file type at the end for items."""

_WORKERS: Final = min(8, (os.cpu_count() or 1) + 4)
_SIEVE_BITS: Final = 27
"""The memory of the search for names that collide is 2 to this many bits."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is wrong in the place of a dictionary.

    Attributes:
        kind: What is wrong. ``"damaged"``: the bytes are not what a writer wrote. ``"unloadable"``: they are
            sound and of another kind, or cannot be loaded here. ``"unreadable"``: the place does not give
            them. ``"foreign"``: a file that is not an item. ``"leftover"``: what a killed writer left.
            ``"wrong_digest"``: a name whose digest is not that of its text. ``"collision"``: names that are
            equal on file systems that ignore case. ``"empty_folder"``. ``"not_a_file"``: a symbolic link or
            another thing that is not read.
        place: The path or address.
        detail: A description in words.
        key: The key of the item; None if it is not one.
        is_fault: Whether it counts for the exit code. Empty folders, and leftovers of a writer that may be
            alive, do not.
        moved_to: Where a damaged value was moved to; None if it was not moved.
    """

    kind: Kind
    place: str
    detail: str
    key: tuple[str, ...] | None = None
    is_fault: bool = True
    moved_to: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "kind": self.kind,
            "place": self.place,
            "detail": self.detail,
            "key": None if self.key is None else list(self.key),
            "is_fault": self.is_fault,
            "moved_to": self.moved_to,
        }


@dataclass(slots=True)
class VerifyReport(Shown):
    """What `verify` found.

    Attributes:
        place: The path or address of the dictionary.
        items: How many items were looked at.
        bytes: How long they are together, as far as they could be read.
        unchecked: How many of them have a format without checksums or grammar; they could be read.
        others: How many items of other dictionaries are in the place; they were not looked at.
        decoded: Whether values were built.
        faults: The faults and notes.
        quarantine: Where damaged values were moved to; None if all stay.
    """

    place: str
    items: int = 0
    bytes: int = 0
    unchecked: int = 0
    others: int = 0
    decoded: bool = False
    faults: list[Fault] = field(default_factory=list)
    quarantine: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the place is free of faults."""
        return not any(fault.is_fault for fault in self.faults)

    @property
    def exit_code(self) -> int:
        """0 if the place is free of faults, else 1, also if all damaged values were moved away."""
        return 0 if self.ok else 1

    @property
    def counts(self) -> dict[str, int]:
        """How many things of each kind were found."""
        return dict(Counter(fault.kind for fault in self.faults))

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "place": self.place,
            "ok": self.ok,
            "exit_code": self.exit_code,
            "items": self.items,
            "bytes": self.bytes,
            "unchecked": self.unchecked,
            "others": self.others,
            "decoded": self.decoded,
            "counts": self.counts,
            "quarantine": self.quarantine,
            "faults": [fault.as_dict() for fault in self.faults],
        }


@runtime_checkable
class Checkable(Protocol):
    """An object that checks and repairs itself: a project of `perkey.dataspace`."""

    @property
    def path(self) -> str:
        """Where it is."""
        ...

    def __len__(self) -> int:
        """Return how many jobs there are."""
        ...

    def check(self) -> None:
        """Raise an exception with `job_ids` if something is damaged."""
        ...

    def repair(self) -> None:
        """Repair what can be; raise as `check` for the rest."""
        ...


def verify(
    d: PersiDict[Any] | Checkable,
    repair: Repair | None = None,
    *,
    decode: bool = False,
    workers: int | None = None,
    on_fault: Callable[[Fault], object] | None = None,
    on_item: Callable[[tuple[str, ...]], object] | None = None,
) -> VerifyReport:
    """Read every value of a dictionary, and report the faults of its place.

    Without `decode`, only frames, checksums and the grammar of JSON and of pickles are looked at: nothing
    that the bytes name is run. Claims, and items of other dictionaries in the place, are skipped. A
    cache in front of the place is not asked.

    Args:
        d: The dictionary, or a project of `perkey.dataspace`, whose own `check` is called, or with `repair`
            its own `repair`.
        repair: ``"quarantine"`` moves damaged values to a folder of the place, and reports where. Nothing
            else is changed, and nothing is deleted; `unquarantine` moves them back.
        decode: Whether to build the values, too. That runs code which pickles name, and finds values whose
            classes are missing here. Do it only where you trust the writers.
        workers: How many values are read at a time; None means a number that suits the place.
        on_fault: Is called with each fault.
        on_item: Is called with the key of each item that was looked at.

    Returns:
        The report, with an exit code for programs.

    Raises:
        ReadOnlyError: `repair` was asked of a handle that only reads.
        MutationPolicyError: `repair` was asked, and items are immutable.
        UnsupportedConditionError: The place cannot move a value on the condition of its version.

    Cost: two listings, and one read for each item. Memory for a few values at a time and for each fault.
        Where names have no digests, 16 MiB, and another listing if names may collide.
    """
    if not isinstance(d, PersiDict):
        return _verify_project(d, repair)
    check_flag("decode", decode)
    check_count("workers", workers, least=1, or_none=True)
    for name, call in (("on_fault", on_fault), ("on_item", on_item)):
        if call is not None:
            check_callable(name, call)
    _check_repair(d, repair)
    work = _Verification(d, decode, on_fault, on_item)
    if repair is not None:
        work.mover = _Mover(uncached(d.store))
    work.look_around()
    work.check_values(workers)
    work.look_for_collisions()
    return work.report


def _check_repair(d: PersiDict[Any], repair: object) -> None:
    if repair is None:
        return
    check_kind("repair", repair, str, "None or 'quarantine'")
    if repair != "quarantine":
        raise ValueError(f"repair must be None or 'quarantine', not {repair!r}")
    if d.store.read_only:
        raise ReadOnlyError(d.store.describe())
    if d.immutable_items:
        raise MutationPolicyError(
            "immutable_items=True: damaged items cannot be moved away; open the place without immutable_items"
        )
    if not d.store.supports("remove", "version"):
        reason = "a value that is written meanwhile could be moved away"
        raise refuse(d.store.describe(), "remove", "version", reason)


def uncached(store: Store) -> Store:
    """Return the store that counts, without the caches in front of it."""
    if isinstance(store, CachedStore):
        return uncached(store.main)
    if isinstance(store, PrefixStore):
        return PrefixStore(uncached(store.inner), store.prefix)
    return store


class _Checked(NamedTuple):
    """What reading one value found."""

    size: int
    checked: bool
    kind: Kind | None = None
    detail: str = ""
    version: Version | None = None


class _Verification:
    """One call of `verify`.

    Attributes:
        report: The faults so far.
        mover: Moves damaged values; None if they are only reported.
    """

    def __init__(
        self,
        d: PersiDict[Any],
        decode: bool,
        on_fault: Callable[[Fault], object] | None,
        on_item: Callable[[tuple[str, ...]], object] | None,
    ) -> None:
        self._store = read_only(uncached(d.store))
        self._names: Naming = naming(d.digest_len, d.file_type)
        self._format = format_of(d.file_type)
        self._checks = can_check(self._format)
        self._class = d.base_class_for_values
        self._decode = decode
        self._on_fault = on_fault
        self._on_item = on_item
        self._sieve = _Sieve() if not d.digest_len else None
        self.report = VerifyReport(self._store.describe(), decoded=decode)
        self.mover: _Mover | None = None

    def look_around(self) -> None:
        """Report what lies in the place beside items."""
        for found in self._store.leftovers():
            age = f", last written to {found.age:.0f} s ago"
            may_live = found.kind == "leftover" and not found.stale
            self._add(
                Fault(
                    found.kind,
                    found.place,
                    f"{found.what}{age}{'; its writer may be alive' if may_live else ''}",
                    is_fault=found.kind not in NOTES and not may_live,
                )
            )

    def check_values(self, workers: int | None) -> None:
        """Read each value, several at a time, and classify all other names on the way."""
        most = workers or max(self._store.workers, _WORKERS)
        for name, found in map_unordered(self._check, self._items(), workers=most, discard=_forget):
            if isinstance(found, KeyError):
                continue  # removed since it was seen
            key = tuple(self._names.key_of(name) or name)
            self.report.items += 1
            if isinstance(found, Exception):
                self._add_item("unreadable", name, f"{type(found).__name__}: {found}")
            else:
                self.report.bytes += found.size
                self.report.unchecked += found.kind is None and not found.checked
                if found.kind is not None:
                    self._add_item(found.kind, name, found.detail, found.version)
            if self._on_item is not None:
                self._on_item(key)

    def look_for_collisions(self) -> None:
        """Report names that are equal without case; of those that may be, all names are compared."""
        if self._sieve is None or not self._sieve.suspects:
            return
        groups: dict[str, set[Name]] = {}
        for name in self._store.scan():
            folded = _folded(name)
            if folded in self._sieve.suspects and self._names.key_of(name) is not None:
                groups.setdefault(folded, set()).add(name)
        for group in groups.values():
            if len(group) > 1:
                for name in sorted(group):
                    others = ", ".join("/".join(other) for other in sorted(group - {name}))
                    self._add_item("collision", name, f"equal without case: {others}")

    def _items(self) -> Iterator[Name]:
        """Yield the names of items; report names that are not."""
        for name in self._store.scan():
            if self._names.key_of(name) is not None:
                if self._sieve is not None:
                    self._sieve.add(name)
                yield name
            elif not name[0].startswith(SCRATCH):
                self._classify(name)

    def _classify(self, name: Name) -> None:
        """Report a name that is not an item's, another dictionary's item's, or a claim's."""
        if self._names.shape.fits(name):
            detail = "the digest in the name is not that of its text"
            self._add(Fault("wrong_digest", self._store.describe(name), detail))
            return
        found = parameters_of(name[-1])
        length = self._names.digest_len
        endings = {name[-1].rpartition(".")[2], "" if found is None else found.file_type}
        if any(ending.endswith(CLAIM_ENDING) for ending in endings):
            return
        if (
            found is not None
            and found.digest_len == length
            # With a dot, as "pkl.bak", it is more likely a copy that a user has put beside an item.
            and ("." not in found.file_type or find_format(found.file_type) is not None)
            and naming(length, found.file_type).key_of(name) is not None
        ):
            self.report.others += 1
            return
        fits = "" if found is None else f"; it would be an item with {found}"
        self._add(Fault("foreign", self._store.describe(name), f"not an item of this dictionary{fits}"))

    def _check(self, name: Name) -> _Checked:
        """Read a value, and look for damage; an exception means that it cannot be read."""
        found = self._store.read(name, limit=STREAM_ABOVE)
        if found is None:
            raise RuntimeError("no content was returned although no version was given")
        content, version = found
        try:
            return self._look_at(content, version)
        finally:
            close(content)

    def _look_at(self, content: Content, version: Version) -> _Checked:
        size = _length(content)
        try:
            if self._decode:
                value = self._format.decode(content)
                if self._class is not None and not isinstance(value, self._class):
                    detail = f"a {type(value).__name__}, not a {self._class.__name__}"
                    return _Checked(size, True, "unloadable", detail)
                return _Checked(size, True)
            return _Checked(size, self._checks and self._format.check(content))
        except answer(CorruptValueError) as error:
            return _Checked(size, True, "damaged", error.reason, version)
        except answer(UnloadableValueError) as error:
            return _Checked(size, True, "unloadable", error.reason)
        except (OSError, BackendError, MemoryError):
            raise  # of the place, not of the value
        except answer(Exception) as error:
            return _Checked(size, True, "unloadable", f"{type(error).__name__}: {error}")

    def _add_item(self, kind: Kind, name: Name, detail: str, version: Version | None = None) -> None:
        place, moved_to = self._store.describe(name), None
        if self.mover is not None and kind == "damaged" and version is not None:
            try:
                moved_to = self.mover.move(name, version)
            except answer(ConflictError, KeyError):
                return  # written or removed since it was read
            except answer(OSError, BackendError) as error:
                detail = f"{detail}; it could not be moved: {error}"
            else:
                self.report.quarantine = self.mover.place
        key = tuple(self._names.key_of(name) or name)
        self._add(Fault(kind, place, detail, key, moved_to=moved_to))

    def _add(self, fault: Fault) -> None:
        self.report.faults.append(fault)
        if self._on_fault is not None:
            self._on_fault(fault)


def _length(content: Content) -> int:
    if isinstance(content, bytes):
        return len(content)
    start = content.tell()
    size = content.seek(0, os.SEEK_END) - start
    content.seek(start)
    return size


def _forget(found: object) -> None:
    del found


def _folded(name: Name) -> str:
    return "/".join(name).lower()


class _Sieve:
    """Finds names that may be equal without case, in memory that does not grow with their number.

    Attributes:
        suspects: Names without case that were met twice, with few exceptions.
    """

    def __init__(self) -> None:
        self._bits = bytearray(1 << (_SIEVE_BITS - 3))
        self.suspects: set[str] = set()

    def add(self, name: Name) -> None:
        """Take note of a name."""
        folded = _folded(name)
        number = int.from_bytes(blake2b(folded.encode(), digest_size=8).digest(), "big")
        at, bit = number % len(self._bits), 1 << (number >> 61)
        if self._bits[at] & bit:
            self.suspects.add(folded)
        self._bits[at] |= bit


# --- Quarantine ---------------------------------------------------------------------------------------------


class _Mover:
    """Moves damaged values to a folder that no other call uses.

    Args:
        store: The place.
    """

    def __init__(self, store: Store) -> None:
        self._store, self._below = _whole(store)
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        self._folder: Name = (QUARANTINE, f"{stamp}-{os.urandom(4).hex()}")

    @property
    def place(self) -> str:
        """The path or address of the folder."""
        return self._store.describe(self._folder)

    def move(self, name: Name, version: Version) -> str:
        """Move an item that is still at a version, and return where it is."""
        target = (*self._folder, *self._below, *name[:-1], name[-1] + DAMAGED)
        self._store.move((*self._below, *name), target, expect=version)
        return self._store.describe(target)


def _whole(store: Store) -> tuple[Store, Name]:
    """Return the store that a prefix is of, and the prefix."""
    return (store.inner, store.prefix) if isinstance(store, PrefixStore) else (store, ())


@dataclass(slots=True)
class UnquarantineReport(Shown):
    """What `unquarantine` moved back.

    Attributes:
        place: The path or address of the dictionary.
        restored: The keys of the values that are in their places again.
        kept: Where values are that stay in quarantine, because there is a newer value in their place.
    """

    place: str
    restored: list[tuple[str, ...]] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 if all values are in their places again, else 1."""
        return 1 if self.kept else 0

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        restored = [list(key) for key in self.restored]
        return {"place": self.place, "restored": restored, "kept": self.kept, "exit_code": self.exit_code}


def unquarantine(d: PersiDict[Any], quarantine: str | None = None) -> UnquarantineReport:
    """Move values from quarantine back into their places, where these are free.

    Args:
        d: The dictionary.
        quarantine: The folder that `verify` reported, as `VerifyReport.quarantine`; None means all.

    Raises:
        ReadOnlyError: The handle only reads.
        FileNotFoundError: `quarantine` has no value of this dictionary.

    Cost: one listing, and for each value one renaming, or in a bucket a read, a write and a removal.
    """
    check_kind("d", d, PersiDict, "a PersiDict")
    if quarantine is not None and not isinstance(quarantine, str):
        raise wrong_kind("quarantine", "the path or address of a quarantine folder, or None", quarantine)
    if d.store.read_only:
        raise ReadOnlyError(d.store.describe())
    store, below = _whole(uncached(d.store))
    names = naming(d.digest_len, d.file_type)
    report = UnquarantineReport(d.store.describe())
    wanted = None if quarantine is None else quarantine.rstrip("/")
    known = wanted is None
    quarantined = [name for name in read_only(store).scan() if name[0] == QUARANTINE]
    for name in quarantined:
        folder, rest = name[:2], (*name[2:-1], name[-1].removesuffix(DAMAGED))
        if rest[: len(below)] != below or names.key_of(rest[len(below) :] or ("",)) is None:
            continue  # another dictionary's
        if wanted is not None and store.describe(folder).rstrip("/") != wanted:
            continue
        known = True
        try:
            store.move(name, rest)
        except answer(ConflictError):
            report.kept.append(store.describe(name))
        else:
            report.restored.append(tuple(names.key_of(rest[len(below) :]) or rest))
    if not known:
        raise FileNotFoundError(
            errno.ENOENT,
            "no value of this dictionary is in quarantine there; VerifyReport.quarantine has the path",
            quarantine,
        )
    return report


# --- Projects -----------------------------------------------------------------------------------------------


def _verify_project(project: Checkable, repair: object) -> VerifyReport:
    """Let a project check or repair itself."""
    if not isinstance(project, Checkable):
        raise wrong_kind("d", "a PersiDict or a project of perkey.dataspace", project)
    if repair not in {None, "quarantine"}:
        raise ValueError(f"repair must be None or 'quarantine', not {repair!r}")
    report = VerifyReport(str(project.path))
    try:
        if repair is None:
            project.check()
        else:
            project.repair()
    except answer(Exception) as error:
        corrupted = getattr(error, "job_ids", None)
        if corrupted is None:
            raise
        detail = "its state point is missing or damaged, or belongs to another id"
        report.faults += [
            Fault("damaged", os.path.join(report.place, job), detail, (job,)) for job in corrupted
        ]
    report.items = len(project)
    return report
