"""Many files at once: all data, one sync for it, all renames, one sync for each folder.

A sync costs ten times what all else of a write does, and one can serve many files. Each item is still
atomic by itself, and as durable when its name is yielded.
"""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeAlias

from perkey.answers import answer, system_answer
from perkey.content import Data
from perkey.expectations import ANY, Expectations, Version, expectation_of
from perkey.files import (
    Folder,
    Handle,
    Locking,
    error_of,
    file_system_of,
    fill,
    libc_function,
    open_folder,
    open_local_folder,
    publish,
    publish_staged,
    raise_absent,
    remove_emptied,
    status_of,
    sync,
    take_away,
    temporary_name,
)
from perkey.files import versions as stamps
from perkey.naming import Name
from perkey.parallel import map_unordered

Item: TypeAlias = tuple[Name, Data]
WriteOne: TypeAlias = Callable[[Name, Data], Version]
RemoveOne: TypeAlias = Callable[[Name], None]

_MOST_ITEMS: Final = 2_000
_MOST_BYTES: Final = 64 << 20
_MOST_FOLDERS: Final = 128  # each is open during the batch
_ATTEMPTS: Final = 32
_FEW: Final = 16  # fewer are synced one by one: syncfs also waits for what other programs have written
_SYNC_THREADS: Final = 8
_AT_A_TIME: Final = 64  # so many new files are open together: closing each by itself takes longer


class Batches(Iterator[list[Any]]):
    """Cuts items into batches. An exception of their source is raised after the batch that it ended.

    Args:
        source: Where the items come from.
        name_of: Returns the name of an item.
        size_of: Returns how many bytes of memory it takes.
    """

    def __init__(
        self, source: Iterable[Any], name_of: Callable[[Any], Name], size_of: Callable[[Any], int]
    ) -> None:
        self._source = iter(source)
        self._name_of = name_of
        self._size_of = size_of
        self._error: Exception | None = None

    def __next__(self) -> list[Any]:
        batch: list[Any] = []
        folders: set[Name] = set()
        size = 0
        while self._error is None and len(batch) < _MOST_ITEMS and size < _MOST_BYTES:
            try:
                item = next(self._source)
            except answer(Exception) as error:  # raised when the batch is done; StopIteration, too
                self._error = error
                break
            batch.append(item)
            size += self._size_of(item)
            folders.add(self._name_of(item)[:-1])
            if len(folders) == _MOST_FOLDERS:
                break
        if not batch and self._error is not None:
            raise self._error
        return batch


class OpenFolders(dict[Name, Folder]):
    """The folders of a batch, opened and made as they are needed."""

    def __init__(self, base: str, locking: Locking, *, durable: bool) -> None:
        super().__init__()
        self._base = base
        self._locking = locking
        self._durable = durable

    def __missing__(self, parts: Name) -> Folder:
        self[parts] = folder = self._enter(parts)
        return folder

    def _enter(self, parts: Name) -> Folder:
        for _ in range(_ATTEMPTS):
            try:
                return open_local_folder(self._base, parts, self._locking)
            except system_answer(FileNotFoundError):
                try:
                    Folder.make(self._base, parts, durable=self._durable)
                except system_answer(FileNotFoundError):
                    pass  # deleted again meanwhile
        return open_local_folder(self._base, parts, self._locking)

    def close(self) -> None:
        """Close all."""
        while self:
            self.popitem()[1].close()


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
        self._durable = durable
        self._base = base
        self._items = items
        self._expect = expect
        self._write_one = write_one
        self._folders = OpenFolders(base, locking, durable=durable)
        self._staged: dict[int, str] = {}  # temporary files, by the numbers of their items
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
        try:
            self._stage()
            if self._durable:
                self._sync()
            self._publish()
        finally:
            self._folders.close()
        for index, (name, data) in enumerate(self._items):
            result = self._results[index]
            if isinstance(result, FileNotFoundError):  # the folder or a temporary file was deleted
                result = attempt(self._write_one, name, data)
            yield name, result

    def _folder_of(self, index: int) -> Folder:
        return self._folders[self._items[index][0][:-1]]

    def _stage(self) -> None:
        """Write all data into temporary files; those that fail are done with."""
        self._whole = self._folders[()]  # opened before the first write, so that its sync sees all errors
        for first in range(0, len(self._items), _AT_A_TIME):
            with Handle() as files:
                for index in range(first, min(first + _AT_A_TIME, len(self._items))):
                    error = attempt(self._stage_one, index, files)
                    if error is not None:
                        self._results[index] = error

    def _stage_one(self, index: int, files: Handle) -> None:
        name, data = self._items[index]
        self._staged[index] = temporary = temporary_name()
        fd = self._folders[name[:-1]].create(temporary, files)
        fill(fd, data, "/".join((self._base, *name)))

    def _sync(self) -> None:
        """Bring all data to the disk, at once if possible, else several files at a time."""
        one_device = len({folder.device for folder in self._folders.values()}) == 1
        if one_device and file_system_of(self._whole.fileno()).syncs_whole and sync_file_system(self._whole):
            return
        pending = [index for index in self._staged if index not in self._results]
        synced = map_unordered(self._sync_one, pending, workers=_SYNC_THREADS, discard=lambda _: None)
        for index, error in synced:
            if error is not None:
                self._results[index] = error

    def _sync_one(self, index: int) -> None:
        with Handle() as file:
            fd = self._folder_of(index).open_file(self._staged[index], file)
            sync(fd, "/".join((self._base, *self._items[index][0])))

    def _publish(self) -> None:
        """Give all files their names, folder by folder."""
        by_folder: dict[Name, list[int]] = {}
        for index in self._staged:
            if index not in self._results:
                by_folder.setdefault(self._items[index][0][:-1], []).append(index)
        for parts, indices in by_folder.items():
            folder = self._folders[parts]
            locked = folder.lock()
            try:
                for index in indices:
                    self._results[index] = attempt(self._publish_one, folder, index, locked)
            finally:
                folder.unlock()
            failure = attempt(folder.sync) if self._durable else None
            if failure is not None:
                for index in indices:
                    if not isinstance(self._results[index], Exception):
                        self._results[index] = failure

    def _publish_one(self, folder: Folder, index: int, locked: bool) -> Version:
        (name, data), temporary = self._items[index], self._staged[index]
        expect = self._expect(name) if callable(self._expect) else self._expect
        wanted = getattr(data, "mtime_ns", None)
        if locked:
            return publish_staged(folder, name, temporary, expect, wanted)
        with Handle() as file:
            fd = folder.open_file(temporary, file)
            publish(folder, name, fd, temporary, expect, locked=False, wanted=wanted)
            return stamps.version_of(status_of(folder, fd), fd)


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
        try:
            results = _remove_from(folder, names, expect, keep=not parts, durable=durable)
        except system_answer(OSError) as error:
            if not _is_stale(error):
                raise
            results = [error] * len(names)
        results = [
            attempt(remove_one, name) if _is_stale(result) else result
            for name, result in zip(names, results, strict=True)
        ]
        if None in results:
            remove_emptied(base, parts)
        yield from zip(names, results, strict=True)


def _raise_absent(name: Name, expect: Expectations) -> None:
    raise_absent(name, expectation_of(expect, name))


def _remove_one_from(folder: Folder, name: Name, expect: Expectations, *, locked: bool) -> None:
    take_away(folder, name, expectation_of(expect, name), locked=locked)


def _remove_from(
    folder: Folder, names: list[Name], expect: Expectations, *, keep: bool, durable: bool
) -> list[Exception | None]:
    """Remove items of one folder, which is closed; raises ESTALE only if nothing was removed."""
    with folder:
        locked = folder.lock()
        try:
            remove = _remove_one_from if callable(expect) else take_away
            results = [attempt(remove, folder, name, expect, locked=locked) for name in names]
            if None in results and not keep:
                folder.remove_lock_file()
        finally:
            folder.unlock()
        if durable:
            folder.sync()
    return results


def _is_stale(result: Exception | None) -> bool:
    return isinstance(result, OSError) and result.errno == errno.ESTALE


def attempt(act: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Return the result of `act`, or the exception that it raises."""
    try:
        return act(*arguments, **named)
    except answer(Exception) as error:
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
