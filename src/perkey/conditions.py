"""Conditional operations: what was asked, what was found, and the one function that decides.

A condition compares the etag expected with the etag found; absence counts as an etag of its own
(`ITEM_NOT_AVAILABLE`). Dictionaries translate conditions into what a store can do atomically.
"""

from __future__ import annotations

from typing import Any, Generic, NamedTuple, TypeVar

from perkey.jokers import (
    ALWAYS_RETRIEVE,
    ANY_ETAG,
    ETAG_IS_THE_SAME,
    IF_ETAG_CHANGED,
    ITEM_NOT_AVAILABLE,
    ETagConditionFlag,
    ETagIfExists,
    ItemNotAvailableFlag,
    RetrieveValueFlag,
    ValueNotRetrievedFlag,
)

ValueType = TypeVar("ValueType")


class ConditionalOperationResult(NamedTuple, Generic[ValueType]):
    """What a conditional operation found and did.

    Attributes:
        condition_was_satisfied: Whether the condition held; if not, nothing was changed.
        actual_etag: The etag found before the operation, or ITEM_NOT_AVAILABLE.
        resulting_etag: The etag after it, or ITEM_NOT_AVAILABLE.
        new_value: The value after it; ITEM_NOT_AVAILABLE if there is none, VALUE_NOT_RETRIEVED if there
            is one that was not asked for.
    """

    condition_was_satisfied: bool
    actual_etag: ETagIfExists
    resulting_etag: ETagIfExists
    new_value: ValueType | ItemNotAvailableFlag | ValueNotRetrievedFlag

    @property
    def value_was_mutated(self) -> bool:
        """Whether the item is now another than before."""
        return self.actual_etag != self.resulting_etag


class OperationResult(NamedTuple, Generic[ValueType]):
    """What an unconditional operation left behind.

    Attributes:
        resulting_etag: The etag after the operation, or ITEM_NOT_AVAILABLE.
        new_value: The value after it, or ITEM_NOT_AVAILABLE.
    """

    resulting_etag: ETagIfExists
    new_value: ValueType | ItemNotAvailableFlag


def is_satisfied(condition: ETagConditionFlag, expected: ETagIfExists, actual: ETagIfExists) -> bool:
    """Decide whether `condition` holds for an item expected at one etag and found at another.

    >>> is_satisfied(ETagConditionFlag.ETAG_HAS_CHANGED, "v1", ITEM_NOT_AVAILABLE)
    True
    """
    if condition is ANY_ETAG:
        return True
    return (actual == expected) is (condition is ETAG_IS_THE_SAME)


def wants_value(retrieve: RetrieveValueFlag, expected: ETagIfExists, actual: ETagIfExists) -> bool:
    """Decide whether the value found is to be brought along."""
    return retrieve is ALWAYS_RETRIEVE or (retrieve is IF_ETAG_CHANGED and actual != expected)


def check_arguments(condition: Any, expected: Any, retrieve: Any = IF_ETAG_CHANGED) -> None:
    """Refuse arguments of the wrong kind at once, before anything is read.

    Raises:
        TypeError: One of them is not a flag or an etag.
    """
    if not isinstance(condition, ETagConditionFlag):
        raise TypeError(
            f"condition must be ANY_ETAG, ETAG_IS_THE_SAME or ETAG_HAS_CHANGED, not {condition!r}"
        )
    if not isinstance(expected, str) and expected is not ITEM_NOT_AVAILABLE:
        raise TypeError(f"expected_etag must be an etag or ITEM_NOT_AVAILABLE, not {expected!r}")
    if not isinstance(retrieve, RetrieveValueFlag):
        raise TypeError(
            f"retrieve_value must be ALWAYS_RETRIEVE, NEVER_RETRIEVE or IF_ETAG_CHANGED, not {retrieve!r}"
        )
