"""Buffers: edits are held back, written once a document, and never over somebody else's."""

import json
import os
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from perkey.synced import (
    BufferedFileError,
    BufferedJSONDict,
    BufferedJSONList,
    BufferException,
    JSONAttrDict,
    JSONDict,
    JSONFile,
    MemoryBufferedJSONAttrDict,
    MemoryBufferedJSONDict,
)
from synced.places import Place

CLASSES = [JSONDict, BufferedJSONDict, MemoryBufferedJSONDict, JSONAttrDict, MemoryBufferedJSONAttrDict]
each_class = pytest.mark.parametrize("cls", CLASSES)
Dict = type[JSONDict]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that does not exist yet."""
    return tmp_path / "data.json"


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were written, in order."""
    done = []
    write = JSONFile.write_bytes

    def noted(self: JSONFile, *arguments: Any) -> str:
        version = write(self, *arguments)
        done.append(os.path.basename(self.path))
        return version

    monkeypatch.setattr(JSONFile, "write_bytes", noted)
    return done


@pytest.fixture(autouse=True)
def _empty() -> Iterator[None]:
    capacities = {cls: cls.get_buffer_capacity() for cls in CLASSES}
    yield
    for cls, capacity in capacities.items():
        assert cls.get_current_buffer_size() == 0
        assert not cls.backend_is_buffered()
        cls.set_buffer_capacity(capacity)


@each_class
def test_edits_are_written_once_when_the_block_is_left(cls: Dict, path: Path, writes: list[str]) -> None:
    d = cls(path)
    d["a"] = 0
    with d.buffered:
        for n in range(10):
            d["a"] = n
            d.setdefault("nested", {})[f"k{n}"] = n
        assert d["a"] == 9
        assert cls(path) == {"a": 0}
        assert json.loads(path.read_text()) == {"a": 0}
    assert writes == ["data.json"] * 2
    assert cls(path)["nested"] == {f"k{n}": n for n in range(10)}


@each_class
def test_a_whole_backend_can_be_buffered(cls: Dict, tmp_path: Path, writes: list[str]) -> None:
    one, same, other = cls(tmp_path / "1.json"), cls(tmp_path / "1.json"), cls(tmp_path / "2.json")
    with cls.buffer_backend():
        assert cls.backend_is_buffered()
        one["a"] = [1]
        same["a"].append(2)
        other["b"] = 1
        assert one == same == {"a": [1, 2]}
        assert os.listdir(tmp_path) == []
    assert not cls.backend_is_buffered()
    assert sorted(writes) == ["1.json", "2.json"]
    assert json.loads((tmp_path / "1.json").read_text()) == {"a": [1, 2]}


@each_class
def test_blocks_can_be_nested(cls: Dict, path: Path, writes: list[str]) -> None:
    d, same = cls(path), cls(path)
    with cls.buffer_backend():
        with d.buffered:
            d["a"] = 1
            with same.buffered, cls.buffer_backend():
                same["b"] = 2
        assert writes == []
    assert writes == ["data.json"]
    with d.buffered:
        with same.buffered:
            same["c"] = 3
        with cls.buffer_backend():
            d["d"] = 4
        assert writes == ["data.json"]
        with d["nested"].buffered if "nested" in d else d.buffered:
            d["e"] = 5
    assert writes == ["data.json"] * 2
    assert list(cls(path)) == ["a", "b", "c", "d", "e"]


@each_class
def test_reading_writes_nothing(cls: Dict, path: Path, writes: list[str]) -> None:
    path.write_text('{"a": {"b": 1}}')
    d = cls(path)
    with d.buffered:
        assert d["a"]["b"] == 1
        with pytest.raises(TypeError):
            d["a"] = {1}
        path.write_text('{"theirs": 1}')
        assert d["a"]["b"] == 1
    assert writes == []
    assert d == {"theirs": 1}


@each_class
def test_edits_are_written_after_an_exception_too(cls: Dict, path: Path) -> None:
    d = cls(path)
    with pytest.raises(ZeroDivisionError), d.buffered:
        d["a"] = 1
        d["b"] = 1 / 0
    with pytest.raises(ZeroDivisionError), cls.buffer_backend():
        d["c"] = 1
        d["b"] = 1 / 0
    assert cls(path) == {"a": 1, "c": 1}


@each_class
def test_a_conflict_is_an_error_that_keeps_both(cls: Dict, tmp_path: Path) -> None:
    paths = [tmp_path / f"{n}.json" for n in range(3)]
    documents = [cls(path) for path in paths]
    with pytest.raises(BufferedFileError) as caught, cls.buffer_backend():
        for n, d in enumerate(documents):
            d["mine"] = [n]
        paths[0].write_text('{"theirs": 1}')
        paths[2].write_text('{"theirs": 1}')
    error = pickle.loads(pickle.dumps(caught.value))
    assert set(error.files) == {str(paths[0]), str(paths[2])}
    assert error.data == {str(paths[0]): {"mine": [0]}, str(paths[2]): {"mine": [2]}}
    assert isinstance(error, BufferException)
    assert [json.loads(path.read_text()) for path in paths] == [
        {"theirs": 1},
        {"mine": [1]},
        {"theirs": 1},
    ]
    assert documents[0] == {"theirs": 1}
    documents[0].update(caught.value.data[str(paths[0])])
    assert documents[0] == {"theirs": 1, "mine": [0]}


@each_class
def test_a_write_that_fails_keeps_the_data(cls: Dict, tmp_path: Path) -> None:
    d, lost = cls(tmp_path / "data.json"), cls(tmp_path / "nowhere" / "data.json")
    with pytest.raises(BufferedFileError) as caught, cls.buffer_backend():
        lost["a"] = 1
        d["a"] = 1
    assert isinstance(caught.value.files[str(tmp_path / "nowhere" / "data.json")], FileNotFoundError)
    assert list(caught.value.data.values()) == [{"a": 1}]
    assert json.loads((tmp_path / "data.json").read_text()) == {"a": 1}


@pytest.mark.parametrize("cls", [JSONDict, BufferedJSONDict])
def test_the_capacity_is_in_bytes_of_all_documents(cls: Dict, tmp_path: Path, writes: list[str]) -> None:
    one, other = cls(tmp_path / "1.json"), cls(tmp_path / "2.json")
    one["a"] = 1
    writes.clear()
    assert cls.get_buffer_capacity() == 32 * 2**20
    with cls.buffer_backend(buffer_size=25):
        assert cls.get_buffer_capacity() == 25
        assert one["a"] == 1
        assert cls.get_current_buffer_size() == len('{"a": 1}')
        one["b"] = 2
        assert cls.get_current_buffer_size() == len('{"a": 1, "b": 2}')
        other["c"] = 3
        assert cls.get_current_buffer_size() == len('{"a": 1, "b": 2}') + len('{"c": 3}')
        del one["b"]
        other["c"] = 1234567890
        assert (cls.get_current_buffer_size(), writes) == (25, [])
        other["c"] = 12345678901
        assert sorted(writes) == ["1.json", "2.json"]
        assert cls.get_current_buffer_size() == 0
        one["d"] = 4
        assert len(writes) == 2
    assert writes[2:] == ["1.json"]
    assert cls.get_buffer_capacity() == 32 * 2**20


@pytest.mark.parametrize("cls", [JSONDict, BufferedJSONDict])
def test_a_document_larger_than_the_capacity_can_be_edited(
    cls: Dict, tmp_path: Path, writes: list[str]
) -> None:
    d, other = cls(tmp_path / "1.json"), cls(tmp_path / "2.json")
    with cls.buffer_backend(buffer_size=0):
        for n in range(3):
            d[f"long name of a key {n}"] = [n]
            other["n"] = d[f"long name of a key {n}"][0]
    assert json.loads((tmp_path / "2.json").read_text()) == {"n": 2}
    assert writes == ["1.json", "2.json"] * 3


def test_a_conflict_is_told_to_whoever_makes_room(tmp_path: Path) -> None:
    one, other = JSONDict(tmp_path / "1.json"), JSONDict(tmp_path / "2.json")
    with JSONDict.buffer_backend(buffer_size=10):
        one["a"] = 1
        (tmp_path / "1.json").write_text('{"theirs": 1}')
        (tmp_path / "2.json").write_text('{"long enough": 1}')
        with pytest.raises(BufferedFileError) as caught:
            other()
        assert caught.value.data == {str(tmp_path / "1.json"): {"a": 1}}
        assert other == {"long enough": 1}
        assert one == {"theirs": 1}


@pytest.mark.parametrize("cls", [MemoryBufferedJSONDict, MemoryBufferedJSONAttrDict])
def test_the_capacity_is_in_modified_documents(cls: Dict, tmp_path: Path, writes: list[str]) -> None:
    documents = [cls(tmp_path / f"{n}.json") for n in range(4)]
    assert cls.get_buffer_capacity() == 1000
    with cls.buffer_backend(buffer_size=2):
        assert documents[3] == {}
        assert cls.get_current_buffer_size() == 0
        for d in documents[:2]:
            d["a"] = 1
            d["a"] = 2
        assert (cls.get_current_buffer_size(), writes) == (2, [])
        documents[2]["a"] = 1
        assert (cls.get_current_buffer_size(), sorted(writes)) == (0, ["0.json", "1.json", "2.json"])
        documents[0]["a"] = 3
        assert cls.get_current_buffer_size() == 1
        cls.set_buffer_capacity(0)
        assert (cls.get_current_buffer_size(), writes[3:]) == (0, ["0.json"])
        documents[0]["a"] = 4
        assert writes[3:] == ["0.json"] * 2
    assert cls.get_buffer_capacity() == 1000


def test_dicts_and_lists_of_a_backend_share_a_buffer(tmp_path: Path) -> None:
    items = BufferedJSONList(tmp_path / "list.json")
    with BufferedJSONDict.buffer_backend():
        items.append(1)
        assert not (tmp_path / "list.json").exists()
    assert json.loads((tmp_path / "list.json").read_text()) == [1]


def test_backends_do_not_share_a_buffer(tmp_path: Path) -> None:
    with BufferedJSONDict.buffer_backend():
        assert not MemoryBufferedJSONDict.backend_is_buffered()
        MemoryBufferedJSONDict(tmp_path / "1.json")["a"] = 1
        assert (tmp_path / "1.json").exists()


def test_a_snapshot_in_a_buffer_never_changes(path: Path) -> None:
    d = JSONDict(path)
    with d.buffered:
        d["a"] = {"n": 0}
        seen = iter(d.items())
        d["b"] = 1
        d["a"]["n"] = 1
        assert [key for key, _ in seen] == ["a"]
        with d.editing():
            d["a"]["n"] = 2
            d["c"] = [d()]
        assert d["c"] == [{"a": {"n": 2}, "b": 1}]


def test_editing_inside_a_buffer_is_all_or_nothing(path: Path) -> None:
    d, same = JSONDict(path), JSONDict(path)
    with JSONDict.buffer_backend():
        with d.editing():
            d["a"] = 1
            assert same == {}
        assert same == {"a": 1}
        assert not path.exists()
    assert json.loads(path.read_text()) == {"a": 1}


def test_threads_share_a_buffer(tmp_path: Path) -> None:
    """And lose nothing, although it is written all the time."""
    documents = [JSONDict(tmp_path / f"{n}.json") for n in range(3)]

    def work(number: int) -> None:
        for n in range(100):
            d = documents[n % 3]
            d[f"{number}-{n}"] = n
            d.transform(lambda data: {**data, "n": data.get("n", 0) + 1})

    with JSONDict.buffer_backend(buffer_size=1000):
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sum(len(d) - 1 for d in documents) == 400
    assert sum(d["n"] for d in documents) == 400


@pytest.mark.parametrize("whole", [False, True])
def test_leaving_a_block_lets_no_edit_pass_by(path: Path, whole: bool) -> None:
    """Others go on editing while the last one leaves; nobody's edit is lost, and there is no conflict."""
    d = JSONDict(path)
    counts = []

    def work(stop: threading.Event) -> None:
        count = 0
        while not stop.is_set():
            d.transform(lambda data: {**data, "n": data.get("n", 0) + 1})
            count += 1
        counts.append(count)

    for _ in range(10):
        stop = threading.Event()
        threads = [threading.Thread(target=work, args=(stop,)) for _ in range(2)]
        with JSONDict.buffer_backend() if whole else d.buffered:
            for thread in threads:
                thread.start()
            d["x"] = 1
        d["x"] = 2
        stop.set()
        for thread in threads:
            thread.join()
    assert d["n"] == sum(counts)


def test_every_backend_can_be_buffered(place: Place) -> None:
    d = place.dict()
    with pytest.raises(BufferedFileError) as caught, type(d).buffer_backend():
        d["a"] = [1]
        assert place.get() is None
        d["a"].append(2)
        place.put({"theirs": 1})
    assert list(caught.value.data.values()) == [{"a": [1, 2]}]
    assert d == place.get() == {"theirs": 1}
    with type(d).buffer_backend():
        d.update(next(iter(caught.value.data.values())))
    assert place.get() == {"theirs": 1, "a": [1, 2]}
