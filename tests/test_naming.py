"""Names of files: persidict's digests, one set of limits for every dictionary, no way out of the folder."""

import enum
import pickle
from collections import UserString
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import persidict
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perkey import (
    ANY_ETAG,
    ETAG_IS_THE_SAME,
    ITEM_NOT_AVAILABLE,
    CachedDict,
    EmptyDict,
    FileDirDict,
    LocalDict,
    MutationPolicyError,
    OverlappingMultiDict,
    PersiDict,
    WriteOnceDict,
    get_safe_chars,
)
from perkey.formats import format_of
from perkey.mapping import Items, Policy
from perkey.naming import MAX_DIGEST_LEN, MAX_NAME_BYTES, MAX_PART_BYTES, Naming, digest, naming
from perkey.stores import MemoryStore

AnyDict: TypeAlias = PersiDict[Any]

PARTS = st.text(sorted(get_safe_chars()), min_size=1, max_size=80).filter(
    lambda part: part not in {".", ".."}
)
KEYS = st.lists(PARTS, min_size=1, max_size=4).map(tuple)


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


class TestNames:
    @pytest.mark.parametrize("digest_len", range(9))
    def test_are_those_that_persidict_gives_its_files(self, tmp_path: Path, digest_len: int) -> None:
        keys = [("a",), ("b", "c"), ("A", "a", "_"), ("x" * 100, "(1)"), ("-~.=", "k_"), ("0.5",)]
        # A part that ends in its own digest gets no second one.
        keys += [(f"a_{digest('a', digest_len)}", "b")] if digest_len else []
        theirs: Any = persidict.FileDirDict(base_dir=str(tmp_path), digest_len=digest_len)
        for key in keys:
            theirs[key] = 1
        names = naming(digest_len, "pkl")
        assert files_below(tmp_path) == {"/".join(names.name_of(key)) for key in keys}
        assert {names.key_of(tuple(name.split("/"))) for name in files_below(tmp_path)} == {
            tuple(key) for key in theirs
        }

    @given(KEYS, st.integers(0, MAX_DIGEST_LEN), st.sampled_from(["pkl", "json", "txt", "tar.gz"]))
    def test_lead_back_to_their_keys(self, key: tuple[str, ...], digest_len: int, file_type: str) -> None:
        """A part that is given with its digest is the same part without, so one of the two comes back."""
        names = naming(digest_len, file_type)
        if not digest_len and any(part.endswith(f".{file_type}") for part in key[:-1]):
            return  # refused: see below
        name = names.name_of(key)
        found = names.key_of(name)
        assert found is not None
        assert names.name_of(found) == name
        assert names.shape.fits(name)
        assert digest_len == 0 or all(part.startswith(back) for part, back in zip(key, found, strict=True))

    @given(PARTS)
    def test_differ_for_keys_that_differ_in_case(self, part: str) -> None:
        upper, lower = naming(8, "pkl").name_of(part.upper()), naming(8, "pkl").name_of(part.lower())
        assert (upper[0].lower() == lower[0].lower()) is (part.upper() == part.lower())

    @given(PARTS, st.integers(0, MAX_DIGEST_LEN))
    def test_of_a_prefix_are_the_beginning_of_those_of_its_keys(self, part: str, digest_len: int) -> None:
        names = naming(digest_len, "pkl")
        if digest_len or not part.endswith(".pkl"):
            assert names.prefix_of(part) == names.name_of((part, "a"))[:1]
        assert names.prefix_of(()) == ()

    @pytest.mark.parametrize(
        "foreign",
        [
            "a.pkl",
            "a_btaxloob.pkl",
            "a_btaxlooa.json",
            "a_btaxlooa",
            "_btaxlooa.pkl",
            ".@perkey-tmp-1",
            "é_x.pkl",
            ".pkl",
        ],
    )
    def test_of_foreign_files_are_those_of_no_key(self, foreign: str) -> None:
        assert naming(8, "pkl").key_of((foreign,)) is None
        assert naming(8, "pkl").key_of((f"x{foreign}", "a_btaxlooa.pkl")) is None

    def test_keep_keys_apart_that_differ_only_in_case(self, tmp_path: Path) -> None:
        d = FileDirDict[str](tmp_path)
        for key in ("key", "KEY", "Key"):
            d[key] = key
        assert dict(d.items()) == {("key",): "key", ("KEY",): "KEY", ("Key",): "Key"}
        assert len({name.lower() for name in files_below(tmp_path)}) == 3

    def test_travel_with_their_caches_left_behind(self) -> None:
        assert pickle.loads(pickle.dumps(naming(8, "pkl"))) is naming(8, "pkl")


class TestParameters:
    @pytest.mark.parametrize("file_type", ["", ".", "..", "a/b", "../x", "a\0", "p kl", "x" * 64])
    def test_a_file_type_is_checked_like_a_key(self, tmp_path: Path, file_type: str) -> None:
        for build in (lambda: FileDirDict[int](tmp_path / "d", file_type), lambda: LocalDict[int](file_type)):
            with pytest.raises(ValueError, match="file_type"):
                build()

    @pytest.mark.parametrize("file_type", [None, 5, b"pkl"])
    def test_a_file_type_is_a_string(self, file_type: Any) -> None:
        with pytest.raises(TypeError, match="must be a string"):
            Naming(8, file_type)

    @pytest.mark.parametrize("digest_len", [-1, 27, 1000])
    def test_a_digest_has_a_length_that_there_is(self, digest_len: int) -> None:
        with pytest.raises(ValueError, match="between 0 and 26"):
            LocalDict(digest_len=digest_len)

    @pytest.mark.parametrize("digest_len", [True, 8.0, "8", None])
    def test_a_digest_length_is_an_int(self, digest_len: Any) -> None:
        LocalDict(digest_len=8)  # so that its naming is known, and 8.0 could be taken for it
        LocalDict(digest_len=1)
        with pytest.raises(TypeError, match="must be an int"):
            LocalDict(digest_len=digest_len)


def every_dictionary(folder: Path) -> dict[str, AnyDict]:
    """Return an empty dictionary of every class."""
    cached = CachedDict[Any](FileDirDict(folder / "main"), FileDirDict(folder / "cache", durability="none"))
    return {
        "FileDirDict": FileDirDict(folder / "plain"),
        "LocalDict": LocalDict(),
        "EmptyDict": EmptyDict(),
        "WriteOnceDict": WriteOnceDict(LocalDict(), 1),
        "CachedDict": cached,
        "subdict of FileDirDict": FileDirDict[Any](folder / "above").get_subdict("s"),
        "subdict of LocalDict": LocalDict[Any]().get_subdict("s"),
        "subdict of CachedDict": cached.get_subdict("s"),
        "OverlappingMultiDict": OverlappingMultiDict(FileDirDict, {"base_dir": folder / "multi"}, pkl={}).pkl,
    }


VERBS: dict[str, Callable[[AnyDict, Any], object]] = {
    "get": lambda d, key: d[key],
    "get or": lambda d, key: d.get(key, 0),
    "set": lambda d, key: d.__setitem__(key, 1),
    "delete": lambda d, key: d.__delitem__(key),
    "in": lambda d, key: key in d,
    "in keys": lambda d, key: key in d.keys(),  # noqa: SIM118 - the view is meant
    "setdefault": lambda d, key: d.setdefault(key, 1),
    "pop": lambda d, key: d.pop(key, None),
    "discard": lambda d, key: d.discard(key),
    "etag": lambda d, key: d.etag(key),
    "timestamp": lambda d, key: d.timestamp(key),
    "get_with_etag": lambda d, key: d.get_with_etag(key),
    "update": lambda d, key: d.update([(key, 1)]),
    "transform_item": lambda d, key: d.transform_item(key, transformer=lambda _: 1),
    "set_item_if": lambda d, key: d.set_item_if(
        key, value=1, condition=ANY_ETAG, expected_etag=ITEM_NOT_AVAILABLE
    ),
    "setdefault_if": lambda d, key: d.setdefault_if(
        key, default_value=1, condition=ETAG_IS_THE_SAME, expected_etag=ITEM_NOT_AVAILABLE
    ),
    "discard_if": lambda d, key: d.discard_if(key, condition=ANY_ETAG, expected_etag=ITEM_NOT_AVAILABLE),
    "get_subdict": lambda d, key: d.get_subdict(["a", key] if key in ((), []) else key) and None,
}

REFUSED: dict[str, tuple[Any, type[Exception]]] = {
    "empty part": ("", ValueError),
    "dot": (".", ValueError),
    "two dots": ("..", ValueError),
    "two dots inside": (("a", "..", "b"), ValueError),
    "separator": ("a/b", ValueError),
    "absolute": ("/etc/passwd", ValueError),
    "other separator": ("a\\b", ValueError),
    "NUL": ("a\0b", ValueError),
    "unsafe": (("a", "b c"), ValueError),
    "one character too many": ("x" * 254, ValueError),
    "far too many": ("x" * 100_000, ValueError),
    "too deep": (("x",) * 1000, ValueError),
    "a number": (5, TypeError),
    "bytes": (b"a", TypeError),
    "None": (None, TypeError),
    "a number inside": (("a", 5), TypeError),
    "a mapping": ({"a": "b"}, TypeError),
    "a view of keys": ({"a": "b"}.keys(), TypeError),
    "a view of values": ({"a": "b"}.values(), TypeError),
    "a set": ({"a"}, TypeError),
    "a frozen set": (frozenset("a"), TypeError),
    "an iterator": (iter(("a", "b")), TypeError),
    "a range": (range(2), TypeError),
    "a text that is not a string": (UserString("a"), TypeError),
    "a set inside": (("a", {"b"}), TypeError),
}


def disguised(text: str) -> str:
    """Return an object that equals, and hashes like, texts in another case, and converts to another one."""

    class Disguised(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            return isinstance(other, str) and self.casefold() == other.casefold()

        def __hash__(self) -> int:
            return hash(self.casefold())

        def __str__(self) -> str:
            return "other"

        __repr__ = __str__

    return Disguised(text)


def member(text: str) -> str:
    kinds: Any = enum
    found: str = kinds.Enum("Stage", {"TRAIN": text}, type=str).TRAIN
    return found


IN_DISGUISE: dict[str, Callable[[Any], Any]] = {
    "a string": lambda of: of("Key"),
    "a tuple": lambda of: ("s", of("Key")),
    "a tuple that begins with it": lambda of: (of("Key"), "s"),
    "a list": lambda of: ["s", of("Key")],
    "nested": lambda of: ("s", ("t", of("Key"))),
}


class TestText:
    """A key is its text: of whatever class its parts are, and whatever was asked for before."""

    @pytest.mark.parametrize("of", [disguised, member, np.str_])
    @pytest.mark.parametrize("shape", IN_DISGUISE)
    @pytest.mark.parametrize("earlier", ["key", "KEY", "Key", None])
    def test_decides_the_name_whatever_was_looked_up_before(
        self, of: Callable[[str], str], shape: str, earlier: str | None
    ) -> None:
        build = IN_DISGUISE[shape]
        for digest_len in (0, 8):
            names = Naming(digest_len, "pkl")  # its cache is empty
            items = Items[Any](MemoryStore(), names, format_of("pkl"), Policy())
            if earlier is not None:
                items.name_of(build(lambda _: earlier))
                items.name_of(build(lambda _: of(earlier)))
            expected = Naming(digest_len, "pkl").name_of(build(lambda text: text))
            for _ in range(2):
                assert items.name_of(build(of)) == expected
            assert items.name_of(build(lambda text: text.lower())) != expected
            assert names.prefix_of(build(of)) == names.prefix_of(build(lambda text: text))

    @pytest.mark.parametrize("of", [disguised, member, np.str_])
    def test_decides_in_every_dictionary_and_verb(self, tmp_path: Path, of: Callable[[str], str]) -> None:
        """Each verb finds under a disguised key what was stored under the text, and the other way round."""
        for verb, act in VERBS.items():
            left = []
            for number, key in enumerate((("s", of("Key")), ("s", "Key"), ["s", of("Key")])):
                for name, d in every_dictionary(tmp_path / f"{verb}-{number}").items():
                    d[["s", "Key"]] = 1
                    d["key"] = 2
                    with suppress(MutationPolicyError, KeyError):
                        act(d, key)
                    left.append((name, sorted(d.copy().items())))
            third = len(left) // 3
            assert left[:third] == left[third : 2 * third] == left[2 * third :], verb

    @pytest.mark.parametrize("of", [disguised, member, np.str_])
    def test_decides_in_bulk(self, of: Callable[[str], str]) -> None:
        d = LocalDict[Any]()
        d.set_many({of("a"): 1})
        d.update({("a", of("b")): 2})
        assert d == {"a": 1, ("a", "b"): 2}
        assert d.get_many([of("a"), (of("a"), "b")]) == {("a",): 1, ("a", "b"): 2}
        assert d.get_subdict(of("a")) == {"b": 2}
        assert {of("a"): 1, ("a", "b"): 2} == d
        d.delete_many([of("a"), ("a", of("b"))])
        assert d == {}

    @pytest.mark.parametrize("of", [disguised, member, np.str_])
    def test_decides_the_file_type(self, tmp_path: Path, of: Callable[[str], str]) -> None:
        d = FileDirDict[Any](tmp_path, of("json"))
        d["a"] = {"x": 1}
        assert (type(d.file_type), d.file_type) == (str, "json")
        assert FileDirDict[Any](tmp_path, "json") == {"a": {"x": 1}}
        assert FileDirDict[Any](tmp_path, of("JSON")).file_type == "JSON"
        assert LocalDict[Any]("json") is not None
        multi = OverlappingMultiDict(FileDirDict, {"base_dir": tmp_path}, **{of("json"): {}})
        assert multi.subdicts_names == ["json"]
        assert multi.json["a"] == {"x": 1}


class TestLimits:
    @pytest.mark.parametrize("case", REFUSED)
    def test_are_the_same_for_every_dictionary_and_verb(self, tmp_path: Path, case: str) -> None:
        """The same exception with the same words, and nothing is written by what raises it."""
        key, kind = REFUSED[case]
        for verb, act in VERBS.items():
            seen = set()
            for d in every_dictionary(tmp_path).values():
                with pytest.raises(kind) as caught:
                    act(d, key)
                seen.add((type(caught.value), str(caught.value)))
            assert len(seen) == 1, verb
        assert files_below(tmp_path) == set()

    @pytest.mark.parametrize("nothing", [(), [], ((), [])])
    def test_exclude_the_empty_key_but_not_the_empty_prefix(self, tmp_path: Path, nothing: Any) -> None:
        for d in every_dictionary(tmp_path).values():
            for verb, act in VERBS.items():
                if verb != "get_subdict":
                    with pytest.raises(ValueError, match="at least one part"):
                        act(d, nothing)
            assert d.get_subdict(nothing) == {}

    @pytest.mark.parametrize("digest_len", [0, 8, 26])
    def test_let_the_longest_part_be_stored_and_no_longer_one(self, tmp_path: Path, digest_len: int) -> None:
        suffix = digest_len + 1 if digest_len else 0
        most = MAX_PART_BYTES - suffix - len(".pkl")
        for d in (FileDirDict[int](tmp_path, digest_len=digest_len), LocalDict[int](digest_len=digest_len)):
            d["x" * most] = 1
            assert list(d) == [("x" * most,)]
            with pytest.raises(ValueError, match=f"at most {most} "):
                d["x" * (most + 1)] = 1

    def test_let_the_longest_key_be_stored_and_no_longer_one(self, tmp_path: Path) -> None:
        longest = ["x" * 200] * 4
        room = MAX_NAME_BYTES - len("/".join(naming(0, "pkl").name_of([*longest, "y"])))
        for d in (FileDirDict[int](tmp_path, digest_len=0), LocalDict[int](digest_len=0)):
            d[[*longest, "y" * (1 + room)]] = 1
            assert list(d) == [(*longest, "y" * (1 + room))]
            with pytest.raises(ValueError, match="key is too long"):
                d[[*longest, "y" * (2 + room)]] = 1

    def test_hold_through_subdicts(self, tmp_path: Path) -> None:
        for name, d in every_dictionary(tmp_path).items():
            inner = d.get_subdict(["x" * 200] * 3)
            with pytest.raises(ValueError, match="key is too long"):
                inner[["y" * 200] * 2] = 1
            assert inner.get(["y" * 200] * 2) is None, name
            with pytest.raises(ValueError, match="too long"):
                inner.get_subdict(["y" * 200] * 2)

    @pytest.mark.parametrize("build", [FileDirDict, LocalDict, EmptyDict])
    def test_keep_folders_and_files_apart_without_digests(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, build: Callable[..., AnyDict]
    ) -> None:
        """Without digests the folder of ("a.pkl", "b") would be the file of "a"."""
        monkeypatch.chdir(tmp_path)
        d = build(digest_len=0)
        for act in (lambda: d.__setitem__(("a.pkl", "b"), 1), lambda: d.get_subdict("a.pkl")):
            with pytest.raises(ValueError, match="collide"):
                act()
        d["a"] = 1
        d["a.pkl"] = 2
        d["a.json", "b"] = 3
        assert d == ({} if build is EmptyDict else {("a",): 1, ("a.pkl",): 2, ("a.json", "b"): 3})


def test_without_digests_what_lies_in_a_folder_named_like_a_file_is_not_ours() -> None:
    """Its key could not be used, so it is neither listed nor counted, and disturbs nothing."""
    names = naming(0, "pkl")
    assert names.key_of(("x.pkl", "b.pkl")) is None
    assert names.part_of("x.pkl") is None
    assert not names.shape.fits(("x.pkl", "b.pkl"))
    assert names.key_of(("x.pkl.pkl",)) == ("x.pkl",)
