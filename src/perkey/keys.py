"""Keys: flat tuples of strings that are safe in file names and URLs, and a quoting for all other text.

The limits are those of the narrowest place (a file name of 255 bytes, an S3 object name of 1,024) and
hold for every backend alike, so that data can move between them.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from typing import Any, Final, Self, SupportsIndex, TypeAlias, overload

SAFE_CHARS_SET: Final = frozenset(string.ascii_letters + string.digits + "()_-~.=")
"""The characters that a key part may have."""

SAFE_STRING_MAX_LENGTH: Final = 253
"""The most characters that one part of a key may have, before digest and file type are added."""

_SAFE = re.compile(r"[A-Za-z0-9()_\-~.=]+")


def get_safe_chars() -> set[str]:
    """Return the characters that a key part may have, as a new set."""
    return set(SAFE_CHARS_SET)


def replace_unsafe_chars(text: str, replace_with: str = "_") -> str:
    """Return `text` with each unsafe character replaced; not reversible (`quote` is).

    Args:
        text: Any text.
        replace_with: What stands for an unsafe character; must be safe itself.

    Raises:
        ValueError: `replace_with` has an unsafe character.

    >>> replace_unsafe_chars("a b/c")
    'a_b_c'
    """
    if replace_with and not _SAFE.fullmatch(replace_with):
        raise ValueError(f"replace_with={replace_with!r} is itself not safe")
    return "".join(c if c in SAFE_CHARS_SET else replace_with for c in text)


def check_part(part: str) -> str:
    """Return `part` if it can be a part of a key.

    Raises:
        ValueError: It is empty, too long, ``"."`` or ``".."``, or has an unsafe character.
    """
    if not _SAFE.fullmatch(part):
        if not part:
            raise ValueError("a key part must not be empty")
        unsafe = "".join(sorted(set(part) - SAFE_CHARS_SET))
        raise ValueError(
            f"key part {part!r} has characters that are not safe in a file name: {unsafe!r}; "
            "perkey.quote() makes a key of any text"
        )
    if len(part) > SAFE_STRING_MAX_LENGTH:
        raise ValueError(f"key part of {len(part)} characters, at most {SAFE_STRING_MAX_LENGTH} are allowed")
    if part in {".", ".."}:
        raise ValueError(f"{part!r} cannot be a key part: it names a folder")
    return part


def _flatten(item: Any, parts: list[str]) -> None:
    """Append the checked parts of `item`, a string or a sequence of such, to `parts`."""
    if isinstance(item, str):
        parts.append(check_part(str(item)))
    elif isinstance(item, SafeStrTuple):
        parts.extend(item)
    elif isinstance(item, Sequence) and not isinstance(item, (bytes, bytearray, memoryview)):
        for inner in item:
            _flatten(inner, parts)
    else:
        raise TypeError(f"a key is a string or a sequence of strings, not {type(item).__name__}")


class SafeStrTuple(tuple[str, ...]):
    """An immutable, flat tuple of non-empty strings, each safe in a file name and a URL.

    It is a tuple: equal to and hashing like the tuple of its parts. Concatenation with a string or a
    sequence of strings on either side, and slicing, give a `SafeStrTuple` again.

    Args:
        *parts: Strings, or sequences of strings, which are flattened.

    Raises:
        TypeError: A part is neither a string nor a sequence.
        ValueError: A part is empty, too long, ``"."``, ``".."`` or has an unsafe character.

    >>> SafeStrTuple("a", ["b", "c"])
    SafeStrTuple('a', 'b', 'c')
    >>> "x" + SafeStrTuple("a") == ("x", "a")
    True
    """

    __slots__ = ()

    def __new__(cls, *parts: Any) -> Self:
        """Flatten and check the parts."""
        flat: list[str] = []
        for part in parts:
            _flatten(part, flat)
        return cls._trusted(flat)

    @classmethod
    def _trusted(cls, parts: Sequence[str]) -> Self:
        return tuple.__new__(cls, parts)

    def __getnewargs__(self) -> tuple[tuple[str, ...]]:
        return (tuple(self),)

    @property
    def strings(self) -> tuple[str, ...]:
        """The parts, as a plain tuple."""
        return tuple(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self))})"

    def __add__(self, other: Any) -> SafeStrTuple:
        return type(self)(self, other)

    def __radd__(self, other: Any) -> SafeStrTuple:
        return type(self)(other, self)

    @overload
    def __getitem__(self, index: SupportsIndex) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> SafeStrTuple: ...
    def __getitem__(self, index: SupportsIndex | slice) -> str | SafeStrTuple:
        found = super().__getitem__(index)
        return found if isinstance(found, str) else SafeStrTuple._trusted(found)


class NonEmptySafeStrTuple(SafeStrTuple):
    """A `SafeStrTuple` of at least one part: what a value can be stored under.

    Raises:
        ValueError: There is no part; or as for `SafeStrTuple`.
    """

    __slots__ = ()

    @classmethod
    def _trusted(cls, parts: Sequence[str]) -> Self:
        if not parts:
            raise ValueError("a key must have at least one part")
        return tuple.__new__(cls, parts)


PersiDictKey: TypeAlias = SafeStrTuple | str | Sequence[Any]
"""What the dictionaries take as a key: a string, or a (nested) sequence of strings."""

NonEmptyPersiDictKey: TypeAlias = PersiDictKey
"""The same, where at least one part is asked for (a type checker cannot tell)."""


# --- Quoting: any text <-> safe parts -------------------------------------------------------------

_CHUNK = 160
_ESCAPED = re.compile(r"[^A-Za-z0-9()_\-~.]")
# A tail that a digest suffix could look like: it would be taken for one, so its "_" is escaped.
_LIKE_DIGEST = re.compile(r"_(?=[a-z2-7]{1,26}\Z)")
_EMPTY = "=="


def quote(text: str) -> SafeStrTuple:
    """Return a key that stands for `text`, whatever its characters; `unquote` gives the text back.

    Safe characters but ``=`` stand for themselves, every other one for ``=XX`` per byte of UTF-8. Long
    text is cut into several parts, each but the last ending in ``=``. Different texts give different
    keys, in every dictionary, also on case-insensitive file systems as long as digests are on.

    Args:
        text: Any text, empty and unpaired surrogates included.

    >>> quote("Größe 7/8")
    SafeStrTuple('Gr=C3=B6=C3=9Fe=207=2F8')
    >>> unquote(quote("Größe 7/8"))
    'Größe 7/8'
    """
    if not text:
        return SafeStrTuple(_EMPTY)
    units = [_escape(c) if _ESCAPED.match(c) else c for c in text]
    chunks: list[list[str]] = [[]]
    size = 0
    for unit in units:
        if size + len(unit) > _CHUNK:
            chunks.append([])
            size = 0
        chunks[-1].append(unit)
        size += len(unit)
    parts = ["".join(chunk) for chunk in chunks]
    last = _LIKE_DIGEST.sub("=5F", parts[-1])
    last = last if last not in {".", ".."} else last.replace(".", "=2E")
    return SafeStrTuple([part + "=" for part in parts[:-1]], last)


def _escape(char: str) -> str:
    return "".join(f"={byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))


def unquote(key: PersiDictKey) -> str:
    """Return the text that `quote` made `key` of.

    Raises:
        ValueError: `key` is not a quoted text.

    >>> unquote("a=20b")
    'a b'
    """
    parts = NonEmptySafeStrTuple(key)
    if parts == (_EMPTY,):
        return ""
    if not all(part.endswith("=") for part in parts[:-1]):
        raise ValueError(f"{key!r} was not made by quote()")
    joined = "".join(part[:-1] for part in parts[:-1]) + parts[-1]
    if not re.fullmatch(r"(?:[^=]|=[0-9A-F]{2})+", joined):
        raise ValueError(f"{key!r} was not made by quote()")
    raw = re.sub(rb"=([0-9A-F]{2})", lambda m: bytes.fromhex(m[1].decode()), joined.encode("ascii"))
    text = raw.decode("utf-8", "surrogatepass")
    # One text, one key: "=61" would be a second one for "a".
    if quote(text) != parts:
        raise ValueError(f"{key!r} was not made by quote()")
    return text
