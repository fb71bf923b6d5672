"""A sound file of another kind is no damage: the error says what it seems to be."""

import bz2
import gzip
import io
import json
import lzma
import pickle
import sqlite3
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import lz4.frame
import numpy as np
import pytest

from perkey import CorruptValueError, FileDirDict, UnloadableValueError
from perkey.content import bytes_of
from perkey.formats import AllowListPickleFormat, JsonFormat, PickleFormat, SignedFormat, TextFormat
from perkey.formats.pickled import compress

DOCUMENT = {"a": [1, 2, {"b": None}], "c": "é"}
TEXT = json.dumps(DOCUMENT).encode()
BLOB = bytes(range(256)) * 4


def npy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.arange(5))
    return file.getvalue()


def npz() -> bytes:
    file = io.BytesIO()
    np.savez(file, a=np.arange(5))
    return file.getvalue()


def tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a"), None)
    return file.getvalue()


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as opened:
        opened.writestr("a", "b")
    return file.getvalue()


def sqlite() -> bytes:
    connection = sqlite3.connect(":memory:")
    connection.execute("create table t (x)")
    return connection.serialize()


def h5() -> bytes:
    import h5py  # heavy

    file = io.BytesIO()
    with h5py.File(file, "w") as opened:
        opened["a"] = 1
    return file.getvalue()


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
HTML = b"<!DOCTYPE html>\n<html><body>404 Not Found</body></html>\n"
SIGNED = bytes_of(SignedFormat(PickleFormat(), secret=bytes(16)).encode(1))

OF_PKL: dict[str, tuple[bytes | Callable[[], bytes], str]] = {
    **{f"pickle {p}": (pickle.dumps(DOCUMENT, protocol=p), "pickle of protocol 0 or 1") for p in (0, 1)},
    "pickle of None": (pickle.dumps(None, protocol=0), "pickle of protocol 0 or 1"),
    "JSON": (TEXT, "JSON"),
    "JSON of a list": (b"[1, 2]", "JSON"),
    "numpy": (npy, "numpy"),
    "numpy archive": (npz, "zip"),
    "zip": (archive, "zip"),
    "tar": (tar, "tar"),
    "HDF5": (h5, "HDF5"),
    "SQLite": (sqlite, "SQLite"),
    "pointer of LFS": (LFS, "git lfs pull"),
    "page": (HTML, "HTML"),
    "signed": (SIGNED, "SignedFormat"),
    "JSON by gzip": (gzip.compress(TEXT), "JSON, compressed"),
    "JSON by zlib": (zlib.compress(TEXT), "JSON, compressed"),
    "JSON by bz2": (bz2.compress(TEXT), "JSON, compressed"),
    "JSON by xz": (lzma.compress(TEXT), "JSON, compressed"),
    "JSON by lz4": (lz4.frame.compress(TEXT), "JSON, compressed"),
    "tar by gzip": (lambda: gzip.compress(tar()), "tar archive, compressed"),
    "numpy by gzip": (lambda: gzip.compress(npy()), "numpy.*, compressed"),
}
OF_JSON: dict[str, tuple[bytes | Callable[[], bytes], str]] = {
    **{f"pickle {p}": (pickle.dumps(DOCUMENT, protocol=p), "pickle of protocol") for p in range(6)},
    "UTF-8 with a mark": ("﻿".encode() + TEXT, "UTF-8"),
    "UTF-16": (TEXT.decode().encode("utf-16"), "UTF-16"),
    "UTF-32": (TEXT.decode().encode("utf-32"), "UTF-32"),
    "JSON Lines": (b'{"a": 1}\n{"a": 2}\n', "JSON Lines"),
    "pkl": (bytes_of(PickleFormat().encode(1)), "lz4"),
    "gzip": (gzip.compress(TEXT), "gzip"),
    "bz2": (bz2.compress(TEXT), "bz2"),
    "xz": (lzma.compress(TEXT), "xz"),
    "zip": (archive, "zip"),
    "HDF5": (h5, "HDF5"),
    "pointer of LFS": (LFS, "git lfs pull"),
    "page": (HTML, "HTML"),
    "XML": (b'<?xml version="1.0"?><a/>', "XML"),
    "signed": (SIGNED, "SignedFormat"),
}
OF_TEXT: dict[str, tuple[bytes | Callable[[], bytes], str]] = {
    "UTF-16": ("a text of words".encode("utf-16"), "UTF-16"),
    "gzip": (gzip.compress(TEXT), "gzip"),
    "pkl": (bytes_of(PickleFormat().encode(1)), "lz4"),
    "zip": (archive, "zip"),
    "numpy": (lambda: npy() + b"\xff", "numpy"),
}
FILES = [
    *(("pkl", kind, *given) for kind, given in OF_PKL.items()),
    *(("json", kind, *given) for kind, given in OF_JSON.items()),
    *(("txt", kind, *given) for kind, given in OF_TEXT.items()),
]


@pytest.mark.parametrize(
    ("file_type", "kind", "made", "said"),
    FILES,
    ids=[f"{each[0]}-{each[1]}-{number}" for number, each in enumerate(FILES)],
)
def test_a_sound_file_of_another_kind_says_what_it_seems_to_be(
    tmp_path: Path, file_type: str, kind: str, made: bytes | Callable[[], bytes], said: str
) -> None:
    d = FileDirDict[Any](tmp_path, file_type, digest_len=0)
    path = tmp_path / f"{kind[:1]}.{file_type}"
    content = made if isinstance(made, bytes) else made()
    path.write_bytes(content)
    with pytest.raises(UnloadableValueError, match=f"(?i)seems to be .*{said}") as caught:
        d[kind[:1]]
    assert caught.value.place == str(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("kind", ["JSON", "numpy", "pickle 0"])
def test_large_files_are_looked_at_as_well(tmp_path: Path, kind: str) -> None:
    file = io.BytesIO()
    np.save(file, np.zeros(400_000))
    large = {
        "JSON": json.dumps(["x" * 50] * 15_000).encode(),
        "numpy": file.getvalue(),
        "pickle 0": pickle.dumps(["x" * 40] * 15_000, protocol=0),
    }
    d = FileDirDict[Any](tmp_path, digest_len=0)
    (tmp_path / "k.pkl").write_bytes(large[kind])
    with pytest.raises((UnloadableValueError, CorruptValueError)) as caught:
        d["k"]
    if kind != "JSON" or len(large[kind]) < 1 << 20:
        assert isinstance(caught.value, UnloadableValueError)


@pytest.mark.parametrize("cut", [1, 5, 12])
def test_what_is_cut_off_is_damaged_whatever_it_was(cut: int) -> None:
    """No beginning or remainder of our own files is taken for something foreign."""
    contents = [bytes_of(PickleFormat().encode(DOCUMENT)), bytes_of(PickleFormat(compression=None).encode(1))]
    for method in ("zlib", "gzip", "bz2", "xz", "lzma", "lz4"):
        file = io.BytesIO()
        joblib.dump(DOCUMENT, file, compress=(method, 3))
        contents.append(file.getvalue())
    for content in contents:
        for damaged in (content[:cut], content[cut:], content[: len(content) // 2]):
            try:
                PickleFormat().decode(damaged)
            except CorruptValueError:
                continue
            pytest.fail(f"{damaged!r}")


def test_words_are_no_kind_of_file() -> None:
    for content in (b"garbage", b"damaged", b"hello\n", b"\xff\xfe damaged", b"N", b"1.", b"]"):
        for form in (PickleFormat(), JsonFormat(), AllowListPickleFormat([])):
            if not (content == b"1." and isinstance(form, JsonFormat)):
                with pytest.raises(CorruptValueError):
                    form.decode(content)
    with pytest.raises(CorruptValueError):
        TextFormat().decode(b"\xff\xfe damaged")


def test_a_list_of_allowed_classes_says_it_too() -> None:
    with pytest.raises(UnloadableValueError, match="seems to be JSON"):
        AllowListPickleFormat([]).decode(TEXT)


@pytest.mark.parametrize("wrap", [bytes, compress, lz4.frame.compress, gzip.compress, zlib.compress])
def test_a_pickle_of_a_later_python_is_unloadable(wrap: Callable[[bytes], bytes]) -> None:
    newer = b"\x80\x06" + pickle.dumps([1, 2], protocol=5)[2:]
    with pytest.raises(UnloadableValueError, match="protocol: 6"):
        PickleFormat().decode(wrap(newer))


def test_a_number_that_is_too_long_for_this_interpreter_is_unloadable() -> None:
    content = b'{"n": ' + b"9" * 5000 + b"}"
    with pytest.raises(UnloadableValueError, match="set_int_max_str_digits"):
        JsonFormat().decode(content)
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        assert JsonFormat().decode(content) == {"n": int("9" * 5000)}
    finally:
        sys.set_int_max_str_digits(before)
