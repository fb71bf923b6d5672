"""An open folder: its descriptors, its lock, its temporary files, and the writing of a file in it.

Everything that a write on a local file system does is here; conditions are added by `perkey.files.replacing`.

Everything happens relative to the descriptor (Linux, macOS). So a folder may be deleted and made anew
meanwhile: in the dead one no file can be created; the caller gets FileNotFoundError and starts again.

**Interrupts.** The handler of a signal (Ctrl-C, an alarm) may raise an exception between any two bytecodes,
also between the call that opens a file and the assignment of its number. So each descriptor is opened and
noted within one call of a function written in C (``opened.extend(map(os.open, ...))``), and forgotten and
closed within one (``any(map(os.close, ...))`` over the iterator of that list). Python calls no handler in
between.

**Forks.** An flock belongs to the open file, which a forked child shares: while the child lives, its copy of
the descriptor would keep the lock of a parent that was killed. So each `Handle` whose files may be locked is
registered here, and a child closes its copies at once (closing does not unlock the parent; unlocking would).
"""

from __future__ import annotations

import errno
import io
import itertools
import os
import random
import stat
import sys
import threading
import time
from _thread import RLock
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from itertools import chain, compress, islice, repeat
from typing import Any, Final, Self, TypeVar, cast

from perkey.answers import system_answer
from perkey.content import Data, Streamable
from perkey.files.file_systems import FileSystem, Locking, SharedLock, Way, stale_errors
from perkey.files.locks import Hold, Turn, begin_turn, is_nested, locked_for_outer, mine
from perkey.files.reading import (
    FOLDER,
    PASSAGE,
    READ,
    READ_ONLY,
    explain,
    refuse_dangling,
    refuse_link,
    share_of,
    shares,
    use,
)
from perkey.files.versions import COARSE, STEP
from perkey.naming import Name

if sys.platform != "win32":
    import fcntl

    from perkey.files.locks import try_lock

R = TypeVar("R")

LOOK_AGAIN_SECONDS: Final = 1.0
"""So often a writer on a local file system looks whether other machines have begun to use the folder. The
first of those waits for longer before its first write."""

ways: Final[dict[tuple[str, Locking], Way]] = {}
"""How base folders are used, as far as that was decided in this process; see `perkey.files.sharing`."""

_UNSUPPORTED: Final = frozenset((errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP))
_ESTALE_SECONDS: Final = 20.0
_PIECE: Final = 1 << 16
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_NEAR_FUTURE: Final = 1_000_000_000
UNNAMED: Final = os.O_RDWR | getattr(os, "O_TMPFILE", getattr(os, "O_DIRECTORY", 0))
"""How a folder is opened to make a file in it that has no name; fails where that is not supported."""

NEEDS_NAME: Final = frozenset((errno.EINVAL, errno.EISDIR, errno.ENOSYS, errno.EOPNOTSUPP))
"""The errors of systems and file systems on which each file has a name; EISDIR if the flag is unknown."""

LOCK_FILE: Final = ".@perkey-lock"
"""Stands in for the lock on the folder itself where a file system refuses that; no key has this name."""

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


# --- Descriptors ----------------------------------------------------------------------------------------

_PATIENCE: Final = 100

_lockable: dict[int, list[Iterator[object]]] = {}
"""Handles, by their ids, to the stages of their closing."""

_forking: set[int] = set()
_forks = 0


class Handle(io.IOBase):
    """Owns descriptors; a ``with`` block closes all of them, in the order of their opening.

    `close` and ``__exit__`` are C functions (those of `io.IOBase`), so that no handler of a signal runs
    between their beginning and the closing. A handle that is garbage closes what is still open.

    Args:
        lockable: Whether the files may be locked. Children forked meanwhile close their copies then.

    Attributes:
        pending: An iterator over the descriptors that are open; only its length may be asked for.
    """

    def __init__(self, *, lockable: bool = False) -> None:
        opened: list[int] = []
        self._opened = opened
        self.pending = iter(opened)
        closing = map(os.close, self.pending)
        stages: list[Iterator[object]] = [closing]
        self._stages = stages
        self._lockable = lockable
        if lockable:
            # Draws what `pop` returns, and yields nothing.
            stages.append(compress(map(_lockable.pop, (id(self),), (None,)), (False,)))
        # All stages yield None or nothing, so that one call goes through all; `__exit__` returns its result.
        self.close = partial(any, chain.from_iterable(stages))  # type: ignore[method-assign, assignment]
        if lockable:
            _lockable[id(self)] = stages  # at last: from now on, closing removes it

    def open(self, path: str, flags: int, mode: int = 0o777, dir_fd: int | None = None) -> int:
        """Open a file as `os.open`, and return its descriptor, which belongs to this handle."""
        act = os.open if dir_fd is None else partial(os.open, dir_fd=dir_fd)
        opened = self._opened
        if not self._lockable:
            opened.extend(map(act, (path,), (flags,), (mode,)))
            return opened[-1]
        for _ in range(_PATIENCE):
            if _forking:
                time.sleep(0.001)
                continue
            forks = _forks
            opened.extend(map(act, (path,), (flags,), (mode,)))
            if forks == _forks and not _forking:
                return opened[-1]
            # 1. here: opened   2. another thread: forked   3. here: noted, too late for that child.
            # The child keeps an open file that is never locked; take a new one.
            flags &= ~os.O_EXCL  # a file that was to be made is there now
        # A fork that does not end: one of its hooks may be waiting for this very thread.
        opened.extend(map(act, (path,), (flags,), (mode,)))
        return opened[-1]

    def open_first(
        self, paths: Iterable[str], flags: int, mode: int = 0o777, dir_fd: int | None = None
    ) -> list[int]:
        """Open the first of many files, as `open`; return the descriptors of those before the first failure.

        Only for files that are not locked. All together use a quarter of what the process may open at most.
        """
        opened = self._opened
        before = len(opened)
        self.before_closing(compress(map(shares.pop, (id(self),), (None,)), (False,)))
        some = islice(paths, share_of(id(self)))
        try:
            opened.extend(map(partial(os.open, dir_fd=dir_fd), some, repeat(flags), repeat(mode)))
        except system_answer(OSError):
            pass  # the caller opens that one by itself, which raises the error
        return opened[before:]

    def redirect(self, fd: int, other: int) -> None:
        """Close what a descriptor of this handle leads to, and let it lead to what `other` leads to.

        Its number belongs to this handle throughout, so that no interrupt can lose it.
        """
        os.dup2(other, fd, inheritable=False)

    def before_closing(self, stage: Iterator[object]) -> None:
        """Exhaust an iterator when this is closed, before the descriptors are; a forked child does not."""
        self._stages.insert(0, stage)


def _begin_fork() -> None:
    global _forks  # noqa: PLW0603 - a process forks as a whole
    _forking.add(threading.get_ident())
    _forks += 1


def _end_fork() -> None:
    global _forks  # noqa: PLW0603 - as above
    _forks += 1
    _forking.discard(threading.get_ident())


def _close_copies() -> None:
    _forking.clear()
    shares.clear()
    handles = list(_lockable.values())
    _lockable.clear()
    for stages in handles:
        closing = stages[-2]
        stages.clear()  # what else is to be done when a handle is closed, the parent does
        any(closing)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_begin_fork, after_in_parent=_end_fork, after_in_child=_close_copies)


class ProcessLock(RLock):  # type: ignore[misc] # final for type checkers only
    """A lock that a forked child gets anew: the thread that held it does not exist there.

    For locks that live as long as their module: each is renewed in every child from then on. Entering and
    leaving a ``with`` block are C functions, in which no signal handler runs. A signal handler or a finaliser
    that wants the lock of its own thread gets it; the module that uses the lock decides what it may do.
    """

    def __init__(self) -> None:
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._at_fork_reinit)  # type: ignore[attr-defined] # as threading does


# --- Locks ----------------------------------------------------------------------------------------------


def begin(handle: Handle) -> Hold:
    """Note that this thread is about to lock a descriptor of a handle; `end` it after unlocking."""
    holds = mine.holds
    if holds:  # an interrupt may have left some
        holds[:] = [hold for hold in holds if hold.is_alive()]
    hold = Hold()
    hold.pending = handle.pending
    holds.append(hold)
    return hold


def end(hold: Hold) -> None:
    """Note that a lock was released."""
    holds = mine.holds
    if hold in holds:
        holds.remove(hold)


def lock(fd: int) -> bool:
    """Lock an open file or folder, waiting for its holder; return False if the file system has no locks.

    If the holder is a write that this thread was in when a signal handler or a finaliser ran, this returns at
    once: the caller works under that write's lock.

    Raises:
        OSError: Locking failed for another reason.
    """
    if sys.platform == "win32":  # pragma: not on Linux
        from perkey.files.locks import lock_byte

        return lock_byte(fd)
    try:
        holds = mine.holds
        # The first is the outermost: if it is the caller's own, the thread has no outer locks.
        if not holds or holds[0].fd == fd or not locked_for_outer(fd, try_lock):
            fcntl.flock(fd, fcntl.LOCK_EX)
    except system_answer(OSError) as error:
        if error.errno not in _UNSUPPORTED:
            raise
        return False
    return True


def unlock(fd: int) -> None:
    """Release a lock; also one that a forked child would otherwise go on holding."""
    if sys.platform == "win32":  # pragma: not on Linux
        from perkey.files.locks import unlock_byte

        unlock_byte(fd)
    else:
        fcntl.flock(fd, fcntl.LOCK_UN)


# --- Files ----------------------------------------------------------------------------------------------

OURS: Final = ".@perkey-"
"""The beginning of the names of all files that are not items; a key cannot contain "@"."""

SCRATCH: Final = ".@perkey"
"""The folder for what is not an item or a job; beside items it would be listed as a foreign file."""

TEMPORARY: Final = OURS + "tmp-"
"""The beginning of the names of temporary files."""

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


_latest = 0


def next_time(predecessor: os.stat_result | None) -> int:
    """Return the time to be set on a new file, in nanoseconds: later than any that this process has given.

    So an item that is deleted and made again within a tick of the clock gets another version, although the
    predecessor's time is not known then. A time more than a second ahead is not followed: it was set by hand
    or by a clock that is wrong, and timestamps must stay true.
    """
    global _latest  # noqa: PLW0603 - belongs to the process
    now = stamp = time.time_ns()
    for earlier in (_latest, 0 if predecessor is None else predecessor.st_mtime_ns):
        if stamp <= earlier < now + _NEAR_FUTURE:
            stamp = earlier + COARSE  # a float of seconds distinguishes microseconds, but not 100 ns
    stamp -= stamp % STEP
    if stamp % COARSE == 0:
        stamp += STEP
    _latest = stamp
    return stamp


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


def _write_all(fd: int, data: bytes) -> None:
    written = os.write(fd, data)
    while written < len(data):
        written += os.write(fd, memoryview(data)[written:])


class Folder(Handle):
    """An open folder; use it in a ``with`` block, which closes it and removes the temporary files left in it.

    **Locks.** `lock` chooses the kind of lock and `unlock` releases it. Each kind is a method that notes in a
    `Hold` which descriptor it locks, before it locks it, and returns whether the file system supports this
    kind. `_take_lock` tries them. Where other machines use the folder, it is a lock of the `Way`.

    Args:
        path: Its path, for messages.
        lockable: Whether it may be locked. It is closed then in children forked meanwhile.
    """

    shared = False
    """Whether other machines use it: see `perkey.files.shared`."""

    no_locks = "its file system has no locks (flock)"
    """Why conditions on versions are refused where `lock` returns False."""
    hold: Hold | None = None
    way: Way | None = None
    """How the folder is used, if other machines may come; they have a lock of their own."""

    lock_flags = LOCK_FLAGS
    """How the lock file is opened."""

    keeps_places = True
    """Whether `scan` misses nothing that is replaced meanwhile; see `perkey.files.entries`."""

    _shared_lock: SharedLock | None = None
    _fd = -1
    _temporaries: list[str] | None = None

    def __init__(self, path: str, *, lockable: bool) -> None:
        super().__init__(lockable=lockable)
        self.path = path

    @classmethod
    def at(cls, base: str, parts: Name, *, lockable: bool = True, way: Way | None = None) -> Self:
        """Open a folder.

        Args:
            base: The base folder, whose own path may contain symbolic links.
            parts: The folder below it, none for the base itself.
            lockable: Whether it may be locked.
            way: How it is used.

        Raises:
            FileNotFoundError: The folder does not exist (`make_folder` makes it).
        """
        folder = cls("/".join((base, *parts)), lockable=lockable)
        if way is not None and way.look is not None:
            folder.way = way
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

    def create_first(self, names: list[str], files: Handle) -> list[int]:
        """Create the first of many temporary files; return the descriptors of those before the first failure.

        Args:
            names: Their names, at least one.
            files: Closes them.
        """
        try:
            opened = [self.create(names[0], files)]
        except system_answer(OSError):
            return []
        rest = names[1:]
        noted = cast("list[str]", self._temporaries)
        noted.extend(rest)
        opened += files.open_first(rest, _CREATE, 0o666, self._fd)
        any(map(noted.remove, names[len(opened) :]))  # one may be another writer's
        return opened

    def _remover(self) -> Callable[[str], None]:
        """Return what removes a temporary file when the folder is closed."""
        return partial(os.unlink, dir_fd=self._fd)

    def settle(self, name: str) -> None:
        """Note that a file of `create` was given its final name, or was there before."""
        if self._temporaries:
            self._temporaries.remove(name)

    def settle_first(self, names: list[str]) -> None:
        """Note that many files of `create_first` were given their final names."""
        any(map(cast("list[str]", self._temporaries).remove, names))  # each returns None

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

    def replace_first(self, temporaries: Sequence[str], names: Sequence[str]) -> int:
        """Rename the first files, as `replace`; return the number of those before the first failure."""
        replaced: list[None] = []
        rename = partial(os.replace, src_dir_fd=self._fd, dst_dir_fd=self._fd)
        try:
            replaced.extend(map(rename, temporaries, names))
        except system_answer(OSError):
            pass  # the caller renames that one by itself, which raises the error
        return len(replaced)

    def insert_first(self, temporaries: Sequence[str], names: Sequence[str]) -> int:
        """Rename the first files, as `insert`; return the number of those before the first failure."""
        try:
            from perkey.files.syscalls import rename_first_new  # loads ctypes
        except ImportError:  # an interpreter built without it
            return 0
        return rename_first_new(self._fd, temporaries, names)

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

    def put(self, name: Name, data: Data, *, durable: bool) -> None:
        """Write a file without a condition and without a version; otherwise as `place`.

        It does not stat the file that it replaces: that would cost a seventh of a write without syncs.

        Args:
            name: The item.
            data: Its new content.
            durable: Whether file and folder are on disk when this returns.

        Raises:
            FileNotFoundError: Another process deleted the folder, or a temporary file that seemed stale.
            OSError: The file cannot be written; nothing was changed.
        """
        leaf = name[-1]
        where = f"{self.path}/{leaf}"
        temporary = temporary_name()
        fd = self.create(temporary, self)
        fill(fd, data, where)
        if durable:
            sync(fd, where)
        self.lock()
        try:
            if len(mine.holds) > 1 or self.hold is None:
                begin_turn(self.hold, self._fd, leaf, fd)  # a write that this one interrupted compares again
            stamp = getattr(data, "mtime_ns", None) or next_time(None)
            os.utime(fd, ns=(stamp, stamp))
            self.replace(temporary, leaf)
            self.settle(temporary)
        finally:
            self.unlock()
        if durable:
            self.sync()

    def sync(self) -> None:
        """Bring the names in this folder to the disk."""
        sync(self._fd, self.path)

    def lock(self) -> bool:
        """Exclude all other writers of this folder; return False where conditions cannot rely on the lock.

        Within a write of the same thread to the same folder, which a signal handler or a finaliser
        interrupted, this returns at once; see `perkey.files.locks`.
        """
        hold = self.hold = begin(self)
        locked = self._take_lock(hold)
        if not locked:
            self.hold = None
            end(hold)
        if self.way is not None and self.way.no_locks:
            self.no_locks = self.way.no_locks
            return False  # even if there is a lock
        return locked

    def unlock(self) -> None:
        """Let other writers in; does nothing without a lock."""
        hold = self.hold
        if hold is not None:
            if hold.fd >= 0:
                self.release(hold.fd)
            self.hold = None
            end(hold)

    def remove_lock_file(self) -> None:
        """Remove the lock file, if the lock is held by it and nothing else is in the folder.

        Another writer may have the lock from then on. A lock file of other machines stays: they may have it
        open.
        """
        if (
            self._shared_lock is None
            and self.hold is not None
            and self.hold.fd not in {self._fd, -1}
            and os.listdir(self._fd) == [LOCK_FILE]
        ):
            self.unlink(LOCK_FILE)

    def is_nested(self) -> bool:
        """Return whether this thread locks the folder already, in a write that it has not finished."""
        return self.hold is not None and is_nested(self.hold.fd)

    def _take_lock(self, hold: Hold) -> bool:
        """Lock the folder itself, or where that is refused the file in it; return False if both are."""
        way = self.way
        if way is not None and way.look is not None:
            # Again: the folder may have been open for long, as data was written that takes long to be made.
            if not way.shared and time.monotonic() - way.looked > LOOK_AGAIN_SECONDS:
                way.look(way)
            if way.shared:
                self._shared_lock = way.lock_of(self)
                return not way.no_locks and self._shared_lock.take(hold)
        return self._lock_itself(hold) or self.lock_file(hold, lock, self._is_lock_file)

    def release(self, fd: int) -> None:
        """Release a lock of `_take_lock`."""
        if self._shared_lock is None:
            unlock(fd)
        else:
            self._shared_lock.release(fd)

    def _lock_itself(self, hold: Hold) -> bool:
        """Lock the folder's own descriptor."""
        hold.fd = self._fd
        return lock(hold.fd)

    def lock_file(self, hold: Hold, take: Callable[[int], bool], is_current: Callable[[int], bool]) -> bool:
        """Lock a file in the folder, which is made if it is missing.

        Args:
            hold: Notes what is locked.
            take: Locks an open file, waiting for its holder; returns whether there are such locks.
            is_current: Returns whether an open and locked file is still the lock file of the folder.
        """
        while True:
            hold.fd = -1
            try:
                hold.fd = fd = self.open_lock_file(self)
            except system_answer(FileNotFoundError):
                return True  # the folder was deleted: nothing can be put into it any more
            if not take(fd):
                return False
            if is_current(fd):
                return True
            # Deleted during the wait, for example with its folder; another writer may have made a new one.
            self.release(fd)

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
        inner.keeps_places = self.keeps_places
        inner._fd = inner.open(name, FOLDER, dir_fd=self._fd)
        return inner

    def _is_lock_file(self, fd: int) -> bool:
        found = self.stat(LOCK_FILE)
        return found is not None and os.path.samestat(found, os.fstat(fd))

    def open_lock_file(self, owner: Handle) -> int:
        """Open the lock file, which is made if it is missing; `owner` closes it."""
        here = self._fd
        flags = self.lock_flags
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


def open_local(
    base: str, parts: Name, locking: Locking, *, lockable: bool = True, place: str | None = None
) -> Folder | None:
    """Open a folder if it is known that only this machine uses it; else return None.

    Args:
        base: As for `Folder.at`.
        parts: As for `Folder.at`.
        locking: What the caller has chosen.
        lockable: As for `Folder.at`.
        place: The folder whose file system decides, if it is another one than `base`.
    """
    way = ways.get((base if place is None else place, locking))
    if way is None or way.shared:
        return None
    if lockable and way.look is not None and time.monotonic() - way.looked > LOOK_AGAIN_SECONDS:
        return None
    return Folder.at(base, parts, lockable=lockable, way=way)


# --- Paths -----------------------------------------------------------------------------------------------


class Patience:
    """Decides how often an operation begins again because its files were replaced meanwhile (ESTALE).

    Args:
        file_system: Where the files are.
        seconds: For how long; the files may be gone for ever. 20 s if not given.
    """

    def __init__(self, file_system: FileSystem | None = None, seconds: float | None = None) -> None:
        self._stale = stale_errors(file_system)
        self._end = time.monotonic() + (_ESTALE_SECONDS if seconds is None else seconds)
        self._pause = 0.001

    def wait(self, error: OSError) -> None:
        """Wait a little; raise `error` if it is not ESTALE or the time is over."""
        if error.errno not in self._stale or time.monotonic() > self._end:
            raise error
        time.sleep(self._pause * random.random())  # noqa: S311 - no secret
        self._pause = min(2 * self._pause, 0.1)


def persist(act: Callable[[], R], file_system: FileSystem | None = None, seconds: float | None = None) -> R:
    """Call `act` again for as long as it fails only because its files were replaced meanwhile (ESTALE)."""
    patience = None
    while True:
        try:
            return act()
        except system_answer(OSError) as error:
            patience = patience or Patience(file_system, seconds)
            patience.wait(error)


def make_own(path: str) -> None:
    """Make a folder under a name that no other process uses, so that only this very call can have made it."""
    try:
        persist(partial(os.mkdir, path))
    except system_answer(FileExistsError):
        pass  # by this very call, whose first reply was lost


def write_new(path: str, content: bytes, *, durable: bool) -> None:
    """Write a file into a folder that no other process uses yet."""
    with Handle() as file:
        try:
            fd = file.open(path, _NEW, 0o666)
        except system_answer(FileExistsError):  # by this very call, whose first reply was lost
            fd = file.open(path, os.O_WRONLY | os.O_TRUNC)
        fill(fd, content, path)
        if durable:
            sync(fd, path)


def read_file(path: str) -> bytes | None:
    """Return the content of a file; None if it does not exist.

    Raises:
        FileNotFoundError: The name is a link that leads nowhere.
        OSError: The file cannot be read, or is not a file. (A pipe is not waited for; it seems to be empty.)
    """
    try:
        return persist(partial(read_path, path))
    except system_answer(FileNotFoundError, NotADirectoryError):
        refuse_dangling(path)
        return None


def read_path(path: str) -> bytes:
    """Return the content of a file; raises as `read_file`, and FileNotFoundError if it does not exist."""
    with Handle() as file:
        fd = file.open(path, READ_ONLY)
        pieces = [os.read(fd, _PIECE)]
        while len(pieces[-1]) == _PIECE:
            pieces.append(os.read(fd, _PIECE))
    return b"".join(pieces)


def rename_local(source: str, target: str, place: str) -> bool:
    """Rename a file or folder as `os.rename`, if it is known that only this machine uses the folder `place`.

    Returns:
        Whether that is known; else nothing was done, and `rename_path` does it.
    """
    way = ways.get((place, "auto"))
    if way is None or way.shared:
        return False
    os.rename(source, target)
    return True
