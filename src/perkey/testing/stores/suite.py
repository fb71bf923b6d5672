"""What every clause of the store contract starts from: a place, handles on it, and other items in it."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import ClassVar, Final, TypeAlias

import pytest

from perkey.content import read_all
from perkey.expectations import ConditionKind, Verb, Version
from perkey.naming import Name
from perkey.stores import Store

A: Final[Name] = ("a.pkl",)
B: Final[Name] = ("b.pkl",)
NESTED: Final[Name] = ("x", "y", "a.pkl")

BYSTANDERS: Final[dict[Name, bytes]] = {
    ("a.pkl.pkl",): b"one",
    ("aa.pkl",): b"two",
    ("x.pkl",): b"",
    ("bystanders", "a.pkl"): b"four",
    ("bystanders", "x", "y", "a.pkl"): b"five",
}
"""Items that lie in a place that is not empty at first; no clause touches them."""


Condition: TypeAlias = tuple[Verb, ConditionKind]
"""A verb and the kind of condition set to it."""

ALL_CONDITIONS: Final[tuple[Condition, ...]] = (
    ("write", "absent"),
    ("write", "version"),
    ("remove", "version"),
)


class StoreSuite:
    """Base of all clauses; a backend's author overrides `make_store`, and perhaps the rest.

    Each clause runs in an empty place and in one with other items, which must stay as they are.
    """

    rounds: ClassVar[int] = 20
    """How often a race is run; for slow places fewer."""

    threads: ClassVar[int] = 4
    """How many threads race."""

    pickles_share_the_place: ClassVar[bool] = True
    """Whether an unpickled handle is another one on the same place, or on a copy."""

    versions_are_told_once: ClassVar[bool] = True
    """Whether a version that is read is always the one that its writer received.

    No store may give one version to two contents. To give two versions to one content is harmless where
    conditions on versions are refused, and at the moment at which the item is replaced.
    """

    tmp_path: Path
    """A folder of the test's own."""

    @pytest.fixture(autouse=True)
    def own_folder(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        """Make the test's folder; pytest's own would take longer the more of them there are."""
        self.tmp_path = Path(mkdtemp(dir=tmp_path_factory.getbasetemp(), prefix="place-"))
        yield
        rmtree(self.tmp_path)

    def make_store(self) -> Store:
        """Return a handle on an empty place, for this test alone."""
        raise NotImplementedError

    def reopen(self, store: Store) -> Store:
        """Return another handle on the same place; where there is only one, that one."""
        unpickled: Store = pickle.loads(pickle.dumps(store))
        return unpickled

    @pytest.fixture(params=["empty place", "place with other items"])
    def store(self, request: pytest.FixtureRequest) -> Iterator[Store]:
        """A store; at the end other items are as they were."""
        store = self.make_store()
        others = {} if request.param == "empty place" else BYSTANDERS
        before = {name: store.write(name, content) for name, content in others.items()}
        yield store
        assert {name: content_and_version(store, name) for name in others} == {
            name: (others[name], version) for name, version in before.items()
        }, "other items were touched"

    def conditions(self) -> set[Condition]:
        """Return the kinds of conditions whose clauses this suite has."""
        return {kind for part in type(self).__mro__ for kind in part.__dict__.get("CONDITIONS", ())}

    def names(self, store: Store, prefix: Name = ()) -> list[Name]:
        """Return what a listing shows besides the other items."""
        return sorted(name for name in store.scan(prefix) if name not in BYSTANDERS)

    def folders(self, store: Store, prefix: Name = ()) -> list[str]:
        """Return the folders shown besides the other items'."""
        return sorted(folder for folder in store.folders(prefix) if folder != "bystanders")


def content_and_version(store: Store, name: Name) -> tuple[bytes, Version]:
    """Read an item that is there; raises KeyError if it is not."""
    found = store.read(name)
    assert found is not None, "read() returned None though nothing was known"
    assert isinstance(found[0], bytes), "read() without a limit must return bytes"
    return found[0], found[1]


def content_of(store: Store, name: Name) -> bytes:
    """Return the content of an item that is there."""
    return content_and_version(store, name)[0]


def drained(found: tuple[object, Version] | None) -> tuple[bytes, Version]:
    """Return what was read, with a file read to its end and closed."""
    assert found is not None
    content, version = found
    if isinstance(content, bytes):
        return content, version
    with content as file:  # type: ignore[attr-defined] # a binary file by the contract
        return read_all(file), version


def state_of(store: Store, name: Name) -> object:
    """Return all that is known of an item, for comparing before and after."""
    if not store.exists(name):
        return None
    return content_and_version(store, name), store.stat(name)
