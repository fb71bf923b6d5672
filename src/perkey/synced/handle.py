"""What all collections of one document share: the way to it, through a draft or a buffer if there is one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

from perkey.errors import ConcurrencyConflictError
from perkey.retrying import pause
from perkey.synced import trees
from perkey.synced.buffers import Entry
from perkey.synced.document import Document, Draft, Layer, OvertakenError
from perkey.synced.errors import DetachedNodeError
from perkey.synced.plain import copy_of
from perkey.synced.trees import Change, Path, PlaceGone
from perkey.synced.validators import Rules, rules_of

if TYPE_CHECKING:
    from perkey.synced.collection import SyncedCollection

R = TypeVar("R")

# The drafts of `editing` blocks, by the id of the handle. In a context of its own for every thread and
# task; the dict is replaced and never changed.
_drafts: ContextVar[dict[int, Draft] | None] = ContextVar("drafts", default=None)


class Handle:
    """Reads and edits places of a document.

    Args:
        document: The document.
        root: The class of the collection that is the whole of it.
        rules: What may be put into it.

    Attributes:
        classes: The classes of its collections, by the type of the data.
        holds: How many blocks buffer this handle's document; the buffer counts them.
        entry: Its last entry in the buffer, which the buffer keeps here.
    """

    def __init__(self, document: Document, root: type[SyncedCollection], rules: Rules) -> None:
        self.document = document
        self.rules = rules
        self.classes = root.__perkey_classes__()
        self.holds = 0
        self.entry: Entry | None = None
        self._root = root
        self._buffer = root.__perkey_buffer__

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self.document, self._root, self.rules.allow_nan)

    def peek(self, path: Path, kind: type) -> Any:
        """Return the dict or list at a place, for one look at an item of it.

        Raises:
            DetachedNodeError: There is none of that kind any more.
        """
        try:
            return trees.at(self._layer().peek(), path, kind)
        except PlaceGone as error:
            raise self._detached(path, error) from None

    def snapshot(self, path: Path, kind: type) -> Any:
        """Return the dict or list at a place, which never changes; raises as `peek`."""
        try:
            return trees.at(self._layer().snapshot()[1], path, kind)
        except PlaceGone as error:
            raise self._detached(path, error) from None

    def edit(self, path: Path, kind: type, change: Change[R]) -> R:
        """Change the dict or list at a place, and return what the change returns.

        The change may be applied to copies of several states, until one of them could be written.

        Raises:
            DetachedNodeError: There is none of that kind any more.
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
            new = function(copy_of(trees.at(root, path, kind)))
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
        return self._draft() or self._buffer.layer(self)

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
                attempts += 1
            except PlaceGone as error:
                raise self._detached(path, error) from None
            pause(attempts, time.perf_counter() - began)

    def _detached(self, path: Path, error: PlaceGone) -> DetachedNodeError:
        return DetachedNodeError(path, self.describe(), str(error))


def _restore(document: Document, root: type[SyncedCollection], allow_nan: bool) -> Handle:
    return Handle(document, root, rules_of(tuple(root._all_validators), allow_nan))


def replacing(data: Any) -> Change[None]:
    """Return the change that makes `data`, a dict or list, the content."""

    def change(target: Any) -> None:
        target.clear()
        if type(target) is dict:
            target.update(data)
        else:
            target.extend(data)

    return change
