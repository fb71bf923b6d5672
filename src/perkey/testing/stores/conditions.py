"""Clauses about conditions: what is expected is compared and acted upon in one step."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import pytest

from perkey.content import STREAM_ABOVE
from perkey.errors import ConflictError
from perkey.expectations import ABSENT, Version
from perkey.naming import Name
from perkey.stores import Store
from perkey.testing.racing import elsewhere
from perkey.testing.stores.suite import (
    NESTED,
    A,
    B,
    Condition,
    StoreSuite,
    content_and_version,
    content_of,
    state_of,
)
from perkey.testing.streams import Stream


class InsertClauses(StoreSuite):
    """Writing what must be absent, one at a time; `InsertRaces` has the rest."""

    CONDITIONS: ClassVar[tuple[Condition, ...]] = (("write", "absent"),)

    def test_an_absent_item_is_inserted(self, store: Store) -> None:
        for name in (A, NESTED):
            version = store.write(name, b"one", expect=ABSENT)
            assert content_and_version(store, name) == (b"one", version)

    def test_an_existing_item_is_not_inserted_again(self, store: Store) -> None:
        store.write(A, b"")
        before = state_of(store, A)
        for content in (b"two", b"", b"x" * (STREAM_ABOVE + 1)):
            with pytest.raises(ConflictError):
                store.write(A, content, expect=ABSENT)
            assert state_of(store, A) == before
        assert self.names(store) == [A]

    def test_a_removed_item_can_be_inserted(self, store: Store) -> None:
        first = store.write(A, b"one", expect=ABSENT)
        store.remove(A)
        second = store.write(A, b"two", expect=ABSENT)
        assert content_and_version(store, A) == (b"two", second)
        assert first != second

    def test_a_stream_is_inserted_only_if_there_is_no_item(self, store: Store) -> None:
        store.write(A, Stream([b"one", b"two"]), expect=ABSENT)
        before = state_of(store, A)
        with pytest.raises(ConflictError):
            store.write(A, Stream([b"x" * (STREAM_ABOVE + 1)]), expect=ABSENT)
        assert state_of(store, A) == before
        assert content_of(store, A) == b"onetwo"

    def test_a_stream_overtaken_while_it_is_written_is_not_inserted(self, store: Store) -> None:
        other = self.reopen(store)
        overtake = _once(lambda: other.write(A, b"faster", expect=ABSENT))
        with pytest.raises(ConflictError):
            store.write(A, Stream([b"slow", b"er"], overtake), expect=ABSENT)
        assert content_of(store, A) == b"faster"
        assert self.names(store) == [A]

    def test_of_many_items_those_that_are_absent_are_inserted(self, store: Store) -> None:
        store.write(A, b"old")
        told = dict(store.write_many([(A, b"one"), (B, b"two"), (NESTED, b"three")], expect=ABSENT))
        assert isinstance(told[A], ConflictError)
        assert [content_of(store, name) for name in (A, B, NESTED)] == [b"old", b"two", b"three"]
        assert [told[name] for name in (B, NESTED)] == [store.stat(name).version for name in (B, NESTED)]


class ReplaceClauses(StoreSuite):
    """Writing over a certain version, one at a time; `ReplaceRaces` has the rest."""

    CONDITIONS: ClassVar[tuple[Condition, ...]] = (("write", "version"),)

    def test_the_expected_version_is_replaced(self, store: Store) -> None:
        version = store.write(A, b"one")
        for content in (b"two", b"2nd", b"", b"x" * (STREAM_ABOVE + 1)):
            newer = store.write(A, content, expect=version)
            assert newer != version
            assert content_and_version(store, A) == (content, newer)
            version = newer

    def test_the_version_to_expect_can_come_from_read_stat_and_listing(self, store: Store) -> None:
        store.write(A, b"one")
        store.write(A, b"two", expect=content_and_version(store, A)[1])
        store.write(A, b"three", expect=store.stat(A).version)
        store.write(A, b"four", expect=dict(store.scan_stats())[A].version)
        other = self.reopen(store)
        store.write(A, b"five", expect=other.stat(A).version)
        assert content_of(other, A) == b"five"

    def test_another_version_is_not_replaced(self, store: Store) -> None:
        old = store.write(A, b"one")
        store.write(A, b"two")
        before = state_of(store, A)
        for expect in (old, "no version at all", old + "x"):
            with pytest.raises(ConflictError):
                store.write(A, b"three", expect=expect)
            assert state_of(store, A) == before
        assert self.names(store) == [A]

    def test_an_absent_item_is_at_no_version(self, store: Store) -> None:
        version = store.write(A, b"one")
        store.remove(A)
        for name in (A, B, NESTED):
            with pytest.raises(ConflictError):
                store.write(name, b"two", expect=version)
        assert self.names(store) == []
        assert self.folders(store) == []

    def test_an_item_that_was_removed_and_written_anew_is_at_another_version(self, store: Store) -> None:
        version = store.write(A, b"one")
        store.remove(A)
        store.write(A, b"new")
        with pytest.raises(ConflictError):
            store.write(A, b"two", expect=version)
        assert content_of(store, A) == b"new"

    def test_of_many_items_each_is_replaced_only_at_its_own_version(self, store: Store) -> None:
        old = {name: store.write(name, b"old") for name in (A, B, NESTED)}
        more: dict[Name, Version] = {(f"{n}.pkl",): store.write((f"{n}.pkl",), b"") for n in range(20)}
        store.write(B, b"newer")
        expected = {**old, **more}
        told = dict(store.write_many([(n, b"new") for n in expected], expect=expected.__getitem__))
        assert isinstance(told.pop(B), ConflictError)
        assert told == {name: store.stat(name).version for name in expected if name != B}
        assert [content_of(store, name) for name in (A, B, NESTED)] == [b"new", b"newer", b"new"]

    def test_a_stream_overtaken_while_it_is_written_replaces_nothing(self, store: Store) -> None:
        other = self.reopen(store)
        version = store.write(A, b"old")
        overtake = _once(lambda: other.write(A, b"faster", expect=version))
        with pytest.raises(ConflictError):
            store.write(A, Stream([b"slow", b"er"], overtake), expect=version)
        assert content_of(store, A) == b"faster"

    def test_a_stream_whose_item_is_removed_while_it_is_written_inserts_nothing(self, store: Store) -> None:
        other = self.reopen(store)
        version = store.write(A, b"old")
        remove = _once(lambda: other.remove(A))
        with pytest.raises(ConflictError):
            store.write(A, Stream([b"slow", b"er"], remove), expect=version)
        assert self.names(store) == []


class RemovalClauses(StoreSuite):
    """Removing a certain version, one at a time; `RemovalRaces` has the rest."""

    CONDITIONS: ClassVar[tuple[Condition, ...]] = (("remove", "version"),)

    def test_the_expected_version_is_removed(self, store: Store) -> None:
        for name in (A, NESTED):
            store.remove(name, expect=store.write(name, b"one"))
            assert not store.exists(name)
        assert self.names(store) == []

    def test_another_version_is_not_removed(self, store: Store) -> None:
        old = store.write(A, b"one")
        store.write(A, b"two")
        before = state_of(store, A)
        for expect in (old, "no version at all"):
            with pytest.raises(ConflictError):
                store.remove(A, expect=expect)
            assert state_of(store, A) == before

    def test_to_remove_a_version_of_an_absent_item_is_a_conflict(self, store: Store) -> None:
        version = store.write(A, b"one")
        store.remove(A)
        for name in (A, B, NESTED):
            with pytest.raises(ConflictError):
                store.remove(name, expect=version)
        assert self.names(store) == []

    def test_of_many_items_each_is_removed_only_at_its_own_version(self, store: Store) -> None:
        expected = {name: store.write(name, b"old") for name in (A, B, NESTED)}
        store.write(B, b"newer")
        told = dict(store.remove_many(iter(expected), expect=expected.__getitem__))
        assert isinstance(told.pop(B), ConflictError)
        assert told == {A: None, NESTED: None}
        assert self.names(store) == [B]
        assert content_of(store, B) == b"newer"

    def test_an_item_is_moved_with_its_content_if_it_is_as_expected(self, store: Store) -> None:
        versions = {name: store.write(name, b"x" * (STREAM_ABOVE + 1)) for name in (A, NESTED)}
        for name, version in versions.items():
            aside: Name = (".@perkey-aside", "1", *name)
            with pytest.raises(ConflictError):
                store.move(name, aside, expect=version + "x")
            store.move(name, aside, expect=version)
            assert not store.exists(name)
            with pytest.raises(ConflictError):
                store.move(name, aside, expect=version)
            store.write(name, b"newer")
            with pytest.raises(ConflictError):
                store.move(aside, name)
            assert content_of(store, name) == b"newer"
            store.remove(name)
            store.move(aside, name)
            assert content_of(store, name) == b"x" * (STREAM_ABOVE + 1)
        assert self.names(store) == sorted([A, NESTED])
        with pytest.raises(KeyError):
            store.move(B, A)

    def test_an_item_written_anew_is_not_removed_by_its_old_version(self, store: Store) -> None:
        version = store.write(A, b"one")
        store.remove(A, expect=version)
        store.write(A, b"new")
        with pytest.raises(ConflictError):
            store.remove(A, expect=version)
        assert content_of(store, A) == b"new"


def _once(act: Callable[[], object]) -> Callable[[int], None]:
    """Return what to do between pieces so that `act` happens once, from another thread."""
    done: list[object] = []

    def between(_: int) -> None:
        if not done:
            done.append(True)
            elsewhere(act)

    return between
