"""Conditional operations of a dictionary, each by one atomic primitive of its store.

A conflict reported by the store only says that the state was another one for a moment; the result says what
was found afterwards, and where that would satisfy the condition after all, the operation is tried again.
"""

from __future__ import annotations

from typing import Any, TypeVar

from perkey.answers import answer
from perkey.errors import ConflictError
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
    ETagValue,
    Joker,
    RetrieveValueFlag,
    check_arguments,
    is_satisfied,
)
from perkey.keys import NonEmptyPersiDictKey
from perkey.mapping.transforming import Transformations, as_found, written_after_all
from perkey.naming import Name

V = TypeVar("V")


class ConditionalOperations(Transformations[V]):
    """The part of a dictionary that compares before it acts."""

    def etag(self, key: NonEmptyPersiDictKey) -> ETagValue:
        """Return the etag of an item: an opaque version, never the same for two contents of a key.

        Raises:
            KeyError: There is no item.

        Cost: one stat. In a folder, a file whose time has no digits below the microsecond is also read, 1 MiB
        at a time, because its time does not tell two contents apart: archives and copying programs leave
        such times. Each process reads it once, from two seconds after the file's last change on.
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
            conflict: ConflictError | None = None
            actual = self._likely_etag(name, condition, expected_etag)
            if is_satisfied(condition, expected_etag, actual):
                if self._immutable and actual is not ITEM_NOT_AVAILABLE:
                    return self._keep_existing(name, value, condition, expected_etag, retrieve_value)
                # Any etag will do, but not for an immutable item that another one adds meanwhile.
                expect = ABSENT if self._immutable else self._expectation(condition, actual)
                resulting = self._write(name, data, expect)
                if not isinstance(resulting, ConflictError):
                    return ConditionalOperationResult(True, actual, *self._left(resulting, value))
                conflict = resulting  # what is there now decides
            found = self._find(name, condition, expected_etag, retrieve_value)
            mine = written_after_all(conflict, found.actual_etag)
            if mine is not None:
                return ConditionalOperationResult(True, actual, *self._left(mine, value))
            if not found.condition_was_satisfied:
                return found

    def setdefault_if(
        self,
        key: NonEmptyPersiDictKey,
        default_value: V,
        *,
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
            conflict: ConflictError | None = None
            if is_satisfied(condition, expected_etag, ITEM_NOT_AVAILABLE):
                resulting = self._write(name, data, ABSENT)
                if not isinstance(resulting, ConflictError):
                    left = self._left(resulting, default_value)
                    return ConditionalOperationResult(True, ITEM_NOT_AVAILABLE, *left)
                conflict = resulting
            found = self._find(name, condition, expected_etag, retrieve_value)
            mine = written_after_all(conflict, found.actual_etag)
            if mine is not None:
                left = self._left(mine, default_value)
                return ConditionalOperationResult(True, ITEM_NOT_AVAILABLE, *left)
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

    # --- Attempts -----------------------------------------------------------------------------------

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
            found = self._load(name, unless)
            if found is ITEM_NOT_AVAILABLE:
                actual = ITEM_NOT_AVAILABLE
            elif found is None:
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
                except answer(ConflictError, KeyError):
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
        except answer(KeyError):
            return ITEM_NOT_AVAILABLE

    @staticmethod
    def _expectation(condition: ETagConditionFlag, actual: ETagIfExists) -> Expectation:
        """Return what the store is to expect so that acting on `actual` is atomic."""
        if condition is ANY_ETAG:
            return ANY
        return as_found(actual)
