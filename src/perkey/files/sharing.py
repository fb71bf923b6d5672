"""Whether the folders below a base folder are used by several machines, and how programs agree on that.

The first program that uses a base folder in this way leaves a text in its lock file. Programs on the server
itself, which see a local file system, look for it before they write.
"""

from __future__ import annotations

import errno
import os
import random
import re
import struct
import sys
import time
import warnings
from functools import partial
from typing import Final, get_args

from perkey.answers import ignore_system_answer, system_answer
from perkey.arguments import check_kind
from perkey.errors import LockTimeoutError, UnknownFileSystemWarning
from perkey.files import folder as folders
from perkey.files.file_systems import Locking, Way, file_system_of
from perkey.files.folder import LOCK_FILE, TEMPORARY, Folder, Handle, sync, temporary_name, ways
from perkey.files.locks import Hold, locked_for_outer
from perkey.files.reading import READ
from perkey.files.syscalls import getdents
from perkey.pages import page

if sys.platform != "win32":
    import fcntl

VARIABLE: Final = "PERKEY_LOCKING"
"""The environment variable that replaces ``locking="auto"``."""

SETTLING_SECONDS: Final = 2.5
_LOCK_SECONDS: Final = 300.0
_PAUSE: Final = 0.05
_SMB_PAUSE: Final = 0.2
"""How long a writer waits at most until it tries to lock again. On SMB a try costs the server much more."""
_SMB_OPEN_SECONDS: Final = 2.0
"""From then on, a writer that waits for a lock on SMB closes the lock file between two attempts."""
_SETLK: Final = 37  # F_OFD_SETLK of Linux
_TAKEN: Final = frozenset((errno.EACCES, errno.EAGAIN))
_UNSUPPORTED: Final = frozenset((errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP))
_MOST_WAYS: Final = 10_000
_SETTLING: Final = b"perkey begins to use this folder from several machines.\n"
SETTLED: Final = (
    b"perkey locks this file when it writes to this folder. Do not remove it while programs run.\n"
)
SETTLED_SMB: Final = SETTLED + b"This folder is shared by SMB.\n"
_MOST_TEXT: Final = 1000
_BY_SMB: Final = (
    "other machines use it by SMB, whose server may keep their locks to itself; "
    "open it by the same share on this machine, too"
)


_LOCKINGS: Final = get_args(Locking)
_ALLOWED: Final = ", ".join(map(repr, _LOCKINGS))

shared_ways: Final[dict[tuple[str, Locking], Way]] = {}
"""The ways for several machines that are known so far: for readers, which do not decide."""


def check_locking(locking: str, name: str = "locking") -> Locking:
    """Return a value of `locking`.

    Args:
        locking: The value.
        name: The name of the argument or variable that has it, for an error.

    Raises:
        TypeError: The value is not a str.
        ValueError: The value is another str.
    """
    check_kind(name, locking, str, f"one of {_ALLOWED}")
    if locking not in _LOCKINGS:
        raise ValueError(f"{name} must be one of {_ALLOWED}, not {locking!r}")
    return locking  # type: ignore[return-value]


def way_of(base: str, locking: Locking = "auto", *, writing: bool = False) -> Way:
    """Return how a base folder is used; decided once in a process.

    Cost: one system call for a folder on a local file system, and one to look for the lock file.

    Args:
        base: The base folder, absolute.
        locking: What the caller has chosen.
        writing: Whether something is about to be written. That must not miss the lock file of other machines.
    """
    way = ways.get((base, locking))
    if way is None:
        way = _decide(base, locking)
        if way is None:
            return _MISSING
        if len(ways) >= _MOST_WAYS:
            ways.clear()
        ways[base, locking] = way
    elif (
        writing
        and not way.shared
        and way.look is not None
        and time.monotonic() - way.looked > folders.LOOK_AGAIN_SECONDS
    ):
        way.look(way)
    if way.shared:
        shared_ways[base, locking] = way
    return way


def keeps_places(folder: Folder, way: Way) -> bool:
    """Return whether a listing of a folder may take several calls; see `perkey.files.entries`."""
    if way.shared or getdents() is None:
        return True
    return (way.file_system or file_system_of(folder.fileno())).keeps_places


_MISSING: Final = Way("", shared=False, file_system=None)


def _decide(base: str, locking: Locking) -> Way | None:
    if locking == "auto":
        locking = check_locking(os.environ.get(VARIABLE) or "auto", VARIABLE)
    if locking == "local":
        return Way(base, shared=False, file_system=None)
    if locking == "none":
        return Way(base, shared=True, file_system=None, no_locks='locking="none" was chosen')
    if sys.platform == "win32":
        return Way(base, shared=locking == "shared", file_system=None)
    try:
        with Handle() as file:
            found = file_system_of(file.open(base, os.O_RDONLY | os.O_DIRECTORY))
    except system_answer(OSError):
        return None  # it does not exist yet, or cannot be listed: the operation raises the error
    if locking == "shared":
        return Way(base, shared=True, file_system=found)
    if found.kind == "other" and not found.no_locks:
        warnings.warn(
            f"{base} is on a file system of type {found.type}; perkey does not know whether writers on "
            f"several machines exclude each other there. Run: perkey doctor {base} --with-others 2, "
            f"and see {page('concurrency')}",
            UnknownFileSystemWarning,
            stacklevel=2,
        )
    way = Way(base, found.kind != "local", found, found.no_locks, look_for_others)
    way.lock_of = partial(RecordLock, way)
    if not way.shared:
        look_for_others(way)
    return way


def look_for_others(way: Way) -> None:
    """Change to the path for several machines if another machine has left its mark in the lock file.

    An empty lock file is one of this machine, where folders themselves cannot be locked.
    """
    way.looked = time.monotonic()
    if not os.access(f"{way.base}/{LOCK_FILE}", os.F_OK, follow_symlinks=False):
        return
    with ignore_system_answer(OSError), Handle() as file:
        text = os.read(file.open(f"{way.base}/{LOCK_FILE}", READ), _MOST_TEXT)
        way.shared = text != b""
        if text == SETTLED_SMB:
            way.no_locks = _BY_SMB


def settle(way: Way) -> None:
    """Before the first write of a process, leave a mark in the base folder and wait until it was seen.

    Programs that use the base folder as a local one, on the server, look for it once in a second.
    """
    if way.settled:
        return
    settled = SETTLED_SMB if way.is_smb else SETTLED
    with (
        ignore_system_answer(PermissionError),
        Handle() as file,
    ):  # a reader of the base folder, who writes below it
        path = f"{way.base}/{LOCK_FILE}"
        fd = file.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        text = os.pread(fd, _MOST_TEXT, 0)
        if text == SETTLED_SMB and not way.is_smb:
            way.no_locks = _BY_SMB
        elif text != settled:
            if os.fstat(fd).st_uid == os.geteuid():
                os.fchmod(fd, 0o666)
            # A client would keep it for itself without being asked to write it out.
            os.pwrite(fd, _SETTLING, 0)
            sync(fd, path)
            time.sleep(SETTLING_SECONDS)
            os.pwrite(fd, settled, 0)
    way.settled = True


class RecordLock:
    """The lock of other machines on a folder: a record lock on the lock file in it, granted by the server.

    Args:
        way: How the folder is used.
        folder: The folder.
    """

    def __init__(self, way: Way, folder: Folder) -> None:
        self._way = way
        self._folder = folder

    def take(self, hold: Hold) -> bool:
        """Lock the lock file, waiting for its holder; return False if record locks are not supported."""
        return self._folder.lock_file(hold, self._take_record, self._has_name)

    def _take_record(self, fd: int) -> bool:
        settle(self._way)
        return locked_for_outer(fd, _try_lock) or self._wait_for(fd)

    def _has_name(self, fd: int) -> bool:
        # On SMB a file that is open is not deleted, and the client's count of links may be wrong.
        return self._way.is_smb or os.fstat(fd).st_nlink > 0

    def _wait_for(self, fd: int) -> bool:
        """Lock the lock file; return False where the file system has no such locks."""
        limit = float(os.environ.get("PERKEY_LOCK_SECONDS") or _LOCK_SECONDS)
        end = time.monotonic() + limit
        pause = 0.0005
        while True:
            try:
                if _try_lock(fd):
                    return True
            except system_answer(OSError) as error:
                if error.errno not in _UNSUPPORTED:
                    raise
                return False
            if time.monotonic() > end:
                raise LockTimeoutError(self._folder.path, limit, self._oldest_writer())
            seconds = pause * (0.5 + random.random())  # noqa: S311 - no secret
            if not self._way.is_smb or time.monotonic() < end - limit + _SMB_OPEN_SECONDS:
                time.sleep(seconds)
            elif not self._sleep_without(fd, seconds):
                return True
            pause = min(1.5 * pause, _SMB_PAUSE if self._way.is_smb else _PAUSE)

    def _sleep_without(self, fd: int, seconds: float) -> bool:
        """Close the lock file, sleep, and open it again; return False if the folder was deleted meanwhile.

        An SMB client may let programs that open a file in the same way share one handle of the server. If one
        of them is killed while it asks for the lock, the server has locked the file, and the client does not
        know that. The lock is released when all programs of that client have closed the file. The number of
        the descriptor stays, because the owner of the folder closes it, also after an interrupt.
        """
        self._folder.redirect(fd, self._folder.fileno())
        time.sleep(seconds)
        try:
            with Handle(lockable=True) as again:
                self._folder.redirect(fd, self._folder.open_lock_file(again))
        except system_answer(FileNotFoundError):
            return False  # nothing can be put into the folder any more
        return True

    def _oldest_writer(self) -> str:
        """Return host and process of the oldest unfinished write in the folder; empty if all are finished."""
        oldest: tuple[float, str] | None = None
        with ignore_system_answer(OSError), self._folder.scan() as entries:
            for entry in entries:
                if entry.name.startswith(TEMPORARY):
                    seen = (entry.stat(follow_symlinks=False).st_mtime, writer_of(entry.name))
                    oldest = seen if oldest is None else min(oldest, seen)
        return "" if oldest is None else oldest[1]

    def release(self, fd: int) -> None:
        """Release the lock; closing the file does so if this fails, as it was seen to on SMB (EIO)."""
        if not self._way.is_smb:
            with ignore_system_answer(OSError):
                _set_lock(fd, fcntl.F_UNLCK)


def _set_lock(fd: int, kind: int) -> None:
    """Set or release an open file's own record lock on the whole file, without waiting."""
    if sys.platform == "linux":
        fcntl.fcntl(fd, _SETLK, struct.pack("hhqqi4x", kind, os.SEEK_SET, 0, 0, 0))
    else:  # pragma: not on Linux
        fcntl.flock(fd, fcntl.LOCK_UN if kind == fcntl.F_UNLCK else fcntl.LOCK_EX | fcntl.LOCK_NB)


def _try_lock(fd: int) -> bool:
    """Lock a file without waiting; return whether it is locked now."""
    try:
        _set_lock(fd, fcntl.F_WRLCK)
    except system_answer(OSError) as error:
        if error.errno not in _TAKEN:
            raise
        return False
    return True


def signed_name() -> str:
    """Return a name as `temporary_name` that also names the process and the host that use it."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", os.uname().nodename)[:64]
    return f"{temporary_name()}-{os.getpid()}-{host}"


def writer_of(name: str) -> str:
    """Return the host and the process that a name of `signed_name` names; empty for other names."""
    parts = name.removeprefix(TEMPORARY).split("-", 3)
    return f"host {parts[3]}, process {parts[2]}" if len(parts) == 4 else ""  # noqa: PLR2004 - as above
