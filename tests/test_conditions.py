"""Conditions compare the etag expected with the etag found; absence is an etag of its own."""

import copy
import pickle
from typing import Any

import pytest

from perkey import (
    ALWAYS_RETRIEVE,
    ANY_ETAG,
    DELETE_CURRENT,
    ETAG_HAS_CHANGED,
    ETAG_IS_THE_SAME,
    IF_ETAG_CHANGED,
    ITEM_NOT_AVAILABLE,
    KEEP_CURRENT,
    NEVER_RETRIEVE,
    VALUE_NOT_RETRIEVED,
    ConditionalOperationResult,
    ETagConditionFlag,
    ETagIfExists,
    Joker,
    LocalDict,
    OperationResult,
)
from perkey.jokers import check_arguments, is_satisfied

SENTINELS = [
    ALWAYS_RETRIEVE, ANY_ETAG, DELETE_CURRENT, ETAG_HAS_CHANGED, ETAG_IS_THE_SAME, IF_ETAG_CHANGED,
    ITEM_NOT_AVAILABLE, KEEP_CURRENT, NEVER_RETRIEVE, VALUE_NOT_RETRIEVED,
]  # fmt: skip


@pytest.mark.parametrize(
    ("condition", "expected", "actual", "holds"),
    [
        (ANY_ETAG, "v1", "v1", True),
        (ANY_ETAG, "v1", "v2", True),
        (ANY_ETAG, "v1", ITEM_NOT_AVAILABLE, True),
        (ANY_ETAG, ITEM_NOT_AVAILABLE, ITEM_NOT_AVAILABLE, True),
        (ETAG_IS_THE_SAME, "v1", "v1", True),
        (ETAG_IS_THE_SAME, "v1", "v2", False),
        (ETAG_IS_THE_SAME, "v1", ITEM_NOT_AVAILABLE, False),
        (ETAG_IS_THE_SAME, ITEM_NOT_AVAILABLE, "v1", False),
        (ETAG_IS_THE_SAME, ITEM_NOT_AVAILABLE, ITEM_NOT_AVAILABLE, True),
        (ETAG_HAS_CHANGED, "v1", "v1", False),
        (ETAG_HAS_CHANGED, "v1", "v2", True),
        (ETAG_HAS_CHANGED, "v1", ITEM_NOT_AVAILABLE, True),
        (ETAG_HAS_CHANGED, ITEM_NOT_AVAILABLE, "v1", True),
        (ETAG_HAS_CHANGED, ITEM_NOT_AVAILABLE, ITEM_NOT_AVAILABLE, False),
    ],
)
def test_a_condition_decides_by_the_two_etags_alone(
    condition: ETagConditionFlag, expected: ETagIfExists, actual: ETagIfExists, holds: bool
) -> None:
    assert is_satisfied(condition, expected, actual) is holds


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("same", "v1"), "condition"),
        ((None, "v1"), "condition"),
        ((IF_ETAG_CHANGED, "v1"), "condition"),
        ((ANY_ETAG, None), "expected_etag"),
        ((ANY_ETAG, 5), "expected_etag"),
        ((ANY_ETAG, VALUE_NOT_RETRIEVED), "expected_etag"),
        ((ANY_ETAG, "v1", True), "retrieve_value"),
        ((ANY_ETAG, "v1", ANY_ETAG), "retrieve_value"),
    ],
)
def test_arguments_of_the_wrong_kind_are_named(arguments: Any, named: str) -> None:
    with pytest.raises(TypeError, match=named):
        check_arguments(*arguments)


def test_operations_refuse_wrong_arguments_before_they_change_anything() -> None:
    d = LocalDict[int]()
    wrong: Any = "same"
    with pytest.raises(TypeError, match="condition"):
        d.set_item_if("a", value=1, condition=wrong, expected_etag=ITEM_NOT_AVAILABLE)
    with pytest.raises(TypeError, match="condition"):
        d.setdefault_if("a", default_value=1, condition=wrong, expected_etag=ITEM_NOT_AVAILABLE)
    d["a"] = 1
    with pytest.raises(TypeError, match="expected_etag"):
        d.discard_if("a", condition=ANY_ETAG, expected_etag=wrong_etag())
    assert d == {"a": 1}


def wrong_etag() -> Any:
    return 7


@pytest.mark.parametrize("sentinel", SENTINELS, ids=repr)
def test_sentinels_stay_the_same_object_through_pickling_and_copying(sentinel: Any) -> None:
    for twin in (pickle.loads(pickle.dumps(sentinel)), copy.copy(sentinel), copy.deepcopy(sentinel)):
        assert twin is sentinel


def test_sentinels_show_their_public_names() -> None:
    assert [repr(sentinel) for sentinel in SENTINELS] == [
        "ALWAYS_RETRIEVE", "ANY_ETAG", "DELETE_CURRENT", "ETAG_HAS_CHANGED", "ETAG_IS_THE_SAME",
        "IF_ETAG_CHANGED", "ITEM_NOT_AVAILABLE", "KEEP_CURRENT", "NEVER_RETRIEVE", "VALUE_NOT_RETRIEVED",
    ]  # fmt: skip
    assert set(Joker) == {KEEP_CURRENT, DELETE_CURRENT}


@pytest.mark.parametrize("sentinel", SENTINELS, ids=repr)
def test_jokers_and_flags_of_absence_are_never_stored_as_values(sentinel: Any) -> None:
    """Jokers act, the flags of absence are refused; the other flags are values like any other."""
    d = LocalDict[Any]()
    if sentinel in (KEEP_CURRENT, DELETE_CURRENT):
        d["a"] = sentinel
        assert len(d) == 0
    elif sentinel in (ITEM_NOT_AVAILABLE, VALUE_NOT_RETRIEVED):
        with pytest.raises(TypeError, match="not a value"):
            d["a"] = sentinel
        assert len(d) == 0
    else:
        d["a"] = sentinel
        assert d["a"] is sentinel


def test_results_say_whether_the_item_is_another_now() -> None:
    kept = ConditionalOperationResult(True, "v1", "v1", VALUE_NOT_RETRIEVED)
    written = ConditionalOperationResult(True, "v1", "v2", 5)
    deleted = ConditionalOperationResult(True, "v1", ITEM_NOT_AVAILABLE, ITEM_NOT_AVAILABLE)
    assert [result.value_was_mutated for result in (kept, written, deleted)] == [False, True, True]


def test_results_are_immutable_values_that_pickle() -> None:
    for result in (ConditionalOperationResult(True, "v1", "v2", [5]), OperationResult("v2", [5])):
        assert pickle.loads(pickle.dumps(result)) == result
        with pytest.raises(AttributeError):
            result.resulting_etag = "v3"  # type: ignore[misc] # that is the point
