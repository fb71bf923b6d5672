"""From data to item: a new file beside the old one, then comparing, timing and renaming, under the lock."""

from __future__ import annotations

import errno
import io
import os
import stat as modes
import time
from typing import Any, Final, NoReturn

from perkey.answers import system_answer
from perkey.content import Data, Streamable
from perkey.errors import ConflictError
from perkey.expectations import ABSENT, ANY, Expectation, Verb, Version, refuse
from perkey.files import versions as stamps
from perkey.files.folder import Folder, discard, explain, signed_name, sync, temporary_name
from perkey.files.locks import Handle, Turn, begin_turn
from perkey.naming import Name

_NO_LINKS: Final = frozenset((errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK))
_GONE: Final = frozenset((errno.ESTALE, errno.ENOENT))
_LOOKS: Final = 8
_INSERTIONS: Final = 200
_PAUSE: Final = 0.02


def place(
    folder: Folder,
    name: Name,
    data: Data,
    expect: Expectation,
    *,
    durable: bool,
    keep_mode: bool = False,
    versioned: bool = True,
) -> Version:
    """Write an item, if it is as expected, and return its version.

    Args:
        folder: The folder that it is in; its closing also closes the new file, or removes it after a failure.
        name: The item.
        data: Its new content.
        expect: What it must be at.
        durable: Whether file and folder are on disk when this returns.
        keep_mode: Whether the new file has the permissions of the old one, instead of what the umask leaves.
        versioned: Whether to return the version; if not, "" is returned and a system call is saved.

    Raises:
        ConflictError: It is not as expected; nothing was changed.
        FileNotFoundError: Another process deleted the folder, or a temporary file that seemed stale.
        OSError: It cannot be written; nothing was changed.
    """
    found = None
    if expect is not ANY or keep_mode:
        # Most conflicts are seen here, before the cost of a file and its sync.
        found = compare(folder, name, expect)
    if folder.shared:
        mode = modes.S_IMODE(found.st_mode) if keep_mode and found is not None else None
        return _place_closed(folder, name, data, expect, durable=durable, mode=mode, versioned=versioned)
    where = f"{folder.path}/{name[-1]}"
    temporary = temporary_name()
    fd = folder.create(temporary, folder)
    if keep_mode and found is not None:
        os.fchmod(fd, modes.S_IMODE(found.st_mode))
    fill(fd, data, where)
    if durable:
        sync(fd, where)
    locked = folder.lock()
    try:
        publish(folder, name, fd, temporary, expect, locked=locked, wanted=getattr(data, "mtime_ns", None))
        published = status_of(folder, fd) if versioned else None
    finally:
        folder.unlock()
    version = "" if published is None else stamps.version_of(published, fd)
    if durable:
        folder.sync()
    return version


def _place_closed(
    folder: Folder,
    name: Name,
    data: Data,
    expect: Expectation,
    *,
    durable: bool,
    mode: int | None,
    versioned: bool,
) -> Version:
    """Write an item as `place`, where other machines see all of a file only when its writer has closed it.

    Raises:
        OSError: (ESTALE) The folder or the file was removed meanwhile and nothing was changed: begin again.
    """
    where = f"{folder.path}/{name[-1]}"
    temporary = signed_name()
    with Handle() as file:
        fd = folder.create(temporary, file)
        if mode is not None:
            os.fchmod(fd, mode)
        fill(fd, data, where)
        stamp = getattr(data, "mtime_ns", None) or stamps.next_time(None)
        os.utime(fd, ns=(stamp, stamp))
        if durable:
            sync(fd, where)
        mine = os.fstat(fd)
        folder.close_at_once(fd)
    locked = folder.lock()
    try:
        mine = _publish_closed(folder, name, mine, temporary, expect, locked=locked)
        version = _version_at(folder, name, mine) if versioned else ""
    finally:
        folder.unlock()
    if durable:
        folder.sync()
    return version


def _publish_closed(
    folder: Folder, name: Name, mine: os.stat_result, temporary: str, expect: Expectation, *, locked: bool
) -> os.stat_result:
    """Give a finished and closed file its name, if the item is as expected, and return its last status.

    `mine` is its status so far; the other arguments are those of `publish`.
    """
    if not locked and isinstance(expect, str):
        raise _no_lock(folder, "write")
    leaf = name[-1]
    replaced = False
    attempts = _INSERTIONS
    while not replaced:
        turn = begin_turn(folder.hold, folder.fileno(), leaf)
        there = None if expect is ANY else compare(folder, name, expect)
        if there is not None and mine.st_mtime_ns <= there.st_mtime_ns:
            stamp = stamps.next_time(there)
            os.utime(temporary, ns=(stamp, stamp), dir_fd=folder.fileno())
            mine = os.stat(temporary, dir_fd=folder.fileno(), follow_symlinks=False)
        if expect is not ABSENT:
            replaced = folder.replace(temporary, leaf, None if expect is ANY else turn)
            continue
        try:
            replaced = _link(folder, temporary, leaf, turn, locked=locked)
        except system_answer(FileExistsError):
            # An SMB server keeps the name of a removed file for as long as a program has the file open.
            attempts -= 1
            if not attempts or folder.stat(leaf) is not None:
                raise ConflictError(name, ABSENT) from None
            time.sleep(_PAUSE)
    folder.settle(temporary)
    return mine


def _link(folder: Folder, temporary: str, leaf: str, turn: Turn, *, locked: bool) -> bool:
    """Insert a file by link(2), or under the lock by renaming if the file system has no links."""
    try:
        return folder.insert(temporary, leaf)
    except system_answer(OSError) as error:
        if error.errno not in _NO_LINKS:
            raise
        if not locked:
            raise refuse(folder.path, "write", "absent", "its file system has no links (link(2))") from None
        return folder.replace(temporary, leaf, turn)


def _version_at(folder: Folder, name: Name, mine: os.stat_result) -> Version:
    """Return the version of a file that was just published; the lock is still held."""
    for _ in range(_LOOKS):
        try:
            return _look_at_version(folder, name, mine)
        except system_answer(OSError) as error:
            if error.errno not in _GONE:
                raise
    return stamps.plain_version_of(mine)  # its folder was removed with it


def _look_at_version(folder: Folder, name: Name, mine: os.stat_result) -> Version:
    found = folder.stat(name[-1])
    # Without locks, or by a nested write, it may be replaced already, even by a file that got its inode.
    if found is None or (found.st_ino, found.st_mtime_ns) != (mine.st_ino, mine.st_mtime_ns):
        return stamps.plain_version_of(mine)
    if not stamps.needs_digest(found):
        return stamps.plain_version_of(found)
    with Handle() as file:
        fd = folder.open_file(name[-1], file)
        return stamps.version_of(os.fstat(fd), fd)


def fill(fd: int, data: Data, place: str) -> None:
    """Write `data` into a new file; an OSError of the file names `place`."""
    if isinstance(data, bytes):
        try:
            _write_all(fd, data)
        except system_answer(OSError) as error:
            explain(error, place)
    else:
        _stream(fd, data, place)


class _NewFile(io.FileIO):
    """A file that notes its own failure, which distinguishes it from those of the data's code."""

    failure: OSError | None = None

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except system_answer(OSError) as error:
            self.failure = error
            raise


def _stream(fd: int, data: Streamable, place: str) -> None:
    raw = _NewFile(fd, "wb", closefd=False)
    try:
        with io.BufferedWriter(raw) as file:
            data.write_to(file)
    except system_answer(OSError) as error:
        if error is raw.failure:
            explain(error, place)
        raise  # as it is: it is of the data's own code


def compare(folder: Folder, name: Name, expect: Expectation) -> os.stat_result | None:
    """Return the status of an item if it is as expected, None if it is absent; else raise ConflictError."""
    found = folder.stat(name[-1])
    if expect is ANY:
        return found
    if found is None:
        actual: Expectation = ABSENT
    elif not modes.S_ISREG(found.st_mode):
        # Neither an item nor absence: who inserts would find a conflict, and then nothing, for ever.
        raise FileExistsError(
            errno.EEXIST,
            "something that is not a regular file is in the item's place",
            f"{folder.path}/{name[-1]}",
        )
    elif stamps.needs_digest(found):
        with Handle() as file:
            fd = folder.open_file(name[-1], file)
            found = os.fstat(fd)
            actual = stamps.version_of(found, fd)
    else:
        actual = stamps.plain_version_of(found)
    if actual != expect:
        raise ConflictError(name, expect, actual)
    return found


def publish(
    folder: Folder,
    name: Name,
    fd: int,
    temporary: str,
    expect: Expectation,
    *,
    locked: bool,
    wanted: int | None = None,
) -> Turn:
    """Give a finished file its name, if the item is as expected.

    An unconditional write does not stat the file that it replaces: that would cost a seventh of a write
    without syncs. So only a condition makes the new time later than one that a clock of another host has set.

    Args:
        folder: The folder of both.
        name: The item.
        fd: The file, open; -1 if it is closed already.
        temporary: The name that it has so far.
        expect: What the item must be at.
        locked: Whether the folder is locked. Without, only ANY and ABSENT can be expected.
        wanted: The time that the file is to have, in nanoseconds; None means the time of writing.

    Returns:
        The turn in which that was done. A nested write takes it away when it replaces the file.
    """
    if not locked and isinstance(expect, str):
        raise _no_lock(folder, "write")
    leaf = name[-1]
    while True:
        turn = begin_turn(folder.hold, folder.fileno(), leaf, fd)
        there = compare(folder, name, expect) if isinstance(expect, str) else None
        stamp = wanted or stamps.next_time(there)
        if fd < 0:
            os.utime(temporary, ns=(stamp, stamp), dir_fd=folder.fileno(), follow_symlinks=False)
        else:
            os.utime(fd, ns=(stamp, stamp))
        if expect is ABSENT and _insert(folder, name, fd, temporary, locked=locked):
            break
        if folder.replace(temporary, leaf, None if expect is ANY else turn):
            break
    folder.settle(temporary)
    return turn


def publish_staged(
    folder: Folder, name: Name, temporary: str, expect: Expectation, wanted: int | None
) -> Version:
    """Give a finished and closed file its name, as `publish`, in a folder that is locked.

    Returns:
        The version of the item.
    """
    turn = publish(folder, name, -1, temporary, expect, locked=True, wanted=wanted)
    found = folder.stat(name[-1])
    if found is None or turn.is_over():
        return temporary  # a nested write has replaced it, so its version is one that no file has
    if not stamps.needs_digest(found):
        return stamps.plain_version_of(found)
    with Handle() as file:
        fd = folder.open_file(name[-1], file)
        return stamps.version_of(os.fstat(fd), fd)


def status_of(folder: Folder, fd: int) -> os.stat_result:
    """Return the status of a file that was published under a lock that is still held.

    In this order: a nested write that replaces the file notes its status before.
    """
    found = os.fstat(fd)
    hold = folder.hold
    return found if hold is None or hold.published is None else hold.published


def take_away(folder: Folder, name: Name, expect: Expectation, *, locked: bool) -> None:
    """Remove an item, if it is as expected; arguments as for `publish`."""
    if not locked and isinstance(expect, str):
        raise _no_lock(folder, "remove")
    removed = False
    while not removed:
        turn = begin_turn(folder.hold, folder.fileno(), name[-1])
        found = compare(folder, name, expect)
        if found is None or not modes.S_ISREG(found.st_mode):
            raise_absent(name, expect)
        try:
            removed = folder.unlink(name[-1], turn)
        except system_answer(FileNotFoundError):  # another writer without locks was faster
            raise_absent(name, expect)


def raise_absent(name: Name, expect: Expectation) -> NoReturn:
    """Raise the error for an item that does not exist and was to be removed."""
    if expect is ANY:
        raise KeyError(name)
    raise ConflictError(name, expect, ABSENT)


def _no_lock(folder: Folder, verb: Verb) -> Exception:
    return refuse(folder.path, verb, "version", folder.no_locks)


def _insert(folder: Folder, name: Name, fd: int, temporary: str, *, locked: bool) -> bool:
    """Insert an item if absent, also of those that insert without a lock.

    The last way is for systems without locks, or without a rename that refuses: the file has both names for a
    moment, and a version that a reader sees in that moment is outdated by the loss of the first.

    Returns:
        Whether it was done; False if the system has no call for it, but all writers lock the folder.
    """
    if locked:
        try:
            if folder.insert(temporary, name[-1]):
                return True
        except system_answer(FileExistsError):
            compare(folder, name, ABSENT)
            raise ConflictError(name, ABSENT) from None  # another writer has removed it since
        if not folder.may_have_unnamed():
            compare(folder, name, ABSENT)
            return False
    try:
        folder.link(temporary, name[-1])
    except system_answer(FileExistsError):
        # On NFS the reply to a link that succeeded may be lost, and the client's repetition fails.
        mine = os.fstat(fd) if fd >= 0 else os.stat(temporary, dir_fd=folder.fileno(), follow_symlinks=False)
        if mine.st_nlink != 2:  # noqa: PLR2004 - the temporary name and the final one
            compare(folder, name, ABSENT)
            raise ConflictError(name, ABSENT) from None
    discard(folder, temporary)  # gone already if it seemed stale; the item is there all the same
    return True


def _write_all(fd: int, data: bytes) -> None:
    written = os.write(fd, data)
    while written < len(data):
        written += os.write(fd, memoryview(data)[written:])
