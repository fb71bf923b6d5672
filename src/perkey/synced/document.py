"""A document: one resource, what is known of it, and edits that are each one compare-and-swap.

Reading asks the resource whether the known version is still the current one and parses only what changed.
An edit takes the current state, makes a changed copy of the way to its place, and writes on the condition
that the state is still that one. So edits by any number of writers all survive, and one that fails has
written nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from typing import Any, Final, NamedTuple, Protocol, TypeAlias, TypeVar

from perkey.content import read_all
from perkey.errors import ConflictError, NestedWriteError
from perkey.expectations import ABSENT, Expectation, Version
from perkey.naming import Name
from perkey.stores import Store
from perkey.synced.errors import WrongKindError
from perkey.synced.plain import Encoder, Plain, decode, encode

R = TypeVar("R")


# --- Resources ------------------------------------------------------------------------------------------

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

        The caller may keep and change the data.

        Raises:
            KeyError: The item does not exist.
            CorruptValueError: The stored content is not valid.
        """

    @abstractmethod
    def write(self, data: Plain, expect: Expectation) -> Version:
        """Store data if the item is at the version `expect`, or ABSENT, and return the new version.

        The caller does not change the data after this call.

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
        """Return content and version; None if the item is still at `known`. Raises KeyError."""

    @abstractmethod
    def write_bytes(self, content: bytes, expect: Expectation) -> Version:
        """Do the same as `write`, with bytes."""

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


# --- Trees ----------------------------------------------------------------------------------------------
#
# A tree of dicts and lists is never changed after another part of the program has seen it. An edit copies the
# dicts and lists on the way to its place.

Path: TypeAlias = tuple[str | int, ...]
"""Keys and indices that lead from the root of a tree to a place in it."""

Change: TypeAlias = Callable[[Any], R]
"""Changes a dict or list in place and returns something; raises before it has changed anything."""


class PlaceGone(Exception):  # noqa: N818 - caught within this package
    """The path of a nested collection does not exist, or leads to a value of another kind."""


def part_at(root: Plain, path: Path, kind: type) -> Any:
    """Return the dict or list at a place of a tree; raises PlaceGone."""
    node = root
    try:
        for step in path:
            node = node[step]
    except (LookupError, TypeError):
        raise PlaceGone("is gone") from None
    return _checked(node, kind)


def edited(root: Plain, path: Path, kind: type, change: Change[R], owned: set[int]) -> tuple[Plain, R]:
    """Return a tree in which one dict or list is changed, and what the change returns.

    Args:
        root: The tree; it stays as it is.
        path: The place.
        kind: Which of dict and list is there.
        change: The change.
        owned: The ids of the parts of the tree that only this edit or draft has seen. They are changed in
            place, and the new copies are added. The caller must keep the tree that the first edit began
            with, so that no id is used again.

    Raises:
        PlaceGone: The path does not lead to a value of that kind.
        Whatever `change` raises.
    """
    part_at(root, path, kind)
    node = root = _own(root, owned)
    for step in path:
        node[step] = node = _own(node[step], owned)
    return root, change(node)


def _own(node: Any, owned: set[int]) -> Any:
    if id(node) in owned:
        return node
    node = node.copy()
    owned.add(id(node))
    return node


def _checked(node: Plain, kind: type) -> Any:
    if type(node) is not kind:
        raise PlaceGone(f"holds a {type(node).__name__} now, not a {kind.__name__}")
    return node


# --- Documents ------------------------------------------------------------------------------------------

Moment: TypeAlias = Any
"""Identifies one state of a layer."""


class OvertakenError(Exception):
    """Another writer was faster; nothing was changed. Caught within this package."""


class Layer(Protocol):
    """Reads and edits the content of a document: the document itself, a buffered copy, or a draft."""

    def peek(self) -> Plain:
        """Return the current tree, for one look: a draft may change it afterwards."""
        ...

    def snapshot(self) -> tuple[Moment, Plain]:
        """Return the current moment and tree, which never changes."""
        ...

    def edit(self, path: Path, kind: type, change: Change[R], since: Moment | None = None) -> R:
        """Try an edit once, on the state of the moment `since` if it is given.

        Raises:
            OvertakenError: Another writer came between.
            PlaceGone: The path does not lead to a value of that kind.
            Whatever `change` raises.
        """
        ...


class State(NamedTuple):
    """A tree, and the version that it was found or left at: `ABSENT` where nothing was stored yet."""

    version: Expectation
    data: Plain


class Document:
    """One resource of plain data; the lowest layer. Shared by threads.

    Args:
        resource: Where the data is.
        kind: dict or list.
        initial: The data as long as nothing is stored.
    """

    def __init__(self, resource: Resource, kind: type, initial: Plain) -> None:
        self.resource: Final = resource
        self.kind: Final = kind
        self.initial: Final = initial
        # Replaced as a whole: two threads may load at once, and either state is a true one.
        self._state = State(ABSENT, initial)

    def __reduce__(self) -> tuple[Any, ...]:
        return Document, (self.resource, self.kind, self.initial)

    def load(self) -> State:
        """Return the current state; cost: the resource's own for something that is at a known version.

        Raises:
            CorruptValueError: The stored content is not JSON.
            WrongKindError: The content is a list and not a dict, or a dict and not a list.
        """
        known = self._state
        try:
            found = self.resource.read(known.version if isinstance(known.version, str) else None)
        except KeyError:
            if known.version is not ABSENT:
                known = self._state = State(ABSENT, self.initial)
            return known
        if found is None:
            return known
        data, version = found
        if type(data) is not self.kind:
            raise WrongKindError(
                f"{self.resource.describe()} holds a {type(data).__name__}, not a {self.kind.__name__}"
            )
        state = self._state = State(version, data)
        return state

    def commit(self, old: State, data: Plain) -> None:
        """Store a tree if the resource is still at the old state; raises ConflictError if not."""
        version = self.resource.write(data, old.version)
        self._state = State(version, data)

    def peek(self) -> Plain:
        return self.load().data

    def snapshot(self) -> tuple[Moment, Plain]:
        state = self.load()
        return state, state.data

    def edit(self, path: Path, kind: type, change: Change[R], since: Moment | None = None) -> R:
        old: State = since or self.load()
        data, result = edited(old.data, path, kind, change, owned=set())
        try:
            self.commit(old, data)
        except ConflictError:
            raise OvertakenError from None
        return result


class Draft:
    """A tree that is edited in memory until it is written; another layer.

    Parts that only the draft has seen are changed in place, so that an edit does not copy a large dict. Edits
    are not safe between threads. An edit that begins within another one, in a signal handler for example,
    raises `NestedWriteError`.

    Attributes:
        edits: The number of edits so far.
        closed: Whether the block has ended. The draft must not be used any more.
    """

    def __init__(self, data: Plain) -> None:
        self.edits = 0
        self.closed = False
        self._data = data
        self._first = data  # kept, because ids of its parts must not be used again
        self._owned: set[int] = set()
        self._editing: list[bool] = []

    def peek(self) -> Plain:
        return self._data

    def snapshot(self) -> tuple[Moment, Plain]:
        self._owned.clear()
        self._first = self._data
        return (self.edits,), self._data

    def edit(self, path: Path, kind: type, change: Change[R], since: Moment | None = None) -> R:
        if since is not None and since != (self.edits,):
            raise OvertakenError
        if self._editing:
            raise NestedWriteError("a document in memory")
        try:
            self._editing.append(True)
            self._data, result = edited(self._data, path, kind, change, self._owned)
            self.edits += 1
        finally:
            self._editing.clear()
        return result
