"""Documents in groups of Zarr 3: an array of one string, which is the JSON text.

Zarr has no compare-and-swap, and neither has this: threads of one process exclude each other, but of edits by
several processes at the same moment only the last one remains, and the earlier ones are lost.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, ClassVar, Final, Protocol, cast

from perkey.errors import ConflictError, CorruptValueError, NestedWriteError
from perkey.expectations import ABSENT, Expectation, Version
from perkey.files import ProcessLock
from perkey.synced.buffers import Buffer
from perkey.synced.collection import SyncedCollection, pair, resource_of
from perkey.synced.document import BytesResource
from perkey.synced.errors import WrongKindError
from perkey.synced.synced_dict import SyncedDict
from perkey.synced.synced_list import SyncedList

_TEXT_KINDS: Final = frozenset("TUO")

# One for all arrays, because several groups may be the same one.
_lock = ProcessLock()
_writing: list[ZarrArray] = []


class Codec(Protocol):
    """Bytes to bytes and back, such as ``numcodecs.Zstd()``."""

    def encode(self, buf: bytes, /) -> Any:
        """Return the form to be stored."""
        ...

    def decode(self, buf: bytes, /) -> Any:
        """Return what was encoded."""
        ...


class ZarrArray(BytesResource):
    """An array of one string in a group: the JSON text, or base64 of what a codec makes of it.

    The array has the shape ``(1,)``, the data type ``string`` and no compressor, so that an edit writes one
    chunk and nothing else. Each look reads the chunk.

    Args:
        group: A ``zarr.Group`` of Zarr 3.
        name: The name of the array in it.
        codec: Encodes the text, if it is not to be readable; must be the same for all users of the array.
    """

    def __init__(self, group: Any, name: str, codec: Codec | None = None) -> None:
        super().__init__()
        self.group: Final = group
        self.name: Final = name
        self.codec: Final = codec

    def read_bytes(self, known: Version | None) -> tuple[bytes, Version] | None:
        text = self._text()
        if text is None:
            raise KeyError(self.name)
        version = _digest(text)
        return None if version == known else (self._decoded(text), version)

    def write_bytes(self, content: bytes, expect: Expectation) -> Version:
        text = self._encoded(content)
        with _lock:
            if _writing:  # by this thread
                raise NestedWriteError(self.describe())
            try:
                _writing.append(self)
                there = self._text()
                found = ABSENT if there is None else _digest(there)
                if found != expect:
                    raise ConflictError((self.name,), expect, found)
                self._array()[0] = text
            finally:
                _writing.clear()
        return _digest(text)

    def describe(self) -> str:
        return f"{self.group.store_path}/{self.name}"

    @property
    def identity(self) -> Hashable:
        return id(self.group.store), self.describe()

    def _text(self) -> str | None:
        """Return the text in the array; None if the array does not exist or is empty."""
        array = self._found()
        return (str(array[0]) or None) if array is not None else None

    def _found(self) -> Any:
        """Return the array; None if nothing has its name. Raises WrongKindError for anything else."""
        found = self.group.get(self.name)
        if found is None:
            return None
        shape, dtype = getattr(found, "shape", None), getattr(found, "dtype", None)
        if shape != (1,) or getattr(dtype, "kind", None) not in _TEXT_KINDS:
            held = "a group" if shape is None else f"an array of shape {shape} and type {dtype}"
            raise WrongKindError(f"{self.describe()} is {held}, not the array of one string of a document")
        return found

    def _array(self) -> Any:
        array = self._found()
        if array is not None:
            return array
        return self.group.create_array(
            self.name, shape=(1,), chunks=(1,), dtype="string", compressors=None, fill_value=""
        )

    def _encoded(self, content: bytes) -> str:
        if self.codec is None:
            return content.decode()
        from base64 import b64encode

        return b64encode(self.codec.encode(content)).decode()

    def _decoded(self, text: str) -> bytes:
        if self.codec is None:
            return text.encode()
        from base64 import b64decode

        try:
            return bytes(self.codec.decode(b64decode(text, validate=True)))
        except Exception as error:
            raise CorruptValueError(f"not what the codec makes: {error}", place=self.describe()) from error


def _digest(text: str) -> Version:
    from hashlib import sha256  # loads OpenSSL

    return sha256(text.encode()).hexdigest()


class ZarrCollection(SyncedCollection):
    """What the collections in Zarr have in common. Not safe between processes.

    Args:
        group: A ``zarr.Group`` of Zarr 3.
        name: The name of the array in it.
        codec: Bytes to bytes and back, such as ``numcodecs.Zstd()``; None for readable JSON.
        data: What the document holds as long as nothing is stored; see `SyncedCollection`.
        allow_nan: Whether NaN and infinities may be put in.

    Raises:
        WrongKindError: (by all operations) A group, or an array of another kind, has that name.
    """

    __perkey_buffer__: ClassVar[Buffer] = Buffer("bytes")

    def __init__(
        self, group: Any, name: str, codec: Codec | None = None, data: Any = None, *, allow_nan: bool = True
    ) -> None:
        super().__init__(ZarrArray(group, name, codec), data, allow_nan=allow_nan)

    @property
    def group(self) -> Any:
        """The group."""
        return cast("ZarrArray", resource_of(self)).group

    @property
    def name(self) -> str:
        """The name of the array."""
        return cast("ZarrArray", resource_of(self)).name

    @property
    def codec(self) -> Codec | None:
        """What encodes the text."""
        return cast("ZarrArray", resource_of(self)).codec


class ZarrDict(ZarrCollection, SyncedDict):
    """A dict in a group of Zarr."""


class ZarrList(ZarrCollection, SyncedList):
    """A list in a group of Zarr."""


pair(ZarrDict, ZarrList)
