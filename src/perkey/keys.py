"""Keys: flat tuples of strings that are safe in file names and URLs, and a quoting for all other text.

The limits are those of the narrowest place (a file name of 255 bytes, an S3 object name of 1,024) and
hold for every backend alike, so that data can move between them.
"""

from __future__ import annotations

import json
import re
import string
from collections import UserString
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Self, SupportsIndex, TypeAlias, overload

from perkey.answers import answer
from perkey.arguments import check_flag
from perkey.handles import NeverSame

SAFE_CHARS_SET: Final = frozenset(string.ascii_letters + string.digits + "()_-~.=")
"""The characters that a key part may have."""

SAFE_STRING_MAX_LENGTH: Final = 253
"""The most characters that one part of a key may have, before digest and file type are added."""

_SAFE = re.compile(r"[A-Za-z0-9()_\-~.=]+")

is_safe_part: Final = re.compile(
    rf"(?!\.{{1,2}}\Z)[A-Za-z0-9()_\-~.=]{{1,{SAFE_STRING_MAX_LENGTH}}}"
).fullmatch
"""Matches a string that `check_part` accepts; of a key that it matches, nothing else needs to be checked."""

_DEEPEST = 100
_BINARY = (bytes, bytearray, memoryview)
_TEXT: Final = frozenset((str,))
_ATOMS: Final = frozenset((str, int, float, bool, type(None)))
_FEW: Final = 50
_SMALL_TEXT: Final = 4300
"""Parameters of so few lists and mappings, and with no more characters, have their key by a shorter way."""
_encode: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode
_LARGEST: Final = 2**24
"""Parameters of more parts and characters are digested part by part."""
_LONG: Final = 10**4300
"""Python writes no longer ints in decimal, by default."""


def text_of(text: str) -> str:
    """Return the characters of a string, also of a member of a ``(str, Enum)``, as a plain string.

    `str()` would ask the class, which may answer with something else, such as the name of the member.
    """
    return str.__str__(text)


def get_safe_chars() -> set[str]:
    """Return the characters that a key part may have, as a new set."""
    return set(SAFE_CHARS_SET)


def replace_unsafe_chars(text: str, replace_with: str = "_") -> str:
    """Return `text` with each unsafe character replaced; not reversible (`quote` is).

    Args:
        text: Any text.
        replace_with: What stands for an unsafe character; must be safe itself.

    Raises:
        TypeError: An argument is not a string.
        ValueError: `replace_with` has an unsafe character.

    >>> replace_unsafe_chars("a b/c")
    'a_b_c'
    """
    plain, instead = _text("text", text), _text("replace_with", replace_with)
    if instead and not _SAFE.fullmatch(instead):
        raise ValueError(f"replace_with={instead!r} is itself not safe")
    return "".join(c if c in SAFE_CHARS_SET else instead for c in plain)


def check_part(part: str) -> str:
    """Return `part` if it can be a part of a key.

    Raises:
        ValueError: The part is empty, too long, ``"."`` or ``".."``, or has an unsafe character.
    """
    if not _SAFE.fullmatch(part):
        if not part:
            raise ValueError("a key part must not be empty")
        unsafe = "".join(sorted(set(part) - SAFE_CHARS_SET))
        parts = tuple(part.split("/"))
        in_parts = f"write folders as {parts!r}; " if len(parts) > 1 and all(parts) else ""
        raise ValueError(
            f"key part {part!r} has characters that are not safe in a file name: {unsafe!r}; "
            f"{in_parts}perkey.quote() makes a key of any text"
        )
    if len(part) > SAFE_STRING_MAX_LENGTH:
        raise ValueError(f"key part of {len(part)} characters, at most {SAFE_STRING_MAX_LENGTH} are allowed")
    if part in {".", ".."}:
        raise ValueError(f"{part!r} cannot be a key part: it names a folder")
    return part


def _flatten(item: Any, parts: list[str], depth: int = 0) -> None:
    """Append the checked parts of `item`, a string or a sequence of such, to `parts`."""
    if isinstance(item, str):
        parts.append(check_part(text_of(item)))
    elif isinstance(item, SafeStrTuple):
        parts.extend(item)
    # A UserString is a sequence of UserStrings, each of which is again one.
    elif isinstance(item, Sequence) and not isinstance(item, (*_BINARY, UserString)):
        if depth == _DEEPEST:
            raise ValueError(f"a key must not be nested more than {_DEEPEST} levels deep")
        for inner in item:
            _flatten(inner, parts, depth + 1)
    else:
        kind = type(item).__name__
        raise TypeError(f"a key is a string or a sequence of strings, not {kind}; {_advice(item)}")


def _advice(thing: object) -> str:
    """Return how to make a key of a thing that is not one."""
    if isinstance(thing, _BINARY):
        return "bytes(x).hex() makes a string of it"
    if isinstance(thing, Mapping):
        return "perkey.key_of(x) makes a key of parameters"
    if isinstance(thing, Iterable) and not isinstance(thing, UserString):
        return "tuple(x) makes a sequence of it if it has an order, and tuple(sorted(x)) if not"
    return (
        "str(x) makes a string of it, perkey.quote(text) a key of any text, "
        "perkey.key_of(x) a key of parameters"
    )


def _text(name: str, text: Any) -> str:
    """Return an argument that must be a string as a plain one."""
    if not isinstance(text, str):
        raise TypeError(
            f"{name} must be a string, not {type(text).__name__}; str(x) makes a string of it, "
            "perkey.key_of(x) a key of parameters"
        )
    return text_of(text)


class SafeStrTuple(tuple[str, ...]):
    """An immutable, flat tuple of non-empty strings, each safe in a file name and a URL.

    It is a tuple: equal to, hashing and shown like the tuple of its parts. `str` gives them with slashes
    between them. Concatenation with a string or a sequence of strings on either side, and slicing, give a
    `SafeStrTuple` again. The arguments are strings, or sequences of strings, which are flattened.

    Raises:
        TypeError: A part is neither a string nor a sequence of strings; so are bytes, mappings, sets and
            iterators, which have no order or no text of their own.
        ValueError: A part is empty, too long, ``"."``, ``".."`` or has an unsafe character.

    >>> SafeStrTuple("a", ["b", "c"])
    ('a', 'b', 'c')
    >>> print(SafeStrTuple("a", ["b", "c"]))
    a/b/c
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

    def __str__(self) -> str:
        return "/".join(self)

    __repr__ = tuple.__repr__

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
        ValueError: No part is given; or as for `SafeStrTuple`.
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
"""The same, where at least one part is asked for (a type checker cannot see the difference)."""


# --- Quoting: any text <-> safe parts -------------------------------------------------------------

_CHUNK = 160
_ESCAPED = re.compile(r"[^A-Za-z0-9()_\-~.]")
# A tail that a digest suffix could look like: it would be taken for one, so its "_" is escaped.
_LIKE_DIGEST = re.compile(r"_(?=[a-z2-7]{1,26}\Z)")
_EMPTY = "=="
# In no quoted text "==" is followed by anything.
_SHORTENED = re.compile(r"(?:[^=]|=[0-9A-F]{2})*==[a-z2-7]{32}")
_DIGEST_LEN = 32
_BEGINNING = _CHUNK - len(_EMPTY) - _DIGEST_LEN


def quote(text: str, *, shorten: bool = False) -> SafeStrTuple:
    """Return a key that stands for `text`, whatever its characters; `unquote` gives the text back.

    Safe characters but ``=`` stand for themselves, every other one for ``=XX`` per byte of UTF-8. Long
    text is cut into several parts of at most 160 characters, each but the last ending in ``=``. Different
    texts give different keys, in every dictionary, also on case-insensitive file systems as long as digests
    are on.

    A stored key has at most 900 characters. With `digest_len=8` that is a text of 832 ASCII letters or
    digits, 277 spaces, 138 letters with accents, 92 Chinese characters or 69 emoji. A dictionary refuses
    longer keys with a ValueError. `shorten` makes a key of a text of any length.

    Args:
        text: Any text, empty and unpaired surrogates included.
        shorten: Whether text that does not fit into one part of a key is replaced by its beginning, ``==``
            and a digest: the first 160 bits of the SHA-256 of its UTF-8, in lower-case base32. `unquote`
            cannot give such a text back. Text that fits is quoted as without `shorten`.

    Raises:
        TypeError: `text` is not a string, or `shorten` not a bool.

    >>> quote("Größe 7/8")
    ('Gr=C3=B6=C3=9Fe=207=2F8',)
    >>> unquote(quote("Größe 7/8"))
    'Größe 7/8'
    >>> len(quote("Summarise the following article: " * 100, shorten=True))
    1
    """
    plain = _text("text", text)
    if not plain:
        check_flag("shorten", shorten)
        return SafeStrTuple(_EMPTY)
    chunks = _chunks(plain, _CHUNK)
    if check_flag("shorten", shorten) and len(chunks) > 1:
        beginning = _chunks(plain[:_BEGINNING], _BEGINNING)[0]
        return SafeStrTuple(f"{beginning}{_EMPTY}{_digest(plain)}")
    *parts, last = chunks
    last = _LIKE_DIGEST.sub("=5F", last)
    last = last if last not in {".", ".."} else last.replace(".", "=2E")
    return SafeStrTuple([part + "=" for part in parts], last)


def _chunks(text: str, size: int) -> list[str]:
    """Return quoted text in pieces of at most `size` characters, cut between characters of the text."""
    chunks: list[list[str]] = [[]]
    used = 0
    for char in text:
        unit = _escape(char) if _ESCAPED.match(char) else char
        if used + len(unit) > size:
            chunks.append([])
            used = 0
        chunks[-1].append(unit)
        used += len(unit)
    return ["".join(chunk) for chunk in chunks]


def _escape(char: str) -> str:
    return "".join(f"={byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))


def _digest(text: str) -> str:
    """Return the first 160 bits of the SHA-256 of a text in lower-case base32."""
    from base64 import b32encode  # noqa: PLC0415 - with the next line, for the few programs that need it
    from hashlib import sha256  # noqa: PLC0415 - it loads OpenSSL

    raw = sha256(text.encode("utf-8", "surrogatepass")).digest()[: _DIGEST_LEN * 5 // 8]
    return b32encode(raw).decode("ascii").lower()


def unquote(key: PersiDictKey) -> str:
    """Return the text that `quote` made `key` of.

    Raises:
        TypeError: `key` is not a key.
        ValueError: `key` is not a quoted text, or one that was shortened.

    >>> unquote("a=20b")
    'a b'
    """
    parts = NonEmptySafeStrTuple(key)
    if parts == (_EMPTY,):
        return ""
    if len(parts) == 1 and _SHORTENED.fullmatch(parts[0]):
        raise ValueError(
            f"{key!r} was made by quote(text, shorten=True), from which the text cannot be recovered"
        )
    text = _unescape(parts)
    # One text, one key: "=61" would be a second one for "a".
    if text is None or quote(text) != parts:
        raise ValueError(f"{key!r} was not made by quote()")
    return text


def _unescape(parts: SafeStrTuple) -> str | None:
    """Return the text that quoted parts stand for, or None if they do not stand for any."""
    if not all(part.endswith("=") for part in parts[:-1]):
        return None
    joined = "".join(part[:-1] for part in parts[:-1]) + parts[-1]
    if not re.fullmatch(r"(?:[^=]|=[0-9A-F]{2})+", joined):
        return None
    raw = re.sub(rb"=([0-9A-F]{2})", lambda m: bytes.fromhex(m[1].decode()), joined.encode("ascii"))
    try:
        return raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return None


# --- Parameters -> key ----------------------------------------------------------------------------


def key_of(parameters: Any) -> SafeStrTuple:
    """Return a key that stands for JSON-like parameters: the same on every machine and in every version.

    The key has one part of 32 characters: the first 160 bits, in lower-case base32, of the SHA-256 of the
    UTF-8 of the parameters in JSON. That JSON has sorted keys, no spaces, no escapes but those that JSON asks
    for (the short ones where there are such), and the `repr` of each number. So the order in which a mapping
    was filled does not matter, and different parameters give different keys (but for a collision of the
    digest). Parameters that count more than 2**24 parts and characters, or that have an int of more than
    4,300 digits, are digested part by part. A list that occurs in many places is read once, and the key is
    that of parameters where each place has a copy of it.

    Tuples and lists are the same, as in JSON. ``1``, ``1.0`` and ``True`` are three parameters. Members of a
    ``(str, Enum)`` or an ``IntEnum`` are the same as their text or number.

    Args:
        parameters: None, a bool, int, float, string, or mappings with string keys and sequences of such.

    Raises:
        TypeError: `parameters` has a value of another kind, such as a set or an array.
        ValueError: `parameters` are nested more than 100 levels deep, or contain themselves; a mapping has
            two keys of the same text; or an int has more digits than the program's own
            ``sys.set_int_max_str_digits`` allows.

    >>> key_of({"lr": 0.1, "layers": [64, 64]})
    ('orz2xokvjctu2a3qk3zomn2gqrpja2qu',)
    >>> key_of({"layers": (64, 64), "lr": 0.1}) == key_of({"lr": 0.1, "layers": [64, 64]})
    True
    """
    part = small_key_of(parameters)
    if part is not None:
        return SafeStrTuple(part)
    reading = _Reading()
    plain = reading.plain(parameters, ())
    if reading.size > _LARGEST:
        return SafeStrTuple(_digest(f"parts:{_json(_digested(plain, {}))}"))
    return SafeStrTuple(_digest(_json(plain)))


def small_key_of(parameters: Any) -> str | None:
    """Return the part of the key of a few parameters of the JSON-like types themselves; else None."""
    if not _is_small(parameters):
        return None
    try:
        text = _encode(parameters)
    except answer(ValueError):  # an int has too many digits for this program
        return None
    # A longer text may have an int that is digested in another form.
    return _digest(text) if len(text) <= _SMALL_TEXT else None


def _is_small(parameters: Any) -> bool:
    containers, to_do = 0, [parameters]
    while to_do:
        each: Any = to_do.pop()
        kind = type(each)
        if kind is dict and _TEXT.issuperset(map(type, each)):
            inner = each.values()
        elif kind is list or kind is tuple:
            inner = each
        elif kind in _ATOMS:
            continue
        else:
            return False
        containers += 1
        if containers > _FEW or len(inner) > _SMALL_TEXT:
            return False  # also parameters that contain themselves
        if not _ATOMS.issuperset(map(type, inner)):
            to_do.extend(inner)
    return True


def _json(plain: Any) -> str:
    try:
        return _encode(plain)
    except answer(ValueError) as error:
        raise ValueError(
            "an int in parameters has more digits than sys.set_int_max_str_digits() allows in this program, "
            "so that it has no decimal text; allow at least 4300 digits, as Python does by default"
        ) from error


def _digested(plain: Any, known: dict[int, list[str]]) -> Any:
    """Return what stands for a part: a list of its digest, or of a word and hexadecimal digits; or itself."""
    if type(plain) is int and _is_long(plain):
        return ["int", hex(plain)]
    if not isinstance(plain, (list, dict)):
        return plain
    if id(plain) not in known:
        if isinstance(plain, list):
            parts: Any = [_digested(inner, known) for inner in plain]
        else:
            parts = {key: _digested(inner, known) for key, inner in plain.items()}
        known[id(plain)] = [_digest(_json(parts))]
    return known[id(plain)]


def _is_long(number: int) -> bool:
    return not -_LONG < number < _LONG


class _Reading:
    """Makes plain values of JSON-like parameters, without any class of the caller's; each part is read once.

    Attributes:
        size: How many parts and characters the parameters have, where shared parts count at each place;
            more than the largest if there is a number that has no decimal text.
    """

    def __init__(self) -> None:
        self.size = 0
        # By address and depth, which is limited; the parts stay alive, so that no other one has the address.
        self._known: dict[tuple[int, int], tuple[Any, Any, int]] = {}

    def plain(self, thing: Any, path: tuple[str | int, ...]) -> Any:
        """Return a part as plain values."""
        self.size += 1
        if thing is None or isinstance(thing, bool):
            return thing
        for kind in (str, int, float):
            if isinstance(thing, kind):
                return self._atom(kind, thing)
        at = id(thing), len(path)
        known = self._known.get(at)
        if known is not None:
            self.size += known[2]
            return known[1]
        before = self.size
        plain = self._container(thing, path)
        self._known[at] = thing, plain, self.size - before
        return plain

    def _atom(self, kind: type[Any], thing: Any) -> Any:
        exact = _exactly(kind, thing)
        if kind is str:
            self.size += len(exact)
        elif kind is int and _is_long(exact):
            self.size += _LARGEST
        return exact

    def _container(self, thing: Any, path: tuple[str | int, ...]) -> Any:
        if len(path) == _DEEPEST:
            raise ValueError(f"parameters must not be nested more than {_DEEPEST} levels deep")
        if isinstance(thing, Mapping) and not isinstance(thing, NeverSame):
            return self._mapping(thing, path)
        if isinstance(thing, Sequence) and not isinstance(thing, (*_BINARY, UserString)):
            return [self.plain(inner, (*path, index)) for index, inner in enumerate(thing)]
        where = "".join(f"[{step!r}]" for step in path)
        raise TypeError(
            f"parameters{where} must be None, a bool, number or string, or a mapping or sequence of such, "
            f"not {type(thing).__name__}; str(x) makes a string of it, sorted(x) a list of a set, x.tolist() "
            "a list or number of what numpy made"
        )

    def _mapping(self, mapping: Mapping[Any, Any], path: tuple[str | int, ...]) -> dict[str, Any]:
        plain: dict[str, Any] = {}
        for key, value in mapping.items():
            if not isinstance(key, str):
                raise TypeError(f"keys in parameters must be strings, not {type(key).__name__}: {key!r}")
            text = text_of(key)
            if text in plain:
                raise ValueError(f"two keys in parameters have the same text {text!r}")
            self.size += len(text)
            plain[text] = self.plain(value, (*path, text))
        return plain


def _exactly(kind: type[Any], thing: Any) -> Any:
    """Return a string or number of a subclass as one of the class itself; its own methods are not called."""
    if kind is str:
        return text_of(thing)
    return int.__int__(thing) if kind is int else float.__float__(thing)
