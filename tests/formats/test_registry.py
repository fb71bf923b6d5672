"""More formats can be registered; a handle finds its format by name wherever it is unpickled."""

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from perkey import CorruptValueError, FileDirDict, LocalDict, OverlappingMultiDict, PersiDict, register_format
from perkey.content import Content, Data, read_all
from perkey.formats import Format, JsonFormat, PickleFormat, TextFormat, find_format, format_of


class Hex(Format):
    """Bytes as hexadecimal digits."""

    value_class = bytes

    def encode(self, value: Any) -> Data:
        return bytes.hex(value).encode()

    def decode(self, content: Content) -> bytes:
        try:
            return bytes.fromhex(read_all(content).decode("ascii"))
        except ValueError as error:
            raise CorruptValueError(str(error)) from error


@pytest.mark.parametrize("_", ["one test", "another"])
def test_what_a_test_registers_ends_with_it(_: str) -> None:
    """Tests share a process, and run in any order."""
    assert find_format("of-one-test") is None
    register_format("of-one-test", Hex())


def test_pkl_and_json_are_known_and_all_else_is_text() -> None:
    kinds = {file_type: type(format_of(file_type)) for file_type in ("pkl", "json", "txt", "hex", "Pkl")}
    assert kinds == {
        "pkl": PickleFormat,
        "json": JsonFormat,
        "txt": TextFormat,
        "hex": TextFormat,
        "Pkl": TextFormat,
    }


def test_a_registered_format_is_used_for_its_type(tmp_path: Path) -> None:
    register_format("hex", Hex())
    d = FileDirDict[bytes](tmp_path, "hex")
    d["k"] = b"\x00\xff"
    (path,) = tmp_path.iterdir()
    assert (path.read_bytes(), d["k"]) == (b"00ff", b"\x00\xff")
    both = OverlappingMultiDict(FileDirDict, {"base_dir": tmp_path}, hex={}, json={})
    assert both.hex["k"] == b"\x00\xff"


def test_its_errors_are_located(tmp_path: Path) -> None:
    register_format("hex", Hex())
    d = FileDirDict[bytes](tmp_path, "hex")
    d["k"] = b"\x00"
    (path,) = tmp_path.iterdir()
    path.write_bytes(b"zz")
    with pytest.raises(CorruptValueError) as caught:
        d["k"]
    assert (caught.value.key, caught.value.place) == (("k",), str(path))


def test_its_class_bounds_the_base_class() -> None:
    register_format("hex", Hex())
    with pytest.raises(ValueError, match="bytes values only"):
        LocalDict("hex", base_class_for_values=str)


def test_a_meaning_is_replaced_only_on_demand() -> None:
    register_format("hex", Hex())
    for taken in ("hex", "pkl", "json"):
        with pytest.raises(ValueError, match="replace=True"):
            register_format(taken, Hex())
    before = LocalDict[Any]("json")
    register_format("json", Hex(), replace=True)
    after = LocalDict[Any]("json")
    before["k"] = after["k"] = b"\x01"
    assert type(format_of("json")) is Hex


def test_dictionaries_made_before_keep_their_format() -> None:
    before = LocalDict[Any]("json")
    register_format("json", Hex(), replace=True)
    before["k"] = [1]
    assert before["k"] == [1]


@pytest.mark.parametrize("file_type", ["", "..", "a/b", "x y"])
def test_types_are_checked_like_key_parts(file_type: str) -> None:
    with pytest.raises(ValueError, match=r"^file_type: .*(part|folder)"):
        register_format(file_type, Hex())


@pytest.mark.parametrize("thing", [Hex, None, "pkl"])
def test_formats_are_formats(thing: Any) -> None:
    with pytest.raises(TypeError, match="new must be a Format"):
        register_format("hex", thing)


def test_a_handle_travels_without_its_format_and_finds_it_by_name(tmp_path: Path) -> None:
    register_format("hex", Hex())
    d = FileDirDict[bytes](tmp_path, "hex")
    d["k"] = b"\x07"
    assert b"Hex" not in pickle.dumps(d)
    assert pickle.loads(pickle.dumps(d))["k"] == b"\x07"


def test_where_the_format_is_unknown_a_handle_is_refused_not_taken_for_text(tmp_path: Path) -> None:
    register_format("hex", Hex())
    travelling = tmp_path / "handle"
    travelling.write_bytes(pickle.dumps(FileDirDict[bytes](tmp_path / "d", "hex")))
    code = f"import pickle; pickle.loads(open({str(travelling)!r}, 'rb').read())"
    run = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert "LookupError: file type 'hex' has no format here; call perkey.register_format first" in run.stderr


def test_a_text_handle_travels_without_registration(tmp_path: Path) -> None:
    d = FileDirDict[str](tmp_path, "txt")
    d["k"] = "x"
    twin: PersiDict[str] = pickle.loads(pickle.dumps(d))
    assert twin["k"] == "x"
