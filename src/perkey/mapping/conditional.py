"""Conditional operations and transformations of items, each by one atomic primitive of the store.

A conflict reported by the store only means that the state was different for a moment. The result describes
the state that was read afterwards; where that satisfies the condition, the operation is tried again.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias, TypeVar

from perkey.answers import answer
from perkey.errors import ConcurrencyConflictError, ConflictError
from perkey.expectations import ABSENT, ANY, Expectation
from perkey.jokers import (
    ANY_ETAG,
    DELETE_CURRENT,
    ETAG_IS_THE_SAME,
    IF_ETAG_CHANGED,
    ITEM_NOT_AVAILABLE,
    KEEP_CURRENT,
    NEVER_RETRIEVE,
    VALUE_NOT_RETRIEVED,
    ConditionalOperationResult,
    ETagConditionFlag,
    ETagIfExists,
    ItemNotAvailableFlag,
    OperationResult,
    RetrieveValueFlag,
    is_satisfied,
)
from perkey.mapping.items import Items, add_key
from perkey.naming import Name
from perkey.stores import settled, settled_at_once

V = TypeVar("V")

TransformingFunction: TypeAlias = Callable[[Any], Any]
"""Takes the current value or ITEM_NOT_AVAILABLE; returns the new value or a joker."""


# --- Conditions -------------------------------------------------------------------------------------


def find(
    items: Items[V],
    name: Name,
    condition: ETagConditionFlag,
    expected: ETagIfExists,
    retrieve: RetrieveValueFlag,
) -> ConditionalOperationResult[V]:
    """Return the result of an operation that changes nothing."""
    actual: ETagIfExists
    value: Any = VALUE_NOT_RETRIEVED
    if retrieve is NEVER_RETRIEVE:
        actual = _etag_if_exists(items, name)
    else:
        unless = expected if retrieve is IF_ETAG_CHANGED and expected is not ITEM_NOT_AVAILABLE else None
        found = items.load(name, unless)
        if found is ITEM_NOT_AVAILABLE:
            actual = ITEM_NOT_AVAILABLE
        elif found is None:
            actual = expected
        else:
            value, actual = found
    if actual is ITEM_NOT_AVAILABLE:
        value = ITEM_NOT_AVAILABLE
    return ConditionalOperationResult(is_satisfied(condition, expected, actual), actual, actual, value)


def set_if(  # noqa: PLR0917 - those of the method
    items: Items[V],
    name: Name,
    value: Any,
    condition: ETagConditionFlag,
    expected: ETagIfExists,
    retrieve: RetrieveValueFlag,
) -> ConditionalOperationResult[V]:
    """Store a value, or act on a joker, if a condition holds."""
    if value is KEEP_CURRENT:
        return find(items, name, condition, expected, retrieve)
    if value is DELETE_CURRENT:
        return discard_if(items, name, condition, expected, retrieve)
    data = items.encode(name, value)
    policy = items.policy
    while True:
        conflict: ConflictError | None = None
        actual = _likely_etag(items, name, condition, expected)
        if is_satisfied(condition, expected, actual):
            if policy.immutable and actual is not ITEM_NOT_AVAILABLE:
                found = find(items, name, condition, expected, retrieve)
                if found.condition_was_satisfied:
                    policy.meet_existing(items, name, value)
                return found
            # Any etag will do, but not for an immutable item that another caller adds meanwhile.
            expect = ABSENT if policy.immutable else _expectation(condition, actual)
            resulting = items.write(name, data, expect)
            if not isinstance(resulting, ConflictError):
                return ConditionalOperationResult(True, actual, *policy.left((resulting, value)))
            conflict = resulting  # the present state decides
        found = find(items, name, condition, expected, retrieve)
        mine = None if conflict is None else settled(conflict, found.actual_etag or None)
        if mine is not None:
            return ConditionalOperationResult(True, actual, *policy.left((mine, value)))
        if not found.condition_was_satisfied:
            return found


def insert_if(  # noqa: PLR0917 - those of the method
    items: Items[V],
    name: Name,
    value: V,
    condition: ETagConditionFlag,
    expected: ETagIfExists,
    retrieve: RetrieveValueFlag,
) -> ConditionalOperationResult[V]:
    """Insert a value if the item is missing and its absence satisfies a condition."""
    data = items.encode(name, value)
    while True:
        conflict: ConflictError | None = None
        if is_satisfied(condition, expected, ITEM_NOT_AVAILABLE):
            resulting = items.write(name, data, ABSENT)
            if not isinstance(resulting, ConflictError):
                left = items.policy.left((resulting, value))
                return ConditionalOperationResult(True, ITEM_NOT_AVAILABLE, *left)
            conflict = resulting
        found = find(items, name, condition, expected, retrieve)
        mine = None if conflict is None else settled(conflict, found.actual_etag or None)
        if mine is not None:
            return ConditionalOperationResult(True, ITEM_NOT_AVAILABLE, *items.policy.left((mine, value)))
        if found.actual_etag is not ITEM_NOT_AVAILABLE or not found.condition_was_satisfied:
            return found


def discard_if(
    items: Items[V],
    name: Name,
    condition: ETagConditionFlag,
    expected: ETagIfExists,
    retrieve: RetrieveValueFlag,
) -> ConditionalOperationResult[V]:
    """Remove an item if a condition holds."""
    items.check_deletable()
    while True:
        actual = _likely_etag(items, name, condition, expected)
        if is_satisfied(condition, expected, actual) and actual is not ITEM_NOT_AVAILABLE:
            try:
                items.store.remove(name, expect=_expectation(condition, actual))
            except answer(ConflictError, KeyError):
                pass  # the present state decides
            else:
                return ConditionalOperationResult(True, actual, ITEM_NOT_AVAILABLE, ITEM_NOT_AVAILABLE)
        found = find(items, name, condition, expected, retrieve)
        if not found.condition_was_satisfied or found.actual_etag is ITEM_NOT_AVAILABLE:
            return found


def _likely_etag(
    items: Items[Any], name: Name, condition: ETagConditionFlag, expected: ETagIfExists
) -> ETagIfExists:
    """Return the etag to act upon: the expected one where the store will compare, else the actual one."""
    return expected if condition is ETAG_IS_THE_SAME else _etag_if_exists(items, name)


def _etag_if_exists(items: Items[Any], name: Name) -> ETagIfExists:
    try:
        return items.store.stat(name).version
    except answer(KeyError):
        return ITEM_NOT_AVAILABLE


def _expectation(condition: ETagConditionFlag, actual: ETagIfExists) -> Expectation:
    """Return what the store is to expect so that acting on `actual` is atomic."""
    if condition is ANY_ETAG:
        return ANY
    return _as_found(actual)


def _as_found(actual: ETagIfExists) -> Expectation:
    """Return what the store is to expect for an item to be as it was found."""
    return ABSENT if actual is ITEM_NOT_AVAILABLE else actual


# --- Transformations --------------------------------------------------------------------------------


class _Overtaken(NamedTuple):
    """An attempt that met a conflict.

    Attributes:
        conflict: What the store raised.
        value: What was to be written.
    """

    conflict: ConflictError
    value: Any


def transform(
    items: Items[V], name: Name, transformer: TransformingFunction, default: Any, n_retries: int | None
) -> OperationResult[V]:
    """Replace a value by a function of it, by optimistic attempts that share out fairly among writers."""
    if items.store.read_only:
        items.check_writable()
    attempts = 0
    last: _Overtaken | None = None
    while True:
        began = time.perf_counter()
        result = _attempt(items, name, transformer, default, last)
        if not isinstance(result, _Overtaken):
            return result
        last = result
        attempts += 1
        if n_retries is not None and attempts > n_retries:
            return _last_attempt(items, name, last, attempts)
        from perkey.retrying import pause  # noqa: PLC0415 - most programs never meet a conflict

        pause(attempts, time.perf_counter() - began)


def _last_attempt(items: Items[V], name: Name, last: _Overtaken, attempts: int) -> OperationResult[V]:
    """Return the result of an attempt after which the item is not read again, or raise that it failed."""
    mine = settled_at_once(last.conflict)
    if mine is None:
        raise ConcurrencyConflictError(items.key_of(name), attempts)
    return OperationResult(*items.policy.left((mine, last.value)))


def _attempt(
    items: Items[V], name: Name, transformer: TransformingFunction, default: Any, last: _Overtaken | None
) -> OperationResult[V] | _Overtaken:
    """Return the result of one attempt, or that it met a conflict.

    Args:
        items: The items.
        name: The item.
        transformer: The function.
        default: What the function is given if the item is missing.
        last: The attempt before, which may turn out to have succeeded.
    """
    found = items.load(name)
    if found is ITEM_NOT_AVAILABLE:
        value: V | ItemNotAvailableFlag = ITEM_NOT_AVAILABLE
        actual: ETagIfExists = ITEM_NOT_AVAILABLE
    else:
        value, actual = found
    mine = None if last is None else settled(last.conflict, actual or None)
    if last is not None and mine is not None:
        return OperationResult(*items.policy.left((mine, last.value)))
    new = _transformed(items, name, transformer, value, default)
    if new is KEEP_CURRENT or (new is DELETE_CURRENT and actual is ITEM_NOT_AVAILABLE):
        return OperationResult(actual, value)
    if new is DELETE_CURRENT:
        items.check_deletable()
        try:
            items.store.remove(name, expect=_as_found(actual))
        except answer(ConflictError) as error:
            return _Overtaken(error, None)
        return OperationResult(ITEM_NOT_AVAILABLE, ITEM_NOT_AVAILABLE)
    data = items.encode(name, new)
    if items.policy.immutable and actual is not ITEM_NOT_AVAILABLE:
        items.policy.meet_existing(items, name, new)
        return OperationResult(actual, value)
    resulting = items.write(name, data, _as_found(actual))
    if isinstance(resulting, ConflictError):
        return _Overtaken(resulting, new)
    return OperationResult(*items.policy.left((resulting, new)))


def _transformed(
    items: Items[Any], name: Name, transformer: TransformingFunction, value: Any, default: Any
) -> Any:
    """Return what the function makes of a value; an exception of it gets the key as a note."""
    if value is ITEM_NOT_AVAILABLE and default is not ITEM_NOT_AVAILABLE:
        value = copy.deepcopy(default)
    try:
        return transformer(value)
    except Exception as error:
        add_key(error, items.key_of(name), "transforming")
        if value is ITEM_NOT_AVAILABLE:
            error.add_note("the item is missing: pass default=... to give the function a value then")
        raise
