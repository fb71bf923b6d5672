"""How a key becomes the name of a file or an object, and back.

Every part gets a suffix: ``_`` and the first characters of the lower-case base32 MD5 of the part, so that
keys which differ only in case do not meet on a case-insensitive file system. The last part also gets the
file type. The names are those of persidict, so that folders and buckets can be shared with it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final, TypeAlias

from perkey.arguments import check_kind, wrong_kind
from perkey.keys import NonEmptySafeStrTuple, SafeStrTuple, check_part, is_safe_part, text_of

try:
    # The interpreter's own: half the price of OpenSSL's for some bytes, and there where FIPS forbids that.
    from _md5 import md5  # type: ignore[import-not-found] # has no stub
except ImportError:  # an interpreter built without
    from hashlib import md5

Name: TypeAlias = tuple[str, ...]
"""A stored name: the parts of a key with their digests, the last one with the file type."""

MAX_DIGEST_LEN: Final = 26
DEFAULT_DIGEST_LEN: Final = 8
"""In folders, whose file systems may ignore case."""
"""Base32 of an MD5 has this many characters."""

MAX_PART_BYTES: Final = 255
"""The longest file name of the common file systems; every stored part keeps to it, on every backend."""

MAX_NAME_BYTES: Final = 900
"""The longest stored name, separators included: S3 allows 1,024 bytes, and a root prefix needs some."""

CLAIM_ENDING: Final = "-claim"
"""What the file types of claims end in. A claim lies beside its item; no dictionary may have such a type."""

_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = [a + b for a in _BASE32 for b in _BASE32]
_USUAL = 8  # the digest length that deserves a shortcut
_CACHED_NAMES = 16_384
_UNKNOWN: Final[Any] = object()


def digest(part: str, digest_len: int) -> str:
    """Return the first `digest_len` characters of the lower-case base32 of the MD5 of `part`.

    >>> digest("a", 8)
    'btaxlooa'
    """
    raw = md5(part.encode("ascii"), usedforsecurity=False).digest()
    if digest_len == _USUAL:
        number = int.from_bytes(raw[:5], "big")  # pairs of digits are looked up at once
        return (
            _PAIRS[number >> 30]
            + _PAIRS[number >> 20 & 1023]
            + _PAIRS[number >> 10 & 1023]
            + _PAIRS[number & 1023]
        )
    # 128 bits and two of padding make 26 digits.
    number = (int.from_bytes(raw, "big") << 2) >> (5 * (MAX_DIGEST_LEN - digest_len))
    pairs = [_PAIRS[(number >> shift) & 1023] for shift in range(5 * digest_len - 10, -1, -10)]
    if digest_len % 2:
        return "".join(pairs) + _BASE32[number & 31]
    return "".join(pairs)


class Shape:
    """What the names that keys are stored under look like; most other names do not.

    Args:
        leaf: A regular expression for the last part of a name, of ASCII only.
        folder: One for each other part.
        ending: What all leaves end in.
        shortest: How many characters the shortest leaf has.
    """

    def __init__(self, leaf: str, folder: str, ending: str, shortest: int) -> None:
        self.leaf, self.folder, self.ending, self.shortest = leaf, folder, ending, shortest
        self.leaf_fits = re.compile(leaf).fullmatch
        self.folder_fits = re.compile(folder).fullmatch

    def fits(self, name: Name) -> bool:
        """Return whether a name is of this shape; cheap, because digests are not computed."""
        return self.leaf_fits(name[-1]) is not None and all(map(self.folder_fits, name[:-1]))


def _shape(digest_len: int, ending: str) -> Shape:
    """Return the shape of names with digests of so many characters, and leaves with such an ending."""
    end, safe = re.escape(ending), r"[A-Za-z0-9()_\-~.=]"
    over = r"(?:\Z|\x00)"  # the end of a name, also where many are searched at once
    if not digest_len:
        # A folder must not look like a file; see Naming._check_folder.
        return Shape(
            leaf=rf"(?!\.{{1,2}}{end}{over}){safe}+{end}",
            folder=rf"(?!\.{{1,2}}{over}){safe}+(?<!{end})",
            ending=ending,
            shortest=1 + len(ending),
        )
    tail, shortest = rf"_[a-z2-7]{{{digest_len}}}", 2 + digest_len
    # Over all of it at once and then a look back: to try each place for the digest takes twice as long.
    return Shape(
        leaf=rf"{safe}{{{shortest + len(ending)},}}+(?<={tail}{end})",
        folder=rf"{safe}{{{shortest},}}+(?<={tail})",
        ending=ending,
        shortest=shortest + len(ending),
    )


def check_file_type(file_type: str) -> str:
    """Return a file type if it can be the ending of names.

    Raises:
        ValueError: `file_type` begins with a dot, or has characters that are not safe.
    """
    text = text_of(file_type)
    if text.startswith(".") and text.strip("."):
        raise ValueError(f"file_type must not begin with a dot, as {text!r} does; write {text.lstrip('.')!r}")
    try:
        return check_part(text)
    except ValueError as error:
        raise ValueError(f"file_type: {error}") from None


class Naming:
    """Key to name and back, for one digest length and file type; immutable, shared, cheap to pickle.

    Args:
        digest_len: Characters of digest added to each part, 0 to 26.
        file_type: The ending of the last part, checked like a key part.

    Attributes:
        cached_name_of: Does the same as `name_of` for a key that is a plain string, a tuple of plain strings,
            or what the library returns as a key. Other objects may be equal to one of these and have another
            text, so they must not be looked up.

    Raises:
        ValueError: `digest_len` or `file_type` is out of bounds.
    """

    def __init__(self, digest_len: int, file_type: str) -> None:
        _check_kinds(digest_len, file_type)
        if not 0 <= digest_len <= MAX_DIGEST_LEN:
            raise ValueError(f"digest_len must be between 0 and {MAX_DIGEST_LEN}, not {digest_len}")
        file_type = check_file_type(file_type)
        if len(file_type) > MAX_PART_BYTES // 4:
            raise ValueError(f"file_type of {len(file_type)} characters is too long")
        if file_type.endswith(CLAIM_ENDING):
            raise ValueError(
                f"file_type={file_type!r}: types that end in {CLAIM_ENDING!r} are kept for claims"
            )
        self.digest_len = digest_len
        self.file_type = file_type
        self._ending = "." + file_type
        self._tail = digest_len + 1
        self.shape = _shape(digest_len, self._ending)
        self.cached_name_of = lru_cache(_CACHED_NAMES)(self.name_of)
        self._cached_part = lru_cache(_CACHED_NAMES)(self._folder_part)
        # Never emptied: a listing of more keys than fit would push each out before it is seen again.
        self._flat_keys: dict[str, NonEmptySafeStrTuple | None] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return naming, (self.digest_len, self.file_type)

    def name_of(self, key: Any) -> Name:
        """Return the stored name of `key`.

        Raises:
            TypeError: `key` is not a string or a sequence of strings.
            ValueError: `key` is empty, has an unsafe part, or its name would be too long.
        """
        # The most frequent key, a plain string, is checked at once.
        parts = (key,) if type(key) is str and is_safe_part(key) else NonEmptySafeStrTuple(key)
        *folders, last = (self._suffixed(part) for part in parts)
        for folder in folders:
            self._check_folder(folder)
        name = (*folders, last + self._ending)
        self._check_length(name)
        return name

    def prefix_of(self, prefix: Any) -> Name:
        """Return the folder name of `prefix`, which may be empty; raises as `name_of`."""
        parts = SafeStrTuple(prefix)
        folder = tuple(self._suffixed(part) for part in parts)
        for stored in folder:
            self._check_folder(stored)
        self._check_length(folder)
        return folder

    def key_of(self, name: Name) -> NonEmptySafeStrTuple | None:
        """Return the key stored under `name`, or None if no key of this dictionary has that name."""
        leaf = name[-1]
        flat: NonEmptySafeStrTuple | None = self._flat_keys.get(leaf, _UNKNOWN)
        if flat is _UNKNOWN:
            flat = self._flat_key(leaf)
            if len(self._flat_keys) < _CACHED_NAMES:
                self._flat_keys[leaf] = flat
        if flat is None or len(name) == 1:
            return flat
        parts = [self._cached_part(folder) for folder in name[:-1]]
        if None in parts:
            return None
        return tuple.__new__(NonEmptySafeStrTuple, (*parts, *flat))

    def part_of(self, folder: str) -> str | None:
        """Return the key part that the folder `folder` stands for, or None if it stands for none."""
        return self._cached_part(folder)

    def _suffixed(self, part: str) -> str:
        if not self.digest_len or self._has_suffix(part):
            return part
        return f"{part}_{digest(part, self.digest_len)}"

    def _has_suffix(self, part: str) -> bool:
        cut = len(part) - self._tail
        return cut > 0 and part[cut] == "_" and part[cut + 1 :] == digest(part[:cut], self.digest_len)

    def _flat_key(self, leaf: str) -> NonEmptySafeStrTuple | None:
        """Return the key stored as a file `leaf` in the base folder, or None."""
        part = self._part_of(leaf[: -len(self._ending)]) if self.shape.leaf_fits(leaf) else None
        return None if part is None else tuple.__new__(NonEmptySafeStrTuple, (part,))

    def _folder_part(self, folder: str) -> str | None:
        return None if self.shape.folder_fits(folder) is None else self._part_of(folder)

    def _part_of(self, stored: str) -> str | None:
        """Return the part of a key that is stored as `stored`, or None."""
        if len(stored) > MAX_PART_BYTES:
            return None
        if not self.digest_len:
            return stored
        part = stored[: -self._tail]
        if stored[1 - self._tail :] != digest(part, self.digest_len) or part in {".", ".."}:
            return None
        # A part that itself ends in its own digest gets no second one, so it does not lead back here.
        return stored if part[-self._tail :][:1] == "_" and self._has_suffix(part) else part

    def _check_folder(self, folder: str) -> None:
        # Without digests the folder "x.pkl" cannot be distinguished from the file of the key "x".
        if not self.digest_len and folder.endswith(self._ending):
            raise ValueError(
                f"with digest_len=0 the key part {folder!r} would collide with a file of type "
                f"{self.file_type!r}; choose another part or a digest_len above 0"
            )

    def _check_length(self, name: Name) -> None:
        for part in name:
            if len(part) > MAX_PART_BYTES:
                most = MAX_PART_BYTES - (len(self._ending) + (self._tail if self.digest_len else 0))
                raise ValueError(
                    f"key part is too long: at most {most} characters are allowed with "
                    f"digest_len={self.digest_len} and file_type={self.file_type!r}; "
                    "perkey.quote(text, shorten=True) makes a short key of a long text"
                )
        check_name_length(name)


def check_name_length(name: Name) -> None:
    """Raise ValueError if `name`, its separators counted, is longer than every backend can store."""
    length = sum(map(len, name)) + len(name) - 1
    if length > MAX_NAME_BYTES:
        raise ValueError(
            f"key is too long: {length} characters once stored, at most {MAX_NAME_BYTES}; "
            "perkey.quote(text, shorten=True) makes a short key of a long text"
        )


def naming(digest_len: int, file_type: str) -> Naming:
    """Return the shared `Naming` of a digest length and file type; raises as `Naming`."""
    _check_kinds(digest_len, file_type)
    return _shared_naming(digest_len, text_of(file_type))


@lru_cache(256)
def _shared_naming(digest_len: int, file_type: str) -> Naming:
    return Naming(digest_len, file_type)


def _check_kinds(digest_len: Any, file_type: Any) -> None:
    if isinstance(digest_len, bool) or not isinstance(digest_len, int):
        raise wrong_kind("digest_len", "an int", digest_len)
    check_kind("file_type", file_type, str, "a string")
