"""Clauses about conditional operations: what they answer, and that they compare and act in one step."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

import perkey
from contracts.dicts.suite import DictSuite
from contracts.dicts.table import OPERATIONS, Answer, Operation, answer, cases, play
from perkey.errors import UnstorableValueError
from perkey.jokers import (
    ANY_ETAG,
    DELETE_CURRENT,
    ETAG_HAS_CHANGED,
    ETAG_IS_THE_SAME,
    ITEM_NOT_AVAILABLE,
    KEEP_CURRENT,
    ConditionalOperationResult,
)
from perkey.mapping import PersiDict


class ConditionalClauses(DictSuite):
    """`get_with_etag`, `get_item_if`, `set_item_if`, `setdefault_if` and `discard_if`."""

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_every_combination_answers_as_the_table_says(
        self, d: PersiDict[Any], operation: Operation
    ) -> None:
        wrong: dict[Any, tuple[Answer, Answer]] = {}
        for case in cases(operation):
            found = play(perkey, d, case, (self.values(0), self.values(1), self.values(2)))
            if found != answer(case):
                wrong[case] = found, answer(case)
        assert wrong == {}
        d.discard("item")
        self.assert_holds(d, {})

    def test_value_and_etag_are_had_together(self, d: PersiDict[Any]) -> None:
        d["a"] = self.values(1)
        etag = d.etag("a")
        assert d.get_with_etag("a") == ConditionalOperationResult(True, etag, etag, self.values(1))
        absent = d.get_with_etag("absent")
        assert tuple(absent) == (True, ITEM_NOT_AVAILABLE, ITEM_NOT_AVAILABLE, ITEM_NOT_AVAILABLE)
        assert not absent.value_was_mutated

    def test_an_etag_that_is_known_is_good_for_one_change(self, d: PersiDict[Any]) -> None:
        d["a"] = self.values(1)
        known = d.get_with_etag("a").actual_etag
        results = [
            d.set_item_if("a", value=self.values(number), condition=ETAG_IS_THE_SAME, expected_etag=known)
            for number in (2, 3)
        ]
        assert [result.condition_was_satisfied for result in results] == [True, False]
        assert results[1].new_value == self.values(2)
        assert results[0].resulting_etag == results[1].actual_etag == d.etag("a")
        self.assert_holds(d, {"a": self.values(2)})

    def test_results_follow_each_other_as_a_chain(self, d: PersiDict[Any]) -> None:
        etag: Any = ITEM_NOT_AVAILABLE
        for number in range(5):
            result = d.set_item_if(
                "a", value=self.values(number), condition=ETAG_IS_THE_SAME, expected_etag=etag
            )
            assert tuple(result) == (True, etag, d.etag("a"), self.values(number))
            assert result.value_was_mutated
            etag = result.resulting_etag
        removed = d.discard_if("a", condition=ETAG_IS_THE_SAME, expected_etag=etag)
        assert tuple(removed) == (True, etag, ITEM_NOT_AVAILABLE, ITEM_NOT_AVAILABLE)
        self.assert_holds(d, {})

    def test_an_item_deleted_and_written_anew_has_changed(self, d: PersiDict[Any]) -> None:
        d["a"] = self.values(1)
        etag = d.etag("a")
        del d["a"]
        d["a"] = self.values(2)
        result = d.discard_if("a", condition=ETAG_IS_THE_SAME, expected_etag=etag)
        assert not result.condition_was_satisfied
        assert d.discard_if("a", condition=ETAG_HAS_CHANGED, expected_etag=etag).condition_was_satisfied
        self.assert_holds(d, {})

    def test_a_value_that_cannot_be_stored_changes_nothing_under_a_condition(self, d: PersiDict[Any]) -> None:
        d["a"] = self.values(1)
        with pytest.raises(UnstorableValueError):
            d.set_item_if(
                "a", value=self.values.unstorable, condition=ANY_ETAG, expected_etag=ITEM_NOT_AVAILABLE
            )
        with pytest.raises(UnstorableValueError):
            d.setdefault_if(
                "b", default_value=self.values.unstorable, condition=ANY_ETAG, expected_etag=d.etag("a")
            )
        self.assert_holds(d, {"a": self.values(1)})

    def test_jokers_and_sentinels_are_no_defaults(self, d: PersiDict[Any]) -> None:
        for default in (KEEP_CURRENT, DELETE_CURRENT, ITEM_NOT_AVAILABLE):
            with pytest.raises(TypeError):
                d.setdefault_if(
                    "a", default_value=default, condition=ANY_ETAG, expected_etag=ITEM_NOT_AVAILABLE
                )
        self.assert_holds(d, {})

    def test_arguments_of_the_wrong_kind_are_refused_before_anything_happens(self, d: PersiDict[Any]) -> None:
        d["a"] = self.values(1)
        wrong: list[dict[str, Any]] = [
            {"condition": "same", "expected_etag": ITEM_NOT_AVAILABLE},
            {"condition": ANY_ETAG, "expected_etag": None},
            {"condition": None, "expected_etag": "x"},
        ]
        for how in wrong:
            for act in (
                partial(d.get_item_if, "a"),
                partial(d.set_item_if, "a", value=self.values(2)),
                partial(d.setdefault_if, "b", default_value=self.values(2)),
                partial(d.discard_if, "a"),
            ):
                with pytest.raises(TypeError):
                    act(**how)
        with pytest.raises(TypeError):
            d.get_item_if(
                "a",
                condition=ANY_ETAG,
                expected_etag="x",
                retrieve_value=True,  # type: ignore[arg-type]
            )
        self.assert_holds(d, {"a": self.values(1)})

    def test_bad_keys_are_refused(self, d: PersiDict[Any]) -> None:
        how: dict[str, Any] = {"condition": ANY_ETAG, "expected_etag": ITEM_NOT_AVAILABLE}
        for act in (
            lambda: d.get_item_if("a/b", **how),
            lambda: d.set_item_if("a/b", value=self.values(1), **how),
            lambda: d.setdefault_if("a/b", default_value=self.values(1), **how),
            lambda: d.discard_if("a/b", **how),
            lambda: d.transform_item("a/b", transformer=lambda _: self.values(1)),
        ):
            with pytest.raises(ValueError, match="not safe"):
                act()
