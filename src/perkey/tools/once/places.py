"""Where the claim of an item is: the one module of `once` that knows how dictionaries keep their items.

A claim lies beside its item, in the same folder or prefix of the same store. Its name is the stored name of
the item with ``-claim`` added to the file type, so that all handles of one item share one claim. Claims are
read and written below every cache.
"""

from __future__ import annotations

import copy
import os
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from perkey.arguments import check_kind
from perkey.expectations import Expectation, Version, refuse
from perkey.keys import NonEmptyPersiDictKey, NonEmptySafeStrTuple
from perkey.mapping import PersiDict
from perkey.naming import CLAIM_ENDING, MAX_PART_BYTES, Name, naming
from perkey.stores import CachedStore, MemoryStore, NullStore, PrefixStore, Store, WrapperStore

_DIGEST_LEN: Final = 32

_comparing: Final[weakref.WeakSet[Store]] = weakref.WeakSet()
"""The stores that are known to compare versions."""


@dataclass(frozen=True)
class Spot:
    """Where one claim is.

    Attributes:
        store: The store below every cache and prefix.
        name: The name of the claim there.
        leaf: The last part of the item's name.
        key: The key of the item, for messages.
    """

    store: Store
    name: Name
    leaf: str
    key: NonEmptySafeStrTuple

    def read(self, unless: Version | None = None) -> tuple[bytes, Version] | None:
        """Return content and version, or None if it is still at version `unless`; raises KeyError."""
        found = self.store.read(self.name, unless=unless)
        if found is None:
            return None
        content, version = found
        if isinstance(content, bytes):
            return content, version
        with content:
            return content.read(), version

    def write(self, data: bytes, expect: Expectation) -> Version:
        """Write if the claim is as expected; after a conflict the caller reads, which settles it."""
        return self.store.try_write(self.name, data, expect=expect)

    def remove(self, version: Version) -> None:
        """Remove the claim if it is at a version; raises ConflictError, UnsupportedConditionError."""
        self.store.remove(self.name, expect=version)

    def require_versions(self) -> None:
        """Raise UnsupportedConditionError if the place does not compare versions. Cost: asked once per store.

        Such a place may refuse second insertions all the same. A claim there could be neither renewed, taken
        over nor given back.
        """
        store = self.store
        if store in _comparing or store.read_only:
            return  # one that is only read refuses the write itself
        if not store.supports("write", "version"):
            reason = "it does not compare versions, and claims are renewed and taken over by them"
            raise refuse(store.describe(self.name), "write", "version", reason)
        _comparing.add(store)

    @property
    def identity(self) -> object:
        """What all spots of this process have in common that are the same claim."""
        store = _innermost(self.store)
        if isinstance(store, (MemoryStore, NullStore)):
            return weakref.ref(store), self.name  # the address of one that is gone is used again
        engine = getattr(store, "engine", None)
        place = self.store.describe(self.name)
        return str(getattr(engine, "endpoint", "")), os.path.abspath(place) if engine is None else place

    @property
    def keeps(self) -> bool:
        """Whether the store keeps anything at all."""
        return not isinstance(_innermost(self.store), NullStore)

    @property
    def is_shared(self) -> bool:
        """Whether other processes see the same claim."""
        return not isinstance(_innermost(self.store), (MemoryStore, NullStore))


def _innermost(store: Store) -> Store:
    """Return the store below all wrappers."""
    while isinstance(store, WrapperStore):
        store = store.inner
    return store


def spot_of(d: PersiDict[Any], key: NonEmptyPersiDictKey) -> Spot:
    """Return where the claim of an item is.

    Raises:
        TypeError: `d` is not a `PersiDict`, or `key` is not a key.
        ValueError: `key` is not a valid key.
    """
    check_kind("d", d, PersiDict, "a PersiDict")
    names = naming(d.digest_len, d.file_type)
    name = names.name_of(key)
    store, prefix = _bare(d.store)
    return Spot(store, (*prefix, *name[:-1], claim_leaf(name[-1], d.file_type)), name[-1], _key(name, d))


def claim_leaf(leaf: str, file_type: str) -> str:
    """Return the last part of the name of an item's claim.

    >>> claim_leaf("a_btaxlooa.pkl", "pkl")
    'a_btaxlooa.pkl-claim'
    """
    plain = leaf + CLAIM_ENDING
    if len(plain) <= MAX_PART_BYTES:
        return plain
    from base64 import b32encode
    from hashlib import sha256

    digest = b32encode(sha256(leaf.encode("ascii")).digest()).decode("ascii")[:_DIGEST_LEN].lower()
    return f"=={digest}.{file_type}{CLAIM_ENDING}"


def spots(d: PersiDict[Any]) -> Iterator[Spot]:
    """Yield the place of each claim of a dictionary. Cost: one listing."""
    check_kind("d", d, PersiDict, "a PersiDict")
    store, prefix = _bare(d.store)
    ending = f".{d.file_type}{CLAIM_ENDING}"
    for name in store.scan(prefix):
        if name[-1].endswith(ending):
            item = (*name[len(prefix) : -1], name[-1].removesuffix(CLAIM_ENDING))
            yield Spot(store, name, item[-1], _key(item, d))


def at(store: Store, name: Name) -> Spot:
    """Return the spot of a claim that was found in a listing of a store."""
    bare, prefix = _bare(store)
    leaf = name[-1].removesuffix(CLAIM_ENDING)
    return Spot(bare, (*prefix, *name), leaf, NonEmptySafeStrTuple((*name[:-1], leaf)))


def key_under(spot: Spot, leaf: str, d: PersiDict[Any]) -> NonEmptySafeStrTuple:
    """Return the key of the item whose name in the folder of a claim is `leaf`."""
    cut = len(_bare(d.store)[1])
    return _key((*spot.name[cut:-1], leaf), d)


def _key(name: Name, d: PersiDict[Any]) -> NonEmptySafeStrTuple:
    return naming(d.digest_len, d.file_type).key_of(name) or NonEmptySafeStrTuple(name)


def _bare(store: Store) -> tuple[Store, Name]:
    """Return the store below every cache, and the prefix of the names there."""
    store = _uncached(store)
    return (store.inner, store.prefix) if isinstance(store, PrefixStore) else (store, ())


def _uncached(store: Store) -> Store:
    """Return a store without the caches in it; copies of other wrappers that lie above one."""
    if isinstance(store, CachedStore):
        return _uncached(store.main)
    if not isinstance(store, WrapperStore):
        return store
    inner = _uncached(store.inner)
    if inner is store.inner:
        return store
    if isinstance(store, PrefixStore):
        return PrefixStore(inner, store.prefix)  # it looks through a prefix that the cache hid
    without = copy.copy(store)
    without.inner = inner
    return without
