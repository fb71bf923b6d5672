"""The items of a dictionary: key to name, value to bytes, and one atomic operation of the store each.

`Items` is what the functions of this package work on. It is composed of a store, the names, a format and a
`Policy`. `PersiDict` has one, and a dictionary class chooses its parts.

A `KeyError` means a missing item, and a `ConflictError` a conflict, only where the store raises it. So they
are caught around the call of the store and turned into return values. Formats, transformers and values are
code of the user and run outside of these calls; their exceptions pass, with the key as a note.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from operator import attrgetter
from types import NoneType
from typing import Any, BinaryIO, ClassVar, Final, Generic, Literal, NoReturn, TypeVar, overload

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
from perkey.jokers import (
    ITEM_NOT_AVAILABLE,
    ETagIfExists,
    ItemNotAvailableFlag,
    Joker,
    ValueNotRetrievedFlag,
)
from perkey.keys import NonEmptySafeStrTuple, SafeStrTuple
from perkey.mapping.fitting import others_in, watched
from perkey.naming import CLAIM_ENDING, Name, Naming, naming
from perkey.stores import PrefixStore, Stat, Store, settled_at_once

# Enumerations have no subclasses; isinstance would take ten times as long.
_NO_VALUES: Final = frozenset((Joker, ItemNotAvailableFlag, ValueNotRetrievedFlag))
_LOOKED_THROUGH: Final = 1000

D = TypeVar("D")
V = TypeVar("V")
S = TypeVar("S")
T = TypeVar("T", bound=tuple[Any, ...])


class Policy:
    """What a dictionary does where a value cannot simply be stored or replaced.

    Args:
        immutable: Whether items can only be added, never changed or deleted.
        base_class: The class that all values must be of, or None.
        shares_place: Whether dictionaries with other parameters are expected in the same place.

    Attributes:
        left: Takes version and value of a write as a tuple, and returns the etag and value that are there
            afterwards: the same, unless a policy chooses otherwise.
    """

    title: ClassVar[str] = "immutable_items=True"
    """The policy as an error names it."""

    def __init__(
        self, immutable: bool = False, base_class: type | None = None, *, shares_place: bool = False
    ) -> None:
        self.immutable = immutable
        self.base_class = base_class
        self.shares_place = shares_place
        self.left: Callable[[tuple[Version, Any]], tuple[ETagIfExists, Any]] = tuple

    def check_deletable(self) -> None:
        """Raise MutationPolicyError if items cannot be deleted."""
        if self.immutable:
            raise MutationPolicyError(f"{self.title}: items cannot be deleted")

    def meet_existing(self, items: Items[Any], name: Name, value: Any) -> None:
        """Decide what happens if an immutable item is to be written again: here, an error."""
        del value
        raise MutationPolicyError(f"{self.title}: an existing item cannot be changed", items.key_of(name))

    def meet_conflict(self, items: Items[Any], name: Name, value: Any, conflict: ConflictError) -> None:
        """Do as `meet_existing`, unless the insertion that met the conflict was successful after all."""
        if settled_at_once(conflict) is None:
            self.meet_existing(items, name, value)


class Items(Generic[V]):
    """The items of a dictionary.

    Args:
        store: Where they are.
        names: How they are named.
        encoding: The format of the values.
        policy: What the dictionary does where a value cannot simply be stored or replaced.
    """

    __slots__ = ("format", "naming", "policy", "store")

    def __init__(self, store: Store, names: Naming, encoding: Format, policy: Policy) -> None:
        self.store = store
        self.naming = names
        self.format = encoding
        self.policy = policy

    def over(self, store: Store) -> Items[V]:
        """Return the items that are in another store."""
        return Items(store, self.naming, self.format, self.policy)

    def under(self, policy: Policy) -> Items[V]:
        """Return the same items under another policy."""
        return Items(self.store, self.naming, self.format, policy)

    def params(self) -> dict[str, Any]:
        """Return the parameters that all dictionaries have."""
        return {
            "file_type": self.naming.file_type,
            "immutable_items": self.policy.immutable,
            "digest_len": self.naming.digest_len,
            "base_class_for_values": self.policy.base_class,
        }

    # --- Names --------------------------------------------------------------------------------------

    def name_of(self, key: Any) -> Name:
        """Return the stored name of a key.

        Raises:
            TypeError: `key` is not a string or a sequence of strings.
            ValueError: `key` is empty, has an unsafe part, or its name would be too long.
        """
        kind = type(key)
        if kind is tuple:
            for part in key:
                if type(part) is not str:
                    return self.naming.name_of(key)
        elif kind is not str and kind is not NonEmptySafeStrTuple and kind is not SafeStrTuple:
            return self.naming.name_of(key)
        return self.naming.cached_name_of(key)

    def key_of(self, name: Name) -> NonEmptySafeStrTuple:
        """Return the key of a name made from a key."""
        key = self.naming.key_of(name)
        return NonEmptySafeStrTuple(name) if key is None else key

    def names(self) -> Iterator[Name]:
        """Return the name of each item."""
        return self.watched(self.store.scan(), partial(filter, self.naming.key_of))

    def names_beside(self, claims: list[Name]) -> Iterator[Name]:
        """Yield the name of each item; append those of the claims beside them to a list."""
        ending = self.naming.shape.ending + CLAIM_ENDING

        def pick(names: Iterator[Name]) -> Iterator[Name]:
            for name in names:
                if self.naming.key_of(name):
                    yield name
                elif name[-1].endswith(ending):
                    claims.append(name)

        return self.watched(self.store.scan(), pick)

    def timed_names(self) -> Iterator[tuple[Name, float]]:
        """Return the name of each item, with the time of its last write."""
        key_of = self.naming.key_of
        return self.watched(self.store.scan_mtimes(), partial(filter, lambda found: key_of(found[0])))

    def keys_among(self, names: Iterator[Name]) -> Iterator[NonEmptySafeStrTuple]:
        """Return the keys of those names that are the names of items."""
        # A key is a tuple that is never empty, so that only None is filtered out.
        return filter(None, map(self.naming.key_of, names))

    def is_whole(self) -> bool:
        """Return whether a place without items of this dictionary may be due to wrong parameters."""
        return not self.policy.shares_place and not isinstance(self.store, PrefixStore)

    def watched(self, scanned: Iterator[S], pick: Callable[[Iterator[S]], Iterator[T]]) -> Iterator[T]:
        """Return what `pick` finds in a listing; if it finds nothing, warn if other parameters would fit."""
        if self.is_whole():
            return watched(scanned, pick, self.store, self.naming)
        return pick(scanned)

    def missing(self, name: Name) -> MissingItemError:
        """Return the error about an item that does not exist."""
        error = MissingItemError(self.naming.key_of(name) or NonEmptySafeStrTuple(name))
        error.find_reason = partial(self._reason_of_missing, name)
        return error

    def _reason_of_missing(self, name: Name) -> str:
        """Return why the item of a name may be missing, "" if that is not known.

        Cost: a listing of names below the key, and one of the place if it has no item below the key.
        """
        key = self.key_of(name)
        below = islice(self.store.scan(self.naming.prefix_of(key)), _LOOKED_THROUGH)
        for longer in below:
            if (found := self.naming.key_of(longer)) is not None:
                return (
                    f"other keys begin with it, such as {tuple(found)!r}; "
                    f"get_subdict({tuple(key)!r}) returns the dictionary of these"
                )
        others = others_in(self.store, self.naming) if self.is_whole() else ""
        return f"{others}; pass the parameters that the items were written with" if others else ""

    # --- Reading ------------------------------------------------------------------------------------

    def stat(self, key: Any) -> Stat:
        """Return version, time and size of an item; raises KeyError by key."""
        name = self.name_of(key)
        try:
            return self.store.stat(name)
        except answer(KeyError):
            raise self.missing(name) from None

    @overload
    def load(self, name: Name) -> tuple[V, Version] | Literal[ItemNotAvailableFlag.ITEM_NOT_AVAILABLE]: ...
    @overload
    def load(
        self, name: Name, unless: Version | None
    ) -> tuple[V, Version] | Literal[ItemNotAvailableFlag.ITEM_NOT_AVAILABLE] | None: ...
    def load(self, name: Name, unless: Version | None = None) -> Any:
        """Return value and version of an item, None if it is still at `unless`, or ITEM_NOT_AVAILABLE."""
        try:
            found = self.store.read(name, unless=unless, limit=STREAM_ABOVE)
        except answer(KeyError):
            return ITEM_NOT_AVAILABLE
        if found is None:
            if unless is None:
                raise RuntimeError(f"{self.store!r} returned no content although no version was given")
            return None
        content, version = found
        return self.decode(name, content), version

    def decode(self, name: Name, content: Content) -> V:
        """Return the value of an item from its content; an exception of the format gets the key."""
        try:
            value = self.format.decode(content) if isinstance(content, bytes) else self._decode_file(content)
        except Exception as error:  # noqa: BLE001 - raised again
            self._raise_located(error, name, "decoding")
        base_class = self.policy.base_class
        if base_class is not None and not isinstance(value, base_class):
            raise TypeError(
                f"value of key {tuple(self.key_of(name))} is a {type(value).__name__}, "
                f"not a {base_class.__name__}"
            )
        result: V = value
        return result

    def _decode_file(self, content: BinaryIO) -> Any:
        with content:
            return self.format.decode(content)

    def _raise_located(self, error: Exception, name: Name, doing: str) -> NoReturn:
        """Raise an exception of a format with the key added."""
        raise_unchanged(self.located(error, name, doing))

    def located(self, error: Exception, name: Name, doing: str) -> BaseException:
        """Return an exception of a format with the key, and with the place if it has an attribute for that.

        If the format has taken the exception of a signal handler for a fault of the value, that one is
        returned.
        """
        if isinstance(error, (CorruptValueError, UnloadableValueError, UnstorableValueError)):
            if error.__cause__ is not None and interrupted(error.__cause__):
                return error.__cause__
            error.key = self.key_of(name)
            error.place = self.store.describe(name)
        else:
            add_key(error, self.key_of(name), doing)
        return error

    # --- Writing ------------------------------------------------------------------------------------

    def encode(self, name: Name, value: Any) -> Data:
        """Return the bytes of a value that this dictionary may hold; nothing is touched if it may not."""
        if self.store.read_only:
            self.check_writable()
        if type(value) in _NO_VALUES:
            raise TypeError(f"{value!r} is not a value and cannot be stored here")
        base_class = self.policy.base_class
        if base_class is not None and not isinstance(value, base_class):
            raise TypeError(f"values must be of {base_class.__name__}, not {type(value).__name__}")
        try:
            data = self.format.encode(value)
        except Exception as error:  # noqa: BLE001 - raised again
            self._raise_located(error, name, "encoding")
        if isinstance(data, bytes):
            return data
        if not hasattr(data, "write_to"):
            raise TypeError(
                f"encode() of the format {type(self.format).__name__} must return bytes, or an object with "
                f"write_to(file), not {type(data).__name__}"
            )
        return GuardedData(data)

    def write(self, name: Name, data: Data, expect: Expectation) -> Version | ConflictError:
        """Return the new version of an item, or the conflict if it was not as expected.

        The caller reads the item after a conflict, and asks `settled` whether it is a true one.
        """
        try:
            return self.store.try_write(name, data, expect=expect)
        except answer(ConflictError) as conflict:
            return conflict
        except DataError as failure:
            error = self.located(failure.error, name, "encoding")
        raise error

    def put(self, name: Name, data: Data) -> None:
        """Store an item without a condition."""
        try:
            self.store.put(name, data)
        except DataError as failure:
            error = self.located(failure.error, name, "encoding")
        else:
            return
        raise error

    def insert(self, name: Name, data: Data) -> ConflictError | None:
        """Store an item if it is absent; return the conflict if it was not, settled or not."""
        try:
            self.store.try_put(name, data, expect=ABSENT)
        except answer(ConflictError) as conflict:
            return conflict
        except DataError as failure:
            error = self.located(failure.error, name, "encoding")
        else:
            return None
        raise error

    def assign(self, name: Name, value: V) -> None:
        """Store a value; where items are immutable, only if the item is missing."""
        data = self.encode(name, value)
        if not self.policy.immutable:
            self.put(name, data)
            return
        conflict = self.insert(name, data)
        if conflict is not None:
            self.policy.meet_conflict(self, name, value, conflict)

    def check_writable(self) -> None:
        """Raise ReadOnlyError if the store refuses every write."""
        if self.store.read_only:
            raise ReadOnlyError(self.store.describe())

    def check_deletable(self) -> None:
        """Raise the error of a dictionary whose items cannot be deleted, if they cannot."""
        if self.store.read_only:
            self.check_writable()
        self.policy.check_deletable()

    def discard(self, name: Name) -> bool:
        """Remove an item; return whether it was there."""
        self.check_deletable()
        try:
            self.store.remove(name)
        except answer(KeyError):
            return False
        return True


items_of: Final[Callable[[Any], Items[Any]]] = attrgetter("_items")
"""Returns the items of a dictionary."""


def items_of_params(  # noqa: PLR0917 - those of a dictionary
    store: Store,
    policy: Callable[[bool, type | None], Policy],
    file_type: str,
    immutable: bool,
    digest_len: int,
    base_class: type | None,
) -> Items[Any]:
    """Return the items that the parameters of a dictionary describe.

    Args:
        store: Where they are.
        policy: The class of the policy.
        file_type: The ending of the names, which decides the format.
        immutable: Whether items can only be added.
        digest_len: Characters of digest in the names.
        base_class: The class that all values must be of, or None.

    Raises:
        TypeError, ValueError: A parameter is of the wrong kind or out of bounds.
    """
    check_kind("store", store, Store, "a Store")
    check_kind("base_class_for_values", base_class, (type, NoneType), "a class or None")
    names = naming(digest_len, file_type)
    encoding = format_of(names.file_type)
    rules = policy(check_flag("immutable_items", immutable), base_class)
    of_format = encoding.value_class
    if of_format and base_class and not issubclass(base_class, of_format):
        raise ValueError(
            f"file_type={file_type!r} stores {of_format.__name__} values only, which "
            f"base_class_for_values={base_class.__name__} excludes"
        )
    return Items(store, names, encoding, rules)


# The state of a dictionary is flat, as in the first version, so that pickles of all versions can be read.


def state_of(items: Items[Any]) -> dict[str, Any]:
    """Return the items as a part of the state of a dictionary."""
    return {
        "_store": items.store,
        "_naming": items.naming,
        "_immutable": items.policy.immutable,
        "_base_class": items.policy.base_class,
        "_shares_place": items.policy.shares_place,
        "_registered": find_format(items.naming.file_type) is not None,
    }


def items_of_state(state: dict[str, Any], policy: type[Policy]) -> Items[Any]:
    """Take the items out of the state of a dictionary, and return them.

    Args:
        state: The state.
        policy: The class of the policy.

    Raises:
        LookupError: The format was registered in the process of the pickle, and is not registered here.
    """
    names = state.pop("_naming")
    if state.pop("_registered") and find_format(names.file_type) is None:
        raise LookupError(
            f"file type {names.file_type!r} has no format here; call perkey.register_format first"
        )
    # The first versions did not have it in every state.
    shares_place = state.pop("_shares_place", False)
    rules = policy(state.pop("_immutable"), state.pop("_base_class"), shares_place=shares_place)
    return Items(state.pop("_store"), names, format_of(names.file_type), rules)


def rebuilt(handle: D, store: Store, wrap: Callable[[Format], Format]) -> D:
    """Return a handle like another one, over another store and with its format wrapped.

    Args:
        handle: A `PersiDict`.
        store: The store of the new handle.
        wrap: Is given the format.
    """
    items = items_of(handle)
    made: D = object.__new__(type(handle))
    vars(made).update(vars(handle), _items=Items(store, items.naming, wrap(items.format), items.policy))
    return made


def add_key(error: BaseException, key: NonEmptySafeStrTuple, doing: str) -> None:
    """Add a note with the key to an exception of a user's code."""
    note = f"raised while {doing} the value of key {shown_key(key)}"
    if note not in getattr(error, "__notes__", ()):
        error.add_note(note)
