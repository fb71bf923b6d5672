"""Clauses about keys, values and items as live views."""

from __future__ import annotations

from collections.abc import Collection, ItemsView, KeysView, ValuesView
from typing import Any

from contracts.dicts.suite import DictSuite
from perkey.mapping import PersiDict


class ViewClauses(DictSuite):
    """`keys`, `values` and `items`."""

    def test_views_are_those_of_the_language_and_show_later_changes(self, d: PersiDict[Any]) -> None:
        keys, values, items = d.keys(), d.values(), d.items()
        assert isinstance(keys, KeysView)
        assert isinstance(values, ValuesView)
        assert isinstance(items, ItemsView)
        d["a"] = self.values(1)
        count = len(self.others) + 1
        assert len(keys) == len(values) == len(items) == count
        assert ("a",) in keys
        assert self.values(1) in values
        assert (("a",), self.values(1)) in items
        assert set(keys) == {*self.others, ("a",)}

    def test_views_know_what_is_not_in_them(self, d: PersiDict[Any]) -> None:
        d["a"] = self.values(1)
        keys: Collection[Any] = d.keys()
        items: Collection[Any] = d.items()
        assert "a" in keys
        assert "b" not in keys
        assert self.values(2) not in d.values()
        assert ("a", self.values(1)) in items
        assert ("a", self.values(2)) not in items
        assert ("b", self.values(1)) not in items

    def test_a_view_of_keys_is_a_set(self, d: PersiDict[Any]) -> None:
        d["a"] = self.values(1)
        d["n", "b"] = self.values(2)
        mine: Any = {*self.others, ("a",), ("n", "b")}
        assert d.keys() == mine
        assert d.keys() & {("a",), ("c",)} == {("a",)}
        assert d.keys() | {("c",)} == {*mine, ("c",)}
        assert d.keys() - {("a",)} == mine - {("a",)}
        assert d.keys() ^ {("a",), ("c",)} == (mine | {("c",)}) - {("a",)}
        assert d.keys() >= {("a",)}
        assert d.keys() < {*mine, ("c",)}
        assert d.keys().isdisjoint([("c",)])
        assert not d.keys().isdisjoint([("a",)])

    def test_views_can_be_walked_several_times_and_at_once(self, d: PersiDict[Any]) -> None:
        for number in range(4):
            d[f"k{number}"] = self.values(number)
        keys, items = d.keys(), d.items()
        assert sorted(keys) == sorted(keys) == sorted(key for key, _ in items)
        pairs = [(one, two) for one in keys for two in keys]
        assert len(pairs) == len(set(pairs)) == len(keys) ** 2
        assert len(list(zip(d.keys(), d.values(), d.items(), strict=True))) == len(d)

    def test_values_and_items_belong_together(self, d: PersiDict[Any]) -> None:
        for number in range(10):
            d["n" * (number % 2 + 1), f"k{number}"] = self.values(number)
        mine = {key: self.values.number(value) for key, value in d.items() if key not in self.others}
        assert mine == {("n" * (number % 2 + 1), f"k{number}"): number for number in range(10)}
        numbers = sorted(self.values.number(value) for value in d.values())
        assert numbers == sorted([*mine.values(), *map(self.values.number, self.others.values())])

    def test_items_that_come_while_it_is_walked_through_do_no_harm(self, d: PersiDict[Any]) -> None:
        for number in range(6):
            d[f"k{number}"] = self.values(number)
        expected = {*self.others, *((f"k{number}",) for number in range(6))}
        for walk in (iter(d), iter(d.keys()), (key for key, _ in d.items())):
            seen = [next(walk)]
            d.setdefault("new", self.values(7))
            d.setdefault(("new", "new"), self.values(8))
            seen.extend(walk)
            assert expected <= set(seen) <= {*expected, ("new",), ("new", "new")}
            assert len(seen) == len(set(seen))

    def test_the_text_of_a_view_names_its_dictionary(self, d: PersiDict[Any]) -> None:
        assert repr(d) in repr(d.keys())
        assert repr(d) in repr(d.values())
        assert repr(d) in repr(d.items())
