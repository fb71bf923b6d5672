"""Folders on file systems that several machines use: locks that the server arbitrates, and looks past caches.

A client of a network file system answers from its caches: that a name exists, which file it is, what is in
it, and even locks. Experiments showed which calls reach the server (Linux 6.1, two clients of one server):

- NFS 3 and 4: a lock on a folder is granted by each client for itself; record locks on a file are the
  server's. Opening a folder asks the server whether the folder has changed, and so makes names in it fresh.
- SMB: record locks on a file reach the server. A look at a status is fresh after a forced statx(2), for a
  name that exists, and after ``rename(name, name)``, for one that the client takes for missing; but only if
  no program of the client has a file of that name open, because the client asks by an open file if it has
  one. With a lease, it keeps files open for a second after a program has closed them. The mount option
  ``nolease`` prevents that; a call of flock(2) before closing does not always. Without it, conditions are
  refused.
  Programs of one client that open a file at the same time share one handle, so readers take the lock, too.
  The name of a file that is open elsewhere is free at once if the file is renamed before it is removed.
  If a program is killed within a call that locks or unlocks, the server may have locked the file without the
  client's knowledge: 5 of 25 kills did that while another program of the client shared the handle. The lock
  lasts until that handle is closed. None of 25 kills did where each program had a handle of its own.

The lock is a file in the folder (`LOCK_FILE`). It is the sign for programs on the server itself, which see a
local file system, that they must take the same lock.
"""

from __future__ import annotations

import ctypes
import errno
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from operator import call
from typing import Final, TypeVar

from perkey.answers import ignore_system_answer, system_answer
from perkey.content import Data
from perkey.errors import OutcomeUnknownError
from perkey.expectations import ANY
from perkey.files.file_systems import Locking, Way, stale_errors
from perkey.files.folder import (
    LOCK_FLAGS,
    TEMPORARY,
    Folder,
    Handle,
    open_local,
    persist,
    temporary_name,
)
from perkey.files.locks import Hold, Turn
from perkey.files.reading import FOLDER, explain
from perkey.files.replacing import place
from perkey.files.sharing import RecordLock, way_of
from perkey.files.syscalls import libc_function
from perkey.files.tidying import discard
from perkey.naming import Name

if sys.platform != "win32":
    import fcntl

R = TypeVar("R")

_LEASE_SECONDS: Final = 45.0
"""For how long a lock is relied on: half of the lease that servers of NFS 4 usually give."""
_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", 0))
_OPEN_SECONDS: Final = 3.0
_TRIES: Final = 8
_INSERTING_SECONDS: Final = 0.25
_RECENT: Final = 60_000_000_000
_AT_EMPTY_PATH: Final = 0x1000
_AT_STATX_FORCE_SYNC: Final = 0x2000
_STATX_BASIC: Final = 0x7FF
_MAYBE_DONE: Final = frozenset((errno.ENOENT, errno.EEXIST, errno.ESTALE))
"""What a client gets for a change of names that it has repeated, and whose first call may have succeeded."""


def open_folder(
    base: str, parts: Name = (), *, lockable: bool = True, locking: Locking = "auto", place: str | None = None
) -> Folder:
    """Open a folder as its file system needs it; as `Folder.at`.

    Args:
        base: As for `Folder.at`.
        parts: As for `Folder.at`.
        lockable: As for `Folder.at`.
        locking: What the caller has chosen.
        place: The folder whose file system decides, if it is another one than `base`: for example
            that of a data space, for the folders of its jobs.
    """
    folder = open_local(base, parts, locking, lockable=lockable, place=place)
    if folder is not None:
        return folder
    way = way_of(base if place is None else place, locking, writing=lockable)
    if not way.shared:
        return Folder.at(base, parts, lockable=lockable, way=way)
    return persist(partial(SharedFolder.reach, base, parts, way, lockable=lockable), way.file_system)


def open_local_folder(base: str, parts: Name, locking: Locking) -> Folder:
    """Open a folder on a local file system, as `open_folder`, even if other machines use it meanwhile."""
    return Folder.at(base, parts, way=way_of(base, locking))


def use_shared(base: str, name: Name, flags: int, act: Callable[[int], R], way: Way) -> R:
    """Open a file or folder below `base` past the client's caches; as `perkey.files.folder.use`."""
    end = time.monotonic() + _INSERTING_SECONDS

    def attempt() -> R:
        with SharedFolder.reach(base, name[:-1], way, lockable=way.is_smb) as folder:
            try:
                if way.is_smb:
                    folder.lock_for_reading()
                with Handle() as file:
                    folder.freshen(name[-1])
                    try:
                        fd = file.open(name[-1], flags, dir_fd=folder.fileno())
                    except system_answer(OSError) as error:
                        explain(error, f"{folder.path}/{name[-1]}")
                    folder.close_at_once(fd)
                    if _is_being_inserted(os.fstat(fd)) and time.monotonic() < end:
                        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), f"{folder.path}/{name[-1]}")
                    return act(fd)
            finally:
                folder.unlock()

    return persist(attempt, way.file_system)


def stat_shared(base: str, name: Name, way: Way) -> os.stat_result:
    """Return the status of the file `name` below `base` as the server has it; raises as `use_shared`."""

    def attempt() -> os.stat_result:
        with SharedFolder.reach(base, name[:-1], way, lockable=False) as folder:
            found = folder.stat(name[-1])
        if found is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "/".join((base, *name)))
        return found

    return persist(attempt, way.file_system)


def shared_status(path: str, way: Way) -> os.stat_result:
    """Return the status of a file as the server has it; raises as `os.stat`."""
    if not way.shared:
        return os.stat(path)
    target = os.path.realpath(path)
    with open_shared(os.path.dirname(target), way) as folder:
        found = folder.stat(os.path.basename(target))
    if found is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    return found


def rename_path(source: str, target: str, way: Way) -> None:
    """Rename a file or folder as `os.rename`, and recognise a call whose first reply was lost."""
    _rename_by(os.rename, source, target, way)


def _rename_by(rename: Callable[[str, str], None], source: str, target: str, way: Way) -> None:
    if not way.shared:
        rename(source, target)
        return
    mine = persist(partial(os.lstat, source), way.file_system)
    try:
        persist(partial(rename, source, target), way.file_system)
    except system_answer(OSError) as error:
        if error.errno not in {errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY}:
            raise
        with open_shared(os.path.dirname(target), way) as folder:
            if not folder.is_at(os.path.basename(target), mine):
                raise


def move_path(source: str, target: str) -> None:
    """Rename a file or folder as `rename_path`, as the folder of the target needs it."""
    rename_path(source, target, way_of(os.path.dirname(os.path.abspath(target))))


def replace_path(source: str, target: str) -> None:
    """Rename a file, replacing an existing one; otherwise as `move_path`."""
    _rename_by(os.replace, source, target, way_of(os.path.dirname(os.path.abspath(target))))


def is_there(path: str, kind: Callable[[int], bool], way: Way) -> bool:
    """Return whether something of a kind is at a path, as the server has it.

    Args:
        path: The path.
        kind: Takes its mode, as `stat.S_ISDIR`.
        way: How its folder is used.
    """
    try:
        return kind(shared_status(path, way).st_mode)
    except system_answer(FileNotFoundError, NotADirectoryError):
        return False


def open_shared(path: str, way: Way, *, lockable: bool = False) -> SharedFolder:
    """Open a folder that other machines use."""
    return persist(partial(SharedFolder.reach, path, (), way, lockable=lockable), way.file_system)


class SharedFolder(Folder):
    """An open folder that other machines use, too.

    Args:
        path: As for `Folder`.
        way: How it is used.
        lockable: As for `Folder`.
    """

    shared = True
    _locked = 0.0

    def __init__(self, path: str, way: Way, *, lockable: bool) -> None:
        super().__init__(path, lockable=lockable)
        self.way: Way = way
        self._shared_lock: RecordLock = RecordLock(way, self)
        self._base = path
        self._parts: Name = ()
        self._smb = way.is_smb
        if self._smb:
            # Clients share handles of files that are open for reading (Linux before 6.14).
            self.lock_flags = LOCK_FLAGS & ~os.O_RDWR | os.O_WRONLY

    @classmethod
    def reach(cls, base: str, parts: Name, way: Way, *, lockable: bool) -> SharedFolder:
        """Open a folder. Each folder on the way is opened for reading, which makes the names in it fresh."""
        folder = cls("/".join((base, *parts)), way, lockable=lockable)
        folder._base, folder._parts = base, parts
        try:
            folder._walk()
        except BaseException:
            folder.close()
            raise
        return folder

    def _walk(self) -> None:
        with Handle() as passed:
            here = None
            for depth in range(len(self._parts)):
                here = self._step(passed, depth, here)
            self._fd = self._step(self, len(self._parts), here)

    def _step(self, handle: Handle, depth: int, above: int | None) -> int:
        """Open the folder of that depth below the base folder."""
        if above is None:
            return handle.open(self._base, os.O_RDONLY | os.O_DIRECTORY)
        try:
            return handle.open(self._parts[depth - 1], FOLDER, dir_fd=above)
        except system_answer(OSError) as error:
            explain(error, "/".join((self._base, *self._parts[:depth])))

    # --- Looking past caches ------------------------------------------------------------------------------

    def freshen(self, name: str) -> None:
        """Make the client ask the server for a name again."""
        if self._smb:
            force(self._fd, name)
            with ignore_system_answer(OSError):  # not there, or not to be renamed by this user
                os.rename(name, name, src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def close_at_once(self, fd: int) -> None:
        """Keep an SMB client from holding a file open after it was closed here."""
        if self._smb:
            with ignore_system_answer(OSError):
                fcntl.flock(fd, fcntl.LOCK_UN)

    def stat(self, name: str) -> os.stat_result | None:
        """Return the status of a file as the server has it, or None if it does not exist.

        Raises:
            OSError: (ESTALE) The folder was replaced while it is locked or written to: begin again.
        """
        try:
            found = self._afresh(partial(self._stat_once, name))
            if found is not None and self.hold is None and _is_being_inserted(found):
                found = self._when_inserted(name)
        except system_answer(FileNotFoundError, NotADirectoryError):
            return None  # the folder is gone
        return found

    def _when_inserted(self, name: str) -> os.stat_result | None:
        end = time.monotonic() + _INSERTING_SECONDS
        while True:
            found = self._afresh(partial(self._stat_once, name))
            if found is None or not _is_being_inserted(found) or time.monotonic() > end:
                return found
            time.sleep(0.001)

    def _afresh(self, act: Callable[[], R]) -> R:
        """Call `act` again if names or this folder are replaced meanwhile; the folder is opened anew then."""
        for _ in range(_TRIES):
            try:
                return act()
            except system_answer(OSError) as error:
                if error.errno not in stale_errors(self.way.file_system):
                    raise
            if self.hold is None and not self._temporaries:
                persist(self._walk, self.way.file_system)
        return persist(act, self.way.file_system, seconds=0.1)

    def _stat_once(self, name: str) -> os.stat_result | None:
        with Handle() as again:
            # Opened anew, which asks the server whether names in the folder have changed.
            here = again.open(".", FOLDER, dir_fd=self._fd)
            self.freshen(name)
            with ignore_system_answer(FileNotFoundError):
                force(here, name)
            found = super().stat(name)
        if found is not None and not found.st_nlink:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), f"{self.path}/{name}")
        return found

    def open_file(self, name: str, file: Handle) -> int:
        """Open a file for reading, as the server has it."""
        self.freshen(name)
        fd = super().open_file(name, file)
        self.close_at_once(fd)
        return fd

    def put(self, name: Name, data: Data, *, durable: bool) -> None:
        """Write a file as `Folder.put`."""
        place(self, name, data, ANY, durable=durable, versioned=False)

    # --- Changing names, with replies that may be lost ---------------------------------------------------

    def replace(self, temporary: str, name: str, turn: Turn | None = None) -> bool:
        """Rename a file, replacing an existing one; as `Folder.replace`.

        Raises:
            OutcomeUnknownError: The client repeated the call after a lost reply, and other processes
                used both names meanwhile.
        """
        mine = self._identity(temporary)
        before = None if turn is None else self._state(name)
        self._require_lease(name)
        try:
            return (
                self._replace_open(temporary, name, turn)
                if self._smb
                else self._rename(temporary, name, turn)
            )
        except system_answer(OSError) as error:
            if error.errno not in _MAYBE_DONE:
                raise
            try:
                found = self.stat(name)
            except system_answer(OSError):
                found = None
            there = None if found is None else (found.st_dev, found.st_ino)
            if mine is not None and there == mine:
                return True  # the first call succeeded and its reply was lost
            if turn is None or (None if found is None else _state_of(found)) == before:
                raise  # it did not happen, or may happen again: the folder or the temporary file was removed
            raise OutcomeUnknownError((*self._parts, name), f"{self.path}/{name}") from None

    def _rename(self, temporary: str, name: str, turn: Turn | None) -> bool:
        return super().replace(temporary, name, turn)

    def _replace_open(self, temporary: str, name: str, turn: Turn | None) -> bool:
        """Rename a file in place of one that readers may have open, which SMB servers refuse for as long.

        Readers of perkey close their files at once. Those of other programs are waited for, and then the old
        file is renamed first: for a moment nothing is in its place.
        """
        end = time.monotonic() + _OPEN_SECONDS
        while True:
            try:
                return self._rename(temporary, name, turn)
            except system_answer(PermissionError):
                if time.monotonic() > end:
                    break
            time.sleep(0.005 + 0.01 * random.random())  # noqa: S311 - no secret
        if turn is not None and not self.unlink(name, turn):
            return False
        return persist(partial(self._rename, temporary, name, None), self.way.file_system)

    def link(self, temporary: str, name: str) -> None:
        """Give a file a second name; raises FileExistsError if that is taken by another file."""
        self._link_and(temporary, name)

    def insert(self, temporary: str, name: str) -> bool:
        """Give a file its final name by link(2), which the server decides, and take the temporary one away.

        Both calls are made by one of a function in C, so that no signal handler of this thread sees a version
        between them, which the second call changes. Other readers wait for a moment (`_is_being_inserted`).
        """
        if not self._link_and(temporary, name, partial(os.unlink, temporary, dir_fd=self._fd)):
            discard(self, temporary)
        return True

    def _link_and(self, temporary: str, name: str, *more: Callable[[], None]) -> bool:
        """Link a file and make the calls `more`; return whether all of them are known to have succeeded."""
        mine = self._identity(temporary)
        self._require_lease(name)
        steps: list[Callable[[], None]] = [
            partial(
                os.link, temporary, name, src_dir_fd=self._fd, dst_dir_fd=self._fd, follow_symlinks=False
            ),
            *more,
        ]
        try:
            any(map(call, steps))
        except system_answer(OSError) as error:
            if error.errno in _MAYBE_DONE:
                found = self._afresh(partial(self._stat_once, name))
                if mine is not None and found is not None and (found.st_dev, found.st_ino) == mine:
                    return False  # it was done and its reply lost; or it was the second call that failed
            explain(error, f"{self.path}/{name}")
        return True

    def unlink(self, name: str, turn: Turn | None = None) -> bool:
        """Remove a file as `Folder.unlink`.

        On SMB its name is free at once, even if it is open elsewhere. Without locks, the file gets a name of
        this call's own before, so that a lost reply is not taken for the removal by another process.
        """
        if name.startswith(TEMPORARY):
            return self._unlink_temporary(name)
        self._require_lease(name)
        if self.hold is not None and not self._smb:
            return self._unlink(name, turn)
        away = temporary_name()
        try:
            if not super().replace(name, away, turn):
                return False
        except system_answer(OSError) as error:
            if error.errno not in _MAYBE_DONE or self._identity(away) is None:
                raise
        with ignore_system_answer(OSError):  # swept later
            super().unlink(away)
        return True

    def _unlink(self, name: str, turn: Turn | None) -> bool:
        """Remove a file under the lock, where only a repetition of the client's own call can miss it."""
        there = self._identity(name)
        try:
            return super().unlink(name, turn)
        except system_answer(OSError) as error:
            if error.errno not in _MAYBE_DONE or there is None:
                raise
            if error.errno == errno.ESTALE and self.stat(name) is not None:
                raise  # it did not happen
            return True  # the first call succeeded and its reply was lost

    def _unlink_temporary(self, name: str) -> bool:
        try:
            return super().unlink(name)
        except system_answer(OSError) as error:
            if error.errno != errno.ESTALE:
                raise
            return True  # swept later

    def _require_lease(self, name: str) -> None:
        """Begin again if the lock was taken so long ago that the server may have given it to another machine.

        That is so if this machine was suspended, or cut off while the item was compared.
        """
        if self.hold is not None and _seconds() - self._locked > _LEASE_SECONDS:
            raise OSError(errno.ESTALE, "the lock may be lost, held for too long", f"{self.path}/{name}")

    def create(self, name: str, file: Handle) -> int:
        """Create a file as `Folder.create`, under a name that no other process uses."""
        try:
            return super().create(name, file)
        except system_answer(FileExistsError):
            return file.open(name, os.O_RDWR | os.O_TRUNC | os.O_NOFOLLOW, dir_fd=self._fd)

    def is_at(self, name: str, mine: os.stat_result) -> bool:
        """Return whether a file is the one that has a name here."""
        found = self.stat(name)
        return found is not None and os.path.samestat(found, mine)

    def may_have_unnamed(self) -> bool:
        """Return True: insertions are by link(2), so that the server refuses a second one."""
        return True

    def _identity(self, name: str) -> tuple[int, int] | None:
        try:
            found = os.stat(name, dir_fd=self._fd, follow_symlinks=False)
        except system_answer(OSError):
            return None
        return found.st_dev, found.st_ino

    def _state(self, name: str) -> tuple[int, ...] | None:
        """Return what distinguishes a file from a later one with the same inode."""
        try:
            return _state_of(os.stat(name, dir_fd=self._fd, follow_symlinks=False))
        except system_answer(OSError):
            return None

    # --- Locking -------------------------------------------------------------------------------------------

    def lock(self) -> bool:
        """Lock as `Folder.lock`, and note when."""
        locked = super().lock()
        self._locked = _seconds()
        return locked

    def lock_for_reading(self) -> None:
        """Lock the folder, if this user may.

        An SMB client lets programs that open a file share the server's handle of another program that has it
        open, even if the file was replaced since. Under the lock no program of perkey has one open.
        """
        with ignore_system_answer(PermissionError):
            self.lock()

    def _take_lock(self, hold: Hold) -> bool:
        system = self.way.file_system
        locks_anyway = system is not None and system.locks_anyway
        return (not self.way.no_locks or locks_anyway) and self._shared_lock.take(hold)

    def sync(self) -> None:
        """Bring the names in this folder to the disk, where the client has a call for that.

        Servers of NFS and SMB answer a change of names when it is on the disk.
        """
        try:
            super().sync()
        except system_answer(OSError) as error:
            # ESTALE: the folder was removed meanwhile, with what was to be kept.
            if error.errno not in {errno.EINVAL, errno.EBADF, errno.EOPNOTSUPP, errno.ESTALE}:
                raise

    def enter(self, name: str) -> Folder:
        """Return the folder `name` in this one, open for listing."""
        return self._afresh(partial(self._enter_once, name))

    def _enter_once(self, name: str) -> Folder:
        inner = SharedFolder(f"{self.path}/{name}", self.way, lockable=False)
        inner._base, inner._parts = self._base, (*self._parts, name)
        inner._fd = inner.open(name, FOLDER, dir_fd=self._fd)
        return inner

    def scan(self) -> AbstractContextManager[Iterator[os.DirEntry[str]]]:
        """List the folder at once: what is replaced while it is listed makes a client begin anew."""
        try:
            return self._afresh(self._scan_once)
        except system_answer(FileNotFoundError, NotADirectoryError):
            return nullcontext(iter(()))  # the folder is gone

    def _scan_once(self) -> AbstractContextManager[Iterator[os.DirEntry[str]]]:
        with super().scan() as entries:
            # What is replaced meanwhile is there twice, if the file system lists it in a new place.
            listed = list({entry.name: entry for entry in entries}.values())
        for entry in listed:
            # Asks only where the file system does not list types; an entry remembers the answer.
            entry.is_file(follow_symlinks=False)
        return nullcontext(iter(listed))

    def _remover(self) -> Callable[[str], None]:
        return partial(_unlink_quietly, self._fd)


def _seconds() -> float:
    """Return the time of a clock that goes on while the machine is suspended, if there is one."""
    return time.clock_gettime(_CLOCK)


def _state_of(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_mtime_ns


def _is_being_inserted(found: os.stat_result) -> bool:
    """Return whether a file seems to have its temporary name, too, whose loss will change its version.

    If its inode was changed long ago, its second name is not of an insertion. It may be of a backup that
    consists of links.
    """
    return found.st_nlink > 1 and abs(time.time_ns() - found.st_ctime_ns) < _RECENT


def _unlink_quietly(folder: int, name: str) -> None:
    with ignore_system_answer(OSError):  # gone by a call whose reply was lost; or swept later
        os.unlink(name, dir_fd=folder)


def force(folder: int, name: str) -> None:
    """Ask the server for the status of a file, so that the client's next answer is fresh (statx(2)).

    Does nothing if the system lacks the call, or if the file does not exist.
    """
    function = libc_function(
        "statx", ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p
    )
    if function is not None:
        flags = _AT_STATX_FORCE_SYNC | 0x100  # AT_SYMLINK_NOFOLLOW
        function(folder, os.fsencode(name), flags, _STATX_BASIC, ctypes.create_string_buffer(256))
