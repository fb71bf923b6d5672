"""Clauses about races: threads with handles of their own, or with one in common.

What may go wrong is looked for in two ways that do not depend on each other: by what is missing at the end
(a lost update, a second winner), and by a mark that two operations overlapped (two that replaced one
version).
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

import pytest

from perkey.errors import ConflictError
from perkey.expectations import ABSENT, Version
from perkey.naming import Name
from perkey.stores import Store
from perkey.testing.racing import Meeting, together
from perkey.testing.stores.suite import NESTED, A, B, StoreSuite, content_and_version, content_of, drained
from perkey.testing.streams import Stream, label_of, marked

T = TypeVar("T")

_INCREMENTS = 40


class RacingSuite(StoreSuite):
    """What the clauses about races have in common."""

    @pytest.fixture(params=["own handles", "one handle"])
    def handles(self, request: pytest.FixtureRequest, store: Store) -> list[Store]:
        """A handle for each racer, on the place of `store`."""
        own = request.param == "own handles"
        return [self.reopen(store) if own else store for _ in range(self.threads)]

    def race(self, handles: list[Store], work: Callable[[int, Store], T]) -> list[T | Exception]:
        """Let each racer work; return the results, or the conflicts and key errors, in order."""

        def attempt(number: int, handle: Store) -> T | Exception:
            try:
                return work(number, handle)
            except (ConflictError, KeyError) as error:
                return error

        return together([lambda n=n, h=h: attempt(n, h) for n, h in enumerate(handles)])  # type: ignore[misc]

    def assert_one_winner(self, store: Store, name: Name, results: list[Version | Exception]) -> None:
        """Assert that one racer got a version, that it is the item's, and that the others got conflicts."""
        winners = [number for number, result in enumerate(results) if isinstance(result, str)]
        assert len(winners) == 1, f"{len(winners)} winners: {results}"
        assert all(isinstance(result, (str, ConflictError)) for result in results), results
        assert content_and_version(store, name) == (b"by %d" % winners[0], results[winners[0]])


class PlainRaces(RacingSuite):
    """Without conditions: nothing torn, nothing removed twice, nothing lost from a listing."""

    def test_of_many_that_remove_an_item_one_does(self, store: Store, handles: list[Store]) -> None:
        for turn in range(self.rounds):
            name = (f"{turn % 3}.pkl",)
            store.write(name, b"one")
            results = self.race(handles, lambda _, handle, name=name: handle.remove(name))  # type: ignore[misc]
            assert Counter(type(result) for result in results) == {type(None): 1, KeyError: self.threads - 1}
            assert not store.exists(name)

    def test_nobody_reads_torn_content_or_a_version_of_other_content(
        self, store: Store, handles: list[Store]
    ) -> None:
        """Half of the threads write content of different sizes, and other threads read it in all ways."""
        written: dict[Version, str] = {store.write(A, marked("first", 10)): "first"}
        seen: list[tuple[Version, str]] = []
        writes = itertools.count(1)
        readers, writers = set(range(0, self.threads, 2)), set(range(1, self.threads, 2))

        def write(number: int, handle: Store) -> None:
            turns = itertools.count()
            while readers:
                turn = next(turns)
                label = f"{number}-{turn}"
                written[handle.write(A, marked(label, 10 + 4001 * (turn % 5)))] = label
                next(writes)

        def read(handle: Store) -> None:
            turns = itertools.count()
            # Until there was enough to read, and enough was written meanwhile.
            while next(turns) < self.rounds or (writers and len(written) < self.rounds):
                for limit in (None, 100):
                    content, version = drained(handle.read(A, limit=limit))
                    seen.append((version, label_of(content)))

        def work(number: int, handle: Store) -> None:
            try:
                if number % 2:
                    write(number, handle)
                else:
                    read(handle)
            finally:
                (writers if number % 2 else readers).remove(number)

        assert self.race(handles, work) == [None] * self.threads
        assert len(written) == next(writes), "a version was given twice"
        if self.versions_are_told_once:
            assert {version for version, _ in seen} <= set(written)
        assert [pair for pair in seen if written.setdefault(*pair) != pair[1]] == []

    def test_the_last_of_many_writers_is_what_all_see_afterwards(
        self, store: Store, handles: list[Store]
    ) -> None:
        for turn in range(self.rounds):
            contents = [b"%d by %d" % (turn, number) for number in range(self.threads)]
            versions = self.race(handles, lambda number, handle, c=contents: handle.write(A, c[number]))  # type: ignore[misc]
            found, version = content_and_version(store, A)
            assert versions[contents.index(found)] == version
            assert len(set(versions)) == self.threads
            assert {content_and_version(handle, A) for handle in handles} == {(found, version)}

    def test_writers_of_different_names_in_a_new_folder_all_succeed(
        self, store: Store, handles: list[Store]
    ) -> None:
        for turn in range(self.rounds):
            folder = (f"new{turn}", "deeper")
            results = self.race(
                handles,
                lambda number, handle, f=folder: handle.write((*f, f"{number}.pkl"), b"x"),  # type: ignore[misc]
            )
            assert all(isinstance(result, str) for result in results), results
            assert len(list(store.scan(folder))) == self.threads

    def test_items_that_stay_are_listed_once_while_threads_write_and_remove_others(
        self, store: Store, handles: list[Store]
    ) -> None:
        staying: list[Name] = [("stay.pkl",), ("x", "stay.pkl"), ("x", "y", "stay.pkl")]
        for name in staying:
            store.write(name, b"x")

        def work(number: int, handle: Store) -> None:
            for turn in range(self.rounds):
                if number % 2:
                    name = ("x", *["y"] * (turn % 2), f"{number}-{turn % 4}.pkl")
                    handle.write(name, b"x")
                    handle.remove(name)
                else:
                    listed = Counter(handle.scan())
                    assert all(listed[name] == 1 for name in staying), listed
                    assert {name for name, _ in handle.scan_stats()} >= set(staying)
                    assert "x" in set(handle.folders())

        assert self.race(handles, work) == [None] * self.threads
        assert self.names(store) == sorted(staying)


class InsertRaces(RacingSuite):
    """Of those that expect absence one wins."""

    def test_of_many_that_insert_one_wins(self, store: Store, handles: list[Store]) -> None:
        for turn in range(self.rounds):
            name = (*["x"] * (turn % 2), f"{turn}.pkl")
            results = self.race(
                handles,
                lambda number, handle, name=name: handle.write(name, b"by %d" % number, expect=ABSENT),  # type: ignore[misc]
            )
            self.assert_one_winner(store, name, results)

    def test_of_many_that_insert_with_or_without_wanting_the_version_one_wins(
        self, store: Store, handles: list[Store]
    ) -> None:
        for turn in range(self.rounds):
            name = (*["x"] * (turn % 2), f"{turn}.pkl")

            def insert(number: int, handle: Store, name: Name = name) -> bytes:
                (handle.put if number % 2 else handle.write)(name, b"by %d" % number, expect=ABSENT)
                return b"by %d" % number

            results = self.race(handles, insert)
            won = [result for result in results if not isinstance(result, ConflictError)]
            assert won == [content_of(store, name)], results

    def test_of_many_that_have_all_looked_before_any_inserts_one_wins(
        self, store: Store, handles: list[Store]
    ) -> None:
        """Data that waits for the others while it is written takes the luck out of the race."""
        for name in (A, NESTED, B):
            meeting = Meeting()
            results = self.race(
                handles,
                lambda number, handle, name=name, meet=meeting: handle.write(  # type: ignore[misc]
                    name, _waiting(b"by %d" % number, meet), expect=ABSENT
                ),
            )
            self.assert_one_winner(store, name, results)

    def test_inserted_and_removed_in_turn_an_item_is_never_there_twice(self, handles: list[Store]) -> None:
        """A lock made of an item: the thread that inserts it holds it, alone until it is removed."""
        holders: list[int] = []
        overlaps: list[list[int]] = []
        entries = Counter[int]()

        def work(number: int, handle: Store) -> None:
            while entries[number] < self.rounds:
                insert = handle.put if number % 2 else handle.write
                try:
                    insert(A, b"held by %d" % number, expect=ABSENT)
                except ConflictError:
                    continue
                holders.append(number)
                if holders != [number] or content_of(handle, A) != b"held by %d" % number:
                    overlaps.append(list(holders))
                entries[number] += 1
                holders.remove(number)
                handle.remove(A)

        assert self.race(handles, work) == [None] * self.threads
        assert overlaps == []


class ReplaceRaces(RacingSuite):
    """Of those that expect one version one wins."""

    def test_of_many_that_replace_one_version_one_wins(self, store: Store, handles: list[Store]) -> None:
        version = store.write(A, b"first")
        for _ in range(self.rounds):
            results = self.race(
                handles,
                lambda number, handle, v=version: handle.write(A, b"by %d" % number, expect=v),  # type: ignore[misc]
            )
            self.assert_one_winner(store, A, results)
            version = store.write(A, b"next")

    def test_of_many_that_have_all_looked_before_any_replaces_one_wins(
        self, store: Store, handles: list[Store]
    ) -> None:
        version = store.write(A, b"first")
        for _ in range(3):
            meeting = Meeting()
            results = self.race(
                handles,
                lambda number, handle, v=version, meet=meeting: handle.write(  # type: ignore[misc]
                    A, _waiting(b"by %d" % number, meet), expect=v
                ),
            )
            self.assert_one_winner(store, A, results)
            version = store.write(A, b"next")

    def test_a_counter_misses_no_increment_and_no_two_replace_one_version(
        self, store: Store, handles: list[Store]
    ) -> None:
        """The item is a list of marks: each increment must be in it once, in each thread's own order."""
        first = store.write(A, b"")
        replaced: list[tuple[Version, Version]] = []

        def increment(handle: Store, mark: bytes) -> None:
            while True:
                content, version = content_and_version(handle, A)
                try:
                    newer = handle.write(A, content + mark, expect=version)
                except ConflictError:
                    continue
                replaced.append((version, newer))
                return

        def work(number: int, handle: Store) -> None:
            for turn in range(_INCREMENTS * self.rounds // 20):
                increment(handle, b"%d.%d " % (number, turn))

        assert self.race(handles, work) == [None] * self.threads
        content, last = content_and_version(store, A)
        assert len(content.split()) == len(replaced), "an update was lost"
        for number in range(self.threads):
            mine = [mark for mark in content.split() if mark.startswith(b"%d." % number)]
            assert mine == [b"%d.%d" % (number, turn) for turn in range(len(mine))]
        assert Counter(old for old, _ in replaced).most_common(1)[0][1] == 1, "two replaced one version"
        assert {old for old, _ in replaced} ^ {new for _, new in replaced} == {first, last}


class RemovalRaces(RacingSuite):
    """Of those that remove or replace one version one wins."""

    def test_of_many_that_remove_one_version_one_does(self, store: Store, handles: list[Store]) -> None:
        for turn in range(self.rounds):
            name = (*["x"] * (turn % 2), f"{turn % 3}.pkl")
            version = store.write(name, b"one")
            results = self.race(
                handles,
                lambda _, handle, name=name, v=version: handle.remove(name, expect=v),  # type: ignore[misc]
            )
            assert Counter(map(type, results)) == {type(None): 1, ConflictError: self.threads - 1}
            assert not store.exists(name)

    def test_an_item_rewritten_meanwhile_is_not_removed(self, store: Store, handles: list[Store]) -> None:
        """Each removal takes the version that it expected, while other threads write."""
        versions = itertools.count()
        removed: list[Version] = []
        written: list[Version] = []

        def work(number: int, handle: Store) -> None:
            for _ in range(self.rounds):
                if number % 2:
                    written.append(handle.write(A, b"%d" % next(versions)))
                    continue
                try:
                    version = handle.stat(A).version
                    handle.remove(A, expect=version)
                except (KeyError, ConflictError):
                    continue
                removed.append(version)

        assert self.race(handles, work) == [None] * self.threads
        last = store.write(B, b"x") if not store.exists(A) else store.stat(A).version
        assert len(set(removed)) == len(removed), "one version was removed twice"
        assert set(removed) <= set(written)
        assert last not in removed, "what was removed is still there"


class ReplaceOrRemoveRaces(RacingSuite):
    """Where both conditions are supported, they exclude each other, too."""

    def test_of_those_that_replace_and_remove_one_version_one_wins(
        self, store: Store, handles: list[Store]
    ) -> None:
        for _ in range(self.rounds):
            version = store.write(A, b"one")

            def work(number: int, handle: Store, version: Version = version) -> str:
                if number % 2:
                    return handle.write(A, b"by %d" % number, expect=version)
                handle.remove(A, expect=version)
                return "removed"

            results = self.race(handles, work)
            winners = [result for result in results if isinstance(result, str)]
            assert len(winners) == 1, results
            there = store.stat(A).version if store.exists(A) else "removed"
            assert winners == [there]


def _waiting(content: bytes, meeting: Meeting) -> Stream:
    """Return data that waits, the first time that it is written, for another one to be written."""
    first = iter([meeting])

    def between(_: int) -> None:
        for meet in first:
            meet()

    return Stream([content], between)
