"""Copying items from one place to another: equal items are passed over.

Values are not decoded if both sides have the same format. Items are read and written in bulk, each written on
the condition that it is still as it was seen in the destination. So what another writer does meanwhile is
never lost. A copy that ended early is taken up by another call.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, BinaryIO, Final, Literal, NamedTuple, TypeAlias, cast

from perkey.answers import answer
from perkey.arguments import check_callable, check_count, check_flag, check_kind, wrong_kind
from perkey.content import (
    STREAM_ABOVE,
    Content,
    Data,
    DataError,
    GuardedData,
    TimedBytes,
    as_data,
    close,
)
from perkey.errors import ConflictError, MissingExtraError, counted
from perkey.expectations import ABSENT, ANY, Expectation, Expectations, Version, refuse
from perkey.keys import PersiDictKey
from perkey.mapping import Items, PersiDict, items_of
from perkey.naming import Name
from perkey.showing import Shown
from perkey.stores import (
    DirectoryStore,
    MemoryStore,
    Stat,
    read_only,
    settled_at_once,
)
from perkey.tools.locating import (
    Listed,
    bare_store,
    grouped,
    innermost,
    overlap,
    plain_folder,
    stat_or_none,
    with_workers,
)

Action: TypeAlias = Literal["copy", "replace", "skip", "conflict", "delete"]

_GROUP: Final = 2000
"""So many items are planned together, and read together."""
_LARGE: Final = STREAM_ABOVE
_SHOWN: Final = 100
"""How many errors a report has."""
_STEP: Final = 1.2e-6
"""Copied times are of the same microsecond; a float of seconds is a quarter of one off at most."""
_BELOW_MICROSECOND: Final = 100
_SETTLED: Final = 2.0
"""A time without a part below the microsecond may be of two contents if it is not so many seconds old."""
_MD5: Final = re.compile(r'"?([0-9a-f]{32})"?')


@dataclass(slots=True)
class CopyReport(Shown):
    """What `copy` or `sync` did.

    Attributes:
        source: The path or address of the source.
        destination: The path or address of the destination.
        dry_run: Whether nothing was changed, and the report has what would be.
        copied: How many items were written.
        skipped: How many items were there already: equal, or with `overwrite=False` any.
        conflicts: How many items were not written, or not deleted, because another program had written them
            since they were seen, or because items of the destination are immutable.
        deleted: How many items of the destination were deleted, because the source does not have them.
        vanished: How many items were removed from the source between the listing and the reading.
        bytes: How long the items are that were written, as the source stores them.
        seconds: How long it took.
        errors: Keys that could not be copied or deleted, with the reason; at most 100.
        failed: How many could not be.
        delete_refused: Whether nothing was deleted because some items could not be copied.
    """

    source: str
    destination: str
    dry_run: bool = False
    copied: int = 0
    skipped: int = 0
    conflicts: int = 0
    deleted: int = 0
    vanished: int = 0
    bytes: int = 0
    seconds: float = 0.0
    errors: dict[tuple[str, ...], str] = field(default_factory=dict)
    failed: int = 0
    delete_refused: bool = False

    @property
    def done(self) -> int:
        """How many items of the source were dealt with."""
        return self.copied + self.skipped + self.conflicts + self.vanished + self.failed

    @property
    def exit_code(self) -> int:
        """0 if the destination has all of the source, else 1."""
        return 1 if self.failed or self.conflicts else 0

    def fail(self, key: tuple[str, ...], error: Exception) -> None:
        """Take note of an error."""
        self.failed += 1
        if len(self.errors) < _SHOWN:
            self.errors[key] = str(error) or type(error).__name__

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data, keys joined by slashes."""
        errors = {"/".join(key): reason for key, reason in self.errors.items()}
        return {**asdict(self), "errors": errors, "exit_code": self.exit_code}


@dataclass(frozen=True, slots=True)
class Copied:
    """What was done, or would be, with an item.

    Attributes:
        key: Its key.
        action: ``"copy"``: it was missing. ``"replace"``: it differed. ``"skip"``: it is there.
            ``"conflict"``: another program has written it, or it is immutable. ``"delete"``: the source does
            not have it.
        size: Its length in bytes, where it was listed.
    """

    key: tuple[str, ...]
    action: Action
    size: int


Progress: TypeAlias = bool | Callable[[CopyReport, int | None], object]
"""Whether to show a bar, or a function that is called with the report so far and the total of items."""


def copy(
    src: PersiDict[Any],
    dst: PersiDict[Any],
    *,
    prefix: PersiDictKey = (),
    overwrite: bool = True,
    on_error: Literal["raise", "collect"] = "raise",
    dry_run: bool = False,
    checksum: bool = False,
    unconditional: bool = False,
    progress: Progress = False,
    workers: int | None = None,
    on_item: Callable[[Copied], object] | None = None,
) -> CopyReport:
    """Copy the items of a dictionary to another one; equal items are not written again.

    Between dictionaries of the same format, bytes are copied and nothing is decoded. Between folders, items
    get the time of their source. Each item is written only if it is still as it was seen in the destination.

    Between folders, items are equal if size and time are. In a bucket whose ETags are MD5 digests, they are
    compared by digest, and in memory by content. In other places (Azure, Google, uploads in parts, encryption
    with keys of the service) `checksum` is needed if an item is there already.

    Args:
        src: The source, which is only read.
        dst: The destination.
        prefix: Only items whose keys begin with it; empty for all. Keys stay as they are.
        overwrite: Whether items that differ are replaced; False means that no item is replaced or compared.
        on_error: ``"raise"``: the first error ends the copy. ``"collect"``: errors are in the report.
        dry_run: Whether to write nothing, and report what would be done.
        checksum: Whether contents are compared where sizes are equal, instead of times.
        unconditional: Whether to write without comparing with what other programs wrote meanwhile.
        progress: Whether to show a bar (`perkey[progress]`), or a function that is called with the report so
            far and the number of items of the source. Counting them takes one more listing.
        workers: How many requests at a time; None means as many as the places like.
        on_item: Is called with each item that was dealt with, or would be.

    Returns:
        What was done.

    Raises:
        UnsupportedConditionError: The destination cannot write on a condition, and `unconditional` is False;
            nothing was written.
        ReadOnlyError: The destination only reads.
        ValueError: The places overlap; or an item cannot be compared without `checksum`.

    Cost: one listing of the source. For each item that is copied a read and a write, the writes with one sync
        for 2,000 items in a folder; for others in a folder a stat. One listing of the destination if it is a
        bucket. Memory for a few thousand items.

    >>> from perkey import LocalDict
    >>> src, dst = LocalDict("json"), LocalDict("json")
    >>> src.update({"a": 1, "b": 2})
    >>> copy(src, dst).copied, copy(src, dst).skipped, sorted(dst.values())
    (2, 2, [1, 2])
    """
    work = begin(src, dst, prefix, overwrite, on_error, dry_run, checksum, unconditional, workers, on_item)
    work.check_places()
    return work.run(progress)


def begin(  # noqa: PLR0917 - those of `copy`
    src: PersiDict[Any],
    dst: PersiDict[Any],
    prefix: PersiDictKey,
    overwrite: bool,
    on_error: str,
    dry_run: bool,
    checksum: bool,
    unconditional: bool,
    workers: int | None,
    on_item: Callable[[Copied], object] | None,
) -> Copying:
    """Check the arguments that `copy` and `sync` have in common, and return the work to be done."""
    check_kind("src", src, PersiDict, "a PersiDict")
    check_kind("dst", dst, PersiDict, "a PersiDict")
    check_kind("on_error", on_error, str, "'raise' or 'collect'")
    if on_error not in {"raise", "collect"}:
        raise ValueError(f"on_error must be 'raise' or 'collect', not {on_error!r}")
    check_count("workers", workers, least=1, or_none=True)
    if on_item is not None:
        check_callable("on_item", on_item)
    options = Options(
        check_flag("overwrite", overwrite),
        on_error == "collect",
        check_flag("dry_run", dry_run),
        check_flag("checksum", checksum),
        check_flag("unconditional", unconditional),
        on_item,
    )
    source, target = items_of(src), items_of(dst)
    if not dry_run:
        target.check_writable()
    bare = read_only(bare_store(source.store))
    return Copying(
        source.over(with_workers(bare, workers)),
        target.over(with_workers(target.store, workers)),
        source.naming.prefix_of(prefix),
        target.naming.prefix_of(prefix),
        options,
    )


# --- Items --------------------------------------------------------------------------------------------------


class Options(NamedTuple):
    """What `copy` and `sync` were asked for; see there."""

    overwrite: bool
    collects: bool
    dry_run: bool
    checksum: bool
    unconditional: bool
    on_item: Callable[[Copied], object] | None


class _Job(NamedTuple):
    """An item to be copied.

    Attributes:
        name: Its name in the source.
        seen: Its status in the listing of the source.
        target: Its name in the destination.
        there: What is in the destination, or None.
        compares: Whether contents are to be compared before it is written.
    """

    name: Name
    seen: Stat
    target: Name
    there: Stat | None
    compares: bool = False


class Copying:
    """One call of `copy`.

    Attributes:
        source: The items of the source, only read and without caches.
        target: The items of the destination.
        below: The beginning of the names in the source.
        below_target: The same in the destination.
        options: What was asked for.
        same_format: Whether bytes are copied as they are.
        report: What was done so far.
        passes_over: Returns whether a name of the source is not an item, although it looks like one.
        on_equal: Is called with the name and status of each item that is equal in both places.
    """

    passes_over: Callable[[Name], bool] | None = None
    on_equal: Callable[[Name, Stat], object] | None = None

    def __init__(
        self, source: Items[Any], target: Items[Any], below: Name, below_target: Name, options: Options
    ) -> None:
        self.source = source
        self.target = target
        self.below = below
        self.below_target = below_target
        self.options = options
        self._same_names = source.naming == target.naming
        of_target, of_source = target.policy.base_class, source.policy.base_class
        admitted = of_target is None or (of_source is not None and issubclass(of_source, of_target))
        self.same_format = source.format is target.format and admitted
        self._there = bare_store(target.store)
        place, other = innermost(source.store), innermost(self._there)
        self._sets_times = isinstance(other, DirectoryStore)
        self._has_times = self._sets_times and isinstance(place, DirectoryStore)
        self._compares = isinstance(other, MemoryStore) or (
            self._sets_times and isinstance(place, MemoryStore)
        )
        folder = plain_folder(source.store)
        self._read_group = (
            source.store.read_many if folder is None else partial(folder[0].read_ahead, below=folder[1])
        )
        self._pending: dict[Name, _Job] = {}
        self._tell: Callable[[], object] = bool
        self._is_watched = options.on_item is not None
        self.report = CopyReport(source.store.describe(below), target.store.describe(below_target))
        self.report.dry_run = options.dry_run

    def check_places(self) -> None:
        """Raise ValueError if items would be copied onto themselves, or for ever deeper."""
        same_type = self.source.naming.file_type == self.target.naming.file_type
        if same_type and overlap(self.source.store, self.target.store):
            raise ValueError(
                f"the source {self.report.source} and the destination {self.report.destination} overlap; "
                "choose two places that do not contain each other"
            )

    def run(self, progress: Progress) -> CopyReport:
        """Copy all items, and return the report."""
        began = time.monotonic()
        is_empty = next(self._there.scan(self.below_target), None) is None
        if not self.options.dry_run:
            self._check_conditions(is_empty=is_empty)
        total = self._total(progress)
        bar = _Bar(self.report, total) if progress is True else None
        if bar is not None:
            self._tell, self._is_watched = bar.show, True
        elif callable(progress):
            self._tell, self._is_watched = partial(progress, self.report, total), True
        listed: Listed | None = None
        look: Callable[[Name], Stat | None] | None = partial(stat_or_none, self._there)
        if is_empty:
            look = None
        elif self._there.workers > 1:
            listed = Listed(self._there.scan_sizes(self.below_target))
            look = listed.find
        try:
            self._run(look)
        except Exception as error:
            error.add_note(f"copied: {counted(self.report.copied, 'item')}; the same call goes on from there")
            raise
        finally:
            if listed is not None:
                listed.close()
            if bar is not None:
                bar.close()
            self.report.seconds = time.monotonic() - began
        return self.report

    def _total(self, progress: Progress) -> int | None:
        if progress is False:
            return None
        if progress is not True and not callable(progress):
            raise wrong_kind("progress", "a bool or a function", progress)
        if not self.below:
            return self.source.store.count(self.source.naming.shape)
        return sum(self.source.naming.key_of(name) is not None for name in self.source.store.scan(self.below))

    def _check_conditions(self, *, is_empty: bool) -> None:
        """Raise UnsupportedConditionError if writes cannot be conditional and are to be."""
        if self.options.unconditional:
            return
        store = self.target.store
        reason = "what is written meanwhile could be lost; unconditional=True copies all the same"
        if not store.supports("write", "absent"):
            raise refuse(store.describe(), "write", "absent", reason)
        if self.options.overwrite and not is_empty and not store.supports("write", "version"):
            reason += ", and overwrite=False adds what is missing"
            raise refuse(store.describe(), "write", "version", reason)

    def _run(self, look: Callable[[Name], Stat | None] | None) -> None:
        prepared = self._prepared(look)
        if self.options.dry_run:
            for target, _ in prepared:
                self._note_written(self._pending.pop(target))
            return
        expect: Expectations = self._expectation
        if self.options.unconditional:
            expect = ANY
        elif look is None:
            expect = ABSENT
        for target, result in self.target.store.write_many(prepared, expect=expect):
            job = self._pending.pop(target)
            if isinstance(result, Exception):
                self._settle(job, result)
            else:
                self._note_written(job)

    def _expectation(self, target: Name) -> Expectation:
        there = self._pending[target].there
        return ABSENT if there is None else there.version

    def _settle(self, job: _Job, error: Exception) -> None:
        """Take note of a write that failed, or seemed to."""
        if isinstance(error, DataError):
            error = error.error
            if isinstance(error, KeyError):
                self._note_vanished()
                return
        if isinstance(error, ConflictError):
            try:
                written = settled_at_once(error)
            except answer(Exception) as unknown:
                self._fail(job, unknown)
                return
            if written is not None:
                self._note_written(job)
            else:
                self._note_conflict(job)
        else:
            self._fail(job, error)

    def _note_written(self, job: _Job) -> None:
        self.report.bytes += job.seen.size
        self.report.copied += 1
        if self._is_watched:
            self._show(job, "copy" if job.there is None else "replace")

    def _note_conflict(self, job: _Job) -> None:
        self.report.conflicts += 1
        self._show(job, "conflict")

    def _note_vanished(self) -> None:
        self.report.vanished += 1
        self._tell()

    def _show(self, job: _Job, action: Action) -> None:
        """Call what the caller gave for items and for progress."""
        if self.options.on_item is not None:
            self.options.on_item(Copied(tuple(self.target.key_of(job.target)), action, job.seen.size))
        self._tell()

    def _fail(self, job: _Job, error: Exception) -> None:
        self.fail(tuple(self.target.key_of(job.target)), error)
        self._tell()

    def fail(self, key: tuple[str, ...], error: Exception) -> None:
        """Raise an error, or take note of it if errors are to be collected."""
        if not self.options.collects:
            raise error
        self.report.fail(key, error)

    # --- Planning -------------------------------------------------------------------------------------------

    def _prepared(self, look: Callable[[Name], Stat | None] | None) -> Iterator[tuple[Name, Data]]:
        """Yield name and data of each item that is to be written; `_pending` has its job by then."""
        for group in grouped(self._jobs(look), _GROUP):
            small: dict[Name, _Job] = {}
            large: list[_Job] = []
            for job in group:
                if self.options.dry_run and not job.compares:
                    self._pending[job.target] = job
                    yield job.target, b""
                elif job.seen.size > _LARGE:
                    large.append(job)
                else:
                    small[job.name] = job
            yield from self._read(small)
            for job in large:
                data = _Lazy(self, job)
                if self._is_due(job, data):
                    yield job.target, data

    def _read(self, jobs: dict[Name, _Job]) -> Iterator[tuple[Name, Data]]:
        """Read small items in bulk, and yield those to be written."""
        for name, found in self._read_group(jobs, limit=_LARGE):
            job = jobs[name]
            if isinstance(found, KeyError):
                self._note_vanished()
            elif isinstance(found, Exception):
                self._fail(job, found)
            else:
                try:
                    data = self._data_of(job, *found)
                except answer(Exception) as error:
                    self._fail(job, error)
                    continue
                if self._is_due(job, data):
                    yield job.target, data

    def _data_of(self, job: _Job, content: Content, version: Version) -> Data:
        """Return what is to be written, given the content of a small item."""
        if not isinstance(content, bytes):  # it has grown since it was listed
            content.close()
            return _Lazy(self, job)
        data = content if self.same_format else self.encoded(job, content)
        if not isinstance(data, bytes):  # a value that takes much memory
            return _Lazy(self, job)
        if not self._sets_times:
            return data
        timed = TimedBytes(data)
        timed.mtime_ns = self.time_of(job, version)
        return timed

    def encoded(self, job: _Job, content: Content) -> Data:
        """Return the content of an item in the format of the destination."""
        return self.target.encode(job.target, self.source.decode(job.name, content))

    def time_of(self, job: _Job, version: Version) -> int | None:
        """Return the time that a copy is to have, None if it is not known for certain."""
        seen = job.seen
        if not self._sets_times:
            return None
        if seen.version and seen.mtime > 0:
            if version != seen.version:
                return None  # it was written since it was listed
        elif not _is_settled(seen) or not self._still_at(job):
            return None
        return round(seen.mtime * 1e6) * 1000 + _BELOW_MICROSECOND

    def _still_at(self, job: _Job) -> bool:
        try:
            return self.source.store.mtime(job.name) == job.seen.mtime
        except answer(KeyError):
            return False

    def _is_due(self, job: _Job, data: Data) -> bool:
        """Return whether an item is to be written; if not, note why: it is equal, or must not be replaced."""
        try:
            is_equal = job.compares and self._is_equal(job, data)
        except answer(Exception) as error:
            self._settle(job, error)
            return False
        if is_equal:
            self._skip(job)
            return False
        if job.there is not None and self.target.policy.immutable:
            self._note_conflict(job)
            return False
        self._pending[job.target] = job
        return True

    def _jobs(self, look: Callable[[Name], Stat | None] | None) -> Iterator[_Job]:
        """Yield each item that may have to be written."""
        key_of = self.source.naming.key_of
        for name, seen in self.source.store.scan_sizes(self.below):
            key = key_of(name)
            if key is None or (self.passes_over is not None and self.passes_over(name)):
                continue
            target = name
            there = None
            try:
                if not self._same_names:
                    target = self.target.naming.name_of(key)
                if look is not None:
                    there = look(target)
                must = True if there is None else self._must_replace(target, there, seen)
            except answer(Exception) as error:
                self._fail(_Job(name, seen, target, there), error)
                continue
            job = _Job(name, seen, target, there, must is None)
            if must is False:
                self._skip(job)
            else:
                yield job

    def _skip(self, job: _Job) -> None:
        if self.on_equal is not None:
            seen = job.seen if job.seen.version else stat_or_none(self.source.store, job.name)
            if seen is not None and (seen.mtime, seen.size) == (job.seen.mtime, job.seen.size):
                self.on_equal(job.name, seen)
        self.report.skipped += 1
        self._show(job, "skip")

    def _must_replace(self, target: Name, there: Stat, seen: Stat) -> bool | None:
        """Return whether an item is to be replaced; None if that takes a look at the content."""
        if not self.options.overwrite:
            return False
        if self.same_format and there.size != seen.size:
            return True
        if self.options.checksum or self._compares:
            return None
        if self._has_times and there.mtime % 1:
            differs = abs(there.mtime - seen.mtime) > _STEP
            # A copy does not get a time that is before 1970, or in the future: contents decide.
            return None if differs and not _is_settled(seen) else differs
        if self._has_times or _MD5.fullmatch(there.version):
            return None  # a file system that keeps whole seconds only, or a digest
        if self._sets_times and self.same_format and (digest := _MD5.fullmatch(seen.version)):
            return self._md5_there(target) != digest[1]
        raise ValueError(
            f"{self.target.store.describe(target)}: an item is there, and the places keep neither times "
            "nor digests by which it could be compared; pass checksum=True to read and compare contents, or "
            "overwrite=False to leave items that exist"
        )

    # --- Comparing ------------------------------------------------------------------------------------------

    def _is_equal(self, job: _Job, data: Data) -> bool:
        """Return whether what is to be written is there already."""
        digest = _MD5.fullmatch(job.there.version) if job.there is not None else None
        md5 = digest_of(data)
        if digest is not None:
            if digest[1] == md5:
                return True
            if not self.options.checksum:
                return False
        return self._md5_there(job.target) == md5

    def _md5_there(self, target: Name) -> str:
        try:
            content = self._there.content(target, limit=_LARGE)
        except answer(KeyError):
            return ""
        try:
            return digest_of(as_data(content))
        finally:
            close(content)


class _Lazy:
    """An item that is read, and encoded anew where need be, while it is written.

    So however many large ones wait to be written, they are neither in memory nor open.

    Attributes:
        mtime_ns: The time that the copy is to have; known when it is written.
    """

    def __init__(self, copying: Copying, job: _Job) -> None:
        self._copying = copying
        self._job = job
        self.mtime_ns: int | None = None

    def write_to(self, file: BinaryIO) -> None:
        """Write all of it.

        Raises:
            DataError: It cannot be read or encoded; a KeyError inside means that it does not exist any more.
        """
        copying, job = self._copying, self._job
        try:
            found = copying.source.store.read(job.name, limit=_LARGE)
            if found is None:
                raise RuntimeError("read() returned None although no version was given")
        except answer(Exception) as error:
            raise DataError(error) from error
        content, version = found
        try:
            self._write(content, file)
        finally:
            close(content)
        self.mtime_ns = copying.time_of(job, version)

    def _write(self, content: Content, file: BinaryIO) -> None:
        if self._copying.same_format:
            data = as_data(content)
        else:
            try:
                data = self._copying.encoded(self._job, content)
            except answer(Exception) as error:
                raise DataError(error) from error
        if isinstance(data, bytes):
            file.write(data)
        else:
            GuardedData(data).write_to(file)


def _is_settled(seen: Stat) -> bool:
    """Return whether the time in a listing is of one content only, so that a copy may have it."""
    return seen.mtime > 0 and (bool(seen.version) or time.time() - seen.mtime >= _SETTLED)


class _Digesting:
    """A file that only takes note of the digest of what is written to it."""

    def __init__(self) -> None:
        self._hash = hashlib.md5(usedforsecurity=False)
        self.hexdigest = self._hash.hexdigest

    def write(self, data: Any) -> int:
        """Take note of a piece."""
        self._hash.update(data)
        return len(data)


def digest_of(data: Data) -> str:
    """Return the MD5 of data, which is what ETags of S3 are."""
    file = _Digesting()
    if isinstance(data, bytes):
        file.write(data)
    else:
        data.write_to(cast("BinaryIO", file))
    return file.hexdigest()


# --- Progress -----------------------------------------------------------------------------------------------


class _Bar:
    """A bar with the total and rates."""

    def __init__(self, report: CopyReport, total: int | None) -> None:
        try:
            from tqdm.auto import tqdm
        except ImportError as error:
            raise MissingExtraError("a progress bar", "progress", "tqdm") from error
        self._report = report
        self._bar = tqdm(desc="copy", unit="item", total=total)

    def show(self) -> None:
        """Show what was done so far."""
        self._bar.update(self._report.done - self._bar.n)
        self._bar.set_postfix_str(f"{self._report.bytes / 1e6:.1f} MB", refresh=False)

    def close(self) -> None:
        """End it."""
        self._bar.close()
