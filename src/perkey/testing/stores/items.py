"""Clauses about one item: written, read, described, removed."""

from __future__ import annotations

import time

import pytest

from perkey.expectations import Version
from perkey.stores import Store
from perkey.testing.stores.suite import NESTED, A, B, StoreSuite, content_and_version, content_of

_HOUR = 3600
_REWRITES = 120


class ItemClauses(StoreSuite):
    """One item at a time, without conditions."""

    def test_what_was_written_is_read_back_with_the_version_returned(self, store: Store) -> None:
        version = store.write(A, b"one")
        assert content_and_version(store, A) == (b"one", version)

    def test_an_absent_item_raises_key_error_and_nothing_comes_into_being(self, store: Store) -> None:
        for verb in (store.read, store.stat, store.remove):
            with pytest.raises(KeyError):
                verb(A)
        with pytest.raises(KeyError):
            store.read(A, unless="some version")
        assert not store.exists(A)
        assert self.names(store) == []

    def test_a_rewritten_item_has_the_new_content_and_version_only(self, store: Store) -> None:
        old = store.write(A, b"first")
        new = store.write(A, b"2nd")
        assert old != new
        assert content_and_version(store, A) == (b"2nd", new)
        assert store.stat(A).size == 3
        assert self.names(store) == [A]

    def test_a_removed_item_is_gone(self, store: Store) -> None:
        store.write(A, b"one")
        store.remove(A)
        assert not store.exists(A)
        assert self.names(store) == []
        for verb in (store.read, store.stat, store.remove):
            with pytest.raises(KeyError):
                verb(A)

    def test_a_removed_item_can_be_written_again(self, store: Store) -> None:
        store.write(A, b"one")
        store.remove(A)
        version = store.write(A, b"two")
        assert content_and_version(store, A) == (b"two", version)

    def test_read_returns_none_only_if_the_item_is_still_at_the_known_version(self, store: Store) -> None:
        first = store.write(A, b"one")
        assert store.read(A, unless=first) is None
        second = store.write(A, b"two")
        assert store.read(A, unless=first) == (b"two", second)
        assert store.read(A, unless=second) is None
        assert store.read(A, unless="no version at all") == (b"two", second)

    def test_a_known_version_does_not_hide_that_the_item_was_removed(self, store: Store) -> None:
        version = store.write(A, b"one")
        store.remove(A)
        with pytest.raises(KeyError):
            store.read(A, unless=version)

    def test_stat_tells_version_size_and_time(self, store: Store) -> None:
        version = store.write(A, b"12345")
        stat = store.stat(A)
        assert (stat.version, stat.size) == (version, 5)
        assert isinstance(stat.mtime, float)
        assert abs(stat.mtime - time.time()) < _HOUR

    def test_time_does_not_run_backwards(self, store: Store) -> None:
        times = []
        for number in range(20):
            store.write(A, b"%d" % number)
            times.append(store.stat(A).mtime)
        assert times == sorted(times)

    def test_reading_changes_nothing(self, store: Store) -> None:
        version = store.write(A, b"one")
        before = store.stat(A)
        for _ in range(3):
            assert content_and_version(store, A) == (b"one", version)
            assert store.exists(A)
            assert list(store.scan()).count(A) == 1
        assert store.stat(A) == before

    def test_a_version_is_a_non_empty_string(self, store: Store) -> None:
        version: object = store.write(A, b"one")
        assert isinstance(version, str)
        assert version

    def test_items_do_not_touch_each_other(self, store: Store) -> None:
        version = store.write(A, b"one")
        stat = store.stat(A)
        store.write(B, b"two")
        store.write(NESTED, b"three")
        store.remove(B)
        assert content_and_version(store, A) == (b"one", version)
        assert store.stat(A) == stat
        assert content_of(store, NESTED) == b"three"

    def test_the_same_leaf_in_other_folders_is_another_item(self, store: Store) -> None:
        names = [("a.pkl",), ("x", "a.pkl"), ("y", "a.pkl"), ("x", "x", "a.pkl"), ("xy", "a.pkl")]
        for name in names:
            store.write(name, "/".join(name).encode())
        assert [content_of(store, name).decode() for name in names] == ["/".join(name) for name in names]

    def test_a_folder_is_no_item(self, store: Store) -> None:
        store.write(NESTED, b"one")
        for folder in (NESTED[:1], NESTED[:2]):
            assert not store.exists(folder)
            for verb in (store.read, store.stat, store.remove):
                with pytest.raises(KeyError):
                    verb(folder)
        assert content_of(store, NESTED) == b"one"

    def test_an_item_is_no_folder(self, store: Store) -> None:
        store.write(A, b"one")
        assert list(store.scan(A)) == []
        assert list(store.scan_stats(A)) == []
        assert list(store.folders(A)) == []
        assert not store.exists((*A, "inside.pkl"))

    def test_names_may_be_deep_and_long(self, store: Store) -> None:
        deep = (*(["d"] * 60), "long" * 50 + ".pkl")
        version = store.write(deep, b"down there")
        assert content_and_version(store, deep) == (b"down there", version)
        assert store.stat(deep).version == version
        assert self.names(store) == [deep]
        store.remove(deep)
        assert not store.exists(deep)

    def test_a_version_never_stands_for_two_contents(self, store: Store) -> None:
        """Contents of one size, with removals among them."""
        contents: dict[Version, bytes] = {}
        for number in range(_REWRITES):
            content = b"%06d" % number
            if number % 7 == 0 and number:
                store.remove(A)
            version = store.write(A, content)
            assert contents.setdefault(version, content) == content, "a version has come again"
        assert len(contents) == _REWRITES

    def test_a_version_stays_as_long_as_the_item_does(self, store: Store) -> None:
        version = store.write(A, b"one")
        store.write(B, b"one")
        other = self.reopen(store)
        list(other.scan_stats())
        assert other.stat(A).version == store.stat(A).version == version

    def test_items_of_equal_content_are_all_there(self, store: Store) -> None:
        for name in (A, B, NESTED):
            store.write(name, b"same")
        store.write(A, b"same")
        assert [content_of(store, name) for name in (A, B, NESTED)] == [b"same"] * 3
