"""Clauses about handles: made, described, pickled, shared."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from contracts.dicts.suite import DictSuite
from perkey.mapping import PersiDict
from perkey.testing.racing import together


class HandleClauses(DictSuite):
    """What a handle is made of, and where it may go."""

    def test_the_parameters_make_an_equal_handle(self, d: PersiDict[Any]) -> None:
        d["a"] = self.values(1)
        twin = type(d)(**d.get_params())
        assert repr(twin) == repr(d) or not self.handles_share_the_place
        for of in ("file_type", "digest_len", "immutable_items", "base_class_for_values"):
            assert getattr(twin, of) == getattr(d, of)
        if self.handles_share_the_place:
            self.assert_holds(twin, {"a": self.values(1)})
            twin["b"] = self.values(2)
            self.assert_holds(d, {"a": self.values(1), "b": self.values(2)})

    def test_the_parameters_of_a_part_make_an_equal_part(self, d: PersiDict[Any]) -> None:
        part = d.get_subdict(("p", "q"))
        part["a"] = self.values(1)
        twin = type(part)(**part.get_params())
        if self.handles_share_the_place:
            assert twin == {"a": self.values(1)}
            twin["b"] = self.values(2)
            assert d["p", "q", "b"] == self.values(2)
        assert type(twin) is type(part)

    def test_a_handle_can_be_pickled(self, d: PersiDict[Any]) -> None:
        early = pickle.dumps(d)
        d["a"] = self.values(1)
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            self.assert_holds(pickle.loads(pickle.dumps(d, protocol)), {"a": self.values(1)})
        if self.handles_share_the_place:
            self.assert_holds(pickle.loads(early), {"a": self.values(1)})

    def test_handles_on_one_place_see_each_others_items(self, d: PersiDict[Any]) -> None:
        other = self.reopen(d)
        d["a"] = self.values(1)
        other["n", "b"] = self.values(2)
        for handle in (d, other):
            self.assert_holds(handle, {"a": self.values(1), ("n", "b"): self.values(2)})
        assert d.etag("a") == other.etag("a")
        assert d.timestamp("a") == other.timestamp("a")

    def test_a_key_has_one_etag_as_long_as_nobody_writes(self, d: PersiDict[Any]) -> None:
        d["a"] = self.values(1)
        etag = d.etag("a")
        d["b"] = self.values(1)
        assert isinstance(etag, str)
        assert d.etag("a") == d.get_with_etag("a").actual_etag == self.reopen(d).etag("a") == etag
        with pytest.raises(KeyError):
            d.etag("absent")

    def test_threads_may_share_a_handle(self, d: PersiDict[Any]) -> None:
        def work(number: int) -> None:
            for turn in range(5):
                key = ("t", f"{number}-{turn}")
                d[key] = self.values(turn)
                assert d[key] == self.values(turn)
                assert key in set(d)

        together([lambda number=number: work(number) for number in range(self.threads)])  # type: ignore[misc]
        plain = {("t", f"{n}-{turn}"): self.values(turn) for n in range(self.threads) for turn in range(5)}
        self.assert_holds(d, plain)
