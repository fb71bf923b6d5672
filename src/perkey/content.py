"""What travels between formats and stores: bytes, or, where that would be too much at once, streams."""

from __future__ import annotations

import io
from typing import BinaryIO, Final, Protocol, TypeAlias, runtime_checkable

from perkey.answers import answer

STREAM_ABOVE: Final = 1 << 20
"""Content of more bytes than this is streamed instead of being held as one bytes object."""


@runtime_checkable
class Streamable(Protocol):
    """Data that writes itself into a file, a piece at a time."""

    def write_to(self, file: BinaryIO, /) -> None:
        """Write all of the data. Each call writes the same bytes; a store calls it again after a conflict.

        Raises:
            UnstorableValueError: The data cannot be encoded; the caller must discard what was written.
        """
        ...


Data: TypeAlias = bytes | Streamable
"""What a store is given to write."""

Content: TypeAlias = bytes | BinaryIO
"""What a store gives back: bytes, or an open file at its start, which the taker closes."""


class TimedBytes(bytes):
    """Bytes with the time that a file with them is to have; places that set the times ignore it.

    Attributes:
        mtime_ns: The time in nanoseconds; None means the time of writing.
    """

    mtime_ns: int | None = None


class DataError(Exception):
    """Carries an exception of data that writes itself through a store.

    A store takes some exceptions for answers of its place: a `FileNotFoundError` for a folder that was
    deleted, for example. It has no meaning for this one: the caller gets the exception as raised.

    Attributes:
        error: The exception.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class GuardedData:
    """Data that raises its own exceptions as `DataError`; those of the file pass.

    Args:
        data: The data proper.
    """

    def __init__(self, data: Streamable) -> None:
        self._data = data

    def write_to(self, file: BinaryIO) -> None:
        """Write the data, as `Streamable.write_to`.

        Raises:
            DataError: The data raised an exception.
            OSError: The file raised it: the disk is full, for example.
        """
        try:
            self._data.write_to(file)
        except answer(Exception) as error:
            if error is getattr(getattr(file, "raw", None), "failure", None):
                raise
            raise DataError(error) from error


def bytes_of(data: Data) -> bytes:
    """Return `data` as one bytes object."""
    if isinstance(data, bytes):
        return data
    buffer = io.BytesIO()
    data.write_to(buffer)
    return buffer.getvalue()


class _OpenFile:
    """The content of an open file as data; it is read from where the file stands, each time."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._start = file.tell()

    def write_to(self, file: BinaryIO) -> None:
        self._file.seek(self._start)
        while piece := self._file.read(STREAM_ABOVE):
            file.write(piece)


def as_data(content: Content) -> Data:
    """Return what was read as something to write; a file stays open, and is needed until it is written."""
    return content if isinstance(content, bytes) else _OpenFile(content)


def close(content: Content) -> None:
    """Close `content` if it is a file."""
    if not isinstance(content, bytes):
        content.close()


def read_all(content: Content) -> bytes:
    """Return `content` as one bytes object; a file is read to its end and left open."""
    return content if isinstance(content, bytes) else content.read()
