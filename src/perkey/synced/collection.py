"""Synced collections: a document and a path, which look like a dict or a list and hold no data."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from itertools import islice
from typing import Any, ClassVar, Self, TypeVar

from perkey.answers import answer
from perkey.errors import ConcurrencyConflictError
from perkey.handles import NeverSame, unlike_any
from perkey.showing import ROWS, count_text, page, shown, table, value_text
from perkey.synced.buffers import Block, Buffer, BufferedDocument
from perkey.synced.document import (
    Change,
    Document,
    Draft,
    Layer,
    OvertakenError,
    Path,
    PlaceGone,
    Resource,
    part_at,
)
from perkey.synced.errors import DetachedNodeError
from perkey.synced.plain import (
    ATOMS,
    Checks,
    Plain,
    Validator,
    checks_of,
    collect_validators,
    copy_of,
    json_format_validator,
    of_numpy,
    require_string_key,
)

R = TypeVar("R")
C = TypeVar("C", bound="SyncedCollection")


class SyncedCollection(NeverSame, Collection[Any]):
    """A dict or list that is stored somewhere, or a part of one: what both kinds have in common.

    Each read returns the current content, each edit one compare-and-swap of the whole document,
    repeated after a conflict: of any number of threads and processes, no edit is lost. An edit that fails
    has changed nothing. Dicts and lists inside come back as synced collections, too; they are places in the
    document, not the things that were there: a dict taken from index 0 of a list is at index 0 for ever.

    Collections can be pickled if their resource can, and shared by threads. A copy, deep or not, is another
    handle on the same data; call the collection for plain data.

    Internal attributes have names that begin with ``__perkey_``: where items are attributes, each other name
    is free for a key.

    Args:
        resource: Where the document is.
        data: What the document holds as long as nothing is stored; never overwrites anything, and is stored
            with the first edit.
        allow_nan: Whether NaN and infinities may be put in. They are written as Python's ``json`` does.

    Raises:
        KeyTypeError, InvalidKeyError, TypeError, ValueError: `data` is not allowed.
    """

    _validators: ClassVar[Sequence[Validator]] = (require_string_key, json_format_validator)
    """Validators of this class, which its subclasses inherit."""

    _all_validators: ClassVar[Sequence[Validator]]
    """All validators of this class; collected from `_validators` of it and its bases unless it sets them."""

    __perkey_buffer__: ClassVar[Buffer] = Buffer("bytes")
    """What holds edits back; subclasses share it unless they have one of their own."""

    __perkey_base__: ClassVar[type]
    """dict or list."""

    __perkey_pair__: ClassVar[dict[type, type[SyncedCollection]]]
    """The classes of the dicts and lists in a document; `pair` sets it."""

    __perkey_access__: Access
    __perkey_path__: Path

    def __init__(self, resource: Resource, data: Any = None, *, allow_nan: bool = True) -> None:
        checks = checks_of(tuple(self._all_validators), allow_nan)
        initial = self.__perkey_base__() if data is None else checks.admit(checked(self, data))
        access = Access(Document(resource, self.__perkey_base__, initial), type(self), checks)
        _place(self, access, ())

    def __init_subclass__(cls, **arguments: Any) -> None:
        """Collect the validators of the new class."""
        super().__init_subclass__(**arguments)
        if "_all_validators" not in cls.__dict__:
            cls._all_validators = collect_validators(cls)

    @classmethod
    @abstractmethod
    def is_base_type(cls, data: Any) -> bool:
        """Return whether `data` can become a collection of this kind."""

    # --- The whole ----------------------------------------------------------------------------------

    def __call__(self) -> Any:
        """Return a copy as plain data."""
        return copy_of(snapshot(self))

    __perkey_plain__ = __call__

    def reset(self, data: Any) -> None:
        """Replace the content.

        Raises:
            ValueError: `data` is of the other kind, or not allowed.
            KeyTypeError, TypeError: `data` is not allowed.
        """
        edit(self, replacing(admit(self, checked(self, data))))

    def transform(self, function: Callable[[Any], Any]) -> Any:
        """Replace the content by a function of it, as one atomic step; return the new content.

        Args:
            function: Takes a copy of the content as plain data. Returns the new content, or None if it has
                changed the copy instead. Runs without any lock, and once for each attempt.

        Raises:
            Exception: `function` raised it, or `reset` refuses the new content; nothing is changed then.
        """
        return transform(self, function)

    def editing(self) -> AbstractContextManager[Self]:
        """Make a block one atomic edit of the document: all or nothing, and no other edit comes between.

        Edits inside the block, by this thread or task and through any collection of the document, are made
        in memory. They are written when the block is left, in one compare-and-swap. After an exception
        nothing is written. A block cannot repeat itself after a conflict; `transform` can.

        Raises:
            ConcurrencyConflictError: Another writer came between; nothing was written.
        """
        return editing(self)

    def clear(self) -> None:
        """Remove all items, as one edit."""
        edit(self, replacing(self.__perkey_base__()))

    def __len__(self) -> int:
        return len(peek(self))

    def __eq__(self, other: object) -> bool:
        """Return whether the content equals that of another collection, or plain data."""
        if isinstance(other, SyncedCollection):
            other = snapshot(other)
        other = of_numpy(other)
        if not self.is_base_type(other):
            return NotImplemented
        return bool(snapshot(self) == other)

    __hash__ = None  # type: ignore[assignment] # it can change

    def __repr__(self) -> str:
        """Return the content; if it cannot be read, the class and the name of the error."""
        try:
            return repr(snapshot(self))
        except answer(Exception) as error:  # tracebacks, debuggers and notebooks show objects by their repr
            return f"<{type(self).__name__} that cannot be shown: {type(error).__name__}>"

    def _repr_html_(self) -> str:
        """Return the first items as a table for a notebook; the cost is one read of the document."""
        return collection_html(self)

    # --- Handles ------------------------------------------------------------------------------------

    def __copy__(self) -> Self:
        return _at(type(self), self.__perkey_access__, self.__perkey_path__)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return another handle on the same data."""
        return self.__copy__()

    def __reduce__(self) -> tuple[Any, ...]:
        return _at, (type(self), self.__perkey_access__, self.__perkey_path__, unlike_any())

    @property
    def resource(self) -> Resource:
        """Where the document is."""
        return resource_of(self)

    # --- Buffering ----------------------------------------------------------------------------------

    @property
    def buffered(self) -> Block:
        """A block that holds the edits of this document back, and writes them once when it is left.

        Reads inside are of the buffer, too. Blocks can be nested, also with those of `buffer_backend`; the
        last one writes. A block can be entered again; ``d.buffered()`` is the same as ``d.buffered``.

        Raises:
            BufferedFileError: The document was changed by another writer, or writing failed.
        """
        return Block(self.__perkey_access__.buffered)

    @classmethod
    def buffer_backend(
        cls,
        buffer_capacity: int | None = None,
        force_write: bool | None = None,
        *,
        buffer_size: int | None = None,
    ) -> Block:
        """Return a block that buffers all documents of this class and of all that share its buffer.

        Args:
            buffer_capacity: The capacity inside the block.
            force_write: Does nothing; older programs pass it.
            buffer_size: The same as `buffer_capacity`, as signac 1 calls it.

        Raises:
            BufferedFileError: The document was changed by another writer, or writing failed.
        """
        del force_write
        capacity = buffer_size if buffer_capacity is None else buffer_capacity
        return Block(lambda: cls.__perkey_buffer__.buffering(capacity))

    @classmethod
    def backend_is_buffered(cls) -> bool:
        """Return whether a block of `buffer_backend` is active."""
        return cls.__perkey_buffer__.contexts > 0

    @classmethod
    def get_buffer_capacity(cls) -> int:
        """Return at what size the buffer is written early, in bytes of JSON or in modified documents."""
        return cls.__perkey_buffer__.capacity

    @classmethod
    def set_buffer_capacity(cls, new_capacity: int) -> None:
        """Change the capacity; raises BufferedFileError if what exceeds it cannot be written."""
        cls.__perkey_buffer__.set_capacity(new_capacity)

    @classmethod
    def get_current_buffer_size(cls) -> int:
        """Return what is in the buffer, in the unit of its capacity."""
        return cls.__perkey_buffer__.size

    @classmethod
    def enable_multithreading(cls) -> None:
        """Do nothing: collections are always safe for threads."""

    @classmethod
    def disable_multithreading(cls) -> None:
        """Do nothing: collections are always safe for threads."""

    # --- For the two kinds --------------------------------------------------------------------------

    @classmethod
    def __perkey_classes__(cls) -> dict[type, type[SyncedCollection]]:
        """Return the class of dicts and that of lists in a document whose root is of this class."""
        return {**cls.__perkey_pair__, cls.__perkey_base__: cls}


def transform(collection: SyncedCollection, function: Callable[[Any], Any]) -> Any:
    """Replace the content by a function of it, as one atomic step; return the new content.

    The same as `SyncedCollection.transform`, whatever keys the collection has.
    """

    def change(content: Any) -> Any:
        returned = function(content)
        return admit(collection, checked(collection, content if returned is None else returned))

    access, path = collection.__perkey_access__, collection.__perkey_path__
    return copy_of(access.transform(path, collection.__perkey_base__, change))


@contextmanager
def editing(collection: C) -> Iterator[C]:
    """Make a block one atomic edit of the document.

    The same as `SyncedCollection.editing`, whatever keys the collection has.
    """
    with collection.__perkey_access__.editing():
        yield collection


def resource_of(collection: SyncedCollection) -> Resource:
    """Return where the document is, whatever keys the collection has."""
    return collection.__perkey_access__.document.resource


def checked(collection: SyncedCollection, data: Any) -> Any:
    """Return data that can become the content of a collection; raises ValueError."""
    if not collection.is_base_type(data):
        kind = collection.__perkey_base__.__name__
        raise ValueError(f"a {kind} or its like is needed, not a {type(data).__name__}")
    return data


def admit(collection: SyncedCollection, data: Any) -> Plain:
    """Return data as plain data that may be put into a collection; raises as its validators."""
    return collection.__perkey_access__.checks.admit(data)


def peek(collection: SyncedCollection) -> Any:
    """Return the content for one look at an item of it."""
    return collection.__perkey_access__.peek(collection.__perkey_path__, collection.__perkey_base__)


def snapshot(collection: SyncedCollection) -> Any:
    """Return the content, which never changes."""
    return collection.__perkey_access__.snapshot(collection.__perkey_path__, collection.__perkey_base__)


def collection_html(collection: SyncedCollection) -> str:
    """Return the HTML of a collection, whatever keys it has."""
    place, name = resource_of(collection).describe(), type(collection).__name__

    def build() -> str:
        content = snapshot(collection)
        items = content.items() if isinstance(content, dict) else enumerate(content)
        rows = [(value_text(key), value_text(value)) for key, value in islice(items, ROWS)]
        found_text = count_text("item", len(rows), len(content), complete=True)
        return page(name, place, [found_text], [table(("key", "value"), rows)] if rows else [])

    return shown(build, lambda: f"{name} {place}")


def edit(collection: SyncedCollection, change: Change[R]) -> R:
    """Change the content by one edit, and return what the change returns."""
    access = collection.__perkey_access__
    return access.edit(collection.__perkey_path__, collection.__perkey_base__, change)


def wrap(collection: SyncedCollection, step: str | int, value: Plain) -> Any:
    """Return a value at one step from a collection for the caller: an atom, a collection, or a copy."""
    kind = type(value)
    if kind in ATOMS:
        return value
    access = collection.__perkey_access__
    cls = access.classes.get(kind)
    return copy_of(value) if cls is None else _at(cls, access, (*collection.__perkey_path__, step))


def is_at(collection: SyncedCollection, value: Any, step: str | int) -> bool:
    """Return whether a value is the collection at one step from another, as after ``d[step] += ...``."""
    return (
        isinstance(value, SyncedCollection)
        and value.__perkey_access__ is collection.__perkey_access__
        and value.__perkey_path__ == (*collection.__perkey_path__, step)
    )


def _at(cls: type[C], access: Access, path: Path, unique: bytes = b"") -> C:
    """Return the collection at a place; `unique` is what makes pickles differ."""
    del unique
    found = cls.__new__(cls)
    _place(found, access, path)
    return found


def _place(collection: SyncedCollection, access: Access, path: Path) -> None:
    collection.__perkey_access__ = access
    collection.__perkey_path__ = path


def pair(dicts: type[SyncedCollection], lists: type[SyncedCollection]) -> None:
    """Let the dicts and lists of documents of two classes, and of their subclasses, be of these classes.

    In a document whose root is of a subclass, nested collections of its kind are of that subclass, too.
    """
    dicts.__perkey_pair__ = lists.__perkey_pair__ = {dict: dicts, list: lists}


# --- Access to the document -----------------------------------------------------------------------------

# The drafts of `editing` blocks, by the id of the access. In a context of its own for every thread and
# task; the dict is replaced and never changed.
_drafts: ContextVar[dict[int, Draft] | None] = ContextVar("drafts", default=None)


class Access:
    """Reads and edits places of a document. All its collections share one.

    While there is a draft or a buffer of the document, it is read and edited there.

    Args:
        document: The document.
        root: The class of the collection that is the whole of it.
        checks: The checks of what is put into it.

    Attributes:
        classes: The classes of its collections, by the type of the data.
        holds: How many blocks buffer this handle's document; the buffer counts them.
        entry: Its last entry in the buffer, which the buffer keeps here.
    """

    def __init__(self, document: Document, root: type[SyncedCollection], checks: Checks) -> None:
        self.document = document
        self.checks = checks
        self.classes = root.__perkey_classes__()
        self.holds = 0
        self.entry: BufferedDocument | None = None
        self._root = root
        self._buffer = root.__perkey_buffer__

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self.document, self._root, self.checks.allow_nan)

    def peek(self, path: Path, kind: type) -> Any:
        """Return the dict or list at a place, for one look at an item of it.

        Raises:
            DetachedNodeError: The place no longer exists, or has a value of another kind.
        """
        try:
            return part_at(self._layer().peek(), path, kind)
        except PlaceGone as error:
            raise self._detached(path, error) from None

    def snapshot(self, path: Path, kind: type) -> Any:
        """Return the dict or list at a place, which never changes; raises as `peek`."""
        try:
            return part_at(self._layer().snapshot()[1], path, kind)
        except PlaceGone as error:
            raise self._detached(path, error) from None

    def edit(self, path: Path, kind: type, change: Change[R]) -> R:
        """Change the dict or list at a place, and return what the change returns.

        The change may be applied to copies of several states, until one of them could be written.

        Raises:
            DetachedNodeError: The place no longer exists, or has a value of another kind.
            Whatever `change` raises; nothing was written then.
        """
        return self._until_done(path, lambda layer: layer.edit(path, kind, change))

    def transform(self, path: Path, kind: type, function: Callable[[Any], Any]) -> Any:
        """Replace what is in the dict or list at a place by a function of it, and return that.

        Args:
            path: The place.
            kind: Which of dict and list is there.
            function: Takes a copy and returns new plain data of the same kind; runs without any lock, once
                for each attempt.
        """

        def attempt(layer: Layer) -> Any:
            moment, root = layer.snapshot()
            new = function(copy_of(part_at(root, path, kind)))
            layer.edit(path, kind, replacing(new), moment)
            return new

        return self._until_done(path, attempt)

    @contextmanager
    def editing(self) -> Iterator[None]:
        """Write the edits of a block as one; inside another block for this handle, do nothing.

        Raises:
            ConcurrencyConflictError: Another writer came between; nothing was written.
        """
        if self._draft():
            yield
            return
        outer = self._layer()
        moment, data = outer.snapshot()
        draft = Draft(data)
        token = _drafts.set({**(_drafts.get() or {}), id(self): draft})
        try:
            yield
        finally:
            draft.closed = True
            _drafts.reset(token)
        if draft.edits:
            try:
                outer.edit((), self.document.kind, replacing(draft.peek()), moment)
            except OvertakenError:
                raise ConcurrencyConflictError((self.describe(),), 1) from None

    def buffered(self) -> AbstractContextManager[None]:
        """Hold edits back in the buffer until a block is left."""
        return self._buffer.holding(self)

    def describe(self) -> str:
        """Return where the document is."""
        return self.document.resource.describe()

    def _layer(self) -> Layer:
        draft = self._draft()
        if draft is not None:
            return draft
        # Most documents are not buffered: asking here saves a call for each look and edit.
        buffer = self._buffer
        return buffer.layer(self) if buffer.contexts or self.holds else self.document

    def _draft(self) -> Draft | None:
        """Return the draft of the `editing` block that this thread or task is in."""
        drafts = _drafts.get()
        if not drafts:
            return None
        found = drafts.get(id(self))
        # A task that was started in the block has its context for ever, and the id may be another's by then.
        return None if found is None or found.closed else found

    def _until_done(self, path: Path, attempt: Callable[[Layer], R]) -> R:
        attempts = 0
        while True:
            began = time.perf_counter()
            try:
                return attempt(self._layer())
            except OvertakenError:
                from perkey.retrying import pause  # most programs never meet one

                attempts += 1
            except PlaceGone as error:
                raise self._detached(path, error) from None
            pause(attempts, time.perf_counter() - began)

    def _detached(self, path: Path, error: PlaceGone) -> DetachedNodeError:
        return DetachedNodeError(path, self.describe(), str(error))


def _restore(document: Document, root: type[SyncedCollection], allow_nan: bool) -> Access:
    return Access(document, root, checks_of(tuple(root._all_validators), allow_nan))


def replacing(data: Any) -> Change[None]:
    """Return the change that makes `data`, a dict or list, the content."""

    def change(target: Any) -> None:
        target.clear()
        if type(target) is dict:
            target.update(data)
        else:
            target.extend(data)

    return change
