"""The contract of dictionaries finds out what is planted in one."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from clauses import Caught, check
from contracts.dicts import DictContract, PolicyContract

from perkey import (
    ITEM_NOT_AVAILABLE,
    ConditionalOperationResult,
    LocalDict,
    OperationResult,
    PersiDict,
)
from perkey.testing.racing import Meeting


class ReadsThenWrites(LocalDict[Any]):
    """Transforms by reading, and writing a moment later."""

    def transform_item(self, key: Any, transformer: Any, *, default: Any = None, **how: Any) -> Any:
        value = transformer(self.get(key, default or ITEM_NOT_AVAILABLE))
        self[key] = value
        return OperationResult(self.etag(key), value)


class LooksThenInserts(LocalDict[Any]):
    """Claims by looking, and writing a moment later."""

    gap = Meeting()

    def setdefault_if(self, key: Any, default: Any = None, *, default_value: Any = None, **how: Any) -> Any:
        found = self.get_item_if(key, **how)
        self.gap()
        if not found.condition_was_satisfied:
            return found
        self[key] = value = default or default_value
        return ConditionalOperationResult(True, ITEM_NOT_AVAILABLE, self.etag(key), value)


class PopsBlindly(LocalDict[Any]):
    """Reads, and deletes whatever is there then."""

    gap = Meeting()

    def pop(self, key: Any, default: Any = None) -> Any:
        value = self.get(key, default)
        self.gap()
        self.discard(key)
        return value


class PrefersTheFirst(LocalDict[Any]):
    """Draws the first key in place of the second."""

    def random_key(self) -> Any:
        drawn = super().random_key()
        first, *second = islice(self, 2)
        return first if drawn in second else drawn


class OverwritesWhatIsImmutable(LocalDict[Any]):
    """Lets conditional writes through."""

    def set_item_if(self, key: Any, *, value: Any, **how: Any) -> Any:
        twin = PersiDict[Any](self.store)
        return twin.set_item_if(key, value=value, **how)


class ListsForeignItems(LocalDict[Any]):
    """Counts files instead of keys."""

    def __len__(self) -> int:
        return len(list(self.store.scan()))


class OldestFirst(LocalDict[Any]):
    """Sorts the newest the wrong way round."""

    def newest_keys(self, max_n: int | None = None) -> Any:
        return self.oldest_keys(max_n)


class HoldsValuesItself(LocalDict[Any]):
    """Gives back the object that was assigned."""

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self.held: dict[Any, Any] = {}

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        self.held[key] = value

    def __getitem__(self, key: Any) -> Any:
        return self.held[key]


class WalksACopyOfNothing(LocalDict[Any]):
    """Shows values twice."""

    def values(self) -> Any:
        return [value for value in super().values() for _ in range(2)]

    def items(self) -> Any:
        return [item for item in super().items() for _ in range(2)]


PLANTED: list[tuple[type[LocalDict[Any]], list[str]]] = [
    (
        ReadsThenWrites,
        [
            "test_an_overtaken_function_runs_again_on_the_new_value",
            "test_after_so_many_retries_it_is_given_up_and_nothing_is_changed",
            "test_keep_current_leaves_all_as_it_was",
        ],
    ),
    (LooksThenInserts, ["test_of_many_that_insert_under_one_key_one_wins"]),
    (PopsBlindly, ["test_of_many_that_pop_an_item_one_gets_it"]),
    (OverwritesWhatIsImmutable, ["test_an_item_that_is_there_is_not_changed_by_anything"]),
    (ListsForeignItems, ["test_what_is_assigned_is_read_back"]),
    (OldestFirst, ["test_the_newest_come_first_among_the_newest"]),
    (HoldsValuesItself, ["test_what_was_stored_does_not_change_with_the_object"]),
    (WalksACopyOfNothing, ["test_values_and_items_belong_together", "test_what_is_assigned_is_read_back"]),
]
CASES = [(planted, clause) for planted, clauses in PLANTED for clause in clauses]


def suite_for(kind: type[LocalDict[Any]]) -> type[Any]:
    class Suite(DictContract, PolicyContract):
        handles_share_the_place = False

        def make_dict(self, **params: Any) -> PersiDict[Any]:
            return kind(**params)

        def reopen(self, d: PersiDict[Any]) -> PersiDict[Any]:
            return d

    return Suite


def check_dict(suite: type[Any], clause: str, folder: Path, **fixtures: Any) -> None:
    def prepare(bound: Any) -> dict[str, Any]:
        d = bound.make_dict()
        bound.fill(d, others=True)
        if "immutable" in clause or "changed_by_anything" in clause:
            d = bound.make_dict(immutable_items=True)
            d["a"] = bound.values(1)
            bound.others = {}
        return {"d": d, "immutable": d, "handles": [d.get_subdict("p")] * bound.threads}

    check(suite, clause, folder, prepare, **fixtures)


@pytest.mark.parametrize(("kind", "clause"), CASES, ids=[f"{k.__name__}-{c}" for k, c in CASES])
def test_a_wrong_dictionary_is_found_out(kind: type[LocalDict[Any]], clause: str, tmp_path: Path) -> None:
    with pytest.raises(Caught):
        check_dict(suite_for(kind), clause, tmp_path)


def test_an_unfair_draw_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clause = "test_each_key_is_drawn_with_the_same_probability"
    with pytest.raises(AssertionError):
        check_dict(suite_for(PrefersTheFirst), clause, tmp_path, monkeypatch=monkeypatch)


@pytest.mark.parametrize("clause", sorted({clause for _, clause in CASES}))
def test_a_right_dictionary_is_not(clause: str, tmp_path: Path) -> None:
    check_dict(suite_for(LocalDict), clause, tmp_path)
