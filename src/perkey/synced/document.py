"""A document: one resource, what is known of it, and edits that are each one compare-and-swap.

Reading asks the resource whether the known version is still the current one and parses only what changed.
An edit takes the current state, makes a changed copy of the way to its place, and writes on the condition
that the state is still that one. So edits by any number of writers all survive, and one that fails has
written nothing.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, Protocol, TypeAlias, TypeVar

from perkey.errors import ConflictError, NestedWriteError
from perkey.expectations import ABSENT, Expectation
from perkey.synced import trees
from perkey.synced.errors import WrongKindError
from perkey.synced.plain import Plain
from perkey.synced.resources import Resource
from perkey.synced.trees import Change, Path

R = TypeVar("R")

Moment: TypeAlias = Any
"""What tells one state of a layer from all later ones."""


class OvertakenError(Exception):
    """Another writer was faster; nothing was changed. Never leaves the room."""


class Layer(Protocol):
    """What answers for the content of a document: itself, or something that holds it back for a while."""

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
            PlaceGone: There is nothing of that kind at the path.
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
            CorruptValueError: What is stored is no JSON.
            WrongKindError: It is of the other kind.
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
                f"{self.resource.describe()} holds a {type(data).__name__}, no {self.kind.__name__}"
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
        data, result = trees.edit(old.data, path, kind, change, owned=set())
        try:
            self.commit(old, data)
        except ConflictError:
            raise OvertakenError from None
        return result


class Draft:
    """A tree that is edited in memory until it is written; another layer.

    What nobody has seen yet is changed in place, so that an edit costs no copy of a large dict. An edit is
    not safe between threads by itself. One that begins within another, in a signal handler say, raises
    `NestedWriteError`.

    Attributes:
        edits: How many there were.
        closed: Whether its time is over, and it must not be used any more.
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
            self._data, result = trees.edit(self._data, path, kind, change, self._owned)
            self.edits += 1
        finally:
            self._editing.clear()
        return result
