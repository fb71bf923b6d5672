"""The commands for dictionaries, through the real program: in a folder, in S3, and with hostile values."""

from __future__ import annotations

import csv
import io
import json
import os
import pickle
import shelve
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import click
import pytest
from s3.servers import Server

import perkey
from perkey.cli import main
from perkey.cli.program import perkey as group

from .conftest import Answer, Run, is_one_line

PROGRAM = Path(sys.executable).parent / "perkey"

VALUES: dict[Any, Any] = {
    ("run1", "loss"): {"loss": 0.5, "kind": "dry", "at": {"step": 1}},
    ("run1", "note"): "first",
    ("run2", "loss"): {"loss": 0.25, "kind": "wet"},
    "total": [1, 2],
}
KEYS = ["run1/loss", "run1/note", "run2/loss", "total"]

COMMANDS = [
    name
    for name in group.list_commands(click.Context(group))
    if name not in {"space", "doctor", "completion", "help"}
]


@pytest.fixture
def place(tmp_path: Path) -> str:
    """A folder with four items."""
    path = str(tmp_path / "results")
    perkey.FileDirDict(path, file_type="json").update(VALUES)
    return path


def words_of(answer: Answer) -> list[str]:
    assert answer.err == "", answer.err
    assert answer.code == 0
    return answer.out.split()


# --- Looking ------------------------------------------------------------------------------------------------


def test_all_forms_have_the_same_rows(place: str, program: Run) -> None:
    for words in (["ls", "-r"], ["ls", "-l"], ["du"], ["find", "--columns", "loss", "kind"]):
        rows, lines, table = (program(*words, form, place) for form in ("--json", "--jsonl", "--csv"))
        assert list(map(json.loads, lines.out.splitlines())) == rows.json
        read = list(csv.DictReader(io.StringIO(table.out)))
        assert [row["key"] for row in read] == [row["key"] for row in rows.json], words


def test_items_go_through_pipes(place: str, tmp_path: Path, program: Run) -> None:
    other = str(tmp_path / "other")
    program("put", other, "--jsonl", "-", stdin=program("find", place, "--jsonl").out)
    assert dict(perkey.open(other)) == dict(perkey.open(place))
    keys = program("find", place, "kind", "dry").out
    assert program("rm", other, "-", stdin=keys).code == 0
    assert sorted(map("/".join, perkey.open(other))) == KEYS[1:]
    assert program("get", place, "-", "--jsonl", stdin=keys).json["key"] == "run1/loss"
    raw = subprocess.run([PROGRAM, "get", "--raw", place, "total"], capture_output=True, check=True).stdout
    subprocess.run([PROGRAM, "put", "--raw", other, "total", "-"], input=raw, check=True)
    assert Path(perkey.open(other).path("total")).read_bytes() == raw
    file = tmp_path / "value"
    assert program("get", place, "run1/note", "-o", str(file)).code == 0
    assert file.read_text() == "first\n"


def test_memory_is_a_place(program: Run) -> None:
    assert program("put", "memory://here", "a", "1").code == 0
    absent = program("ls", "memory://here")  # another process
    assert absent.code == 1
    assert is_one_line(absent.err)


def test_text_and_pickles(tmp_path: Path, program: Run) -> None:
    notes, pickles = str(tmp_path / "notes"), str(tmp_path / "pickles")
    program("put", notes, "--file-type", "txt", "today", "it is 5 > 3")
    assert perkey.open(notes)["today"] == "it is 5 > 3"
    assert program("get", notes, "today").out == "it is 5 > 3"
    program("put", pickles, "--file-type", "pkl", "a", '{"n": 1}')
    program("put", pickles, "b", "-", "--bytes", stdin="raw")
    d = perkey.open(pickles)
    assert dict(d) == {("a",): {"n": 1}, ("b",): b"raw"}
    assert words_of(program("find", pickles, "--unpickle", "n", "1")) == ["a"]
    assert program("get", pickles, "b", "--unpickle").out == "b'raw'\n"


def test_faults_are_reported_and_moved_away(place: str, program: Run) -> None:
    damaged = Path(perkey.open(place).path("total"))
    damaged.write_bytes(b"{")
    Path(place, "foreign\x1b[2J.dat").write_bytes(b"")
    found = program("verify", place)
    assert found.code == 1
    assert {line.split("\t")[0] for line in found.out.splitlines()} == {"damaged", "foreign"}
    assert "\x1b" not in found.out + found.err
    moved = program("verify", place, "--quarantine", "--json").json
    assert (moved["exit_code"], damaged.exists()) == (1, False)
    reading = program("find", place, "loss.$exists", "true")
    assert (reading.code, reading.err) == (0, "")


def test_a_damaged_value_stops_no_search(place: str, program: Run) -> None:
    Path(perkey.open(place).path("total")).write_bytes(b"{")
    found = program("find", place, "kind")
    assert (found.out.split(), found.code) == (["run1/loss", "run2/loss"], 1)
    assert is_one_line(found.err)
    assert "total" in found.err


def test_prune_by_age_and_size(place: str, program: Run) -> None:
    d = perkey.open(place)
    os.utime(d.path("total"), (1, 1))
    planned = program("prune", place, "--older-than", "2d", "-n", "-v")
    assert "1 item" in planned.out
    assert "total" in planned.err
    assert len(d) == 4
    program("prune", place, "--older-than", "2d")
    assert sorted(map("/".join, d)) == KEYS[:3]
    program("prune", place, "--max-bytes", "0.001kB")
    assert len(d) == 0


# --- Nothing of a place is run ------------------------------------------------------------------------------


class Hostile:
    """Makes a folder when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.makedirs, (self.path, 0o777, True)


def hostile_place(file_type: str, folder: Path, trap: Path) -> str:
    """Make a place whose values make the folder `trap` when they are decoded."""
    path = str(folder / f"hostile-{file_type}")
    texts = perkey.FileDirDict(path, file_type="txt")
    texts["x"] = ""
    name = Path(texts.path("x"))
    content = pickle.dumps(Hostile(trap))
    if file_type == "json":
        reduced = {"py/reduce": [{"py/function": "os.makedirs"}, {"py/tuple": [str(trap), 0o777, True]}]}
        keyed = {f"json://{json.dumps(reduced)}": 1}
        content = json.dumps({"kind": "dry", "value": reduced, "keyed": keyed}).encode()
    name.with_suffix(f".{file_type}").write_bytes(content)
    name.unlink()
    return path


def in_bucket(path: str, request: pytest.FixtureRequest) -> str:
    """Copy a place as it is to a bucket, and return the address."""
    server: Server = request.getfixturevalue("ministack")
    address = f"s3://{request.getfixturevalue('bucket')}/hostile?endpoint_url={server.endpoint}"
    d = perkey.open(path)
    perkey.copy(d, perkey.open(address, file_type=d.file_type))
    return address


@pytest.mark.parametrize("where", ["folder", "bucket"])
@pytest.mark.parametrize("file_type", ["pkl", "json"])
def test_no_command_runs_what_values_name(
    file_type: str,
    where: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """In this process, because thirty programs take long: what a value names would run here as there."""
    trap = tmp_path / "trap"
    path = hostile_place(file_type, tmp_path, trap)
    if where == "bucket":
        path = in_bucket(path, request)
    target = str(tmp_path / "target")
    lines: list[list[str]] = [
        ["ls", "-rl", path],
        ["tree", "-s", path],
        ["get", path, "x"],
        ["get", path, "x", "--json"],
        ["get", path, "x", "--jsonl"],
        ["get", path, "x", "--raw", "-o", str(tmp_path / "raw")],
        ["find", path, "kind", "dry"],
        ["find", path, "--csv"],
        ["find", path, "--jsonl"],
        ["info", path],
        ["info", path, "x"],
        ["du", path],
        ["verify", path],
        ["claims", path],
        ["prune", path, "--max-items", "1"],
        ["put", path, "x", "1", "--no-clobber"],
        ["put", path, "y", "1"],
        ["cp", path, target],
        ["cp", path, target + "-text", "--to-type", "txt"],
        ["sync", path, target, "--delete"],
        ["sync", path, target + "-other", "--to-type", "json" if file_type == "pkl" else "pkl"],
        ["convert", path, target + "-converted", "--to-type", "json" if file_type == "pkl" else "pkl"],
        ["convert", path, "--to-type", "txt"],
        ["convert", "--from", "joblib", path, target + "-joblib"],
        ["convert", "--from", "files", path, target + "-files", "--to-type", "json"],
        ["convert", path, "--to-digest-len", "0"],
        ["convert", path, "--to-digest-len", "8", "-y"],
        ["doctor", path],
        ["rm", path, "y"],
        ["rm", "-r", path, "x", "-y"],
    ]
    # view runs until it gets a signal; its pages are tried in tests/viewer.
    assert {words[0] for words in lines} >= set(COMMANDS) - {"view"}
    for words in lines:
        main(words)
        assert not trap.exists(), words
        assert "Traceback" not in capfd.readouterr().err, words
    # The values are hostile indeed.
    again = hostile_place(file_type, tmp_path / "again", trap)
    if where == "bucket":
        again = in_bucket(again, request)
    perkey.open(again, file_type=file_type)["x"]
    assert trap.exists()


def test_pickles_are_loaded_only_if_asked(tmp_path: Path, program: Run) -> None:
    trap = tmp_path / "trap"
    path = hostile_place("pkl", tmp_path, trap)
    refused = program("get", path, "x")
    assert refused.code == 1
    assert is_one_line(refused.err)
    assert "--unpickle" in refused.err
    program("get", path, "x", "--unpickle")
    assert trap.exists()


def test_tags_of_jsonpickle_are_text(tmp_path: Path, program: Run) -> None:
    path = hostile_place("json", tmp_path, tmp_path / "trap")
    value = program("get", path, "x", "--unpickle", "--json").json
    assert value["value"]["py/reduce"][0] == {"py/function": "os.makedirs"}
    copied = str(tmp_path / "copied")
    program("put", copied, "--jsonl", "-", stdin=program("find", path, "--jsonl").out)
    assert program("get", copied, "x", "--json").json == value
    assert not (tmp_path / "trap").exists()


# --- The program --------------------------------------------------------------------------------------------


def test_the_help_fits_a_screen(program: Run) -> None:
    shown = program("--help").out.splitlines()
    assert len(shown) <= 24
    assert max(map(len, shown)) <= 80
    for name in group.list_commands(click.Context(group)):
        assert any(name in line.split() for line in shown), name


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_has_examples_and_explains_every_option(name: str, program: Run) -> None:
    answer = program(name, "--help")
    assert answer.out.startswith(f"Usage: perkey {name} ")
    assert "Examples:" in answer.out
    command = group.get_command(click.Context(group), name)
    assert command is not None
    for parameter in command.params:
        assert not isinstance(parameter, click.Option) or parameter.help, parameter.name


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str, program: Run) -> None:
    assert "_PERKEY_COMPLETE" in program("completion", shell).out


def test_commands_are_completed() -> None:
    asked = {**os.environ, "_PERKEY_COMPLETE": "bash_complete", "COMP_WORDS": "perkey ver", "COMP_CWORD": "1"}
    done = subprocess.run([PROGRAM], env=asked, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["plain,verify"]


def test_nothing_heavy_is_loaded_before_it_is_needed(place: str) -> None:
    code = (
        "import sys; from perkey.cli import main; main(sys.argv[1:]);"
        "heavy = {'rich', 'numpy', 'pandas', 'boto3', 'obstore', 'tqdm', 'perkey.dataspace'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    for words in (["--help"], ["ls", place], ["get", place, "total"], ["verify", place]):
        done = subprocess.run(
            [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines()[-1] == "[]", words


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (["ls", "nowhere"], "perkey put"),
        (["ls", "PLACE", "nope"], "nope"),
        (["get", "PLACE", "nope"], "perkey ls"),
        (["get", "PLACE", "a//b"], "not a key"),
        (["rm", "PLACE", "nope"], "perkey ls"),
        (["put", "PLACE", "a", "{"], "--text"),
        (["find", "PLACE", "{"], "JSON"),
        (["find", "s3://user:secret@bucket/prefix"], "credentials"),
        (["claims", "PLACE", "--break", "total"], "no process holds"),
    ],
    ids=str,
)
def test_an_error_is_one_line_that_says_what_to_do(
    words: list[str], advice: str, place: str, program: Run
) -> None:
    answer = program(*(place if word == "PLACE" else word for word in words))
    assert answer.code == 1
    assert is_one_line(answer.err), answer.err
    assert advice in answer.err
    assert "secret" not in answer.err


@pytest.mark.parametrize(
    "words",
    [
        ["prune", "x"],
        ["rm", "x"],
        ["put", "x"],
        ["prune", "x", "--older-than", "soon"],
        ["ls", "--nope", "x"],
    ],
    ids=str,
)
def test_a_wrong_command_line_exits_with_2(words: list[str], program: Run) -> None:
    answer = program(*words)
    assert answer.code == 2
    assert is_one_line(answer.err)


def test_several_dictionaries_in_a_place(place: str, program: Run) -> None:
    perkey.FileDirDict(place, file_type="pkl")["other"] = 1
    answer = program("ls", place)
    assert answer.code == 1
    assert is_one_line(answer.err)
    assert "--file-type pkl --digest-len 8" in answer.err
    assert words_of(program("ls", place, "--file-type", "pkl")) == ["other"]


def test_an_interruption_leaves_every_item_whole_and_says_how_to_go_on(tmp_path: Path) -> None:
    path = str(tmp_path / "results")
    with subprocess.Popen(
        [PROGRAM, "put", path, "--jsonl", "-"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None

        def feed(pipe: IO[str]) -> None:
            with suppress(BrokenPipeError):
                for number in range(1_000_000):
                    pipe.write(json.dumps({"key": f"k{number}", "value": "x" * 100}) + "\n")

        feeding = threading.Thread(target=feed, args=(process.stdin,), daemon=True)
        feeding.start()
        end = time.monotonic() + 60
        while not (os.path.isdir(path) and any(name.endswith(".json") for name in os.listdir(path))):
            assert time.monotonic() < end
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        errors = process.stderr.read()
        feeding.join(timeout=10)
        with suppress(BrokenPipeError):  # what was not written yet
            process.stdin.close()
    assert is_one_line(errors.lstrip())  # a line end comes first, after what a terminal shows of Ctrl-C
    assert "interrupted: the items that were written are whole" in errors
    report = perkey.verify(perkey.open(path, "r"))
    assert report.items
    assert report.ok


# --- Copying ------------------------------------------------------------------------------------------------


VALUES_BY_KEY = {key if isinstance(key, tuple) else (key,): value for key, value in VALUES.items()}


def test_another_format_needs_leave_to_load_values(place: str, tmp_path: Path, program: Run) -> None:
    pickles = str(tmp_path / "pickles")
    refused = program("cp", place, pickles, "--to-type", "pkl")
    assert refused.code == 1
    assert is_one_line(refused.err)
    assert program("cp", place, pickles, "--to-type", "pkl", "--unpickle").code == 0
    d = perkey.open(pickles)
    assert (d.file_type, dict(d)) == ("pkl", VALUES_BY_KEY)
    plain = str(tmp_path / "plain")
    assert program("cp", place, plain, "--to-digest-len", "0").code == 0
    assert (Path(plain) / "run1" / "loss.json").exists()


def test_a_failure_of_one_item_is_reported_and_does_not_stop_the_others(
    place: str, tmp_path: Path, program: Run
) -> None:
    Path(perkey.open(place).path("total")).write_bytes(b"{")
    answer = program("cp", place, str(tmp_path / "pickles"), "--to-type", "pkl", "--unpickle")
    assert answer.code == 1
    assert answer.out.startswith("3 items")
    assert answer.err.startswith("perkey: total: ")


def test_converting_in_place_and_to_a_new_place(place: str, tmp_path: Path, program: Run) -> None:
    refused = program("convert", place, "--to-type", "pkl")
    assert refused.code == 1
    assert "--unpickle" in refused.err
    assert program("convert", place, "--to-type", "pkl", "--unpickle", "-n", "--json").json["copied"] == 4
    assert perkey.open(place).file_type == "json"
    report = program("convert", place, "--to-type", "pkl", "--unpickle", "--json").json
    assert (report["copied"], report["deleted"]) == (4, 4)
    d = perkey.open(place)
    assert (d.file_type, dict(d)) == ("pkl", VALUES_BY_KEY)
    plain = str(tmp_path / "plain")
    assert program("convert", place, plain, "--to-digest-len", "0").code == 0
    assert (perkey.open(plain).digest_len, dict(perkey.open(plain))) == (0, VALUES_BY_KEY)
    assert program("convert", place).code == 2


def test_converting_what_other_programs_keep(tmp_path: Path, program: Run) -> None:
    shelf = str(tmp_path / "shelf")
    with shelve.open(shelf) as opened:
        opened.update({"a": 1, "b c": [2]})
    target = str(tmp_path / "target")
    refused = program("convert", "--from", "shelve", shelf, target)
    assert refused.code == 1
    assert is_one_line(refused.err)
    assert not Path(target).exists()
    assert program("convert", "--from", "shelve", "--unpickle", shelf, target).code == 0
    assert dict(perkey.open(target)) == {("a",): 1, ("b=20c",): [2]}
    (tmp_path / "files" / "deep").mkdir(parents=True)
    (tmp_path / "files" / "deep" / "note").write_text("text")
    notes = str(tmp_path / "notes")
    assert program("convert", "--from", "files", str(tmp_path / "files"), notes, "--to-type", "txt").code == 0
    assert list(perkey.open(notes).values()) == ["text"]


def _by_persidict(path: Path) -> str:
    persidict = pytest.importorskip("persidict")
    d = persidict.FileDirDict(base_dir=str(path / "theirs"), serialization_format="pkl")
    d["a"], d["b"] = 1, [2]
    return str(path / "theirs")


def _by_diskcache(path: Path) -> str:
    with pytest.importorskip("diskcache").Cache(str(path / "cache")) as cache:
        cache["a"], cache["b"] = 1, [2]
    return str(path / "cache")


def _by_shelve(path: Path) -> str:
    with shelve.open(str(path / "shelf")) as opened:
        opened.update({"a": 1, "b": [2]})
    return str(path / "shelf")


@pytest.mark.parametrize("write", [_by_persidict, _by_diskcache, _by_shelve])
def test_one_command_takes_over_what_other_programs_keep(
    write: Callable[[Path], str], tmp_path: Path, program: Run
) -> None:
    """It looks what wrote the place."""
    src, target = write(tmp_path), str(tmp_path / "target")
    if write is not _by_persidict:  # whose pickles are copied as they are
        refused = program("convert", src, target)
        assert (refused.code, is_one_line(refused.err)) == (1, True)
        assert "--unpickle" in refused.err
    answer = program("convert", src, target, "--unpickle")
    assert answer.code == 0, answer.err
    assert dict(perkey.open(target, "r")) == {("a",): 1, ("b",): [2]}


def test_an_interrupted_copy_is_whole_and_goes_on(tmp_path: Path, program: Run) -> None:
    src, dst = str(tmp_path / "src"), tmp_path / "dst"
    d = perkey.FileDirDict(src, file_type="json", durability="none")
    d.set_many(((f"g{number % 100}", f"k{number}"), number) for number in range(20_000))
    with subprocess.Popen([PROGRAM, "cp", src, dst], stderr=subprocess.PIPE, text=True) as process:
        while not dst.exists():
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert is_one_line(errors.lstrip())
    assert "the same command copies what is missing" in errors
    before = len(perkey.open(dst, "r", file_type="json", digest_len=8))
    assert perkey.verify(perkey.open(dst, "r", file_type="json", digest_len=8)).ok
    report = program("cp", src, str(dst), "--json").json
    assert (report["copied"], report["skipped"]) == (20_000 - before, before)
    assert perkey.open(dst) == d


@pytest.mark.parametrize("words", [["cp"], ["space", "find"], []])
def test_help_is_a_command(words: list[str], program: Run) -> None:
    assert program("help", *words).out == program(*words, "--help").out
    assert "No such command" in program("help", *words, "nothing").err


def test_a_copy_that_is_refused_leaves_no_folder(place: str, program: Run) -> None:
    before = sorted(Path(place).rglob("*"))
    assert program("cp", place, f"{place}/deeper/still").code == 1
    assert sorted(Path(place).rglob("*")) == before
