"""A dictionary in which the first value of a key stays."""

from __future__ import annotations

import random
from numbers import Real
from types import NoneType
from typing import Any, Literal, Self

from perkey.arguments import check_kind
from perkey.content import bytes_of
from perkey.dicts.comparing import differences
from perkey.dicts.file_dir import FileDirDict
from perkey.errors import ConflictError, ConsistencyCheckError
from perkey.jokers import ITEM_NOT_AVAILABLE, KEEP_CURRENT, Joker
from perkey.keys import PersiDictKey
from perkey.mapping import PersiDict, V
from perkey.naming import Name


class WriteOnceDict(PersiDict[V]):
    """Wraps a dictionary: the first write of a key wins, atomically, and later ones are ignored.

    Of later writes a random share is compared with the value that is there, and a difference is an error:
    so a pipeline whose results should be reproducible finds out when they are not.

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

    _probability = 0.0

    def __init__(
        self,
        wrapped_dict: PersiDict[V] | None = None,
        p_consistency_checks: float | Literal[Joker.KEEP_CURRENT] | None = None,
    ) -> None:
        wrapped = FileDirDict[V](immutable_items=True) if wrapped_dict is None else wrapped_dict
        check_kind("wrapped_dict", wrapped, PersiDict, "a PersiDict")
        super().__init__(
            wrapped.store,
            file_type=wrapped.file_type,
            immutable_items=True,
            digest_len=wrapped.digest_len,
            base_class_for_values=wrapped.base_class_for_values,
        )
        self._shares_place = wrapped._shares_place
        self._wrapped = wrapped
        self.p_consistency_checks = p_consistency_checks
        self._attempted = 0
        self._passed = 0

    @property
    def p_consistency_checks(self) -> float:
        """The probability that a write of an existing key is checked; can be assigned.

        Assigning KEEP_CURRENT changes nothing.
        """
        return self._probability

    @p_consistency_checks.setter
    def p_consistency_checks(self, probability: float | Literal[Joker.KEEP_CURRENT] | None) -> None:
        if probability is KEEP_CURRENT:
            return
        check_kind("p_consistency_checks", probability, (Real, NoneType), "a number or None")
        chosen = 0.0 if probability is None else float(probability)
        if not 0 <= chosen <= 1:
            raise ValueError(f"p_consistency_checks must be between 0 and 1, not {probability!r}")
        self._probability = chosen

    @property
    def consistency_checks_attempted(self) -> int:
        """How many checks this handle has made."""
        return self._attempted

    @property
    def consistency_checks_passed(self) -> int:
        """How many of them found an equal value."""
        return self._passed

    @property
    def consistency_checks_failed(self) -> int:
        """How many of them found another value, or failed."""
        return self._attempted - self._passed

    _policy = "a WriteOnceDict"

    def get_params(self) -> dict[str, Any]:
        return {"wrapped_dict": self._wrapped, "p_consistency_checks": self._probability}

    def get_subdict(self, prefix_key: PersiDictKey = ()) -> Self:
        handle = super().get_subdict(prefix_key)
        handle._wrapped = self._wrapped.get_subdict(prefix_key)
        handle._attempted = handle._passed = 0
        return handle

    def read_only(self) -> Self:
        handle = super().read_only()
        handle._wrapped = self._wrapped.read_only()
        return handle

    def _meet_own_or_existing(self, name: Name, value: V, conflict: ConflictError) -> None:
        del conflict  # an insertion's own success is ignored, or found equal, as any other value is
        self._meet_existing(name, value)

    def _meet_existing(self, name: Name, value: V) -> None:
        """Ignore a later write, or compare it.

        Raises:
            ConsistencyCheckError: The value differs from the one that is there, which stays.
        """
        if random.random() >= self._probability:  # noqa: S311 - a sample, not a secret
            return
        self._attempted += 1
        first = self._load(name)
        if first is ITEM_NOT_AVAILABLE:  # another program removed it since
            self._attempted -= 1
            self._assign(name, value)
            return
        # What is compared is what would be read back: encoding may change a value, in JSON say.
        found = differences(first[0], self._as_stored(name, value))
        if found:
            raise ConsistencyCheckError(self._key_of(name), found)
        self._passed += 1

    def _as_stored(self, name: Name, value: V) -> V:
        return self._decode(name, bytes_of(self._encode(name, value)))
