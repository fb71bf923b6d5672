"""Many files at once: all data, one sync for it, all renames, one sync for each folder.

A sync costs ten times what all else of a write does, and one can serve many files. Each item is still
atomic by itself, and as durable when its name is yielded.
"""

from __future__ import annotations

import ctypes
import errno
import io
import os
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import groupby, islice, repeat
from operator import itemgetter, methodcaller
from typing import Any, Final, TypeAlias, TypeVar, cast

from perkey.answers import answer, ignore_system_answer, system_answer
from perkey.content import Data
from perkey.errors import ConflictError
from perkey.expectations import ABSENT, ANY, Expectation, Expectations, Version, expectation_of
from perkey.files import (
    AT_ONCE,
    Folder,
    Handle,
    Locking,
    Staged,
    descriptors_for,
    error_of,
    file_system_of,
    fill,
    libc_function,
    make_folder,
    open_folder,
    open_local_folder,
    publish,
    publish_first,
    raise_absent,
    remove_emptied,
    stage_first,
    status_of,
    sync,
    take_away,
    temporary_name,
)
from perkey.files import versions as stamps
from perkey.naming import Name
from perkey.parallel import map_unordered
from perkey.stores.folder.tmpfile import insert_first

Item: TypeAlias = tuple[Name, Data]
WriteOne: TypeAlias = Callable[[Name, Data], Version]
RemoveOne: TypeAlias = Callable[[Name], None]

K = TypeVar("K")

_END: Final[Any] = object()

MOST_SYNCED: Final = 2_000
"""So many items share one sync."""

MOST_UNSYNCED: Final = 512
"""So many items are written together without a sync: enough to make opening and locking a folder cheap."""

_MOST_BYTES: Final = 64 << 20
_MOST_SECONDS: Final = 1.0  # items of a slow source are written when the first of them is so old
_MOST_FOLDERS: Final = 128  # each is open during the batch; fewer where few descriptors may be open
_ATTEMPTS: Final = 32
_FEW: Final = 16  # fewer are synced one by one: syncfs also waits for what other programs have written
_SYNC_THREADS: Final = 8


class Batches(Iterator[list[Any]]):
    """Cuts items into batches. An exception of their source is raised after the batch that it ended.

    Args:
        source: Where the items come from.
        name_of: Returns the name of an item.
        size_of: Returns how many bytes of memory it takes.
        most: How many items a batch has at most.
    """

    def __init__(
        self,
        source: Iterable[Any],
        name_of: Callable[[Any], Name],
        size_of: Callable[[Any], int],
        most: int = MOST_SYNCED,
    ) -> None:
        self._source = iter(source)
        self._most = most
        self._name_of = name_of
        self._size_of = size_of
        self._error: Exception | None = None

    def __next__(self) -> list[Any]:
        batch: list[Any] = []
        folders: set[Name] = set()
        size = 0
        most_folders = min(_MOST_FOLDERS, descriptors_for(8))
        end = time.monotonic() + _MOST_SECONDS
        while self._error is None and len(batch) < self._most and size < _MOST_BYTES:
            try:
                item = next(self._source, _END)
            except answer(Exception) as error:  # raised when the batch is done
                self._error = error
                break
            if item is _END:
                self._error = StopIteration()
                break
            batch.append(item)
            size += self._size_of(item)
            folders.add(self._name_of(item)[:-1])
            if len(folders) >= most_folders or time.monotonic() > end:
                break
        if not batch and self._error is not None:
            raise self._error
        return batch


class OpenFolders(io.IOBase):
    """The folders of a batch, opened and made as they are needed; a ``with`` block closes all of them.

    As for a `Handle`, ``__exit__`` and `close` are C functions, so that no interrupt leaves a folder open.
    """

    def __init__(self, base: str, locking: Locking, *, durable: bool) -> None:
        opened: list[Folder] = []
        self._opened = opened
        # The `close` of a folder is a C function that returns False.
        self.close = partial(any, map(methodcaller("close"), iter(opened)))  # type: ignore[method-assign, assignment]
        self._base = base
        self._locking = locking
        self._durable = durable
        self._open: dict[Name, Folder] = {}

    def __getitem__(self, parts: Name) -> Folder:
        if parts not in self._open:
            self._opened.extend(map(self._enter, (parts,)))
            self._open[parts] = self._opened[-1]
        return self._open[parts]

    def _enter(self, parts: Name) -> Folder:
        for _ in range(_ATTEMPTS):
            try:
                return open_local_folder(self._base, parts, self._locking)
            except system_answer(FileNotFoundError):
                try:
                    make_folder(self._base, parts, durable=self._durable)
                except system_answer(FileNotFoundError):
                    pass  # deleted again meanwhile
        return open_local_folder(self._base, parts, self._locking)

    def values(self) -> Iterable[Folder]:
        """Return those that are open."""
        return self._open.values()


class WriteBatch:
    """Writes items, with one sync for all data, and one lock and one sync for each folder.

    Args:
        base: The base folder.
        items: Names and data.
        expect: What each item must be at.
        write_one: Writes one item; used for few, and after another process deleted a folder.
        locking: How writers exclude each other.
        durable: Whether each item is on disk when its name is yielded; if not, nothing is synced.
    """

    def __init__(
        self,
        base: str,
        items: list[Item],
        expect: Expectations,
        write_one: WriteOne,
        locking: Locking,
        *,
        durable: bool,
    ) -> None:
        self._base = base
        self._items = items
        self._expect = expect
        self._write_one = write_one
        self._durable = durable
        self._locking: Locking = locking
        self._by_folder: dict[Name, list[int]] = {}
        self._staged: dict[int, Staged] = {}  # new files, by the numbers of their items
        self._results: dict[int, Version | Exception] = {}

    def write(self) -> Iterator[tuple[Name, Version | Exception]]:
        """Yield each name with its version or error, when that is done.

        Raises:
            OSError: The disk refused the common sync; nothing was changed.
        """
        if len(self._items) < _FEW:
            for name, data in self._items:
                yield name, attempt(self._write_one, name, data)
            return
        for index, (name, _) in enumerate(self._items):
            self._by_folder.setdefault(name[:-1], []).append(index)
        with OpenFolders(self._base, self._locking, durable=self._durable) as self._folders:
            if not self._durable:
                self._insert()
            self._stage()
            if self._durable:
                self._sync()
            self._publish()
        for index, (name, data) in enumerate(self._items):
            result = self._results[index]
            if isinstance(result, FileNotFoundError):  # the folder or a temporary file was deleted
                result = attempt(self._write_one, name, data)
            yield name, result

    # --- Without temporary names --------------------------------------------------------------------

    def _insert(self) -> None:
        """Insert items that are to be absent by files that have no name before; the rest is staged."""
        for parts, indices in self._by_folder.items():
            folder = attempt(self._folders.__getitem__, parts)
            if isinstance(folder, Exception):
                continue  # staging meets it again
            data = [self._items[index][1] for index in indices]
            plain = (
                expect is ABSENT and isinstance(each, bytes)
                for expect, each in zip(self._expectations(indices), data, strict=False)
            )
            for is_plain, run in _runs(indices, plain):
                failure = attempt(self._insert_first, folder, run) if is_plain else None
                if failure is not None:
                    self._conclude(run, failure)

    def _insert_first(self, folder: Folder, run: list[int]) -> None:
        leaves = [self._items[index][0][-1] for index in run]
        data = cast("list[bytes]", [self._items[index][1] for index in run])
        times = [getattr(each, "mtime_ns", None) for each in data]
        self._note(folder, run, leaves, insert_first(self._base, folder, leaves, data, times))

    # --- Writing into temporary files ---------------------------------------------------------------

    def _stage(self) -> None:
        """Write all data into temporary files; those that fail are done with."""
        if self._durable:
            # Opened before the first write, so that its sync sees all errors.
            self._whole = attempt(self._folders.__getitem__, ())
            if isinstance(self._whole, Exception):
                self._conclude(range(len(self._items)), self._whole)
        for parts, indices in self._left():
            folder = attempt(self._folders.__getitem__, parts)
            if isinstance(folder, Exception):
                self._results.update(dict.fromkeys(indices, folder))
                continue
            are_bytes = [isinstance(self._items[index][1], bytes) for index in indices]
            for is_bytes, run in _runs(indices, are_bytes):
                done = self._stage_first(folder, run) if is_bytes else 0
                for index in run[done:]:
                    error = attempt(self._stage_one, folder, index)
                    if error is not None:
                        self._results[index] = error

    def _stage_first(self, folder: Folder, run: list[int]) -> int:
        """Stage the first of some items, and return how many."""
        staged = stage_first(folder, cast("list[bytes]", [self._items[index][1] for index in run]))
        self._staged.update(zip(run, staged, strict=False))
        return len(staged)

    def _stage_one(self, folder: Folder, index: int) -> None:
        name, data = self._items[index]
        temporary = temporary_name()
        with Handle() as file:
            fd = folder.create(temporary, file)
            fill(fd, data, "/".join((self._base, *name)))
            self._staged[index] = temporary, os.fstat(fd)

    # --- Syncing ------------------------------------------------------------------------------------

    def _sync(self) -> None:
        """Bring all data to the disk, at once if possible, else several files at a time."""
        one_device = len({folder.device for folder in self._folders.values()}) == 1
        if one_device and file_system_of(self._whole.fileno()).syncs_whole and sync_file_system(self._whole):
            return
        synced = map_unordered(
            self._sync_one, list(self._staged), workers=_SYNC_THREADS, discard=lambda _: None
        )
        for index, error in synced:
            if error is not None:
                self._results[index] = error

    def _sync_one(self, index: int) -> None:
        name = self._items[index][0]
        with Handle() as file:
            fd = self._folders[name[:-1]].open_file(self._staged[index][0], file)
            sync(fd, "/".join((self._base, *name)))

    # --- Giving names -------------------------------------------------------------------------------

    def _publish(self) -> None:
        """Give all files their names, folder by folder."""
        for parts, indices in self._left():
            folder = self._folders[parts]
            failure = attempt(self._publish_in, folder, indices)
            if failure is None and self._durable:
                failure = attempt(folder.sync)
            if failure is not None:
                self._conclude(indices, failure)

    def _publish_in(self, folder: Folder, indices: list[int]) -> None:
        """Give the files of one folder their names."""
        try:
            locked = folder.lock()
            is_alone = locked and not folder.is_nested()
            for expect, run in _runs(indices, self._expectations(indices)):
                done = self._publish_first(folder, run, expect) if is_alone else 0
                for index in run[done:]:
                    self._results[index] = attempt(self._publish_one, folder, index, locked)
        finally:
            folder.unlock()

    def _left(self) -> Iterator[tuple[Name, list[int]]]:
        """Yield each folder with the items that are not done yet."""
        for parts, indices in self._by_folder.items():
            left = [index for index in indices if index not in self._results]
            if left:
                yield parts, left

    def _expectations(self, indices: list[int]) -> Iterable[Expectation | None]:
        """Return for each item ANY or ABSENT, or None if it must be compared with the current version."""
        if callable(self._expect):
            return (_plain(attempt(self._expect, self._items[index][0])) for index in indices)
        return repeat(_plain(self._expect))

    def _publish_first(self, folder: Folder, run: list[int], expect: Expectation | None) -> int:
        """Give the first of some files their names, and return of how many."""
        if expect is None:
            return 0
        staged = [self._staged[index] for index in run]
        leaves = [self._items[index][0][-1] for index in run]
        times = [getattr(self._items[index][1], "mtime_ns", None) for index in run]
        return self._note(folder, run, leaves, publish_first(folder, staged, leaves, times, expect))

    def _note(
        self, folder: Folder, run: list[int], leaves: list[str], published: list[os.stat_result]
    ) -> int:
        """Note the versions of the first items, which were given their names; return how many they are."""
        for index, leaf, found in zip(run, leaves, published, strict=False):
            self._results[index] = (
                attempt(_with_digest, folder, leaf, found)
                if stamps.needs_digest(found)
                else stamps.plain_version_of(found)
            )
        return len(published)

    def _publish_one(self, folder: Folder, index: int, locked: bool) -> Version:
        (name, data), temporary = self._items[index], self._staged[index][0]
        expect = expectation_of(self._expect, name)
        with Handle() as file:
            fd = folder.open_file(temporary, file)
            publish(
                folder, name, fd, temporary, expect, locked=locked, wanted=getattr(data, "mtime_ns", None)
            )
            return stamps.version_of(status_of(folder, fd), fd)

    def _conclude(self, indices: Iterable[int], failure: Exception) -> None:
        """Take a failure of a whole folder into account, such as that of its lock or its sync."""
        for index in indices:
            if not isinstance(self._results.get(index), Exception):
                self._results[index] = failure


def _plain(expect: object) -> Expectation | None:
    return ANY if expect is ANY else ABSENT if expect is ABSENT else None


def _runs(indices: Iterable[int], kinds: Iterable[K]) -> Iterator[tuple[K, list[int]]]:
    """Yield neighbours of one kind, so many at a time as are worked on together."""
    for kind, run in groupby(zip(kinds, indices, strict=False), itemgetter(0)):
        while part := [index for _, index in islice(run, AT_ONCE)]:
            yield kind, part


def _with_digest(folder: Folder, leaf: str, found: os.stat_result) -> Version:
    """Return the version of a file that was just published, and whose version includes a digest."""
    with Handle() as file:
        fd = folder.open_file(leaf, file)
        there = os.fstat(fd)
        return (
            stamps.version_of(there, fd) if os.path.samestat(there, found) else stamps.plain_version_of(found)
        )


def remove_batch(
    base: str,
    batch: list[Name],
    remove_one: RemoveOne,
    *,
    durable: bool,
    locking: Locking = "auto",
    expect: Expectations = ANY,
) -> Iterator[tuple[Name, Exception | None]]:
    """Remove items and the folders that are empty then; yield each name with None or its error.

    Args:
        base: The base folder, which stays.
        batch: The names.
        remove_one: Removes one item; used where files or folders are replaced meanwhile (ESTALE).
        durable: Whether each removal is on disk when its name is yielded.
        locking: How writers exclude each other.
        expect: What each item must be at.
    """
    by_folder: dict[Name, list[Name]] = {}
    for name in batch:
        by_folder.setdefault(name[:-1], []).append(name)
    for parts, names in by_folder.items():
        try:
            folder = open_folder(base, parts, locking=locking)
        except system_answer(FileNotFoundError, NotADirectoryError):
            yield from ((name, attempt(_raise_absent, name, expect)) for name in names)
            continue
        except system_answer(OSError) as error:
            yield from zip(names, repeat(error))
            continue
        results = [
            attempt(remove_one, name) if _is_stale(result) else result
            for name, result in zip(
                names, _remove_from(folder, names, expect, keep=not parts, durable=durable), strict=True
            )
        ]
        if None in results:
            with ignore_system_answer(OSError):  # the items are removed, whatever becomes of the folder
                remove_emptied(base, parts)
        yield from zip(names, results, strict=True)


def _raise_absent(name: Name, expect: Expectations) -> None:
    raise_absent(name, expectation_of(expect, name))


def _remove_one_from(folder: Folder, name: Name, expect: Expectations, *, locked: bool) -> None:
    take_away(folder, name, expectation_of(expect, name), locked=locked)


def _remove_from(
    folder: Folder, names: list[Name], expect: Expectations, *, keep: bool, durable: bool
) -> list[Exception | None]:
    """Remove items of one folder, which is closed; ESTALE is a result only of items that were not removed."""
    with folder:
        results = attempt(_remove_under_lock, folder, names, expect, keep=keep)
        if isinstance(results, Exception):
            return [results] * len(names)
        failure = attempt(folder.sync) if durable else None
        return results if failure is None else [failure if result is None else result for result in results]


def _remove_under_lock(
    folder: Folder, names: list[Name], expect: Expectations, *, keep: bool
) -> list[Exception | None]:
    try:
        locked = folder.lock()
        remove = _remove_one_from if callable(expect) else take_away
        results = [attempt(remove, folder, name, expect, locked=locked) for name in names]
        if None in results and not keep:
            with ignore_system_answer(OSError):
                folder.remove_lock_file()
    finally:
        folder.unlock()
    return results


def _is_stale(result: Exception | None) -> bool:
    return isinstance(result, OSError) and result.errno == errno.ESTALE


def attempt(act: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Return the result of `act`, or the exception that it raises."""
    try:
        return act(*arguments, **named)
    except answer(Exception) as error:
        if isinstance(error, ConflictError):
            # An answer that is kept with the batch: its frames would keep the folders open, in a cycle.
            error.__traceback__ = error.__context__ = None
        return error


# --- Syncing ----------------------------------------------------------------------------------------


def sync_file_system(folder: Folder) -> bool:
    """Bring all that was written to a folder's file system to the disk; False without such a call.

    Raises:
        OSError: The disk refused; nothing is known of any file.
    """
    function = libc_function("syncfs", ctypes.c_int, ctypes.c_int)
    if function is None:
        return False
    if function(folder.fileno()) != 0:
        raise error_of(folder.path)
    return True
