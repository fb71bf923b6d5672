"""Arrays and nested mappings in one HDF5 file, used like a dictionary."""

from __future__ import annotations

import io
import os
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, Self

from perkey.dataspace.errors import H5StoreAlreadyOpenError, H5StoreClosedError
from perkey.dataspace.h5.group import H5Group
from perkey.errors import MissingExtraError

if TYPE_CHECKING:
    import h5py

_LONGEST_PAUSE: Final = 0.02


class H5Store(H5Group):
    """An HDF5 file, used like a dictionary with nested groups.

    Every operation opens the file if need be, so that many threads and processes may use one file: HDF5 locks
    it, and others wait. Arrays stay in the file, so they are read while the store is open: in a ``with``
    block, or between `open` and `close`. A ``with`` block within another one leaves the file open.

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
            H5StoreAlreadyOpenError: It is open.
            FileNotFoundError: There is no file to be read.
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
        """Give the file to one operation, opened for reading; None if there is no file yet."""
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
            except BlockingIOError:
                if time.monotonic() > until:
                    raise
                time.sleep(random.uniform(0, _LONGEST_PAUSE))  # noqa: S311 - only to be fair

    def __repr__(self) -> str:
        return f"{type(self).__name__}(filename={self.filename!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (type(self), self.filename, self._wait, self._options)


def _reopen(cls: type[H5Store], filename: str, wait: float, options: Mapping[str, Any]) -> H5Store:
    return cls(filename, wait=wait, **options)
