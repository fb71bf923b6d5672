"""Recognise files that are not of the expected format: a sound file of another program is not damage."""

from __future__ import annotations

import codecs
import io
import json
import os
from pathlib import Path
from typing import Any, BinaryIO, Final, NoReturn

from perkey.errors import CorruptValueError, UnloadableValueError

MOST_HEAD: Final = 1 << 20
"""How much of a file is looked at."""

_MAGICS: Final = (
    (b"perkey-hmac-sha256\n", "a value that perkey's SignedFormat wrote"),
    (b"version https://git-lfs", "a pointer of Git LFS instead of the file itself; run `git lfs pull`"),
    (b"/annex/objects/", "a pointer of git-annex instead of the file itself; run `git annex get`"),
    (b"ZF0x", "a file of a joblib older than 0.10"),
    (b"\x93NUMPY", "an array in numpy's own format (.npy)"),
    (b"PK\x03\x04", "a zip archive (which .npz, .xlsx and files of torch are, too)"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"PAR1", "a Parquet file"),
    (b"ARROW1", "an Arrow file"),
    (b"\xff\xff\xff\xff\x10\x00\x00\x00", "a stream of Arrow"),
    (b"FEA1", "a Feather file"),
    (b"ORC\n", "an ORC file"),
    (b"Obj\x01", "an Avro file"),
    (b"CDF\x01", "a NetCDF file"),
    (b"CDF\x02", "a NetCDF file"),
    (b"MATLAB 5.0", "a MATLAB file"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"\x28\xb5\x2f\xfd", "a file compressed by zstd"),
    (b"\xff\x06\x00\x00sNaPpY", "a file compressed by snappy"),
    (b"\x02!L\x18", "a file compressed by an old lz4"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a rar archive"),
    (b"%PDF-", "a PDF document"),
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"RIFF", "a RIFF file (WAV, AVI, WebP)"),
    (b"\x7fELF", "a program"),
    (b"-----BEGIN PGP", "a message of PGP"),
    (b"Salted__", "a file encrypted by openssl"),
    (b"age-encryption.org", "a file encrypted by age"),
)
_COMPRESSED: Final = (
    (b'\x04"M\x18', "a frame of lz4, as files of type pkl are"),
    (b"\x1f\x8b", "a file compressed by gzip"),
    (b"BZh", "a file compressed by bz2"),
    (b"\xfd7zXZ\0", "a file compressed by xz"),
)
_MARKS: Final = (  # the longer ones first
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
_TAR_AT, _TAR = 257, b"ustar"


def refuse_foreign(kind: str | None, cause: BaseException | None = None) -> None:
    """Raise UnloadableValueError for content that seems to be of some kind; nothing happens for None."""
    if kind is not None:
        raise UnloadableValueError(f"it seems to be {kind}") from cause


def foreign_to_pickle(head: bytes) -> str | None:
    """Return what the head of a file that is neither perkey's nor joblib's seems to be, or None."""
    kind = _by_magic(head) or _old_pickle(head)
    if kind is None and (text := _text(head)) is not None:
        kind = "JSON" if _is_json(text) else _kind_of_text(text)
    return kind


def foreign_to_json(raw: bytes) -> str | None:
    """Return what content that is not JSON in UTF-8 seems to be, or None: damaged JSON, most probably."""
    head = raw[:MOST_HEAD]
    if head[:1] == b"\x80" and len(head) > 1 and head[1] < 0x10:  # noqa: PLR2004 - protocols of pickle
        return f"a pickle of protocol {head[1]}"
    kind = _by_magic(head, _COMPRESSED) or _old_pickle(head)
    if kind is None and (mark := _mark(head)) is not None and (text := _text(head)) is not None:
        if _is_json(text.removeprefix("\ufeff")):
            kind = f"JSON in {mark.upper()} with a byte order mark; save it as UTF-8 without one"
    elif kind is None and (text := _text(head)) is not None:
        kind = "JSON Lines, one document a line" if _is_json_lines(text) else _kind_of_text(text)
    return kind


def foreign_to_text(raw: bytes) -> str | None:
    """Return what content that is not UTF-8 seems to be, or None."""
    head = raw[:MOST_HEAD]
    kind = _by_magic(head, _COMPRESSED)
    mark, text = _mark(head), _text(head)
    # Two damaged bytes look like a mark; but of other scripts' characters alone hardly a text consists.
    if kind is None and mark is not None and text is not None and any(map(str.isascii, text)):
        kind = f"text in {mark.upper()}; save it as UTF-8"
    return kind


def _by_magic(head: bytes, more: tuple[tuple[bytes, str], ...] = ()) -> str | None:
    if head[_TAR_AT : _TAR_AT + len(_TAR)] == _TAR:
        return "a tar archive"
    return next((kind for magic, kind in (*_MAGICS, *more) if head.startswith(magic)), None)


def _old_pickle(head: bytes) -> str | None:
    """Recognise a pickle of protocol 0 or 1, which has no mark, by reading all of it without running it."""
    if len(head) < MOST_HEAD and head.endswith(b".") and is_sound_pickle(head):
        return "a pickle of protocol 0 or 1; load it by pickle.load and store the value anew"
    return None


def is_sound_pickle(raw: bytes) -> bool:
    """Return whether bytes are one pickle from beginning to end, as far as can be seen without running it."""
    import pickletools  # noqa: PLC0415 - rarely needed

    file = io.BytesIO(raw)
    try:
        with Path(os.devnull).open("w") as nowhere:
            pickletools.dis(file, out=nowhere)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - what it raises for bytes that are not a pickle is not documented
        return False
    return file.tell() == len(raw)


def fault_of_pickle(file: BinaryIO) -> str | None:
    """Return why a file is not one pickle from here to its end, None if its opcodes are; nothing is run.

    Memory is used for one argument of an opcode at a time.
    """
    import pickletools  # noqa: PLC0415 - rarely needed

    try:
        for _ in pickletools.genops(file):
            pass
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - as above
        return str(error) or type(error).__name__
    return "foreign bytes behind the end of the pickle" if file.read(1) else None


def _mark(head: bytes) -> str | None:
    return next((name for mark, name in _MARKS if head.startswith(mark)), None)


def _text(head: bytes) -> str | None:
    """Return the head of a file as text, if it is text for people."""
    try:
        text = codecs.getincrementaldecoder(_mark(head) or "utf-8")().decode(head, len(head) < MOST_HEAD)
    except UnicodeError:
        return None
    return text if text and all(char.isprintable() or char in "\t\n\r\f" for char in text) else None


def _kind_of_text(text: str) -> str | None:
    start = text[:200].lstrip().lower()
    if start.startswith(("<!doctype html", "<html")):
        return "a page of HTML"
    if start.startswith(("<?xml", "<!doctype", "<svg")):
        return "XML"
    if start.startswith("%yaml"):
        return "YAML"
    return None


def _is_json(text: str) -> bool:
    return _parsed(text) is not None


def _is_json_lines(text: str) -> bool:
    lines = [line for line in text.splitlines() if line.strip()]
    return len(lines) > 1 and all(isinstance(_parsed(line), (dict, list)) for line in lines)


def _parsed(text: str) -> Any:
    """Return the list, dict or text that JSON stands for; None of anything else."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, (dict, list, str)) else None


def refuse_for_pickle(head: bytes, magics: tuple[bytes, ...]) -> NoReturn:
    """Describe a file whose beginning is neither perkey's nor joblib's.

    Raises:
        UnloadableValueError: The content seems to be sound and of another kind.
        CorruptValueError: The content is damaged.
    """
    cut = any(magic.startswith(head) for magic in magics)
    if head and not cut:
        refuse_foreign(foreign_to_pickle(head))
    raise CorruptValueError("empty" if not head else "neither an lz4 frame nor a file of joblib")
