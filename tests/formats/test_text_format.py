"""Text: any other file type stores the characters of a str, and nothing else."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from perkey import FileDirDict, LocalDict, UnstorableValueError
from perkey.content import bytes_of
from perkey.formats import TextFormat

TEXT = TextFormat()


@given(st.text())
@example("")
@example("\r\n\n\r")
@example("\ufeffwith a mark")
@example("\0\x1a")
def test_any_text_comes_back_to_the_character(text: str) -> None:
    assert TEXT.decode(bytes_of(TEXT.encode(text))) == text


@pytest.mark.parametrize("file_type", ["txt", "csv", "html", "tar.gz", "PKL", "json5"])
def test_files_hold_the_text_and_nothing_else(tmp_path: Path, file_type: str) -> None:
    d = FileDirDict[str](tmp_path, file_type)
    d["k"] = "a\r\nüx"
    (path,) = tmp_path.iterdir()
    assert path.read_bytes() == "a\r\nüx".encode()
    assert path.name.endswith(f".{file_type}")
    assert d["k"] == "a\r\nüx"


def test_large_text_comes_back(tmp_path: Path) -> None:
    d = FileDirDict[str](tmp_path, "txt")
    d["k"] = "é" * 2_000_000
    assert d["k"] == "é" * 2_000_000


@pytest.mark.parametrize("value", [5, None, b"bytes", ["text"], "\ud800"])
def test_what_is_no_text_is_refused_and_the_old_value_stays(value: Any) -> None:
    d = LocalDict[Any]("txt")
    d["k"] = "old"
    with pytest.raises(UnstorableValueError, match=r"'k'.*(must be str|UTF-8)"):
        d["k"] = value
    assert d["k"] == "old"


def test_a_base_class_that_excludes_text_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="str values only"):
        LocalDict("txt", base_class_for_values=int)
    assert LocalDict[str]("txt", base_class_for_values=str) == {}


class Shout(str):
    __slots__ = ()


def test_a_base_class_narrower_than_text_could_never_be_read_back() -> None:
    """A str comes back, not the subclass that was stored; reading says so."""
    d = LocalDict[Shout]("txt", base_class_for_values=Shout)
    d["k"] = Shout("x")
    with pytest.raises(TypeError, match="is a str, not a Shout"):
        d["k"]
