"""Dictionaries of several file types share one place and do not see each other's items."""

import pickle
from pathlib import Path
from typing import Any

import pytest

from perkey import FileDirDict, LocalDict, OverlappingMultiDict


def make(folder: Path, **individual: dict[str, Any]) -> OverlappingMultiDict:
    return OverlappingMultiDict(FileDirDict, {"base_dir": folder}, **individual)


def test_each_type_has_values_of_its_own_under_one_key(tmp_path: Path) -> None:
    multi = make(tmp_path, pkl={}, json={}, txt={"base_class_for_values": str})
    multi.pkl["a", "b"] = {1, 2}
    multi.json["a", "b"] = [1, 2]
    multi.txt["a", "b"] = "text"
    assert (multi.pkl["a", "b"], multi.json["a", "b"], multi.txt["a", "b"]) == ({1, 2}, [1, 2], "text")
    assert [len(multi[name]) for name in multi] == [1, 1, 1]
    assert sorted(path.suffix for path in tmp_path.rglob("*.*") if path.is_file()) == [
        ".json",
        ".pkl",
        ".txt",
    ]


def test_deleting_in_one_leaves_the_others(tmp_path: Path) -> None:
    multi = make(tmp_path, pkl={}, json={})
    multi.pkl["a"] = multi.json["a"] = 1
    multi.pkl.clear()
    assert (dict(multi.pkl), dict(multi.json)) == ({}, {("a",): 1})
    del multi.json["a"]
    assert multi.json.subdicts() == multi.pkl.subdicts() == {}


def test_parts_overlap_as_well(tmp_path: Path) -> None:
    multi = make(tmp_path, pkl={}, json={})
    multi.pkl["s", "a"] = 1
    multi.json["t", "a"] = 1
    assert (list(multi.pkl.subdicts()), list(multi.json.subdicts())) == (["s"], ["t"])


def test_individual_parameters_come_before_shared_ones(tmp_path: Path) -> None:
    shared = {"base_dir": tmp_path, "digest_len": 0, "immutable_items": True}
    multi = OverlappingMultiDict(
        FileDirDict, shared, pkl={}, json={"digest_len": 8, "immutable_items": False}
    )
    assert (multi.pkl.digest_len, multi.json.digest_len) == (0, 8)
    assert (multi.pkl.immutable_items, multi.json.immutable_items) == (True, False)
    assert (multi.pkl.file_type, multi.json.file_type) == ("pkl", "json")


def test_parameters_are_copied_and_can_be_looked_at(tmp_path: Path) -> None:
    shared: dict[str, Any] = {"base_dir": tmp_path}
    individual: dict[str, Any] = {"digest_len": 3}
    multi = OverlappingMultiDict(FileDirDict, shared, pkl=individual, json={})
    shared["base_dir"] = individual["digest_len"] = None
    assert (multi.dict_type, multi.subdicts_names) == (FileDirDict, ["pkl", "json"])
    assert multi.shared_subdicts_params == {"base_dir": tmp_path}
    assert multi.individual_subdicts_params == {"pkl": {"digest_len": 3}, "json": {}}


def test_types_whose_names_are_no_attributes_are_reached_as_items(tmp_path: Path) -> None:
    multi = make(tmp_path, **{"tar.gz": {}, "pkl": {}})
    multi["tar.gz"]["a"] = "text"
    assert multi["tar.gz"] == {"a": "text"}
    assert (list(multi), len(multi)) == (["tar.gz", "pkl"], 2)


def test_a_type_that_is_not_there_is_a_missing_attribute_or_key(tmp_path: Path) -> None:
    multi = make(tmp_path, pkl={})
    with pytest.raises(AttributeError, match="'json'"):
        _ = multi.json
    with pytest.raises(KeyError, match="json"):
        _ = multi["json"]
    assert not hasattr(multi, "json")


@pytest.mark.parametrize("where", ["shared", "individual"])
def test_the_file_type_is_given_by_the_name_only(tmp_path: Path, where: str) -> None:
    extra = {"file_type": "json"}
    with pytest.raises(ValueError, match="file_type"):
        OverlappingMultiDict(
            FileDirDict,
            {"base_dir": tmp_path, **(extra if where == "shared" else {})},
            pkl=extra if where == "individual" else {},
        )


@pytest.mark.parametrize("wrong", [dict, int, "FileDirDict", LocalDict(), None])
def test_the_class_is_one_of_persistent_dictionaries(wrong: Any) -> None:
    with pytest.raises(TypeError, match="must be a class of PersiDict"):
        OverlappingMultiDict(wrong, {}, pkl={})


@pytest.mark.parametrize("name", ["a b", "..", "a/b", ""])
def test_unsafe_types_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="file_type"):
        make(tmp_path / "d", **{name: {}})


def test_handles_travel(tmp_path: Path) -> None:
    multi = make(tmp_path, pkl={}, json={})
    multi.json["a"] = 1
    twin: OverlappingMultiDict = pickle.loads(pickle.dumps(multi))
    twin.pkl["a"] = 2
    assert (multi.pkl["a"], twin.json["a"], repr(twin)) == (2, 1, repr(multi))


def test_it_shows_its_dictionaries(tmp_path: Path) -> None:
    multi = make(tmp_path, pkl={}, json={})
    assert repr(multi) == f"OverlappingMultiDict({multi.pkl!r}, {multi.json!r})"
