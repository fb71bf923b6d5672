"""Stores that are wrong in one way each, and the clauses that must find it out."""

from __future__ import annotations

import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from perkey.content import Content, Data, bytes_of, read_all
from perkey.errors import ConflictError
from perkey.expectations import ABSENT, ANY, Expectation, Expectations, Version, expectation_of
from perkey.naming import Name
from perkey.stores import MemoryStore, Stat, Store
from perkey.testing import StoreContract
from perkey.testing.racing import Meeting

_A_MOMENT = 0.002


class ChecksThenActs(MemoryStore):
    """Compares, and acts a moment later: two writers can both have found what they expect."""

    def __init__(self) -> None:
        super().__init__()
        self.gap = Meeting()

    def write(self, name: Name, data: Data, *, expect: Expectation = ANY) -> Version:
        content = bytes_of(data)
        self._check(name, expect)
        if expect is not ANY:
            self.gap()
        return super().write(name, content)


class ChecksThenTakesItsTime(MemoryStore):
    """Compares before it takes the data, and never again."""

    def write(self, name: Name, data: Data, *, expect: Expectation = ANY) -> Version:
        self._check(name, expect)
        return super().write(name, bytes_of(data))


class ChecksThenRemoves(MemoryStore):
    """As `ChecksThenActs`, in the other verb."""

    def __init__(self) -> None:
        super().__init__()
        self.gap = Meeting()

    def remove(self, name: Name, *, expect: Expectation = ANY) -> None:
        self._check(name, expect)
        if expect is not ANY:
            self.gap()
        super().remove(name)


class LooksTwiceBeforeRemoving(MemoryStore):
    """Lets two threads remove one item: the second finds nothing, and does not mind."""

    def __init__(self) -> None:
        super().__init__()
        self.gap = Meeting()

    def remove(self, name: Name, *, expect: Expectation = ANY) -> None:
        self._check(name, expect)
        if name not in self._items:
            raise KeyError(name)
        self.gap()
        self._items.pop(name, None)


class IgnoresAbsence(MemoryStore):
    """Inserts over what is there."""

    def write(self, name: Name, data: Data, *, expect: Expectation = ANY) -> Version:
        return super().write(name, data, expect=ANY if expect is ABSENT else expect)


class IgnoresVersionsOnRemoval(MemoryStore):
    """Supports conditions on writes only, and claims to support all."""

    def remove(self, name: Name, *, expect: Expectation = ANY) -> None:
        if name not in self._items and expect is not ANY:
            raise ConflictError(name, expect, ABSENT)
        super().remove(name)


class ActsThenReportsAConflict(MemoryStore):
    """Says that nothing was changed when everything was."""

    def write(self, name: Name, data: Data, *, expect: Expectation = ANY) -> Version:
        try:
            self._check(name, expect)
        except ConflictError:
            super().write(name, data)
            raise
        return super().write(name, data)


class ConflictsForNoReason(MemoryStore):
    """Refuses every third conditional write."""

    def __init__(self) -> None:
        super().__init__()
        self.turn = itertools.count()

    def write(self, name: Name, data: Data, *, expect: Expectation = ANY) -> Version:
        if expect is not ANY and next(self.turn) % 3 == 2:
            raise ConflictError(name, expect)
        return super().write(name, data, expect=expect)


class WritesInPlace(MemoryStore):
    """Shows half of the content for a moment."""

    def write(self, name: Name, data: Data, *, expect: Expectation = ANY) -> Version:
        content = bytes_of(data)
        with_half = super().write(name, content[: len(content) // 2], expect=expect)
        time.sleep(_A_MOMENT)
        return super().write(name, content, expect=with_half if isinstance(expect, str) else ANY)


class StreamsInPlace(MemoryStore):
    """Shows what has been written of a stream so far, and keeps it if the stream fails."""

    def write(self, name: Name, data: Data, *, expect: Expectation = ANY) -> Version:
        if isinstance(data, bytes):
            return super().write(name, data, expect=expect)
        self._check(name, expect)
        sink = _Sink(lambda content: MemoryStore.write(self, name, content))
        data.write_to(sink)  # type: ignore[arg-type] # as much of a file as it needs
        return self.stat(name).version


class _Sink:
    def __init__(self, publish: Callable[[bytes], object]) -> None:
        self._content = b""
        self._publish = publish

    def write(self, piece: bytes) -> None:
        self._content += piece
        self._publish(self._content)

    def flush(self) -> None:
        pass


class RepeatsVersions(MemoryStore):
    """Makes versions of size and a short counter."""

    def __init__(self) -> None:
        super().__init__()
        self.turn = itertools.count()

    def write(self, name: Name, data: Data, *, expect: Expectation = ANY) -> Version:
        super().write(name, data, expect=expect)
        content, stat = self._items[name]
        version = f"{stat.size}-{next(self.turn) % 64}"
        self._items[name] = content, Stat(version, stat.mtime, stat.size)
        return version


class CountsAnewAfterRemoval(MemoryStore):
    """Counts versions of each name from 1, and forgets the count with the item."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: defaultdict[Name, int] = defaultdict(int)

    def write(self, name: Name, data: Data, *, expect: Expectation = ANY) -> Version:
        super().write(name, data, expect=expect)
        self.counts[name] += 1
        content, stat = self._items[name]
        self._items[name] = content, Stat(f"v{self.counts[name]}", stat.mtime, stat.size)
        return f"v{self.counts[name]}"

    def remove(self, name: Name, *, expect: Expectation = ANY) -> None:
        super().remove(name, expect=expect)
        del self.counts[name]


class ReadsInTwoSteps(MemoryStore):
    """Reads the content first and the version a moment later."""

    def read(
        self, name: Name, *, unless: Version | None = None, limit: int | None = None
    ) -> tuple[Content, Version] | None:
        found = super().read(name, unless=unless, limit=limit)
        if found is None:
            return None
        time.sleep(_A_MOMENT)
        return found[0], self.stat(name).version


class LeavesItsTemporaries(MemoryStore):
    """Puts a stream beside its name first, where listings show it, and leaves it there if it fails."""

    def write(self, name: Name, data: Data, *, expect: Expectation = ANY) -> Version:
        if isinstance(data, bytes):
            return super().write(name, data, expect=expect)
        temporary = (*name[:-1], f"{name[-1]}.tmp")
        super().write(temporary, b"")
        content = bytes_of(data)
        super().remove(temporary)
        return super().write(name, content, expect=expect)


class TakesPrefixesAsText(MemoryStore):
    """Lists what begins with the same letters."""

    def scan(self, prefix: Name = ()) -> Iterator[Name]:
        return (name for name in list(self._items) if "/".join(name).startswith("/".join(prefix)))


class ListsWhatMoves(MemoryStore):
    """Lists item after item from a changing order, so that some come twice and some never."""

    def scan(self, prefix: Name = ()) -> Iterator[Name]:
        depth = len(prefix)
        for position in itertools.count():
            names = [name for name in self._items if len(name) > depth and name[:depth] == prefix]
            if position >= len(names):
                return
            yield names[position]


class KeepsEmptyFolders(MemoryStore):
    """Lists the folders that ever were."""

    def __init__(self) -> None:
        super().__init__()
        self.ever: set[Name] = set()

    def write(self, name: Name, data: Data, *, expect: Expectation = ANY) -> Version:
        self.ever |= {name[:depth] for depth in range(1, len(name))}
        return super().write(name, data, expect=expect)

    def folders(self, prefix: Name = ()) -> Iterator[str]:
        depth = len(prefix)
        return iter(
            sorted({name[depth] for name in self.ever if len(name) == depth + 1 and name[:depth] == prefix})
        )


class KnowsBetter(MemoryStore):
    """Withholds content from whoever knows any version."""

    def read(
        self, name: Name, *, unless: Version | None = None, limit: int | None = None
    ) -> tuple[Content, Version] | None:
        found = super().read(name, limit=limit)
        return None if unless is not None else found


class FindsNothingNormal(MemoryStore):
    """Returns None for an item that is not there."""

    def read(
        self, name: Name, *, unless: Version | None = None, limit: int | None = None
    ) -> tuple[Content, Version] | None:
        return super().read(name, unless=unless, limit=limit) if name in self._items else None


class BelievesItsMemory(MemoryStore):
    """A handle that goes on returning what it read first; other handles share the items."""

    def __init__(self, items: dict[Name, tuple[bytes, Stat]] | None = None) -> None:
        super().__init__()
        self._items = {} if items is None else items
        self.memory: dict[Name, Any] = {}

    def read(
        self, name: Name, *, unless: Version | None = None, limit: int | None = None
    ) -> tuple[Content, Version] | None:
        if name not in self.memory:
            self.memory[name] = super().read(name, limit=limit)
        content, version = self.memory[name]
        return None if version == unless else (content, version)

    def write(self, name: Name, data: Data, *, expect: Expectation = ANY) -> Version:
        self.memory.pop(name, None)
        # Handles must not give the same versions.
        self._numbers = itertools.count(next(self._numbers) + 1000 * id(self))
        return super().write(name, data, expect=expect)

    def remove(self, name: Name, *, expect: Expectation = ANY) -> None:
        self.memory.pop(name, None)
        super().remove(name, expect=expect)


class StopsAtTheFirstError(MemoryStore):
    """Gives a bulk write up when one item cannot be written."""

    def write_many(self, items: Any, *, expect: Expectations = ANY) -> Iterator[tuple[Name, Any]]:
        for name, data in items:
            try:
                yield name, self.write(name, data, expect=expectation_of(expect, name))
            except Exception as error:  # noqa: BLE001 - that is the fault
                yield name, error
                return


class ForgetsExpectationsOfMany(MemoryStore):
    """Expects nothing of items that are written or removed many at a time."""

    def write_many(self, items: Any, *, expect: Expectations = ANY) -> Iterator[tuple[Name, Any]]:
        return super().write_many(items, expect=ANY if callable(expect) else expect)

    def remove_many(self, names: Any, *, expect: Expectations = ANY) -> Iterator[tuple[Name, Any]]:
        del expect
        return super().remove_many(names)


class OverwritesWhenItMoves(MemoryStore):
    """Puts a moved item in place of another one."""

    def move(self, name: Name, target: Name, *, expect: Expectation = ANY) -> None:
        content = self.read(name)
        self.write(target, b"" if content is None else read_all(content[0]))
        self.remove(name, expect=expect)


PLANTED: list[tuple[Callable[[], Store], list[str]]] = [
    (
        ForgetsExpectationsOfMany,
        [
            "test_of_many_items_each_is_replaced_only_at_its_own_version",
            "test_of_many_items_each_is_removed_only_at_its_own_version",
        ],
    ),
    (OverwritesWhenItMoves, ["test_an_item_is_moved_with_its_content_if_it_is_as_expected"]),
    (
        ChecksThenActs,
        [
            "test_of_many_that_insert_one_wins",
            "test_of_many_that_replace_one_version_one_wins",
            "test_a_counter_misses_no_increment_and_no_two_replace_one_version",
            "test_of_those_that_replace_and_remove_one_version_one_wins",
            "test_every_recorded_history_has_an_explanation",
        ],
    ),
    (
        ChecksThenTakesItsTime,
        [
            "test_of_many_that_have_all_looked_before_any_inserts_one_wins",
            "test_of_many_that_have_all_looked_before_any_replaces_one_wins",
            "test_a_stream_overtaken_while_it_is_written_is_not_inserted",
            "test_a_stream_overtaken_while_it_is_written_replaces_nothing",
            "test_a_stream_whose_item_is_removed_while_it_is_written_inserts_nothing",
        ],
    ),
    (ChecksThenRemoves, ["test_of_many_that_remove_one_version_one_does"]),
    (
        LooksTwiceBeforeRemoving,
        ["test_of_many_that_remove_an_item_one_does", "test_of_many_that_remove_one_version_one_does"],
    ),
    (IgnoresAbsence, ["test_an_existing_item_is_not_inserted_again", "test_of_many_that_insert_one_wins"]),
    (
        IgnoresVersionsOnRemoval,
        [
            "test_another_version_is_not_removed",
            "test_an_item_written_anew_is_not_removed_by_its_old_version",
        ],
    ),
    (
        ActsThenReportsAConflict,
        ["test_an_existing_item_is_not_inserted_again", "test_another_version_is_not_replaced"],
    ),
    (
        ConflictsForNoReason,
        ["test_the_expected_version_is_replaced", "test_every_recorded_history_has_an_explanation"],
    ),
    (WritesInPlace, ["test_nobody_reads_torn_content_or_a_version_of_other_content"]),
    (
        StreamsInPlace,
        [
            "test_while_a_stream_is_written_others_see_the_old_content",
            "test_whatever_a_stream_raises_reaches_the_writer",
        ],
    ),
    (RepeatsVersions, ["test_a_version_never_stands_for_two_contents"]),
    (
        CountsAnewAfterRemoval,
        [
            "test_a_version_never_stands_for_two_contents",
            "test_an_item_that_was_removed_and_written_anew_is_at_another_version",
        ],
    ),
    (ReadsInTwoSteps, ["test_nobody_reads_torn_content_or_a_version_of_other_content"]),
    (
        LeavesItsTemporaries,
        [
            "test_while_a_stream_is_written_nothing_of_it_is_listed",
            "test_a_stream_that_fails_leaves_the_old_state_and_no_litter",
        ],
    ),
    (TakesPrefixesAsText, ["test_a_prefix_selects_by_whole_parts", "test_an_item_is_no_folder"]),
    (ListsWhatMoves, ["test_items_that_stay_are_listed_once_while_others_come_and_go"]),
    (KeepsEmptyFolders, ["test_a_folder_goes_with_its_last_item"]),
    (KnowsBetter, ["test_read_returns_none_only_if_the_item_is_still_at_the_known_version"]),
    (FindsNothingNormal, ["test_an_absent_item_raises_key_error_and_nothing_comes_into_being"]),
    (
        BelievesItsMemory,
        [
            "test_handles_on_one_place_see_each_others_items",
            "test_a_handle_that_knows_an_older_version_finds_the_newest",
        ],
    ),
    (StopsAtTheFirstError, ["test_one_that_cannot_be_written_is_told_and_the_others_are_written"]),
]
"""Each wrong store, and the clauses each of which must find it out."""


def suite_for(make: Callable[[], Store]) -> type[StoreContract]:
    """Return the contract, applied to stores that `make` makes."""

    class Suite(StoreContract):
        pickles_share_the_place = False

        def make_store(self) -> Store:
            return make()

        def reopen(self, store: Store) -> Store:
            return BelievesItsMemory(store._items) if isinstance(store, BelievesItsMemory) else store

    return Suite
