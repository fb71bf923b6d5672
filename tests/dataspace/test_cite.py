"""References to this software, and to signac."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest

import perkey
from perkey.dataspace.cite import bibtex, reference


@pytest.mark.parametrize("write", [bibtex, reference])
def test_to_the_screen_a_file_or_a_path(
    write: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write()
    text = capsys.readouterr().out
    buffer = io.StringIO()
    write(buffer)
    write(tmp_path / "file")
    assert buffer.getvalue() == (tmp_path / "file").read_text() == text
    assert "perkey" in text
    assert perkey.__version__ in text
    assert "10.1016/j.commatsci.2018.01.035" in text


def test_the_entries_are_balanced(capsys: pytest.CaptureFixture[str]) -> None:
    bibtex()
    text = capsys.readouterr().out
    assert text.count("{") == text.count("}")
    assert text.count("\n@") + text.startswith("@") == 3
