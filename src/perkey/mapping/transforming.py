"""Replacing a value by a function of it, by optimistic attempts that share out fairly among writers."""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias, TypeVar

from perkey.answers import answer
from perkey.arguments import check_callable, check_count
from perkey.errors import ConcurrencyConflictError, ConflictError
from perkey.expectations import ABSENT, Expectation, Version
from perkey.jokers import (
    DELETE_CURRENT,
    ITEM_NOT_AVAILABLE,
    KEEP_CURRENT,
    ETagIfExists,
    ItemNotAvailableFlag,
    OperationResult,
)
from perkey.keys import NonEmptyPersiDictKey
from perkey.mapping.items import ItemAccess, add_key
from perkey.naming import Name
from perkey.stores import settled, settled_at_once

V = TypeVar("V")

TransformingFunction: TypeAlias = Callable[[Any], Any]
"""Takes the current value or ITEM_NOT_AVAILABLE; returns the new value or a joker."""

_LONGEST_PAUSE = 0.02


class Transformations(ItemAccess[V]):
    """The part of a dictionary that replaces a value by a function of it."""

    def transform_item(
        self,
        key: NonEmptyPersiDictKey,
        transformer: TransformingFunction,
        *,
        default: Any = ITEM_NOT_AVAILABLE,
        n_retries: int | None = None,
    ) -> OperationResult[V]:
        """Replace a value by a function of it; no update by anyone is ever lost.

        The function runs without any lock and may run several times: once for each attempt, on the value of
        that moment. Every conflict means that another writer succeeded; after some, attempts are spaced at
        random, the less the more there were, so that all contenders whose functions take about as long get
        through soon. A function much slower than its rivals' may be overtaken for as long as they go on.

        Args:
            key: The key.
            transformer: Takes the value, or `default`; returns the new value, KEEP_CURRENT or
                DELETE_CURRENT.
            default: What the function is given if the item is missing; ITEM_NOT_AVAILABLE, which is false,
                if no default is given. Each attempt gets a deep copy.
            n_retries: How often to try again after a conflict; None means until it succeeds.

        Returns:
            The etag and value that this call left.

        Raises:
            ConcurrencyConflictError: All attempts were overtaken; nothing was changed by this call.
            MutationPolicyError: Items are immutable and there is one that would change.
            TypeError: `transformer` cannot be called.
            ReadOnlyError: The handle only reads; the function was not called.
            Exception: The function raised it; it passes as it is, with the key as a note, and nothing is
                changed.

        Cost: one read and one write for each attempt.

        >>> from perkey import LocalDict
        >>> hits = LocalDict()
        >>> hits.transform_item("home", lambda n: n + 1, default=0).new_value
        1
        """
        check_callable("transformer", transformer)
        check_count("n_retries", n_retries, or_none=True)
        if self._store.read_only:
            self._check_writable()
        name = self._naming.name_of(key)
        attempts = 0
        last: _Overtaken | None = None
        while True:
            began = time.perf_counter()
            result = self._transform(name, transformer, default, last)
            if not isinstance(result, _Overtaken):
                return result
            last = result
            attempts += 1
            if n_retries is not None and attempts > n_retries:
                return self._last_attempt(name, last, attempts)
            pause(attempts, time.perf_counter() - began)

    def _last_attempt(self, name: Name, last: _Overtaken, attempts: int) -> OperationResult[V]:
        """Return the result of an attempt after which the item is not read again, or raise that it failed."""
        mine = settled_at_once(last.conflict)
        if mine is None:
            raise ConcurrencyConflictError(self._key_of(name), attempts)
        return OperationResult(*self._left(mine, last.value))

    def _transform(
        self, name: Name, transformer: TransformingFunction, default: Any, last: _Overtaken | None
    ) -> OperationResult[V] | _Overtaken:
        """Return the result of one attempt, or that it met a conflict.

        Args:
            name: The item.
            transformer: as for `transform_item`.
            default: as for `transform_item`.
            last: The attempt before, which may turn out to have succeeded.
        """
        found = self._load(name)
        if found is ITEM_NOT_AVAILABLE:
            value: V | ItemNotAvailableFlag = ITEM_NOT_AVAILABLE
            actual: ETagIfExists = ITEM_NOT_AVAILABLE
        else:
            value, actual = found
        mine = None if last is None else written_after_all(last.conflict, actual)
        if last is not None and mine is not None:
            return OperationResult(*self._left(mine, last.value))
        new = self._transformed(name, transformer, value, default)
        if new is KEEP_CURRENT or (new is DELETE_CURRENT and actual is ITEM_NOT_AVAILABLE):
            return OperationResult(actual, value)
        if new is DELETE_CURRENT:
            self._check_deletable()
            try:
                self._store.remove(name, expect=as_found(actual))
            except answer(ConflictError) as error:
                return _Overtaken(error, None)
            return OperationResult(ITEM_NOT_AVAILABLE, ITEM_NOT_AVAILABLE)
        data = self._encode(name, new)
        if self._immutable and actual is not ITEM_NOT_AVAILABLE:
            self._meet_existing(name, new)
            return OperationResult(actual, value)
        resulting = self._write(name, data, as_found(actual))
        if isinstance(resulting, ConflictError):
            return _Overtaken(resulting, new)
        return OperationResult(*self._left(resulting, new))

    def _transformed(self, name: Name, transformer: TransformingFunction, value: Any, default: Any) -> Any:
        """Return what the function makes of a value; an exception of it gets the key as a note."""
        if value is ITEM_NOT_AVAILABLE and default is not ITEM_NOT_AVAILABLE:
            value = copy.deepcopy(default)
        try:
            return transformer(value)
        except Exception as error:
            add_key(error, self._key_of(name), "transforming")
            if value is ITEM_NOT_AVAILABLE:
                error.add_note("the item is missing: pass default=... to give the function a value then")
            raise

    def _left(self, version: Version, value: Any) -> tuple[ETagIfExists, Any]:
        """Return etag and value that a write left: here, what was written."""
        return version, value


class _Overtaken(NamedTuple):
    """An attempt that met a conflict.

    Attributes:
        conflict: What the store said.
        value: What was to be written.
    """

    conflict: ConflictError
    value: Any


def written_after_all(conflict: ConflictError | None, found: ETagIfExists) -> Version | None:
    """Return the version that a write left though it met a conflict, None if the conflict is a true one."""
    if conflict is None:
        return None
    return settled(conflict, None if found is ITEM_NOT_AVAILABLE else found)


def as_found(actual: ETagIfExists) -> Expectation:
    """Return what the store is to expect for an item to be as it was found."""
    return ABSENT if actual is ITEM_NOT_AVAILABLE else actual


def pause(attempts: int, duration: float) -> None:
    """Let others finish after a conflict; the more often this one was overtaken, the less it gives way."""
    if attempts > 1:
        time.sleep(min(_LONGEST_PAUSE, random.uniform(0, 8 * duration / attempts)))  # noqa: S311 - no secret
