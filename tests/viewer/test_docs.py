"""The page about the viewer tells the truth."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from perkey.viewer import index, pickles, values

PAGE = (Path(__file__).parents[2] / "docs" / "viewer.md").read_text()


def test_every_program_of_the_page_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    programs = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert programs
    for program in programs:
        names: dict[str, Any] = {}
        exec(program, names)
        assert isinstance(names["app"], Starlette)


def test_the_page_names_every_option() -> None:
    command = [sys.executable, "-m", "perkey.cli", "view", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for option in set(re.findall(r"--[a-z-]+", shown)) - {"--help", "--yes", "--quiet", "--verbose"}:
        assert option in PAGE, option


def test_the_limits_of_the_page_are_those_of_the_code() -> None:
    assert f"above {values.MOST_BYTES >> 20} MiB" in PAGE
    assert f"its first {values._HEAD >> 10} KiB" in PAGE
    assert f"up to {pickles.MOST_BYTES >> 20} MiB" in PAGE
    assert f"above {pickles.MOST_BYTES >> 20} MiB for pickles" in PAGE
    assert f"{pickles._MOST_STEPS:,} steps" in PAGE
    assert f"the first {values._ROWS} rows and {values._COLUMNS} columns" in PAGE
    assert f"first {values._HEX} bytes" in PAGE
    assert f"every {index._PAUSE:g} seconds" in PAGE
    assert f"every {index._PAUSE_OF_SERVICES:g}\nseconds" in PAGE
