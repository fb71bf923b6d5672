"""Conditional operations of a dictionary, each by one atomic primitive of its store.

A conflict reported by the store only says that the state was another one for a moment; the result says what
was found afterwards, and where that would satisfy the condition after all, the operation is tried again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

from perkey.conditions import (
    ConditionalOperationResult,
    OperationResult,
    check_arguments,
    is_satisfied,
)
from perkey.errors import ConcurrencyConflictError, ConflictError
from perkey.items import ItemAccess
from perkey.jokers import (
    ANY_ETAG,
    DELETE_CURRENT,
    ETAG_IS_THE_SAME,
    IF_ETAG_CHANGED,
    ITEM_NOT_AVAILABLE,
    KEEP_CURRENT,
    NEVER_RETRIEVE,
    VALUE_NOT_RETRIEVED,
    ETagConditionFlag,
    ETagIfExists,
    ETagValue,
    ItemNotAvailableFlag,
    Joker,
    RetrieveValueFlag,
)
from perkey.keys import NonEmptyPersiDictKey
from perkey.naming import Name
from perkey.stores.base import ABSENT, ANY, Expectation, Version

V = TypeVar("V")

TransformingFunction: TypeAlias = Callable[[Any], Any]
"""Takes the current value or ITEM_NOT_AVAILABLE; returns the new value or a joker."""

_LONGEST_PAUSE = 0.02


class ConditionalOperations(ItemAccess[V]):
    """The part of a dictionary that compares before it acts."""

    def etag(self, key: NonEmptyPersiDictKey) -> ETagValue:
        """Return the etag of an item: an opaque version, never the same for two contents of a key.

        Raises:
            KeyError: There is no item.

        Cost: one stat.
        """
        return self._stat(key).version

    def get_with_etag(self, key: NonEmptyPersiDictKey) -> ConditionalOperationResult[V]:
        """Return value and etag, which belong together; of an absent item both are ITEM_NOT_AVAILABLE.

        Cost: one read.
        """
        return self._find(self._naming.name_of(key), ANY_ETAG, ITEM_NOT_AVAILABLE, IF_ETAG_CHANGED)

    def get_item_if(
        self,
        key: NonEmptyPersiDictKey,
        *,
        condition: ETagConditionFlag,
        expected_etag: ETagIfExists,
        retrieve_value: RetrieveValueFlag = IF_ETAG_CHANGED,
    ) -> ConditionalOperationResult[V]:
        """Return an item's etag, whether it satisfies a condition, and the value if it is wanted.

        Args:
            key: The key.
            condition: ANY_ETAG, ETAG_IS_THE_SAME or ETAG_HAS_CHANGED.
            expected_etag: The etag to compare with; ITEM_NOT_AVAILABLE expects absence.
            retrieve_value: ALWAYS_RETRIEVE, NEVER_RETRIEVE, or IF_ETAG_CHANGED: only if the etag found is
                not the expected one. The value does not depend on the condition.

        Cost: one read, without transfer where the etag is the expected one; one stat if never retrieving.
        """
        check_arguments(condition, expected_etag, retrieve_value)
        return self._find(self._naming.name_of(key), condition, expected_etag, retrieve_value)

    def set_item_if(
        self,
        key: NonEmptyPersiDictKey,
        *,
        value: V | Joker,
        condition: ETagConditionFlag,
        expected_etag: ETagIfExists,
        retrieve_value: RetrieveValueFlag = IF_ETAG_CHANGED,
    ) -> ConditionalOperationResult[V]:
        """Store a value, or act on a joker, if a condition holds; atomic, also between processes.

        Args:
            key: The key.
            value: The new value, or a joker.
            condition: ANY_ETAG, ETAG_IS_THE_SAME or ETAG_HAS_CHANGED.
            expected_etag: The etag to compare with; ITEM_NOT_AVAILABLE expects absence.
            retrieve_value: Whether the result brings an existing value that was not replaced.

        Raises:
            MutationPolicyError: Items are immutable, there is one, and the condition holds.
            UnstorableValueError, TypeError: The value cannot be stored here.
            UnsupportedConditionError: The place cannot honour such a condition.

        Cost: one write under ETAG_IS_THE_SAME; a stat more for the other conditions. Conflicts cost a read.
        """
        check_arguments(condition, expected_etag, retrieve_value)
        name = self._naming.name_of(key)
        if value is KEEP_CURRENT:
            return self._find(name, condition, expected_etag, retrieve_value)
        if value is DELETE_CURRENT:
            return self._discard_if(name, condition, expected_etag, retrieve_value)
        data = self._encode(name, value)
        while True:
            actual = self._likely_etag(name, condition, expected_etag)
            if is_satisfied(condition, expected_etag, actual):
                if self._immutable and actual is not ITEM_NOT_AVAILABLE:
                    return self._keep_existing(name, value, condition, expected_etag, retrieve_value)
                # Any etag will do, but not for an immutable item that another one adds meanwhile.
                expect = ABSENT if self._immutable else self._expectation(condition, actual)
                try:
                    resulting = self._write(name, data, expect)
                except ConflictError:
                    pass  # what is there now decides
                else:
                    return ConditionalOperationResult(True, actual, *self._left(resulting, value))
            found = self._find(name, condition, expected_etag, retrieve_value)
            if not found.condition_was_satisfied:
                return found

    def setdefault_if(
        self,
        key: NonEmptyPersiDictKey,
        *,
        default_value: V,
        condition: ETagConditionFlag = ETAG_IS_THE_SAME,
        expected_etag: ETagIfExists = ITEM_NOT_AVAILABLE,
        retrieve_value: RetrieveValueFlag = IF_ETAG_CHANGED,
    ) -> ConditionalOperationResult[V]:
        """Insert a value if there is none and absence satisfies the condition; atomic.

        By default the condition is absence itself: of any number of processes that insert under one key,
        exactly one finds `condition_was_satisfied`. An existing value is never changed; whether it
        satisfies the condition is told in the result.

        Args: as for `set_item_if`.

        Raises:
            UnstorableValueError, TypeError: The value cannot be stored here; a joker is none.
            UnsupportedConditionError: The place cannot insert conditionally.

        Cost: one write that inserts; a read more if there is an item.
        """
        check_arguments(condition, expected_etag, retrieve_value)
        name = self._naming.name_of(key)
        data = self._encode(name, default_value)
        while True:
            if is_satisfied(condition, expected_etag, ITEM_NOT_AVAILABLE):
                try:
                    resulting = self._write(name, data, ABSENT)
                except ConflictError:
                    pass
                else:
                    left = self._left(resulting, default_value)
                    return ConditionalOperationResult(True, ITEM_NOT_AVAILABLE, *left)
            found = self._find(name, condition, expected_etag, retrieve_value)
            if found.actual_etag is not ITEM_NOT_AVAILABLE or not found.condition_was_satisfied:
                return found

    def discard_if(
        self, key: NonEmptyPersiDictKey, *, condition: ETagConditionFlag, expected_etag: ETagIfExists
    ) -> ConditionalOperationResult[V]:
        """Remove an item if a condition holds; atomic. An absent item is no error.

        Args: as for `set_item_if`.

        Raises:
            MutationPolicyError: Items are immutable.
            UnsupportedConditionError: The place cannot remove conditionally.

        Cost: one removal under ETAG_IS_THE_SAME; a stat more for the other conditions, or after a conflict.
        """
        check_arguments(condition, expected_etag)
        return self._discard_if(self._naming.name_of(key), condition, expected_etag, NEVER_RETRIEVE)

    def transform_item(
        self,
        key: NonEmptyPersiDictKey,
        *,
        transformer: TransformingFunction,
        n_retries: int | None = None,
    ) -> OperationResult[V]:
        """Replace a value by a function of it; no update by anyone is ever lost.

        The function runs without any lock and may run several times: once for each attempt, on the value of
        that moment. Every conflict means that another writer succeeded; after some, attempts are spaced at
        random, the less the more there were, so that all contenders whose functions take about as long get
        through soon. A function much slower than its rivals' may be overtaken for as long as they go on.

        Args:
            key: The key.
            transformer: Takes the value, or ITEM_NOT_AVAILABLE; returns the new value, KEEP_CURRENT or
                DELETE_CURRENT.
            n_retries: How often to try again after a conflict; None means until it succeeds.

        Returns:
            The etag and value that this call left.

        Raises:
            ConcurrencyConflictError: All attempts were overtaken; nothing was changed by this call.
            MutationPolicyError: Items are immutable and there is one that would change.
            Whatever `transformer` raises; nothing is changed then.

        Cost: one read and one write for each attempt.
        """
        if n_retries is not None and n_retries < 0:
            raise ValueError(f"n_retries must be None or at least 0, not {n_retries}")
        name = self._naming.name_of(key)
        attempts = 0
        while True:
            began = time.perf_counter()
            try:
                return self._transform(name, transformer)
            except ConflictError:
                attempts += 1
                if n_retries is not None and attempts > n_retries:
                    raise ConcurrencyConflictError(self._key_of(name), attempts) from None
            pause(attempts, time.perf_counter() - began)

    # --- One attempt --------------------------------------------------------------------------------

    def _transform(self, name: Name, transformer: TransformingFunction) -> OperationResult[V]:
        value: V | ItemNotAvailableFlag
        actual: ETagIfExists
        try:
            value, actual = self._load_now(name)
        except KeyError:
            value, actual = ITEM_NOT_AVAILABLE, ITEM_NOT_AVAILABLE
        # Only the lookup's KeyError means absence; the transformer may raise its own.
        new = transformer(value)
        if new is KEEP_CURRENT or (new is DELETE_CURRENT and actual is ITEM_NOT_AVAILABLE):
            return OperationResult(actual, value)
        if new is DELETE_CURRENT:
            self._check_deletable()
            self._store.remove(name, expect=self._expectation(ETAG_IS_THE_SAME, actual))
            return OperationResult(ITEM_NOT_AVAILABLE, ITEM_NOT_AVAILABLE)
        data = self._encode(name, new)
        if self._immutable and actual is not ITEM_NOT_AVAILABLE:
            self._meet_existing(name, new)
            return OperationResult(actual, value)
        resulting = self._write(name, data, self._expectation(ETAG_IS_THE_SAME, actual))
        return OperationResult(*self._left(resulting, new))

    def _left(self, version: Version, value: Any) -> tuple[ETagIfExists, Any]:
        """Return etag and value that a write left: here, what was written."""
        return version, value

    def _find(
        self,
        name: Name,
        condition: ETagConditionFlag,
        expected: ETagIfExists,
        retrieve: RetrieveValueFlag,
    ) -> ConditionalOperationResult[V]:
        """Return the result of an operation that changes nothing."""
        actual: ETagIfExists
        value: Any = VALUE_NOT_RETRIEVED
        if retrieve is NEVER_RETRIEVE:
            actual = self._etag_if_exists(name)
        else:
            unless = expected if retrieve is IF_ETAG_CHANGED and expected is not ITEM_NOT_AVAILABLE else None
            try:
                found = self._load(name, unless)
            except KeyError:
                actual = ITEM_NOT_AVAILABLE
            else:
                if found is None:
                    actual = expected
                else:
                    value, actual = found
        if actual is ITEM_NOT_AVAILABLE:
            value = ITEM_NOT_AVAILABLE
        return ConditionalOperationResult(is_satisfied(condition, expected, actual), actual, actual, value)

    def _discard_if(
        self,
        name: Name,
        condition: ETagConditionFlag,
        expected: ETagIfExists,
        retrieve: RetrieveValueFlag,
    ) -> ConditionalOperationResult[V]:
        self._check_deletable()
        while True:
            actual = self._likely_etag(name, condition, expected)
            if is_satisfied(condition, expected, actual) and actual is not ITEM_NOT_AVAILABLE:
                try:
                    self._store.remove(name, expect=self._expectation(condition, actual))
                except (ConflictError, KeyError):
                    pass  # what is there now decides
                else:
                    return ConditionalOperationResult(True, actual, ITEM_NOT_AVAILABLE, ITEM_NOT_AVAILABLE)
            found = self._find(name, condition, expected, retrieve)
            if not found.condition_was_satisfied or found.actual_etag is ITEM_NOT_AVAILABLE:
                return found

    def _keep_existing(
        self,
        name: Name,
        value: Any,
        condition: ETagConditionFlag,
        expected: ETagIfExists,
        retrieve: RetrieveValueFlag,
    ) -> ConditionalOperationResult[V]:
        """Return the result for an immutable item that was to be replaced, if that is no error."""
        found = self._find(name, condition, expected, retrieve)
        if found.condition_was_satisfied:
            self._meet_existing(name, value)
        return found

    def _likely_etag(self, name: Name, condition: ETagConditionFlag, expected: ETagIfExists) -> ETagIfExists:
        """Return the etag to act upon: the expected one where the store will compare, else the actual one."""
        return expected if condition is ETAG_IS_THE_SAME else self._etag_if_exists(name)

    def _etag_if_exists(self, name: Name) -> ETagIfExists:
        try:
            return self._store.stat(name).version
        except KeyError:
            return ITEM_NOT_AVAILABLE

    @staticmethod
    def _expectation(condition: ETagConditionFlag, actual: ETagIfExists) -> Expectation:
        """Return what the store is to expect so that acting on `actual` is atomic."""
        if condition is ANY_ETAG:
            return ANY
        return ABSENT if actual is ITEM_NOT_AVAILABLE else actual


def pause(attempts: int, duration: float) -> None:
    """Let others finish after a conflict; the more often this one was overtaken, the less it gives way."""
    if attempts > 1:
        time.sleep(min(_LONGEST_PAUSE, random.uniform(0, 8 * duration / attempts)))  # noqa: S311 - no secret
