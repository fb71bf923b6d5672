"""Clauses about sub-dictionaries: parts that are dictionaries themselves, of the same items."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from contracts.dicts.suite import DictSuite, assert_agrees
from perkey.keys import SafeStrTuple
from perkey.mapping import PersiDict


class PartClauses(DictSuite):
    """`get_subdict` and `subdicts`."""

    def test_a_part_holds_the_items_below_a_prefix_under_the_rest_of_their_keys(
        self, d: PersiDict[Any]
    ) -> None:
        for number, key in enumerate(["p", ("p", "a"), ("p", "q", "b"), ("pp", "c"), ("x", "p", "d")]):
            d[key] = self.values(number)
        assert_agrees(d.get_subdict("p"), {("a",): self.values(1), ("q", "b"): self.values(2)})
        assert_agrees(d.get_subdict(("p", "q")), {("b",): self.values(2)})
        assert_agrees(d.get_subdict("p").get_subdict("q"), {("b",): self.values(2)})

    def test_what_is_written_in_one_is_seen_in_the_other(self, d: PersiDict[Any]) -> None:
        part = d.get_subdict(["p", "q"])
        part["a"] = self.values(1)
        assert d["p", "q", "a"] == self.values(1)
        d["p", "q", "r", "b"] = self.values(2)
        assert part["r", "b"] == self.values(2)
        self.assert_holds(d, {("p", "q", "a"): self.values(1), ("p", "q", "r", "b"): self.values(2)})

    def test_the_part_of_an_empty_prefix_is_the_whole(self, d: PersiDict[Any]) -> None:
        d["a"] = self.values(1)
        nothings: list[Any] = [(), [], SafeStrTuple()]
        for empty in nothings:
            self.assert_holds(d.get_subdict(empty), {"a": self.values(1)})
        self.assert_holds(d.get_subdict(), {"a": self.values(1)})

    def test_asking_for_a_part_creates_nothing(self, d: PersiDict[Any]) -> None:
        part = d.get_subdict(("nothing", "here"))
        assert_agrees(part, {})
        assert "nothing" not in d.subdicts()
        assert part.subdicts() == {}
        self.assert_holds(d, {})

    def test_a_missing_key_that_others_begin_with_says_so(self, d: PersiDict[Any]) -> None:
        d["p", "q", "a"] = self.values(1)
        for key in (("p",), ("p", "q")):
            for act in (
                lambda key=key: d[key],
                lambda key=key: d.etag(key),
                lambda key=key: d.timestamp(key),
            ):
                with pytest.raises(KeyError, match=r"begin with it, such as \('p', 'q', 'a'\)") as caught:
                    act()
                assert caught.value.args == (key,)
        with pytest.raises(KeyError, match=r"^\('x',\)$"):
            d["x"]

    def test_a_part_is_of_the_same_kind(self, d: PersiDict[Any]) -> None:
        part = d.get_subdict("p")
        assert type(part) is type(d)
        for of in ("file_type", "digest_len", "immutable_items", "base_class_for_values"):
            assert getattr(part, of) == getattr(d, of)

    def test_parts_are_listed_by_the_first_part_of_longer_keys(self, d: PersiDict[Any]) -> None:
        assert set(d.subdicts()) == {key[0] for key in self.others if len(key) > 1}
        for number, key in enumerate(["a", ("p", "a"), ("p", "b"), ("q", "r", "s", "c")]):
            d[key] = self.values(number)
        parts = {name: part for name, part in d.subdicts().items() if name != "others"}
        assert set(parts) == {"p", "q"}
        assert_agrees(parts["p"], {("a",): self.values(1), ("b",): self.values(2)})
        assert_agrees(parts["q"], {("r", "s", "c"): self.values(3)})
        assert set(parts["q"].subdicts()) == {"r"}
        assert parts["p"].subdicts() == {}

    def test_parts_without_a_key_of_this_dictionary_are_not_listed(self, d: PersiDict[Any]) -> None:
        """Items of another type of file are not items here."""
        d.store.write(("foreigners", "a.other"), b"x")
        assert "foreigners" not in d.subdicts()
        self.assert_holds(d, {})

    def test_a_bad_prefix_is_refused(self, d: PersiDict[Any]) -> None:
        bad: list[tuple[Any, type[Exception]]] = [
            (5, TypeError),
            ("a/b", ValueError),
            ("..", ValueError),
            (("a", ""), ValueError),
        ]
        for prefix, error in bad:
            with pytest.raises(error):
                d.get_subdict(prefix)

    def test_a_key_too_long_for_the_whole_is_too_long_in_a_part(self, d: PersiDict[Any]) -> None:
        part = d.get_subdict(tuple("x" * 200 for _ in range(3)))
        with pytest.raises(ValueError, match="long"):
            part[tuple("y" * 200 for _ in range(3))] = self.values(1)
        part["y"] = self.values(1)
        assert len(part) == 1

    def test_a_part_can_be_pickled(self, d: PersiDict[Any]) -> None:
        part = d.get_subdict("p")
        part["a"] = self.values(1)
        woken: PersiDict[Any] = pickle.loads(pickle.dumps(part))
        assert_agrees(woken, {("a",): self.values(1)})

    def test_times_order_and_draws_keep_to_the_part(self, d: PersiDict[Any]) -> None:
        d["a"] = self.values(0)
        d["p", "a"] = self.values(1)
        part = d.get_subdict("p")
        assert part.timestamp("a") == d.timestamp(("p", "a"))
        assert part.oldest_keys() == part.newest_keys() == [("a",)]
        assert part.random_key() == ("a",)
        assert part.etag("a") == d.etag(("p", "a"))
