"""Clauses about reading, and about adding what is not there yet: they hold for every dictionary."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from contracts.dicts.suite import DictSuite
from perkey.errors import CorruptValueError, UnstorableValueError
from perkey.jokers import DELETE_CURRENT, ITEM_NOT_AVAILABLE, KEEP_CURRENT, VALUE_NOT_RETRIEVED
from perkey.keys import NonEmptySafeStrTuple, SafeStrTuple, get_safe_chars
from perkey.mapping import PersiDict

BAD_KEYS: list[tuple[Any, type[Exception]]] = [
    ((), ValueError),
    ("", ValueError),
    ("a/b", ValueError),
    ("..", ValueError),
    (("a", "."), ValueError),
    ("a b", ValueError),
    ("ü", ValueError),
    ("nul\0", ValueError),
    ("x" * 300, ValueError),
    (tuple("x" * 250 for _ in range(5)), ValueError),
    (5, TypeError),
    (None, TypeError),
    (b"a", TypeError),
    (("a", 5), TypeError),
    ({"a"}, TypeError),
]


class AddingClauses(DictSuite):
    """Assigning to new keys, and reading."""

    def test_what_is_assigned_is_read_back(self, d: PersiDict[Any]) -> None:
        d["a"] = self.values(1)
        d["n", "b"] = self.values(2)
        self.assert_holds(d, {"a": self.values(1), ("n", "b"): self.values(2)})

    def test_an_empty_dictionary_holds_nothing(self, d: PersiDict[Any]) -> None:
        self.assert_holds(d, {})

    def test_an_absent_key_is_a_key_error_that_names_it(self, d: PersiDict[Any]) -> None:
        d["there"] = self.values(1)
        for key in ("absent", ("there", "absent"), ("absent", "there")):
            with pytest.raises(KeyError) as error:
                d[key]
            assert error.value.args == (NonEmptySafeStrTuple(key),)
            assert key not in d
            assert d.get(key) is None
            assert d.get(key, 7) == 7

    def test_all_forms_of_a_key_mean_one_item(self, d: PersiDict[Any]) -> None:
        forms: list[Any] = [
            ("k", "l", "m"),
            ["k", "l", "m"],
            ("k", ("l", "m")),
            [["k"], "l", ["m"]],
            SafeStrTuple("k", "l", "m"),
            NonEmptySafeStrTuple("k", "l", "m"),
        ]
        d[forms[0]] = self.values(1)
        for form in forms:
            assert d[form] == d.get(form) == self.values(1)
            assert form in d
        self.assert_holds(d, {("k", "l", "m"): self.values(1)})

    def test_a_string_is_the_key_of_one_part(self, d: PersiDict[Any]) -> None:
        d["a"] = self.values(1)
        assert d[("a",)] == d[["a"]] == self.values(1)

    def test_what_cannot_be_a_key_is_refused_by_all(self, d: PersiDict[Any]) -> None:
        value = self.values(1)
        acts: list[Callable[[Any], object]] = [
            d.__getitem__,
            d.get,
            d.__contains__,
            lambda key: d.__setitem__(key, value),
            lambda key: d.setdefault(key, value),
            lambda key: d.update([(key, value)]),
            d.timestamp,
            d.etag,
            d.get_with_etag,
        ]
        for key, error in BAD_KEYS:
            for act in acts:
                with pytest.raises(error):
                    act(key)
        self.assert_holds(d, {})

    def test_every_safe_character_may_be_in_a_key(self, d: PersiDict[Any]) -> None:
        plain = {f"k{char}": self.values(number) for number, char in enumerate(sorted(get_safe_chars()))}
        d.update(plain)
        self.assert_holds(d, plain)

    def test_keys_that_look_like_each_others_files_do_not_meet(self, d: PersiDict[Any]) -> None:
        keys = ["a", "A", "a.pkl", "a.json", "a_", "a_btaxlooa_", ".a", "a~", "-", "=", "a.b.c", ("a", "a")]
        plain = {key: self.values(number) for number, key in enumerate(keys)}
        for key, value in plain.items():
            d[key] = value
        self.assert_holds(d, plain)

    def test_a_key_may_be_a_beginning_of_another(self, d: PersiDict[Any]) -> None:
        plain = {("a",) * length: self.values(length) for length in range(1, 7)}
        for key, value in plain.items():
            d[key] = value
        self.assert_holds(d, plain)

    def test_what_was_stored_does_not_change_with_the_object(self, d: PersiDict[Any]) -> None:
        value = self.values(1)
        d["a"] = value
        if isinstance(value, dict):
            value["n"] = 2
            d["a"]["n"] = 3
        assert d["a"] == self.values(1)

    def test_a_value_that_cannot_be_stored_changes_nothing(self, d: PersiDict[Any]) -> None:
        for add in (
            lambda: d.__setitem__("a", self.values.unstorable),
            lambda: d.setdefault("a", self.values.unstorable),
            lambda: d.update({"a": self.values.unstorable}),
        ):
            with pytest.raises(UnstorableValueError):
                add()
            self.assert_holds(d, {})

    def test_sentinels_are_no_values(self, d: PersiDict[Any]) -> None:
        for sentinel in (ITEM_NOT_AVAILABLE, VALUE_NOT_RETRIEVED):
            with pytest.raises(TypeError):
                d["a"] = sentinel
            with pytest.raises(TypeError):
                d.setdefault("a", sentinel)
        for joker in (KEEP_CURRENT, DELETE_CURRENT):
            with pytest.raises(TypeError):
                d.setdefault("a", joker)
        self.assert_holds(d, {})

    def test_setdefault_inserts_once_and_returns_what_is_there(self, d: PersiDict[Any]) -> None:
        assert d.setdefault("a", self.values(1)) == self.values(1)
        assert d.setdefault("a", self.values(2)) == self.values(1)
        assert d.setdefault(("n", "a"), self.values(3)) == self.values(3)
        self.assert_holds(d, {"a": self.values(1), ("n", "a"): self.values(3)})

    def test_update_takes_mappings_pairs_dictionaries_and_keywords(self, d: PersiDict[Any]) -> None:
        d.update({"a": self.values(1), ("n", "b"): self.values(2)})
        d.update([("c", self.values(3)), (["n", "d"], self.values(4))])
        d.update(e=self.values(5))
        d.update({})
        source = self.make_other()
        source["f"] = self.values(6)
        d.update(source)
        plain = {"a": 1, ("n", "b"): 2, "c": 3, ("n", "d"): 4, "e": 5, "f": 6}
        self.assert_holds(d, {key: self.values(number) for key, number in plain.items()})

    def test_it_equals_mappings_of_equal_items_and_nothing_else(self, d: PersiDict[Any]) -> None:
        d["a"] = self.values(1)
        d["n", "b"] = self.values(2)
        equal: dict[Any, Any] = {**self.others, "a": self.values(1), ("n", "b"): self.values(2)}
        assert d == equal
        assert equal == d
        assert d == d.copy()
        assert d == d.get_subdict()
        assert d != {**equal, "a": self.values(3)}
        assert d != {**equal, "c": self.values(3)}
        assert d != {key: value for key, value in equal.items() if key != "a"}
        assert d != {**equal, "not a key/": self.values(3)}
        assert d != {**equal, 5: self.values(3)}
        assert d != list(equal.items())
        assert d != 5

    def test_equality_does_not_hide_damage(self, d: PersiDict[Any]) -> None:
        """A damaged value is an error, not a difference."""
        before = set(d.store.scan())
        d["a"] = self.values(1)
        (name,) = set(d.store.scan()) - before
        d.store.write(name, b"\xff\xfe damaged")
        for other in ({"a": self.values(1)}, {}, d):
            with pytest.raises(CorruptValueError):
                assert d == other

    def test_it_is_not_hashable(self, d: PersiDict[Any]) -> None:
        with pytest.raises(TypeError):
            hash(d)

    def test_copy_and_union_give_plain_dicts(self, d: PersiDict[Any]) -> None:
        d["a"] = self.values(1)
        mine = {**self.others, ("a",): self.values(1)}
        copied = d.copy()
        assert type(copied) is dict
        assert copied == mine
        more = {"a": self.values(2), "b": self.values(3)}
        assert d | more == {**mine, ("a",): self.values(2), ("b",): self.values(3)}
        assert more | d == {("b",): self.values(3), **mine}
        assert type(d | more) is type(more | d) is dict
        assert d | d.get_subdict() == mine
        with pytest.raises(TypeError):
            d | [("a", 1)]  # type: ignore[operator]
        with pytest.raises(TypeError):
            [("a", 1)] | d  # type: ignore[operator]
        self.assert_holds(d, {"a": self.values(1)})

    def test_union_in_place_stays_the_same_dictionary(self, d: PersiDict[Any]) -> None:
        same = d
        d |= {"a": self.values(1)}
        d |= [(("n", "b"), self.values(2))]
        assert d is same
        self.assert_holds(same, {"a": self.values(1), ("n", "b"): self.values(2)})

    def test_its_text_says_what_it_is(self, d: PersiDict[Any]) -> None:
        assert repr(d).startswith(f"{type(d).__name__}(")
        assert str(d) == repr(d)

    def make_other(self) -> PersiDict[Any]:
        """Return another dictionary of the same kind of values."""
        from perkey.dicts.local import LocalDict

        return LocalDict("txt" if self.values.base_class is str else "pkl")
