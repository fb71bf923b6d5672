"""Jokers that act by assignment; flags, results and decisions of conditional operations.

A condition compares the etag expected with the etag found; absence counts as an etag of its own
(`ITEM_NOT_AVAILABLE`). Each sentinel is an enum member: one object per process, equal after pickling and
copying, tested with `is`.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Final, Generic, Literal, NamedTuple, TypeAlias, TypeVar


class _Sentinel(Enum):
    def __repr__(self) -> str:
        return self.name

    __str__ = __repr__


class Joker(_Sentinel):
    """A command that is assigned to a key instead of a value.

    ``d[key] = KEEP_CURRENT`` changes nothing; ``d[key] = DELETE_CURRENT`` deletes the item if it is there.
    """

    KEEP_CURRENT = "keep"
    DELETE_CURRENT = "delete"


class ETagConditionFlag(_Sentinel):
    """The condition of an operation: how the actual etag must relate to the expected one."""

    ANY_ETAG = "any"
    ETAG_IS_THE_SAME = "same"
    ETAG_HAS_CHANGED = "changed"


class RetrieveValueFlag(_Sentinel):
    """Whether a conditional operation also returns the existing value."""

    ALWAYS_RETRIEVE = "always"
    NEVER_RETRIEVE = "never"
    IF_ETAG_CHANGED = "changed"


class ItemNotAvailableFlag(_Sentinel):
    """The item does not exist: takes the place of an etag or a value. It is false."""

    ITEM_NOT_AVAILABLE = "absent"

    def __bool__(self) -> Literal[False]:
        return False


class ValueNotRetrievedFlag(_Sentinel):
    """The item exists, but its value was not requested."""

    VALUE_NOT_RETRIEVED = "not retrieved"


KEEP_CURRENT: Final[Literal[Joker.KEEP_CURRENT]] = Joker.KEEP_CURRENT
"""Assigned to a key, leaves the item as it is, or absent."""

DELETE_CURRENT: Final[Literal[Joker.DELETE_CURRENT]] = Joker.DELETE_CURRENT
"""Assigned to a key, deletes the item if it exists."""

ANY_ETAG: Final = ETagConditionFlag.ANY_ETAG
"""The condition that always holds."""

ETAG_IS_THE_SAME: Final = ETagConditionFlag.ETAG_IS_THE_SAME
"""Holds if the item is still at the expected etag, or is absent where absence was expected."""

ETAG_HAS_CHANGED: Final = ETagConditionFlag.ETAG_HAS_CHANGED
"""Holds if the item is not at the expected etag; appearing and disappearing are changes."""

ALWAYS_RETRIEVE: Final = RetrieveValueFlag.ALWAYS_RETRIEVE
"""Return the value in any case."""

NEVER_RETRIEVE: Final = RetrieveValueFlag.NEVER_RETRIEVE
"""Do not transfer a stored value."""

IF_ETAG_CHANGED: Final = RetrieveValueFlag.IF_ETAG_CHANGED
"""Return the value only if its etag is not the expected one."""

ITEM_NOT_AVAILABLE: Final[Literal[ItemNotAvailableFlag.ITEM_NOT_AVAILABLE]] = (
    ItemNotAvailableFlag.ITEM_NOT_AVAILABLE
)
"""The item does not exist: used as an expected etag, as an actual etag, and in place of a value."""

VALUE_NOT_RETRIEVED: Final[Literal[ValueNotRetrievedFlag.VALUE_NOT_RETRIEVED]] = (
    ValueNotRetrievedFlag.VALUE_NOT_RETRIEVED
)
"""The item exists, but its value was not requested."""

ETagValue: TypeAlias = str
"""An opaque version of an item's content, compared only for equality."""

ETagIfExists: TypeAlias = ETagValue | Literal[ItemNotAvailableFlag.ITEM_NOT_AVAILABLE]
"""The etag of an item, or ITEM_NOT_AVAILABLE."""

ValueType = TypeVar("ValueType")


class ConditionalOperationResult(NamedTuple, Generic[ValueType]):
    """The result of a conditional operation.

    Attributes:
        condition_was_satisfied: Whether the condition held; if not, nothing was changed.
        actual_etag: The etag before the operation, or ITEM_NOT_AVAILABLE.
        resulting_etag: The etag after it, or ITEM_NOT_AVAILABLE.
        new_value: The value after it; ITEM_NOT_AVAILABLE if it does not exist, VALUE_NOT_RETRIEVED if it
            exists but was not requested.
    """

    condition_was_satisfied: bool
    actual_etag: ETagIfExists
    resulting_etag: ETagIfExists
    new_value: ValueType | ItemNotAvailableFlag | ValueNotRetrievedFlag

    @property
    def value_was_mutated(self) -> bool:
        """Whether the operation changed the item."""
        return self.actual_etag != self.resulting_etag


class OperationResult(NamedTuple, Generic[ValueType]):
    """The result of an unconditional operation.

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
