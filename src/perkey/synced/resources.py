"""A resource is one item of some place, whose value is plain data: what a document reads and writes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable
from typing import Any, TypeAlias

from perkey.content import read_all
from perkey.expectations import Expectation, Version
from perkey.naming import Name
from perkey.stores import Store
from perkey.synced.encoding import Encoder, decode, encode
from perkey.synced.plain import Plain

Found: TypeAlias = tuple[Plain, Version]
"""Data and its version."""


class Resource(ABC):
    """Where the data of one document is.

    Handles are shared by threads. To make a backend of your own, implement the four abstract methods (of
    `BytesResource` where the place keeps bytes) and give the object to `SyncedDict` or `SyncedList`.
    """

    @abstractmethod
    def read(self, known: Version | None) -> Found | None:
        """Return the data and its version, or None if it is still at the version `known`.

        The data is the caller's from then on.

        Raises:
            KeyError: There is none.
            CorruptValueError: It cannot be understood.
        """

    @abstractmethod
    def write(self, data: Plain, expect: Expectation) -> Version:
        """Store data if the item is at the version `expect`, or ABSENT, and return the new version.

        The data is not changed by anyone from then on.

        Raises:
            ConflictError: The item is not as expected; nothing was changed.
        """

    @abstractmethod
    def describe(self) -> str:
        """Return where the item is, for messages."""

    @property
    def identity(self) -> Hashable:
        """What is equal for two resources if, and only if, they are the same item."""
        return self.describe()

    def size_of(self, data: Plain) -> int:
        """Return how many bytes the data takes when it is stored."""
        return len(encode(data))


class BytesResource(Resource):
    """A resource whose place keeps bytes: the text of JSON."""

    def __init__(self) -> None:
        self._encoder = Encoder()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_encoder"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._encoder = Encoder()

    @abstractmethod
    def read_bytes(self, known: Version | None) -> tuple[bytes, Version] | None:
        """Return content and version, or None if it is still at `known`; raises KeyError if there is none."""

    @abstractmethod
    def write_bytes(self, content: bytes, expect: Expectation) -> Version:
        """As `write`, for bytes."""

    def read(self, known: Version | None) -> Found | None:
        found = self.read_bytes(known)
        if found is None:
            return None
        content, version = found
        return decode(content, self.describe()), version

    def write(self, data: Plain, expect: Expectation) -> Version:
        return self.write_bytes(self._encoder.encode(data), expect)

    def size_of(self, data: Plain) -> int:
        return len(self._encoder.encode(data))


class StoreItem(BytesResource):
    """One item of any store, as JSON text.

    Args:
        store: The store.
        name: The item's name in it.
    """

    def __init__(self, store: Store, name: Name) -> None:
        super().__init__()
        self.store = store
        self.name = name

    def read_bytes(self, known: Version | None) -> tuple[bytes, Version] | None:
        found = self.store.read(self.name, unless=known)
        if found is None:
            return None
        content, version = found
        return read_all(content), version

    def write_bytes(self, content: bytes, expect: Expectation) -> Version:
        return self.store.write(self.name, content, expect=expect)

    def describe(self) -> str:
        return self.store.describe(self.name)

    @property
    def identity(self) -> Hashable:
        return (id(self.store), self.name)
