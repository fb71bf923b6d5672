"""Making a place like another one: copying, and then deleting what the other one does not have.

Deletion has guards against a source that is empty, was not mounted, or vanishes meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any, Literal

from perkey.arguments import check_flag
from perkey.errors import ConflictError, counted
from perkey.expectations import ANY, refuse
from perkey.keys import PersiDictKey
from perkey.mapping import PersiDict
from perkey.naming import Name
from perkey.stores import Stat
from perkey.tools.copying import Copied, Copying, CopyReport, Progress, begin
from perkey.tools.locating import Listed, grouped, overlap, stat_or_none

_DELETED_AT_ONCE = 1000


def sync(
    src: PersiDict[Any],
    dst: PersiDict[Any],
    *,
    delete: bool = False,
    force: bool = False,
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
    """Copy as `copy`, and delete from the destination what the source does not have, if asked.

    Items are deleted after all were copied, each only if it is still as it was seen. If an item could not be
    copied, nothing is deleted.

    Args:
        src: The source, which is only read.
        dst: The destination.
        delete: Whether to delete items of the destination that the source does not have. Refused if the
            source has no items, if the places overlap, and for more than half of the items without `force`.
        force: Whether more than half of the destination may be deleted.
        prefix: Only items whose keys begin with it are copied or deleted; empty for all.
        overwrite: As for `copy`.
        on_error: As for `copy`.
        dry_run: As for `copy`.
        checksum: As for `copy`.
        unconditional: As for `copy`, and for removals, too.
        progress: As for `copy`.
        workers: As for `copy`.
        on_item: As for `copy`.

    Returns:
        The report.

    Raises:
        ValueError: The deletion is refused, or as for `copy`; nothing was changed.
        MutationPolicyError: Items of the destination are immutable, and `delete` is True.
        UnsupportedConditionError, ReadOnlyError: As for `copy`.

    Cost: as `copy`; with `delete` two more listings of the destination, and for each of its items a look into
        the source, or two listings of the source if that is in a bucket.

    >>> from perkey import LocalDict
    >>> src, dst = LocalDict("json"), LocalDict("json")
    >>> src.update({"a": 1, "b": 2})
    >>> dst.update({"b": 2, "c": 3})
    >>> report = sync(src, dst, delete=True)
    >>> report.copied, report.skipped, report.deleted, sorted(dst.values())
    (1, 1, 1, [1, 2])
    """
    check_flag("delete", delete)
    check_flag("force", force)
    work = begin(src, dst, prefix, overwrite, on_error, dry_run, checksum, unconditional, workers, on_item)
    if not delete:
        work.check_places()
        return work.run(progress)
    deletion = _Deletion(work, force=force)
    deletion.check()
    report = work.run(progress)
    if report.failed:
        report.delete_refused = True
    else:
        deletion.run()
    return report


class _Deletion:
    """Deletes from the destination what the source does not have.

    Args:
        work: The copy that precedes it.
        force: Whether more than half may be deleted.
    """

    def __init__(self, work: Copying, *, force: bool) -> None:
        self._work = work
        self._force = force
        self._most = 0
        self._seen: dict[Name, Stat] = {}

    def check(self) -> None:
        """Raise if the deletion is to be refused; nothing was changed.

        Raises:
            ValueError: The places overlap, the source is empty, or it is too much.
            MutationPolicyError, UnsupportedConditionError: The destination does not delete so.
        """
        work = self._work
        source, target = work.report.source, work.report.destination
        if overlap(work.source.store, work.target.store):
            raise ValueError(
                f"the source {source} and the destination {target} overlap; delete=True could delete "
                "items of the source; choose two places that do not contain each other"
            )
        if not work.options.dry_run:
            work.target.check_deletable()
            if not work.options.unconditional and not work.target.store.supports("remove", "version"):
                reason = "values written meanwhile could be lost; unconditional=True deletes anyway"
                raise refuse(target, "remove", "version", reason)
        self._require_source()
        total = doomed = 0
        with closing(self._look_up()) as found:
            for _, _, is_doomed in found:
                total += 1
                doomed += is_doomed
        self._most = total if self._force else total // 2
        if doomed > self._most:
            raise ValueError(
                f"{target}: delete=True would delete {doomed} of {counted(total, 'item')}, more than half, "
                f"which are not in {source}; look at the source, then pass force=True"
            )

    def run(self) -> None:
        """Delete."""
        report = self._work.report
        with closing(self._doomed()) as doomed:
            for group in grouped(doomed, _DELETED_AT_ONCE):
                self._require_source()
                agreed = dict(group[: max(0, self._most - report.deleted)])
                if self._work.options.dry_run:
                    for name, stat in agreed.items():
                        self._note(name, stat)
                else:
                    self._delete(agreed)

    def _delete(self, group: dict[Name, Stat]) -> None:
        store = self._work.target.store
        expect = ANY if self._work.options.unconditional else (lambda name: group[name].version)
        for name, error in store.remove_many(group, expect=expect):
            if error is None:
                self._note(name, group[name])
            elif isinstance(error, ConflictError):
                self._work.report.conflicts += 1
            elif not isinstance(error, KeyError):
                self._work.fail(tuple(self._work.target.key_of(name)), error)

    def _note(self, name: Name, stat: Stat) -> None:
        self._work.report.deleted += 1
        if self._work.options.on_item is not None:
            key = tuple(self._work.target.key_of(name))
            self._work.options.on_item(Copied(key, "delete", stat.size))

    def _require_source(self) -> None:
        """Raise if the source has no items (any more)."""
        work = self._work
        names = work.source.keys_among(work.source.store.scan(work.below))
        if next(names, None) is None:
            raise ValueError(
                f"{work.report.source}: the source has no items here; delete=True would empty "
                f"{work.report.destination}; clear() does that if it is wanted"
            )

    def _doomed(self) -> Generator[tuple[Name, Stat], None, None]:
        store = self._work.target.store
        with closing(self._look_up()) as found:
            for name, seen, is_doomed in found:
                if is_doomed:
                    known = seen if seen.version else stat_or_none(store, name)
                    if known is not None:
                        yield name, known

    def _look_up(self) -> Generator[tuple[Name, Stat, bool], None, None]:
        """Yield each item of the destination, and whether the source does not have it."""
        work = self._work
        source, target = work.source, work.target
        listed: Listed | None = None
        has: Callable[[Name], object] = source.store.exists
        if source.store.workers > 1:
            listed = Listed((name, Stat("", 0.0, 0)) for name in source.store.scan(work.below))
            has = listed.find
        try:
            for name, seen in target.store.scan_sizes(work.below_target):
                key = target.naming.key_of(name)
                if key is not None:
                    yield name, seen, not has(source.naming.name_of(key))
        finally:
            if listed is not None:
                listed.close()
