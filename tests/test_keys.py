"""Keys are flat tuples of safe strings; quoting makes one of any text, and back."""

import copy
import pickle
import tempfile
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from perkey import (
    FileDirDict,
    NonEmptySafeStrTuple,
    SafeStrTuple,
    get_safe_chars,
    quote,
    replace_unsafe_chars,
    unquote,
)
from perkey.keys import SAFE_STRING_MAX_LENGTH
from perkey.naming import digest, naming

PARTS = st.text(sorted(get_safe_chars()), min_size=1, max_size=60).filter(
    lambda part: part not in {".", ".."}
)
# Surrogates are text, too: names of files that are no UTF-8 come with them.
ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=200)
# Texts that meet what quoting treats specially, more often than chance would.
AWKWARD = st.text(sorted("._=~aA2-/\0\ud800\udc00é"), max_size=40)
LIKE_SUFFIXED = st.tuples(PARTS, st.integers(1, 26)).map(lambda x: f"{x[0]}_{digest(*x)}")
TEXTS = ANY_TEXT | AWKWARD | LIKE_SUFFIXED


class TestKeys:
    def test_are_flattened_whatever_the_nesting(self) -> None:
        assert SafeStrTuple("a", ["b", ("c", SafeStrTuple("d"))], []).strings == ("a", "b", "c", "d")

    def test_are_tuples_equal_to_and_hashing_like_them(self) -> None:
        key = SafeStrTuple("a", "b")
        assert key == ("a", "b")
        assert hash(key) == hash(("a", "b"))
        assert {("a", "b"): 1}[key] == 1

    def test_concatenate_with_strings_and_sequences_on_either_side(self) -> None:
        key = SafeStrTuple("k")
        others: list[Any] = ["x", ["x"], ("x",), SafeStrTuple("x")]
        for other in others:
            behind, before = key + other, other + key
            assert (type(behind), behind) == (SafeStrTuple, ("k", "x"))
            assert (type(before), before) == (SafeStrTuple, ("x", "k"))

    def test_check_what_they_are_concatenated_with(self) -> None:
        with pytest.raises(ValueError, match="not safe"):
            SafeStrTuple("k") + "a/b"

    def test_slice_to_keys_and_index_to_strings(self) -> None:
        key = NonEmptySafeStrTuple("a", "b", "c")
        assert (key[0], key[-1]) == ("a", "c")
        assert (type(key[1:]), key[1:]) == (SafeStrTuple, ("b", "c"))
        assert key[3:] == SafeStrTuple()

    def test_may_be_empty_only_where_nothing_is_stored_under_them(self) -> None:
        assert len(SafeStrTuple()) == 0
        kinds_of_nothing: list[Any] = [(), [], SafeStrTuple(), [[], ()]]
        for nothing in kinds_of_nothing:
            with pytest.raises(ValueError, match="at least one part"):
                NonEmptySafeStrTuple(nothing)

    @given(st.lists(PARTS, min_size=1, max_size=5))
    def test_survive_pickling_and_copying(self, parts: list[str]) -> None:
        for cls in (SafeStrTuple, NonEmptySafeStrTuple):
            key = cls(parts)
            for twin in (pickle.loads(pickle.dumps(key)), copy.deepcopy(key)):
                assert (type(twin), twin) == (cls, tuple(parts))

    @given(st.lists(PARTS, min_size=1, max_size=5))
    def test_are_shown_as_the_tuple_that_they_equal_and_print_as_a_path(self, parts: list[str]) -> None:
        for cls in (SafeStrTuple, NonEmptySafeStrTuple):
            key = cls(parts)
            assert repr(key) == repr(tuple(parts))
            assert eval(repr(key)) == key
            assert str(key) == f"{key}" == "/".join(parts)

    @pytest.mark.parametrize(
        "part", ["", ".", "..", "a/b", "a\\b", "a\0", "é", "a b", "a\n", "*", "a:b", "a@"]
    )
    def test_refuse_parts_that_are_not_safe(self, part: str) -> None:
        for build in (SafeStrTuple, NonEmptySafeStrTuple):
            with pytest.raises(ValueError, match="part"):
                build("fine", part)

    @pytest.mark.parametrize("part", ["...", ".a", "a.", "-", "~", "()", "=", "CON", "_"])
    def test_take_parts_that_merely_look_odd(self, part: str) -> None:
        assert SafeStrTuple(part).strings == (part,)

    def test_bound_the_length_of_a_part(self) -> None:
        assert len(SafeStrTuple("x" * SAFE_STRING_MAX_LENGTH)[0]) == 253
        with pytest.raises(ValueError, match="at most 253"):
            SafeStrTuple("x" * (SAFE_STRING_MAX_LENGTH + 1))

    @pytest.mark.parametrize(
        "thing", [5, None, b"a", bytearray(b"a"), memoryview(b"a"), {"a"}, {"a": 1}, 1.5]
    )
    def test_are_made_of_strings_and_sequences_only(self, thing: Any) -> None:
        with pytest.raises(TypeError, match=f"not {type(thing).__name__}"):
            SafeStrTuple("a", thing)

    def test_hold_plain_strings_even_if_made_of_a_subclass(self) -> None:
        class Shouting(str):
            __slots__ = ()

        assert type(SafeStrTuple(Shouting("a"))[0]) is str


class TestSafeCharacters:
    def test_are_those_of_file_names_and_urls(self) -> None:
        assert "".join(sorted(get_safe_chars())) == (
            "()-.0123456789=ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~"
        )

    def test_come_as_a_set_of_ones_own(self) -> None:
        get_safe_chars().clear()
        assert "a" in get_safe_chars()

    @given(ANY_TEXT)
    def test_replacing_leaves_safe_ones_and_replaces_all_others(self, text: str) -> None:
        replaced = replace_unsafe_chars(text, "-")
        assert len(replaced) == len(text)
        assert set(replaced) <= get_safe_chars()
        assert all(new in {old, "-"} for new, old in zip(replaced, text, strict=True))

    def test_may_be_replaced_by_nothing_or_several(self) -> None:
        assert replace_unsafe_chars("a b/c", "") == "abc"
        assert replace_unsafe_chars("a b/c", "__") == "a__b__c"
        assert replace_unsafe_chars("a b") == "a_b"

    def test_are_not_replaced_by_unsafe_ones(self) -> None:
        with pytest.raises(ValueError, match="not safe"):
            replace_unsafe_chars("a b", "/")


class TestQuoting:
    @given(TEXTS)
    @example("")
    @example(".")
    @example("..")
    @example("=")
    @example("==")
    @example("a" * 160 + ".")
    @example("a" * 160 + "..")
    @example("a_btaxlooa")
    @example("\ud83d\ude00")
    @example("\U0001f600")
    @settings(max_examples=300)
    def test_is_reversible_for_any_text(self, text: str) -> None:
        assert unquote(quote(text)) == text

    @given(TEXTS, TEXTS)
    @example("\ud83d\ude00", "\U0001f600")
    @example("a b", "a=20b")
    @example("", "==")
    @settings(max_examples=300)
    def test_gives_different_texts_different_names(self, one: str, other: str) -> None:
        """Also after digests and file types were added: no text is taken for another one with its suffix."""
        for digest_len in (0, 1, 8, 26):
            names = naming(digest_len, "pkl")
            assert (names.name_of(quote(one)) == names.name_of(quote(other))) is (one == other)

    @given(TEXTS)
    def test_leads_back_from_the_stored_name(self, text: str) -> None:
        for digest_len in (0, 1, 8, 26):
            names = naming(digest_len, "pkl")
            key = names.key_of(names.name_of(quote(text)))
            assert key is not None
            assert unquote(key) == text

    def test_leaves_safe_text_as_it_is(self) -> None:
        assert quote("A-b_c.(1)~") == ("A-b_c.(1)~",)

    def test_cuts_long_text_into_parts_that_fit_every_dictionary(self) -> None:
        for char in ("a", "é", "\U0001f600", "/", "\ud800"):
            text = char * (600 // len(quote(char)[0]))
            key = quote(text)
            assert max(map(len, key)) < 200
            assert naming(8, "pkl").name_of(key)
            assert unquote(key) == text

    @pytest.mark.parametrize(
        "foreign",
        [
            "=",
            "a=",
            "=4",
            "=4g",
            "=c3",
            "=FF",
            "=61",
            "a=5F",
            "=41=",
            ("a", "b"),
            ("a=", "b"),
            "a_btaxlooa",
            "...=",
        ],
    )
    def test_is_not_taken_back_from_what_was_not_quoted(self, foreign: Any) -> None:
        with pytest.raises(ValueError, match=r"quote|decode"):
            unquote(foreign)

    def test_makes_keys_that_survive_a_folder(self) -> None:
        """Written through one handle and listed through another, all texts come back with their values."""
        texts = [
            "",
            ".",
            "..",
            "a",
            "A",
            "a/b",
            "a\0b",
            "é",
            "\udcff",
            "a_btaxlooa",
            "a_b",
            "x" * 500,
            "=",
            "~",
            "\n",
        ]
        for digest_len in (0, 8):
            with tempfile.TemporaryDirectory() as folder:
                written = FileDirDict[str](folder, "json", digest_len=digest_len, durability="none")
                for text in texts:
                    written[quote(text)] = text
                found = FileDirDict[str](folder, "json", digest_len=digest_len)
                assert {unquote(key): value for key, value in found.items()} == {text: text for text in texts}

    @given(st.lists(TEXTS, max_size=8, unique=True))
    @settings(max_examples=25, deadline=None)
    def test_makes_keys_that_survive_a_folder_whatever_the_text(self, texts: list[str]) -> None:
        kept = [text for text in texts if sum(map(len, quote(text))) < 600]
        for digest_len in (0, 8):
            with tempfile.TemporaryDirectory() as folder:
                d = FileDirDict[str](folder, digest_len=digest_len, durability="none")
                for text in kept:
                    d[quote(text)] = text
                assert sorted(unquote(key) for key in d) == sorted(kept)
                assert all(d[quote(text)] == text for text in kept)
