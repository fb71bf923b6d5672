"""pkl: a pickle of protocol 5 in an lz4 frame with checksums.

`joblib.load` reads these files, and what `joblib.dump` wrote is read here. The frames written here carry a
checksum of each block and one of the whole content, which also distinguishes them from joblib's: bytes
without them go to joblib, and never to the unpickler on trial, because array data would run as opcodes.

Values with large buffers (arrays) are not pickled into memory but streamed both ways.

Without compression they are plain pickles behind a mark, which is itself pickle (a string, pushed and
dropped), so that every program can load them and does not take them for joblib's. They have no checksums: the
cheapest one takes three times as long as reading an array from the page cache.
"""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Callable
from types import NoneType
from typing import Any, BinaryIO, Final, Literal

import lz4.frame

from perkey.arguments import check_kind
from perkey.content import STREAM_ABOVE, Content, Data
from perkey.errors import CorruptValueError, UnloadableValueError, UnstorableValueError
from perkey.formats.base import Format
from perkey.formats.failures import WatchedReader, WatchedWriter, raise_if_out_of_memory
from perkey.formats.frames import FIELD, MAGIC, FrameReader, FrameWriter, check_rest
from perkey.formats.joblibs import check_joblib, explain, load_joblib, unloadable

_PLAIN: Final = b"\x80\x05\x8c\x06perkey0"
_PICKLE: Final = b"\x80"
_BOTH_CHECKSUMS: Final = 0x14  # bits of a frame's flag byte: block checksum, content checksum


def is_ours(head: bytes) -> bool:
    """Return whether bytes begin with a frame as written here, with both kinds of checksum."""
    return (
        head.startswith(MAGIC)
        and len(head) > len(MAGIC)
        and head[len(MAGIC)] & _BOTH_CHECKSUMS == _BOTH_CHECKSUMS
    )


def compress(raw: bytes) -> bytes:
    """Return `raw` in one frame; raises MemoryError where memory runs out (lz4 raises another error)."""
    try:
        # Block checksums see what the content checksum cannot: damage that happens to decompress alike.
        frame: bytes = lz4.frame.compress(raw, content_checksum=True, block_checksum=True)
    except RuntimeError as error:
        raise_if_out_of_memory(error, error.__context__)
        raise
    return frame


def decompress(frame: bytes) -> bytes:
    """Return the content of `frame`; raises CorruptValueError for any damage."""
    try:
        raw, length = lz4.frame.decompress(frame, return_bytes_read=True)
    except (RuntimeError, MemoryError) as error:
        try:
            raise_if_out_of_memory(error, error.__context__)
        except MemoryError:
            _check(frame, error)
            raise
        raise CorruptValueError(f"damaged lz4 frame: {error}") from error
    if length < len(frame):
        check_rest(frame[length : length + FIELD])
    content: bytes = raw
    return content


def _check(frame: bytes, cause: Exception) -> None:
    """Raise CorruptValueError if a frame is damaged; takes memory for one block."""
    try:
        FrameReader(io.BytesIO(frame)).drain()
    except CorruptValueError as damage:
        raise damage from cause


class RefusedError(Exception):
    """An unpickler met a class that it may not build; not the exception of a value's own code."""


class _LargeBufferError(Exception):
    """A value has a buffer too large to be copied into a bytes object."""


def _refuse_large(buffer: pickle.PickleBuffer) -> bool:
    """Let small buffers travel in the pickle; leave pickling at the first large one, before any copy."""
    with buffer.raw() as view:
        if view.nbytes > STREAM_ABOVE:
            raise _LargeBufferError
    return True


def _unstorable(value: Any, error: Exception) -> UnstorableValueError:
    return UnstorableValueError(
        f"a {type(value).__name__} that does not pickle: {error}; store data that it can be made from, or "
        "a function or class that a module has under its name"
    )


def _dump(value: Any, file: WatchedWriter | FrameWriter) -> None:
    """Pickle a value into a file; the file's own exceptions pass, those of the value's code do not."""
    outer = sys.exception()
    try:
        pickle.Pickler(file, protocol=5).dump(value)
    except Exception as error:
        if file.failure is not None:
            raise
        raise_if_out_of_memory(error, outer)
        raise _unstorable(value, error) from error


class _StreamedPickle:
    """A value that pickles itself into a file, large buffers without a copy of the whole."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def write_to(self, file: BinaryIO) -> None:
        writer = FrameWriter(file)
        _dump(self._value, writer)
        writer.finish()


class _PlainPickle:
    """A value that pickles itself into a file as it is, large buffers without a copy."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def write_to(self, file: BinaryIO) -> None:
        file.write(_PLAIN)
        _dump(self._value, WatchedWriter(file))


class _StreamedBytes:
    """A pickle that is already in memory, compressed piece by piece on its way into a file."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def write_to(self, file: BinaryIO) -> None:
        writer = FrameWriter(file)
        writer.write(self._raw)
        writer.finish()


class PickleFormat(Format):
    """Stores any picklable value.

    Decoding runs code that the bytes name: load only files of writers that you trust.

    All damage to what was written here is found by its checksums. Files of joblib and persidict have
    none, so that damage to them may go unseen.

    Args:
        compression: ``"lz4"``, or None for plain pickles: large arrays of noise are then got and set
            about as fast as the system reads and writes files, but files have no checksums, and of
            damage only what breaks the pickle is found. Either reads what the other wrote.

    Raises:
        ValueError: `compression` is something else.

    >>> raw = PickleFormat(compression=None)
    >>> PickleFormat().decode(raw.encode([1, 2]))
    [1, 2]
    """

    def __init__(self, *, compression: Literal["lz4"] | None = "lz4") -> None:
        check_kind("compression", compression, (str, NoneType), "'lz4' or None")
        if compression not in {"lz4", None}:
            raise ValueError(f"compression must be 'lz4' or None, not {compression!r}")
        self._compresses = compression is not None
        # Attributes, because a method would be one more call for each value that is read.
        self._loads: Callable[[bytes], Any] = pickle.loads
        self._load: Callable[[FrameReader | BinaryIO], Any] = pickle.load

    def encode(self, value: Any) -> Data:
        outer = sys.exception()
        try:
            raw = pickle.dumps(value, protocol=5, buffer_callback=_refuse_large)
        except _LargeBufferError:
            return _StreamedPickle(value) if self._compresses else _PlainPickle(value)
        except Exception as error:
            raise_if_out_of_memory(error, outer)
            raise _unstorable(value, error) from error
        if not self._compresses:
            return _PLAIN + raw
        return compress(raw) if len(raw) <= STREAM_ABOVE else _StreamedBytes(raw)

    def decode(self, content: Content) -> Any:
        if isinstance(content, bytes):
            if is_ours(content):
                return self._decode_bytes(decompress(content))
            head = content
        else:
            start = content.tell()
            head = content.read(len(_PLAIN))
            content.seek(start)
            if is_ours(head):
                return self._decode_stream(content)
        if head.startswith(_PLAIN):
            return self._decode_plain(io.BytesIO(content) if isinstance(content, bytes) else content)
        return self._load_foreign(content)

    def check(self, content: Content) -> bool:
        if isinstance(content, bytes):
            if not is_ours(content):
                return check_joblib(content)
            first = decompress(content)[:1]
        else:
            start = content.tell()
            head = content.read(len(_PLAIN))
            content.seek(start)
            if not is_ours(head):
                return check_joblib(content)
            reader = FrameReader(content)
            first = reader.read(1)
            reader.drain()
        if first != _PICKLE:
            raise UnloadableValueError("a sound frame of lz4 without a pickle in it")
        return True

    def _decode_plain(self, content: BinaryIO) -> Any:
        watched = WatchedReader(content)
        file = io.BufferedReader(watched)
        start = content.tell()
        outer = sys.exception()
        try:
            value = self._load(file)
        except RefusedError as refusal:
            raise UnloadableValueError(str(refusal)) from None
        except Exception as error:  # noqa: BLE001 - it is explained, or passed on
            watched.check()
            content.seek(start)
            explain(error, content, outer)
        if file.read(1):
            raise CorruptValueError("foreign bytes behind the end of the pickle")
        return value

    def _decode_stream(self, content: BinaryIO) -> Any:
        reader = FrameReader(content)
        outer = sys.exception()
        try:
            value = self._load(reader)
        except RefusedError as refusal:
            raise UnloadableValueError(str(refusal)) from None
        except Exception as error:
            reader.check()
            raise_if_out_of_memory(error, outer)
            reader.drain()  # if the bytes are damaged, that is the reason
            raise unloadable(error) from error
        reader.drain()
        return value

    def _decode_bytes(self, raw: bytes) -> Any:
        outer = sys.exception()
        try:
            return self._loads(raw)
        except RefusedError as refusal:
            raise UnloadableValueError(str(refusal)) from None
        except Exception as error:
            raise_if_out_of_memory(error, outer)
            # The checksums were right, so the fault is not in the bytes.
            raise unloadable(error) from error

    def _load_foreign(self, content: Content) -> Any:
        return load_joblib(content)
