"""An open folder, the path to it, and the names of temporary files in it.

Folders are opened one by one from the base folder; only the base folder's own path may contain symbolic
links. Everything happens relative to the descriptor (Linux, macOS). So a folder may be deleted and made anew
meanwhile: in the dead one no file can be created; the caller gets FileNotFoundError and starts again.
"""

from __future__ import annotations

import errno
import io
import itertools
import os
import re
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Final, NoReturn, Self, TypeVar

from perkey.answers import system_answer
from perkey.files.locks import Handle, Hold, Turn, begin, end, is_nested, lock, unlock
from perkey.naming import Name

R = TypeVar("R")

FOLDER: Final = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
"""How a folder is opened, for listing or for locking."""

PASSAGE: Final = getattr(os, "O_PATH", os.O_RDONLY) | FOLDER
"""How a folder is opened that is only passed through."""

# O_NONBLOCK: a planted FIFO must not block its reader.
READ: Final = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""How a file is opened for reading."""

READ_ONLY: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)
"""How a file is opened whose path may be or contain a symbolic link."""

UNNAMED: Final = os.O_RDWR | getattr(os, "O_TMPFILE", getattr(os, "O_DIRECTORY", 0))
"""How a folder is opened to make a file in it that has no name; fails where that is not supported."""

NEEDS_NAME: Final = frozenset((errno.EINVAL, errno.EISDIR, errno.ENOSYS, errno.EOPNOTSUPP))
"""The errors of systems and file systems on which each file has a name; EISDIR if the flag is unknown."""


def use(base: str, name: Name, flags: int, act: Callable[..., R], *arguments: Any) -> R:
    """Open what is called `name` below `base`, and return what `act` returns for its descriptor.

    No symbolic link below `base` is followed. This is the fast form of a `Handle`, used for the most frequent
    calls: no handler of a signal runs between opening and noting, or between forgetting and closing. The
    outer `try` is there because an exception may come at the beginning of the inner ``finally``.

    Args:
        base: The base folder.
        name: The way from there; at least one part.
        flags: How the last part is opened: `READ`, `FOLDER` or `PASSAGE`.
        act: What to do; it is called with `arguments` and the descriptor, which is closed afterwards.
        *arguments: Its first arguments.

    Raises:
        FileNotFoundError, NotADirectoryError: It does not exist.
        OSError: A symbolic link is in the way (ELOOP), or rights are missing.
        Whatever `act` raises.
    """
    opened: list[int] = []
    closing = map(os.close, opened)
    try:
        try:
            if len(name) > 1:
                _open(base, name, flags, opened, closing)
            else:
                path = f"{base}/{name[0]}"
                try:
                    opened.extend(map(os.open, (path,), (flags,)))
                except system_answer(OSError) as error:
                    explain(error, path)
            return act(*arguments, opened[-1])
        finally:
            any(closing)
    except BaseException:
        any(closing)
        raise


def _open(base: str, name: Name, flags: int, opened: list[int], closing: Iterator[None]) -> None:
    """Open two parts or more, part after part, and close all but the last."""
    depth = 1
    last = len(name) - 1
    try:
        opened.extend(map(os.open, (f"{base}/{name[0]}",), (PASSAGE,)))
        while depth < last:
            opened.extend(map(partial(os.open, dir_fd=opened[-1]), (name[depth],), (PASSAGE,)))
            next(closing)
            depth += 1
        opened.extend(map(partial(os.open, dir_fd=opened[-1]), (name[last],), (flags,)))
        next(closing)
    except system_answer(OSError) as error:
        explain(error, "/".join((base, *name[: len(opened) + 1])))


def read_open(fd: int, size: int) -> bytes:
    """Return the content of an open file of `size` bytes."""
    content = os.read(fd, size)
    if len(content) == size:
        return content
    buffer = io.BytesIO()
    while content:
        buffer.write(content)
        content = os.read(fd, size)
    return buffer.getvalue()


def stat_file(base: str, name: Name) -> os.stat_result:
    """Return the status of the file `name` below `base`; raises as `use`."""
    if len(name) == 1:
        found = os.stat(f"{base}/{name[0]}", follow_symlinks=False)
    else:
        found = use(base, name[:-1], PASSAGE, _stat_in, name[-1], "/".join((base, *name)))
    if stat.S_ISLNK(found.st_mode):
        refuse_link("/".join((base, *name)))
    return found


def _stat_in(leaf: str, path: str, folder: int) -> os.stat_result:
    try:
        return os.stat(leaf, dir_fd=folder, follow_symlinks=False)
    except system_answer(OSError) as error:
        explain(error, path)


def explain(error: OSError, path: str) -> NoReturn:
    """Raise `error`, of a system call, with the full path; if a symbolic link is the cause, raise that error.

    The error itself is raised, not another one of its class, which may take other arguments.
    """
    if error.errno == errno.ELOOP or (error.errno == errno.ENOTDIR and os.path.islink(path)):
        refuse_link(path)
    error.filename = path
    if error.filename2 is not None:
        del error.filename2
    raise error


def is_folder(path: str) -> bool:
    """Return whether a path leads to a folder; what a signal handler raises passes, unlike in `isdir`."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except system_answer(OSError):
        return False


def refuse_link(path: str) -> NoReturn:
    """Raise the error about a symbolic link that is in the way."""
    raise OSError(
        errno.ELOOP,
        "a symbolic link inside a dictionary's folder is not followed; remove or replace it",
        path,
    )


LOCK_FILE: Final = ".@perkey-lock"
"""Stands in for the lock on the folder itself where a file system refuses that; no key has this name."""

_KEEPS_FOLDER: Final = frozenset(
    (
        errno.ENOTEMPTY,
        errno.EEXIST,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.ELOOP,
        errno.EBUSY,
        errno.EINVAL,
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ESTALE,
    )
)
"""Why a folder that may be empty stays."""

_BASE: Final = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)
_CREATE: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
_ALL_MAY_LOCK: Final = 0o666
LOCK_FLAGS: Final = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)


def sync(fd: int, path: str) -> None:
    """Bring a file or folder to the disk; a failure is final, because a second fsync would hide it.

    Args:
        fd: Its descriptor.
        path: Its path, for an error.
    """
    try:
        _sync(fd)
    except system_answer(OSError) as error:
        explain(error, path)


def _sync(fd: int) -> None:
    if sys.platform == "darwin":  # pragma: not on Linux
        import fcntl

        # macOS' fsync does not reach the disk.
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    else:
        os.fsync(fd)


class Folder(Handle):
    """An open folder; use it in a ``with`` block, which closes it and removes the temporary files left in it.

    **Locks.** `lock` chooses the kind of lock and `unlock` releases it. Each kind is a method that notes in a
    `Hold` which descriptor it locks, before it locks it, and returns whether the file system supports this
    kind. `_take_lock` tries them; on file systems of several machines `SharedFolder` has another one.

    Args:
        path: Its path, for messages.
        lockable: Whether it may be locked. It is closed then in children forked meanwhile.
    """

    shared = False
    """Whether other machines use it: see `perkey.files.shared`."""

    no_locks = "its file system has no locks (flock)"
    """Why conditions on versions are refused where `lock` returns False."""
    hold: Hold | None = None
    _lock_flags = LOCK_FLAGS
    _fd = -1
    _temporaries: list[str] | None = None

    def __init__(self, path: str, *, lockable: bool) -> None:
        super().__init__(lockable=lockable)
        self.path = path

    @classmethod
    def at(cls, base: str, parts: Name, *, lockable: bool = True) -> Self:
        """Open a folder.

        Args:
            base: The base folder, whose own path may contain symbolic links.
            parts: The folder below it, none for the base itself.
            lockable: Whether it may be locked.

        Raises:
            FileNotFoundError: It does not exist (`make` makes it).
        """
        folder = cls("/".join((base, *parts)), lockable=lockable)
        try:
            if not parts:
                folder._fd = folder.open(base, _BASE)
            elif len(parts) == 1:
                folder._open_below(folder.path, None)
            else:
                use(base, parts[:-1], PASSAGE, folder._open_below, parts[-1])
        except BaseException:
            folder.close()
            raise
        return folder

    def _open_below(self, path: str, dir_fd: int | None) -> None:
        try:
            self._fd = self.open(path, FOLDER, dir_fd=dir_fd)
        except system_answer(OSError) as error:
            explain(error, self.path)

    @staticmethod
    def make(base: str, parts: Name, *, durable: bool) -> None:
        """Make a folder and all above it, as the umask wants; those that exist are left as they are.

        Args:
            base: The base folder.
            parts: The folder below it.
            durable: Whether the new folders are on disk when this returns.
        """
        make_base(base, durable=durable)
        for depth in range(len(parts)):
            with Folder.at(base, parts[:depth]) as above:
                try:
                    os.mkdir(parts[depth], dir_fd=above.fileno())
                    if durable:
                        above.sync()
                except system_answer(FileExistsError):
                    pass
                except system_answer(OSError) as error:
                    explain(error, f"{above.path}/{parts[depth]}")

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._fd

    @property
    def device(self) -> int:
        """The number of the file system that the folder is on."""
        return os.fstat(self._fd).st_dev

    def create(self, name: str, file: Handle) -> int:
        """Create a temporary file with the rights that the umask leaves; return the descriptor for writing.

        If it still has this name when the folder is closed, it is removed, unless `settle` has noted
        that it has another one.

        Args:
            name: Its name, of `temporary_name`.
            file: Closes it; this folder if the file is to be open as long as the folder is.
        """
        here = self._fd
        if self._temporaries is None:
            self._temporaries = []
            there = partial(os.access, mode=os.F_OK, dir_fd=here, follow_symlinks=False)
            self.before_closing(map(self._remover(), filter(there, self._temporaries)))
        self._temporaries.append(name)
        try:
            return file.open(name, _CREATE, 0o666, here)
        except system_answer(OSError) as error:
            if error.errno == errno.EEXIST:
                self.settle(name)  # it is another writer's
            explain(error, f"{self.path}/{name}")

    def _remover(self) -> Callable[[str], None]:
        """Return what removes a temporary file when the folder is closed."""
        return partial(os.unlink, dir_fd=self._fd)

    def settle(self, name: str) -> None:
        """Note that a file of `create` was given its final name, or was there before."""
        if self._temporaries:
            self._temporaries.remove(name)

    def open_file(self, name: str, file: Handle) -> int:
        """Open a file for reading.

        Args:
            name: Its name.
            file: Closes it.
        """
        try:
            return file.open(name, READ, dir_fd=self._fd)
        except system_answer(OSError) as error:
            explain(error, f"{self.path}/{name}")

    def close_at_once(self, fd: int) -> None:
        """Make closing a file final, where a client of a file system goes on holding it open."""

    def stat(self, name: str) -> os.stat_result | None:
        """Return the status of a file, or None if it does not exist."""
        try:
            found = os.stat(name, dir_fd=self._fd, follow_symlinks=False)
        except system_answer(FileNotFoundError):
            return None
        except system_answer(OSError) as error:
            explain(error, f"{self.path}/{name}")
        if stat.S_ISLNK(found.st_mode):
            refuse_link(f"{self.path}/{name}")
        return found

    def replace(self, temporary: str, name: str, turn: Turn | None = None) -> bool:
        """Rename a file, replacing an existing one.

        Args:
            temporary: Its name.
            name: The name that it gets.
            turn: If it is given, the file is renamed only if no nested write took this turn away.

        Returns:
            Whether it was renamed.
        """
        try:
            if turn is None:
                os.replace(temporary, name, src_dir_fd=self._fd, dst_dir_fd=self._fd)
                return True
            return turn.take(partial(os.replace, src_dir_fd=self._fd, dst_dir_fd=self._fd), temporary, name)
        except system_answer(OSError) as error:
            explain(error, f"{self.path}/{name}")

    def insert(self, temporary: str, name: str) -> bool:
        """Rename a file, or raise FileExistsError if the name is taken; False without such a call."""
        try:
            from perkey.files.syscalls import rename_new  # loads ctypes
        except ImportError:  # an interpreter built without it
            return False
        return rename_new(self._fd, temporary, name, f"{self.path}/{name}")

    def may_have_unnamed(self) -> bool:
        """Return whether a process may make a file without a name here, and link it into its place."""
        try:
            with Handle() as file:
                file.open(".", UNNAMED, 0o600, self._fd)
        except system_answer(OSError) as error:
            return error.errno not in NEEDS_NAME
        return True

    def link(self, temporary: str, name: str) -> None:
        """Give a file a second name; raises FileExistsError if that is taken."""
        try:
            os.link(temporary, name, src_dir_fd=self._fd, dst_dir_fd=self._fd, follow_symlinks=False)
        except system_answer(OSError) as error:
            explain(error, f"{self.path}/{name}")

    def unlink(self, name: str, turn: Turn | None = None) -> bool:
        """Remove a file; `turn` and what is returned are those of `replace`."""
        try:
            if turn is None:
                os.unlink(name, dir_fd=self._fd)
                return True
            return turn.take(partial(os.unlink, dir_fd=self._fd), name)
        except system_answer(OSError) as error:
            explain(error, f"{self.path}/{name}")

    def sync(self) -> None:
        """Bring the names in this folder to the disk."""
        sync(self._fd, self.path)

    def lock(self) -> bool:
        """Exclude all other writers of this folder; return False where no kind of lock is supported.

        Within a write of the same thread to the same folder, which a signal handler or a finaliser
        interrupted, this returns at once; see `perkey.files.locks`.
        """
        hold = self.hold = begin(self)
        if self._take_lock(hold):
            return True
        self.hold = None
        end(hold)
        return False

    def unlock(self) -> None:
        """Let other writers in; does nothing without a lock."""
        hold = self.hold
        if hold is not None:
            if hold.fd >= 0:
                self._release(hold.fd)
            self.hold = None
            end(hold)

    def remove_lock_file(self) -> None:
        """Remove the lock file, if the lock is held by it and nothing else is in the folder.

        Another writer may have the lock from then on.
        """
        if (
            self.hold is not None
            and self.hold.fd not in {self._fd, -1}
            and os.listdir(self._fd) == [LOCK_FILE]
        ):
            self.unlink(LOCK_FILE)

    def is_nested(self) -> bool:
        """Return whether this thread locks the folder already, in a write that it has not finished."""
        return self.hold is not None and is_nested(self.hold.fd)

    def _take_lock(self, hold: Hold) -> bool:
        """Lock the folder itself, or where that is refused the file in it; return False if both are."""
        return self._lock_itself(hold) or self._lock_file(hold, lock, self._is_lock_file)

    def _release(self, fd: int) -> None:
        """Release a lock of `_take_lock`."""
        unlock(fd)

    def _lock_itself(self, hold: Hold) -> bool:
        """Lock the folder's own descriptor."""
        hold.fd = self._fd
        return lock(hold.fd)

    def _lock_file(self, hold: Hold, take: Callable[[int], bool], is_current: Callable[[int], bool]) -> bool:
        """Lock a file in the folder, which is made if it is missing.

        Args:
            hold: Notes what is locked.
            take: Locks an open file, waiting for its holder; returns whether there are such locks.
            is_current: Returns whether an open and locked file is still the lock file of the folder.
        """
        while True:
            hold.fd = -1
            try:
                hold.fd = fd = self._open_lock_file(self)
            except system_answer(FileNotFoundError):
                return True  # the folder was deleted: nothing can be put into it any more
            if not take(fd):
                return False
            if is_current(fd):
                return True
            # Deleted during the wait, for example with its folder; another writer may have made a new one.
            self._release(fd)

    def scan(self) -> AbstractContextManager[Iterator[os.DirEntry[str]]]:
        """Return an iterator over the entries, whose `stat` works as long as this folder is open."""
        if sys.platform == "linux":
            # Opened anew: closing one made from a descriptor rewinds it, and if a forked child closes its
            # copy, the parent would begin again.
            try:
                return os.scandir(f"/proc/self/fd/{self._fd}")
            except system_answer(FileNotFoundError):
                pass  # /proc is not there
        return os.scandir(self._fd)

    def enter(self, name: str) -> Folder:
        """Return the folder `name` in this one, open for listing."""
        inner = Folder(f"{self.path}/{name}", lockable=False)
        inner._fd = inner.open(name, FOLDER, dir_fd=self._fd)
        return inner

    def _is_lock_file(self, fd: int) -> bool:
        found = self.stat(LOCK_FILE)
        return found is not None and os.path.samestat(found, os.fstat(fd))

    def _open_lock_file(self, owner: Handle) -> int:
        here = self._fd
        flags = self._lock_flags
        try:
            # An existing one first without O_CREAT, which Linux refuses for others' files in sticky folders.
            fd = owner.open(LOCK_FILE, flags & ~os.O_CREAT, dir_fd=here)
        except system_answer(FileNotFoundError):
            fd = owner.open(LOCK_FILE, flags, _ALL_MAY_LOCK, dir_fd=here)
        found = os.fstat(fd)
        if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) != _ALL_MAY_LOCK:
            # Each user who may enter the folder must be able to lock it, whatever the umask.
            os.fchmod(fd, _ALL_MAY_LOCK)
        return fd


def remove_emptied(base: str, parts: Name) -> None:
    """Remove a folder and those above it, but not the base folder, as long as they are empty.

    A writer that is about to put something there notices, and makes the folder again.
    """
    for depth in range(len(parts), 0, -1):
        try:
            with Folder.at(base, parts[: depth - 1], lockable=False) as above:
                os.rmdir(parts[depth - 1], dir_fd=above.fileno())
        except system_answer(OSError) as error:
            if error.errno not in _KEEPS_FOLDER:
                raise
            return


def make_base(base: str, *, durable: bool) -> None:
    """Make the base folder and all above it, unless they exist.

    Raises:
        NotADirectoryError: A file is in its place.
    """
    missing = []
    path = base
    while not is_folder(path):
        missing.append(path)
        path = os.path.dirname(path)
    for path in reversed(missing):
        try:
            os.mkdir(path)
        except system_answer(FileExistsError):
            refuse_dangling(path)
            if not is_folder(path):
                raise NotADirectoryError(
                    errno.ENOTDIR, "a file is where the folder should be", path
                ) from None
        if durable:
            with Folder.at(os.path.dirname(path), (), lockable=False) as above:
                above.sync()


def refuse_dangling(path: str) -> None:
    """Raise FileNotFoundError for a link that leads nowhere, because its target may only be unreachable.

    Args:
        path: What was not found.
    """
    if os.path.islink(path) and not os.path.exists(path):
        raise FileNotFoundError(
            errno.ENOENT, f"the link leads nowhere, to {os.readlink(path)!r} (is that mounted?)", path
        )


OURS: Final = ".@perkey-"
"""The beginning of the names of all files that are not items; a key cannot contain "@"."""

SCRATCH: Final = ".@perkey"
"""The folder for what is not an item or a job; beside items it would be listed as a foreign file."""

TEMPORARY: Final = OURS + "tmp-"
"""The beginning of the names of temporary files."""

STALE_SECONDS: Final = 3600.0
"""After so long without being written to, a temporary file is taken for a dead writer's."""

_NOT_OURS_TO_TIDY: Final = frozenset((errno.ENOENT, errno.ESTALE, errno.EACCES, errno.EPERM, errno.EROFS))

# A process' own mark, so that two hosts with equal process numbers never meet; renewed after a fork.
_mark = os.urandom(9).hex()
_counter = itertools.count()


def _renew_mark() -> None:
    global _mark  # noqa: PLW0603 - belongs to the process
    _mark = os.urandom(9).hex()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_mark)


def temporary_name() -> str:
    """Return a name that no key has and no other writer uses, on whatever host."""
    return f"{TEMPORARY}{_mark}-{next(_counter):x}"


def signed_name() -> str:
    """Return a name as `temporary_name` that also names the process and the host that use it."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", os.uname().nodename)[:64]
    return f"{temporary_name()}-{os.getpid()}-{host}"


def writer_of(name: str) -> str:
    """Return the host and the process that a name of `signed_name` names; empty for other names."""
    parts = name.removeprefix(TEMPORARY).split("-", 3)
    return f"host {parts[3]}, process {parts[2]}" if len(parts) == 4 else ""  # noqa: PLR2004 - as above


def discard(folder: Folder, temporary: str) -> None:
    """Remove a temporary file of our own, if it is still there under that name."""
    try:
        folder.unlink(temporary)
    except system_answer(FileNotFoundError):
        pass  # renamed already, or gone with its folder


def sweep(folder: Folder, entry: os.DirEntry[str], min_age: float) -> bool:
    """Remove a temporary file that was not written to for `min_age` seconds; return whether it was removed.

    If its writer lives after all, it notices, and writes again.
    """
    try:
        if time.time() - entry.stat(follow_symlinks=False).st_mtime < min_age:
            return False
        folder.unlink(entry.name)
    except system_answer(OSError) as error:
        if error.errno not in _NOT_OURS_TO_TIDY:
            raise
        return False
    return True
