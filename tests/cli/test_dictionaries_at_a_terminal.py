"""The commands for dictionaries at a terminal: tables, bars, questions, and nothing that moves the cursor."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

import perkey

pexpect = pytest.importorskip("pexpect")

PROGRAM = str(Path(sys.executable).parent / "perkey")
STYLE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def place(tmp_path: Path) -> str:
    path = str(tmp_path / "results")
    d = perkey.FileDirDict(path, file_type="json", durability="none")
    d.update({(f"run{number % 3}", f"k{number}"): {"n": number} for number in range(300)})
    return path


def shown(*words: str, answer: str | None = None, code: int = 0, columns: int = 80) -> str:
    """Run the program at a terminal, and return all that it printed."""
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns), "LINES": "24"}
    child = pexpect.spawn(
        PROGRAM, list(words), env=environment, dimensions=(24, 80), encoding="utf-8", timeout=60
    )
    text = ""
    if answer is not None:
        child.expect_exact("[y/N]: ")
        text = child.before + child.after
        child.sendline(answer)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == code, child.before
    return str(text + child.before)


def test_rows_are_a_table_with_sizes_for_people(place: str) -> None:
    perkey.open(place)["large"] = "x" * 5000
    head, *rows = STYLE.sub("", shown("ls", "-l", place)).splitlines()
    assert head.split() == ["bytes", "modified", "key"]
    assert re.fullmatch(r" *4\.9 KiB  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d  large *", rows[0])
    assert [row.split()[-1] for row in rows] == ["large", "run0/", "run1/", "run2/"]
    assert STYLE.sub("", shown("du", place)).split()[:4] == ["items", "bytes", "modified", "key"]


@pytest.mark.parametrize("columns", [0, 1, 19, 20])
def test_nothing_is_left_out_at_a_narrow_terminal(columns: int, place: str) -> None:
    text = "".join(STYLE.sub("", shown("ls", "-l", place, columns=columns)).split())
    assert [text.count(f"run{number}/") for number in range(3)] == [1, 1, 1]


@pytest.mark.parametrize(
    ("words", "label"),
    [
        (["verify", "PLACE"], "reading"),
        (["find", "PLACE", "n.$lt", "3"], "reading"),
        (["prune", "PLACE", "--max-items", "10"], "removing"),
        (["rm", "-r", "-y", "PLACE", "run0"], "removing"),
        (["cp", "PLACE", "PLACE-copy"], "copying"),
        (["sync", "PLACE", "PLACE-copy", "--delete"], "copying"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else value,
)
def test_long_work_shows_a_bar_unless_it_is_to_be_quiet(words: list[str], label: str, place: str) -> None:
    words = [word.replace("PLACE", place) for word in words]
    assert label not in shown(*words, "-n", "-q") if words[0] in {"rm", "cp"} else True
    seen = STYLE.sub("", shown(*words))
    assert label in seen
    assert re.search(r"━.* \d+/(\d+|\?)", seen), seen


def test_a_copy_shows_totals_and_rates(place: str) -> None:
    seen = STYLE.sub("", shown("cp", place, f"{place}-copy"))
    assert "300/300" in seen
    assert re.search(r"[\d.]+ (bytes|KiB|MiB)/s", seen)
    assert "300 items" in seen


def test_removing_much_asks_first(place: str) -> None:
    seen = shown("rm", "-r", place, "run1", answer="n", code=130)
    assert f"remove 100 items of {place}?" in seen.replace("\r\n", "")
    d = perkey.open(place)
    assert len(d) == 300
    shown("rm", "-r", place, "run1", answer="y")
    assert len(d) == 200


def test_values_and_names_do_not_move_the_cursor(tmp_path: Path) -> None:
    path = str(tmp_path / "notes")
    d = perkey.FileDirDict(path, file_type="txt")
    d["a"] = "one\x1b]0;title\x07\x1b[2Jtwo\x9b5n\nthree\x7f"
    (tmp_path / "notes" / "x\x1b[2J\x9b.dat").write_text("")
    seen = shown("get", path, "a")
    assert "one\\x1b]0;title\\x07\\x1b[2Jtwo\\x9b5n\r\nthree\\x7f" in seen
    found = shown("verify", path, code=1)
    assert "\x1b[2J" not in found
    assert "\x9b" not in found
    assert "[2J" in found
