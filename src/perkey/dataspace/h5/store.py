"""Arrays and nested mappings in one HDF5 file, used like a dictionary."""

from __future__ import annotations

import io
import os
import random
import time
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, Self

from perkey.dataspace.errors import H5StoreAlreadyOpenError, H5StoreClosedError
from perkey.errors import MissingExtraError
from perkey.synced import InvalidKeyError, KeyTypeError

if TYPE_CHECKING:
    import h5py

_LONGEST_PAUSE: Final = 0.02
_BEING_WRITTEN: Final = "_perkey_being_written"


class H5Group(MutableMapping[str, Any]):
    """A group of an HDF5 file as a nested mapping; it stays valid when the file is closed and opened again.

    Values are numbers, text, bytes, None, mappings, arrays and lists that NumPy makes arrays of, and data
    frames of pandas; arrays are handed out as `h5py.Dataset`. Keys that are identifiers are attributes, too.

    Args:
        store: The store it belongs to.
        path: Where in the file it is.
    """

    __slots__ = ("_path", "_store")

    _store: H5Store
    _path: str

    def __init__(self, store: H5Store, path: str) -> None:
        object.__setattr__(self, "_store", store)
        object.__setattr__(self, "_path", path)

    def __getitem__(self, key: str) -> Any:
        """Return a value; raises KeyError, and H5StoreClosedError for an array of a closed store."""
        if not isinstance(key, str):
            raise KeyError(key)
        with self._store._reading() as file:
            group = _group(file, self._path)
            if group is None or not key or key not in group:
                raise KeyError(key)
            return self._value(group[key])

    def _value(self, found: Any) -> Any:
        from perkey.dataspace.h5 import values  # noqa: PLC0415 - h5py is an extra

        if not hasattr(found, "shape"):
            return values.read_frame(found) if values.holds_frame(found) else H5Group(self._store, found.name)
        value = values.read(found)
        if value is found and not self._store.is_open:
            raise H5StoreClosedError(self._store.filename)
        return value

    def __setitem__(self, key: str, value: Any) -> None:
        """Store a value; one that cannot be stored leaves the old one.

        Raises:
            KeyTypeError, InvalidKeyError: The key is not text, is empty or has dots.
            UnstorableValueError: HDF5 has no form for the value.
            io.UnsupportedOperation: The file is open for reading only.
        """
        *above, last = _checked(key).strip("/").split("/")
        with self._store._writing() as file:
            group = file.require_group("/".join([self._path, *above]))
            try:
                _write(group, _BEING_WRITTEN, value)
            except BaseException:
                _discard(group, _BEING_WRITTEN)
                raise
            _discard(group, last)
            group.move(_BEING_WRITTEN, last)

    def __delitem__(self, key: str) -> None:
        """Delete a value; raises KeyError."""
        with self._store._writing() as file:
            group = _group(file, self._path)
            if group is None or key not in self:
                raise KeyError(key)
            del group[key]

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, str) or not key:
            return False
        with self._store._reading() as file:
            group = _group(file, self._path)
            return group is not None and key in group

    def __iter__(self) -> Iterator[str]:
        """Iterate over the current keys, in alphabetical order."""
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def _names(self) -> list[str]:
        with self._store._reading() as file:
            group = _group(file, self._path)
            return [] if group is None else sorted(set(group) - {_BEING_WRITTEN})

    def clear(self) -> None:
        """Delete all values. The file does not become smaller; HDF5 uses the space again while it is open."""
        with self._store._writing():
            for key in self:
                del self[key]

    def setdefault(self, key: str, value: Any = None, *, default: Any = None) -> Any:
        """Return the value of a key, after storing a value if it was missing.

        Args:
            key: The key.
            value: What to store.
            default: The same as `value`, as dicts call it.
        """
        with self._store._writing():
            if key not in self:
                self[key] = default if value is None else value
        return self[key]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # what copy and pickle look for; such keys need brackets
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"{self!r} has no attribute or key {name!r}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        """Store a value; raises AttributeError for the names of methods, which need brackets."""
        if name in dir(type(self)):
            raise AttributeError(f"{name!r} is a name of {type(self).__name__}: write store[{name!r}]")
        self[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self]

    def __eq__(self, other: object) -> bool:
        """Compare with any mapping, arrays by their elements."""
        if not isinstance(other, Mapping):
            return NotImplemented
        with held(self), held(other):
            return _equal(self, other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._store!r}, {self._path!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._store, self._path)


class H5Store(H5Group):
    """An HDF5 file, used like a dictionary with nested groups.

    Every operation opens the file if need be, so that many threads and processes may use one file: HDF5 locks
    it, and other operations wait. Arrays stay in the file. So they are read while the store is open: in a
    ``with`` block, or between `open` and `close`. A ``with`` block within another one leaves the file open.

    A process killed while it writes may leave a damaged file, as with any HDF5 file.

    Args:
        filename: The file, made when something is first written.
        wait: How many seconds to wait for other processes that have the file open.
        **kwargs: As for `h5py.File`; `mode` is ``"a"`` by default.

    Raises:
        MissingExtraError: On first use: h5py is not installed.
        BlockingIOError: On use: another process has had the file open for too long.
    """

    __slots__ = ("__weakref__", "_blocks", "_file", "_filename", "_lock", "_options", "_wait")

    _file: h5py.File | None

    def __init__(self, filename: str | os.PathLike[str], *, wait: float = 10.0, **kwargs: Any) -> None:
        if not os.fspath(filename):
            raise ValueError("an H5Store needs the name of a file, which is not empty")
        super().__init__(self, "/")
        values = {
            "_filename": os.path.abspath(filename),
            "_wait": wait,
            "_options": {"mode": "a", **kwargs},
            "_file": None,
            "_blocks": 0,
            "_lock": RLock(),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def filename(self) -> str:
        """The path of the file."""
        return str(self._filename)

    @property
    def mode(self) -> str:
        """The mode in which `open` opens by default."""
        return str(self._options["mode"])

    @property
    def is_open(self) -> bool:
        """Whether the file is open, by `open` or a ``with`` block."""
        return bool(self._file)

    @property
    def file(self) -> h5py.File:
        """The open file; raises H5StoreClosedError if it is not."""
        if not self._file:
            raise H5StoreClosedError(self.filename)
        return self._file

    def open(self, mode: str | None = None) -> Self:
        """Open the file, by default in the mode of the store; return the store, for a ``with`` block.

        Raises:
            H5StoreAlreadyOpenError: The store is open.
            FileNotFoundError: The file does not exist.
        """
        with self._lock:
            if self._file:
                raise H5StoreAlreadyOpenError(f"{self.filename} is open in this store already")
            object.__setattr__(self, "_file", self._opened(mode or self.mode))
        return self

    def close(self) -> None:
        """Close the file; does nothing if it is closed."""
        with self._lock:
            if self._file:
                self._file.close()
            object.__setattr__(self, "_file", None)

    def flush(self) -> None:
        """Hand what was written to the operating system; raises H5StoreClosedError if the file is closed."""
        with self._lock:
            self.file.flush()

    def __enter__(self) -> Self:
        with self._lock:
            if not self._file:
                self.open()
            object.__setattr__(self, "_blocks", self._blocks + 1)
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            object.__setattr__(self, "_blocks", self._blocks - 1)
            if not self._blocks:
                self.close()

    @contextmanager
    def _reading(self) -> Iterator[h5py.File | None]:
        """Give the file to one operation, opened for reading; None if it does not exist yet."""
        with self._lock:
            if self._file:
                yield self._file
            elif not os.path.exists(self.filename):
                yield None
            else:
                with self._opened("r") as file:
                    yield file

    @contextmanager
    def _writing(self) -> Iterator[h5py.File]:
        """Give the file to one operation that changes it, and to those within.

        Raises:
            io.UnsupportedOperation: It is open, or opens by default, for reading only.
        """
        with self._lock, nullcontext() if self._file else self:
            if self.file.mode == "r":
                raise io.UnsupportedOperation(f"{self.filename} is open for reading only")
            yield self.file

    def _opened(self, mode: str) -> h5py.File:
        try:
            import h5py  # noqa: PLC0415 - heavy, and an extra
        except ModuleNotFoundError as error:
            raise MissingExtraError("H5Store", "h5", "h5py") from error
        until = time.monotonic() + self._wait
        while True:
            try:
                return h5py.File(self.filename, **{**self._options, "mode": mode})
            except OSError as error:
                if not isinstance(error, BlockingIOError) or time.monotonic() > until:
                    error.add_note(self.filename)  # which h5py's own message often leaves out
                    raise
                time.sleep(random.uniform(0, _LONGEST_PAUSE))  # noqa: S311 - only to be fair

    def __repr__(self) -> str:
        return f"{type(self).__name__}(filename={self.filename!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (type(self), self.filename, self._wait, self._options)


def _reopen(cls: type[H5Store], filename: str, wait: float, options: Mapping[str, Any]) -> H5Store:
    return cls(filename, wait=wait, **options)


def _checked(key: object) -> str:
    if not isinstance(key, str):
        raise KeyTypeError(f"keys of an H5Store are text, not {type(key).__name__}")
    if not key.strip("/") or "." in key or "\0" in key or _BEING_WRITTEN in key:
        raise InvalidKeyError(f"{key!r} is not a valid key of an H5Store: a key is not empty and has no dots")
    return key


def _group(file: h5py.File | None, path: str) -> h5py.Group | None:
    return None if file is None else file.get(path)


def _discard(group: h5py.Group, name: str) -> None:
    if name in group:
        del group[name]


def _write(group: h5py.Group, name: str, value: Any) -> None:
    from perkey.dataspace.h5 import values  # noqa: PLC0415 - h5py is an extra

    if values.is_frame(value):
        values.write_frame(group, name, value)
    elif isinstance(value, Mapping):
        inner = group.create_group(name)
        with held(value):
            for key in list(value):
                _write(inner, _checked(key), value[key])
    else:
        values.write(group, name, value)


def held(values: Mapping[Any, Any]) -> AbstractContextManager[Any]:
    """Keep the file of a group open while its values are copied."""
    return values._store if isinstance(values, H5Group) else nullcontext()


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if hasattr(one, "equals"):  # a frame
        return bool(one.equals(other))
    import numpy as np  # noqa: PLC0415 - heavy, and an extra

    return bool(np.array_equal(_plain(one), _plain(other)))


def _plain(value: Any) -> Any:
    """Return the elements of a dataset, with text as text."""
    if hasattr(value, "asstr"):
        return value.asstr()[()] if value.dtype.kind == "O" else value[()]
    return value
