"""A job: the handle on one state point's folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from perkey.dataspace.errors import JobsCorruptedError
from perkey.dataspace.legacy import deprecated
from perkey.dataspace.members import DataFolder, DocumentFile
from perkey.dataspace.search import job_html
from perkey.dataspace.space import (
    FN_DOCUMENT,
    FN_STATEPOINT,
    Space,
    StatePoint,
    job_id,
    normalized,
    settle,
    transfers,
)
from perkey.errors import ConflictError
from perkey.expectations import Expectation, Version
from perkey.handles import unlike_any
from perkey.synced import (
    BUFFERING_NAMES,
    AttrDict,
    Found,
    Resource,
    SyncedCollection,
    SyncedList,
    Validator,
    free_names,
    json_attr_dict_validator,
    pair,
)

if TYPE_CHECKING:
    from perkey.dataspace.sync import DocStrategy, Exclude, FileStrategy


class Job(DataFolder):
    """A handle on the data of one state point. Open jobs with `Project.open_job`.

    A handle is cheap, touches nothing until it is used, can be pickled and copied, and equals every other
    handle on the same job. Changing the state point moves the job; this handle and its copies by `copy.copy`
    go with it. Other handles (opened separately, deep copies, unpickled ones) stay at the old id.

    A handle that has seen its job (opened by id, found by a search, or initialised) never makes the job anew
    by itself. If any process has removed or moved the job, the document of such a handle is empty, and
    writing to it raises FileNotFoundError. So do `open` and `stores`. `init` and `reset` make the job anew.

    Args:
        project: The project.
        statepoint: The state point.
        _id: The id; at least one of both must be given, and they must belong together.
        directory_known: Does nothing; signac 2 has it.
        id_: The same as `_id`, as signac 2 calls it.
    """

    FN_MANIFEST: Final = FN_STATEPOINT
    """The file of the state point in the job's folder."""

    FN_STATE_POINT: Final = FN_STATEPOINT
    """The same by its name in signac 2."""

    FN_DOCUMENT: Final = FN_DOCUMENT
    """The file of the job's document."""

    # Of the class, not of each job: a search may make a hundred thousand handles.
    _statepoint: StatePointDict | None = None
    _left: tuple[str, ...] = ()
    _has_seen = True  # whether the job has existed since this handle was made

    def __init__(
        self,
        project: Any,
        statepoint: Mapping[str, Any] | None = None,
        _id: str | None = None,
        directory_known: bool = False,
        *,
        id_: str | None = None,
    ) -> None:
        del directory_known
        _id = _id or id_
        if statepoint is None and _id is None:
            raise ValueError("a job has a state point or an id")
        self._project = project
        self._known: StatePoint | None = None
        if statepoint is not None:
            self._known = normalized(statepoint)
            self._has_seen = False
        self._id = _id or job_id(self._known or {})

    @property
    def id(self) -> str:
        """The id: 32 hexadecimal digits that follow from the state point."""
        return self._id

    @property
    def project(self) -> Any:
        """The `Project` that the job belongs to."""
        return self._project  # a typed one would make a circle of imports

    @property
    def space(self) -> Space:
        """The space that the job belongs to; search, exchange and synchronisation work on it."""
        space: Space = self._project.space
        return space

    @property
    def path(self) -> str:
        """The path of the job's folder, which need not exist."""
        path: str = self._project.space.workspace.folder(self._id)
        return path

    @property
    def ws(self) -> str:
        """The same as `path`."""
        return self.path

    def get_id(self) -> str:
        """Return the id. Deprecated: `Job.id`."""
        deprecated("Job.get_id()", "Job.id")
        return self._id

    def workspace(self) -> str:
        """Return the path of the job's folder, which need not exist."""
        return self.path

    # --- State point --------------------------------------------------------------------------------

    @property
    def cached_statepoint(self) -> Mapping[str, Any]:
        """The state point, which cannot be changed here; faster than `statepoint`.

        Raises:
            KeyError: The job does not exist.
            JobsCorruptedError: Its state point cannot be read.
        """
        return MappingProxyType(self._plain_statepoint())

    @property
    def statepoint(self) -> StatePointDict:
        """The state point: a dictionary with attributes; changing it moves the job.

        Call it for a plain copy. A change raises as `reset_statepoint`.

        Raises:
            JobsCorruptedError: At the first use: the job does not exist, or its state point cannot be read.
        """
        if self._statepoint is None:
            self._statepoint = StatePointDict(self)
        return self._statepoint

    @statepoint.setter
    def statepoint(self, new_statepoint: Mapping[str, Any]) -> None:
        self.reset_statepoint(new_statepoint)

    @property
    def sp(self) -> StatePointDict:
        """The same as `statepoint`."""
        return self.statepoint

    @sp.setter
    def sp(self, new_statepoint: Mapping[str, Any]) -> None:
        self.reset_statepoint(new_statepoint)

    def reset_statepoint(self, new_statepoint: Mapping[str, Any]) -> None:
        """Give the job another state point, and so another id, and keep its data.

        Atomic: readers see the job with the old state point and then with the new one, even if this
        process is killed. If the job does not exist yet, only this handle changes.

        Raises:
            DestinationExistsError: A job with the new state point exists already; nothing was changed.
            TypeError, ValueError: The new one is not a state point.
        """
        statepoint = normalized(new_statepoint)
        target = job_id(statepoint)
        if target == self._id:
            return
        space = self.space
        settle(self.fn(FN_DOCUMENT))
        if space.workspace.rename(self._id, target, statepoint):
            self._has_seen = True
        space.index.add(target, statepoint)
        self._point_to(self._project, target, statepoint)

    def update_statepoint(self, update: Mapping[str, Any], overwrite: bool = False) -> None:
        """Add to the state point, or change it, and keep the job's data; as `reset_statepoint`.

        Args:
            update: New keys and values.
            overwrite: Whether the values of existing keys may change.

        Raises:
            KeyError: The value of an existing key would change, and may not; nothing was changed.
        """
        current, new = self._plain_statepoint(), normalized(update)
        if not overwrite:
            for key, value in new.items():
                if key in current and current[key] != value:
                    raise KeyError(f"{key!r} already has another value; pass overwrite=True to replace it")
        self.reset_statepoint({**current, **new})

    def _plain_statepoint(self) -> StatePoint:
        known = self._known
        if known is None:
            known = self._known = self._project.space.index.statepoint(self._id)
        return known

    def _point_to(self, project: Any, job: str, statepoint: StatePoint | None) -> None:
        self._project, self._id, self._known = project, job, statepoint
        self._document = None

    # --- Life ---------------------------------------------------------------------------------------

    def init(self, force: bool = False, validate_statepoint: bool = True) -> Job:
        """Make the job's folder with its state point, unless it exists; return this handle.

        Atomic and without locks: exactly one of many processes makes it, and no reader sees a part.

        Args:
            force: Whether a damaged state-point file is to be replaced.
            validate_statepoint: Whether an existing state point is read; else it is enough that there is a
                folder.

        Raises:
            JobsCorruptedError: The job exists already, with a damaged state point.
            WorkspaceError, OSError: The job cannot be made.
        """
        space: Space = self._project.space
        workspace = space.workspace
        if validate_statepoint or force or self._id not in workspace:
            statepoint = self._plain_statepoint()
            workspace.create(self._id, statepoint, force=force)
            space.index.add(self._id, statepoint)
        self._has_seen = True
        return self

    def _prepare(self) -> Callable[[], object]:
        workspace = self.space.workspace
        if self._has_seen:
            workspace.require(self._id)
        else:
            self.init()
        return partial(workspace.require, self._id)

    def _document_file(self) -> DocumentFile:
        if not self._has_seen:
            self.init(validate_statepoint=False)
        space = self.space
        prepare = partial(space.workspace.require, self._id)
        return DocumentFile(self.fn(FN_DOCUMENT), prepare, durable=space.durable, place=space.workspace.path)

    def remove(self) -> None:
        """Remove the job with all its data, at one moment; does nothing if it does not exist."""
        self._remember()
        self._document = None
        self._has_seen = False
        settle(self.fn(FN_DOCUMENT), write=False)
        self.space.workspace.remove(self._id)

    def clear(self) -> None:
        """Remove the job's document and all other files, but not the job; does nothing without one."""
        self._document = None
        settle(self.fn(FN_DOCUMENT), write=False)
        self.space.workspace.clear(self._id)

    def reset(self) -> None:
        """Remove all data of the job, but not the job; a job that does not exist is made."""
        self.clear()
        self.init()

    def move(self, project: Any) -> None:
        """Move the job with all its data to another project; this handle goes with it.

        Atomic on one file system. Between file systems the job is copied, and is in its new place at one
        moment; a process killed after that leaves the original behind until the old project is opened next.

        Raises:
            RuntimeError: The job does not exist.
            DestinationExistsError: The other project has such a job; nothing was changed.
        """
        self._remember()
        settle(self.fn(FN_DOCUMENT))
        try:
            transfers.move(self._id, self.space.workspace, project.space.workspace)
        except FileNotFoundError:
            raise RuntimeError(f"job {self._id} cannot be moved: it is not initialized") from None
        if self._known is not None:
            project.space.index.add(self._id, self._known)
        self._has_seen = True
        self._point_to(project, self._id, self._known)

    def _remember(self) -> None:
        """Keep the state point in memory, as far as it can be read, for the time without the file."""
        with suppress(KeyError, JobsCorruptedError):
            self._plain_statepoint()

    def sync(
        self,
        other: Job,
        strategy: FileStrategy | None = None,
        exclude: Exclude = None,
        doc_sync: DocStrategy | str | bool | None = None,
        **kwargs: Any,
    ) -> None:
        """Bring this job up to date with another job; all checks are made before any change.

        Args:
            other: The job to copy from.
            strategy: Decides about files that differ; one of `sync.FileSync`, or a function.
            exclude: Regular expressions of files that are left out.
            doc_sync: What becomes of documents; one of `sync.DocSync`, or a function.
            **kwargs: As for `sync.sync_jobs`, which describes everything.

        Raises:
            FileSyncConflict, DocumentSyncConflict: They differ, and no strategy was given.
        """
        from perkey.dataspace.sync import sync_jobs  # noqa: PLC0415 - seldom needed

        sync_jobs(other, self, strategy, exclude, doc_sync, **kwargs)

    # --- Working directory --------------------------------------------------------------------------

    def open(self) -> None:
        """Make the job's folder the working directory, initialising the job; may be nested.

        Raises:
            FileNotFoundError: The job was removed or moved since this handle has seen it.
        """
        self._prepare()
        before = os.getcwd()
        os.chdir(self.path)
        self._left = (*self._left, before)

    def close(self) -> None:
        """Return to the working directory before the last `open`; does nothing without one."""
        if self._left:
            *outer, before = self._left
            os.chdir(before)
            self._left = tuple(outer)

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- Identity -----------------------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Job):
            return NotImplemented
        return self._id == other._id and self._project == other._project

    def __hash__(self) -> int:
        return hash((self._id, self._project))

    def __str__(self) -> str:
        return self._id

    def __repr__(self) -> str:
        return f"{type(self).__name__}(project={self._project!r}, statepoint={self._plain_statepoint()!r})"

    def _repr_html_(self) -> str:
        """Return state point, document and files as tables for a notebook."""
        title = f"{type(self).__name__} {self._id}"
        return job_html(title, self.space, self._id, self._known, lambda: title)

    def __copy__(self) -> Self:
        """Return another name for this handle: both are the same job for ever, also when it moves."""
        twin = object.__new__(type(self))
        twin.__dict__ = self.__dict__
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> Job:
        return _reopen(type(self), self._project, self._known, self._id, b"", self._has_seen)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (type(self), self._project, self._known, self._id, unlike_any(), self._has_seen)


def _reopen(  # noqa: PLR0917 - what a pickle holds
    cls: type[Job],
    project: Any,
    statepoint: Mapping[str, Any] | None,
    id: str | None,
    unique: bytes,
    has_seen: bool = False,
) -> Job:
    del unique  # which makes pickles differ
    job = cls(project, statepoint, id)
    if has_seen:
        job._has_seen = True
    return job


# --- State points as documents ------------------------------------------------------------------------


class StatePointResource(Resource):
    """The state point of a job: its version is the job's id, and writing moves the job.

    Args:
        job: The handle, which moves as well.
    """

    def __init__(self, job: Job) -> None:
        self._job: Final = job

    def read(self, known: Version | None) -> Found | None:
        job = self._job
        if job.id == known:
            return None
        try:
            return job._plain_statepoint(), job.id
        except KeyError as error:  # which would be read as an empty state point
            raise JobsCorruptedError([job.id]) from error

    def write(self, data: Any, expect: Expectation) -> Version:
        job = self._job
        if job.id != expect:
            raise ConflictError(("statepoint",), expect, job.id)
        job.reset_statepoint(data)
        return job.id

    def describe(self) -> str:
        return f"the state point of job {self._job.id}"


class StatePointDict(AttrDict):
    """A state point: a dictionary with attributes, whose changes move the job.

    Args:
        job: The job.
    """

    def __init__(self, job: Job) -> None:
        SyncedCollection.__init__(self, StatePointResource(job))


class StatePointList(SyncedList):
    """A list in a state point."""

    _validators: ClassVar[tuple[Validator, ...]] = (json_attr_dict_validator,)


free_names(StatePointDict, ("resource", *BUFFERING_NAMES), None)
pair(StatePointDict, StatePointList)
