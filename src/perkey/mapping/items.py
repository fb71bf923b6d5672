"""One item of a dictionary: key to name, value to bytes, under the dictionary's policy.

A `KeyError` means a missing item, and a `ConflictError` a conflict, only where the store raises it. So they
are caught around the call of the store and turned into return values. Formats, transformers and values are
code of others and run outside of these calls; their exceptions pass, with the key as a note.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from types import NoneType
from typing import Any, BinaryIO, Final, Generic, Literal, NoReturn, Self, TypeVar, overload

from perkey.answers import answer, interrupted, raise_unchanged
from perkey.arguments import check_flag, check_kind
from perkey.content import STREAM_ABOVE, Content, Data, DataError, GuardedData
from perkey.errors import (
    ConflictError,
    CorruptValueError,
    MissingItemError,
    MutationPolicyError,
    ReadOnlyError,
    UnloadableValueError,
    UnstorableValueError,
    shown_key,
)
from perkey.expectations import ABSENT, Expectation, Version
from perkey.formats import Format, find_format, format_of
from perkey.handles import NeverSame, unlike_any
from perkey.jokers import ITEM_NOT_AVAILABLE, ItemNotAvailableFlag, Joker, ValueNotRetrievedFlag
from perkey.keys import NonEmptySafeStrTuple
from perkey.mapping.fitting import watched
from perkey.naming import DEFAULT_DIGEST_LEN, Name, naming
from perkey.stores import PrefixStore, Stat, Store, settled_at_once

# Enumerations have no subclasses; isinstance would take ten times as long.
_NO_VALUES: Final = frozenset((Joker, ItemNotAvailableFlag, ValueNotRetrievedFlag))
_LOOKED_THROUGH: Final = 1000

V = TypeVar("V")
S = TypeVar("S")
T = TypeVar("T", bound=tuple[Any, ...])


class ItemAccess(NeverSame, Generic[V]):
    """What all operations of a dictionary share: its store, names, format and policy."""

    def __init__(
        self,
        store: Store,
        *,
        file_type: str = "pkl",
        immutable_items: bool = False,
        digest_len: int = DEFAULT_DIGEST_LEN,
        base_class_for_values: type | None = None,
    ) -> None:
        check_kind("store", store, Store, "a Store")
        check_kind("base_class_for_values", base_class_for_values, (type, NoneType), "a class or None")
        self._naming = naming(digest_len, file_type)
        self._format: Format = format_of(self._naming.file_type)
        self._store = store
        self._immutable = check_flag("immutable_items", immutable_items)
        self._base_class = base_class_for_values
        of_format = self._format.value_class
        if of_format and base_class_for_values and not issubclass(base_class_for_values, of_format):
            raise ValueError(
                f"file_type={file_type!r} stores {of_format.__name__} values only, which "
                f"base_class_for_values={base_class_for_values.__name__} excludes"
            )

    _shares_place = False
    """Whether dictionaries with other parameters are expected in the same place."""

    def __getstate__(self) -> dict[str, Any]:
        """Leave the format behind: it is found by name, and may hold a secret."""
        registered = find_format(self.file_type) is not None
        state = {**self.__dict__, "_registered": registered, "_unique": unlike_any()}
        del state["_format"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        del state["_unique"]
        registered = state.pop("_registered")
        self.__dict__.update(state)
        if registered and find_format(self.file_type) is None:
            raise LookupError(
                f"file type {self.file_type!r} has no format here; call perkey.register_format first"
            )
        self._format = format_of(self.file_type)

    def __copy__(self) -> Self:
        handle = object.__new__(type(self))
        handle.__dict__.update(self.__dict__)
        return handle

    @property
    def store(self) -> Store:
        """The store that the items are in."""
        return self._store

    @property
    def file_type(self) -> str:
        """The ending of the names, which decides the format of the values."""
        return self._naming.file_type

    @property
    def digest_len(self) -> int:
        """How many characters of digest each part of a stored name has."""
        return self._naming.digest_len

    @property
    def immutable_items(self) -> bool:
        """Whether items can only be added, never changed or deleted."""
        return self._immutable

    @property
    def base_class_for_values(self) -> type | None:
        """The class that all values must be of, or None."""
        return self._base_class

    def _key_of(self, name: Name) -> NonEmptySafeStrTuple:
        """Return the key of a name made from a key."""
        key = self._naming.key_of(name)
        return NonEmptySafeStrTuple(name) if key is None else key

    _policy = "immutable_items=True"

    def _is_whole(self) -> bool:
        """Tell whether a place without items of this dictionary may be due to wrong parameters."""
        return not self._shares_place and not isinstance(self._store, PrefixStore)

    def _watched(self, scanned: Iterator[S], pick: Callable[[Iterator[S]], Iterator[T]]) -> Iterator[T]:
        """Return what `pick` finds in a listing; if that is nothing, warn if other parameters would fit."""
        if self._is_whole():
            return watched(scanned, pick, self._store, self._naming)
        return pick(scanned)

    def _missing(self, name: Name) -> MissingItemError:
        """Return the error about an item that does not exist."""
        error = MissingItemError(self._naming.key_of(name) or NonEmptySafeStrTuple(name))
        error.find_longer = partial(self._longer_key, name)
        return error

    def _longer_key(self, name: Name) -> NonEmptySafeStrTuple | None:
        """Return a key that begins with the key of a name, or None."""
        key = self._key_of(name)
        below = islice(self._store.scan(self._naming.prefix_of(key)), _LOOKED_THROUGH)
        return next((found for longer in below if (found := self._naming.key_of(longer)) is not None), None)

    def _stat(self, key: Any) -> Stat:
        """Return what the store knows of an item; raises KeyError by key."""
        name = self._naming.name_of(key)
        try:
            return self._store.stat(name)
        except answer(KeyError):
            raise self._missing(name) from None

    # --- Reading ------------------------------------------------------------------------------------

    @overload
    def _load(self, name: Name) -> tuple[V, Version] | Literal[ItemNotAvailableFlag.ITEM_NOT_AVAILABLE]: ...
    @overload
    def _load(
        self, name: Name, unless: Version | None
    ) -> tuple[V, Version] | Literal[ItemNotAvailableFlag.ITEM_NOT_AVAILABLE] | None: ...
    def _load(self, name: Name, unless: Version | None = None) -> Any:
        """Return value and version of an item, None if it is still at `unless`, or ITEM_NOT_AVAILABLE."""
        try:
            found = self._store.read(name, unless=unless, limit=STREAM_ABOVE)
        except answer(KeyError):
            return ITEM_NOT_AVAILABLE
        if found is None:
            if unless is None:
                raise RuntimeError(f"{self._store!r} returned no content although no version was given")
            return None
        content, version = found
        return self._decode(name, content), version

    def _decode(self, name: Name, content: Content) -> V:
        try:
            value = self._format.decode(content) if isinstance(content, bytes) else self._decode_file(content)
        except Exception as error:  # noqa: BLE001 - raised again
            self._raise_located(error, name, "decoding")
        if self._base_class is not None and not isinstance(value, self._base_class):
            raise TypeError(
                f"value of key {tuple(self._key_of(name))} is a {type(value).__name__}, "
                f"not a {self._base_class.__name__}"
            )
        result: V = value
        return result

    def _decode_file(self, content: BinaryIO) -> Any:
        with content:
            return self._format.decode(content)

    def _raise_located(self, error: Exception, name: Name, doing: str) -> NoReturn:
        """Raise an exception of a format with the key added."""
        raise_unchanged(self._located(error, name, doing))

    def _located(self, error: Exception, name: Name, doing: str) -> BaseException:
        """Return an exception of a format with the key, and with the place if it has an attribute for that.

        If the format has taken the exception of a signal handler for a fault of the value, that one is
        returned.
        """
        if isinstance(error, (CorruptValueError, UnloadableValueError, UnstorableValueError)):
            if error.__cause__ is not None and interrupted(error.__cause__):
                return error.__cause__
            error.key = self._key_of(name)
            error.place = self._store.describe(name)
        else:
            add_key(error, self._key_of(name), doing)
        return error

    # --- Writing ------------------------------------------------------------------------------------

    def _encode(self, name: Name, value: Any) -> Data:
        """Return the bytes of a value that this dictionary may hold; nothing is touched if it may not."""
        if self._store.read_only:
            raise ReadOnlyError(self._store.describe(name))
        if type(value) in _NO_VALUES:
            raise TypeError(f"{value!r} is no value and cannot be stored here")
        if self._base_class is not None and not isinstance(value, self._base_class):
            raise TypeError(f"values must be of {self._base_class.__name__}, not {type(value).__name__}")
        try:
            data = self._format.encode(value)
        except Exception as error:  # noqa: BLE001 - raised again
            self._raise_located(error, name, "encoding")
        if isinstance(data, bytes):
            return data
        if not hasattr(data, "write_to"):
            raise TypeError(
                f"encode() of the format {type(self._format).__name__} must return bytes, or an object with "
                f"write_to(file), not {type(data).__name__}"
            )
        return GuardedData(data)

    def _write(self, name: Name, data: Data, expect: Expectation) -> Version | ConflictError:
        """Return the new version of an item, or the conflict if it was not as expected.

        The caller reads the item after a conflict, and asks `settled` whether it is a true one.
        """
        try:
            return self._store.try_write(name, data, expect=expect)
        except answer(ConflictError) as conflict:
            return conflict
        except DataError as failure:
            error = self._located(failure.error, name, "encoding")
        raise error

    def _put(self, name: Name, data: Data) -> None:
        """Store an item, whatever is there."""
        try:
            self._store.put(name, data)
        except DataError as failure:
            error = self._located(failure.error, name, "encoding")
        else:
            return
        raise error

    def _insert(self, name: Name, data: Data) -> ConflictError | None:
        """Store an item if it is absent; return the conflict if it was not, settled or not."""
        try:
            self._store.try_put(name, data, expect=ABSENT)
        except answer(ConflictError) as conflict:
            return conflict
        except DataError as failure:
            error = self._located(failure.error, name, "encoding")
        else:
            return None
        raise error

    def _assign(self, name: Name, value: V) -> None:
        """Store a value; where items are immutable, only if the item is missing."""
        data = self._encode(name, value)
        if not self._immutable:
            self._put(name, data)
            return
        conflict = self._insert(name, data)
        if conflict is not None:
            self._meet_own_or_existing(name, value, conflict)

    def _discard(self, name: Name) -> bool:
        """Remove an item; return whether it was there."""
        self._check_deletable()
        try:
            self._store.remove(name)
        except answer(KeyError):
            return False
        return True

    def _meet_own_or_existing(self, name: Name, value: V, conflict: ConflictError) -> None:
        """Do as `_meet_existing`, unless the conflict is the insertion's own success."""
        if settled_at_once(conflict) is None:
            self._meet_existing(name, value)

    def _meet_existing(self, name: Name, value: V) -> None:
        """Say what happens when an immutable item is to be written again: here, an error."""
        del value
        raise MutationPolicyError(f"{self._policy}: an existing item cannot be changed", self._key_of(name))

    def _check_writable(self) -> None:
        if self._store.read_only:
            raise ReadOnlyError(self._store.describe())

    def _check_deletable(self) -> None:
        if self._store.read_only:
            self._check_writable()
        if self._immutable:
            raise MutationPolicyError(f"{self._policy}: items cannot be deleted")


def add_key(error: BaseException, key: NonEmptySafeStrTuple, doing: str) -> None:
    """Add a note with the key to an exception of a user's code."""
    note = f"raised while {doing} the value of key {shown_key(key)}"
    if note not in getattr(error, "__notes__", ()):
        error.add_note(note)
