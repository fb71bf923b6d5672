"""Replacing a value by a function of it, by optimistic attempts that share out fairly among writers."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

from perkey.arguments import check_callable, check_count
from perkey.conditions import OperationResult
from perkey.errors import ConcurrencyConflictError, ConflictError
from perkey.items import ItemAccess
from perkey.jokers import (
    DELETE_CURRENT,
    ITEM_NOT_AVAILABLE,
    KEEP_CURRENT,
    ETagIfExists,
    ItemNotAvailableFlag,
)
from perkey.keys import NonEmptyPersiDictKey
from perkey.naming import Name
from perkey.stores.base import ABSENT, Expectation, Version

V = TypeVar("V")

TransformingFunction: TypeAlias = Callable[[Any], Any]
"""Takes the current value or ITEM_NOT_AVAILABLE; returns the new value or a joker."""

_LONGEST_PAUSE = 0.02


class Transformations(ItemAccess[V]):
    """The part of a dictionary that replaces a value by a function of it."""

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
        check_callable("transformer", transformer)
        check_count("n_retries", n_retries, or_none=True)
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
            self._store.remove(name, expect=as_found(actual))
            return OperationResult(ITEM_NOT_AVAILABLE, ITEM_NOT_AVAILABLE)
        data = self._encode(name, new)
        if self._immutable and actual is not ITEM_NOT_AVAILABLE:
            self._meet_existing(name, new)
            return OperationResult(actual, value)
        resulting = self._write(name, data, as_found(actual))
        return OperationResult(*self._left(resulting, new))

    def _left(self, version: Version, value: Any) -> tuple[ETagIfExists, Any]:
        """Return etag and value that a write left: here, what was written."""
        return version, value


def as_found(actual: ETagIfExists) -> Expectation:
    """Return what the store is to expect for an item to be as it was found."""
    return ABSENT if actual is ITEM_NOT_AVAILABLE else actual


def pause(attempts: int, duration: float) -> None:
    """Let others finish after a conflict; the more often this one was overtaken, the less it gives way."""
    if attempts > 1:
        time.sleep(min(_LONGEST_PAUSE, random.uniform(0, 8 * duration / attempts)))  # noqa: S311 - no secret
