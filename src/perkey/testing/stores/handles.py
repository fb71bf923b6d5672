"""Clauses about handles: cheap, many on one place, travelling."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import pytest

from perkey.errors import UnsupportedConditionError
from perkey.expectations import ABSENT
from perkey.stores import Store
from perkey.testing.racing import together
from perkey.testing.stores.suite import (
    ALL_CONDITIONS,
    NESTED,
    A,
    B,
    Condition,
    StoreSuite,
    content_and_version,
    content_of,
    state_of,
)


class HandleClauses(StoreSuite):
    """What a handle is, and which conditions it admits to support."""

    def test_handles_on_one_place_see_each_others_items(self, store: Store) -> None:
        other = self.reopen(store)
        for writer, reader in ((store, other), (other, store)) * 2:
            for content in (b"one", b"two", b""):
                version = writer.write(A, content)
                assert content_and_version(reader, A) == (content, version)
                assert reader.stat(A).version == version
        store.remove(A)
        assert not other.exists(A)
        with pytest.raises(KeyError):
            other.read(A)

    def test_another_handle_changes_nothing_by_being_made(self, store: Store) -> None:
        store.write(A, b"one")
        before = state_of(store, A), sorted(store.scan_stats())
        self.reopen(store)
        assert (state_of(store, A), sorted(store.scan_stats())) == before

    def test_a_handle_can_be_pickled_at_any_time(self, store: Store) -> None:
        early = pickle.dumps(store)
        version = store.write(A, b"one")
        late: Store = pickle.loads(pickle.dumps(store))
        assert content_and_version(late, A) == (b"one", version)
        if self.pickles_share_the_place:
            woken: Store = pickle.loads(early)
            assert content_and_version(woken, A) == (b"one", version)
            woken.write(B, b"two")
        else:
            late.write(B, b"elsewhere")
            store.write(B, b"two")
        assert content_of(store, B) == b"two"

    def test_threads_may_share_a_handle(self, store: Store) -> None:
        def work(number: int) -> None:
            for turn in range(10):
                name = ("x", f"{number}-{turn}.pkl")
                version = store.write(name, b"%d" % turn)
                assert content_and_version(store, name) == (b"%d" % turn, version)
                assert name in set(store.scan(("x",)))
                if turn % 2:
                    store.remove(name)

        together([lambda number=number: work(number) for number in range(self.threads)])  # type: ignore[misc]
        assert len(self.names(store)) == self.threads * 5

    def test_places_are_described_for_messages(self, store: Store) -> None:
        where: object = store.describe()
        assert isinstance(where, str)
        assert where
        assert len({store.describe(name) for name in ((), A, B, NESTED)}) == 4
        assert all(part in store.describe(NESTED) for part in NESTED)
        assert where in repr(store)

    def test_the_suite_is_the_one_for_what_the_store_supports(self, store: Store) -> None:
        """The suite has to fit what the store supports: other conditions need another suite."""
        says = {(verb, kind) for verb, kind in ALL_CONDITIONS if store.supports(verb, kind)}
        assert says == self.conditions()

    def test_what_is_not_supported_is_refused_and_changes_nothing(self, store: Store) -> None:
        version = store.write(A, b"one")
        before = state_of(store, A)
        attempts: dict[Condition, Callable[[], object]] = {
            ("write", "absent"): lambda: store.write(B, b"refused", expect=ABSENT),
            ("write", "version"): lambda: store.write(A, b"refused", expect=version),
            ("remove", "version"): lambda: store.remove(A, expect=version),
        }
        for (verb, kind), attempt in attempts.items():
            if not store.supports(verb, kind):
                with pytest.raises(UnsupportedConditionError):
                    attempt()
                assert state_of(store, A) == before
                assert self.names(store) == [A]
