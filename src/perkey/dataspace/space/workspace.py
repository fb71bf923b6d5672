"""The folder of jobs: one sub-folder a job, named by its id, with the state point in a file.

The id is the MD5 of the state point's one canonical JSON text, as in signac.

No locks: jobs appear and disappear by one rename of a folder.

- A new job is made in a staging folder and renamed into place; who finds the place taken, throws his away.
- A removed job is renamed out of the way and then deleted.
- Changing a state point renames the folder, which is the moment of change; see `rename`.

So a process killed anywhere leaves each job where it was or where it should go. What else it leaves lies in
the folder ``.@perkey`` of the workspace, which no id can be the name of, and is swept later.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import stat
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any, Final, TypeAlias

from perkey.dataspace.errors import (
    DestinationExistsError,
    JobsCorruptedError,
    NoSuchJobError,
    WorkspaceError,
    located,
)
from perkey.files import (
    OURS,
    REPLACED,
    SCRATCH,
    STALE_SECONDS,
    Folder,
    discard,
    is_folder,
    is_there,
    make_base,
    make_own,
    open_folder,
    open_local,
    persist,
    read_file,
    read_path,
    refuse_dangling,
    rename_local,
    rename_path,
    temporary_name,
    way_of,
    write_new,
    write_new_in,
)
from perkey.synced import InvalidKeyError, lenient_key, to_plain

StatePoint: TypeAlias = dict[str, Any]
"""Of exact JSON types; not to be changed, because it is shared."""

ID_LENGTH: Final = 32
"""An id has so many hexadecimal digits."""

is_job_id = re.compile(f"[0-9a-f]{{{ID_LENGTH}}}").fullmatch
"""Matches what may be the id of a job."""

FN_STATEPOINT: Final = "signac_statepoint.json"
"""The file of the state point in each job's folder."""

TAKEN: Final = frozenset((errno.ENOTEMPTY, errno.EEXIST))
"""The errors for a folder that is to be replaced or deleted, and has something in it."""

_INTENT: Final = OURS + "statepoint-"
_ATTEMPTS: Final = 16
_COPY: Final = "copy-"
_FIRST: Final = 1000
_COPY_STALE_SECONDS: Final = 7 * 24 * 3600.0
# A link that leads nowhere, a folder, a socket.
_NOT_A_FILE: Final = frozenset((errno.ENOENT, errno.EISDIR, errno.ENXIO))


def normalized(statepoint: Mapping[Any, Any], *, kind: str = "a state point") -> StatePoint:
    """Return a copy of a state point as it will be stored.

    Tuples and arrays become lists, NumPy's numbers Python's, and keys that are whole numbers, truth values or
    None their text.

    Args:
        statepoint: The state point.
        kind: What messages call it.

    Raises:
        TypeError: The state point is not a mapping, or a value cannot be written as JSON.
        KeyTypeError: A key is of another type.
        InvalidKeyError: A key has a dot in it, which would make it a path.
    """
    if not isinstance(statepoint, Mapping):
        raise TypeError(f"{kind} is a mapping, not a {type(statepoint).__name__}")
    found: StatePoint = to_plain(statepoint, key_of=_key)
    return found


def job_id(statepoint: StatePoint) -> str:
    """Return the id of a normalised state point."""
    return hashlib.md5(canonical(statepoint), usedforsecurity=False).hexdigest()


def canonical(statepoint: StatePoint) -> bytes:
    """Return the text that stands for a normalised state point, whatever the order of its keys."""
    return json.dumps(statepoint, sort_keys=True).encode("ascii")


def _key(key: Any) -> str:
    text = lenient_key(key)
    if "." in text:
        raise InvalidKeyError(f"keys may not contain dots: {text!r}")
    return text


class Workspace:
    """The jobs of one folder, which need not exist yet.

    Args:
        path: The folder, absolute.
        durable: Whether changes are on disk when they return.
        root: The folder of the project. The workspace is not made anew without it.
    """

    def __init__(self, path: str, *, durable: bool, root: str | None = None) -> None:
        self.path = path
        self.home = os.path.join(path, SCRATCH)
        self.durable = durable
        self._root = root

    # --- Looking ------------------------------------------------------------------------------------

    def folder(self, job: str) -> str:
        """Return the path of a job's folder, which need not exist."""
        return f"{self.path}/{job}"

    def ids(self) -> list[str]:
        """Return the ids of all jobs, in no particular order.

        Cost: one listing of the folder, about 0.4 µs a job.

        Raises:
            WorkspaceError: The folder cannot be read.
        """
        try:
            names = [name for name in self._list(self.path) if len(name) == ID_LENGTH]
            # All at once, which takes a tenth of the time of one by one; mostly all are ids.
            are_ids = not os.fsencode("".join(names)).translate(None, b"0123456789abcdef")
            return names if are_ids else list(filter(is_job_id, names))
        except FileNotFoundError:
            self._require_no_dangling_link()
            return []
        except OSError as error:
            raise located(error, self.path) from error

    def beginning(self) -> tuple[list[str], bool]:
        """Return the ids among the first 1,000 entries of the folder, and whether it has no more entries.

        Cost: a part of a listing.

        Raises:
            WorkspaceError: The folder cannot be read.
        """
        try:
            with persist(partial(os.scandir, self.path)) as entries:
                names = [entry.name for entry in islice(entries, _FIRST)]
        except FileNotFoundError:
            self._require_no_dangling_link()
            return [], True
        except OSError as error:
            raise located(error, self.path) from error
        return list(filter(is_job_id, names)), len(names) < _FIRST

    @staticmethod
    def _list(path: str) -> list[str]:
        try:
            return os.listdir(path)
        except OSError as error:
            if error.errno not in REPLACED:
                raise
            return persist(partial(os.listdir, path))

    def __contains__(self, job: str) -> bool:
        """Return whether a job exists; one system call, or two if it does not.

        Raises:
            WorkspaceError: The workspace is a link that leads nowhere.
        """
        way = way_of(self.path)
        if is_there(self.folder(job), stat.S_ISDIR, way) if way.shared else os.path.isdir(self.folder(job)):
            return True
        self._require_no_dangling_link()
        return False

    def _require_no_dangling_link(self) -> None:
        """Raise WorkspaceError if the workspace is a link that leads nowhere, and so not merely absent."""
        try:
            refuse_dangling(self.path)
        except FileNotFoundError as error:
            raise located(error, self.path) from None

    def statepoint(self, job: str) -> StatePoint:
        """Return the state point of a job, after checking that it belongs to the id.

        Finishes the change of a state point that was interrupted (see `rename`).

        Raises:
            KeyError: The job does not exist.
            JobsCorruptedError: The file is missing or damaged, or belongs to another id; or what has the name
                of the job is not a folder.
        """
        for _ in range(2):
            # Again: 1. here: read the old one   2. the mover: put the new one in its place
            #        3. here: found no new one waiting.
            found = _parse(self._read_statepoint(job), job)
            if found is not None:
                return found
            found = self._finish(job)
            if found is not None:
                return found
        if job not in self and not os.path.lexists(self.folder(job)):
            raise NoSuchJobError(job, self.path)
        raise JobsCorruptedError([job])

    def _read_statepoint(self, job: str) -> bytes | None:
        """Return the content of a job's file; nothing, which is damage, for what is not a file."""
        path = self._statepoint_file(job)
        try:
            return read_path(path)
        except FileNotFoundError:
            if not os.path.islink(path):
                return None
        except OSError as error:
            if error.errno in _NOT_A_FILE:
                return b""
            if error.errno not in {errno.ENOTDIR, *REPLACED}:
                raise
        try:
            return read_file(path)  # which waits if the file is replaced meanwhile
        except OSError as error:
            if error.errno not in _NOT_A_FILE:
                raise
            return b""

    def foreign_statepoint(self, job: str) -> StatePoint | None:
        """Return the state point in a job's folder, even one of another id; None if it is missing."""
        content = self._read_statepoint(job)
        try:
            found = None if content is None else json.loads(content)
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    # --- Making and removing ------------------------------------------------------------------------

    def create(self, job: str, statepoint: StatePoint, *, force: bool = False) -> bool:
        """Make a job, if it does not exist; return whether this call made it. Many may try at once.

        Args:
            job: The id.
            statepoint: The state point of that id.
            force: Whether a damaged state-point file is to be replaced.

        Raises:
            JobsCorruptedError: The job exists already, with a damaged state point; nothing was changed.
            WorkspaceError: The workspace cannot be written.
        """
        content = json.dumps(statepoint).encode("ascii")
        for _ in range(_ATTEMPTS):
            present = self._read_statepoint(job)
            if present is not None:
                if _parse(present, job) is not None or self._is_valid(job):
                    return False
                if not force:
                    raise JobsCorruptedError([job])
            try:
                return self._create(job, content)
            except FileNotFoundError:
                continue  # removed meanwhile, or our staging folder was swept
        raise located(OSError(errno.EBUSY, "it is removed as often as it is made"), self.folder(job))

    def _create(self, job: str, content: bytes) -> bool:
        staging = self.stage()
        try:
            persist(partial(write_new, os.path.join(staging, FN_STATEPOINT), content, durable=self.durable))
            if self._publish(staging, self.folder(job)):
                return True
            if self._is_valid(job):
                delete_tree(staging)
                return False
            # A folder without a valid state point: give it one.
            self._rename(os.path.join(staging, FN_STATEPOINT), self._statepoint_file(job))
            self._sync(self.folder(job))
            os.rmdir(staging)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
        return True

    def _is_valid(self, job: str) -> bool:
        try:
            self.statepoint(job)
        except (KeyError, JobsCorruptedError):
            return False
        return True

    def _statepoint_file(self, job: str) -> str:
        return f"{self.path}/{job}/{FN_STATEPOINT}"

    def remove(self, job: str) -> None:
        """Remove a job with all its files; does nothing if it does not exist.

        It is gone at one moment, before its files are deleted.
        """
        self.make_home()
        trash = os.path.join(self.home, temporary_name())
        try:
            self._rename(self.folder(job), trash)
        except FileNotFoundError:
            return
        self._sync(self.path)
        delete_tree(trash)

    def clear(self, job: str) -> None:
        """Remove all files of a job but its state point; does nothing if it does not exist."""
        try:
            names = self._list(self.folder(job))
        except FileNotFoundError:
            self._require_no_dangling_link()
            return
        for name in names:
            if name == FN_STATEPOINT or name.startswith(OURS):
                continue
            path = os.path.join(self.folder(job), name)
            if os.path.isdir(path) and not os.path.islink(path):
                delete_tree(path)
            else:
                with suppress(FileNotFoundError):
                    persist(partial(os.unlink, path))

    # --- Moving -------------------------------------------------------------------------------------

    def rename(self, job: str, target: str, statepoint: StatePoint) -> bool:
        """Give a job another state point, and so another id; return whether the job existed.

        1. The new state point is written into the folder, under a name with the new id.
        2. The folder is renamed: from now on the job is the new one, for all readers.
        3. The new state point takes the place of the old one.

        A reader of a state point that is not the folder's and finds the right one waiting does step 3
        himself. So it does not matter where this process is killed.

        Raises:
            DestinationExistsError: A job with that id exists already; nothing was changed.
        """
        mark = temporary_name().removeprefix(OURS)
        intent = f"{_INTENT}{target}-{mark}"
        try:
            folder = self._open(self.folder(job))
        except FileNotFoundError:
            self._require_no_dangling_link()
            return False
        try:
            content = json.dumps(statepoint).encode("ascii")
            persist(partial(write_new_in, folder, intent, content, durable=self.durable))
            folder.settle(intent)  # from the renaming on it is needed, whatever happens here
            if self.durable:
                folder.sync()
            try:
                self._rename(self.folder(job), self.folder(target))
            except OSError as error:
                # By descriptor: if another process was faster, the folder has another name now.
                discard(folder, intent)
                if error.errno in TAKEN:
                    raise DestinationExistsError(target) from None
                if error.errno == errno.ENOENT:
                    return False
                raise
            with suppress(FileNotFoundError):  # a reader has done it already
                persist(partial(folder.replace, intent, FN_STATEPOINT))
            if self.durable:
                folder.sync()
            self._sync(self.path)
        finally:
            folder.close()
        return True

    def _finish(self, job: str) -> StatePoint | None:
        """Put the state point that waits in a folder into its place; None if no file waits for this id."""
        path = self.folder(job)
        try:
            names = self._list(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        for name in names:
            if name.startswith(f"{_INTENT}{job}-"):
                waiting = os.path.join(path, name)
                found = _parse(read_file(waiting), job)
                if found is not None:
                    with suppress(
                        FileNotFoundError, PermissionError
                    ):  # done by another process, or not permitted
                        self._rename(waiting, os.path.join(path, FN_STATEPOINT))
                    return found
        return None

    def tidy(self, job: str, *, min_age: float = STALE_SECONDS) -> None:
        """Delete the state points that wait in a job's folder for moves that never happened.

        Args:
            job: The job.
            min_age: How many seconds ago they must have been written.
        """
        try:
            listed = persist(lambda: list(os.scandir(self.folder(job))))
            entries = [entry for entry in listed if entry.name.startswith(_INTENT)]
        except (FileNotFoundError, NotADirectoryError):
            return
        for entry in entries:
            with suppress(FileNotFoundError, PermissionError):
                if time.time() - entry.stat(follow_symlinks=False).st_mtime >= min_age:
                    os.unlink(entry.path)

    # --- Appearing ----------------------------------------------------------------------------------

    def publish(self, staging: str, job: str) -> None:
        """Make a staged folder, which holds a state point, a job.

        Raises:
            DestinationExistsError: The job exists already; the staged folder stays.
        """
        if not self._publish(staging, self.folder(job)):
            raise DestinationExistsError(job)

    def _publish(self, staging: str, target: str) -> bool:
        self._sync(staging)
        try:
            self._rename(staging, target)
        except OSError as error:
            if error.errno in TAKEN:
                return False
            raise
        self._sync(self.path)
        return True

    def _rename(self, source: str, target: str) -> None:
        if not rename_local(source, target, self.path):
            rename_path(source, target, way_of(self.path))

    def _open(self, path: str) -> Folder:
        folder = open_local(path, (), "auto", lockable=False, place=self.path)
        return folder or open_folder(path, lockable=False, place=self.path)

    def require(self, job: str) -> None:
        """Raise FileNotFoundError if a job that a handle has seen does not exist any more."""
        if job not in self:
            raise FileNotFoundError(
                errno.ENOENT,
                "the job was removed, or moved to another id or project, since this handle was opened: "
                "open the job again, or call init() to make a new one",
                self.folder(job),
            )

    def make(self) -> None:
        """Make the workspace, unless it exists; raises WorkspaceError if that fails."""
        self._make(self.path)

    def _make(self, path: str) -> None:
        """Make a folder, unless it exists: jobs in the folder of a project that has moved would be lost.

        Raises:
            WorkspaceError: That fails, or the project's folder does not exist any more.
        """
        try:
            if persist(partial(is_folder, path)):
                return
            self.require_root()
            persist(partial(make_base, path, durable=self.durable))
        except WorkspaceError:
            raise
        except OSError as error:
            raise located(error, path) from error

    def require_root(self) -> None:
        """Raise WorkspaceError if the project's folder does not exist any more."""
        if self._root is not None and not persist(partial(is_folder, self._root)):
            raise WorkspaceError(
                f"{self._root}: the folder of the project was removed or renamed since the project was "
                "opened; open the project where it is now"
            )

    def sync(self) -> None:
        """Bring the names of the jobs to the disk, where changes are to be durable."""
        self._sync(self.path)

    def _sync(self, path: str) -> None:
        if self.durable:
            with self._open(path) as folder:
                folder.sync()

    # --- Folders that are not jobs --------------------------------------------------------------------

    def make_home(self) -> None:
        """Make the folder for what is not a job; raises WorkspaceError if that fails."""
        self._make(self.home)

    def stage(self, *, copy: bool = False) -> str:
        """Make a new folder that will become a job, and return its path.

        Args:
            copy: Whether filling it may take long, so that it must not be swept soon.
        """
        prefix = _COPY if copy else ""
        staging = os.path.join(self.home, prefix + temporary_name())
        try:
            make_own(staging)
        except FileNotFoundError:
            self.make_home()
            make_own(staging)
        return staging

    def sweep(self, *, min_age: float = STALE_SECONDS) -> int:
        """Delete what dead processes left in the workspace, and return how much that was.

        Args:
            min_age: Seconds for which a folder must not have been changed; copies get a week.
        """
        swept = 0
        try:
            entries = persist(lambda: list(os.scandir(self.home)))
        except FileNotFoundError:
            return 0
        for entry in entries:
            if not entry.name.removeprefix(_COPY).startswith(OURS):
                continue
            age = max(min_age, _COPY_STALE_SECONDS) if entry.name.startswith(_COPY) else min_age
            with suppress(FileNotFoundError, PermissionError):
                if time.time() - entry.stat(follow_symlinks=False).st_mtime >= age:
                    if entry.is_dir(follow_symlinks=False):
                        delete_tree(entry.path)
                    else:
                        os.unlink(entry.path)
                    swept += 1
        return swept


def delete_tree(path: str) -> None:
    """Delete a folder, in which other processes may still write."""
    for _ in range(_ATTEMPTS):
        try:
            shutil.rmtree(path)
        except FileNotFoundError:
            if not os.path.lexists(path):
                return
        except OSError as error:
            if error.errno not in {*TAKEN, errno.ESTALE}:
                raise
        else:
            return
    shutil.rmtree(path)


def _parse(content: bytes | None, job: str) -> StatePoint | None:
    """Return the state point in a file, if it is the one that belongs to the id."""
    try:
        found = None if content is None else json.loads(content)
        return found if isinstance(found, dict) and job_id(found) == job else None
    except ValueError:  # not JSON, or not even text
        return None
