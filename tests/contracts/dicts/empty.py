"""Clauses about a dictionary that is always empty: the same checks as elsewhere, and nothing stays."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

import perkey
from contracts.dicts.adding import BAD_KEYS
from contracts.dicts.suite import DictSuite, assert_agrees
from contracts.dicts.table import CONDITIONS, OPERATIONS, RETRIEVALS, Case, answer, operate
from perkey.errors import UnstorableValueError
from perkey.jokers import DELETE_CURRENT, ITEM_NOT_AVAILABLE, KEEP_CURRENT
from perkey.mapping import PersiDict


class EmptyDictContract(DictSuite):
    """What is assigned vanishes at once."""

    @pytest.fixture
    def empty(self) -> PersiDict[Any]:
        """The dictionary."""
        self.others = {}
        return self.make_dict()

    def test_whatever_is_written_it_stays_empty(self, empty: PersiDict[Any]) -> None:
        empty["a"] = self.values(1)
        empty["n", "b"] = self.values(2)
        empty.update(c=self.values(3))
        empty |= {"e": self.values(4)}
        assert empty.setdefault("a", self.values(5)) == self.values(5)
        empty["a"] = KEEP_CURRENT
        empty["a"] = DELETE_CURRENT
        assert_agrees(empty, {})
        assert empty.subdicts() == {}
        assert_agrees(empty.get_subdict("n"), {})
        assert empty.random_key() is None
        assert empty.oldest_keys() == empty.newest_values() == []

    def test_everything_is_absent(self, empty: PersiDict[Any]) -> None:
        empty["a"] = self.values(1)
        for missing in (
            lambda: empty["a"],
            lambda: empty.__delitem__("a"),
            lambda: empty.pop("a"),
            empty.popitem,
            lambda: empty.timestamp("a"),
            lambda: empty.etag("a"),
        ):
            with pytest.raises(KeyError):
                missing()
        assert empty.get("a", 7) == empty.pop("a", 7) == 7
        assert empty.discard("a") is empty.delete_if_exists("a") is False
        empty.clear()

    def test_what_is_refused_elsewhere_is_refused_here(self, empty: PersiDict[Any]) -> None:
        for key, error in BAD_KEYS:
            with pytest.raises(error):
                empty[key] = self.values(1)
            with pytest.raises(error):
                empty.get(key)
        with pytest.raises(UnstorableValueError):
            empty["a"] = self.values.unstorable
        with pytest.raises(TypeError):
            self.make_dict(base_class_for_values=str)["a"] = 3.5

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_conditions_find_no_item_and_nothing_results(self, empty: PersiDict[Any], operation: Any) -> None:
        for condition in CONDITIONS:
            for retrieve in RETRIEVALS:
                for expected, etag in (("absent", ITEM_NOT_AVAILABLE), ("stale", "x")):
                    case = Case(operation, condition, expected, retrieve, present=False)  # type: ignore[arg-type]
                    result = operate(perkey, empty, case, etag, self.values(1))
                    nothing = (ITEM_NOT_AVAILABLE,) * 3
                    assert tuple(result) == (answer(case).satisfied, *nothing), case

    def test_a_transformation_sees_no_item_and_leaves_none(self, empty: PersiDict[Any]) -> None:
        for new in (self.values(1), KEEP_CURRENT, DELETE_CURRENT):
            seen: list[Any] = []

            def transform(value: Any, new: Any = new, seen: list[Any] = seen) -> Any:
                seen.append(value)
                return new

            result = empty.transform_item("a", transformer=transform)
            assert tuple(result) == (ITEM_NOT_AVAILABLE, ITEM_NOT_AVAILABLE)
            assert seen == [ITEM_NOT_AVAILABLE]

    def test_handles_are_made_and_pickled_like_others(self, empty: PersiDict[Any]) -> None:
        twin = type(empty)(**empty.get_params())
        assert repr(twin) == repr(empty) == repr(pickle.loads(pickle.dumps(empty)))
        assert empty == {}
        assert empty == twin
