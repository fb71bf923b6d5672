"""Listing, parts and clearing work across the two libraries, also with leftovers and lock files around."""

import os
import stat
from pathlib import Path
from typing import Any

import persidict
import pytest

from perkey import FileDirDict, OverlappingMultiDict
from perkey.files import folder as folders
from perkey.files.folder import lock

# persidict lets jsonpickle use the defaults whose change in its version 5 is announced.
pytestmark = pytest.mark.filterwarnings("ignore:keys will default to True:DeprecationWarning")

KEYS: list[tuple[str, ...]] = [("a",), ("b",), ("s", "x"), ("s", "y"), ("s", "deep", "z"), ("t", "x")]
VALUES = {key: f"value of {key}" for key in KEYS}


def theirs_in(folder: Path, digest_len: int, file_type: str = "pkl") -> Any:
    return persidict.FileDirDict(base_dir=str(folder), serialization_format=file_type, digest_len=digest_len)


@pytest.fixture(params=[0, 4, 8])
def digest_len(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(params=["perkey", "persidict"])
def writer(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["clean", "littered"])
def folder(
    tmp_path: Path,
    digest_len: int,
    writer: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """Return a folder that one of the libraries has filled, and where writers may have died."""
    base = tmp_path / "d"
    if request.param == "littered":
        # So that lock files are made, as on file systems that cannot lock folders.
        monkeypatch.setattr(folders, "lock", lambda fd: not stat.S_ISDIR(os.fstat(fd).st_mode) and lock(fd))
    d: Any = FileDirDict(base, digest_len=digest_len) if writer == "perkey" else theirs_in(base, digest_len)
    for key in KEYS:
        d[key] = VALUES[key]
    if request.param == "littered":
        for place in [base, *(path for path in base.rglob("*") if path.is_dir())]:
            (place / ".@perkey-tmp-0123456789abcdef01-5").write_bytes(b"partial")
            (place / folders.LOCK_FILE).touch()
    return base


class TestWhatPersidictSees:
    def test_all_keys_and_values_and_nothing_else(self, folder: Path, digest_len: int) -> None:
        d = theirs_in(folder, digest_len)
        assert len(d) == len(KEYS)
        assert sorted(tuple(key) for key in d) == sorted(KEYS)
        assert {tuple(key): value for key, value in d.items()} == VALUES
        assert sorted(d.values()) == sorted(VALUES.values())
        assert sorted(tuple(key) for key in d.newest_keys()) == sorted(KEYS)
        assert tuple(d.random_key()) in KEYS

    def test_the_parts(self, folder: Path, digest_len: int) -> None:
        d = theirs_in(folder, digest_len)
        # It also lists keys of one part, as dictionaries of nothing.
        assert sorted(part for part, items in d.subdicts().items() if len(items)) == ["s", "t"]
        assert {tuple(key) for key in d.get_subdict("s")} == {("x",), ("y",), ("deep", "z")}
        assert len(d.get_subdict(("s", "deep"))) == 1

    def test_an_empty_dictionary_after_either_cleared_it(self, folder: Path, digest_len: int) -> None:
        theirs_in(folder, digest_len).clear()
        assert len(FileDirDict(folder, digest_len=digest_len)) == 0
        ours = FileDirDict[str](folder, digest_len=digest_len)
        ours["s", "again"] = "x"
        ours.clear()
        assert len(theirs_in(folder, digest_len)) == 0
        assert list(theirs_in(folder, digest_len)) == []

    def test_what_is_written_after_it_cleared(self, folder: Path, digest_len: int) -> None:
        d = theirs_in(folder, digest_len)
        d.clear()
        FileDirDict[str](folder, digest_len=digest_len)["s", "x"] = "new"
        assert {tuple(key): value for key, value in d.items()} == {("s", "x"): "new"}


class TestWhatPerkeySees:
    def test_all_keys_and_values_and_nothing_else(self, folder: Path, digest_len: int) -> None:
        d = FileDirDict[str](folder, digest_len=digest_len)
        assert len(d) == len(KEYS)
        assert sorted(d) == sorted(KEYS)
        assert d == VALUES

    def test_the_parts(self, folder: Path, digest_len: int) -> None:
        d = FileDirDict[str](folder, digest_len=digest_len)
        assert sorted(d.subdicts()) == ["s", "t"]
        assert d.get_subdict("s") == {
            ("x",): VALUES["s", "x"], ("y",): VALUES["s", "y"], ("deep", "z"): VALUES["s", "deep", "z"],
        }  # fmt: skip

    def test_that_either_removed_a_part(self, folder: Path, digest_len: int) -> None:
        theirs_in(folder, digest_len).get_subdict("s").clear()
        d = FileDirDict[str](folder, digest_len=digest_len)
        assert sorted(d) == [("a",), ("b",), ("t", "x")]
        d.get_subdict("t").clear()
        assert sorted(tuple(key) for key in theirs_in(folder, digest_len)) == [("a",), ("b",)]


def test_several_types_of_file_in_one_folder_are_kept_apart_by_both(tmp_path: Path) -> None:
    ours = OverlappingMultiDict(FileDirDict, {"base_dir": tmp_path}, pkl={}, json={})
    ours.pkl["k"] = "by pickle"
    ours.json["k"] = "by json"
    pkl, json = theirs_in(tmp_path, 8), theirs_in(tmp_path, 8, "json")
    assert (pkl["k"], json["k"], len(pkl), len(json)) == ("by pickle", "by json", 1, 1)
    pkl.clear()
    assert ours.json["k"] == "by json"
    assert len(ours.pkl) == 0
