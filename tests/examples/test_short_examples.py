"""Each example runs, prints what is kept in `examples/output`, and leaves nothing behind.

`PERKEY_RECORD=1` writes that folder anew, for a change that is meant.
"""

import re
from pathlib import Path

import pytest
from example_programs import FOLDER, OUTPUT, assert_printed_as_kept, run_example

NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))
LONG = {"study", "parameter_sweep"}
"""Programs that keep a folder; what they print is compared where more of them is tested, too."""


@pytest.mark.parametrize("name", sorted(set(NAMES) - LONG))
def test_an_example_prints_what_is_kept_and_leaves_nothing_behind(name: str, tmp_path: Path) -> None:
    assert_printed_as_kept(name, run_example(name, cwd=tmp_path))
    assert list(tmp_path.iterdir()) == []


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
