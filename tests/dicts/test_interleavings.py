"""Another writer at exactly the worst moment of an operation: nothing is left to luck."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from perkey import (
    ANY_ETAG,
    DELETE_CURRENT,
    ETAG_HAS_CHANGED,
    ETAG_IS_THE_SAME,
    ITEM_NOT_AVAILABLE,
    MutationPolicyError,
    PersiDict,
    WriteOnceDict,
)
from perkey.stores import MemoryStore
from perkey.testing import FaultyStore
from perkey.testing.faults import Call


class Pair:
    """Two dictionaries on the same items; what the first one's store is asked can be anticipated."""

    def __init__(self, **params: Any) -> None:
        self.store = FaultyStore(MemoryStore())
        self.mine = PersiDict[int](self.store, **params)
        self.theirs = PersiDict[int](self.store.inner)

    def before(self, call: Call, act: Callable[[], object], nth: int = 1) -> None:
        self.store.on(call, act, nth=nth)


@pytest.fixture
def pair() -> Pair:
    return Pair()


def test_an_immutable_item_added_meanwhile_is_not_overwritten_under_any_condition() -> None:
    """1. here: absent   2. there: added   3. here: adds, though any etag would do."""
    for condition, expected in (
        (ANY_ETAG, ITEM_NOT_AVAILABLE),
        (ETAG_HAS_CHANGED, "another"),
        (ETAG_IS_THE_SAME, ITEM_NOT_AVAILABLE),
    ):
        pair = Pair(immutable_items=True)
        pair.before("write", lambda pair=pair: pair.theirs.__setitem__("a", 1))  # type: ignore[misc]
        if condition is ETAG_IS_THE_SAME:
            result = pair.mine.set_item_if("a", value=2, condition=condition, expected_etag=expected)
            assert not result.condition_was_satisfied
        else:
            with pytest.raises(MutationPolicyError):
                pair.mine.set_item_if("a", value=2, condition=condition, expected_etag=expected)
        assert pair.theirs["a"] == 1


def test_the_first_value_of_a_write_once_dictionary_stays_under_any_condition() -> None:
    pair = Pair()
    once = WriteOnceDict(pair.mine)
    pair.before("write", lambda: pair.theirs.__setitem__("a", 1))
    result = once.set_item_if("a", value=2, condition=ANY_ETAG, expected_etag=ITEM_NOT_AVAILABLE)
    assert result == (True, pair.theirs.etag("a"), pair.theirs.etag("a"), 1)
    assert pair.theirs["a"] == 1


def test_an_immutable_item_assigned_meanwhile_is_an_error_and_stays() -> None:
    pair = Pair(immutable_items=True)
    pair.before("write", lambda: pair.theirs.__setitem__("a", 1))
    with pytest.raises(MutationPolicyError):
        pair.mine["a"] = 2
    assert pair.theirs["a"] == 1


def test_pop_returns_the_value_that_it_deleted_not_the_one_it_saw_first(pair: Pair) -> None:
    pair.mine["a"] = 1
    pair.before("remove", lambda: pair.theirs.__setitem__("a", 2))
    assert pair.mine.pop("a") == 2
    assert "a" not in pair.theirs


def test_pop_of_what_another_one_popped_meanwhile_finds_nothing(pair: Pair) -> None:
    pair.mine["a"] = 1
    pair.before("remove", lambda: pair.theirs.pop("a"))
    with pytest.raises(KeyError):
        pair.mine.pop("a")


def test_popitem_takes_another_item_if_its_own_is_taken(pair: Pair) -> None:
    pair.mine.update(a=1, b=2)
    taken: list[tuple[Any, int]] = []
    pair.before("remove", lambda: taken.append(pair.theirs.popitem()))
    popped = pair.mine.popitem()
    assert {popped, *taken} == {(("a",), 1), (("b",), 2)}
    assert len(pair.theirs) == 0


def test_setdefault_returns_what_was_inserted_meanwhile(pair: Pair) -> None:
    pair.before("write", lambda: pair.theirs.__setitem__("a", 1))
    assert pair.mine.setdefault("a", 2) == 1
    assert pair.theirs["a"] == 1


def test_setdefault_inserts_after_all_if_what_stood_in_its_way_is_gone(pair: Pair) -> None:
    """1. here: absent   2. there: inserted   3. here: conflict   4. there: deleted   5. here: again."""
    pair.before("write", lambda: pair.theirs.__setitem__("a", 1))
    pair.before("read", lambda: pair.theirs.discard("a"), nth=2)
    assert pair.mine.setdefault("a", 2) == 2
    assert pair.theirs["a"] == 2


def test_setdefault_if_tells_what_was_inserted_meanwhile(pair: Pair) -> None:
    pair.before("write", lambda: pair.theirs.__setitem__("a", 1))
    result = pair.mine.setdefault_if(
        "a", default_value=2, condition=ETAG_IS_THE_SAME, expected_etag=ITEM_NOT_AVAILABLE
    )
    assert result == (False, pair.theirs.etag("a"), pair.theirs.etag("a"), 1)


def test_setdefault_if_inserts_after_all_if_what_stood_in_its_way_is_gone(pair: Pair) -> None:
    pair.before("write", lambda: pair.theirs.__setitem__("a", 1))
    pair.before("read", lambda: pair.theirs.discard("a"))
    result = pair.mine.setdefault_if(
        "a", default_value=2, condition=ETAG_IS_THE_SAME, expected_etag=ITEM_NOT_AVAILABLE
    )
    assert result == (True, ITEM_NOT_AVAILABLE, pair.theirs.etag("a"), 2)


def test_a_change_of_what_has_changed_acts_on_what_was_seen(pair: Pair) -> None:
    """1. here: at v2, which is not v1   2. there: back to a value at v3   3. here: replaces v3, not v2."""
    pair.mine["a"] = 1
    first = pair.mine.etag("a")
    pair.mine["a"] = 2
    middle: list[str] = []

    def overtake() -> None:
        pair.theirs["a"] = 3
        middle.append(pair.theirs.etag("a"))

    pair.before("write", overtake)
    result = pair.mine.set_item_if("a", value=4, condition=ETAG_HAS_CHANGED, expected_etag=first)
    assert result == (True, middle[0], pair.theirs.etag("a"), 4)


def test_a_discard_of_the_same_lets_a_newer_value_live(pair: Pair) -> None:
    pair.mine["a"] = 1
    etag = pair.mine.etag("a")
    pair.before("remove", lambda: pair.theirs.__setitem__("a", 2))
    result = pair.mine.discard_if("a", condition=ETAG_IS_THE_SAME, expected_etag=etag)
    assert not result.condition_was_satisfied
    assert result.actual_etag == result.resulting_etag == pair.theirs.etag("a")
    assert pair.theirs["a"] == 2


def test_an_item_that_goes_before_it_is_discarded_is_told_as_absent(pair: Pair) -> None:
    pair.mine["a"] = 1
    pair.before("remove", lambda: pair.theirs.discard("a"))
    result = pair.mine.set_item_if(
        "a", value=DELETE_CURRENT, condition=ANY_ETAG, expected_etag=ITEM_NOT_AVAILABLE
    )
    assert result == (True, ITEM_NOT_AVAILABLE, ITEM_NOT_AVAILABLE, ITEM_NOT_AVAILABLE)


def test_items_that_go_while_they_are_read_are_left_out(pair: Pair) -> None:
    pair.mine.update(a=1, b=2, c=3)
    for read in (
        pair.mine.values,
        pair.mine.items,
        pair.mine.items_and_timestamps,
        pair.mine.values_and_timestamps,
        pair.mine.newest_values,
        pair.mine.oldest_values,
    ):
        pair.theirs["b"] = 2
        pair.store.heal()
        pair.before("read", lambda: pair.theirs.discard("b"))
        found = list(read())
        assert len(found) == 2
        assert "b" not in pair.mine
        assert len(pair.mine) == 2


def test_clear_does_not_stumble_over_what_others_delete(pair: Pair) -> None:
    pair.mine.update(a=1, b=2, c=3)
    pair.before("remove", pair.theirs.clear)
    pair.mine.clear()
    assert len(pair.theirs) == 0


def test_a_failed_read_or_write_of_the_store_is_raised_and_changes_nothing(pair: Pair) -> None:
    pair.mine["a"] = 1
    for call, act in (
        ("write", lambda: pair.mine.__setitem__("a", 2)),
        ("read", lambda: pair.mine["a"]),
        ("read", lambda: pair.mine.transform_item("a", transformer=lambda v: v + 1)),
        ("write", lambda: pair.mine.transform_item("a", transformer=lambda v: v + 1)),
        ("remove", lambda: pair.mine.pop("a")),
        ("exists", lambda: "a" in pair.mine),
        ("scan", lambda: list(pair.mine)),
        ("stat", lambda: pair.mine.etag("a")),
    ):
        pair.store.fail(call, OSError(5, "planned"))  # type: ignore[arg-type]
        with pytest.raises(OSError, match="planned"):
            act()
        assert dict(pair.theirs) == {("a",): 1}
    assert dict(pair.mine) == {("a",): 1}
