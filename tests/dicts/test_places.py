"""A place that does not fit is noticed: other parameters, no folder, something that is not a path."""

import copy
import os
import pickle
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePath
from typing import Any

import pytest
from tracing import system_calls

from perkey import (
    CachedDict,
    EmptyDict,
    FileDirDict,
    LocalDict,
    ObjectStoreDict,
    OverlappingMultiDict,
    PersiDict,
    S3Dict,
    WriteOnceDict,
    WrongParametersWarning,
)
from perkey.mapping.fitting import Parameters, fitting, parameters_of
from perkey.naming import naming
from perkey.stores import DirectoryStore, MemoryStore, PrefixStore
from perkey.stores.folder.cache import CacheFolder

# Every way to list or count the items of a dictionary.
LISTINGS: dict[str, Callable[[PersiDict[Any]], object]] = {
    "len": len,
    "bool": bool,
    "iter": lambda d: list(iter(d)),
    "list": list,
    "keys": lambda d: list(d.keys()),
    "values": lambda d: list(d.values()),
    "items": lambda d: list(d.items()),
    "copy": lambda d: d.copy(),
    "equality": lambda d: d == {},
    "clear": lambda d: d.clear(),
    "keys_and_timestamps": lambda d: list(d.keys_and_timestamps()),
    "items_and_timestamps": lambda d: list(d.items_and_timestamps()),
    "values_and_timestamps": lambda d: list(d.values_and_timestamps()),
    "oldest_keys": lambda d: d.oldest_keys(),
    "newest_values": lambda d: d.newest_values(),
}
WRITTEN: dict[str, Any] = {"file_type": "json", "digest_len": 6}
OTHER: list[dict[str, Any]] = [
    {"file_type": "pkl", "digest_len": 6},
    {"file_type": "json", "digest_len": 8},
    {"file_type": "json", "digest_len": 0},
    {"file_type": "txt", "digest_len": 0},
    {"file_type": "pkl", "digest_len": 26},
]


def filled(folder: Path, **params: Any) -> FileDirDict[Any]:
    d = FileDirDict[Any](folder, durability="none", **(params or WRITTEN))
    for key in ("a", ("b", "c"), ("b", "d", "e")):
        d[key] = "text"
    return d


def _listed(d: PersiDict[Any]) -> list[Any]:
    return list(iter(d))


class TestOtherParameters:
    @pytest.mark.parametrize("verb", LISTINGS)
    @pytest.mark.parametrize("params", OTHER, ids=str)
    def test_are_noticed_by_each_listing(self, tmp_path: Path, verb: str, params: dict[str, Any]) -> None:
        filled(tmp_path)
        d = FileDirDict[Any](tmp_path, **params)
        if params["digest_len"] == 0 and verb in {
            "clear",
            "values",
            "items",
            "copy",
            "equality",
            "newest_values",
        }:
            d = FileDirDict[Any](tmp_path, "json", digest_len=5)  # it would see the items
        with pytest.warns(
            WrongParametersWarning, match=r"file_type='json', digest_len=6 \(as 3 of them\)"
        ) as caught:
            LISTINGS[verb](d)
        (warning,) = caught
        assert str(tmp_path) in str(warning.message)
        assert warning.filename == __file__

    @pytest.mark.parametrize("params", OTHER, ids=str)
    def test_are_told_once_per_place(self, tmp_path: Path, params: dict[str, Any]) -> None:
        filled(tmp_path)
        with pytest.warns(WrongParametersWarning):
            len(FileDirDict(tmp_path, **params))
        for _ in range(2):
            d = FileDirDict[Any](tmp_path, **params)
            assert (len(d), list(d)) == (len(list(d)), list(d))

    @pytest.mark.parametrize(
        "written", [{"file_type": "pkl", "digest_len": 0}, {"file_type": "own", "digest_len": 3}]
    )
    def test_that_would_fit_are_read_off_the_names(self, tmp_path: Path, written: dict[str, Any]) -> None:
        filled(tmp_path, **written)
        with pytest.warns(WrongParametersWarning, match=str(Parameters(**written))):
            list(FileDirDict(tmp_path, "json"))

    def test_are_noticed_through_wrappers(self, tmp_path: Path) -> None:
        wraps: list[Callable[[Any], PersiDict[Any]]] = [WriteOnceDict, lambda d: CachedDict(d, LocalDict())]
        for number, wrap in enumerate(wraps):
            filled(tmp_path / str(number))
            with pytest.warns(WrongParametersWarning):
                list(wrap(FileDirDict(tmp_path / str(number))))

    def test_are_noticed_by_a_count_again_and_again_but_seldom(self, tmp_path: Path) -> None:
        """Other items may come later; but a count of nothing must not cost two listings each time."""
        d = FileDirDict[Any](tmp_path)
        assert "a" not in d  # which file system the folder is on is found out once
        costs = [len(system_calls(lambda: len(d))) for _ in range(20)]
        assert sorted(set(costs)) == [costs[2], costs[0]]
        assert [number for number, cost in enumerate(costs, 1) if cost == costs[0]] == [1, 2, 4, 8, 16]
        filled(tmp_path)
        with pytest.warns(WrongParametersWarning):
            counts = [len(d) for _ in range(20)]
        assert set(counts) == {0}

    def test_cost_nothing_where_there_are_items_or_nothing_at_all(self, tmp_path: Path) -> None:
        empty, full = FileDirDict[Any](tmp_path / "empty"), filled(tmp_path / "full")
        for d in (empty, full):
            part = d.get_subdict()
            _listed(d)  # which file system the folder is on is found out once
            assert system_calls(partial(_listed, d)) == system_calls(partial(_listed, part))


class TestNoNotice:
    def check(self, d: PersiDict[Any]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for verb, act in LISTINGS.items():
                if verb != "clear":
                    act(d)

    def test_of_parts(self, tmp_path: Path) -> None:
        filled(tmp_path)
        self.check(FileDirDict(tmp_path).get_subdict("b"))
        self.check(FileDirDict(tmp_path).get_subdict())

    def test_of_the_parts_of_an_overlapping_dict(self, tmp_path: Path) -> None:
        filled(tmp_path)
        multi = OverlappingMultiDict(FileDirDict, {"base_dir": tmp_path}, pkl={}, json={})
        for part in (multi.pkl, pickle.loads(pickle.dumps(multi)).pkl, WriteOnceDict(multi.pkl)):
            self.check(part)
            self.check(copy.copy(part))

    def test_where_items_are_seen(self, tmp_path: Path) -> None:
        filled(tmp_path)
        FileDirDict[Any](tmp_path)["own"] = 1
        self.check(FileDirDict(tmp_path))

    @pytest.mark.parametrize(
        "names",
        [
            [],
            ["README.md", "LICENSE", ".gitignore", "notes.txt"],
            [".@perkey-tmp-1", ".@perkey-lock"],
            ["my data.json", "é_btaxlooa.pkl"],
            ["y_btaxlooa.pkl", "x_aaaaaaaa.pkl"],
            ["a_b.md"],
        ],
    )
    def test_of_files_of_other_programs(self, tmp_path: Path, names: list[str]) -> None:
        for name in names:
            (tmp_path / name).touch()
        self.check(FileDirDict(tmp_path))

    @pytest.mark.parametrize("build", [LocalDict, EmptyDict])
    def test_of_empty_dictionaries(self, build: Callable[[], PersiDict[Any]]) -> None:
        self.check(build())

    def test_of_keys_that_end_in_something_like_a_digest(self, tmp_path: Path) -> None:
        d = FileDirDict[Any](tmp_path, digest_len=0)
        d["a_btaxloob"] = d["run_2"] = d["_"] = 1
        self.check(FileDirDict(tmp_path, digest_len=0))


@pytest.mark.parametrize("digest_len", range(2, 27))
@pytest.mark.parametrize("file_type", ["pkl", "tar.gz", "a_b", "x_y.z"])
def test_parameters_are_read_off_a_name(digest_len: int, file_type: str) -> None:
    for key in ("a", "a.b", "a_b.pkl", "_", ("x", "y_z")):
        name = naming(digest_len, file_type).name_of(key)
        assert parameters_of(name[-1]) == (file_type, digest_len)
        assert fitting([name] * 3) == [((file_type, digest_len), 3)]


ADDRESSES = [
    "s3://b/x",
    "gs://b",
    "az://c/d",
    "file:///tmp/x",
    "memory://x",
    "https://h/x",
    "S3://b",
    "redis://h:1/0",
]


class TestPaths:
    @pytest.mark.parametrize("address", [*ADDRESSES, PurePath("s3://b/x"), Path("file:///tmp/x")])
    def test_are_not_addresses(self, address: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        for build in (
            FileDirDict,
            DirectoryStore,
            lambda path: CacheFolder(path, max_bytes=1),
            lambda path: S3Dict("b", base_dir=path),
        ):
            with pytest.raises(
                ValueError, match=r"must be the path of a folder, not the address .*; (use|the|'\.)"
            ):
                build(address)
        assert os.listdir() == []

    def test_of_a_bucket_are_advised(self) -> None:
        with pytest.raises(ValueError, match=r"S3Dict\('bucket', root_prefix='a/b'\)"):
            FileDirDict("s3://bucket/a/b")
        with pytest.raises(ValueError, match=r"the path is '/data/x'"):
            FileDirDict("file:///data/x")

    @pytest.mark.parametrize("path", ["C", "a:b", "./s3:/x", "x/s3://y"])
    def test_may_have_colons(self, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        assert FileDirDict(path).base_dir == os.path.abspath(path)

    @pytest.mark.parametrize("of", [str, Path])
    def test_begin_at_the_users_own_folder(
        self, of: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        assert FileDirDict(of("~/cache")).base_dir == f"{tmp_path}/cache"
        assert FileDirDict(of("~")).base_dir == str(tmp_path)
        assert S3Dict("bucket", base_dir=of("~/s3")).base_dir == f"{tmp_path}/s3"
        monkeypatch.chdir(tmp_path)
        assert FileDirDict("a~b").base_dir == f"{tmp_path}/a~b"

    @pytest.mark.parametrize("path", ["", "~no-such-user/x", "a\0b"])
    def test_that_cannot_be_meant_are_refused(
        self, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        for build in (FileDirDict, lambda path: S3Dict("bucket", base_dir=path)):
            with pytest.raises(ValueError, match="base_dir"):
                build(path)
        assert os.listdir() == []


# What a handle can be asked first, when it arrives where its folder does not exist.
FIRST: dict[str, Callable[[PersiDict[Any]], object]] = {
    **LISTINGS,
    "get": lambda d: d.get("a"),
    "[]": lambda d: d["a"],
    "in": lambda d: "a" in d,
    "set": lambda d: d.__setitem__("a", 1),
    "set nested": lambda d: d.__setitem__(("a", "b"), 1),
    "del": lambda d: d.__delitem__("a"),
    "discard": lambda d: d.discard("a"),
    "pop": lambda d: d.pop("a", None),
    "setdefault": lambda d: d.setdefault("a", 1),
    "setdefault_if": lambda d: d.setdefault_if("a", default_value=1),
    "transform": lambda d: d.transform_item("a", transformer=lambda _: 1),
    "etag": lambda d: d.etag("a"),
    "timestamp": lambda d: d.timestamp("a"),
    "get_many": lambda d: d.get_many(["a"]),
    "set_many": lambda d: d.set_many({("b", "c"): 2}),
    "delete_many": lambda d: d.delete_many(["a"]),
    "random_key": lambda d: d.random_key(),
    "subdicts": lambda d: d.subdicts(),
}


class TestFoldersThatDoNotExist:
    @pytest.mark.parametrize("durability", ["sync", "none"])
    @pytest.mark.parametrize("verb", FIRST)
    def test_are_not_made_by_unpickling_or_any_first_operation(
        self, tmp_path: Path, verb: str, durability: Any
    ) -> None:
        """As on another machine, to which no file system leads."""
        d = FileDirDict[Any](tmp_path / "base", durability=durability)
        d["a"] = 1
        handles = [d, d.get_subdict("s"), WriteOnceDict(d), CachedDict(d, LocalDict())]
        pickled = pickle.dumps(handles)
        d.clear()
        os.rmdir(tmp_path / "base")
        for handle in pickle.loads(pickled):
            if verb in {"clear", "del", "discard", "pop", "delete_many"} and handle.immutable_items:
                continue  # refused, whatever is there
            with pytest.raises(FileNotFoundError, match="does not exist; only a constructor"):
                FIRST[verb](handle)
            assert os.listdir(tmp_path) == []

    def test_are_looked_for_at_the_first_miss_only(self, tmp_path: Path) -> None:
        d = FileDirDict[Any](tmp_path)
        twin = pickle.loads(pickle.dumps(d))
        twin.get("a")
        assert system_calls(lambda: twin.get("a")) == system_calls(lambda: d.get("a"))

    def test_are_made_by_a_constructor_only_if_it_may(self, tmp_path: Path) -> None:
        for build in (FileDirDict, DirectoryStore):
            with pytest.raises(FileNotFoundError, match="does not exist"):
                build(tmp_path / "base", create=False)
        (tmp_path / "file").touch()
        with pytest.raises(NotADirectoryError):
            FileDirDict(tmp_path / "file", create=False)
        assert os.listdir(tmp_path) == ["file"]
        FileDirDict[Any](tmp_path / "base")["a", "b"] = 1
        d = FileDirDict[Any](tmp_path / "base", create=False)
        d["n", "m"] = 2
        assert d == {("a", "b"): 1, ("n", "m"): 2}
        assert "create=False" in repr(d)
        assert d.get_params()["create"] is False

    def test_of_caches_are_made_wherever_they_arrive(self, tmp_path: Path) -> None:
        cache = CacheFolder(tmp_path / "cache", max_bytes=1 << 20)
        twin = pickle.loads(pickle.dumps(cache))
        for path in sorted((tmp_path / "cache").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        (tmp_path / "cache").rmdir()
        with pytest.raises(KeyError):
            twin.read(("a",))
        twin.write(("a",), b"x")
        assert (tmp_path / "cache").is_dir()

    def test_are_made_again_for_the_handle_that_made_them(self, tmp_path: Path) -> None:
        d = FileDirDict[Any](tmp_path / "base")
        os.rmdir(tmp_path / "base")
        assert list(d) == []
        d["a"] = 1
        assert d == {"a": 1}

    def test_of_dictionaries_at_addresses_are_made(self, tmp_path: Path) -> None:
        d = ObjectStoreDict[Any](f"file://{tmp_path}/base")
        d["a"] = 1
        assert FileDirDict[Any](tmp_path / "base") == {"a": 1}


def test_a_prefix_is_part_of_a_place(tmp_path: Path) -> None:
    """A dictionary that was made over a part from the beginning is a part, too."""
    store = MemoryStore()
    PersiDict[Any](PrefixStore(store, ("x",)), file_type="json")["a"] = 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(PersiDict[Any](PrefixStore(store, ("x",)))) == []


def test_a_cache_cannot_be_in_the_place_of_its_main_dictionary(tmp_path: Path) -> None:
    main = FileDirDict[Any](tmp_path)
    for cache in (main, FileDirDict[Any](tmp_path, "json")):
        with pytest.raises(ValueError, match="another place"):
            CachedDict(main, cache)
    local = LocalDict[Any]()
    with pytest.raises(ValueError, match="another place"):
        CachedDict(local, local)
    assert dict(CachedDict(main, FileDirDict(tmp_path / "cache"))) == {}
