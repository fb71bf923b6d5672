"""lz4 frames with checksums, streamed.

Every fault of a frame is a `CorruptValueError`: the lz4 library reports damage as RuntimeError, and as
MemoryError where it believes a damaged length. It reports a lack of memory as either, too; so where memory
ran out the frame is read once more, a block at a time, which shows whether it is sound.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO

import lz4.frame

from perkey.content import STREAM_ABOVE
from perkey.errors import CorruptValueError
from perkey.formats.failures import raise_if_out_of_memory

MAGIC = b'\x04"M\x18'
_SKIPPABLE = tuple(bytes((n,)) + b"*M\x18" for n in range(0x50, 0x60))
FIELD = 4  # bytes of a block's length, of each checksum and of a magic number
_SIZE_BITS = 0x7FFF_FFFF  # the topmost bit means that the block is not compressed
_HAS_SIZE, _HAS_DICTIONARY = 0x08, 0x01  # bits of the flag byte


def call(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Call a function of lz4, which reports a failed allocation as RuntimeError."""
    try:
        return function(*args, **options)
    except RuntimeError as error:
        raise_if_out_of_memory(error, error.__context__)
        raise


def decompressor() -> Any:
    """Return a decompressor of lz4 frames, for data piece by piece."""
    return call(lz4.frame.LZ4FrameDecompressor)


def check_rest(rest: bytes) -> None:
    """Refuse bytes behind a frame, unless they are a skippable frame."""
    if rest and not rest.startswith(_SKIPPABLE):
        raise CorruptValueError("damaged lz4 frame: foreign bytes behind its end")


class FrameWriter:
    """A binary file, as far as a pickler knows, that writes one frame into another file.

    Data is cut into pieces of 1 MiB, because the compressor asks for a buffer as large as its input.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.failure: Exception | None = None  # of the file, or of memory: not of the pickled value
        self._compressor = call(
            lz4.frame.LZ4FrameCompressor,
            block_size=lz4.frame.BLOCKSIZE_MAX1MB,
            content_checksum=True,
            block_checksum=True,
        )
        file.write(call(self._compressor.begin))

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Compress `data` into the file; returns its length in bytes."""
        try:
            with memoryview(data) as view, view.cast("B") as octets:
                for start in range(0, len(octets), STREAM_ABOVE):
                    self._file.write(call(self._compressor.compress, octets[start : start + STREAM_ABOVE]))
                return len(octets)
        except Exception as error:
            self.failure = error
            raise

    def finish(self) -> None:
        """End the frame; the file stays open."""
        self._file.write(call(self._compressor.flush))


class FrameReader:
    """A binary file, as far as an unpickler knows, that reads the content of one frame.

    Content comes out only after the checksum of its block was found right, because an unpickler that runs
    on damaged bytes may ask for all memory. Large buffers are filled in place by `readinto`. Every method
    raises CorruptValueError for damage that it reads; only after `drain` is it certain that the frame
    is sound. `failure` is the exception that reading raised, so that one of the value's own code differs
    from it.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.failure: Exception | None = None
        self._decompressor = decompressor()
        self._buffer = memoryview(b"")
        self._full = 0  # content of a full block, known from the header

    def check(self) -> None:
        """Raise the exception that reading the frame raised, if it did."""
        if self.failure is not None:
            raise self.failure

    def read(self, size: int = -1) -> bytes:
        """Return `size` bytes of content, fewer only at its end; all that is left if `size` is negative."""
        if 0 <= size <= len(self._buffer):
            return self._take(size).tobytes()
        pieces = []
        while size and self._fill():
            piece = self._take(size if size >= 0 else len(self._buffer))
            pieces.append(piece.tobytes())
            size -= len(piece) if size > 0 else 0
        return b"".join(pieces)

    def readinto(self, target: bytearray | memoryview) -> int:
        """Fill `target`; returns the number of bytes, fewer than its length only at the end."""
        with memoryview(target) as view, view.cast("B") as octets:
            done = 0
            while done < len(octets) and self._fill():
                piece = self._take(len(octets) - done)
                octets[done : done + len(piece)] = piece
                done += len(piece)
            return done

    def readline(self) -> bytes:
        """Return bytes to the next line feed, included; only old pickle protocols ask for lines."""
        pieces = []
        while self._fill():
            head = self._buffer.tobytes()
            end = head.find(b"\n") + 1
            pieces.append(self._take(end or len(head)).tobytes())
            if end:
                break
        return b"".join(pieces)

    def drain(self) -> None:
        """Read on to the end, so that the checksum of the whole is really checked."""
        while self._fill():
            self._buffer = memoryview(b"")
        check_rest(self._file.read(FIELD))

    def _take(self, size: int) -> memoryview:
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def _fill(self) -> bool:
        """Make sure that there is content in the buffer; False at the end of the frame."""
        if not self._buffer and not self._decompressor.eof:
            try:
                content = self._next_block()
                if len(content) < self._full:
                    # As written here, it is the last one. If it is not, it may be one whose kind (compressed
                    # or as it is) was damaged, which only the checksum of the whole shows.
                    content += b"".join(iter(self._next_block, b""))
            except Exception as error:
                self.failure = error
                raise
            self._buffer = memoryview(content)
        return bool(self._buffer)

    def _next_block(self) -> bytes:
        """Return the content of one block, whose checksum was right; none at the end of a sound frame."""
        if not self._full:
            self._begin()
        head = self._exactly(FIELD)
        size = int.from_bytes(head, "little") & _SIZE_BITS
        if not any(head):
            self._feed(head + self._exactly(FIELD))
            return b""
        if size > self._full:
            raise CorruptValueError("damaged lz4 frame: impossible length of a block")
        self._feed(head)
        # At once: what is given piece by piece comes back before its checksum is looked at.
        content = self._feed(self._exactly(size + FIELD))
        if not content:
            raise CorruptValueError("damaged lz4 frame: a block without content")
        return content

    def _begin(self) -> None:
        """Read the header of the frame."""
        head = self._exactly(len(MAGIC) + 2)
        flags, sizes = head[-2:]
        rest = 1 + (8 if flags & _HAS_SIZE else 0) + (4 if flags & _HAS_DICTIONARY else 0)
        self._feed(head + self._exactly(rest))
        self._full = 1 << (8 + 2 * (sizes >> 4))  # 4 to 7 are 64 KiB to 4 MiB

    def _exactly(self, size: int) -> bytes:
        data = self._file.read(size)
        while len(data) < size:
            more = self._file.read(size - len(data))
            if not more:
                raise CorruptValueError("damaged lz4 frame: it ends too early")
            data += more
        return data

    def _feed(self, data: bytes) -> bytes:
        try:
            # With space for a whole block, because without a limit some of it may be kept for the next call.
            content: bytes = call(self._decompressor.decompress, data, self._full or FIELD)
        except RuntimeError as error:
            raise CorruptValueError(f"damaged lz4 frame: {error}") from error
        return content
