"""A machine that does whatever can be done to a dictionary, and to a plain dict beside it."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

from contracts.dicts.suite import PICKLED, Plain, Values, assert_agrees
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from perkey import (
    ANY_ETAG,
    DELETE_CURRENT,
    ETAG_HAS_CHANGED,
    ETAG_IS_THE_SAME,
    ITEM_NOT_AVAILABLE,
    KEEP_CURRENT,
    MutationPolicyError,
    PersiDict,
)

LONG = bool(os.environ.get("PERKEY_LONG"))

STEADY = settings(
    max_examples=60 if LONG else 15,
    stateful_step_count=40 if LONG else 30,
    deadline=None,
    derandomize=not LONG,
    suppress_health_check=[HealthCheck.too_slow],
)
"""Bounded, and the same every time, unless the long form is wanted."""

# Few and similar keys, so that operations meet: beginnings of each other, equal leaves, other letters' cases.
KEYS = st.sampled_from([("a",), ("A",), ("b",), ("p", "a"), ("p", "b"), ("p", "q", "a"), ("a", "a")])
PREFIXES = st.sampled_from([(), ("p",), ("p", "q"), ("a",), ("nothing",)])
NUMBERS = st.integers(0, 9)


class ReadingMachine(RuleBasedStateMachine):
    """Adds and reads; after each step everything that tells of the content agrees."""

    values: ClassVar[Values] = PICKLED
    shares: ClassVar[bool] = True
    """Whether an unpickled handle has the same items."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = TemporaryDirectory()
        self.d = self.make_dict(self._folder.name)
        self.plain: Plain = {}

    def make_dict(self, folder: str) -> PersiDict[Any]:
        """Return the dictionary; `folder` is its own."""
        raise NotImplementedError

    def teardown(self) -> None:
        self._folder.cleanup()

    @invariant()
    def all_ways_of_looking_agree(self) -> None:
        assert_agrees(self.d, self.plain)

    @invariant()
    def etags_times_and_parts_are_those_of_the_items(self) -> None:
        times = dict(self.d.keys_and_timestamps())
        assert times == {key: self.d.timestamp(key) for key in self.plain}
        assert sorted(self.d.oldest_keys()) == sorted(self.plain)
        assert set(self.d.subdicts()) == {key[0] for key in self.plain if len(key) > 1}
        assert len({self.d.etag(key) for key in self.plain}) == len(self.plain)

    @rule(key=KEYS, number=NUMBERS)
    def add(self, key: tuple[str, ...], number: int) -> None:
        if key not in self.plain:
            self.d[key] = self.values(number)
            self.plain[key] = self.values(number)

    @rule(key=KEYS, number=NUMBERS)
    def setdefault(self, key: tuple[str, ...], number: int) -> None:
        value = self.values(number)
        assert self.d.setdefault(key, value) == self.plain.setdefault(key, value)

    @rule(key=KEYS, number=NUMBERS)
    def setdefault_if(self, key: tuple[str, ...], number: int) -> None:
        result = self.d.setdefault_if(
            key,
            default_value=self.values(number),
            condition=ETAG_IS_THE_SAME,
            expected_etag=ITEM_NOT_AVAILABLE,
        )
        assert result.condition_was_satisfied is (key not in self.plain)
        assert result.new_value == self.plain.setdefault(key, self.values(number))

    @rule(key=KEYS)
    def look(self, key: tuple[str, ...]) -> None:
        assert self.d.get(key, "absent") == self.plain.get(key, "absent")
        assert (key in self.d) is (key in self.plain)
        found = self.d.get_with_etag(key)
        assert found.new_value == self.plain.get(key, ITEM_NOT_AVAILABLE)

    @rule(prefix=PREFIXES)
    def look_into_a_part(self, prefix: tuple[str, ...]) -> None:
        cut = len(prefix)
        below = {key[cut:]: v for key, v in self.plain.items() if len(key) > cut and key[:cut] == prefix}
        assert_agrees(self.d.get_subdict(prefix), below)

    @rule(prefix=PREFIXES, number=NUMBERS)
    def add_to_a_part(self, prefix: tuple[str, ...], number: int) -> None:
        assert self.d.get_subdict(prefix).setdefault("b", self.values(number)) == self.plain.setdefault(
            (*prefix, "b"), self.values(number)
        )

    @rule()
    def keep(self) -> None:
        for key in [("a",), ("nothing",)]:
            self.d[key] = KEEP_CURRENT

    @rule()
    def draw(self) -> None:
        key = self.d.random_key()
        assert key in self.plain if self.plain else key is None

    @rule()
    def reopen(self) -> None:
        if self.shares:
            self.d = pickle.loads(pickle.dumps(self.d))

    @rule(key=KEYS)
    def fail_to_store(self, key: tuple[str, ...]) -> None:
        if key not in self.plain:
            try:
                self.d[key] = self.values.unstorable
            except TypeError:
                return
            raise AssertionError("it was stored")


class ChangingMachine(ReadingMachine):
    """Changes and deletes, too."""

    def __init__(self) -> None:
        super().__init__()
        self.stale: dict[tuple[str, ...], str] = {}

    @rule(key=KEYS, number=NUMBERS)
    def assign(self, key: tuple[str, ...], number: int) -> None:
        self.remember(key)
        self.d[key] = self.values(number)
        self.plain[key] = self.values(number)

    def remember(self, key: tuple[str, ...]) -> None:
        """Keep the etag that an item is about to lose."""
        if key in self.plain:
            self.stale[key] = self.d.etag(key)

    @rule(items=st.dictionaries(KEYS, NUMBERS, max_size=4))
    def update(self, items: dict[tuple[str, ...], int]) -> None:
        plain = {key: self.values(number) for key, number in items.items()}
        self.d.update(plain)
        self.plain.update(plain)

    @rule(key=KEYS, how=st.sampled_from(["del", "discard", "pop", "joker", "discard_if", "transform"]))
    def delete(self, key: tuple[str, ...], how: str) -> None:
        self.remember(key)
        present = key in self.plain
        value = self.plain.pop(key, "absent")
        if how == "del":
            try:
                del self.d[key]
            except KeyError:
                assert not present
            else:
                assert present
        elif how == "discard":
            assert self.d.discard(key) is present
        elif how == "pop":
            assert self.d.pop(key, "absent") == value
        elif how == "joker":
            self.d[key] = DELETE_CURRENT
        elif how == "discard_if":
            result = self.d.discard_if(key, condition=ANY_ETAG, expected_etag=ITEM_NOT_AVAILABLE)
            assert result.value_was_mutated is present
        else:
            self.d.transform_item(key, transformer=lambda _: DELETE_CURRENT)

    @rule()
    def popitem(self) -> None:
        if self.plain:
            key, value = self.d.popitem()
            assert self.plain.pop(key) == value
            return
        try:
            self.d.popitem()
        except KeyError:
            return
        raise AssertionError("an item came out of nothing")

    @rule(prefix=PREFIXES)
    def clear_a_part(self, prefix: tuple[str, ...]) -> None:
        self.d.get_subdict(prefix).clear()
        cut = len(prefix)
        self.plain = {k: v for k, v in self.plain.items() if len(k) <= cut or k[:cut] != prefix}

    @rule(key=KEYS)
    def increment(self, key: tuple[str, ...]) -> None:
        def transform(value: Any) -> Any:
            seen = "absent" if value is ITEM_NOT_AVAILABLE else value
            assert seen == self.plain.get(key, "absent")
            return self.values(0 if seen == "absent" else self.values.number(value) + 1)

        result = self.d.transform_item(key, transformer=transform)
        self.plain[key] = result.new_value
        assert result.resulting_etag == self.d.etag(key)

    @precondition(lambda self: self.stale)
    @rule(data=st.data(), number=NUMBERS, condition=st.sampled_from([ETAG_IS_THE_SAME, ETAG_HAS_CHANGED]))
    def set_if(self, data: Any, number: int, condition: Any) -> None:
        """Under an etag that is stale, current or absence."""
        key = data.draw(st.sampled_from(sorted(self.stale)))
        actual = self.d.etag(key) if key in self.plain else ITEM_NOT_AVAILABLE
        expected = data.draw(st.sampled_from([self.stale[key], actual, ITEM_NOT_AVAILABLE]))
        value = self.values(number)
        result = self.d.set_item_if(key, value=value, condition=condition, expected_etag=expected)
        holds = (expected == actual) is (condition is ETAG_IS_THE_SAME)
        assert result.condition_was_satisfied is holds
        assert result.actual_etag == actual
        if holds:
            self.plain[key] = value
            if actual is not ITEM_NOT_AVAILABLE:
                self.stale[key] = actual


class KeepingMachine(ReadingMachine):
    """What is there stays: changes are refused, or ignored."""

    ignores: ClassVar[bool] = False
    """Whether a later write is ignored instead of refused."""

    @rule(key=KEYS, number=NUMBERS, how=st.sampled_from(["assign", "transform", "set_if"]))
    def write_again(self, key: tuple[str, ...], number: int, how: str) -> None:
        value = self.values(number)
        present = key in self.plain
        ways: dict[str, Callable[[], object]] = {
            "assign": lambda: self.d.__setitem__(key, value),
            "transform": lambda: self.d.transform_item(key, transformer=lambda _: value),
            "set_if": lambda: self.d.set_item_if(
                key, value=value, condition=ANY_ETAG, expected_etag=ITEM_NOT_AVAILABLE
            ),
        }
        try:
            ways[how]()
        except MutationPolicyError:
            assert present
            assert not self.ignores
        else:
            assert not present or self.ignores
            self.plain.setdefault(key, value)

    @rule(key=KEYS, how=st.sampled_from(["del", "pop", "joker", "discard", "clear", "popitem"]))
    def delete(self, key: tuple[str, ...], how: str) -> None:
        ways: dict[str, Callable[[], object]] = {
            "del": lambda: self.d.__delitem__(key),
            "pop": lambda: self.d.pop(key, None),
            "joker": lambda: self.d.__setitem__(key, DELETE_CURRENT),
            "discard": lambda: self.d.discard(key),
            "clear": self.d.clear,
            "popitem": self.d.popitem,
        }
        try:
            ways[how]()
        except MutationPolicyError:
            return
        raise AssertionError("it was deleted")
