"""`perkey doctor`: which promises hold for a place; races of several processes through it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from perkey import FileDirDict
from perkey.cli import main
from perkey.files import file_systems
from perkey.files.file_systems import FileSystem, classify
from perkey.tools import doctor
from perkey.tools.doctor import OWN, examine
from perkey.tools.meeting import Meeting, MeetingError
from perkey.tools.racing import EXCLUSION, INSERTION, RACES, VISIBILITY

from .conftest import Answer, is_one_line

Doctor = Callable[..., Answer]
PROGRAM = "import sys; from perkey.cli import main; sys.exit(main())"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Doctor:
    """Run `perkey doctor` in this process."""

    def run(*words: object) -> Answer:
        capsys.readouterr()
        code = main(["doctor", *map(str, words)])
        found = capsys.readouterr()
        return Answer(code, found.out, found.err)

    return run


@pytest.fixture
def mounted(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Let folders seem to be on another file system."""

    def mounted(name: str, options: str) -> None:
        def found(_: int) -> FileSystem:
            return classify(name, options)

        for module in (file_systems, doctor, sys.modules["perkey.files.sharing"]):
            monkeypatch.setattr(module, "file_system_of", found)
        monkeypatch.setattr(doctor, "mount_of", lambda _: (name, options))

    return mounted


def holds(answer: Any) -> dict[str, bool | None]:
    return {name: promise["holds"] for name, promise in answer["promises"].items()}


def content(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# --- One machine ----------------------------------------------------------------------------------------


def test_a_local_folder_in_one_screen(tmp_path: Path, run: Doctor) -> None:
    FileDirDict(str(tmp_path / "d"))["a", "b"] = 1
    before = content(tmp_path)
    answer = run(tmp_path / "d")
    assert answer.err == ""
    assert len(answer.out.splitlines()) <= 24
    assert max(map(len, answer.out.splitlines()[1:])) <= 80
    assert content(tmp_path) == before, "it has left something"


def test_json_says_all(tmp_path: Path, run: Doctor, mounted: Callable[[str, str], None]) -> None:
    mounted("ext4", "rw,relatime")
    answer = run(tmp_path, "--json")
    found = answer.json
    assert answer.code == found["exit_code"] == 0
    assert set(holds(found).values()) == {True}
    assert all(promise["why"] for promise in found["promises"].values())
    assert found["file_system"] == {
        "type": "ext4",
        "kind": "local",
        "evidence": "tested",
        "options": ["relatime", "rw"],
    }
    assert found["locking"] == {"way": "local", "chosen_by": "file system"}
    assert found["access"]["write"]
    assert found["free"]["bytes"] > 0
    assert found["leftovers"] == {"stale_files": 0, "lock_file": False, "doctor": 0, "complete": True}
    assert (found["advice"], found["others"]) == ([], None)


@pytest.mark.parametrize(
    ("name", "options", "code", "conditions", "advice"),
    [
        ("xfs", "rw", 0, True, ""),
        ("ext4", "rw,nobarrier", 3, True, ""),
        ("tmpfs", "rw", 3, True, "restart"),
        ("exfat", "rw", 3, True, "carry"),
        ("nfs4", "rw,local_lock=none", 0, True, ""),
        ("nfs", "rw,nolock", 3, False, "nolock"),
        ("nfs", "rw,local_lock=all", 3, False, "local_lock=none"),
        ("nfs4", "rw,nocto", 3, False, "nocto"),
        ("cifs", "rw,cache=loose", 3, False, "options cache=none,nolease"),
        ("cifs", "rw,nobrl", 3, False, "nobrl"),
        ("cifs", "rw,cache=strict", 3, False, "options cache=none,nolease"),
        ("smb3", "rw,cache=none", 3, False, "options cache=none,nolease"),
        ("cifs", "rw,cache=none,nolease", 0, True, ""),
        ("lustre", "rw,localflock", 3, False, "option flock"),
        ("lustre", "rw,flock", 0, True, "--with-others 2"),
        ("ceph", "rw", 0, True, "--with-others 2"),
        ("fuse.sshfs", "rw", 3, False, 'locking="shared"'),
        ("9p", "rw", 4, None, "--with-others 2"),
    ],
)
def test_what_holds_on_other_file_systems(
    tmp_path: Path,
    run: Doctor,
    mounted: Callable[[str, str], None],
    name: str,
    options: str,
    code: int,
    conditions: bool | None,
    advice: str,
) -> None:
    mounted(name, options)
    answer = run(tmp_path, "--json")
    assert answer.err == "", "no warning: this is what the warning asks for"
    assert answer.code == code
    assert holds(answer.json)["conditions on versions"] is conditions
    told = " ".join(answer.json["advice"])
    assert advice in told if advice else told == ""


@pytest.mark.parametrize(
    ("name", "locking", "way", "conditions"),
    [
        ("ext4", "local", "local", True),
        ("ext4", "shared", "shared", True),
        ("ext4", "none", "none", False),
        ("nfs4", "local", "local", False),
        ("nfs4", "shared", "shared", True),
        ("fuse.sshfs", "local", "local", None),
        ("fuse.sshfs", "shared", "shared", None),
    ],
)
@pytest.mark.parametrize("by", ["argument", "PERKEY_LOCKING"])
def test_who_has_chosen_the_way(
    tmp_path: Path,
    run: Doctor,
    mounted: Callable[[str, str], None],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    locking: str,
    way: str,
    conditions: bool | None,
    by: str,
) -> None:
    mounted(name, "rw")
    if by == "argument":
        found = run(tmp_path, "--json", "--locking", locking).json
    else:
        monkeypatch.setenv(by, locking)
        found = run(tmp_path, "--json").json
    assert found["locking"] == {"way": way, "chosen_by": by}
    assert holds(found)["conditions on versions"] is conditions


def test_a_lock_file_of_another_machine(tmp_path: Path, run: Doctor) -> None:
    (tmp_path / ".@perkey-lock").write_text("perkey locks this file\n")
    found = run(tmp_path, "--json").json
    assert found["locking"]["way"] == "shared"
    assert ".@perkey-lock" in found["locking"]["chosen_by"]
    assert holds(found)["conditions on versions"]
    found = run(tmp_path, "--json", "--locking", "local").json
    assert holds(found)["conditions on versions"] is False
    assert "shared" in " ".join(found["advice"])


def test_a_folder_that_does_not_exist_is_not_made(tmp_path: Path, run: Doctor) -> None:
    answer = run(tmp_path / "not" / "yet", "--json")
    assert not answer.json["exists"]
    assert holds(answer.json)["writing"]
    assert content(tmp_path) == ["home"]


def test_leftovers_are_counted(tmp_path: Path, run: Doctor) -> None:
    (tmp_path / "d" / "sub").mkdir(parents=True)
    for name in (".@perkey-tmp-1", "sub/.@perkey-tmp-2", "sub/.@perkey-tmp-3", OWN):
        (tmp_path / "d" / name).touch()
    for name in (".@perkey-tmp-1", "sub/.@perkey-tmp-2", OWN):
        os.utime(tmp_path / "d" / name, (1, 1))
    found = run(tmp_path / "d", "--json").json
    assert (found["leftovers"]["stale_files"], found["leftovers"]["doctor"]) == (2, 1)
    assert "sweep" in " ".join(found["advice"])
    assert OWN in " ".join(found["advice"])


def test_a_full_disk_is_reported(tmp_path: Path, run: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(doctor, "sync", full)
    answer = run(tmp_path, "--json")
    assert answer.code == 3
    assert answer.json["promises"]["writing"] == {
        "holds": False,
        "why": "not writable: No space left on device",
    }
    assert content(tmp_path) == ["home"]


@pytest.mark.parametrize(
    "words",
    [
        ["FILE"],
        ["memory://name"],
        ["PLACE", "--endpoint-url", "http://localhost:1"],
        ["s3://bucket", "--locking", "shared"],
        ["s3://no name of a bucket"],
        ["s3://bucket", "--endpoint-url", "http://u:p@localhost"],
        ["PLACE", "--with-others", "1"],
        ["PLACE", "--locking", "maybe"],
    ],
    ids=str,
)
def test_errors_are_one_line(tmp_path: Path, run: Doctor, words: list[str]) -> None:
    (tmp_path / "file").touch()
    paths = {"FILE": tmp_path / "file", "PLACE": tmp_path}
    answer = run(*(paths.get(word, word) for word in words))
    assert answer.code in {1, 2}
    assert (answer.out, is_one_line(answer.err)) == ("", True), answer.err


@pytest.mark.parametrize("address", ["ftp://host/prefix", "https://bucket", "memory://"])
def test_an_address_of_another_kind_is_answered_with_what_to_do(run: Doctor, address: str) -> None:
    answer = run(address)
    assert (answer.code, is_one_line(answer.err)) == (1, True)
    assert f"not {address!r}" in answer.err
    assert "s3://, gs://, az://" in answer.err


def test_a_wrong_value_of_the_variable_is_named(
    tmp_path: Path, run: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERKEY_LOCKING", "foo")
    answer = run(tmp_path)
    assert (answer.code, is_one_line(answer.err)) == (1, True)
    assert "PERKEY_LOCKING must be one of" in answer.err
    assert "'foo'" in answer.err


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="there is no /proc")
def test_a_view_of_the_kernel_is_not_writable(run: Doctor) -> None:
    answer = run("/proc", "--json")
    assert answer.code == 3
    assert answer.json["promises"]["writing"]["holds"] is False
    assert "not writable: proc shows the state of the kernel" in answer.json["promises"]["writing"]["why"]
    assert answer.json["advice"] == ["choose a folder on a disk"]


def test_help_lists_the_exit_codes(run: Doctor) -> None:
    text = " ".join(run("--help").out.split())
    for code in ("0 all promises hold", "3 a promise", "4 it is not known", "5 the other machines"):
        assert code in text


# --- Buckets --------------------------------------------------------------------------------------------


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from s3 import servers

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with servers.moto_in_process():
        yield


def test_a_bucket(run: Doctor, service: None) -> None:
    import boto3

    answer = run("s3://study/data", "--json")
    assert (answer.code, answer.json["exists"]) == (4, False)
    client = boto3.client("s3")
    assert client.list_buckets()["Buckets"] == [], "a bucket was made"
    client.create_bucket(Bucket="study")
    client.put_bucket_versioning(Bucket="study", VersioningConfiguration={"Status": "Enabled"})
    found = run("s3://study/data", "--json").json
    assert found["versioning"] == "enabled"
    assert found["endpoint"].startswith("https://")
    assert found["region"] == "us-east-1"
    assert holds(found)["conditions on versions"]
    assert holds(found)["insert if absent"]
    assert client.list_objects_v2(Bucket="study")["KeyCount"] == 0, "probes are left"
    text = run("s3://study/data").out
    assert len(text.splitlines()) <= 24
    assert "versioning" in text


@pytest.mark.parametrize(("missing", "extra"), [("click", "cli"), ("botocore.exceptions", "aws")])
def test_a_missing_extra_is_named(missing: str, extra: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None\n{PROGRAM}"
    answer = finish([start("s3://bucket", code=code)])[0]
    assert answer.code == 1
    assert is_one_line(answer.err)
    assert f"perkey[{extra}]" in answer.err


# --- Several machines -----------------------------------------------------------------------------------


def start(*words: object, code: str = PROGRAM, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, "doctor", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def finish(processes: list[subprocess.Popen[str]]) -> list[Answer]:
    answers = []
    for process in processes:
        out, err = process.communicate(timeout=200)
        answers.append(Answer(process.returncode, out, err))
    return answers


def reached(records: FileDirDict[Any], processes: list[subprocess.Popen[str]]) -> list[int]:
    """Return the steps that processes have reached."""
    found = [(record["process"], record["step"]) for record in records.copy().values()]
    return sorted(max((s for p, s in found if p == process.pid), default=0) for process in processes)


def races(answer: Answer) -> dict[str, bool]:
    assert answer.out, answer.err
    return {name: race["holds"] for name, race in answer.json["others"]["races"].items()}


def test_three_machines_race_and_leave_nothing(tmp_path: Path) -> None:
    place = tmp_path / "shared"
    words = (place, "--with-others", 3, "--seconds", 2, "--wait", 100, "--json")
    answers = finish([start(*words) for _ in range(3)])
    for answer in answers:
        assert races(answer) == dict.fromkeys(RACES, True), answer.out
        assert (answer.code, answer.err) == (0, "")
        assert len(answer.json["others"]["machines"]) == 3
    found = [answer.json["others"]["races"] for answer in answers]
    assert found[0] == found[1] == found[2], "machines come to different results"
    assert content(tmp_path) == ["home"]


def test_what_lies_there_is_left_alone(tmp_path: Path) -> None:
    d = FileDirDict[int](str(tmp_path / "d"))
    d["counter"] = 5
    before = content(tmp_path)
    words = (tmp_path / "d", "--with-others", 2, "--seconds", 1, "--wait", 100, "--locking", "shared")
    answers = finish([start(*words) for _ in range(2)])
    assert [answer.code for answer in answers] == [0, 0], answers
    assert "races of 2 machines" in answers[0].out
    assert (content(tmp_path), dict(d.items())) == (before, {("counter",): 5})


def test_a_place_without_conditions_is_said_to_refuse_them(tmp_path: Path) -> None:
    words = (tmp_path / "d", "--with-others", 2, "--seconds", 1, "--wait", 100, "--json")
    answers = finish([start(*words, PERKEY_LOCKING="none") for _ in range(2)])
    for answer in answers:
        assert answer.code == 3
        assert races(answer) == {**dict.fromkeys(RACES, True), EXCLUSION: False}
        why = answer.json["others"]["races"][EXCLUSION]["why"]
        assert "condition" in why
        assert 'locking="none"' in why
        assert holds(answer.json)["conditions on versions"] is False


_NO_LOCK = """
import time
from perkey.files.folder import Folder
replace = Folder.replace
def slowly(self, *args):
    time.sleep(0.003)
    return replace(self, *args)
Folder.replace = slowly
Folder._take_lock = lambda self, hold: True
"""
_OVERWRITING = """
from perkey import ANY_ETAG, ITEM_NOT_AVAILABLE, FileDirDict
def overwrite(self, key, default_value):
    return self.set_item_if(key, value=default_value, condition=ANY_ETAG, expected_etag=ITEM_NOT_AVAILABLE)
FileDirDict.setdefault_if = overwrite
"""
_BLIND = """
from perkey import FileDirDict
look = FileDirDict.get_with_etag
def look_and_miss(self, key):
    return look(self, "nothing" if str(key).startswith("item-") else key)
FileDirDict.get_with_etag = look_and_miss
"""


@pytest.mark.parametrize(
    ("patch", "broken"),
    [(_NO_LOCK, EXCLUSION), (_OVERWRITING, INSERTION), (_BLIND, VISIBILITY)],
    ids=["no locks", "no insertion", "no visibility"],
)
def test_a_place_that_breaks_a_promise_fails_on_all_machines(tmp_path: Path, patch: str, broken: str) -> None:
    words = (tmp_path / "d", "--with-others", 2, "--seconds", 2, "--wait", 100, "--json")
    answers = finish([start(*words, code=patch + PROGRAM), start(*words, code=patch + PROGRAM)])
    for answer in answers:
        assert races(answer)[broken] is False
        assert answer.code == answer.json["exit_code"] == 3
    assert not (tmp_path / "d").exists()


def test_others_that_do_not_come(tmp_path: Path, run: Doctor) -> None:
    answer = run(tmp_path, "--with-others", 3, "--wait", 1)
    assert (answer.code, answer.out) == (5, "")
    assert is_one_line(answer.err)
    assert "1 of 3 machines came within 1 s" in answer.err
    assert content(tmp_path) == ["home"]


def test_records_of_killed_processes_are_not_machines(tmp_path: Path, run: Doctor) -> None:
    record = {"host": "old", "process": 1, "machines": 2, "beat": 7, "present": [], "group": [], "step": 0}
    old = FileDirDict[Any](str(tmp_path / OWN / "machines"), "json", digest_len=0)
    old["0" * 16 + "-7"] = record | {"said": {}, "gave_up": ""}
    answer = run(tmp_path, "--with-others", 2, "--wait", 1)
    assert "1 of 2 machines came" in answer.err


def test_a_different_number_is_named(tmp_path: Path) -> None:
    one = start(tmp_path, "--with-others", 2, "--wait", 6)
    two = start(tmp_path, "--with-others", 3, "--wait", 6)
    answers = finish([one, two])
    assert [answer.code for answer in answers] == [5, 5]
    assert any("start all with the same number" in answer.err for answer in answers)
    assert all(is_one_line(answer.err) for answer in answers)


def test_a_machine_that_gives_up_ends_the_test_of_the_others(tmp_path: Path) -> None:
    words = (tmp_path, "--with-others", 2, "--seconds", 20, "--wait", 100)
    processes = [
        start(*words, code=f"import signal; signal.signal(2, signal.default_int_handler)\n{PROGRAM}")
    ]
    processes.append(start(*words))
    records = FileDirDict[Any](str(tmp_path / OWN / "machines"), "json", digest_len=0)
    end = time.monotonic() + 100
    while reached(records, processes) < [2, 2]:
        assert time.monotonic() < end
        time.sleep(0.1)
    processes[0].send_signal(signal.SIGINT)
    one, two = finish(processes)
    assert (one.code, two.code) == (130, 5), (one, two)
    assert f"process {processes[0].pid} gave up" in two.err
    assert is_one_line(two.err)
    assert content(tmp_path) == ["home"]


def test_a_meeting_that_one_machine_has_settled_holds_for_the_other(tmp_path: Path) -> None:
    """A third machine that comes at the last moment does not divide the others."""
    records = FileDirDict[Any](str(tmp_path / "m"), "json", digest_len=0)
    meeting = Meeting(records, 2, wait=3)
    other = {
        "host": "b",
        "process": 2,
        "machines": 2,
        "present": [],
        "group": ["f" * 16, meeting.id],
        "step": 1,
    }
    third = {"host": "c", "process": 3, "machines": 2, "present": [], "group": [], "step": 0}
    beat = 0

    def looked() -> None:
        nonlocal beat
        beat += 1
        records[f"{'f' * 16}-{beat}"] = other | {"said": {}, "gave_up": "", "beat": beat}
        records[f"{'e' * 16}-{beat}"] = third | {"said": {}, "gave_up": "", "beat": beat}
        Meeting._look(meeting)

    meeting._look = looked  # type: ignore[method-assign]
    assert meeting.gather() == ["f" * 16, meeting.id]


def test_more_machines_than_announced(tmp_path: Path) -> None:
    records = FileDirDict[Any](str(tmp_path / "m"), "json", digest_len=0)
    meeting = Meeting(records, 2, wait=1)
    beat = 0

    def looked() -> None:
        nonlocal beat
        beat += 1
        for machine in ("e" * 16, "f" * 16):
            record = {"host": "b", "process": 2, "machines": 2, "present": [], "group": [], "step": 0}
            records[f"{machine}-{beat}"] = record | {"said": {}, "gave_up": "", "beat": beat}
        Meeting._look(meeting)

    meeting._look = looked  # type: ignore[method-assign]
    with pytest.raises(MeetingError, match="3 machines came, but 2 were expected"):
        meeting.gather()


def test_a_machine_that_was_killed_ends_the_test_of_the_others(tmp_path: Path) -> None:
    place = tmp_path / "d"
    words = (place, "--with-others", 2, "--seconds", 1, "--wait", 5)
    impatient = f"from perkey.tools import meeting; meeting._LOST_SECONDS = 5.0\n{PROGRAM}"
    processes = [start(*words, code=impatient) for _ in range(2)]
    records = FileDirDict[Any](str(place / OWN / "machines"), "json", digest_len=0)
    end = time.monotonic() + 100
    while reached(records, processes) < [1, 1]:
        assert time.monotonic() < end
        time.sleep(0.01)
    processes[0].kill()
    answer = finish(processes)[1]
    assert answer.code == 5
    assert f"process {processes[0].pid} does not answer any more" in answer.err


def test_a_machine_that_is_lost_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perkey.tools.meeting._LOST_SECONDS", 0.5)
    records = FileDirDict[Any](str(tmp_path / "m"), "json", digest_len=0)
    meeting = Meeting(records, 2, wait=0.5)
    record = {"host": "b", "process": 2, "machines": 2, "present": [], "group": [], "step": 1, "beat": 1}
    records["f" * 16 + "-1"] = record | {"said": {}, "gave_up": ""}
    meeting._look()
    meeting.group = sorted(["f" * 16, meeting.id])
    with meeting, pytest.raises(MeetingError, match="host b, process 2 does not answer any more"):
        meeting.arrive(2)
    assert list(records) == [("f" * 16 + "-1",)]


def test_machines_meet_in_a_bucket(tmp_path: Path) -> None:
    import boto3
    from s3 import servers

    with servers.moto_server() as server:
        keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
        place = {**keys, "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": server.endpoint}
        words = ("s3://study/data", "--with-others", 2, "--seconds", 2, "--wait", 100, "--json")
        missing = finish([start(*words, **place)])[0]
        client = boto3.client(
            "s3",
            endpoint_url=server.endpoint,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )
        assert client.list_buckets()["Buckets"] == []
        client.create_bucket(Bucket="study")
        answers = finish([start(*words, **place) for _ in range(2)])
        assert client.list_objects_v2(Bucket="study")["KeyCount"] == 0
    assert (missing.code, is_one_line(missing.err)) == (1, True)
    assert "does not exist; make it first" in missing.err
    for answer in answers:
        assert races(answer) == dict.fromkeys(RACES, True), answer.out
        assert answer.code == 0


def test_the_function_is_for_programs_too(tmp_path: Path) -> None:
    found = examine(str(tmp_path))
    assert json.loads(json.dumps(found.facts))["kind"] == "folder"
    with pytest.raises(ValueError, match="locking must be one of"):
        examine(str(tmp_path), locking="maybe")  # type: ignore[arg-type]
