"""Clauses about immutable items, and about a class that all values must be of."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from contracts.dicts.suite import DictSuite
from perkey.errors import MutationPolicyError
from perkey.jokers import (
    ANY_ETAG,
    DELETE_CURRENT,
    ETAG_HAS_CHANGED,
    ETAG_IS_THE_SAME,
    ITEM_NOT_AVAILABLE,
    KEEP_CURRENT,
)
from perkey.mapping import PersiDict
from perkey.testing.racing import together


class Immutable(DictSuite):
    """The dictionaries of these clauses are made with `immutable_items=True`."""

    @pytest.fixture
    def immutable(self) -> PersiDict[Any]:
        """A dictionary of immutable items with one item, ``"a"``, the first value."""
        immutable = self.make_dict(immutable_items=True)
        self.others = {}
        immutable["a"] = self.values(1)
        return immutable


class ImmutableClauses(Immutable):
    """Items can be added, and never changed or deleted."""

    def test_items_can_be_added(self, immutable: PersiDict[Any]) -> None:
        assert immutable.immutable_items
        immutable["n", "b"] = self.values(2)
        immutable.setdefault("c", self.values(3))
        immutable.update(e=self.values(4))
        plain = {"a": self.values(1), ("n", "b"): self.values(2), "c": self.values(3), "e": self.values(4)}
        self.assert_holds(immutable, plain)

    def test_an_item_that_is_there_is_not_changed_by_anything(self, immutable: PersiDict[Any]) -> None:
        etag, written = immutable.etag("a"), immutable.timestamp("a")
        changes: list[Callable[[], object]] = [
            lambda: immutable.__setitem__("a", self.values(2)),
            lambda: immutable.__setitem__("a", self.values(1)),
            lambda: immutable.update(a=self.values(2)),
            lambda: immutable.__ior__({"a": self.values(2)}),
            lambda: immutable.transform_item("a", transformer=lambda _: self.values(2)),
            lambda: immutable.transform_item("a", transformer=lambda _: DELETE_CURRENT),
            *self.conditional_changes(immutable, etag),
        ]
        for change in changes:
            with pytest.raises(MutationPolicyError):
                change()
            assert (immutable.etag("a"), immutable.timestamp("a")) == (etag, written)
        self.assert_holds(immutable, {"a": self.values(1)})

    def conditional_changes(self, d: PersiDict[Any], etag: str) -> list[Callable[[], object]]:
        """Return changes under conditions that hold."""
        holding: list[dict[str, Any]] = [
            {"condition": ANY_ETAG, "expected_etag": ITEM_NOT_AVAILABLE},
            {"condition": ETAG_IS_THE_SAME, "expected_etag": etag},
            {"condition": ETAG_HAS_CHANGED, "expected_etag": ITEM_NOT_AVAILABLE},
        ]
        return [
            change
            for how in holding
            for change in (
                partial(d.set_item_if, "a", value=self.values(2), **how),
                partial(d.set_item_if, "a", value=DELETE_CURRENT, **how),
                partial(d.discard_if, "a", **how),
            )
        ]

    def test_nothing_is_deleted_by_anything(self, immutable: PersiDict[Any]) -> None:
        for delete in (
            lambda: immutable.__delitem__("a"),
            lambda: immutable.__delitem__("absent"),
            lambda: immutable.__setitem__("a", DELETE_CURRENT),
            lambda: immutable.discard("a"),
            lambda: immutable.delete_if_exists("a"),
            lambda: immutable.pop("a"),
            lambda: immutable.pop("absent", None),
            immutable.popitem,
            immutable.clear,
            immutable.get_subdict().clear,
        ):
            with pytest.raises(MutationPolicyError):
                delete()
        self.assert_holds(immutable, {"a": self.values(1)})

    def test_what_changes_nothing_is_no_error(self, immutable: PersiDict[Any]) -> None:
        etag = immutable.etag("a")
        immutable["a"] = KEEP_CURRENT
        assert immutable.setdefault("a", self.values(2)) == self.values(1)
        assert immutable.transform_item("a", transformer=lambda _: KEEP_CURRENT).new_value == self.values(1)
        stale = immutable.set_item_if(
            "a", value=self.values(2), condition=ETAG_IS_THE_SAME, expected_etag=ITEM_NOT_AVAILABLE
        )
        assert tuple(stale) == (False, etag, etag, self.values(1))
        kept = immutable.setdefault_if(
            "a", default_value=self.values(2), condition=ANY_ETAG, expected_etag=ITEM_NOT_AVAILABLE
        )
        assert tuple(kept) == (True, etag, etag, self.values(1))
        self.assert_holds(immutable, {"a": self.values(1)})

    def test_the_error_is_also_a_type_error_and_names_the_key(self, immutable: PersiDict[Any]) -> None:
        with pytest.raises(TypeError, match="'a'") as error:
            immutable["a"] = self.values(2)
        assert isinstance(error.value, MutationPolicyError)
        assert error.value.key == ("a",)

    def test_a_part_is_immutable_too(self, immutable: PersiDict[Any]) -> None:
        part = immutable.get_subdict("p")
        part["b"] = self.values(2)
        with pytest.raises(MutationPolicyError):
            part["b"] = self.values(3)
        with pytest.raises(MutationPolicyError):
            del part["b"]
        assert immutable["p", "b"] == self.values(2)

    def test_an_absent_item_can_be_added_under_conditions(self, immutable: PersiDict[Any]) -> None:
        for number, condition in enumerate((ANY_ETAG, ETAG_IS_THE_SAME)):
            result = immutable.set_item_if(
                f"k{number}", value=self.values(2), condition=condition, expected_etag=ITEM_NOT_AVAILABLE
            )
            assert tuple(result) == (True, ITEM_NOT_AVAILABLE, immutable.etag(f"k{number}"), self.values(2))
        immutable.transform_item("k2", transformer=lambda _: self.values(2))
        assert immutable["k2"] == self.values(2)

    def test_of_many_that_add_one_item_one_does_in_every_way(self, immutable: PersiDict[Any]) -> None:
        handles = [self.reopen(immutable) for _ in range(self.threads)]

        def add(handle: PersiDict[Any], key: str, number: int, way: int) -> bool:
            value = self.values(number)
            ways: list[Callable[[], object]] = [
                lambda: handle.__setitem__(key, value),
                lambda: handle.transform_item(key, transformer=lambda _: value),
                lambda: handle.set_item_if(
                    key, value=value, condition=ANY_ETAG, expected_etag=ITEM_NOT_AVAILABLE
                ),
                lambda: handle.set_item_if(
                    key, value=value, condition=ETAG_HAS_CHANGED, expected_etag="another"
                ),
            ]
            try:
                ways[way]()
            except MutationPolicyError:
                return False
            return True

        for turn in range(self.rounds):
            for way in range(4):
                key = f"k{turn}-{way}"
                won = together(
                    [lambda n=n, h=h, k=key, w=way: add(h, k, n, w) for n, h in enumerate(handles)]  # type: ignore[misc]
                )
                assert won.count(True) == 1, (way, won)
                assert self.values.number(immutable[key]) == won.index(True)


class ClassClauses(DictSuite):
    """With `base_class_for_values`, values of other classes are refused in both directions."""

    @pytest.fixture
    def classed(self) -> PersiDict[Any]:
        """A dictionary whose values must be of a class, with one item, ``"a"``."""
        classed = self.make_dict(base_class_for_values=self.values.base_class)
        self.others = {}
        classed["a"] = self.values(1)
        return classed

    def test_values_of_the_class_are_taken(self, classed: PersiDict[Any]) -> None:
        assert classed.base_class_for_values is self.values.base_class
        classed["b"] = self.values(2)
        self.assert_holds(classed, {"a": self.values(1), "b": self.values(2)})

    def test_a_value_of_another_class_is_refused_by_all_that_write(self, classed: PersiDict[Any]) -> None:
        wrong: Any = 3.5
        for write in (
            lambda: classed.__setitem__("a", wrong),
            lambda: classed.setdefault("b", wrong),
            lambda: classed.update(a=wrong),
            lambda: classed.transform_item("a", transformer=lambda _: wrong),
            lambda: classed.set_item_if(
                "a", value=wrong, condition=ANY_ETAG, expected_etag=ITEM_NOT_AVAILABLE
            ),
            lambda: classed.setdefault_if(
                "b", default_value=wrong, condition=ANY_ETAG, expected_etag=ITEM_NOT_AVAILABLE
            ),
        ):
            with pytest.raises(TypeError):
                write()
        self.assert_holds(classed, {"a": self.values(1)})

    def test_jokers_are_no_values_and_always_taken(self, classed: PersiDict[Any]) -> None:
        classed["a"] = KEEP_CURRENT
        classed["b"] = KEEP_CURRENT
        self.assert_holds(classed, {"a": self.values(1)})
        classed["a"] = DELETE_CURRENT
        self.assert_holds(classed, {})

    def test_what_is_no_class_is_refused(self) -> None:
        with pytest.raises(TypeError):
            self.make_dict(base_class_for_values="dict")
