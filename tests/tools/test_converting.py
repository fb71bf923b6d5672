"""Other formats, digest lengths and places: to a new place, in place, and from what other programs keep."""

from __future__ import annotations

import json
import shelve
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import diskcache
import joblib
import persidict
import pytest
import sqlitedict
import zict

import perkey
from perkey import (
    FileDirDict,
    LocalDict,
    MissingExtraError,
    PersiDict,
    WrongParametersWarning,
    claim,
    convert,
)
from perkey.stores import MemoryStore
from perkey.tools.converting import SourceKind

VALUES: dict[tuple[str, ...], Any] = {
    ("top",): [1, 2],
    ("x", "deep", "a"): {"n": 1},
    **{("x", f"k{n}"): n for n in range(40)},
}


def plain(d: PersiDict[Any]) -> dict[tuple[str, ...], Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WrongParametersWarning)  # while it is converted
        return {tuple(key): value for key, value in d.items()}


# --- In place -----------------------------------------------------------------------------------------------

FORMS = [("pkl", 8), ("json", 8), ("json", 0), ("pkl", 5), ("json", 26)]
changes = pytest.mark.parametrize(("old", "new"), [(a, b) for a in FORMS for b in FORMS if a != b])


@pytest.mark.parametrize("place", ["folder", "memory"])
@changes
def test_in_place(place: str, old: tuple[str, int], new: tuple[str, int], tmp_path: Path) -> None:
    store = MemoryStore()

    def opened(file_type: str, digest_len: int) -> PersiDict[Any]:
        if place == "memory":
            return LocalDict[Any](file_type, backend=store, digest_len=digest_len)
        return FileDirDict[Any](tmp_path, file_type, digest_len=digest_len, durability="none")

    d = opened(*old)
    d.update(VALUES)
    planned = convert(d, file_type=new[0], digest_len=new[1], dry_run=True)
    assert plain(d) == VALUES
    report = convert(d, file_type=new[0], digest_len=new[1])
    assert (report.copied, report.deleted, report.failed) == (len(VALUES), len(VALUES), 0)
    assert (planned.copied, planned.deleted) == (report.copied, report.deleted)
    assert plain(opened(*new)) == VALUES
    assert len(list(d.store.scan())) == len(VALUES)


def test_what_cannot_be_done_in_place_is_refused(tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path, "json", digest_len=0)
    d["a"] = 1
    for match, wrong in {
        "already": {},
        "distinguished": {"digest_len": 3},
        "key must be None": {"digest_len": 8, "key": str},
        "kind must be": {"digest_len": 8, "kind": "tar"},
    }.items():
        with pytest.raises(ValueError, match=match):
            convert(d, **wrong)  # type: ignore[arg-type] # that is the test
    with pytest.raises(ValueError, match="destination"):
        convert({"a": 1}, file_type="json")
    with pytest.raises(perkey.MutationPolicyError):
        convert(FileDirDict(tmp_path, "json", digest_len=0, immutable_items=True), digest_len=8)
    assert plain(d) == {("a",): 1}


def test_a_damaged_value_stays_under_its_old_name(tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path, "pkl", durability="none")
    d.update(VALUES)
    d.path("top").write_bytes(b"damaged")
    with claim(d, ("x", "k1")):
        report = convert(d, file_type="json", on_error="collect")
    assert list(report.errors) == [("top",)]
    assert report.deleted == len(VALUES) - 1
    assert set(map(tuple, d)) == {("top",)}


PROGRAM = """
import sys, perkey
d = perkey.open(sys.argv[1], "r+", file_type="pkl", digest_len=8)
perkey.convert(d, file_type="json", digest_len=0)
"""


def test_a_conversion_that_is_killed_goes_on(tmp_path: Path) -> None:
    values = {("x", f"k{n}"): {"n": n} for n in range(1500)}
    old = FileDirDict[Any](tmp_path, "pkl", durability="none")
    old.update(values)
    new = FileDirDict[Any](tmp_path, "json", digest_len=0)
    for pause in (0.6, 0.8, 1.0):
        with subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path)]) as program:
            time.sleep(pause)
            program.send_signal(signal.SIGKILL)
        assert {**plain(old), **plain(new)} == values  # under the old name, or both, or the new one
        both = plain(old).keys() & plain(new).keys()
        assert all(old[key] == new[key] for key in both)
    convert(old, file_type="json", digest_len=0)
    assert (plain(old), plain(new)) == ({}, values)


# --- To a new place -----------------------------------------------------------------------------------------


def test_to_a_new_place_by_path(tmp_path: Path) -> None:
    src = FileDirDict[Any](tmp_path / "src", "pkl")
    src.update(VALUES)
    assert convert(str(tmp_path / "src"), tmp_path / "planned", file_type="json", dry_run=True).copied
    assert not (tmp_path / "planned").exists()
    for copied in (len(VALUES), 0):
        report = convert(str(tmp_path / "src"), tmp_path / "dst", file_type="json", digest_len=0)
        assert report.copied == copied
    dst = perkey.open(tmp_path / "dst", "r")
    assert (dst.file_type, dst.digest_len, plain(dst)) == ("json", 0, VALUES)
    assert plain(src) == VALUES
    with pytest.raises(ValueError, match="digest_len"):
        convert(src, dst, digest_len=5)


def test_another_layout_of_keys(tmp_path: Path) -> None:
    src, dst = LocalDict[Any](), FileDirDict[Any](tmp_path, "json")
    src.update(VALUES)
    convert(src, dst, key=lambda key: ("all", "-".join(key)))
    assert plain(dst) == {("all", "-".join(key)): value for key, value in VALUES.items()}
    with pytest.raises(ValueError, match="would be the same"):
        convert(src, LocalDict(), key=lambda _: "a")


# --- Other programs -----------------------------------------------------------------------------------------

PAIRS = {"plain": {"n": 1}, "with space/slash": [1, 2], "Größe": "text"}
QUOTED = {tuple(perkey.quote(key)): value for key, value in PAIRS.items()}


def make_shelf(path: Path) -> str:
    with shelve.open(str(path / "shelf")) as shelf:
        shelf.update(PAIRS)
    return str(path / "shelf")


def make_diskcache(path: Path) -> str:
    with diskcache.Cache(path / "cache") as cache:
        for key, value in PAIRS.items():
            cache[key] = value
        cache.set("gone", 1, expire=0.02)  # a later call of set would remove it
        time.sleep(0.05)
    return str(path / "cache")


def make_fanout_cache(path: Path) -> str:
    with diskcache.FanoutCache(path / "shards", shards=3) as cache:
        for key, value in PAIRS.items():
            cache[key] = value
        cache.set("gone", 1, expire=-1)
    return str(path / "shards")


def make_sqlitedict(path: Path) -> str:
    with sqlitedict.SqliteDict(path / "some.sqlite", autocommit=True) as found:
        found.update(PAIRS)
    return str(path / "some.sqlite")


def make_persidict(path: Path) -> str:
    found: Any = persidict.FileDirDict(base_dir=str(path / "persi"), serialization_format="pkl")
    for key, value in QUOTED.items():
        found[key] = value
    return str(path / "persi")


PROGRAMS: dict[str, Callable[[Path], str]] = {
    "shelve": make_shelf,
    "diskcache": make_diskcache,
    "diskcache.FanoutCache": make_fanout_cache,
    "sqlitedict": make_sqlitedict,
    "persidict": make_persidict,
}


@pytest.mark.parametrize("target", ["folder", "memory"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_from_other_programs(program: str, target: str, tmp_path: Path) -> None:
    source = PROGRAMS[program](tmp_path)
    dst: PersiDict[Any] = FileDirDict(tmp_path / "dst", "json") if target == "folder" else LocalDict("json")
    assert convert(source, dst, dry_run=True).copied == len(PAIRS)
    assert convert(source, dst).copied == len(PAIRS)
    assert plain(dst) == QUOTED
    again = convert(source, dst)
    assert (again.copied, again.skipped) == (0, len(PAIRS))
    del dst[next(iter(QUOTED))]
    assert convert(source, dst).copied == 1


def test_from_open_mappings(tmp_path: Path) -> None:
    with (
        shelve.open(make_shelf(tmp_path)) as shelf,
        diskcache.Cache(make_diskcache(tmp_path)) as cache,
        diskcache.FanoutCache(make_fanout_cache(tmp_path), shards=3) as shards,
    ):
        for source in (shelf, cache, shards, dict(PAIRS)):
            dst = LocalDict[Any]()
            convert(source, dst)
            assert plain(dst) == QUOTED
    with pytest.raises(ValueError, match="would be the same"):
        convert({1: "a", "1": "b"}, LocalDict())


@pytest.mark.parametrize("kind", [kind for kind in get_args(SourceKind) if kind not in {"auto", "perkey"}])
def test_a_path_of_another_kind_is_an_error_and_stays_as_it_is(kind: SourceKind, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("text")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(FileNotFoundError, match="absent: the path does not exist"):
        convert(tmp_path / "absent", LocalDict(), kind=kind)
    with pytest.raises(ValueError, match="file: this is not a "):
        convert(tmp_path / "file", LocalDict(), kind=kind)
    if kind in {"zict", "files"}:  # any folder may be one
        assert convert(tmp_path / "folder", LocalDict(), kind=kind).copied == 0
    else:
        with pytest.raises(ValueError, match="folder: this is not a "):
            convert(tmp_path / "folder", LocalDict(), kind=kind)
    assert sorted(tmp_path.rglob("*")) == before


def test_from_zict_and_plain_files(tmp_path: Path) -> None:
    found = zict.File(tmp_path / "zict")
    found["a b"] = b"bytes"
    dst = LocalDict[Any]()
    convert(tmp_path / "zict", dst, kind="zict")
    assert plain(dst) == {("a=20b",): b"bytes"}
    (tmp_path / "files" / "sub").mkdir(parents=True)
    (tmp_path / "files" / "sub" / "one.json").write_text(json.dumps({"n": 1}))
    (tmp_path / "files" / "read me.txt").write_text("text")
    for file_type, values in {
        "pkl": {("sub", "one.json"): b'{"n": 1}', ("read=20me.txt",): b"text"},
        "txt": {("sub", "one.json"): '{"n": 1}', ("read=20me.txt",): "text"},
        "json": {("sub", "one"): {"n": 1}, ("read=20me.txt",): b"text"},
    }.items():
        target = FileDirDict[Any](tmp_path / file_type, file_type)
        convert(tmp_path / "files", target)
        assert plain(target) == values


def double(x: int) -> int:
    return 2 * x


@pytest.mark.parametrize("kind", ["shelve", "diskcache", "sqlitedict", "zict", "joblib", "files"])
def test_an_address_is_of_no_other_program(kind: Any, tmp_path: Path) -> None:
    """Else bytes of files would be unpickled, where the caller expects them as they are."""
    FileDirDict[Any](tmp_path / "src")["a"] = 1
    with pytest.raises(ValueError, match="is for paths"):
        convert((tmp_path / "src").as_uri(), tmp_path / "dst", kind=kind, file_type="json")
    assert not (tmp_path / "dst").exists()


def test_from_joblib(tmp_path: Path) -> None:
    memory = joblib.Memory(tmp_path / "memory", verbose=0)
    cached = memory.cache(double)
    assert [cached(n) for n in range(3)] == [0, 2, 4]
    again = joblib.Memory(tmp_path / "another", verbose=0).cache(double)  # joblib writes no code there
    assert [again(n) for n in range(3)] == [0, 2, 4]
    for folder in ("memory", "another"):
        dst = LocalDict[Any]()
        assert convert(tmp_path / folder, dst).copied == 3
        assert sorted(dst.values()) == [0, 2, 4]
        assert {key[-2] for key in dst} == {"double"}


def test_what_is_nothing_of_these_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text").write_text("not a dictionary")
    with pytest.raises(ValueError, match="kind="):
        convert(tmp_path / "text", LocalDict())
    with pytest.raises(FileNotFoundError, match="does not exist"):
        convert(tmp_path / "absent", LocalDict())
    source = make_diskcache(tmp_path)
    monkeypatch.setitem(sys.modules, "diskcache", None)
    with pytest.raises(MissingExtraError, match="diskcache"):
        convert(source, LocalDict())


class Unloadable:
    """Its pickle cannot be loaded."""

    def __reduce__(self) -> Any:
        return int, ("not a number",)


def shelf_with(path: Path) -> Any:
    with shelve.open(str(path / "shelf")) as shelf:
        shelf.update({"a": 1, "bad": Unloadable(), "z": 2})
    return path / "shelf"


def cache_with(path: Path) -> Any:
    with diskcache.Cache(path / "cache") as cache:
        cache["a"], cache["bad"], cache["z"] = 1, Unloadable(), 2
    return path / "cache"


def sqlitedict_with(path: Path) -> Any:
    with sqlitedict.SqliteDict(path / "some.sqlite", autocommit=True) as found:
        found.update({"a": 1, "bad": Unloadable(), "z": 2})
    return path / "some.sqlite"


def memory_with(path: Path) -> Any:
    memory = joblib.Memory(path / "memory", verbose=0)
    shelved = [memory.cache(double).call_and_shelve(number) for number in (1, 2, 3)]
    folder = next((path / "memory").rglob(f"{shelved[1].args_id}"))
    (folder / "output.pkl").write_bytes(b"damaged")
    (folder / "output.pkl").parent.rename(folder.parent / ("bad0" * 8))
    return path / "memory"


def files_with(path: Path) -> Any:
    (path / "files").mkdir()
    for leaf, content in {"a.json": b"1", "bad.json": b"{", "other file": b"2"}.items():
        (path / "files" / leaf).write_bytes(content)
    return path / "files"


def texts_with(path: Path) -> Any:
    (path / "texts").mkdir()
    for leaf, content in {"a": b"1", "bad": b"\xff", "z": b"2"}.items():
        (path / "texts" / leaf).write_bytes(content)
    return path / "texts"


class Lazy(dict[str, int]):
    """A mapping one of whose values cannot be had."""

    def __getitem__(self, key: str) -> int:
        if key == "bad":
            raise LookupError("not now")
        return super().__getitem__(key)


def dict_with(path: Path) -> Any:
    d = FileDirDict[Any](path / "dict")
    d.update({"a": 1, "bad": 0, "z": 2})
    d.path("bad").write_bytes(b"damaged")
    return d


@pytest.mark.parametrize(
    ("make", "file_type"),
    [
        (shelf_with, "json"),
        (cache_with, "json"),
        (sqlitedict_with, "json"),
        (memory_with, "json"),
        (files_with, "json"),
        (texts_with, "txt"),
        (lambda _: Lazy(a=1, bad=0, z=2), "json"),
        (dict_with, "json"),
    ],
)
def test_a_value_that_cannot_be_loaded_is_an_error_of_its_item_alone(
    make: Callable[[Path], Any], file_type: str, tmp_path: Path
) -> None:
    source = make(tmp_path)
    renamed: Any = (lambda key: key) if isinstance(source, PersiDict) else None
    dst = LocalDict[Any](file_type)
    report = convert(source, dst, key=renamed, on_error="collect")
    assert (report.copied, report.failed, len(dst)) == (2, 1, 2)
    (key,) = report.errors
    assert key[-1].startswith("bad")
    with pytest.raises(Exception, match=r".") as caught:  # each library has its own
        convert(source, LocalDict(file_type), key=renamed)
    assert any("bad" in note for note in caught.value.__notes__)


@pytest.mark.parametrize("kind", ["files", "zict", "diskcache", "joblib"])
def test_a_destination_within_the_source_is_refused(kind: Any, tmp_path: Path) -> None:
    makers = {"diskcache": cache_with, "joblib": memory_with}
    folder = makers.get(kind, files_with)(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    link = tmp_path / "link"
    for dst in (folder, folder / "new" / "place", str(link / "new")):
        link.symlink_to(folder)
        with pytest.raises(
            ValueError, match=r"the destination lies in the source .*; choose a place outside"
        ):
            convert(folder, dst, kind=kind)
        link.unlink()
        assert sorted(tmp_path.rglob("*")) == before
    with pytest.raises(ValueError, match="the destination lies in the source"):
        convert(folder, FileDirDict(folder / "opened"), kind=kind)
