"""Documents as JSON files: plain and readable, replaced and never written in place."""

from __future__ import annotations

import errno
import os
import stat as modes
import time
from collections.abc import Hashable
from contextlib import suppress
from itertools import islice
from typing import Any, ClassVar, Final, cast

from perkey.expectations import Expectation, Version
from perkey.files import (
    READ_ONLY,
    STALE_SECONDS,
    TEMPORARY,
    Folder,
    Handle,
    Patience,
    open_folder,
    place,
    read_open,
    refuse_dangling,
    shared_status,
    sweep,
    use_shared,
    way_of,
)
from perkey.files import versions as stamps
from perkey.synced.buffers import Buffer
from perkey.synced.collection import SyncedCollection, pair, resource_of
from perkey.synced.document import BytesResource
from perkey.synced.plain import Validator, json_attr_dict_validator
from perkey.synced.synced_dict import BUFFERING_NAMES, AttrDict, SyncedDict, free_names
from perkey.synced.synced_list import SyncedList

_UNSETTLED: Final = 50_000_000
_ATTEMPTS: Final = 8
_SWEPT_ENTRIES: Final = 1000
_SWEPT_FOLDERS: Final = 10_000

_swept: set[str] = set()


class JSONFile(BytesResource):
    """One JSON file, which need not exist yet; its folder must when it is written.

    Reading takes no lock. A writer puts the new file beside the old one, locks the folder, compares, and
    renames; nothing is left beside the file. An existing file keeps its permissions; a new one gets what
    the umask leaves. A symbolic link is followed and kept: the file that it names is replaced.

    System calls: a look at a known version 1; an edit 14, two fsync if durable, and one for each part of the
    path, which may be a link.

    Args:
        filename: The path; relative to the working directory of now.
        durable: Whether file and folder are on disk when a write returns. If not, a power failure (not a
            mere crash of the process) may leave an empty file on some file systems.
        place: The folder whose file system decides how the file is used; the file's own if not given.
    """

    def __init__(
        self, filename: str | os.PathLike[str], *, durable: bool = False, place: str | None = None
    ) -> None:
        super().__init__()
        self.filename: Final = os.fsdecode(filename)
        self.path: Final = os.path.abspath(self.filename)
        self.durable: Final = durable
        self._place: Final = os.path.dirname(self.path) if place is None else place

    def read_bytes(self, known: Version | None) -> tuple[bytes, Version] | None:
        try:
            if known is not None and self._is_settled_at(known):
                return None
            return self._read()
        except (FileNotFoundError, NotADirectoryError):
            refuse_dangling(self.path)
            raise KeyError(self.path) from None

    def write_bytes(self, content: bytes, expect: Expectation) -> Version:
        target = os.path.realpath(self.path)
        name = (os.path.basename(target),)
        attempts = _ATTEMPTS
        patience = None
        while True:
            with open_folder(os.path.dirname(target), place=self._place) as folder:
                if folder.path not in _swept:
                    _sweep(folder)
                try:
                    return place(folder, name, content, expect, durable=self.durable, keep_mode=True)
                except FileNotFoundError:  # a temporary file that seemed stale; or the folder is gone
                    attempts -= 1
                    if not attempts:
                        raise
                except OSError as error:
                    patience = patience or Patience()
                    patience.wait(error)

    def describe(self) -> str:
        return self.path

    @property
    def identity(self) -> Hashable:
        return os.path.realpath(self.path)

    def _is_settled_at(self, known: Version) -> bool:
        """Return whether the file is certainly still at a version."""
        found = shared_status(self.path, way_of(self._place))
        if stamps.needs_digest(found) or stamps.plain_version_of(found) != known:
            return False
        # perkey sets the time. Another program might write twice in one tick of the kernel's clock.
        return stamps.was_set(found) or time.time_ns() - found.st_mtime_ns > _UNSETTLED

    def _read(self) -> tuple[bytes, Version]:
        way = way_of(self._place)
        if way.shared:
            target = os.path.realpath(self.path)
            return use_shared(
                os.path.dirname(target), (os.path.basename(target),), READ_ONLY, self._content, way
            )
        while True:
            with Handle() as file:
                try:
                    return self._content(file.open(self.path, READ_ONLY))
                except OSError as error:
                    if error.errno == errno.ENXIO:  # a socket
                        raise self._not_a_file() from None
                    if error.errno != errno.ESTALE:
                        raise

    def _content(self, fd: int) -> tuple[bytes, Version]:
        """Return content and version of the open file.

        Raises:
            OSError: Something else is in its place; or (ESTALE) it was replaced since it was opened, which
                has changed its version.
        """
        found = os.fstat(fd)
        if not modes.S_ISREG(found.st_mode):
            raise self._not_a_file()
        if not found.st_nlink:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), self.path)
        version = stamps.version_of(found, fd)
        return read_open(fd, found.st_size), version

    def _not_a_file(self) -> OSError:
        number = errno.EISDIR if os.path.isdir(self.path) else errno.EEXIST
        return OSError(number, "something that is not a regular file is in the document's place", self.path)


def _sweep(folder: Folder) -> None:
    """Remove what dead writers left, once a process; in a large folder only what is met soon."""
    if len(_swept) >= _SWEPT_FOLDERS:
        _swept.clear()
    _swept.add(folder.path)
    with suppress(PermissionError), folder.scan() as entries:
        for entry in islice(entries, _SWEPT_ENTRIES):
            if entry.name.startswith(TEMPORARY):
                sweep(folder, entry, STALE_SECONDS)


class JSONCollection(SyncedCollection):
    """What the collections over JSON files have in common.

    Args:
        filename: The path of the file; relative to the working directory of now. It need not exist.
        write_concern: Whether file and folder are on disk when an edit returns. Without, edits are as
            atomic, but after a power failure the last ones may be missing, or the file be empty.
        data: The content of the document as long as the file does not exist; see `SyncedCollection`.
        allow_nan: Whether NaN and infinities may be put in.

    Raises:
        TypeError: No file name is given.
        CorruptValueError: (by all operations) The file is not JSON; it is never overwritten then.
        FileNotFoundError: (by all operations) The file is a link that leads nowhere.
        WrongKindError: (by all operations) It holds a list and not a dict, or the other way round.
    """

    __perkey_buffer__: ClassVar[Buffer] = Buffer("bytes")

    def __init__(
        self,
        filename: str | os.PathLike[str] | None = None,
        write_concern: bool = False,
        data: Any = None,
        *,
        allow_nan: bool = True,
    ) -> None:
        if filename is None:
            raise TypeError("a filename is needed")
        super().__init__(JSONFile(filename, durable=write_concern), data, allow_nan=allow_nan)

    @property
    def filename(self) -> str:
        """The file name as it was given."""
        return cast("JSONFile", resource_of(self)).filename


class JSONDict(JSONCollection, SyncedDict):
    """A dict in a JSON file.

    >>> import pathlib
    >>> d = JSONDict("data.json")
    >>> d["foo"] = dict(bar=True)
    >>> d
    {'foo': {'bar': True}}
    >>> pathlib.Path("data.json").read_text()
    '{"foo": {"bar": true}}'
    """


class JSONList(JSONCollection, SyncedList):
    """A list in a JSON file.

    >>> items = JSONList("list.json", data=["bar"])
    >>> items.append({"n": 1})
    >>> items[1]["n"]
    1
    """


class JSONAttrDict(JSONDict, AttrDict):
    """A dict in a JSON file whose items are attributes, too; so are those of the dicts in it.

    >>> d = JSONAttrDict("attributes.json")
    >>> d.foo = dict(bar=True)
    >>> d.foo.bar = False
    >>> d
    {'foo': {'bar': False}}
    """


class JSONAttrList(JSONList):
    """A list in a JSON file; the items of the dicts in it are attributes, too."""

    _validators: ClassVar[tuple[Validator, ...]] = (json_attr_dict_validator,)


class BufferedJSONCollection(JSONCollection):
    """Collections over JSON files with a buffer of their own, whose capacity is in bytes of JSON."""

    __perkey_buffer__: ClassVar[Buffer] = Buffer("bytes")


class BufferedJSONDict(BufferedJSONCollection, JSONDict):
    """A `JSONDict` in the buffer of the ``Buffered...`` classes."""


class BufferedJSONList(BufferedJSONCollection, JSONList):
    """A `JSONList` in the buffer of the ``Buffered...`` classes."""


class BufferedJSONAttrDict(BufferedJSONCollection, JSONAttrDict):
    """A `JSONAttrDict` in the buffer of the ``Buffered...`` classes."""


class BufferedJSONAttrList(BufferedJSONCollection, JSONAttrList):
    """A `JSONAttrList` in the buffer of the ``Buffered...`` classes."""


class MemoryBufferedJSONCollection(JSONCollection):
    """Collections over JSON files with a buffer of their own, whose capacity is in modified documents."""

    __perkey_buffer__: ClassVar[Buffer] = Buffer("documents")


class MemoryBufferedJSONDict(MemoryBufferedJSONCollection, JSONDict):
    """A `JSONDict` in the buffer of the ``MemoryBuffered...`` classes."""


class MemoryBufferedJSONList(MemoryBufferedJSONCollection, JSONList):
    """A `JSONList` in the buffer of the ``MemoryBuffered...`` classes."""


class MemoryBufferedJSONAttrDict(MemoryBufferedJSONCollection, JSONAttrDict):
    """A `JSONAttrDict` in the buffer of the ``MemoryBuffered...`` classes."""


class MemoryBufferedJSONAttrList(MemoryBufferedJSONCollection, JSONAttrList):
    """A `JSONAttrList` in the buffer of the ``MemoryBuffered...`` classes."""


free_names(JSONAttrDict, ("filename",), JSONDict)
for _cls in (BufferedJSONAttrDict, MemoryBufferedJSONAttrDict):
    for _name in BUFFERING_NAMES:  # which are methods of signac's classes, too
        setattr(_cls, _name, vars(SyncedCollection)[_name])

pair(JSONDict, JSONList)
pair(JSONAttrDict, JSONAttrList)
pair(BufferedJSONDict, BufferedJSONList)
pair(BufferedJSONAttrDict, BufferedJSONAttrList)
pair(MemoryBufferedJSONDict, MemoryBufferedJSONList)
pair(MemoryBufferedJSONAttrDict, MemoryBufferedJSONAttrList)
