"""Each example runs, prints what is kept in `examples/output`, and leaves nothing behind.

`PERKEY_RECORD=1` writes that folder anew, for a change that is meant.
"""

import os
import re
from pathlib import Path

import pytest
from example_programs import FOLDER, run_example

OUTPUT = FOLDER / "output"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))
WITH_FOLDER = {"study": ["study"], "parameter_sweep": ["--quick", "--kills", "0", "--folder", "sweep"]}
"""Programs that keep a folder, and their options."""


def rounded(text: str) -> str:
    """Return a text with scores of two digits; the others depend on the version of scikit-learn."""
    return re.sub(r"\b(0\.\d\d)\d\d\b", r"\1", text)


@pytest.mark.parametrize("name", NAMES)
def test_an_example_prints_what_is_kept_and_leaves_nothing_behind(name: str, tmp_path: Path) -> None:
    printed = run_example(name, *WITH_FOLDER.get(name, []), cwd=tmp_path)
    left = [path.name for path in tmp_path.iterdir()]
    kept = OUTPUT / f"{name}.txt"
    if os.environ.get("PERKEY_RECORD"):
        kept.write_text(printed, encoding="utf-8")
    assert rounded(printed) == rounded(kept.read_text(encoding="utf-8"))
    assert left == [options[-1] for options in [WITH_FOLDER.get(name)] if options]


def test_every_output_is_of_an_example() -> None:
    assert sorted(path.stem for path in OUTPUT.iterdir()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_short_and_describes_itself(name: str) -> None:
    lines = (FOLDER / f"{name}.py").read_text().splitlines()
    assert len(lines) < 60
    assert lines[0].startswith('"""')


def test_the_list_of_examples_names_each_once() -> None:
    listed = re.findall(
        r"^\| \[\w+\.py\]\((\w+)\.py\) \| .+ \|$", (FOLDER / "README.md").read_text(), re.MULTILINE
    )
    assert sorted(listed) == NAMES
