"""Clauses about changing and deleting what is there, by hand and by joker."""

from __future__ import annotations

import time
from typing import Any

import pytest

from contracts.dicts.suite import DictSuite
from perkey.errors import UnstorableValueError
from perkey.jokers import DELETE_CURRENT, KEEP_CURRENT
from perkey.keys import NonEmptySafeStrTuple
from perkey.mapping import PersiDict


class ChangingClauses(DictSuite):
    """Overwriting and deleting."""

    def test_a_later_value_replaces_an_earlier_one(self, d: PersiDict[Any]) -> None:
        for number in range(3):
            d["a"] = self.values(number)
            self.assert_holds(d, {"a": self.values(number)})

    def test_a_rewritten_item_has_another_etag_and_is_the_newest(self, d: PersiDict[Any]) -> None:
        d["a"] = self.values(1)
        time.sleep(self.time_resolution)
        d["b"] = self.values(2)
        etag = d.etag("a")
        time.sleep(self.time_resolution)
        d["a"] = self.values(3)
        assert d.etag("a") != etag
        assert d.newest_keys()[:2] == [("a",), ("b",)]
        assert d.newest_values(1) == [self.values(3)]

    def test_a_deleted_item_is_gone(self, d: PersiDict[Any]) -> None:
        d["a"] = self.values(1)
        d["n", "b"] = self.values(2)
        del d["a"]
        self.assert_holds(d, {("n", "b"): self.values(2)})
        for missing in (lambda: d["a"], lambda: d.pop("a"), lambda: d.timestamp("a"), lambda: d.etag("a")):
            with pytest.raises(KeyError):
                missing()
        with pytest.raises(KeyError) as error:
            del d["a"]
        assert error.value.args == (NonEmptySafeStrTuple("a"),)

    def test_discarding_tells_whether_there_was_an_item(self, d: PersiDict[Any]) -> None:
        for discard in (d.discard, d.delete_if_exists):
            d["a"] = self.values(1)
            assert discard("a") is True
            assert discard("a") is False
        self.assert_holds(d, {})

    def test_pop_returns_the_value_and_deletes_it(self, d: PersiDict[Any]) -> None:
        d["a"] = self.values(1)
        assert d.pop("a") == self.values(1)
        assert d.pop("a", None) is None
        assert d.pop("a", 7) == 7
        with pytest.raises(KeyError):
            d.pop("a")
        self.assert_holds(d, {})

    def test_popitem_empties_a_dictionary_item_by_item(self, d: PersiDict[Any]) -> None:
        part = d.get_subdict("p")
        plain = {("n" * (number % 2 + 1), f"k{number}"): self.values(number) for number in range(5)}
        part.update(plain)
        popped = dict(part.popitem() for _ in range(5))
        assert popped == plain
        with pytest.raises(KeyError):
            part.popitem()
        self.assert_holds(d, {})

    def test_clear_deletes_the_items_and_nothing_foreign(self, d: PersiDict[Any]) -> None:
        d["a"] = self.values(1)
        d["n", "b"] = self.values(2)
        foreign = [name for name in d.store.scan() if name[-1].endswith("other")]
        d.clear()
        assert sorted(name for name in d.store.scan() if name[-1].endswith("other")) == sorted(foreign)
        self.others.clear()
        self.assert_holds(d, {})
        d.clear()
        d["a"] = self.values(3)
        self.assert_holds(d, {"a": self.values(3)})

    def test_clearing_a_part_leaves_the_rest(self, d: PersiDict[Any]) -> None:
        d["a"] = self.values(1)
        d["p", "b"] = self.values(2)
        d["p", "q", "c"] = self.values(3)
        d.get_subdict("p").clear()
        self.assert_holds(d, {"a": self.values(1)})
        assert "p" not in d.subdicts()

    def test_a_value_that_cannot_be_stored_leaves_the_old_one(self, d: PersiDict[Any]) -> None:
        d["a"] = self.values(1)
        etag = d.etag("a")
        with pytest.raises(UnstorableValueError):
            d["a"] = self.values.unstorable
        assert d.etag("a") == etag
        self.assert_holds(d, {"a": self.values(1)})

    def test_update_replaces_and_jokers_in_it_act(self, d: PersiDict[Any]) -> None:
        d.update(a=self.values(1), b=self.values(2), c=self.values(3))
        d.update({"a": self.values(4), "b": KEEP_CURRENT, "c": DELETE_CURRENT, "e": KEEP_CURRENT})
        self.assert_holds(d, {"a": self.values(4), "b": self.values(2)})

    def test_keep_current_changes_nothing(self, d: PersiDict[Any]) -> None:
        d["a"] = self.values(1)
        etag, written = d.etag("a"), d.timestamp("a")
        d["a"] = KEEP_CURRENT
        d["absent"] = KEEP_CURRENT
        assert (d.etag("a"), d.timestamp("a")) == (etag, written)
        self.assert_holds(d, {"a": self.values(1)})

    def test_delete_current_deletes_what_is_there_and_nothing_else(self, d: PersiDict[Any]) -> None:
        d["a"] = self.values(1)
        d["a"] = DELETE_CURRENT
        d["a"] = DELETE_CURRENT
        d["absent", "too"] = DELETE_CURRENT
        self.assert_holds(d, {})

    def test_a_bad_key_is_refused_whatever_is_to_be_done(self, d: PersiDict[Any]) -> None:
        for act in (
            lambda: d.__setitem__("a/b", KEEP_CURRENT),
            lambda: d.__setitem__("a/b", DELETE_CURRENT),
            lambda: d.__delitem__("a/b"),
            lambda: d.discard("a/b"),
            lambda: d.pop("a/b", None),
        ):
            with pytest.raises(ValueError, match="not safe"):
                act()

    def test_items_that_go_while_it_is_walked_through_do_no_harm(self, d: PersiDict[Any]) -> None:
        names = [f"k{number}" for number in range(6)]
        for walk in (d.keys, d.values, d.items, d.keys_and_timestamps, d.items_and_timestamps):
            for number, name in enumerate(names):
                d[name] = self.values(number)
            walking = iter(walk())
            next(walking)
            for name in names:
                del d[name]
            list(walking)
            self.assert_holds(d, {})

    def test_a_view_shows_what_was_replaced(self, d: PersiDict[Any]) -> None:
        d["a"] = self.values(1)
        values, items = d.values(), d.items()
        d["a"] = self.values(2)
        assert self.values(2) in values
        assert self.values(1) not in values
        assert (("a",), self.values(2)) in items
        assert (("a",), self.values(1)) not in items

    def test_handles_on_one_place_see_what_the_other_changed(self, d: PersiDict[Any]) -> None:
        other = self.reopen(d)
        for writer, reader in ((d, other), (other, d)) * 2:
            for number in (1, 2):
                writer["a"] = self.values(number)
                assert reader["a"] == self.values(number)
                assert reader.etag("a") == writer.etag("a")
            del writer["a"]
            assert "a" not in reader
            assert reader.get("a") is None
