"""perkey and persidict read each other's values, in each format, with any digests, in one folder."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import persidict
import pytest

from perkey import FileDirDict
from perkey.formats.comparing import differences

# persidict lets jsonpickle use the defaults whose change in its version 5 is announced.
pytestmark = pytest.mark.filterwarnings("ignore:keys will default to True:DeprecationWarning")

DIGEST_LENS = [0, 4, 8]
KEYS: list[tuple[str, ...]] = [
    ("a",), ("A",), ("nested", "key"), ("nested", "deeper", "key"), ("with-._~()=", "x"),
    ("x" * 100, "y" * 100),
]  # fmt: skip


@dataclasses.dataclass
class Point:
    x: int
    y: list[int]


PLAIN: dict[str, Any] = {
    "None": None, "int": 5, "float": 1.5, "text": "Größe\r\n\u2028", "list": [1, [2, []]],
    "dict": {"a": {"b": [None, True]}}, "empty": {}, "many": {f"k{n}": n for n in range(200)},
}  # fmt: skip
OBJECTS: dict[str, Any] = {
    "tuple": (1, (2,)), "set": {1, 2}, "bytes": b"\x00\xff", "complex": 1 + 2j,
    "object": Point(1, [2]), "function": math.sqrt, "class": Point,
}  # fmt: skip
ARRAYS: dict[str, Any] = {
    "array": np.arange(1000), "2-d": np.arange(6.0).reshape(2, 3), "Fortran": np.asfortranarray(np.eye(3)),
    "in a dict": {"a": np.arange(3), "t": "text"},
}  # fmt: skip
# jsonpickle's form, which json is in both libraries, does not keep these apart from others.
ONLY_PKL: dict[str, Any] = {"0-d": np.array(2.5), "int keys": {1: "a", 2: "b"}, "mixed keys": {1: 1, "1": 2}}
ONLY_PKL["texts"] = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
LARGE: dict[str, Any] = {
    "large random": np.random.default_rng(0).random(300_000), "large compressible": np.arange(500_000) // 9,
    "large several": [np.random.default_rng(1).random(200_000), "text", np.zeros((600, 600))],
    "large text": "é" * 1_500_000,
}  # fmt: skip
FRAMES: dict[str, Any] = {
    "frame": pd.DataFrame({"a": [1, 2], "c": [1.5, None]}, index=["r", "s"]),
    "series": pd.Series([1, 2, 3]),
    "times": pd.DataFrame({"t": pd.to_datetime(["2020-01-01", "2021-01-01"])}),
}
VALUES: dict[str, dict[str, Any]] = {
    "pkl": PLAIN | OBJECTS | ARRAYS | FRAMES | ONLY_PKL | LARGE,
    "json": PLAIN | OBJECTS | ARRAYS | FRAMES,
    "txt": {"empty": "", "text": "Größe", "lines": "a\nb\n", "large": "é" * 1_500_000},
}


def both(folder: Path, file_type: str, digest_len: int) -> tuple[Any, FileDirDict[Any]]:
    """Return a dictionary of persidict and one of perkey in the same folder."""
    base = str if file_type not in {"pkl", "json"} else None
    theirs: Any = persidict.FileDirDict(
        base_dir=str(folder),
        serialization_format=file_type,
        digest_len=digest_len,
        base_class_for_values=base,
    )
    ours = FileDirDict[Any](
        folder, file_type, digest_len=digest_len, base_class_for_values=base, durability="none"
    )
    return theirs, ours


@pytest.mark.parametrize(
    ("file_type", "kind"), [(file_type, kind) for file_type, values in VALUES.items() for kind in values]
)
class TestEveryValue:
    def test_written_here_is_read_by_persidict(self, tmp_path: Path, file_type: str, kind: str) -> None:
        theirs, ours = both(tmp_path, file_type, 8)
        ours["k", "v"] = VALUES[file_type][kind]
        assert differences(VALUES[file_type][kind], theirs["k", "v"]) == []

    def test_written_by_persidict_is_read_here(self, tmp_path: Path, file_type: str, kind: str) -> None:
        theirs, ours = both(tmp_path, file_type, 8)
        theirs["k", "v"] = VALUES[file_type][kind]
        assert differences(VALUES[file_type][kind], ours["k", "v"]) == []


@pytest.mark.parametrize("kind", [kind for kind in VALUES["json"] if kind not in ARRAYS | FRAMES])
def test_json_files_are_equal_to_the_byte(tmp_path: Path, kind: str) -> None:
    """So that a folder under version control does not change when the library does."""
    theirs, ours = both(tmp_path, "json", 8)
    ours["k"] = VALUES["json"][kind]
    (path,) = tmp_path.iterdir()
    written_here = path.read_bytes()
    theirs["k"] = "another"
    theirs["k"] = VALUES["json"][kind]
    assert path.read_bytes() == written_here


@pytest.mark.parametrize("digest_len", DIGEST_LENS)
@pytest.mark.parametrize("file_type", ["pkl", "json", "txt"])
class TestEveryKey:
    def test_written_by_one_is_found_by_the_other(
        self, tmp_path: Path, file_type: str, digest_len: int
    ) -> None:
        for writes_first in ("persidict", "perkey"):
            theirs, ours = both(tmp_path / writes_first, file_type, digest_len)
            writer, reader = (theirs, ours) if writes_first == "persidict" else (ours, theirs)
            for key in KEYS:
                writer[key] = f"value of {key}"
            for key in KEYS:
                assert reader[key] == f"value of {key}"
                assert key in reader
            assert {tuple(key) for key in reader} == {tuple(key) for key in writer} == set(KEYS)
            assert len(reader) == len(writer) == len(KEYS)

    def test_is_overwritten_and_deleted_by_either(
        self, tmp_path: Path, file_type: str, digest_len: int
    ) -> None:
        theirs, ours = both(tmp_path, file_type, digest_len)
        for key in KEYS:
            theirs[key] = "1"
            ours[key] = "2"
            assert theirs[key] == "2"
            theirs[key] = "3"
            assert ours[key] == "3"
            del ours[key]
            assert key not in theirs
            ours[key] = "4"
            del theirs[key]
            assert ours.get(key) is None
        assert len(ours) == len(theirs) == 0

    def test_has_one_time_and_one_order(self, tmp_path: Path, file_type: str, digest_len: int) -> None:
        theirs, ours = both(tmp_path, file_type, digest_len)
        for key in KEYS:
            ours[key] = "x"
        for key in KEYS:
            assert ours.timestamp(key) == pytest.approx(theirs.timestamp(key), abs=1e-6)
        assert [tuple(key) for key in theirs.newest_keys()] == [tuple(key) for key in ours.newest_keys()]
        assert [tuple(key) for key in ours.oldest_keys()] == KEYS


def test_an_etag_changes_whoever_wrote(tmp_path: Path) -> None:
    theirs, ours = both(tmp_path, "pkl", 8)
    seen = set()
    for number in range(20):
        writer = theirs if number % 2 else ours
        writer["k"] = number % 3
        seen.add(ours.etag("k"))
    assert len(seen) == 20


def test_append_only_folders_of_persidict_are_folders_of_immutable_items(tmp_path: Path) -> None:
    theirs: Any = persidict.FileDirDict(base_dir=str(tmp_path), append_only=True, digest_len=8)
    ours = FileDirDict[int](tmp_path, immutable_items=True)
    theirs["a"] = 1
    ours["b"] = 2
    for d in (theirs, ours):
        for key in ("a", "b"):
            with pytest.raises(TypeError):
                d[key] = 5
    assert dict(theirs.items()) == dict(ours.items()) == {("a",): 1, ("b",): 2}


def test_keys_that_are_no_strings_are_strings_in_json_of_persidict(tmp_path: Path) -> None:
    """perkey keeps their type, in jsonpickle's spelling; persidict writes none, and shows that spelling."""
    theirs, ours = both(tmp_path, "json", 8)
    theirs["k"] = {1: "a"}
    assert theirs["k"] == ours["k"] == {"1": "a"}
    ours["k"] = {1: "a"}
    assert ours["k"] == {1: "a"}
    assert theirs["k"] == {"json://1": "a"}
