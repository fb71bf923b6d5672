"""Items as files in a folder: one file per name, replaced and never written in place.

Readers take no lock. A writer puts the whole new file beside the old one, locks the folder that both are
in, compares the present version with the expected one, sets the time, renames, and unlocks; data reaches
the disk before the lock is taken and the folder after it is released. Without locks, an item can still be
inserted if absent (by link(2)), and conditions on a version are refused. Without durability, a new item is
inserted without a lock (`tmpfile`).

Batches and counting need ctypes and threads, and are loaded when first used.
"""

from __future__ import annotations

import errno
import os
import re
import stat as modes
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import lru_cache, partial
from itertools import filterfalse, groupby, islice
from numbers import Real
from operator import itemgetter
from typing import Any, BinaryIO, Final, Literal, TypeAlias, TypeVar, cast, get_args

from perkey.answers import answer, system_answer
from perkey.arguments import check_flag, check_kind
from perkey.content import Content, Data
from perkey.errors import UnsupportedPlatformError
from perkey.expectations import (
    ANY,
    ConditionKind,
    Expectation,
    Expectations,
    Verb,
    Version,
    expectation_of,
)
from perkey.files import (
    AT_ONCE,
    OURS,
    PASSAGE,
    READ,
    STALE_SECONDS,
    Folder,
    Locking,
    Patience,
    check_locking,
    folder_path,
    is_folder,
    keeps_places,
    make_base,
    make_folder,
    open_folder,
    open_local,
    persist,
    place,
    raise_absent,
    read_first,
    read_open,
    refuse_dangling,
    remove_emptied,
    shared_ways,
    stat_file,
    stat_shared,
    take_away,
    use,
    use_shared,
    way_of,
)
from perkey.files import versions as stamps
from perkey.naming import Name, Shape
from perkey.pages import page
from perkey.stores.base import GLIMPSE, Glimpse, Leftover, Stat, Store
from perkey.stores.folder.listing import count_in, entries_in, leftovers_in, names_in, stats_in, sweep_in
from perkey.stores.folder.moving import move_item
from perkey.stores.folder.tmpfile import insert_tmpfile

Durability: TypeAlias = Literal["sync", "none"]
"""``"sync"``: file and folder are on disk when a write returns. ``"none"``: when the system pleases."""

_DURABILITIES: Final = get_args(Durability)

R = TypeVar("R")

_ATTEMPTS: Final = 32
_WRITING_ATTEMPTS: Final = 1000
_PIECE: Final = 1 << 20
_REPLACED: Final[Any] = object()
_SAFE_PATH = re.compile(r"(?:(?!\.{1,2}(?:/|\Z))[A-Za-z0-9()_\-~.=]+(?:/(?!\Z)|\Z))+")


class DirectoryStore(Store):
    """Items as files below a base folder, which is made if it does not exist.

    Atomic and linearisable between all processes whose locks exclude each other: on a local file system,
    and on NFS version 4 as far as its server keeps locks. On file systems without locks see the module's
    docstring. Sub-folders that are symbolic links are refused, the base folder may be one.

    System calls: read 4 for a name of one part, and 2 for each further part; stat 1 and 2; an
    unconditional write 12, of which 2 are fsync, and without durability 6 for a new item; remove 8.

    Args:
        base: Path of the base folder; made absolute, so that a later change of directory does no harm.
            A leading ``~`` is the user's own folder.
        durability: ``"sync"`` or ``"none"``, see `Durability`. With ``"none"`` a file written shortly
            before a power failure may be empty or missing afterwards, and its old content lost; after a
            mere crash of the process nothing is.
        create: Whether the base folder is made if it does not exist. An unpickled store never makes it: if it
            is not there, it may be on another machine.
        locking: How writers exclude each other: ``"auto"``: as the file system of `base` needs it.
            ``"local"``: as on a file system that only this machine uses. ``"shared"``: by lock files.
            ``"none"``: not at all, so that conditions on versions are refused. The environment variable
            ``PERKEY_LOCKING`` replaces ``"auto"``.

    Raises:
        UnsupportedPlatformError: The system is Windows.
        TypeError: An argument is of the wrong kind.
        ValueError: `durability` or `locking` is not known, or `base` is empty or an address.
        NotADirectoryError: `base` is a file.
        FileNotFoundError: `base` does not exist, and `create` is False.
        PermissionError, OSError: `base` does not exist and cannot be made.
    """

    tidies = True
    """Whether a listing removes the temporary files of dead writers that it comes across."""

    def __init__(
        self,
        base: str | os.PathLike[str],
        *,
        durability: Durability = "sync",
        create: bool = True,
        locking: Locking = "auto",
    ) -> None:
        check_kind("durability", durability, str, "'sync' or 'none'")
        if durability not in _DURABILITIES:
            raise ValueError(f"durability must be 'sync' or 'none', not {durability!r}")
        require_descriptors()
        self.base = folder_path(base, "base")
        self.durability: Durability = durability
        self._durable = durability == "sync"
        self.locking: Locking = check_locking(locking)
        self.may_create = check_flag("create", create)
        self._was_there = True
        if create:
            make_base(self.base, durable=self._durable)
        else:
            self._require_base()
        way_of(self.base, self.locking)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.may_create = self._was_there = False
        way_of(self.base, self.locking)

    def make_base_again(self) -> None:
        """Let an unpickled store make its base folder: for caches, which are made wherever they arrive."""
        self.may_create = self._was_there = True

    def read(
        self, name: Name, *, unless: Version | None = None, limit: int | None = None
    ) -> tuple[Content, Version] | None:
        copied = (self.base, self.locking) in shared_ways
        return self._of_current(name, _read_item, name, unless, limit, copied)

    def read_ahead(
        self, names: Iterable[Name], *, limit: int, below: Name = ()
    ) -> Iterator[tuple[Name, tuple[Content, Version] | Exception]]:
        """Yield each name with what `read` returns or raises, in order, as fast as files can be read.

        Up to 64 items, or 4 MiB, are read before the first of them is yielded. So a caller that writes to the
        items meanwhile may get the earlier version.

        Args:
            names: The items.
            limit: As for `read`.
            below: The folder that the names are relative to.
        """
        for parts, run in groupby(names, itemgetter(slice(-1))):
            while part := list(islice(run, AT_ONCE)):
                yield from self._read_part(part, (*below, *parts), limit)

    def _read_part(
        self, names: list[Name], parts: Name, limit: int
    ) -> Iterator[tuple[Name, tuple[Content, Version] | Exception]]:
        """Read as `read_ahead`, in one folder."""
        leaves = [name[-1] for name in names]
        first: list[tuple[bytes, os.stat_result]] = []
        is_safe = all(map(_is_safe, names)) and _is_safe((*parts, leaves[0]))
        if is_safe and (self.base, self.locking) not in shared_ways:
            try:
                first = use(self.base, parts or (".",), PASSAGE, read_first, leaves, limit)
            except system_answer(OSError):
                pass  # reading one of them by itself raises it
        for name, (content, status) in zip(names, first, strict=False):
            yield name, (content, stamps.version_of_content(status, content))
        for name in names[len(first) :]:
            try:
                found: Any = self.read((*parts, name[-1]), limit=limit)
            except answer(Exception) as error:
                found = error
            yield name, found

    def content(self, name: Name, *, limit: int | None = None) -> Content:
        if not _is_safe(name):
            raise _unsafe(name)
        try:
            way = shared_ways.get((self.base, self.locking))
            if way is not None:
                return use_shared(self.base, name, READ, partial(_content_of, name, limit, True), way)
            return use(self.base, name, READ, _content_of, name, limit, False)
        except system_answer(OSError) as error:
            self._raise_if_absent(error, name)
            raise

    def stat(self, name: Name) -> Stat:
        found = self._stat(name)
        if not stamps.needs_digest(found):
            return Stat(stamps.plain_version_of(found), found.st_mtime, found.st_size)
        return self._of_current(name, _stat_of, name)

    def mtime(self, name: Name) -> float:
        return self._stat(name).st_mtime

    def exists(self, name: Name) -> bool:
        try:
            self._stat(name)
        except answer(KeyError):
            return False
        return True

    def write(self, name: Name, data: Data, *, expect: Expectation = ANY) -> Version:
        self._check(name)
        return self._write(name, data, expect, versioned=True)

    def put(self, name: Name, data: Data, *, expect: Expectation = ANY) -> None:
        self._check(name)
        named = self._durable or isinstance(expect, str) or (self.base, self.locking) in shared_ways
        if named or not insert_tmpfile(self.base, name, data):
            self._write(name, data, expect, versioned=False)

    def remove(self, name: Name, *, expect: Expectation = ANY) -> None:
        self._check(name)
        patience = None
        while True:
            try:
                folder = self._folder(name[:-1])
            except system_answer(FileNotFoundError, NotADirectoryError):
                self._require_base_once()
                raise_absent(name, expect)
            try:
                self._remove_in(folder, name, expect)
            except system_answer(OSError) as error:
                patience = patience or Patience()
                patience.wait(error)
            else:
                return

    def _remove_in(self, folder: Folder, name: Name, expect: Expectation) -> None:
        with folder:
            locked = folder.lock()
            try:
                take_away(folder, name, expect, locked=locked)
            finally:
                folder.unlock()
            if self._durable:
                folder.sync()

    def write_many(
        self, items: Iterable[tuple[Name, Data]], *, expect: Expectations = ANY
    ) -> Iterator[tuple[Name, Version | Exception]]:
        """Write many items; as `Store.write_many`, with one sync for the data of up to 2,000 or 64 MiB."""
        self._require_base_once()
        try:
            from perkey.stores.folder.batches import (
                MOST_SYNCED,
                MOST_UNSYNCED,
                Batches,
                WriteBatch,
                WriteOne,
            )
        except ImportError:  # in a finaliser, as the interpreter ends
            yield from super().write_many(items, expect=expect)
            return

        most = MOST_SYNCED if self._durable else MOST_UNSYNCED
        for batch in Batches(items, name_of=itemgetter(0), size_of=_size_of, most=most):
            for unsafe in filterfalse(_is_safe, map(itemgetter(0), batch)):
                raise _unsafe(unsafe)
            if not self.may_create:
                self._require_base()
            if way_of(self.base, self.locking, writing=True).shared:
                yield from super().write_many(batch, expect=expect)
                continue
            write_one: WriteOne = (
                partial(self._write_one, expect=expect)
                if callable(expect)
                else partial(self.write, expect=expect)
            )
            many = WriteBatch(self.base, batch, expect, write_one, self.locking, durable=self._durable)
            yield from many.write()

    def _write_one(self, name: Name, data: Data, *, expect: Expectations) -> Version:
        return self.write(name, data, expect=expectation_of(expect, name))

    def remove_many(
        self, names: Iterable[Name], *, expect: Expectations = ANY
    ) -> Iterator[tuple[Name, Exception | None]]:
        """Remove many items; as `Store.remove_many`, with one lock and one sync a folder.

        Sub-folders that are empty then are removed. (`remove` leaves them: the next write may need them.)
        """
        self._require_base_once()
        try:
            from perkey.stores.folder.batches import Batches, remove_batch
        except ImportError:  # in a finaliser, as the interpreter ends
            yield from super().remove_many(names, expect=expect)
            return

        for batch in Batches(names, name_of=_itself, size_of=len):
            for name in batch:
                self._check(name)
            yield from remove_batch(
                self.base,
                batch,
                partial(self._remove_one, expect=expect),
                durable=self._durable,
                locking=self.locking,
                expect=expect,
            )

    def _remove_one(self, name: Name, *, expect: Expectations) -> None:
        self.remove(name, expect=expectation_of(expect, name))

    def move(self, name: Name, target: Name, *, expect: Expectation = ANY) -> None:
        """Rename an item's file; as `Store.move`, and the file keeps its time."""
        for each in (name, target):
            if not _is_movable(each):
                raise _unsafe(each)
        persist(partial(make_folder, self.base, target[:-1], durable=self._durable))
        try:
            source = self._folder(name[:-1])
        except system_answer(FileNotFoundError, NotADirectoryError):
            raise_absent(name, expect)
        with source, self._folder(target[:-1]) as goal:
            locked = source.lock()
            try:
                move_item(source, name, goal, target, expect, locked=locked)
            finally:
                source.unlock()
            if self._durable:
                goal.sync()
                source.sync()
        remove_emptied(self.base, name[:-1])

    def scan(self, prefix: Name = ()) -> Iterator[Name]:
        top = self._open_for_listing(prefix)
        if top is not None:
            yield from names_in(top, prefix, tidy=self.tidies)

    def count(self, shape: Shape, prefix: Name = ()) -> int:
        """Count as `Store.count`; on Linux in 128 KiB of memory and half the time of a `scan`."""
        try:
            from perkey.stores.folder.counting import can_count
        except ImportError:  # in a finaliser, as the interpreter ends
            return super().count(shape, prefix)

        if can_count(shape) and (self.base, self.locking) not in shared_ways:
            top = self._open_for_listing(prefix)
            try:
                return 0 if top is None else count_in(top, shape)
            except answer(LookupError):
                pass  # on this file system only `scan` can distinguish files and folders
        return super().count(shape, prefix)

    def scan_stats(self, prefix: Name = ()) -> Iterator[tuple[Name, Stat]]:
        for name, found in self._stats(prefix):
            if not stamps.needs_digest(found):
                yield name, Stat(stamps.plain_version_of(found), found.st_mtime, found.st_size)
                continue
            try:
                with_digest = self.stat(name)
            except answer(KeyError):
                continue  # removed since it was seen
            yield name, with_digest

    def scan_mtimes(self, prefix: Name = ()) -> Iterator[tuple[Name, float]]:
        return ((name, found.st_mtime) for name, found in self._stats(prefix))

    def scan_sizes(self, prefix: Name = ()) -> Iterator[tuple[Name, Stat]]:
        for name, found in self._stats(prefix):
            version = "" if stamps.needs_digest(found) else stamps.plain_version_of(found)
            yield name, Stat(version, found.st_mtime, found.st_size)

    def glimpse(self, shape: Shape, most: int, prefix: Name = ()) -> Glimpse:
        top = self._open_for_listing(prefix)
        if top is None:
            return Glimpse([], 0, complete=True)
        cut, looked, found = len(prefix), 0, 0
        items: list[tuple[Name, Stat]] = []
        with closing(entries_in(top, prefix)) as entries:
            for looked, entry in enumerate(islice(entries, GLIMPSE), start=1):  # noqa: B007 - the number is used
                if entry is None or not shape.fits(entry[1][cut:]):
                    continue
                found += 1
                folder, name = entry
                status = folder.stat(name[-1]) if len(items) < most else None
                if status is not None:
                    items.append((name, Stat("", status.st_mtime, status.st_size)))
        return Glimpse(items, found, looked < GLIMPSE)

    def size_of(self, name: Name) -> int:
        return self._stat(name).st_size

    def path_of(self, name: Name = ()) -> str | None:
        return self.describe(name)

    def leftovers(self, prefix: Name = ()) -> Iterator[Leftover]:
        top = self._open_for_listing(prefix)
        return iter(()) if top is None else leftovers_in(top)

    def folders(self, prefix: Name = ()) -> Iterator[str]:
        folder = self._open_for_listing(prefix)
        if folder is None:
            return
        with folder, folder.scan() as entries:
            for entry in entries:
                inner = (*prefix, entry.name)
                # A folder of another program may have any name.
                if entry.is_dir(follow_symlinks=False) and _is_safe(inner) and any(self.scan(inner)):
                    yield entry.name

    def supports(self, verb: Verb, kind: ConditionKind) -> bool:
        """Return whether the file system has locks; insertion if absent needs none."""
        del verb
        return kind == "absent" or self._has_locks()

    def describe(self, name: Name = ()) -> str:
        return "/".join((self.base, *name))

    def sweep(self, prefix: Name = (), *, min_age: float | None = None) -> int:
        """Remove the temporary files that dead writers left, and return how many were removed.

        Sub-folders in which nothing is left, or was for `min_age` seconds, are removed, too.

        Iterating does this by itself for files older than an hour. A live writer whose file is taken away
        notices, and writes again.

        Args:
            prefix: Where to look.
            min_age: Seconds for which a temporary file must not have been written to; None means an hour.
        """
        if min_age is not None:
            check_kind("min_age", min_age, Real, "a number or None")
        top = self._open_for_listing(prefix)
        return (
            0
            if top is None
            else sweep_in(top, prefix, STALE_SECONDS if min_age is None else min_age, _is_safe)
        )

    # --- Reading ------------------------------------------------------------------------------------

    def _of_current(self, name: Name, act: Callable[..., R], *arguments: Any) -> R:
        """Return what `act` returns for an open file that still has its name.

        1. here: opened   2. a writer: replaced it   3. here: fstat. Losing its name changed the change time,
        and with it the version: the content would be right, at a version that was never returned to a writer.

        Args:
            name: The item.
            act: Takes `arguments`, whether to insist on that, and the descriptor; returns `_REPLACED` if the
                file has no name.
            *arguments: Its first arguments.
        """
        if not _is_safe(name):
            raise _unsafe(name)
        way = shared_ways.get((self.base, self.locking))
        try:
            attempts = _ATTEMPTS
            while True:
                if way is not None:
                    found = use_shared(self.base, name, READ, partial(act, *arguments, attempts > 0), way)
                else:
                    found = use(self.base, name, READ, act, *arguments, attempts > 0)
                if found is not _REPLACED:
                    return found
                attempts -= 1
        except system_answer(OSError) as error:
            self._raise_if_absent(error, name)
            raise

    def _raise_if_absent(self, error: OSError, name: Name) -> None:
        """Raise KeyError if a file could not be opened because it is not there, or is a socket (ENXIO)."""
        if isinstance(error, FileNotFoundError | NotADirectoryError) or error.errno == errno.ENXIO:
            self._require_base_once()
            raise KeyError(name) from None

    def _stat(self, name: Name) -> os.stat_result:
        self._check(name)
        try:
            way = shared_ways.get((self.base, self.locking))
            found = stat_file(self.base, name) if way is None else stat_shared(self.base, name, way)
        except system_answer(FileNotFoundError, NotADirectoryError):
            self._require_base_once()
            raise KeyError(name) from None
        if not modes.S_ISREG(found.st_mode):
            raise KeyError(name)
        return found

    def _check(self, name: Name) -> None:
        """Refuse names that could lead out of the base folder, wherever they come from."""
        if not _is_safe(name):
            raise _unsafe(name)

    # --- Writing ------------------------------------------------------------------------------------

    def _write(self, name: Name, data: Data, expect: Expectation, *, versioned: bool) -> Version:
        attempts = _WRITING_ATTEMPTS
        patience = None
        while True:
            try:
                with self._folder(name[:-1]) as folder:
                    if expect is ANY and not versioned:
                        folder.put(name, data, durable=self._durable)
                        return ""
                    return place(folder, name, data, expect, durable=self._durable, versioned=versioned)
            except system_answer(FileNotFoundError):
                # Another process deleted the folder, or a temporary file that seemed stale; make it anew.
                if not self.may_create:
                    self._require_base()
                attempts -= 1
                if not attempts:
                    raise
                try:
                    persist(partial(make_folder, self.base, name[:-1], durable=self._durable))
                except system_answer(FileNotFoundError):
                    pass  # deleted again meanwhile
            except system_answer(OSError) as error:
                patience = patience or Patience()
                patience.wait(error)

    def _require_base_once(self) -> None:
        """Raise if the base folder that this store must not make has never been there."""
        if not self._was_there:
            self._require_base()
            self._was_there = True

    def _require_base(self) -> None:
        if not is_folder(self.base):
            refuse_dangling(self.base)
            if os.path.lexists(self.base):
                raise NotADirectoryError(errno.ENOTDIR, "not a folder", self.base) from None
            raise FileNotFoundError(
                errno.ENOENT,
                "the folder of this dictionary does not exist; only a constructor with create=True makes it",
                self.base,
            ) from None

    def _folder(self, parts: Name, *, lockable: bool = True) -> Folder:
        # A folder that only this machine uses needs nothing of the modules about other machines.
        folder = open_local(self.base, parts, self.locking, lockable=lockable)
        return folder or open_folder(self.base, parts, lockable=lockable, locking=self.locking)

    def _has_locks(self) -> bool:
        if self.may_create:
            make_base(self.base, durable=self._durable)
        with self._folder(()) as folder:
            locked = folder.lock()
            folder.unlock()
        return locked

    # --- Listing ------------------------------------------------------------------------------------

    def _stats(self, prefix: Name) -> Iterator[tuple[Name, os.stat_result]]:
        """Yield the items below `prefix` with their status, as `stats_in`."""
        top = self._open_for_listing(prefix)
        if top is not None:
            yield from stats_in(top, prefix, tidy=self.tidies)

    def _open_for_listing(self, prefix: Name) -> Folder | None:
        if prefix:
            self._check(prefix)
        try:
            folder = self._folder(prefix, lockable=False)
        except system_answer(FileNotFoundError, NotADirectoryError):
            self._require_base_once()
            return None
        folder.keeps_places = keeps_places(folder, way_of(self.base, self.locking))
        return folder


def require_descriptors() -> None:
    """Raise UnsupportedPlatformError on a system without descriptors of folders."""
    if not os.supports_dir_fd:
        raise UnsupportedPlatformError(
            "dictionaries in folders need descriptors of folders, which this system does not have; "
            f"LocalDict, ObjectStoreDict and S3Dict(base_dir=None) work here; see {page('concurrency')}"
        )


@lru_cache(1 << 14)
def _is_safe(name: Name) -> bool:
    return _SAFE_PATH.fullmatch("/".join(name)) is not None


def _is_movable(name: Name) -> bool:
    """Return whether a name is that of an item, or of one in a folder of scratch space."""
    return _is_safe(tuple(part.removeprefix(OURS) for part in name))


def _unsafe(name: Name) -> ValueError:
    return ValueError(f"{name!r} is not the name of an item")


def _itself(name: Name) -> Name:
    return name


def _size_of(item: tuple[Name, Data]) -> int:
    return len(item[1]) if isinstance(item[1], bytes) else 0


def _regular(name: Name, fd: int) -> os.stat_result:
    """Return the status of an open item; raise KeyError if it is something else."""
    found = os.fstat(fd)
    if not modes.S_ISREG(found.st_mode):
        raise KeyError(name)
    return found


def _read_item(  # noqa: PLR0917 - the last two are given by the callers of the partial
    name: Name, unless: Version | None, limit: int | None, copied: bool, insist: bool, fd: int
) -> tuple[Content, Version] | Any | None:
    found = _regular(name, fd)
    if insist and not found.st_nlink:
        return _REPLACED
    version = stamps.version_of(found, fd)
    return None if version == unless else (_content(fd, found.st_size, limit, copied=copied), version)


def _stat_of(name: Name, insist: bool, fd: int) -> Stat | Any:
    found = _regular(name, fd)
    if insist and not found.st_nlink:
        return _REPLACED
    return Stat(stamps.version_of(found, fd), found.st_mtime, found.st_size)


def _content_of(name: Name, limit: int | None, copied: bool, fd: int) -> Content:
    return _content(fd, _regular(name, fd).st_size, limit, copied=copied)


def _content(fd: int, size: int, limit: int | None, *, copied: bool) -> Content:
    """Return the content of an open file, as a file of its own if it is larger than `limit` bytes.

    Where it is `copied`, that is a copy on this machine's disk: on network file systems, what another machine
    removes can no longer be read.
    """
    if limit is None or size <= limit:
        return read_open(fd, size)
    if copied:
        return _copy_of(fd)
    # In one call, so that no interrupt loses the new descriptor: a file that is garbage closes its own.
    return cast("BinaryIO", next(map(open, map(os.dup, (fd,)), ("rb",))))


def _copy_of(fd: int) -> BinaryIO:
    """Return a temporary file of this machine with the content of an open file."""
    import shutil
    import tempfile

    with open(fd, "rb", closefd=False) as source:
        copy = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115 - returned
        try:
            shutil.copyfileobj(source, copy, _PIECE)
            copy.seek(0)
        except BaseException:
            copy.close()
            raise
    return copy
