"""JSON files: plain, readable, followed through links, and with nothing left beside them."""

import json
import os
import stat
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from crashes import crash_everywhere
from tracing import system_calls

from perkey import CorruptValueError
from perkey.files import versions as stamps
from perkey.files.folder import TEMPORARY
from perkey.synced import (
    BufferedFileError,
    BufferedJSONDict,
    JSONAttrDict,
    JSONDict,
    JSONFile,
    JSONList,
    WrongKindError,
)
from synced import crash_acts


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that does not exist yet."""
    return tmp_path / "data.json"


def test_a_file_may_have_any_name_that_the_system_allows(tmp_path: Path) -> None:
    """One that is not UTF-8, say; also when it is made."""
    path = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.json")
    d = JSONDict(path)
    d["a"] = 1
    d["b"] = 2
    with open(path) as file:
        assert json.load(file) == {"a": 1, "b": 2}


def test_the_file_is_what_json_writes(path: Path) -> None:
    d = JSONDict(path)
    d["size"] = 10
    d["text"] = "é\ud800"
    d["nan"] = [float("nan"), float("inf"), -float("inf")]
    assert path.read_bytes() == json.dumps(d()).encode()
    assert path.read_text() == r'{"size": 10, "text": "\u00e9\ud800", "nan": [NaN, Infinity, -Infinity]}'


def test_every_way_of_encoding_writes_the_same(path: Path) -> None:
    """After some edits in a row only what changed is encoded again."""
    d = JSONDict(path)
    for n in range(10):
        d[f"k{n}"] = {"n": [n, "ü"]}
        d[f"k{n // 2}"]["n"].append(n)
        assert path.read_text() == json.dumps(d())
    d.update({"k3": None, "new": 1, "k5": 2})
    assert path.read_text() == json.dumps(d())
    del d["k4"]
    d["k4"] = {"last": 1}
    assert path.read_text() == json.dumps(d())
    path.write_text('{"other": 1}')
    d["k"] = 1
    assert path.read_text() == '{"other": 1, "k": 1}'


@pytest.mark.parametrize(
    "text", ['\n{\n\t"a" :\n[1.0e3]}\n', '\ufeff{"a": [1000.0]}', '{"a": 1, "a": [1000.0]}']
)
def test_files_of_other_programs_are_read(path: Path, text: str) -> None:
    path.write_text(text)
    d = JSONDict(path)
    assert d == {"a": [1000.0]}
    d["a"].append(2)
    assert path.read_text() == '{"a": [1000.0, 2]}'


def test_a_relative_name_is_of_the_working_directory_of_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    d = JSONDict("data.json")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    d["a"] = 1
    assert os.listdir(tmp_path / "elsewhere") == []
    assert (tmp_path / "data.json").exists()
    assert d.filename == "data.json"


def test_a_symbolic_link_is_followed_and_kept(tmp_path: Path, path: Path) -> None:
    target = "there/real.json"
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "real.json").write_text('{"a": 1}')
    path.symlink_to(target)
    d = JSONDict(path)
    d["b"] = {"c": 1}
    d["b"]["c"] = 2
    assert path.is_symlink()
    assert json.loads((tmp_path / target).read_text())["b"] == {"c": 2}
    assert d == JSONDict(tmp_path / target)


def test_permissions_are_the_umasks_or_stay_as_they_are(path: Path) -> None:
    old = os.umask(0o027)
    try:
        JSONDict(path)["a"] = 1
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o604)
        JSONDict(path)["a"] = 2
        assert stat.S_IMODE(path.stat().st_mode) == 0o604
    finally:
        os.umask(old)


def test_nothing_is_left_beside_the_file(path: Path) -> None:
    d, other = JSONDict(path), JSONDict(path)
    d["a"] = [1]
    for n in range(5):
        other["b"] = n
        d["a"].append(n)
        with pytest.raises(ValueError, match="digits"):
            d["long"] = 10**5000
        with pytest.raises(TypeError):
            d["a"].append({1})
    assert os.listdir(path.parent) == ["data.json"]


def test_what_a_dead_writer_left_is_swept_later(path: Path) -> None:
    now = time.time()
    for name, when in (("old", now - 7200), ("new", now)):
        leftover = path.with_name(f"{TEMPORARY}{name}")
        leftover.write_bytes(b"{")
        os.utime(leftover, (when, when))
    JSONDict(path)["a"] = 1
    assert sorted(os.listdir(path.parent)) == [f"{TEMPORARY}new", "data.json"]


EDITS: dict[str, Callable[[JSONDict], Any]] = {
    "set": lambda d: d.__setitem__("a", 1),
    "reset": lambda d: d.reset({}),
    "clear": lambda d: d.clear(),
    "update": lambda d: d.update(a=1),
    "transform": lambda d: d.transform(lambda data: {}),
    "delete": lambda d: d.__delitem__("a"),
    "read": lambda d: d(),
    "look": lambda d: d.get("a"),
}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("content", [b"", b"{bad", b'{"a": 1}}', b'{"a": "\xff"}', b"[" * 100_000])
def test_what_is_no_json_is_an_error_and_stays(path: Path, content: bytes, edit: str) -> None:
    path.write_bytes(content)
    for d in (JSONDict(path), JSONDict(path, data={"a": 2})):
        with pytest.raises(CorruptValueError, match=r"data\.json"):
            EDITS[edit](d)
        with pytest.raises(CorruptValueError), d.editing():
            d["a"] = 1
        with pytest.raises(CorruptValueError), d.buffered:
            d["a"] = 1
    assert path.read_bytes() == content


@pytest.mark.parametrize("edit", EDITS)
def test_a_file_that_turns_bad_is_an_error_and_stays(path: Path, edit: str) -> None:
    d = JSONDict(path)
    d["a"] = 1
    path.write_text("{")
    with pytest.raises(CorruptValueError, match=r"data\.json"):
        EDITS[edit](d)
    assert path.read_text() == "{"


def test_the_other_kind_is_an_error_and_stays(path: Path) -> None:
    path.write_text("[1]")
    with pytest.raises(WrongKindError, match=r"data\.json holds a list, not a dict"):
        JSONDict(path)["a"] = 1
    path.write_text('{"a": 1}')
    with pytest.raises(ValueError, match="holds a dict, not a list"):
        JSONList(path).append(1)
    path.write_text("3")
    with pytest.raises(WrongKindError):
        JSONDict(path)()
    assert path.read_text() == "3"


def test_a_file_that_is_deleted_is_an_empty_document(path: Path) -> None:
    d = JSONDict(path, data={"first": 1})
    d["a"] = 1
    path.unlink()
    assert d == {"first": 1}
    d["b"] = 2
    assert json.loads(path.read_text()) == {"first": 1, "b": 2}


def test_folders_are_not_made(tmp_path: Path) -> None:
    d = JSONDict(tmp_path / "nowhere" / "data.json")
    assert d == {}
    with pytest.raises(FileNotFoundError):
        d["a"] = 1
    with pytest.raises(IsADirectoryError):
        JSONDict(tmp_path)()
    with pytest.raises(TypeError, match="filename"):
        JSONDict()


def test_an_unchanged_document_costs_one_stat(path: Path) -> None:
    d = JSONDict(path)
    d["a"] = {"b": [1, {"c": 2}]}
    inner = d["a"]["b"][1]
    for look in (lambda: inner["c"], lambda: inner == {"c": 2}, lambda: dict(inner.items()), d):
        assert system_calls(look) == ["stat"]
    assert system_calls(lambda: d["a"]["b"][1]["c"]) == ["stat"] * 4


@pytest.mark.parametrize(("durable", "syncs"), [(False, 0), (True, 2)])
def test_an_edit_costs_what_is_promised(path: Path, durable: bool, syncs: int) -> None:
    d = JSONDict(path, write_concern=durable)
    d["a"] = 1
    calls = system_calls(lambda: d.__setitem__("a", 2))
    assert calls.count("fsync") == syncs
    others = [call for call in calls if call not in {"fspath", "fsync", "lstat", "_path_normpath"}]
    assert len(others) == 14


def test_two_writes_in_one_tick_are_told_apart(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Older kernels give both the same times; then what was written just now is read again."""
    monkeypatch.setattr(stamps, "plain_version_of", lambda found: f"{found.st_mtime_ns}-{found.st_size}")
    d = JSONDict(path)
    now = time.time_ns() // 1000 * 1000 + 123
    for n in range(3):
        path.write_text(f'{{"n": {n}}}')
        os.utime(path, ns=(now, now))
        assert d["n"] == n


def test_files_with_coarse_times_are_compared_by_content(path: Path) -> None:
    d = JSONDict(path)
    for n in range(3):
        path.write_text(f'{{"n": {n}}}')
        os.utime(path, ns=(10**18, 10**18))
        assert d["n"] == n
        d["m"] = n
    assert json.loads(path.read_text()) == {"n": 2, "m": 2}


def test_a_process_killed_anywhere_leaves_the_old_document_or_the_new_one(tmp_path: Path) -> None:
    template, folder = tmp_path / "template", tmp_path / "folder"
    template.mkdir()
    (template / "data.json").write_text('{"old": 1}')
    seen = set()
    for _ in crash_everywhere(template, folder, partial(crash_acts.update, folder / "data.json")):
        seen.add((folder / "data.json").read_text())
        JSONDict(folder / "data.json")["next"] = 1
        assert JSONDict(folder / "data.json")["next"] == 1
    assert seen == {'{"old": 1}', '{"old": 1, "new": 2}'}


def test_attributes_are_items(path: Path) -> None:
    d = JSONAttrDict(path)
    d.foo = {"bar": [{"n": 1}]}
    d.foo.bar[0].n += 1
    d["keys"] = 1
    d._private = 1
    del d["keys"], d._private
    assert d == {"foo": {"bar": [{"n": 2}]}}
    assert isinstance(d.foo, JSONAttrDict)
    del d.foo.bar
    assert d == {"foo": {}}
    assert not hasattr(d, "missing")
    with pytest.raises(AttributeError):
        del d.missing
    assert d.filename == str(path)
    d["filename"] = "x"  # keys come first
    assert d.filename == "x"


def test_the_filename_is_that_of_parts_too(path: Path) -> None:
    d = JSONDict(path)
    d["a"] = [{}]
    assert d["a"][0].filename == str(path)
    assert isinstance(d["a"].resource, JSONFile)


def test_a_full_buffer_error_names_the_file(path: Path) -> None:
    d = BufferedJSONDict(path)
    with pytest.raises(BufferedFileError, match=r"data\.json"), d.buffered:
        d["a"] = 1
        path.write_text('{"theirs": 1}')
    assert path.read_text() == '{"theirs": 1}'
