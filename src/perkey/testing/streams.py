"""Data that writes itself: in pieces, with a failure on the way, or waiting for others."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import BinaryIO, Final

_MARK: Final = 40


class Stream:
    """Streamable data of given pieces.

    Args:
        pieces: What is written, one after another.
        between: Called before each piece with its number, and after the last one; may raise.
    """

    def __init__(self, pieces: Iterable[bytes], between: Callable[[int], object] | None = None) -> None:
        self.pieces = list(pieces)
        self.written = 0
        self._between = between

    def write_to(self, file: BinaryIO) -> None:
        """Write all pieces."""
        self.written += 1
        for number, piece in enumerate([*self.pieces, b""]):
            if self._between is not None:
                self._between(number)
            file.write(piece)
            file.flush()

    @property
    def content(self) -> bytes:
        """All of it."""
        return b"".join(self.pieces)


def marked(label: str, size: int) -> bytes:
    """Return content of about `size` bytes that shows whether it is whole, and whose it is."""
    body = f"{label}|".encode() + label.encode() * (size // max(1, len(label)))
    return hashlib.sha1(body, usedforsecurity=False).hexdigest().encode() + body


def label_of(content: bytes) -> str:
    """Return the label of marked content; raises AssertionError if it is torn."""
    body = content[_MARK:]
    whole = hashlib.sha1(body, usedforsecurity=False).hexdigest().encode() == content[:_MARK]
    assert whole, f"torn content of {len(content)} bytes: {content[:60]!r}"
    return body.split(b"|", 1)[0].decode()
