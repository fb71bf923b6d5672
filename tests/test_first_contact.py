"""What a new user meets first: names, messages, missing extras, other systems, other programs' caches."""

import copy
import importlib
import os
import pickle
import pkgutil
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import pytest

import perkey
from perkey import (
    BasicS3Dict,
    CachedDict,
    EmptyDict,
    FileDirDict,
    LocalDict,
    MissingItemError,
    OverlappingMultiDict,
    PersiDict,
    S3Dict,
    UnstorableValueError,
    WriteOnceDict,
    dataspace,
    memoize,
    synced,
)
from perkey.stores import DirectoryStore, MemoryStore, Store

HERE = Path(__file__).parent
ROOT = HERE.parent


def public_modules() -> list[str]:
    walked = [found.name for found in pkgutil.walk_packages(perkey.__path__, "perkey.")]
    names = ["perkey", *(name for name in walked if not name.endswith("__main__"))]
    return [name for name in names if hasattr(importlib.import_module(name), "__all__")]


def program(name: str) -> list[str]:
    """Return the lines that a program in this folder prints; it must succeed."""
    done = subprocess.run([sys.executable, str(HERE / name)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout.splitlines()


class TestNames:
    @pytest.mark.parametrize("name", public_modules())
    def test_that_are_public_are_listed(self, name: str) -> None:
        """In a process of its own, where nothing was asked for before that would be loaded on demand."""
        code = f"import {name} as m; print([n for n in m.__all__ if n not in dir(m) or not hasattr(m, n)])"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"

    def test_of_the_package_are_those_that_are_public(self) -> None:
        assert [name for name in dir(perkey) if not name.startswith("__")] == sorted(perkey.__all__)
        assert len(set(perkey.__all__)) == len(perkey.__all__)


class TestPlatforms:
    def test_without_posix_names_perkey_is_imported_and_works_in_memory(self) -> None:
        assert program("windows_names.py") == ["True", "[]"]

    def test_where_folders_cannot_be_opened_dictionaries_in_them_say_so(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "supports_dir_fd", frozenset())
        for build in (FileDirDict, lambda path: perkey.S3Dict("bucket", base_dir=path)):
            with pytest.raises(perkey.UnsupportedPlatformError, match="LocalDict, ObjectStoreDict"):
                build(tmp_path / "d")
        assert os.listdir(tmp_path) == []


class TestExtras:
    def test_that_are_missing_are_named_by_each_entrance(self) -> None:
        said = program("core_only.py")
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        assert [line for line in said if not line.startswith("extra: ")] == ["status 1"]
        assert len(said) > 15
        for line in said[:-1]:
            named = re.search(r"pip install 'perkey\[([a-z0-9,]+)\]'", line)
            assert named is not None, line
            assert set(named[1].split(",")) <= set(extras), line


HANDLES: dict[str, Callable[[Path], Any]] = {
    "FileDirDict": FileDirDict,
    "LocalDict": lambda _: LocalDict(),
    "EmptyDict": lambda _: EmptyDict(),
    "WriteOnceDict": lambda path: WriteOnceDict(FileDirDict(path)),
    "CachedDict": lambda path: CachedDict(FileDirDict(path), LocalDict()),
    "a part": lambda path: FileDirDict[Any](path).get_subdict("s"),
    "OverlappingMultiDict": lambda path: OverlappingMultiDict(FileDirDict, {"base_dir": path}, pkl={}),
    "S3Dict": lambda path: perkey.S3Dict("bucket", base_dir=path),
    "ObjectStoreDict": lambda path: perkey.ObjectStoreDict(f"file://{path}"),
}
# Documents and data spaces are handles, too.
OTHER_HANDLES: dict[str, Callable[[Path], Any]] = {
    "JSONDict": lambda path: synced.JSONDict(path / "x.json"),
    "a part of a document": lambda path: synced.JSONDict(path / "x.json", data={"a": {"b": 1}})["a"],
    "Project": lambda path: dataspace.init_project(path=path),
    "Job": lambda path: dataspace.init_project(path=path).open_job({"a": 1}).init(),
    "job.sp": lambda path: dataspace.init_project(path=path).open_job({"a": 1}).init().sp,
    "job.doc": lambda path: dataspace.init_project(path=path).open_job({"a": 1}).init().doc,
    "JobsCursor": lambda path: dataspace.init_project(path=path).find_jobs(),
}


class TestHandles:
    @pytest.mark.parametrize(
        "build", [*HANDLES.values(), *OTHER_HANDLES.values()], ids=[*HANDLES, *OTHER_HANDLES]
    )
    def test_are_never_taken_for_values(self, build: Callable[[Path], Any], tmp_path: Path) -> None:
        """A result that was computed from one must not be found again under the same handle."""
        d = build(tmp_path)
        for argument in (d, [d], {"d": d}, (1, {"x": d})):
            assert joblib.hash(argument) != joblib.hash(argument)
        assert d.__dask_tokenize__() != d.__dask_tokenize__()
        assert pickle.loads(pickle.dumps(d)).__dask_tokenize__() != d.__dask_tokenize__()

    def test_that_changed_are_computed_from_again(self, tmp_path: Path) -> None:
        d = FileDirDict[int](tmp_path / "d")
        d["a"] = 1

        def total(d: FileDirDict[int]) -> int:
            return sum(d.values())

        cached = joblib.Memory(tmp_path / "memory", verbose=0).cache(total)
        assert cached(d) == 1
        d["b"] = 10
        assert cached(d) == 11

    @pytest.mark.parametrize("build", HANDLES.values(), ids=HANDLES)
    def test_are_shown_short_and_as_what_makes_them(
        self, build: Callable[[Path], Any], tmp_path: Path
    ) -> None:
        d = build(tmp_path)
        assert len(repr(d)) < 80 + 2 * len(str(tmp_path))
        if not isinstance(d, OverlappingMultiDict):
            twin = eval(repr(d), vars(perkey) | {name: getattr(perkey, name) for name in perkey.__all__})
            assert type(twin) is type(d)
            assert repr(twin) == repr(d)

    def test_show_what_is_not_the_default(self, tmp_path: Path) -> None:
        assert repr(LocalDict()) == "LocalDict()"
        assert repr(FileDirDict(tmp_path)) == f"FileDirDict(base_dir='{tmp_path}')"
        d = FileDirDict(tmp_path, "json", True, 3, int, durability="none")
        assert repr(d) == (
            f"FileDirDict(base_dir='{tmp_path}', file_type='json', immutable_items=True, digest_len=3, "
            "base_class_for_values=int, durability='none')"
        )
        assert eval(repr(d)).get_params() == d.get_params()

    def test_copies_are_handles_on_the_same_place(self, tmp_path: Path) -> None:
        d = FileDirDict[int](tmp_path)
        copy.copy(d)["a"] = 1
        copy.deepcopy(d)["b"] = 2
        assert d == {"a": 1, "b": 2}


class TestMissingItems:
    def test_are_said_to_be_the_beginning_of_others_when_shown_and_not_before(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        d = FileDirDict[int](tmp_path)
        looked: list[Any] = []
        scan = d.store.scan

        def noted(*args: Any) -> Any:
            looked.append(args)
            return scan(*args)

        monkeypatch.setattr(d.store, "scan", noted)
        d["a", "b", "c"] = 1
        with pytest.raises(KeyError) as caught:
            d["a", "b"]
        assert (caught.value.args, looked) == ((("a", "b"),), [])
        assert "('a', 'b', 'c')" in str(caught.value)
        assert len(looked) == 1

    def test_say_it_wherever_the_error_arrives(self, tmp_path: Path) -> None:
        d = FileDirDict[int](tmp_path / "d")
        d["a", "b"] = 1
        with pytest.raises(MissingItemError) as caught:
            d["a"]
        arrived = pickle.loads(pickle.dumps(caught.value))
        d.clear()
        assert "such as ('a', 'b')" in str(arrived)
        assert isinstance(arrived, KeyError)
        assert arrived.args == (("a",),)
        assert str(pickle.loads(pickle.dumps(arrived))) == str(arrived)
        assert str(caught.value) == "('a',)"

    def test_are_shown_whatever_the_look_raises(self, monkeypatch: pytest.MonkeyPatch) -> None:
        d = LocalDict[Any]()
        d["a", "b"] = 1

        def fail(*args: Any) -> Any:
            raise OSError(args)

        monkeypatch.setattr(d.store, "scan", fail)
        with pytest.raises(KeyError, match=r"^\('a',\)$"):
            d["a"]

    def test_are_found_missing_at_the_price_of_before(self, tmp_path: Path) -> None:
        from tracing import system_calls

        d = FileDirDict[int](tmp_path)
        d["a", "b"] = 1

        def miss() -> None:
            with pytest.raises(KeyError):
                d["a"]

        assert system_calls(miss) == system_calls(lambda: d.get("a"))


@pytest.mark.parametrize("key", ["a", "b", ("a", "b")])
@pytest.mark.parametrize("place", ["folder", "memory"])
def test_a_missing_key_where_items_have_other_parameters_names_these(
    key: str | tuple[str, ...], place: str, tmp_path: Path
) -> None:
    """Two programs, one of which forgot the file type or has another digest length."""
    store: Store = DirectoryStore(str(tmp_path / "d")) if place == "folder" else MemoryStore()
    PersiDict[Any](store, digest_len=8)["a", "b"] = 1
    for file_type, digest_len in [("json", 8), ("json", 0), ("pkl", 4)]:
        other = PersiDict[Any](store, file_type=file_type, digest_len=digest_len)
        with pytest.raises(KeyError) as caught:
            other[key]
        shown = (
            f"this key does not exist, but no name here is that of an item with file_type={file_type!r}, "
            f"digest_len={digest_len}, but these parameters would fit: file_type='pkl', digest_len=8 "
        )
        for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):
            assert shown in str(error)
        other["c"] = 1
        with pytest.raises(KeyError, match=r"^\('d',\)$"):
            other["d"]
        del other["c"]


def test_a_key_with_a_slash_is_an_error_that_shows_the_tuple() -> None:
    d = LocalDict[Any]()
    for key in ("run-1/loss", ("x", "run-1/loss")):
        with pytest.raises(
            ValueError, match=re.escape("write folders as ('run-1', 'loss'); perkey.quote() makes")
        ):
            d[key]
    for key in ("/run", "a//b", "a b"):
        with pytest.raises(ValueError, match=r"'; perkey.quote\(\) makes a key of any text$"):
            d[key]


@pytest.mark.parametrize("kind", [BasicS3Dict, S3Dict])
def test_a_dictionary_in_a_bucket_always_shows_its_bucket(
    kind: type[BasicS3Dict[Any]], tmp_path: Path
) -> None:
    """Also if the name was forgotten, and is that of the parameter's default."""
    pytest.importorskip("boto3")
    base: dict[str, Any] = {"base_dir": tmp_path} if kind is S3Dict else {}
    assert repr(kind(**base)).startswith(f"{kind.__name__}(bucket_name='my-bucket'")
    assert repr(kind("other", **base)).startswith(f"{kind.__name__}(bucket_name='other'")


def test_values_that_do_not_pickle_are_an_error_that_says_what_to_store(tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path)
    d["a"] = 1
    for value in (lambda: 1, threading.Lock(), (n for n in range(3))):
        with pytest.raises(UnstorableValueError, match="; store data that it can be made from"):
            d["a"] = value
    assert d["a"] == 1


def test_a_decorator_without_its_dictionary_is_an_error_that_shows_how_it_is_written() -> None:
    with pytest.raises(TypeError, match=r"as in @memoize\(results\), not function"):
        memoize(lambda: 1)  # type: ignore[arg-type]
