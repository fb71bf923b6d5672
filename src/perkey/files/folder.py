"""An open folder, and what a store does in it, where descriptors of folders exist (Linux, macOS).

Everything happens relative to the descriptor. So a folder that is deleted and made anew meanwhile is no
danger: in the dead one nothing can be created, and the caller, who sees FileNotFoundError, starts again.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Final, Self

from perkey.answers import system_answer
from perkey.files.descriptors import Handle
from perkey.files.locks import Hold, Turn, begin, end, is_nested, lock, unlock
from perkey.files.ways import (
    FOLDER,
    NEEDS_NAME,
    PASSAGE,
    READ,
    UNNAMED,
    explain,
    is_folder,
    refuse_link,
    use,
)
from perkey.naming import Name

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
_LOCK: Final = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)


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
                hold.fd = fd = self._open_lock_file()
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

    def _open_lock_file(self) -> int:
        here = self._fd
        try:
            # An existing one first without O_CREAT, which Linux refuses for others' files in sticky folders.
            fd = self.open(LOCK_FILE, _LOCK & ~os.O_CREAT, dir_fd=here)
        except system_answer(FileNotFoundError):
            fd = self.open(LOCK_FILE, _LOCK, _ALL_MAY_LOCK, dir_fd=here)
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
