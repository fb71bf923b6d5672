"""Files of joblib, and of other picklers: formats without marks of their own, most without checksums.

Damage and a fault of the value look the same at first, so an error is explained by evidence: whether the
compression is sound, whether the pickle is, and who raised it.
"""

from __future__ import annotations

import bz2
import io
import lzma
import pickle
import sys
import zlib
from types import TracebackType
from typing import Any, BinaryIO, Final, NoReturn, Protocol

from perkey.content import Content
from perkey.errors import CorruptValueError, UnloadableValueError
from perkey.formats.failures import WatchedReader, raise_if_out_of_memory
from perkey.formats.foreign import (
    MOST_HEAD,
    fault_of_pickle,
    foreign_to_pickle,
    is_sound_pickle,
    refuse_for_pickle,
)
from perkey.formats.frames import MAGIC, decompressor

_PICKLE: Final = b"\x80"
_LZMA: Final = b"\x5d\x00"
_ARRAYS: Final = b"NumpyArrayWrapper"
"""Stands before the data of an array."""
_MAGICS: Final = (
    _PICKLE,
    b"\x78",  # zlib
    b"\x1f\x8b",  # gzip
    b"BZ",
    _LZMA,
    b"\xfd7zXZ",
    MAGIC,
)
_PIECE: Final = 1 << 12  # of what may decompress to thousands of times as much
# Modules whose code runs while any such file is loaded: an exception that passed through no others was not
# raised by the code of a value.
_LIBRARIES: Final = frozenset(
    [
        "perkey",
        "joblib",
        "pickle",
        "_compat_pickle",
        "copyreg",
        "numpy",
        "codecs",
        "encodings",
        "lz4",
        "gzip",
        "bz2",
        "lzma",
        "zlib",
        "_compression",
    ]
)


def load_joblib(content: Content) -> Any:
    """Return what `joblib.dump` (and so persidict) wrote, or any pickler from protocol 2 on.

    Raises:
        CorruptValueError: The content is damaged as far as can be detected without checksums.
        UnloadableValueError: The content is of another kind, or a module or class that the value
            needs is not here, or raised an exception.
    """
    import joblib  # noqa: PLC0415 - needed for foreign files only

    file = as_joblib_file(content)
    start = file.tell()
    watched = WatchedReader(file)
    outer = sys.exception()
    try:
        return joblib.load(io.BufferedReader(watched))
    except Exception as error:  # noqa: BLE001 - it is explained, or passed on
        watched.check()
        file.seek(start)
        explain(error, file, outer)


def check_joblib(content: Content) -> bool:
    """Look for damage in a file of joblib or of another pickler, without building anything.

    Returns:
        Whether that is possible: not in files of arrays without compression, whose data are not opcodes.

    Raises:
        CorruptValueError, UnloadableValueError: As `load_joblib`, as far as the bytes show it.
    """
    file = as_joblib_file(content)
    start = file.tell()
    magic = file.read(6)
    file.seek(start)
    if not magic.startswith(_PICKLE):
        head = _drained(file, magic, None)
        if not head.startswith(_PICKLE):
            _refuse_content(head, None)
        return True
    fault = fault_of_pickle(file)
    if fault is None:
        return True
    file.seek(start)
    if _ARRAYS in file.read(MOST_HEAD):
        return False
    raise CorruptValueError(f"not readable as a pickle: {fault}")


def as_joblib_file(content: Content) -> BinaryIO:
    """Return `content` as a file at its start.

    Raises:
        CorruptValueError: The content does not begin as a file of joblib, and seems to be damaged.
        UnloadableValueError: The content seems to be sound and of another kind.
    """
    file = io.BytesIO(content) if isinstance(content, bytes) else content
    start = file.tell()
    head = file.read(6)
    file.seek(start)
    if not head.startswith(_MAGICS):
        refuse_for_pickle(file.read(MOST_HEAD), _MAGICS)
    return file


def explain(error: Exception, file: BinaryIO, outer: BaseException | None) -> NoReturn:
    """Raise what an error means that arose while the pickle in `file`, compressed or not, was loaded.

    Args:
        error: The exception that arrived.
        file: The pickle, at its start.
        outer: The exception that was being handled before.

    Raises:
        CorruptValueError: The bytes are damaged.
        UnloadableValueError: The bytes are sound as far as can be detected.
        MemoryError: An allocation failed, and the compression is sound.
    """
    start = file.tell()
    magic = file.read(6)
    file.seek(start)
    head = _drained(file, magic, error)
    raise_if_out_of_memory(error, outer)
    if not head.startswith(_PICKLE):
        _refuse_content(head, error)
    if isinstance(error.__cause__, UnicodeDecodeError):
        error = error.__cause__  # joblib blames Python 2 for it
    certain = magic.startswith((b"\x78", b"\x1f\x8b", b"BZ", b"\xfd7zXZ"))  # these have checksums
    if certain or isinstance(error, (ImportError, AttributeError)) or _by_others(error.__traceback__):
        raise unloadable(error) from error
    if not isinstance(error, (pickle.UnpicklingError, EOFError)) and is_sound_pickle(
        _all(file, start, magic)
    ):
        raise unloadable(error) from error
    raise CorruptValueError(f"not readable as a pickle or a file of joblib: {error}") from error


def unloadable(error: Exception) -> UnloadableValueError:
    """Return the error for a value whose bytes are sound and that could not be built."""
    return UnloadableValueError(f"{type(error).__name__}: {error}")


def _refuse_content(head: bytes, error: Exception | None) -> NoReturn:
    """Describe a sound compressed file that is not a pickle."""
    kind = foreign_to_pickle(head)
    if kind is None:
        raise CorruptValueError(f"not a pickle: {error or 'it begins as something else'}") from error
    raise UnloadableValueError(f"it seems to be {kind}, compressed") from error


def _all(file: BinaryIO, start: int, magic: bytes) -> bytes:
    """Return the whole pickle, decompressed if it is compressed."""
    file.seek(start)
    tool = _decompressor(magic)
    return file.read() if tool is None else tool.decompress(file.read())


class _Decompressor(Protocol):
    def decompress(self, data: bytes, /) -> bytes: ...

    @property
    def eof(self) -> bool: ...


def _decompressor(magic: bytes) -> _Decompressor | None:
    """Return what decompresses a file that begins with `magic`; None if it is not compressed."""
    if magic.startswith(_PICKLE):
        return None
    if magic.startswith(MAGIC):
        tool: _Decompressor = decompressor()
        return tool
    if magic.startswith(b"BZ"):
        return bz2.BZ2Decompressor()
    if magic.startswith((b"\x78", b"\x1f\x8b")):
        return zlib.decompressobj(zlib.MAX_WBITS | 32)
    return lzma.LZMADecompressor()


def _drained(file: BinaryIO, magic: bytes, error: Exception | None) -> bytes:
    """Return the head of the content after all of it was decompressed, piece by piece.

    Raises:
        CorruptValueError: The compression is damaged, or ends too early.
    """
    tool = _decompressor(magic)
    if tool is None:
        return magic
    head = b""
    try:
        while not tool.eof and (piece := file.read(_PIECE)):
            content = tool.decompress(piece)
            head += content[: max(0, MOST_HEAD - len(head))]
    except MemoryError:
        raise
    except (OSError, EOFError, RuntimeError, zlib.error, lzma.LZMAError) as damage:
        if isinstance(damage, OSError) and damage.errno is not None:
            raise  # bz2 reports damage by an OSError without a number
        raise_if_out_of_memory(damage, error)
        raise CorruptValueError(f"damaged compression: {damage}") from error
    if not tool.eof:
        raise CorruptValueError("the compressed data ends too early") from error
    return head


def _by_others(traceback: TracebackType | None) -> bool:
    """Return whether an exception passed through code that is not of the libraries which load such files."""
    while traceback is not None:
        module = str(traceback.tb_frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] not in _LIBRARIES:
            return True
        traceback = traceback.tb_next
    return False
