"""Each store beside a dict of contents and versions, through all that can be done to it."""

from __future__ import annotations

import os
import pickle
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from perkey.errors import ConflictError
from perkey.expectations import ABSENT, ANY, Version
from perkey.naming import Name
from perkey.stores import CachedStore, DirectoryStore, MemoryStore, PrefixStore, Store
from perkey.testing import FaultyStore
from perkey.testing.stores.suite import drained
from perkey.testing.streams import Stream

LONG = bool(os.environ.get("PERKEY_LONG"))
STEADY = settings(
    max_examples=140 if LONG else 25,
    stateful_step_count=40 if LONG else 30,
    deadline=None,
    derandomize=not LONG,
    suppress_health_check=[HealthCheck.too_slow],
)

NAMES = st.sampled_from(
    [
        ("a.pkl",),
        ("b.pkl",),
        ("x.pkl",),
        ("x", "a.pkl"),
        ("x", "y", "a.pkl"),
        ("x", "y", "b.pkl"),
        ("xy", "a.pkl"),
    ]
)
PREFIXES = st.sampled_from([(), ("x",), ("x", "y"), ("xy",), ("nothing",)])
CONTENTS = st.sampled_from([b"", b"1", b"2", b"x" * 5000, bytes(range(256)) * 9])
EXPECTATIONS = st.sampled_from(["any", "absent", "now", "stale", "made up"])


class StoreMachine(RuleBasedStateMachine):
    """After each step every way of looking tells the same."""

    shares: ClassVar[bool] = True
    """Whether an unpickled handle has the same items."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = TemporaryDirectory()
        self.store = self.make_store(self._folder.name)
        self.items: dict[Name, tuple[bytes, Version]] = {}
        self.history: dict[tuple[Name, Version], bytes] = {}

    def make_store(self, folder: str) -> Store:
        raise NotImplementedError

    def teardown(self) -> None:
        self._folder.cleanup()

    @invariant()
    def the_listing_is_that_of_the_items(self) -> None:
        assert sorted(self.store.scan()) == sorted(self.items)
        stats = dict(self.store.scan_stats())
        assert {name: (stat.version, stat.size) for name, stat in stats.items()} == {
            name: (version, len(content)) for name, (content, version) in self.items.items()
        }

    @invariant()
    def every_item_is_read_at_its_version(self) -> None:
        for name, found in self.items.items():
            assert self.store.read(name) == found
            assert drained(self.store.read(name, limit=100)) == found
            assert self.store.read(name, unless=found[1]) is None
            assert self.store.stat(name).version == found[1]

    @rule(prefix=PREFIXES)
    def list_a_part(self, prefix: Name) -> None:
        depth = len(prefix)
        below = [name for name in self.items if len(name) > depth and name[:depth] == prefix]
        assert sorted(self.store.scan(prefix)) == sorted(below)
        assert sorted(self.store.folders(prefix)) == sorted({n[depth] for n in below if len(n) > depth + 1})

    def expectation(self, name: Name, kind: str) -> Any:
        """Return what to expect, of a kind."""
        now = self.items[name][1] if name in self.items else ABSENT
        stale = [version for known, version in self.history if known == name and version != now]
        made_up = {"any": ANY, "absent": ABSENT, "made up": "made up", "now": now}
        return made_up[kind] if kind != "stale" else (stale[-1] if stale else "never there")

    def wrote(self, name: Name, content: bytes, version: Version) -> None:
        assert self.history.setdefault((name, version), content) == content, "a version came again"
        self.items[name] = content, version

    @rule(name=NAMES, content=CONTENTS, kind=EXPECTATIONS, streamed=st.booleans())
    def write(self, name: Name, content: bytes, kind: str, streamed: bool) -> None:
        expect = self.expectation(name, kind)
        now = self.items[name][1] if name in self.items else ABSENT
        data = Stream([content[:10], content[10:]]) if streamed else content
        if expect in (ANY, now):
            self.wrote(name, content, self.store.write(name, data, expect=expect))
        else:
            with pytest.raises(ConflictError):
                self.store.write(name, data, expect=expect)

    @rule(name=NAMES, kind=st.sampled_from(["any", "now", "stale", "made up"]))
    def remove(self, name: Name, kind: str) -> None:
        expect = self.expectation(name, kind)
        if expect is ABSENT:
            expect = ANY
        if name in self.items and expect in (ANY, self.items[name][1]):
            self.store.remove(name, expect=expect)
            del self.items[name]
        else:
            with pytest.raises(KeyError if expect is ANY else ConflictError):
                self.store.remove(name, expect=expect)

    @rule(name=NAMES)
    def look(self, name: Name) -> None:
        assert self.store.exists(name) is (name in self.items)
        if name not in self.items:
            for verb in (self.store.read, self.store.stat):
                with pytest.raises(KeyError):
                    verb(name)

    @rule(name=NAMES)
    def fail_to_write(self, name: Name) -> None:
        def fail(number: int) -> None:
            if number == 1:
                raise RuntimeError("midway")

        with pytest.raises(RuntimeError, match="midway"):
            self.store.write(name, Stream([b"half", b"whole"], fail))

    @rule(names=st.lists(NAMES, unique=True), content=CONTENTS)
    def write_many(self, names: list[Name], content: bytes) -> None:
        told = dict(self.store.write_many([(name, content) for name in names]))
        assert set(told) == set(names)
        for name, version in told.items():
            assert isinstance(version, str)
            self.wrote(name, content, version)

    @rule(names=st.lists(NAMES, unique=True))
    def remove_many(self, names: list[Name]) -> None:
        told = dict(self.store.remove_many(names))
        assert {name for name in names if told[name] is None} == set(names) & set(self.items)
        for name in names:
            self.items.pop(name, None)

    @rule()
    def reopen(self) -> None:
        if self.shares:
            self.store = pickle.loads(pickle.dumps(self.store))


class Folder(StoreMachine):
    def make_store(self, folder: str) -> Store:
        return DirectoryStore(os.path.join(folder, "place"), durability="none")


class Memory(StoreMachine):
    shares = False

    def make_store(self, folder: str) -> Store:
        return MemoryStore()


class Prefixed(StoreMachine):
    def make_store(self, folder: str) -> Store:
        inner = DirectoryStore(os.path.join(folder, "place"), durability="none")
        for name in (("a.pkl",), ("in.pkl",), ("inside", "x", "a.pkl")):
            inner.write(name, b"beside")
        return PrefixStore(inner, ("in", "side"))


class Cached(StoreMachine):
    """With a cache in files, and reopened handles that share it."""

    def make_store(self, folder: str) -> Store:
        main, cache = (
            DirectoryStore(os.path.join(folder, part), durability="none") for part in ("main", "cache")
        )
        return CachedStore(main, cache)


class Faulty(StoreMachine):
    """A faulty store whose faults are healed before anybody looks."""

    shares = False

    def make_store(self, folder: str) -> Store:
        return FaultyStore(MemoryStore())

    @rule(name=NAMES, content=CONTENTS, after=st.booleans())
    def be_cut_off(self, name: Name, content: bytes, after: bool) -> None:
        assert isinstance(self.store, FaultyStore)
        self.store.fail("write", ConnectionError(), when="after" if after else "before")
        with pytest.raises(ConnectionError):
            self.store.write(name, content)
        self.store.heal()
        if after:
            self.wrote(name, content, self.store.stat(name).version)


def case(machine: type[RuleBasedStateMachine]) -> Any:
    """Return the machine as a test of bounded length."""
    test = machine.TestCase
    test.settings = STEADY
    return test


TestFolder = case(Folder)
TestMemory = case(Memory)
TestPrefixed = case(Prefixed)
TestCached = case(Cached)
TestFaulty = case(Faulty)
