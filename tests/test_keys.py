"""Keys are flat tuples of safe strings; quoting makes one of any text, and back."""

import copy
import enum
import json
import pickle
import string
import subprocess
import sys
import tempfile
from collections import UserList, UserString, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from perkey import (
    FileDirDict,
    NonEmptySafeStrTuple,
    SafeStrTuple,
    get_safe_chars,
    key_of,
    quote,
    replace_unsafe_chars,
    unquote,
)
from perkey.keys import SAFE_STRING_MAX_LENGTH, check_part, is_safe_part, small_key_of
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


class Hostile(str):
    """A string whose methods say something else than its characters."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __str__(self) -> str:
        return "other"

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return "other"

    def __len__(self) -> int:
        return 0

    def __iter__(self) -> Any:
        return iter("other")

    def __getitem__(self, index: Any) -> str:
        return "o"


class AnyCase(str):
    """A string that equals others in another case, and hashes like them."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and self.casefold() == other.casefold()

    def __hash__(self) -> int:
        return hash(self.casefold())


def member(text: str) -> str:
    """Return a member of a ``(str, Enum)`` that is this text."""
    kinds: Any = enum
    found: str = kinds.Enum("Stage", {"TRAIN": text}, type=str).TRAIN
    return found


def kind_of(thing: object) -> str:
    return type(thing).__name__


DISGUISES: dict[str, Callable[[str], str]] = {
    "a member of a (str, Enum)": member,
    "a member of a StrEnum": lambda text: enum.StrEnum("Stage", {"TRAIN": text}).TRAIN,  # type: ignore[attr-defined]
    "a subclass with methods of its own": Hostile,
    "a subclass with equality of its own": AnyCase,
    "numpy's string": np.str_,
}
"""Ways to give a text as an object of a subclass."""


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
        "thing",
        [
            5, None, 1.5, b"a", bytearray(b"a"), memoryview(b"a"), {"a"}, frozenset("a"), {"a": "b"},
            {"a": 1}.keys(), {"a": "b"}.values(), iter("ab"), (part for part in "ab"), UserString("ab"),
            Path("a"), member, range(3),
        ],
        ids=kind_of,
    )  # fmt: skip
    def test_are_made_of_strings_and_sequences_only(self, thing: Any) -> None:
        """The error says what to do: there is a way to make a key of each."""
        wrong = 0 if isinstance(thing, range) else thing
        for build in (SafeStrTuple, NonEmptySafeStrTuple):
            for parts in ([thing], ["a", thing], [["a", [thing]]]):
                with pytest.raises(TypeError, match=rf"not {type(wrong).__name__}; .*\(x\)"):
                    build(*parts)

    @pytest.mark.parametrize("kind", [list, tuple, deque, UserList, SafeStrTuple])
    def test_are_made_of_any_kind_of_sequence(self, kind: Callable[[Any], Any]) -> None:
        assert SafeStrTuple(kind(["a", "b"])) == ("a", "b")

    def test_are_not_nested_without_end(self) -> None:
        endless: list[Any] = ["a"]
        endless.append(endless)
        deep: Any = "a"
        for _ in range(10_000):
            deep = [deep]
        for thing in (endless, deep):
            with pytest.raises(ValueError, match="100 levels"):
                SafeStrTuple(thing)

    @pytest.mark.parametrize("disguise", DISGUISES)
    @given(part=PARTS, other=PARTS)
    @settings(max_examples=25)
    def test_are_their_text_whatever_class_it_is_of(self, disguise: str, part: str, other: str) -> None:
        disguised = DISGUISES[disguise](part)
        for key in (
            SafeStrTuple(disguised, other),
            SafeStrTuple([disguised, [other]]),
            SafeStrTuple(disguised) + other,
            disguised + SafeStrTuple(other),
        ):
            assert tuple.__eq__(key, (part, other)) is True
            assert [type(inner) for inner in key] == [str, str]
            assert str(key) == f"{part}/{other}"


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

    @pytest.mark.parametrize("disguise", DISGUISES)
    def test_are_replaced_in_the_text_whatever_class_it_is_of(self, disguise: str) -> None:
        given = DISGUISES[disguise]
        replaced = replace_unsafe_chars(given("a b"), given("~"))
        assert (type(replaced), str(replaced)) == (str, "a~b")

    @pytest.mark.parametrize("thing", [("a", "b"), ["a/b"], {"a b": 1}, b"a", 5, None, UserString("a b")])
    def test_are_replaced_in_text_only(self, thing: Any) -> None:
        with pytest.raises(TypeError, match=r"text must be a string"):
            replace_unsafe_chars(thing)
        with pytest.raises(TypeError, match=r"replace_with must be a string"):
            replace_unsafe_chars("a", thing)

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

    @pytest.mark.parametrize("disguise", DISGUISES)
    @given(text=TEXTS.filter(bool))
    @settings(max_examples=25)
    def test_is_that_of_the_text_whatever_class_it_is_of(self, disguise: str, text: str) -> None:
        disguised = DISGUISES[disguise](text)
        if disguise == "numpy's string":
            text = str.__str__(disguised)  # numpy cuts off trailing NULs
        for shorten in (False, True):
            assert quote(disguised, shorten=shorten) == quote(text, shorten=shorten)

    @pytest.mark.parametrize(
        "thing",
        [0.1, None, b"ab", 7, [1], ["a", "bc"], ("x",), {}, [], {"lr": 0.1}, {"b"}, UserString("a")],
        ids=kind_of,
    )
    def test_is_of_text_only(self, thing: Any) -> None:
        for shorten in (False, True):
            with pytest.raises(TypeError, match=r"text must be a string, not .*str\(x\).*key_of"):
                quote(thing, shorten=shorten)

    def test_has_the_limits_that_are_documented(self) -> None:
        names = naming(8, "pkl")
        documented = {832: "a", 277: " ", 138: "é", 92: "请", 69: "\U0001f600"}
        for most, char in documented.items():
            assert f"{most} " in (quote.__doc__ or "")
            assert unquote(quote(char * most)) == char * most
            assert names.name_of(quote(char * most))
            with pytest.raises(ValueError, match=r"too long.*at most 900.*quote\(text, shorten=True\)"):
                names.name_of(quote(char * (most + 1)))

    def test_of_a_part_that_is_too_long_is_advised(self) -> None:
        with pytest.raises(ValueError, match=r"shorten=True"):
            naming(8, "pkl").name_of("a" * 250)


LONG = st.text(st.sampled_from("aé请 =_.\ud800A\U0001f600"), min_size=0, max_size=400)


class TestShortenedQuoting:
    @given(LONG, st.integers(0, 26))
    def test_fits_every_dictionary_in_one_part(self, text: str, digest_len: int) -> None:
        (part,) = quote(text * 5, shorten=True)
        assert len(part) <= 160
        names = naming(digest_len, "pkl")
        assert names.key_of(names.name_of(part)) == (part,)

    @given(LONG, LONG)
    @example("a" * 161, "a" * 162)
    @example("请" * 18, "请" * 19)
    def test_tells_texts_apart(self, one: str, other: str) -> None:
        assert (quote(one, shorten=True) == quote(other, shorten=True)) is (one == other)
        assert (quote(one, shorten=True) == quote(other)) is (one == other and len(quote(one)) == 1)

    @given(LONG)
    def test_leaves_short_text_reversible_and_says_that_long_text_is_not(self, text: str) -> None:
        key = quote(text, shorten=True)
        if len(quote(text)) == 1:
            assert key == quote(text)
            assert unquote(key) == text
        else:
            with pytest.raises(ValueError, match=r"shorten=True.*cannot be recovered"):
                unquote(key)

    def test_begins_readably(self) -> None:
        text = "Summarise the following article in three sentences. " * 20
        (part,) = quote(text, shorten=True)
        assert part.startswith("Summarise=20the=20following=20article=20in=20three=20sentences.=20Summarise")

    def test_has_a_digest_that_others_can_compute(self) -> None:
        assert quote("a" * 161, shorten=True) == ("a" * 126 + "==" + "czuowt5nko5hwn5sgo6lqgpuudby5yvg",)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def exact(thing: Any) -> Any:
    """Return what two parameters have in common if and only if they are the same ones."""
    if isinstance(thing, dict):
        return ("dict", frozenset((key, exact(value)) for key, value in thing.items()))
    if isinstance(thing, list):
        return ("list", *map(exact, thing))
    return (type(thing), repr(thing))


def shuffled(thing: Any) -> Any:
    """Return the same parameters, mappings filled in another order, and lists as tuples."""
    if isinstance(thing, dict):
        return {key: shuffled(thing[key]) for key in reversed(thing)}
    return tuple(map(shuffled, thing)) if isinstance(thing, list) else thing


class TestKeysOfParameters:
    # Never to be changed: there are keys like these in people's folders.
    PINNED: ClassVar[dict[str, Any]] = {
        "oqru5gfp45ey7no26hzwvqwxrlgdhfde": None,
        "ww7kig3mmi7xycprx4snzlsy5ovtydg5": True,
        "l7wowzx7zbxtrwkspbwg22lmphbnxqrz": 0,
        "t4u2cmcdroaroc4suqtfb6njiki6zlla": 1.5,
        "qffjpwxlivaw4jf67qfotjsbjlbpihzg": 1e22,
        "yjtbpr6mxsvgmmnulwcrxdhvnyq5fstc": -0.0,
        "dyoq6ji5hj3puky37sarmqdyk4tcgqby": "text",
        "j5j43immfovaya2uxnpzupwl4xwrfk2n": [],
        "iqjw7i2vwntyuekgvulpp2det2kpwt6c": {},
        "orz2xokvjctu2a3qk3zomn2gqrpja2qu": {"lr": 0.1, "layers": [64, 64]},
        "4ldqur2iljd3e6jkdtljhytle2ud2w2z": {"b": 1, "a": {"d": None, "c": [1, 2.0, "é/\n\x7f"]}},
        "5zfhmuanjvyuzjurv7swyh6z4cs7xs2c": "\ud800",
        "6vhfzd4bazeooy4nexvx5vwsjn7ftgov": 123456789012345678901234567890,
    }

    @pytest.mark.parametrize("expected", PINNED)
    def test_stay_as_they_are(self, expected: str) -> None:
        assert key_of(self.PINNED[expected]) == (expected,)

    def test_are_the_same_in_other_processes(self) -> None:
        code = "from perkey import key_of; print(key_of({'b': [1, 2.5, None], 'a': {'é': True}, 'c': 'x'}))"
        here = str(key_of({"c": "x", "a": {"é": True}, "b": (1, 2.5, None)}))
        for seed in ("0", "1"):
            environment = {"PYTHONHASHSEED": seed, "LC_ALL": "C", "PYTHONPATH": ":".join(sys.path)}
            done = subprocess.run(
                [sys.executable, "-c", code], capture_output=True, check=True, text=True, env=environment
            )
            assert done.stdout.strip() == here

    @given(JSON, JSON)
    @example({"a": 1}, {"a": 1.0})
    @example({"a": 1}, {"a": True})
    @example({"a": "1"}, {"a": 1})
    @example({"a": None}, {})
    @example([0.0], [-0.0])
    @example(["\ud83d\ude00"], ["\U0001f600"])
    @example(float("inf"), "Infinity")
    @settings(max_examples=200)
    def test_differ_exactly_where_parameters_do(self, one: Any, other: Any) -> None:
        assert (key_of(one) == key_of(other)) is (exact(one) == exact(other))

    @given(JSON)
    def test_do_not_depend_on_order_or_kind_of_sequence(self, parameters: Any) -> None:
        key = key_of(parameters)
        assert key == key_of(shuffled(parameters)) == key_of(copy.deepcopy(parameters))
        assert (len(key), len(key[0])) == (1, 32)
        assert set(key[0]) <= set(string.ascii_lowercase + "234567")

    @pytest.mark.parametrize("disguise", DISGUISES)
    def test_are_of_the_text_whatever_class_it_is_of(self, disguise: str) -> None:
        text = DISGUISES[disguise]("train")
        assert key_of({text: text, "b": [text]}) == key_of({"train": "train", "b": ["train"]})

    def test_are_of_the_number_whatever_class_it_is_of(self) -> None:
        class Odd(int):
            def __repr__(self) -> str:
                return "7"

            __int__ = __index__ = lambda self: 9

        class Level(enum.IntEnum):
            LOW = 3

        assert key_of([Odd(3), Level.LOW, np.float64(0.1)]) == key_of([3, 3, 0.1])

    @pytest.mark.parametrize(
        ("parameters", "where"),
        [
            ({1, 2}, "parameters must"),
            ({"a": [1, b"x"]}, r"parameters\['a'\]\[1\] must"),
            ({"a": np.int64(5)}, r"parameters\['a'\] must.*tolist"),
            ({"a": np.zeros(2)}, r"parameters\['a'\] must.*tolist"),
            ({1: "a"}, "keys in parameters must be strings, not int"),
            (object(), "not object"),
            (UserString("a"), "not UserString"),
            (Path("a"), r"str\(x\)"),
        ],
        ids=kind_of,
    )
    def test_are_of_json_like_parameters_only(self, parameters: Any, where: str) -> None:
        with pytest.raises(TypeError, match=where):
            key_of(parameters)

    def test_are_made_at_once_where_parts_are_shared_and_are_those_of_copies(self) -> None:
        shared: Any = [1, "a"]
        for _ in range(8):
            shared = {"a": shared, "b": [shared]}
        assert key_of(shared) == key_of(json.loads(json.dumps(shared)))
        endless: Any = [1]
        for _ in range(90):
            endless = [endless, endless]
        assert key_of(endless) == key_of([endless[0], list(endless[1])])
        assert key_of(endless) != key_of(endless[0])

    def test_are_of_integers_of_any_length(self) -> None:
        numbers = (10**4300 - 1, 10**4300, -(10**4300), 10**5000, 10**5000 + 1)
        assert len({key_of([number]) for number in numbers}) == len(numbers)
        assert key_of({"a": 10**5000}) != key_of({"a": hex(10**5000)})

    def test_are_not_of_parameters_that_contain_themselves(self) -> None:
        endless: dict[str, Any] = {}
        endless["a"] = [endless]
        with pytest.raises(ValueError, match="100 levels"):
            key_of(endless)

    def test_are_not_of_two_texts_that_are_one(self) -> None:
        class Own(str):
            __slots__ = ()
            __hash__ = object.__hash__

            def __eq__(self, other: object) -> bool:
                return self is other

        with pytest.raises(ValueError, match="same text 'a'"):
            key_of({"a": 1, Own("a"): 2})


@given(st.text("aZ9()_-~.=/ \né", max_size=4) | st.text("a.", min_size=250, max_size=256))
@example("..")
@example("...")
@example("a\n")
@example("a" * SAFE_STRING_MAX_LENGTH)
@example("a" * (SAFE_STRING_MAX_LENGTH + 1))
def test_the_two_checks_of_a_part_agree(part: str) -> None:
    try:
        check_part(part)
    except ValueError:
        assert not is_safe_part(part)
    else:
        assert is_safe_part(part)


JSON_LIKE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**4299, 10**4300 - 1, 1 - 10**4299])
    | st.floats()
    | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON_LIKE)
def test_a_few_parameters_have_the_key_of_the_long_way(parameters: Any) -> None:
    with mock.patch("perkey.keys._is_small", return_value=False):
        expected = key_of(parameters)
    assert key_of(parameters) == expected


def test_the_short_way_leaves_what_it_does_not_know_to_the_long_one() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    shared: list[Any] = [1]
    for _ in range(30):
        shared = [shared, shared]
    many: list[Any] = [cycle, shared, "a" * 5000, [1] * 5000, [10**4300], [[]] * 100]
    for parameters in (*many, {1: 2}, {"a": {1}}, b""):
        assert small_key_of(parameters) is None
    assert small_key_of({"a": [1, (None, "b")]}) == key_of({"a": [1, [None, "b"]]})[0]
