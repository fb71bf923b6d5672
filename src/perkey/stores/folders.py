"""An open folder, and what a store does in it, where descriptors of folders exist (Linux, macOS).

Everything happens relative to the descriptor. So a folder that is deleted and made anew meanwhile is no
danger: in the dead one nothing can be created, and the caller, who sees FileNotFoundError, starts again.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from typing import Final

from perkey.answers import system_answer
from perkey.naming import Name
from perkey.stores.locks import close_lockable, lock, open_lockable, unlock
from perkey.stores.ways import FOLDER, NEEDS_NAME, READ, UNNAMED, enter, explain, is_folder, refuse_link

LOCK_FILE: Final = ".@perkey-lock"
"""Stands in for the lock on the folder itself where a file system refuses that; no key has this name."""

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


class Folder:
    """An open folder; close it.

    Args:
        path: Its path, for messages.
        fd: A new descriptor of it, of `open_lockable` if it may be locked.
        lockable: Whether it may be locked. It is closed then in children forked meanwhile.
    """

    __slots__ = ("_fd", "_lockable", "_locked", "path")

    def __init__(self, path: str, fd: int, *, lockable: bool) -> None:
        self.path = path
        self._fd = fd
        self._lockable = lockable
        self._locked = -1

    @classmethod
    def at(cls, base: str, parts: Name, *, lockable: bool = True) -> Folder:
        """Open a folder.

        Args:
            base: The base folder, whose own path may contain symbolic links.
            parts: The folder below it, none for the base itself.
            lockable: Whether it may be locked.

        Raises:
            FileNotFoundError: It does not exist (`make` makes it).
        """
        if parts:
            fd = open_lockable(enter, base, parts, FOLDER) if lockable else enter(base, parts, FOLDER)
            return cls("/".join((base, *parts)), fd, lockable=lockable)
        fd = open_lockable(os.open, base, _BASE) if lockable else os.open(base, _BASE)
        return cls(base, fd, lockable=lockable)

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
            above = Folder.at(base, parts[:depth])
            try:
                os.mkdir(parts[depth], dir_fd=above._fd)
                if durable:
                    above.sync()
            except system_answer(FileExistsError):
                pass
            except system_answer(OSError) as error:
                explain(error, f"{above.path}/{parts[depth]}")
            finally:
                above.close()

    def close(self) -> None:
        """Close the descriptor."""
        if self._lockable:
            close_lockable(self._fd)
        else:
            os.close(self._fd)

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._fd

    @property
    def device(self) -> int:
        """The number of the file system that the folder is on."""
        return os.fstat(self._fd).st_dev

    def create(self, name: str) -> int:
        """Create a new file for writing, with the rights that the umask leaves."""
        try:
            return os.open(name, _CREATE, 0o666, dir_fd=self._fd)
        except system_answer(OSError) as error:
            explain(error, f"{self.path}/{name}")

    def open(self, name: str) -> int:
        """Open a file for reading."""
        try:
            return os.open(name, READ, dir_fd=self._fd)
        except system_answer(OSError) as error:
            explain(error, f"{self.path}/{name}")

    def stat(self, name: str) -> os.stat_result | None:
        """Return the status of a file, or None if there is none."""
        try:
            found = os.stat(name, dir_fd=self._fd, follow_symlinks=False)
        except system_answer(FileNotFoundError):
            return None
        except system_answer(OSError) as error:
            explain(error, f"{self.path}/{name}")
        if stat.S_ISLNK(found.st_mode):
            refuse_link(f"{self.path}/{name}")
        return found

    def replace(self, temporary: str, name: str) -> None:
        """Rename a file, in place of another one if there is one."""
        try:
            os.replace(temporary, name, src_dir_fd=self._fd, dst_dir_fd=self._fd)
        except system_answer(OSError) as error:
            explain(error, f"{self.path}/{name}")

    def insert(self, temporary: str, name: str) -> bool:
        """Rename a file, or raise FileExistsError if the name is taken; False where there is no such call."""
        try:
            from perkey.stores.libc import rename_new  # loads ctypes
        except ImportError:  # an interpreter built without it
            return False
        return rename_new(self._fd, temporary, name, f"{self.path}/{name}")

    def may_have_unnamed(self) -> bool:
        """Tell whether somebody could make a file without a name here, and link it into its place."""
        try:
            os.close(os.open(".", UNNAMED, 0o600, dir_fd=self._fd))
        except system_answer(OSError) as error:
            return error.errno not in NEEDS_NAME
        return True

    def link(self, temporary: str, name: str) -> None:
        """Give a file a second name; raises FileExistsError if that is taken."""
        try:
            os.link(temporary, name, src_dir_fd=self._fd, dst_dir_fd=self._fd, follow_symlinks=False)
        except system_answer(OSError) as error:
            explain(error, f"{self.path}/{name}")

    def unlink(self, name: str) -> None:
        """Remove a file."""
        try:
            os.unlink(name, dir_fd=self._fd)
        except system_answer(OSError) as error:
            explain(error, f"{self.path}/{name}")

    def sync(self) -> None:
        """Bring the names in this folder to the disk."""
        sync(self._fd, self.path)

    def lock(self) -> bool:
        """Exclude all other writers of this folder; False where no lock can be had."""
        if lock(self._fd):
            self._locked = self._fd
            return True
        while True:
            try:
                fd = open_lockable(self._open_lock_file)
            except system_answer(FileNotFoundError):
                return True  # the folder was deleted: nobody can put anything into it any more
            if not lock(fd):
                close_lockable(fd)
                return False
            if self._is_lock_file(fd):
                self._locked = fd
                return True
            # Deleted while it was waited for, with its folder say; another writer may have made a new one.
            unlock(fd)
            close_lockable(fd)

    def unlock(self) -> None:
        """Let other writers in; does nothing if there is no lock."""
        fd, self._locked = self._locked, -1
        if fd >= 0:
            unlock(fd)
            if fd != self._fd:
                close_lockable(fd)

    def scan(self) -> os._ScandirIterator[str]:
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
        return Folder(f"{self.path}/{name}", os.open(name, FOLDER, dir_fd=self._fd), lockable=False)

    def _is_lock_file(self, fd: int) -> bool:
        found = self.stat(LOCK_FILE)
        return found is not None and os.path.samestat(found, os.fstat(fd))

    def _open_lock_file(self) -> int:
        try:
            # An existing one first without O_CREAT, which Linux refuses for others' files in sticky folders.
            fd = os.open(LOCK_FILE, _LOCK & ~os.O_CREAT, dir_fd=self._fd)
        except system_answer(FileNotFoundError):
            fd = os.open(LOCK_FILE, _LOCK, _ALL_MAY_LOCK, dir_fd=self._fd)
        found = os.fstat(fd)
        if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) != _ALL_MAY_LOCK:
            # Whoever may enter the folder must be able to lock it, whatever the umask.
            os.fchmod(fd, _ALL_MAY_LOCK)
        return fd


def make_base(base: str, *, durable: bool) -> None:
    """Make the base folder and all above it, if need be.

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
            if not is_folder(path):
                raise NotADirectoryError(
                    errno.ENOTDIR, "a file is where the folder should be", path
                ) from None
        if durable:
            above = Folder.at(os.path.dirname(path), (), lockable=False)
            try:
                above.sync()
            finally:
                above.close()
