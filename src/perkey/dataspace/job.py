"""A job: the handle on one state point's folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Self

from perkey.dataspace.errors import JobsCorruptedError
from perkey.dataspace.h5store_access import WithStores
from perkey.dataspace.legacy import deprecated
from perkey.dataspace.members import DocumentFile, StatePointDict, WithDocument
from perkey.dataspace.space import FN_STATEPOINT, StatePoint, Workspace, job_id, normalized, transfers
from perkey.dataspace.sync_methods import SyncedJob
from perkey.handles import NeverSame, unlike_any

if TYPE_CHECKING:
    from perkey.dataspace.project import Project


class Job(NeverSame, SyncedJob, WithDocument, WithStores):
    """A handle on the data of one state point. Open jobs with `Project.open_job`.

    A handle is cheap, touches nothing until it is used, can be pickled and copied, and equals every other
    handle on the same job. Changing the state point moves the job; this handle and its copies by `copy.copy`
    go with it. Other handles (opened separately, deep copies, unpickled ones) stay at the old id. Writing to
    a document that such a handle has opened raises FileNotFoundError if this process moved the job.

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

    FN_DOCUMENT: Final = "signac_job_document.json"
    """The file of the job's document."""

    # Of the class, not of each job: a search may make a hundred thousand handles.
    _statepoint: StatePointDict | None = None
    _left: tuple[str, ...] = ()

    def __init__(
        self,
        project: Project,
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
        self._id = _id or job_id(self._known or {})

    @property
    def id(self) -> str:
        """The id: 32 hexadecimal digits that follow from the state point."""
        return self._id

    @property
    def project(self) -> Project:
        """The project that the job belongs to."""
        return self._project

    @property
    def path(self) -> str:
        """The path of the job's folder, which need not exist."""
        return self._project._jobs.folder(self._id)

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

    def fn(self, filename: str) -> str:
        """Return the path of a file in the job's folder."""
        return os.path.join(self.path, filename)

    def isfile(self, filename: str) -> bool:
        """Tell whether there is a file of that name in the job's folder."""
        return os.path.isfile(self.fn(filename))

    # --- State point --------------------------------------------------------------------------------

    @property
    def cached_statepoint(self) -> Mapping[str, Any]:
        """The state point, which cannot be changed here; faster than `statepoint`.

        Raises:
            KeyError: There is no such job.
            JobsCorruptedError: Its state point cannot be read.
        """
        return MappingProxyType(self._plain_statepoint())

    @property
    def statepoint(self) -> StatePointDict:
        """The state point: a dictionary with attributes; changing it moves the job.

        Call it for a plain copy. A change raises as `reset_statepoint`; reading as `cached_statepoint`.
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

        Atomic: others see the job with the old state point and then with the new one, and so they do if this
        process is killed. If there is no such job yet, only this handle changes.

        Raises:
            DestinationExistsError: There is a job of the new state point; nothing was changed.
            TypeError, ValueError: It is no state point.
        """
        statepoint = normalized(new_statepoint)
        target = job_id(statepoint)
        if target == self._id:
            return
        self._project._jobs.rename(self._id, target, statepoint)
        self._project._index.add(target, statepoint)
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
                    raise KeyError(f"{key!r} has another value already; overwrite=True replaces it")
        self.reset_statepoint({**current, **new})

    def _plain_statepoint(self) -> StatePoint:
        if self._known is None:
            self._known = self._project._index.statepoint(self._id)
        return self._known

    def _point_to(self, project: Project, job: str, statepoint: StatePoint | None) -> None:
        self._project, self._id, self._known = project, job, statepoint
        self._document = None

    # --- Life ---------------------------------------------------------------------------------------

    def init(self, force: bool = False, validate_statepoint: bool = True) -> Job:
        """Make the job's folder with its state point, unless it exists; return this handle.

        Atomic and without locks: of many processes one makes it, and nobody sees a part.

        Args:
            force: Whether a damaged state-point file is to be replaced.
            validate_statepoint: Whether an existing state point is read; else it is enough that there is a
                folder.

        Raises:
            JobsCorruptedError: There is such a job with a damaged state point.
            WorkspaceError, OSError: It cannot be made.
        """
        jobs = self._project._jobs
        if not validate_statepoint and not force and self._id in jobs:
            return self
        statepoint = self._plain_statepoint()
        jobs.create(self._id, statepoint, force=force)
        self._project._index.add(self._id, statepoint)
        return self

    def _make(self) -> None:
        self.init()

    def _document_file(self) -> DocumentFile:
        self.init(validate_statepoint=False)
        project = self._project
        jobs = project._jobs
        prepare = partial(self._make_again, jobs, self._id)
        return DocumentFile(self.fn(self.FN_DOCUMENT), prepare, durable=project._durable, place=jobs.path)

    def _make_again(self, jobs: Workspace, job: str) -> None:
        """Make the job of a document that is still held, unless it only has another place now."""
        jobs.refuse_departed(job)
        self.init()

    def remove(self) -> None:
        """Remove the job with all its data; does nothing if there is none. It is gone at one moment."""
        self._remember()
        self._document = None
        self._project._jobs.remove(self._id)

    def clear(self) -> None:
        """Remove the job's document and all other files, but not the job; does nothing if there is none."""
        self._document = None
        self._project._jobs.clear(self._id)

    def reset(self) -> None:
        """Remove all data of the job, but not the job, which is made if need be."""
        self.clear()
        self.init()

    def move(self, project: Project) -> None:
        """Move the job with all its data to another project; this handle goes with it.

        Atomic on one file system. Between file systems the job is copied, and is in its new place at one
        moment; a process killed after that leaves the original behind until the old project is opened next.

        Raises:
            RuntimeError: There is no such job.
            DestinationExistsError: The other project has such a job; nothing was changed.
        """
        self._remember()
        try:
            transfers.move(self._id, self._project._jobs, project._jobs)
        except FileNotFoundError:
            raise RuntimeError(f"job {self._id} cannot be moved: it is not initialized") from None
        if self._known is not None:
            project._index.add(self._id, self._known)
        self._point_to(project, self._id, self._known)

    def _remember(self) -> None:
        """Keep the state point in memory, as far as it can be read, for the time without the file."""
        with suppress(KeyError, JobsCorruptedError):
            self._plain_statepoint()

    # --- Working directory --------------------------------------------------------------------------

    def open(self) -> None:
        """Make the job's folder the working directory, initialising the job; may be nested."""
        self.init()
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

    def __copy__(self) -> Self:
        """Return another name for this handle: both are the same job for ever, also when it moves."""
        twin = object.__new__(type(self))
        twin.__dict__ = self.__dict__
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> Job:
        return type(self)(self._project, self._known, self._id)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (type(self), self._project, self._known, self._id, unlike_any())


def _reopen(
    cls: type[Job], project: Project, statepoint: Mapping[str, Any] | None, id: str | None, unique: bytes
) -> Job:
    del unique  # which makes pickles differ
    return cls(project, statepoint, id)
