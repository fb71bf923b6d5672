"""What can go wrong with a synced document beyond what can go wrong with any item."""

from __future__ import annotations

from typing import Any

from perkey.errors import PerkeyError


class KeyTypeError(PerkeyError, TypeError):
    """A mapping has a key of a type that JSON does not know; nothing was stored."""


class InvalidKeyError(PerkeyError, ValueError):
    """A mapping has a key of the right type that is not allowed here; nothing was stored."""


class WrongKindError(PerkeyError, ValueError):
    """A list is where a dict is expected, or the other way round; nothing was changed."""


class DetachedNodeError(PerkeyError, LookupError):
    """A nested collection is no longer in its document: its place is gone or has another kind of value.

    Attributes:
        path: The keys and indices that lead to it.
        place: The document.
    """

    def __init__(self, path: tuple[str | int, ...], place: str, reason: str) -> None:
        super().__init__(path, place, reason)
        self.path = path
        self.place = place
        self.reason = reason

    def __str__(self) -> str:
        """Name path and document."""
        steps = "".join(f"[{step!r}]" for step in self.path)
        return f"{steps} of {self.place} {self.reason}; take it from the document again"


class BufferException(PerkeyError, RuntimeError):  # noqa: N818 - the name that its users know
    """Something went wrong with buffered documents."""


class BufferedFileError(BufferException):
    """Some buffered documents could not be written. All other documents of the same flush were written.

    The content of their places was left as it is: usually another writer's change.

    Attributes:
        files: Each of their places (for a JSON file its path) and the reason.
        data: Each place with the content that was not written, as plain data.
    """

    def __init__(self, files: dict[str, Exception], data: dict[str, Any]) -> None:
        super().__init__(files, data)
        self.files = files
        self.data = data

    def __str__(self) -> str:
        """List the places."""
        lines = "\n  ".join(f"{place}: {reason}" for place, reason in self.files.items())
        return f"buffered changes were not written, they are in this error's `data`:\n  {lines}"
