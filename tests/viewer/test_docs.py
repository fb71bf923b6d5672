"""The page about the viewer tells the truth."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from perkey.viewer import images, index, pickles, values
from perkey.viewer.spaces import expressions

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "viewer.md").read_text()
LARGEST = 150_000


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


def test_pictures_are_small_and_have_a_description_wherever_they_are() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    shown = {
        str(page.relative_to(ROOT)): re.findall(r"!\[([^]]*)\]\(([^)]+)\)", page.read_text())
        for page in pages
    }
    used = {Path(target).name for found in shown.values() for _, target in found}
    for picture in (ROOT / "docs" / "images").glob("*.png"):
        assert picture.stat().st_size < LARGEST
        assert picture.name in used
    for name in ("README.md", "docs/viewer.md", "docs/viewer_spaces.md"):
        assert all(len(text) > 25 for text, _ in shown[name])
    for name in ("viewer-dictionary.png", "viewer-jobs.png", "viewer-plot.png"):
        assert sum(Path(target).name == name for found in shown.values() for _, target in found) >= 2
    assert len(shown["README.md"]) == 3


def test_the_limit_of_expressions_is_that_of_the_code() -> None:
    page = (ROOT / "docs" / "viewer_spaces.md").read_text()
    assert f"more than {expressions.SECONDS} seconds" in page
    assert f"more than {images._MOST_PIXELS // 1_000_000} million pixels" in page
