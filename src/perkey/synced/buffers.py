"""Buffers: documents whose edits are held back in memory and written once, when a block is left.

Each entry of a buffer remembers the state that it began with, and is written on the condition that the
resource is still at that one. All collections that use the same buffer and resource share an entry.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Final, Literal, Protocol, Self, TypeAlias, TypeVar

from perkey.errors import NestedWriteError
from perkey.files import ProcessLock
from perkey.synced.document import Change, Document, Draft, Layer, Moment, OvertakenError, Path
from perkey.synced.errors import BufferedFileError
from perkey.synced.plain import Plain, copy_of

R = TypeVar("R")

Unit: TypeAlias = Literal["bytes", "documents"]
"""What a buffer's capacity counts: bytes of all documents in it, or documents that were modified."""

CAPACITIES: Final[dict[Unit, int]] = {"bytes": 32 << 20, "documents": 1000}


class Buffer:
    """Holds documents back. Safe for threads, which share it; a forked child has a copy of what is in it.

    Args:
        unit: What the capacity counts.

    Attributes:
        capacity: When the size exceeds it, documents are written at once.
        size: What is in it, in its unit.
        contexts: How many blocks buffer all documents of this buffer.
        entries: The documents in it, by the identities of their resources.
    """

    def __init__(self, unit: Unit) -> None:
        self.unit: Final = unit
        self.capacity = CAPACITIES[unit]
        self.size = 0
        self.contexts = 0
        self.entries: Final[dict[Hashable, BufferedDocument]] = {}
        self._holders: Counter[Hashable] = Counter()
        self._flushing = False
        # Held while documents are written, too: a document that is loaded meanwhile would conflict.
        self.lock: Final = ProcessLock()

    def set_capacity(self, capacity: int) -> None:
        """Change the capacity, and write what exceeds it; raises BufferedFileError."""
        self.capacity = capacity
        self.shrink()

    @contextmanager
    def buffering(self, capacity: int | None) -> Iterator[None]:
        """Buffer all documents of this buffer until the block is left, whichever way."""
        before = self.capacity
        with self.lock:
            self.contexts += 1
        try:
            if capacity is not None:
                self.set_capacity(capacity)
            yield
        finally:
            with self.lock:
                if capacity is not None:
                    self.capacity = before
                outer = self._flushing
                try:
                    self._flushing = True  # until the block is left: later edits would stay here
                    if self.contexts == 1:
                        self._flush([e for e in self.entries.values() if e.identity not in self._holders])
                finally:
                    # Not before all is written: until then the documents must be read from here.
                    self.contexts -= 1
                    self._flushing = outer
                    self._recount()

    @contextmanager
    def holding(self, holder: Holder) -> Iterator[None]:
        """Buffer the document of one holder until the block is left, whichever way."""
        identity = holder.document.resource.identity
        with self.lock:
            holder.holds += 1
            self._holders[identity] += 1
        try:
            yield
        finally:
            with self.lock:
                outer = self._flushing
                try:
                    self._flushing = True  # as above
                    if not self.contexts and self._holders[identity] == 1 and identity in self.entries:
                        self._flush([self.entries[identity]])
                finally:
                    holder.holds -= 1
                    self._holders[identity] -= 1
                    self._holders += Counter()  # drops what is at zero
                    self._flushing = outer
                    self._recount()

    def _recount(self) -> None:
        """Correct the size, which edits of signal handlers may have put wrong between two steps of a sum."""
        if not self.entries:
            self.size = 0

    def settle(self, identity: Hashable, *, write: bool = True) -> None:
        """End the buffering of one resource until the next look at it or edit.

        Args:
            identity: The resource, which need not be in the buffer.
            write: Whether its pending edits are written; else they are dropped.

        Raises:
            BufferedFileError: They could not be written.
        """
        with self.lock:
            found = self.entries.get(identity)
            if found is not None:
                if not write:
                    found.drop()
                self._flush([found])

    def settle_all(self) -> None:
        """Write all pending edits; raises BufferedFileError when each was tried."""
        with self.lock:
            self._flush(list(self.entries.values()))

    def layer(self, holder: Holder) -> Layer:
        """Return what answers for the document of a holder: its entry here, if it is buffered."""
        if not (self.contexts or holder.holds):
            return holder.document
        found = holder.entry
        if found is not None and not found.closed:
            return found
        identity = holder.document.resource.identity
        with self.lock:
            if not (self.contexts or holder.holds):  # no longer
                return holder.document
            if self._flushing:  # by this thread, in what a signal handler interrupted
                raise NestedWriteError(holder.document.resource.describe())
            found = self.entries.get(identity)
            if found is None:
                new = BufferedDocument(self, holder.document, identity)
                try:
                    # Before it is among them: what exceeds the capacity by itself must stay for an edit.
                    self._shrink()
                finally:
                    found = self.entries.setdefault(identity, new)
                    if found is not new:  # made by a signal handler meanwhile
                        new.leave()
            holder.entry = found
        return found

    def shrink(self) -> None:
        """Write all that counts if it exceeds the capacity.

        Raises:
            BufferedFileError: Some could not be written.
        """
        if self.size > self.capacity:
            with self.lock:
                self._shrink()

    def _shrink(self) -> None:
        if self.size > self.capacity:
            self._flush([entry for entry in self.entries.values() if entry.size])

    def _flush(self, entries: Iterable[BufferedDocument]) -> None:
        """Write entries that were edited, each once, and forget all of them; the lock is held."""
        files: dict[str, Exception] = {}
        data: dict[str, Plain] = {}
        outer = self._flushing
        self._flushing = True
        try:
            for entry in entries:
                if self.entries.pop(entry.identity, None) is None:
                    continue  # flushed by a signal handler meanwhile
                entry.leave()
                try:
                    entry.close()
                except Exception as error:  # noqa: BLE001 - all are reported when each was tried
                    place = entry.document.resource.describe()
                    files[place], data[place] = error, copy_of(entry.peek())
        finally:
            self._flushing = outer
        if files:
            raise BufferedFileError(files, data)


class Holder(Protocol):
    """The attributes of a reader and editor of a document that a buffer reads and sets."""

    document: Document
    holds: int
    entry: BufferedDocument | None


class BufferedDocument(Draft):
    """A document in a buffer; another layer, safe for threads. Made and closed under the buffer's lock.

    Args:
        buffer: The buffer.
        document: The document; it is loaded.
        identity: That of its resource.
    """

    def __init__(self, buffer: Buffer, document: Document, identity: Hashable) -> None:
        self.document: Final = document
        self.identity: Final = identity
        self.size = 0
        self._buffer = buffer
        self._base = document.load()
        super().__init__(self._base.data)
        self._count()

    def snapshot(self) -> tuple[Moment, Plain]:
        with self._buffer.lock:
            return super().snapshot()

    def edit(self, path: Path, kind: type, change: Change[R], since: Moment | None = None) -> R:
        with self._buffer.lock:
            if self.closed:
                raise OvertakenError
            result = super().edit(path, kind, change, since)
            self._count()
        self._buffer.shrink()
        return result

    def close(self) -> None:
        """Take no more edits, and write the pending ones; the exceptions of the resource pass."""
        self.closed = True
        if self.edits:
            self.document.commit(self._base, super().snapshot()[1])

    def drop(self) -> None:
        """Forget the pending edits, and take no more."""
        self.closed = True
        self.edits = 0

    def leave(self) -> None:
        """Count no longer."""
        self._buffer.size -= self.size
        self.size = 0

    def _count(self) -> None:
        """Update the size of the buffer by the change of this document's size."""
        if self._buffer.unit == "documents":
            size = int(bool(self.edits))
        else:
            size = self.document.resource.size_of(super().snapshot()[1])
        self._buffer.size += size - self.size
        self.size = size


class Block(AbstractContextManager[None]):
    """A ``with`` block that can be entered many times, one after another, nested, or by several threads.

    Calling it returns it: signac has methods where synced_collections has properties, and programs write
    both ``with d.buffered:`` and ``with d.buffered():``.

    Args:
        make: Returns what one entry enters and leaves.
    """

    def __init__(self, make: Callable[[], AbstractContextManager[None]]) -> None:
        self._make = make
        # All of them do the same, so it does not matter which of two threads leaves which.
        self._entered: list[AbstractContextManager[None]] = []

    def __call__(self) -> Self:
        """Return this block."""
        return self

    def __enter__(self) -> None:
        inner = self._make()
        inner.__enter__()
        self._entered.append(inner)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        return self._entered.pop().__exit__(kind, error, trace)
