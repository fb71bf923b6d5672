"""Streams that are closed, full or of a small character set; readers that go away; errors by the hundred."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import perkey
from perkey.cli.output import list_failures

from .conftest import Run, is_one_line

PROGRAM = Path(sys.executable).parent / "perkey"


@pytest.fixture
def place(tmp_path: Path) -> str:
    """A folder with two items."""
    path = str(tmp_path / "results")
    perkey.FileDirDict(path, file_type="json", durability="none").update({"a": 1, "b": "é→"})
    return path


def shell(line: str, **environment: str) -> tuple[int, str, str]:
    """Run a line of a shell in which PERKEY is the program; return exit code, output and errors."""
    done = subprocess.run(
        ["sh", "-c", line.replace("PERKEY", str(PROGRAM))],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        env={**os.environ, **environment},
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="it is a line of a shell of POSIX")
@pytest.mark.parametrize(
    "line",
    [
        "PERKEY put PLACE k - <&-",
        "PERKEY put PLACE k <&-",
        "PERKEY put PLACE --jsonl - <&-",
        "PERKEY get PLACE - <&-",
        "PERKEY rm PLACE - <&-",
        "PERKEY ls PLACE >&-",
        "PERKEY get PLACE a >&-",
        "PERKEY get PLACE a --raw >&-",
        "PERKEY find PLACE --csv >&-",
        "PERKEY info PLACE --json >&-",
        "PERKEY --help >&-",
    ],
)
def test_a_closed_stream_is_named(line: str, place: str) -> None:
    code, out, err = shell(line.replace("PLACE", place))
    assert (code, out, is_one_line(err)) == (1, "", True), err
    assert "standard " in err
    assert "it is closed" in err
    assert len(perkey.open(place)) == 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
@pytest.mark.parametrize("command", ["ls PLACE", "get PLACE a", "find PLACE --csv", "verify PLACE --json"])
def test_a_full_disk_behind_the_output_is_a_failure(command: str, place: str) -> None:
    code, _, err = shell(f"PERKEY {command.replace('PLACE', place)} > /dev/full")
    assert (code, err) == (1, "perkey: No space left on device\n")


@pytest.mark.skipif(sys.platform == "win32", reason="it is a line of a shell of POSIX")
@pytest.mark.parametrize("command", ["ls -r", "ls -l", "find --csv", "find --jsonl", "tree"])
def test_a_reader_that_goes_away_ends_the_program_silently(command: str, tmp_path: Path) -> None:
    path = tmp_path / "large"
    d = perkey.FileDirDict(path, file_type="json", durability="none")
    d.set_many(((f"k{number}",), {"n": "x" * 60}) for number in range(3000))
    code, out, err = shell(f"PERKEY {command} {path} | head -c 5")
    assert (code, len(out), err) == (0, 5, "")


def test_a_pipe_gets_utf_8_whatever_the_code_page_is(place: str) -> None:
    few = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for command in ("find --csv", "get --json"):
        words = command.split()
        more = ["b"] if words[0] == "get" else []
        done = subprocess.run(
            [PROGRAM, words[0], place, *more, *words[1:]],
            capture_output=True,
            check=True,
            env={**os.environ, **few},
        )
        text = done.stdout.decode()
        assert "é→" in text or json.loads(text) == "é→", command


def test_a_value_that_is_refused_leaves_no_new_place(tmp_path: Path, program: Run) -> None:
    for words in (["k", "{"], ["k", "x", "--bytes"], ["--jsonl", "-"]):
        answer = program("put", str(tmp_path / "new" / "place"), *words, stdin="{")
        assert answer.code == 1
        assert is_one_line(answer.err)
        assert not (tmp_path / "new").exists()


def test_many_errors_are_listed_up_to_a_bound_and_then_counted(
    place: str, tmp_path: Path, program: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    d = perkey.FileDirDict(place, file_type="json", durability="none")
    d.set_many(((f"k{number}",), number) for number in range(250))
    for key in list(d):
        d.path(key).write_bytes(b"{")
    answer = program("cp", place, str(tmp_path / "pickles"), "--to-type", "pkl", "--unpickle")
    assert answer.code == 1
    *listed, last = answer.err.splitlines()
    assert len(listed) == 100
    assert last == "perkey: 152 more items failed, not listed here"
    list_failures({("a",): "[Errno 28] No space left on device: '/x'"}, 1)
    assert capsys.readouterr().err == "perkey: a: No space left on device: '/x'\n"


NOT_UTF_8 = os.fsdecode(b"\xff")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
@pytest.mark.parametrize(
    "command",
    ["info PLACE", "info PLACE a", "tree PLACE", "verify PLACE", "verify PLACE --csv", "doctor PLACE"],
)
def test_names_that_are_not_utf_8_are_escaped(command: str, place: str) -> None:
    folder = Path(place).rename(f"{place}{NOT_UTF_8}")
    (folder / f"foreign{NOT_UTF_8}").touch()
    done = subprocess.run(
        [PROGRAM, *command.replace("PLACE", str(folder)).split()], capture_output=True, check=False
    )
    # Of a place in memory, doctor reports that it does not survive a restart.
    expected = {"verify": {1}, "doctor": {0, 3}}.get(command.partition(" ")[0], {0})
    assert done.returncode in expected
    assert b"surrogates" not in done.stderr
    assert "\\udcff" in done.stdout.decode()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such arguments")
def test_values_that_are_not_utf_8(place: str, program: Run) -> None:
    for value in (NOT_UTF_8, f'"{NOT_UTF_8}"'):
        answer = program("put", place, "k", value)
        assert (answer.code, answer.err) == (
            1, "perkey: the value is not text in UTF-8: use --bytes for a pkl, or --raw for stored bytes\n",
        )  # fmt: skip
    program("put", place, "k", '"a\\ud800"')
    answer = program("get", place, "k")
    assert (answer.code, answer.err) == (
        1, "perkey: the text has '\\ud800', which UTF-8 does not have: use --json\n",
    )  # fmt: skip
    assert json.loads(program("get", place, "k", "--json").out) == "a\ud800"


def test_a_source_without_items_has_the_type_of_its_copy(tmp_path: Path, place: str, program: Run) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    answer = program("cp", str(empty), place)
    assert (answer.code, answer.out) == (0, "0 items (0 bytes) copied, 0 there already\n")
    answer = program("sync", str(empty), place, "--delete")
    assert answer.code == 1
    assert "the source has no items here; --delete would empty" in answer.err
    assert "`perkey rm --all` does that" in answer.err
    asked = program("cp", str(empty), place, "--file-type", "pkl")
    assert "use --unpickle" in asked.err
