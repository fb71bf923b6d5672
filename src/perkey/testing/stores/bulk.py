"""Clauses about many items at once: each as if alone, each reported, none left out."""

from __future__ import annotations

import os

from perkey.content import STREAM_ABOVE, Data
from perkey.errors import UnstorableValueError
from perkey.naming import Name
from perkey.stores import Store
from perkey.testing.racing import together
from perkey.testing.stores.suite import NESTED, A, B, StoreSuite, content_and_version, content_of, drained
from perkey.testing.streams import Stream

_MANY = 80


class BulkClauses(StoreSuite):
    """`read_many`, `write_many` and `remove_many`; conditions on them are as on single writes."""

    def test_many_items_are_written_and_each_is_told_with_its_version(self, store: Store) -> None:
        items = _items(_MANY)
        told = list(store.write_many(items.items()))
        assert sorted(name for name, _ in told) == sorted(items)
        assert {name: content_and_version(store, name) for name in items} == {
            name: (items[name], version) for name, version in told
        }
        assert self.names(store) == sorted(items)

    def test_many_items_are_read_and_each_is_told_once(self, store: Store) -> None:
        items = _items(_MANY)
        versions = {name: store.write(name, content) for name, content in items.items()}
        told = [(name, _found(result)) for name, result in store.read_many(iter(items))]
        assert len(told) == _MANY
        assert dict(told) == {name: (content, versions[name]) for name, content in items.items()}

    def test_many_items_are_removed(self, store: Store) -> None:
        items = _items(_MANY)
        for name, content in items.items():
            store.write(name, content)
        assert dict(store.remove_many(iter(items))) == dict.fromkeys(items)
        assert self.names(store) == []
        assert self.folders(store) == []

    def test_none_at_all_is_no_work(self, store: Store) -> None:
        assert list(store.read_many([])) == []
        assert list(store.write_many([])) == []
        assert list(store.remove_many([])) == []

    def test_absent_items_are_told_as_key_errors_and_hold_nothing_up(self, store: Store) -> None:
        names: list[Name] = [(f"{number}.pkl",) for number in range(20)]
        for name in names[::2]:
            store.write(name, b"x")
        read = dict(store.read_many(names))
        assert [isinstance(read[name], KeyError) for name in names] == [False, True] * 10
        removed = dict(store.remove_many(names))
        assert [isinstance(removed[name], KeyError) for name in names] == [False, True] * 10
        assert self.names(store) == []

    def test_one_that_cannot_be_written_is_told_and_the_others_are_written(self, store: Store) -> None:
        def fail(_: int) -> None:
            raise UnstorableValueError("not encodable after all")

        store.write(B, b"old")
        items: list[tuple[Name, Data]] = [(A, b"one"), (B, Stream([b"two"], fail)), (NESTED, b"three")]
        told = dict(store.write_many(items))
        assert isinstance(told[B], UnstorableValueError)
        assert told[A] == store.stat(A).version
        assert [content_of(store, name) for name in (A, B, NESTED)] == [b"one", b"old", b"three"]
        assert self.names(store) == sorted([A, B, NESTED])

    def test_existing_items_are_replaced(self, store: Store) -> None:
        old = dict(store.write_many([(A, b"one"), (NESTED, b"two")]))
        new = dict(store.write_many([(NESTED, b"2nd"), (A, b"1st"), (B, b"3rd")]))
        assert [content_of(store, name) for name in (A, B, NESTED)] == [b"1st", b"3rd", b"2nd"]
        assert not set(old.values()) & set(new.values())

    def test_large_and_streamed_content_may_be_among_many(self, store: Store) -> None:
        large = os.urandom(STREAM_ABOVE + 1)
        items: dict[Name, Data] = {A: large, B: Stream([large, b"more"]), NESTED: b""}
        versions = dict(store.write_many(items.items()))
        found = {name: _found(result) for name, result in store.read_many(items, limit=1000)}
        assert found == {
            A: (large, versions[A]),
            B: (large + b"more", versions[B]),
            NESTED: (b"", versions[NESTED]),
        }

    def test_a_listing_can_feed_a_removal(self, store: Store) -> None:
        mine = [name for name, _ in store.write_many(_items(_MANY).items())]
        told = list(store.remove_many(name for name in store.scan() if name in set(mine)))
        assert sorted(name for name, _ in told) == sorted(mine)
        assert self.names(store) == []

    def test_an_abandoned_bulk_read_leaves_nothing_open(self, store: Store) -> None:
        """Unclosed files would be warned of."""
        for number in range(10):
            store.write((f"{number}.pkl",), b"x" * 5000)
        reading = store.read_many([(f"{number}.pkl",) for number in range(10)], limit=10)
        _found(next(iter(reading))[1])
        del reading
        assert len(self.names(store)) == 10

    def test_bulk_writers_of_the_same_items_leave_whole_items(self, store: Store) -> None:
        names: list[Name] = [(f"{number}.pkl",) for number in range(5)] + [NESTED]
        handles = [self.reopen(store) for _ in range(self.threads)]

        def work(number: int, handle: Store) -> list[tuple[Name, object]]:
            items = [(name, b"%d" % number * (100 + number)) for name in names]
            return [result for _ in range(5) for result in handle.write_many(items)]

        told = together([lambda n=n, h=h: work(n, h) for n, h in enumerate(handles)])  # type: ignore[misc]
        versions = {version for results in told for _, version in results}
        assert all(isinstance(version, str) for version in versions)
        for name in names:
            content, version = content_and_version(store, name)
            assert content in {b"%d" % number * (100 + number) for number in range(self.threads)}
            assert version in versions


def _items(count: int) -> dict[Name, bytes]:
    folders: list[Name] = [(), ("x",), ("x", "y"), ("z",)]
    return {(*folders[number % 4], f"{number}.pkl"): b"%d" % number for number in range(count)}


def _found(result: object) -> tuple[bytes, str]:
    assert isinstance(result, tuple), result
    return drained(result)
