"""What a synchronisation will do: planned, and shown, before anything is changed."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from threading import Lock
from typing import Any, Final, NamedTuple, TypeAlias

from perkey.dataspace.errors import FileSyncConflict
from perkey.dataspace.space import FN_STATEPOINT, parse
from perkey.dataspace.sync.files import missing_or_different
from perkey.dataspace.sync.strategies import DocStrategy, DocSync, FileStrategy, JobPlace, Place, compiled
from perkey.files import read_file
from perkey.files.trees import FileCopy, Rules

Exclude: TypeAlias = str | re.Pattern[str] | Iterable[str | re.Pattern[str]] | None
"""Regular expressions; a file is left out if one matches the beginning of its name or of its path."""


class FileTransferStats(NamedTuple):
    """What was copied.

    Attributes:
        num_files: How many files.
        volume: How many bytes.
    """

    num_files: int
    volume: int


@dataclass(frozen=True)
class Policy:
    """The choices of the caller: which side wins, what is left out, and how files are copied.

    Attributes:
        strategy: Decides about files that differ; None raises.
        exclude: Which files are left out.
        doc_sync: What becomes of documents.
        rules: How folders are compared and files copied.
    """

    strategy: FileStrategy | None
    exclude: tuple[re.Pattern[str], ...]
    doc_sync: DocStrategy | str | bool
    rules: Rules

    @classmethod
    def of(
        cls,
        strategy: FileStrategy | None,
        exclude: Exclude,
        doc_sync: DocStrategy | str | bool | None,
        rules: Rules,
    ) -> Policy:
        """Return the policy that the caller's arguments mean; raises TypeError or ValueError."""
        if rules.times and not rules.permissions:
            raise ValueError("times are preserved only together with permissions")
        doc_sync = DocSync.ByKey() if doc_sync is None else _made(doc_sync)
        if not callable(doc_sync) and doc_sync not in {DocSync.NO_SYNC, DocSync.COPY}:
            raise TypeError(f"doc_sync is a function, DocSync.NO_SYNC or DocSync.COPY, not {doc_sync!r}")
        strategy = _made(strategy)
        if strategy is not None and not callable(strategy):
            raise TypeError(f"a strategy must be a function, or None: {strategy!r}")
        patterns = [exclude] if exclude is None or isinstance(exclude, str | re.Pattern) else exclude
        excluded = tuple(compiled(pattern) for pattern in patterns if pattern is not None)
        return cls(strategy, excluded, doc_sync, rules)

    def one_at_a_time(self) -> Policy:
        """Return this policy with functions that several threads may call."""
        lock = Lock()
        strategy = None if self.strategy is None else _Guarded(self.strategy, lock)
        doc_sync = _Guarded(self.doc_sync, lock) if callable(self.doc_sync) else self.doc_sync
        return replace(self, strategy=strategy, doc_sync=doc_sync)

    def excludes(self, name: str) -> bool:
        """Return whether a file is left out."""
        return any(each.match(os.path.basename(name)) or each.match(name) for each in self.exclude)

    def overwrites(self, source: Any, target: Any, name: str) -> bool:
        """Return whether a file that differs is overwritten; raises FileSyncConflict without a strategy."""
        if self.strategy is None:
            raise FileSyncConflict(name)
        return bool(self.strategy(source, target, name))


def _made(strategy: Any) -> Any:
    """Return a strategy itself, if its class was given."""
    return strategy() if isinstance(strategy, type) else strategy


class _Guarded:
    """A function of the user's, who may be asked something, called by one thread at a time.

    Args:
        function: The function.
        lock: Is held meanwhile.
    """

    def __init__(self, function: Callable[..., Any], lock: Lock) -> None:
        self._function: Final = function
        self._lock: Final = lock

    def __call__(self, *args: Any) -> Any:
        with self._lock:
            return self._function(*args)


@dataclass(frozen=True)
class DocumentMerge:
    """The result of merging a document.

    Attributes:
        source: The document to copy from.
        before: The document as it was when this was planned.
        after: What it will be.
        doc_sync: Decides.
    """

    source: dict[str, Any]
    before: dict[str, Any]
    after: dict[str, Any]
    doc_sync: DocStrategy

    @classmethod
    def of(cls, source: dict[str, Any], before: dict[str, Any], doc_sync: DocStrategy) -> DocumentMerge:
        """Return what `doc_sync` makes of two documents; raises what that raises."""
        after = copy.deepcopy(before)
        doc_sync(copy.deepcopy(source), after)
        return cls(source, before, after, doc_sync)

    def __call__(self, current: dict[str, Any]) -> dict[str, Any]:
        """Return what becomes of the document as it is now: asks again only if it was changed."""
        if current == self.before:
            return copy.deepcopy(self.after)
        return self.of(self.source, current, self.doc_sync).after


@dataclass(frozen=True)
class FolderPlan:
    """The changes to the folder of one job, or of the project.

    Attributes:
        source: The job or project to copy from.
        target: The one to copy to.
        is_new: Whether it is a job that will be made.
        copies: The files, links and folders that will be made.
        merge: What becomes of its document; None if that stays as it is.
    """

    source: Place
    target: Place
    is_new: bool
    copies: tuple[FileCopy, ...]
    merge: DocumentMerge | None

    def __bool__(self) -> bool:
        """Return whether there is anything to do."""
        return bool(self.is_new or self.copies or self.merge)

    def lines(self) -> Iterator[str]:
        """Yield what will be done, for people."""
        place = self.target.path
        if self.is_new:
            yield f"new job    {place}"
        for each in self.copies:
            act = "overwrite" if each.replaces else "folder" if each.kind == "folder" else "copy"
            yield f"{act:<10} {os.path.join(place, each.name)}"
        if self.merge:
            yield f"merge      {os.path.join(place, self.target.FN_DOCUMENT)}"


@dataclass(frozen=True)
class JobPlan(FolderPlan):
    """The changes to the folder of one job."""

    source: JobPlace
    target: JobPlace


class SyncPlan(tuple[FolderPlan, ...]):
    """What a synchronisation will do: a plan for each job where there is something to do, and the project's.

    `str()` is for people, a line for each act.
    """

    __slots__ = ()

    @property
    def stats(self) -> FileTransferStats:
        """How many files and bytes will be copied."""
        files = [each for plan in self for each in plan.copies if each.kind != "folder"]
        return FileTransferStats(len(files), sum(each.size for each in files))

    def __str__(self) -> str:
        lines = [line for plan in self for line in plan.lines()]
        return "\n".join(lines) or "nothing to do"


def plan_job(source: JobPlace, target: JobPlace, policy: Policy) -> FolderPlan:
    """Return what one job must get from another.

    A job that does not exist yet gets everything but what is excluded, whatever else the policy is.

    Raises:
        ValueError: The source is not initialised.
        FileSyncConflict, DocumentSyncConflict: They differ, and no strategy was given.
    """
    if source.id not in source.space.workspace:
        raise ValueError(
            f"job {source.id} cannot be synchronized from: it is not initialized. Make it by init()"
        )
    if target.id not in target.space.workspace and source.id == target.id:
        return _plan_clone(source, target, policy)

    def skips(name: str) -> bool:
        if name == FN_STATEPOINT or (name == source.FN_DOCUMENT and policy.doc_sync != DocSync.COPY):
            return True
        return policy.excludes(name)

    copies = _copies(source, target, policy, policy.rules, skips)
    return JobPlan(source, target, is_new=False, copies=copies, merge=_merge(source, target, policy))


def plan_project(source: Place, target: Place, policy: Policy) -> FolderPlan:
    """Return what the document of one project must get from another's.

    Raises:
        FileSyncConflict, DocumentSyncConflict: They differ, and no strategy was given.
    """

    def skips(name: str) -> bool:
        return name != source.FN_DOCUMENT or policy.doc_sync != DocSync.COPY or policy.excludes(name)

    copies = _copies(source, target, policy, replace(policy.rules, recursive=False), skips)
    return FolderPlan(source, target, is_new=False, copies=copies, merge=_merge(source, target, policy))


def _plan_clone(source: JobPlace, target: JobPlace, policy: Policy) -> FolderPlan:
    def skips(name: str) -> bool:
        return name not in {FN_STATEPOINT, source.FN_DOCUMENT} and policy.excludes(name)

    rules = replace(policy.rules, recursive=True)
    copies = missing_or_different(source.path, target.path, rules, lambda _: True, skips)
    return JobPlan(source, target, is_new=True, copies=tuple(copies), merge=None)


def _copies(
    source: Place, target: Place, policy: Policy, rules: Rules, skips: Callable[[str], bool]
) -> tuple[FileCopy, ...]:
    overwrites = partial(policy.overwrites, source, target)
    return tuple(missing_or_different(source.path, target.path, rules, overwrites, skips))


def _merge(source: Place, target: Place, policy: Policy) -> DocumentMerge | None:
    if not callable(policy.doc_sync):
        return None
    merge = DocumentMerge.of(_document(source), _document(target), policy.doc_sync)
    return None if merge.after == merge.before else merge


def _document(place: Place) -> dict[str, Any]:
    """Return the document of a job or project as it is on the disk; makes nothing.

    Raises:
        CorruptValueError: The document cannot be read.
    """
    path = place.fn(place.FN_DOCUMENT)
    content = read_file(path)
    return {} if content is None else dict(parse(content, path))
