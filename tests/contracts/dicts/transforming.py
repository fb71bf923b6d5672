"""Clauses about `transform_item`: an update that is never lost, however often it is overtaken."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from contracts.dicts.suite import DictSuite
from perkey.errors import ConcurrencyConflictError, UnstorableValueError
from perkey.jokers import DELETE_CURRENT, ITEM_NOT_AVAILABLE, KEEP_CURRENT, VALUE_NOT_RETRIEVED
from perkey.mapping import PersiDict
from perkey.testing.racing import elsewhere


class TransformClauses(DictSuite):
    """One after another, and overtaken at a chosen moment: the function runs without any lock."""

    def next_value(self, value: Any) -> Any:
        """Return the value that follows; of no item, the first."""
        return self.values(1 if value is ITEM_NOT_AVAILABLE else self.values.number(value) + 1)

    def test_a_value_is_replaced_by_a_function_of_it(self, d: PersiDict[Any]) -> None:
        for number in (1, 2, 3):
            result = d.transform_item("a", transformer=self.next_value)
            assert result == (d.etag("a"), self.values(number))
        self.assert_holds(d, {"a": self.values(3)})

    def test_the_function_may_come_by_position_and_a_missing_item_have_a_default(
        self, d: PersiDict[Any]
    ) -> None:
        default = self.values(7)
        given: list[Any] = []

        def note(value: Any) -> Any:
            given.append(value)
            return self.values(1)

        assert d.transform_item("a", note, default=default) == (d.etag("a"), self.values(1))
        assert d.transform_item("a", note, default=default) == (d.etag("a"), self.values(1))
        assert given == [default, self.values(1)]
        absent = d.transform_item("absent", lambda _: KEEP_CURRENT, default=default)
        assert absent == (ITEM_NOT_AVAILABLE, ITEM_NOT_AVAILABLE)
        self.assert_holds(d, {"a": self.values(1)})

    def test_a_function_that_cannot_be_called_is_refused(self, d: PersiDict[Any]) -> None:
        with pytest.raises(TypeError, match="transformer must be callable"):
            d.transform_item("a", 1)  # type: ignore[arg-type]

    def test_keep_current_leaves_all_as_it_was(self, d: PersiDict[Any]) -> None:
        d["a"] = self.values(1)
        etag = d.etag("a")
        assert d.transform_item("a", transformer=lambda _: KEEP_CURRENT) == (etag, self.values(1))
        absent = d.transform_item("absent", transformer=lambda _: KEEP_CURRENT)
        assert absent == (ITEM_NOT_AVAILABLE, ITEM_NOT_AVAILABLE)
        assert d.etag("a") == etag
        self.assert_holds(d, {"a": self.values(1)})

    def test_delete_current_deletes(self, d: PersiDict[Any]) -> None:
        d["a"] = self.values(1)
        for _ in range(2):
            result = d.transform_item("a", transformer=lambda _: DELETE_CURRENT)
            assert result == (ITEM_NOT_AVAILABLE, ITEM_NOT_AVAILABLE)
        self.assert_holds(d, {})

    def test_what_the_function_raises_is_raised_and_nothing_is_changed(self, d: PersiDict[Any]) -> None:
        d["a"] = self.values(1)

        def fail(error: Exception, _: Any) -> Any:
            raise error

        for error in (KeyError("its own"), RuntimeError("its own"), ValueError("its own")):
            for key in ("a", "absent"):
                with pytest.raises(type(error), match="its own"):
                    d.transform_item(key, transformer=partial(fail, error))
        self.assert_holds(d, {"a": self.values(1)})

    def test_what_cannot_be_stored_is_refused_and_nothing_is_changed(self, d: PersiDict[Any]) -> None:
        d["a"] = self.values(1)
        with pytest.raises(UnstorableValueError):
            d.transform_item("a", transformer=lambda _: self.values.unstorable)
        for transformer in (lambda _: ITEM_NOT_AVAILABLE, lambda _: VALUE_NOT_RETRIEVED):
            with pytest.raises(TypeError):
                d.transform_item("a", transformer=transformer)
        self.assert_holds(d, {"a": self.values(1)})

    def test_the_function_may_use_the_dictionary_itself(self, d: PersiDict[Any]) -> None:
        d["a"] = self.values(1)

        def transform(value: Any) -> Any:
            assert elsewhere(lambda: d["a"]) == value
            d["b"] = value
            elsewhere(lambda: d.transform_item("c", transformer=self.next_value))
            return self.next_value(value)

        d.transform_item("a", transformer=transform)
        self.assert_holds(d, {"a": self.values(2), "b": self.values(1), "c": self.values(1)})

    def test_an_overtaken_function_runs_again_on_the_new_value(self, d: PersiDict[Any]) -> None:
        other = self.reopen(d)
        d["a"] = self.values(1)
        seen: list[int] = []

        def transform(value: Any) -> Any:
            seen.append(self.values.number(value))
            if len(seen) <= 3:
                other["a"] = self.values(10 * len(seen))
            return self.next_value(value)

        result = d.transform_item("a", transformer=transform)
        assert seen == [1, 10, 20, 30]
        assert result == (d.etag("a"), self.values(31))
        self.assert_holds(d, {"a": self.values(31)})

    def test_a_function_overtaken_by_appearing_and_vanishing_sees_each(self, d: PersiDict[Any]) -> None:
        other = self.reopen(d)
        seen: list[Any] = []

        def transform(value: Any) -> Any:
            seen.append(value)
            if len(seen) == 1:
                other["a"] = self.values(5)
            elif len(seen) == 2:
                del other["a"]
            return self.next_value(value)

        d.transform_item("a", transformer=transform)
        assert seen == [ITEM_NOT_AVAILABLE, self.values(5), ITEM_NOT_AVAILABLE]
        self.assert_holds(d, {"a": self.values(1)})

    def test_an_overtaken_deletion_decides_again(self, d: PersiDict[Any]) -> None:
        other = self.reopen(d)
        d["a"] = self.values(1)
        seen: list[int] = []

        def transform(value: Any) -> Any:
            seen.append(self.values.number(value))
            if len(seen) == 1:
                other["a"] = self.values(2)
                return DELETE_CURRENT
            return KEEP_CURRENT

        d.transform_item("a", transformer=transform)
        assert seen == [1, 2]
        self.assert_holds(d, {"a": self.values(2)})

    @pytest.mark.parametrize("n_retries", [0, 1, 3])
    def test_after_so_many_retries_it_is_given_up_and_nothing_is_changed(
        self, d: PersiDict[Any], n_retries: int
    ) -> None:
        other = self.reopen(d)
        d["a"] = self.values(0)
        calls: list[int] = []

        def transform(value: Any) -> Any:
            calls.append(self.values.number(value))
            other["a"] = self.values(10 * len(calls))
            return self.next_value(value)

        with pytest.raises(ConcurrencyConflictError) as error:
            d.transform_item("a", transformer=transform, n_retries=n_retries)
        assert error.value.attempts == len(calls) == n_retries + 1
        assert error.value.key == ("a",)
        self.assert_holds(d, {"a": self.values(10 * len(calls))})

    def test_the_last_retry_may_succeed(self, d: PersiDict[Any]) -> None:
        other = self.reopen(d)
        d["a"] = self.values(0)
        calls: list[int] = []

        def transform(value: Any) -> Any:
            calls.append(1)
            if len(calls) <= 2:
                other["a"] = self.values(10)
            return self.next_value(value)

        d.transform_item("a", transformer=transform, n_retries=2)
        self.assert_holds(d, {"a": self.values(11)})

    def test_a_negative_number_of_retries_is_refused(self, d: PersiDict[Any]) -> None:
        with pytest.raises(ValueError, match="n_retries"):
            d.transform_item("a", transformer=self.next_value, n_retries=-1)
        self.assert_holds(d, {})
