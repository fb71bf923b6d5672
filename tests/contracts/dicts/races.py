"""Clauses about threads that use one dictionary at once; what goes wrong is looked for in two ways."""

from __future__ import annotations

from collections import Counter
from itertools import cycle, islice
from typing import Any

import pytest

from contracts.dicts.suite import DictSuite
from perkey.jokers import ANY_ETAG, ETAG_IS_THE_SAME, ITEM_NOT_AVAILABLE
from perkey.mapping import PersiDict
from perkey.testing.racing import together

_INCREMENTS = 25


class RaceClauses(DictSuite):
    """No update lost, of many inserters one, of many that pop one."""

    @pytest.fixture(params=["own handles", "shared handles"])
    def handles(self, request: pytest.FixtureRequest, d: PersiDict[Any]) -> list[PersiDict[Any]]:
        """A handle for each racer: on the part ``"p"`` of `d`, got by different ways."""
        part = d.get_subdict("p")
        if request.param == "own handles":
            return [self.reopen(part) for _ in range(self.threads)]
        through_the_whole = self.reopen(d).get_subdict("p")
        return list(islice(cycle([part, through_the_whole]), self.threads))

    def test_no_increment_is_lost_and_none_overlaps_another(
        self, d: PersiDict[Any], handles: list[PersiDict[Any]]
    ) -> None:
        """Each increment returns another number: two equal ones would have started from the same value."""

        def increment(value: Any) -> Any:
            return self.values(1 if value is ITEM_NOT_AVAILABLE else self.values.number(value) + 1)

        def work(handle: PersiDict[Any]) -> list[int]:
            results = [handle.transform_item("a", transformer=increment) for _ in range(_INCREMENTS)]
            return [self.values.number(result.new_value) for result in results]

        returned = together([lambda h=h: work(h) for h in handles])  # type: ignore[misc]
        total = _INCREMENTS * self.threads
        assert d["p", "a"] == self.values(total), "an update was lost"
        assert sorted(number for numbers in returned for number in numbers) == list(range(1, total + 1))
        assert all(numbers == sorted(numbers) for numbers in returned)

    def test_of_many_that_insert_under_one_key_one_wins(
        self, d: PersiDict[Any], handles: list[PersiDict[Any]]
    ) -> None:
        def insert(handle: PersiDict[Any], key: str, number: int) -> Any:
            return handle.setdefault_if(
                key,
                default_value=self.values(number),
                condition=ETAG_IS_THE_SAME,
                expected_etag=ITEM_NOT_AVAILABLE,
            )

        for turn in range(self.rounds):
            key = f"k{turn}"
            results = together([lambda h=h, n=n, k=key: insert(h, k, n) for n, h in enumerate(handles)])  # type: ignore[misc]
            winners = [n for n, result in enumerate(results) if result.condition_was_satisfied]
            assert len(winners) == 1
            found_none = [n for n, result in enumerate(results) if result.actual_etag is ITEM_NOT_AVAILABLE]
            assert found_none == winners
            assert all(result.new_value == self.values(winners[0]) for result in results)
            assert {result.resulting_etag for result in results} == {d.etag(("p", key))}

    def test_of_many_setdefaults_all_return_the_one_that_won(
        self, d: PersiDict[Any], handles: list[PersiDict[Any]]
    ) -> None:
        for turn in range(self.rounds):
            key = f"k{turn}"
            returned = together(
                [lambda h=h, n=n, k=key: h.setdefault(k, self.values(n)) for n, h in enumerate(handles)]  # type: ignore[misc]
            )
            assert all(value == d["p", key] for value in returned)

    def test_of_many_that_pop_an_item_one_gets_it(
        self, d: PersiDict[Any], handles: list[PersiDict[Any]]
    ) -> None:
        for turn in range(self.rounds):
            d["p", "a"] = self.values(turn)
            popped = together([lambda h=h: h.pop("a", None) for h in handles])  # type: ignore[misc]
            assert [value for value in popped if value is not None] == [self.values(turn)]
            assert ("p", "a") not in d

    def test_popitem_hands_every_item_to_one_of_many(
        self, d: PersiDict[Any], handles: list[PersiDict[Any]]
    ) -> None:
        count = 5 * self.threads
        for number in range(count):
            d["p", f"k{number}"] = self.values(number)

        def take(handle: PersiDict[Any]) -> list[int]:
            taken = []
            while True:
                try:
                    taken.append(self.values.number(handle.popitem()[1]))
                except KeyError:
                    return taken

        hands = together([lambda h=h: take(h) for h in handles])  # type: ignore[misc]
        taken = Counter(number for hand in hands for number in hand)
        assert taken == dict.fromkeys(range(count), 1)

    def test_of_many_that_discard_an_item_one_did(
        self, d: PersiDict[Any], handles: list[PersiDict[Any]]
    ) -> None:
        for turn in range(self.rounds):
            d["p", "a"] = self.values(turn)
            told = together([lambda h=h: h.discard("a") for h in handles])  # type: ignore[misc]
            assert sorted(told) == [False] * (self.threads - 1) + [True]
            d["p", "a"] = self.values(turn)
            results = together(
                [
                    lambda h=h: h.discard_if("a", condition=ANY_ETAG, expected_etag=ITEM_NOT_AVAILABLE)  # type: ignore[misc]
                    for h in handles
                ]
            )
            assert sum(result.value_was_mutated for result in results) == 1

    def test_an_item_deleted_and_remade_while_it_is_counted_loses_nothing(
        self, d: PersiDict[Any], handles: list[PersiDict[Any]]
    ) -> None:
        """What the deleters took and what is left is what was added."""

        def add(handle: PersiDict[Any]) -> int:
            for _ in range(_INCREMENTS):
                handle.transform_item(
                    "a",
                    transformer=lambda value: self.values(
                        1 if value is ITEM_NOT_AVAILABLE else self.values.number(value) + 1
                    ),
                )
            return 0

        def take(handle: PersiDict[Any]) -> int:
            taken = (handle.pop("a", None) for _ in range(_INCREMENTS))
            return sum(self.values.number(value) for value in taken if value is not None)

        taken = sum(together([lambda h=h, n=n: (take if n % 2 else add)(h) for n, h in enumerate(handles)]))  # type: ignore[misc]
        left = d.pop(("p", "a"), None)
        total = taken + (0 if left is None else self.values.number(left))
        assert total == _INCREMENTS * len(range(0, self.threads, 2))
