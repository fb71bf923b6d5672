"""Clauses about a dictionary in which the first value of a key stays and later ones are ignored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from contracts.dicts.suite import DictSuite
from perkey.errors import MutationPolicyError
from perkey.jokers import ANY_ETAG, DELETE_CURRENT, ETAG_IS_THE_SAME, ITEM_NOT_AVAILABLE, KEEP_CURRENT
from perkey.mapping import PersiDict
from perkey.testing.racing import together


class FirstWriteClauses(DictSuite):
    """Later writes are ignored, whichever way they come; deletions are errors."""

    def test_the_first_value_stays_whatever_is_written_later(self, d: PersiDict[Any]) -> None:
        d["a"] = self.values(1)
        etag, written = d.etag("a"), d.timestamp("a")
        later: list[Callable[[], object]] = [
            lambda: d.__setitem__("a", self.values(2)),
            lambda: d.__setitem__("a", KEEP_CURRENT),
            lambda: d.update(a=self.values(2)),
            lambda: d.setdefault("a", self.values(2)),
            lambda: d.set_item_if("a", value=self.values(2), condition=ANY_ETAG, expected_etag="x"),
            lambda: d.set_item_if("a", value=self.values(2), condition=ETAG_IS_THE_SAME, expected_etag=etag),
            lambda: d.transform_item("a", transformer=lambda _: self.values(2)),
        ]
        for write in later:
            write()
            assert (d.etag("a"), d.timestamp("a")) == (etag, written)
        self.assert_holds(d, {"a": self.values(1)})

    def test_what_an_ignored_write_returns_is_what_is_there(self, d: PersiDict[Any]) -> None:
        d["a"] = self.values(1)
        etag = d.etag("a")
        result = d.set_item_if(
            "a", value=self.values(2), condition=ANY_ETAG, expected_etag=ITEM_NOT_AVAILABLE
        )
        assert tuple(result) == (True, etag, etag, self.values(1))
        assert not result.value_was_mutated
        assert d.transform_item("a", transformer=lambda _: self.values(2)) == (etag, self.values(1))

    def test_nothing_can_be_deleted(self, d: PersiDict[Any]) -> None:
        d["a"] = self.values(1)
        for delete in (
            lambda: d.__delitem__("a"),
            lambda: d.__setitem__("a", DELETE_CURRENT),
            lambda: d.discard("a"),
            lambda: d.pop("a"),
            lambda: d.discard_if("a", condition=ANY_ETAG, expected_etag=ITEM_NOT_AVAILABLE),
            lambda: d.transform_item("a", transformer=lambda _: DELETE_CURRENT),
            d.popitem,
            d.clear,
        ):
            with pytest.raises(MutationPolicyError):
                delete()
        self.assert_holds(d, {"a": self.values(1)})

    def test_of_many_writers_the_first_wins_and_all_read_its_value(self, d: PersiDict[Any]) -> None:
        handles = [self.reopen(d) for _ in range(self.threads)]

        def write(handle: PersiDict[Any], key: str, number: int) -> Any:
            handle[key] = self.values(number)
            return handle[key]

        for turn in range(self.rounds):
            key = f"k{turn}"
            read = together([lambda h=h, n=n, k=key: write(h, k, n) for n, h in enumerate(handles)])  # type: ignore[misc]
            assert all(value == d[key] for value in read)
            assert self.values.number(d[key]) in range(self.threads)
