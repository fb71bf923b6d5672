"""Clauses about timestamps, the order by them, and the random key."""

from __future__ import annotations

import random
import time
from collections import Counter
from typing import Any

import pytest

from contracts.dicts.suite import DictSuite
from perkey.mapping import PersiDict

_HOUR = 3600
_DRAWS = 600
_IMPLAUSIBLE = 45
"""No fair draw from a dozen keys has a chi-square like this: less than one in a million."""


class OrderClauses(DictSuite):
    """When items were written."""

    def write_in_turn(self, d: PersiDict[Any], count: int) -> list[tuple[str, ...]]:
        """Write items, each later than the one before; return their keys."""
        keys: list[tuple[str, ...]] = [("n" * (n % 2 + 1), f"k{9 - n}") for n in range(count)]
        for number, key in enumerate(keys):
            time.sleep(self.time_resolution)
            d[key] = self.values(number)
        return keys

    def test_a_timestamp_is_when_an_item_was_written(self, d: PersiDict[Any]) -> None:
        d["a"] = self.values(1)
        written = d.timestamp("a")
        assert isinstance(written, float)
        assert abs(written - time.time()) < _HOUR
        assert d.timestamp("a") == written
        with pytest.raises(KeyError):
            d.timestamp("absent")

    def test_the_oldest_come_first_among_the_oldest(self, d: PersiDict[Any]) -> None:
        keys = self.write_in_turn(d, 5)
        ordered = d.oldest_keys()
        assert [key for key in ordered if key not in self.others] == keys
        assert ordered[: len(self.others)] == [key for key in ordered if key in self.others]
        assert len(ordered) == len(d)

    def test_the_newest_come_first_among_the_newest(self, d: PersiDict[Any]) -> None:
        keys = self.write_in_turn(d, 5)
        ordered = d.newest_keys()
        assert ordered[:5] == keys[::-1]
        assert sorted(ordered) == sorted(d.oldest_keys())

    def test_values_come_in_the_order_of_their_keys(self, d: PersiDict[Any]) -> None:
        self.write_in_turn(d, 4)
        assert d.oldest_values() == [d[key] for key in d.oldest_keys()]
        assert d.newest_values() == [d[key] for key in d.newest_keys()]
        assert d.newest_values(2) == [self.values(3), self.values(2)]

    def test_only_so_many_are_returned_as_are_wanted(self, d: PersiDict[Any]) -> None:
        self.write_in_turn(d, 4)
        for oldest, newest in ((d.oldest_keys, d.newest_keys), (d.oldest_values, d.newest_values)):
            for count in (0, 1, 3, len(d), len(d) + 5):
                assert oldest(count) == oldest()[:count]
                assert newest(max_n=count) == newest()[:count]

    def test_timestamps_come_with_keys_values_and_items(self, d: PersiDict[Any]) -> None:
        self.write_in_turn(d, 4)
        times = {key: d.timestamp(key) for key in d}
        assert sorted(d.keys_and_timestamps()) == sorted(times.items())
        found = {key: (value, written) for key, value, written in d.items_and_timestamps()}
        assert found == {key: (d[key], times[key]) for key in d}
        numbers = sorted((self.values.number(value), written) for value, written in d.values_and_timestamps())
        assert numbers == sorted((self.values.number(d[key]), times[key]) for key in d)

    def test_where_there_is_nothing_there_is_no_oldest(self, d: PersiDict[Any]) -> None:
        nothing = d.get_subdict("nothing")
        for lists in (nothing.oldest_keys, nothing.newest_keys, nothing.oldest_values, nothing.newest_values):
            assert lists() == lists(3) == []
        assert not any(True for _ in nothing.keys_and_timestamps())
        assert not any(True for _ in nothing.items_and_timestamps())
        assert nothing.random_key() is None

    def test_each_key_is_drawn_with_the_same_probability(
        self, d: PersiDict[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The generator is one of fixed seed, so that nothing is left to luck."""
        for number in range(6):
            d["n" * (number % 2 + 1), f"k{number}"] = self.values(number)
        monkeypatch.setattr(random, "random", random.Random(20).random)
        drawn = Counter(d.random_key() for _ in range(_DRAWS))
        assert set(drawn) == set(d)
        fair = _DRAWS / len(drawn)
        deviation = sum((count - fair) ** 2 / fair for count in drawn.values())
        assert deviation < _IMPLAUSIBLE, drawn

    def test_the_only_key_is_drawn_always(self, d: PersiDict[Any]) -> None:
        part = d.get_subdict("part")
        part["only"] = self.values(1)
        assert {part.random_key() for _ in range(20)} == {("only",)}
