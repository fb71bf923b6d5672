"""The file of a collection: one JSON document a line, plain or compressed, read whole and written whole."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, Final

from perkey.errors import CorruptValueError
from perkey.files import read_file, write_file

_MODE: Final = re.compile(r"[rwax](?:b\+?|t\+?|\+[bt]?)?")
_GZIP: Final = b"\x1f\x8b"
_DEFAULT_LEVEL: Final = 9


class CollectionFile:
    """One file, opened in one of the modes of `open`, of which only the purpose matters.

    Writing replaces the file atomically, so a process that is killed leaves the old file or the new one.

    Args:
        path: The file.
        mode: ``r`` reads only, ``r+`` and ``a`` read and write, ``w`` begins empty, ``x`` makes a new file.
        compresslevel: As for gzip; 0 is not compressed; None follows from the name.

    Raises:
        ValueError: There is no such mode, or no such level of compression.
        RuntimeError: A compressed file is to be opened as text.
        FileNotFoundError, FileExistsError: As for `open`.
    """

    def __init__(self, path: str, mode: str, compresslevel: int | None) -> None:
        if _MODE.fullmatch(mode) is None:
            raise ValueError(f"invalid mode: {mode!r}")
        if compresslevel is None:
            compresslevel = _DEFAULT_LEVEL if path.endswith(".gz") else 0
        if compresslevel not in range(_DEFAULT_LEVEL + 1):
            raise ValueError(f"a level of compression is 0 to {_DEFAULT_LEVEL}, not {compresslevel!r}")
        if compresslevel and "b" not in mode:
            raise RuntimeError("compressed collections are opened in binary mode, for example 'ab+'")
        self.path: Final = os.path.abspath(path)
        self.is_writable: Final = mode[0] != "r" or "+" in mode
        self._level = compresslevel
        if mode[0] == "r" and not os.path.exists(self.path):
            raise FileNotFoundError(self.path)
        if mode[0] == "w":
            self.write([])
        elif mode[0] in "ax":
            with suppress(*([FileExistsError] if mode[0] == "a" else [])):
                write_file(self.path, self._encode([]), new=True)

    def read(self) -> Iterator[dict[str, Any]]:
        """Yield the documents.

        Raises:
            CorruptValueError: The file is damaged, or a line is no JSON document; it names the line.
        """
        content = read_file(self.path) or b""
        if content.startswith(_GZIP):
            try:
                content = gzip.decompress(content)
            except (OSError, EOFError, ValueError) as error:
                raise CorruptValueError(f"not gzip: {error}", place=self.path) from error
        for number, line in enumerate(content.splitlines(), 1):
            if line.strip():
                yield self._parse(line, number)

    def write(self, documents: Iterable[dict[str, Any]]) -> None:
        """Replace the file by one with these documents; on disk when it returns."""
        if not self.is_writable:
            raise io.UnsupportedOperation(f"{self.path} was opened for reading only")
        write_file(self.path, self._encode(documents))

    def _encode(self, documents: Iterable[dict[str, Any]]) -> bytes:
        content = "".join(f"{json.dumps(document)}\n" for document in documents).encode("ascii")
        return gzip.compress(content, self._level, mtime=0) if self._level else content

    def _parse(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            found = json.loads(line)
        except ValueError as error:
            raise CorruptValueError(f"line {number} is not JSON: {error}", place=self.path) from error
        if not isinstance(found, dict):
            raise CorruptValueError(f"line {number} is no document: {line[:40]!r}", place=self.path)
        return found
