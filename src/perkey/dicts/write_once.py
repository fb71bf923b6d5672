"""A dictionary in which the first value of a key stays."""

from __future__ import annotations

import random
from numbers import Real
from types import NoneType
from typing import Any, Literal, Self

from perkey.arguments import check_kind
from perkey.content import bytes_of
from perkey.dicts.file_dir import FileDirDict
from perkey.errors import ConflictError, ConsistencyCheckError
from perkey.formats import differences
from perkey.jokers import ITEM_NOT_AVAILABLE, KEEP_CURRENT, Joker
from perkey.keys import PersiDictKey
from perkey.mapping import Items, PersiDict, Policy, V, items_of
from perkey.naming import Name


class _FirstStays(Policy):
    """The first value of a key stays; of the later ones a random share is compared with it.

    Args:
        rules: Another policy for the same items, from which the class of values comes.
        probability: How probable a comparison is.
        attempted: How many comparisons were made.
        passed: How many of them found an equal value.
    """

    title = "a WriteOnceDict"

    def __init__(
        self, rules: Policy, *, probability: float = 0.0, attempted: int = 0, passed: int = 0
    ) -> None:
        super().__init__(True, rules.base_class, shares_place=rules.shares_place)
        self.probability = probability
        self.attempted = attempted
        self.passed = passed

    def counts(self) -> dict[str, Any]:
        """Return the arguments of an equal policy that counts by itself."""
        return {"probability": self.probability, "attempted": self.attempted, "passed": self.passed}

    def meet_conflict(self, items: Items[Any], name: Name, value: Any, conflict: ConflictError) -> None:
        del conflict  # an insertion's own success is ignored, or found equal, as any other value is
        self.meet_existing(items, name, value)

    def meet_existing(self, items: Items[Any], name: Name, value: Any) -> None:
        """Ignore a later write, or compare it.

        Raises:
            ConsistencyCheckError: The value differs from the existing one, which stays.
        """
        if random.random() >= self.probability:  # noqa: S311 - a sample, not a secret
            return
        self.attempted += 1
        first = items.load(name)
        if first is ITEM_NOT_AVAILABLE:  # another program removed it since
            self.attempted -= 1
            items.assign(name, value)
            return
        # What is compared is what would be read back: encoding may change a value, for example in JSON.
        found = differences(first[0], items.decode(name, bytes_of(items.encode(name, value))))
        if found:
            raise ConsistencyCheckError(items.key_of(name), found)
        self.passed += 1


class WriteOnceDict(PersiDict[V]):
    """Wraps a dictionary: the first write of a key wins, atomically, and later writes are ignored.

    Of later writes a random share is compared with the value that is there, and a difference is an error:
    so a pipeline notices results that are not reproducible.

    Args:
        wrapped_dict: The dictionary; by default a `FileDirDict` of immutable items in its default folder.
        p_consistency_checks: The probability of a check, 0 to 1; None and KEEP_CURRENT are 0.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: `p_consistency_checks` is not a probability.

    >>> from perkey import LocalDict
    >>> results = WriteOnceDict(LocalDict(), p_consistency_checks=1)
    >>> results["a"] = 1
    >>> results["a"] = 1
    >>> results["a"] = 2
    Traceback (most recent call last):
    perkey.errors.ConsistencyCheckError: ('a',): the new value differs from the one written first:
      value: 1 -> 2
    >>> results["a"]
    1
    """

    _checks: _FirstStays
    """The policy of this handle, which counts for it alone."""

    def __init__(
        self,
        wrapped_dict: PersiDict[V] | None = None,
        p_consistency_checks: float | Literal[Joker.KEEP_CURRENT] | None = None,
    ) -> None:
        wrapped = FileDirDict[V](immutable_items=True) if wrapped_dict is None else wrapped_dict
        check_kind("wrapped_dict", wrapped, PersiDict, "a PersiDict")
        self._wrapped = wrapped
        self._items = items_of(wrapped)
        self._check_by(_FirstStays(self._items.policy))
        self.p_consistency_checks = p_consistency_checks

    def _check_by(self, checks: _FirstStays) -> None:
        self._checks = checks
        self._items = self._items.under(checks)

    def __copy__(self) -> Self:
        handle = super().__copy__()
        handle._check_by(_FirstStays(self._checks, **self._checks.counts()))
        return handle

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        del state["_checks"]
        return state | {f"_{name}": value for name, value in self._checks.counts().items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        own = dict(state)
        counts = {name: own.pop(f"_{name}") for name in ("probability", "attempted", "passed")}
        super().__setstate__(own)
        self._check_by(_FirstStays(self._items.policy, **counts))

    @property
    def p_consistency_checks(self) -> float:
        """The probability that a write of an existing key is checked; can be assigned.

        Assigning KEEP_CURRENT changes nothing.
        """
        return self._checks.probability

    @p_consistency_checks.setter
    def p_consistency_checks(self, probability: float | Literal[Joker.KEEP_CURRENT] | None) -> None:
        if probability is KEEP_CURRENT:
            return
        check_kind("p_consistency_checks", probability, (Real, NoneType), "a number or None")
        chosen = 0.0 if probability is None else float(probability)
        if not 0 <= chosen <= 1:
            raise ValueError(f"p_consistency_checks must be between 0 and 1, not {probability!r}")
        self._checks.probability = chosen

    @property
    def consistency_checks_attempted(self) -> int:
        """How many checks this handle has made."""
        return self._checks.attempted

    @property
    def consistency_checks_passed(self) -> int:
        """How many of them found an equal value."""
        return self._checks.passed

    @property
    def consistency_checks_failed(self) -> int:
        """How many of them found another value, or failed."""
        return self._checks.attempted - self._checks.passed

    def get_params(self) -> dict[str, Any]:
        return {"wrapped_dict": self._wrapped, "p_consistency_checks": self._checks.probability}

    def read_only(self) -> Self:
        handle = super().read_only()
        handle._wrapped = self._wrapped.read_only()
        return handle

    def get_subdict(self, prefix_key: PersiDictKey = ()) -> Self:
        handle = super().get_subdict(prefix_key)
        handle._wrapped = self._wrapped.get_subdict(prefix_key)
        handle._checks.attempted = handle._checks.passed = 0
        return handle
