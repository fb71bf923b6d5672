"""Collections of documents."""

from __future__ import annotations

import gzip
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perkey import CorruptValueError
from perkey.dataspace import Collection
from perkey.query import matches
from perkey.synced import InvalidKeyError

MEMBERS: list[dict[str, Any]] = [
    {"_id": "j", "name": "John", "age": 32},
    {"_id": "a", "name": "Alice", "age": 28, "more": {"city": "X", "tags": [1, 2]}},
    {"_id": "k", "name": "Kevin", "age": 32.0},
    {"_id": "n", "name": "Nobody"},
]


@pytest.fixture
def members() -> Collection:
    return Collection(MEMBERS)


def test_a_collection_is_searched(members: Collection) -> None:
    found = members.find({"age": 32})
    assert [doc["name"] for doc in found] == ["John", "Kevin"]
    assert [doc["name"] for doc in found] == ["John", "Kevin"]
    assert len(found) == 2
    assert found[1]["_id"] == "k"
    assert found[:1] == [MEMBERS[0]]
    assert len(members.find()) == len(members) == 4
    assert len(members.find(limit=3)) == 3
    assert [doc["_id"] for doc in members.find({"more.city": "X"})] == ["a"]
    assert [doc["_id"] for doc in members.find({"more": {"tags": [1, 2]}})] == ["a"]
    assert [doc["_id"] for doc in members.find({"_id": "n"})] == ["n"]
    assert [doc["_id"] for doc in members.find({"age": {"$lt": 30}})] == ["a"]
    assert members.find_one({"age": 28}) == MEMBERS[1]
    assert members.find_one({"age": 5}) is None
    assert members.find_one({"_id": 5}) is None
    assert list(members) == MEMBERS
    assert list(members.ids) == ["j", "a", "k", "n"]
    with pytest.raises(ValueError, match="unknown operator"):
        members.find({"a": {"$x": 1}})
    with pytest.raises(ValueError, match="limit"):
        members.find(limit=-1)


def test_documents_come_and_go(members: Collection) -> None:
    doc: dict[str, Any] = {"name": "New"}
    key = members.insert_one(doc)
    assert key in members
    assert doc == members[key] == {"name": "New", "_id": key}
    with pytest.raises(KeyError):
        members.insert_one({"_id": "j"})
    assert members.replace_one({"name": "John"}, {"name": "Jon"}) == "j"
    assert members["j"] == {"name": "Jon", "_id": "j"}
    assert members.replace_one({"name": "?"}, {"x": 1}) is None
    assert members.replace_one({"_id": "z"}, {"x": 1}, upsert=True) == "z"
    assert members["z"] == {"x": 1, "_id": "z"}
    assert members.replace_one({"q": 1}, {"x": 1}, upsert=True) in members
    with pytest.raises(ValueError, match="primary key"):
        members.replace_one({"_id": "j"}, {"_id": "q"})
    with pytest.raises(ValueError, match="primary key"):
        members["j"] = {"_id": "q"}
    members.update([{"_id": "j", "new": 1}, {"other": 2}])
    assert members["j"] == {"_id": "j", "new": 1}
    members["y"] = {"a": (1, 2)}
    assert members["y"] == {"a": [1, 2], "_id": "y"}
    members.delete_one({"name": "Kevin"})
    members.delete_one({"name": "Kevin"})
    members.delete_many({"x": 1})
    del members["y"]
    with pytest.raises(KeyError):
        del members["y"]
    assert sorted(doc.get("name", "") for doc in members) == ["", "", "Alice", "New", "Nobody"]
    members.clear()
    assert len(members) == 0


def test_what_is_taken_out_is_a_copy(members: Collection) -> None:
    members["a"]["more"]["tags"].append(3)
    next(iter(members))["x"] = 1
    members.find()[0]["x"] = 1
    assert list(members) == MEMBERS


def test_what_is_no_document_is_refused(members: Collection) -> None:
    with pytest.raises(InvalidKeyError):
        members.insert_one({"a.b": 1})
    for wrong in ({"_id": 5}, {"a": object()}, 5):
        with pytest.raises(TypeError):
            members.insert_one(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"Collection\.open"):
        Collection("file.txt")  # type: ignore[arg-type]
    assert list(members) == MEMBERS


ENTRANCES: dict[str, Callable[[Collection, Any], object]] = {
    "insert_one": lambda members, doc: members.insert_one(doc),
    "update": lambda members, doc: members.update([doc]),
    "replace_one": lambda members, doc: members.replace_one({}, doc),
    "upsert": lambda members, doc: members.replace_one({"no": 1}, doc, upsert=True),
    "an item": lambda members, doc: members.__setitem__("key", doc),
    "the constructor": lambda members, doc: Collection([doc]),
}


@pytest.mark.parametrize("entrance", ENTRANCES)
@pytest.mark.parametrize("wrong", [5, [1], "text", {"a.b": 1}, {"a": {"b.c": 1}}])
def test_messages_speak_of_documents(members: Collection, entrance: str, wrong: Any) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        ENTRANCES[entrance](members, wrong)
    assert "state point" not in str(caught.value)
    assert list(members) == MEMBERS


def test_another_primary_key() -> None:
    collection = Collection([{"k": "1"}, {"k": "2"}, {"k": "1", "last": True}], primary_key="k")
    assert collection.primary_key == "k"
    assert list(collection) == [{"k": "1", "last": True}, {"k": "2"}]


def test_an_index_stays_current(members: Collection) -> None:
    with pytest.raises(KeyError):
        members.index("age")
    index = members.index("age", build=True)
    assert index == {32: {"j", "k"}, 28: {"a"}}
    members["k"] = {"age": 28}
    del members["j"]
    members.insert_one({"_id": "m", "age": [1, [2]]})
    assert index == {28: {"a", "k"}, (1, (2,)): {"m"}}
    assert members.index("age") is index
    with pytest.raises(KeyError):
        members.index("_id", build=True)


def test_files(tmp_path: Path) -> None:
    path = str(tmp_path / "a file.txt")
    with Collection.open(path) as collection:
        collection.update([{"a": 1}, {"a": 2}])
        assert Path(path).read_bytes() == b""
        collection.flush()
        assert len(Path(path).read_text().splitlines()) == 2
        collection.insert_one({"a": 3})
    assert [doc["a"] for doc in Collection.open(path, "r")] == [1, 2, 3]
    assert json.loads(Path(path).read_text().splitlines()[0]) == {"a": 1, "_id": "0" * 32}
    for act in (lambda: len(collection), lambda: collection.insert_one({}), collection.flush):
        with pytest.raises(RuntimeError, match="closed"):
            act()
    collection.close()
    with Collection.open(path, "w") as collection:
        assert len(collection) == 0
    assert Path(path).read_bytes() == b""
    assert repr(collection) == f"<Collection file={path}>"


@pytest.mark.parametrize(("name", "level"), [("c.gz", None), ("c.txt", 5)])
def test_compressed_files(tmp_path: Path, name: str, level: int | None) -> None:
    path = str(tmp_path / name)
    for mode in (None, "ab+", "rb+"):
        with Collection.open(path, mode, level) as collection:
            collection.insert_one({"mode": mode})
    assert [doc["mode"] for doc in Collection.open(path, "rb", level)] == [None, "ab+", "rb+"]
    assert len(gzip.decompress(Path(path).read_bytes()).splitlines()) == 3
    with pytest.raises(RuntimeError, match="binary mode"):
        Collection.open(path, "r", 9)


def test_modes(tmp_path: Path) -> None:
    path = str(tmp_path / "c.txt")
    with pytest.raises(FileNotFoundError):
        Collection.open(path, "r")
    Collection.open(path, "x").close()
    with pytest.raises(FileExistsError):
        Collection.open(path, "x")
    with Collection.open(path, "r") as collection, pytest.raises(io.UnsupportedOperation):
        collection.insert_one({"a": 1})
    with pytest.raises(ValueError, match="invalid mode"):
        Collection.open(path, "q")
    assert len(Collection.open(":memory:")) == 0
    with pytest.raises(RuntimeError, match="memory"):
        Collection.open(":memory:", "r")


@pytest.mark.parametrize(
    "content", [b'{"a": 1}\nnope\n', b"[1]\n", b"\x1f\x8bnot gzip", b'{"a.b": 1}\n', b'{"_id": 5}\n']
)
def test_a_damaged_file_is_named_and_kept(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c.txt"
    path.write_bytes(content)
    with pytest.raises(CorruptValueError, match=r"c\.txt"):
        Collection.open(str(path))
    assert path.read_bytes() == content


def test_a_failed_block_loses_nothing(tmp_path: Path) -> None:
    path = str(tmp_path / "c.txt")

    def fail() -> None:
        with Collection.open(path) as collection:
            collection.insert_one({"_id": "x"})
            raise OSError

    with pytest.raises(OSError):
        fail()
    assert list(Collection.open(path).ids) == ["x"]


def test_json(members: Collection, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.json"
    members.to_json(path)
    assert json.loads(path.read_text()) == json.loads(members.to_json() or "") == MEMBERS
    buffer = io.StringIO()
    members.to_json(buffer)
    assert list(Collection.read_json(io.StringIO(buffer.getvalue()))) == MEMBERS
    assert list(Collection.read_json(path)) == MEMBERS
    members.dump()
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == MEMBERS
    for wrong in (None, io.StringIO('{"a": 1}')):
        with pytest.raises(TypeError):
            Collection.read_json(wrong)


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        ([], [json.dumps(doc) for doc in MEMBERS]),
        (["age", "28"], [json.dumps(MEMBERS[1])]),
        (['{"age": 32}', "--id"], ["j", "k"]),
        (["-l", "1", "--id"], ["j"]),
        (["_id", "n", "--indent"], ["{", '  "_id": "n",', '  "name": "Nobody"', "}"]),
    ],
)
def test_main(
    members: Collection,
    words: list[str],
    printed: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["program", *words])
    members.main()
    assert capsys.readouterr().out.splitlines() == printed
    monkeypatch.setattr(sys, "argv", ["program", "--id", "--indent"])
    with pytest.raises(ValueError, match="exclude"):
        members.main()


VALUES = (
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.5, 1.0, float("nan")]) | st.text("xy")
)
DOCS = st.dictionaries(st.sampled_from("ab"), VALUES | st.lists(VALUES, max_size=2))
STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "delete", "find"]), st.sampled_from("pqr"), DOCS), max_size=12
)


@given(STEPS)
def test_a_collection_finds_what_a_plain_search_finds(steps: Any) -> None:
    """Whatever was put in, replaced and removed, in the same order, with or without an index."""
    collection, plain = Collection(), dict[str, Any]()
    for act, key, doc in steps:
        if act == "put":
            collection[key] = doc
            plain[key] = {**doc, "_id": key}
        elif act == "delete" and key in plain:
            del collection[key]
            del plain[key]
        found = [each["_id"] for each in collection.find(doc)]
        assert found == [key for key, each in plain.items() if matches(each, doc)]
