"""Each command for dictionaries through the real program, over each kind of place that has an address."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import click
import pytest
from combinations import combinations
from s3 import azurite
from s3.servers import Server

import perkey
from perkey.cli.program import perkey as group

from .conftest import Answer, Run, is_one_line

VALUES: Final[dict[Any, Any]] = {
    ("run1", "loss"): {"loss": 0.5, "kind": "dry", "at": {"step": 1}},
    ("run1", "note"): "first",
    ("run2", "loss"): {"loss": 0.25, "kind": "wet"},
    "total": [1, 2],
}
BY_KEY: Final = {key if isinstance(key, tuple) else (key,): value for key, value in VALUES.items()}
KEYS: Final = ["run1/loss", "run1/note", "run2/loss", "total"]


class At(NamedTuple):
    """A place.

    Attributes:
        place: Its path or address, as it is typed.
        run: Runs the program.
        compares: Whether it removes on the condition of a version.
        knows: What `cp` and `sync` need there to see that an item is equal.
    """

    place: str
    run: Run
    compares: bool = True
    knows: tuple[str, ...] = ()

    @property
    def d(self) -> perkey.PersiDict[Any]:
        return perkey.open(self.place)

    def other(self, name: str) -> str:
        """Return another place of the same kind."""
        address, mark, query = self.place.partition("?")
        return f"{address}-{name}{mark}{query}"

    def changed(self, *words: str) -> Answer:
        """Run a command that removes items; where it needs leave for that, see that it asks for it first."""
        if not self.compares:
            before = dict(self.d)
            refused = self.run(*words)
            assert refused.code == 1
            assert is_one_line(refused.err), refused.err
            assert "--unconditional" in refused.err
            assert dict(self.d) == before
            words = (*words, "--unconditional")
        return self.run(*words)


PLACES: Final = ["folder", "file://", "s3", "s3, obstore", "s3, cached"]
CLOUDS: Final = ["az"] if azurite.ENDPOINT else []


@pytest.fixture
def at(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: Run) -> At:
    """Four items, in each kind of place; folders are on the disk, because `doctor` has no faith in memory."""
    folder: Path = request.getfixturevalue("on_the_disk") / "results"
    found = At(str(folder), program)
    if request.param == "file://":
        found = At(folder.as_uri(), program)
    elif request.param == "az":
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", azurite.ACCOUNT)
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", azurite.KEY)
        monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", f"{azurite.ENDPOINT}/{azurite.ACCOUNT}")
        address = f"az://{azurite.new_container()}/{secrets.token_hex(4)}"
        found = At(address, program, compares=False, knows=("--checksum",))
    elif request.param.startswith("s3"):
        server: Server = request.getfixturevalue("ministack")
        bucket: str = request.getfixturevalue("bucket")
        for variable in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
            monkeypatch.setenv(variable, server.endpoint)
        server.client().create_bucket(Bucket=bucket)
        query = {"s3, obstore": "?engine=obstore", "s3, cached": f"?cache={tmp_path}/cache"}
        found = At(f"s3://{bucket}/results" + query.get(request.param, ""), program)
    perkey.open(found.place, file_type="json").update(VALUES)
    return found


def _words(answer: Answer) -> list[str]:
    assert answer.err == "", answer.err
    assert answer.code == 0
    return answer.out.split()


def _ls(at: At, _: Path) -> None:
    assert _words(at.run("ls", at.place)) == ["run1/", "run2/", "total"]
    assert _words(at.run("ls", "-r", at.place)) == KEYS
    assert [row["key"] for row in at.run("ls", at.place, "run1", "--json").json] == KEYS[:2]


def _tree(at: At, _: Path) -> None:
    shown = at.run("tree", "-s", at.place).out
    assert "└── total" in shown
    assert "4 items" in shown


def _get(at: At, path: Path) -> None:
    assert at.run("get", at.place, "run2/loss", "--json").json == VALUES["run2", "loss"]
    assert at.run("get", at.place, "run1/note", "-o", str(path / "note")).code == 0
    assert (path / "note").read_text() == "first\n"
    missing = at.run("get", at.place, "nope")
    assert missing.code == 1
    assert is_one_line(missing.err)


def _find(at: At, _: Path) -> None:
    assert _words(at.run("find", at.place, "loss.$lt", "0.3")) == ["run2/loss"]
    rows = at.run("find", at.place, "--columns", "loss", "kind", "--csv").out.splitlines()
    assert rows[0] == "key,loss,kind"
    assert sorted(rows[1:]) == ["run1/loss,0.5,dry", "run1/note,,", "run2/loss,0.25,wet", "total,,"]


def _info(at: At, _: Path) -> None:
    found = at.run("info", at.place, "--json").json
    assert (found["items"], found["file_type"], found["digest_len"]) == (4, "json", at.d.digest_len)
    assert at.run("info", at.place, "total", "--json").json["bytes"] == at.d.size("total")


def _du(at: At, _: Path) -> None:
    *parts, whole = at.run("du", at.place, "--json").json
    assert [part["key"] for part in parts] == ["run1/", "run2/"]
    assert (whole["items"], whole["bytes"]) == (4, perkey.usage(at.d).bytes)


def _put(at: At, _: Path) -> None:
    assert at.run("put", at.place, "run3/loss", '{"loss": 1}') == Answer(0, "", "")
    assert at.run("put", at.place, "text", "-", "--text", stdin="as it is\n") == Answer(0, "", "")
    assert (at.d["run3", "loss"], at.d["text"]) == ({"loss": 1}, "as it is\n")
    refused = at.run("put", at.place, "total", "0", "--no-clobber")
    assert (refused.code, at.d["total"]) == (1, [1, 2])
    assert is_one_line(refused.err)
    more = '{"key": "x/y", "value": 1}\n{"key": "x/z", "value": 2}\n'
    assert at.run("put", at.place, "--jsonl", "-", stdin=more).err == "2 items written\n"
    assert (at.d["x", "y"], at.d["x", "z"]) == (1, 2)


def _rm(at: At, _: Path) -> None:
    assert at.run("rm", at.place, "total").code == 0
    assert at.run("rm", "-r", at.place, "run1").code == 0
    assert sorted(map("/".join, at.d)) == ["run2/loss"]
    assert at.run("rm", at.place, "total").code == 1
    assert at.run("rm", "--all", "-y", at.place).code == 0
    assert len(at.d) == 0


def _cp(at: At, path: Path) -> None:
    away = str(path / "away")
    planned = at.run("cp", at.place, away, "-n", "-v")
    assert sorted(planned.err.split()[1::2]) == KEYS
    assert not Path(away).exists()
    assert at.run("cp", at.place, away, "--json").json["copied"] == 4
    assert dict(perkey.open(away)) == BY_KEY
    assert at.run("cp", at.place, away, "--json", *at.knows).json["skipped"] == 4
    assert at.run("cp", away, at.other("copy"), "--json").json["copied"] == 4
    assert dict(perkey.open(at.other("copy"), "r")) == BY_KEY
    assert at.run("cp", at.place, at.other("copy"), "--json", *at.knows).json["skipped"] == 4


def _sync(at: At, path: Path) -> None:
    away = str(path / "away")
    assert at.run("sync", at.place, away).code == 0
    d = perkey.open(away)
    d["total"], d["more"] = [3], 1
    assert at.run("sync", away, at.place, "--json", *at.knows).json["copied"] == 2
    assert (at.d["total"], at.d["more"]) == ([3], 1)
    del d["more"]
    assert at.changed("sync", away, at.place, "--delete", "--json", *at.knows).json["deleted"] == 1
    assert dict(at.d) == dict(d)
    for key in KEYS[:3]:
        del d[tuple(key.split("/"))]
    leave = () if at.compares else ("--unconditional",)
    refused = at.run("sync", away, at.place, "--delete", *at.knows, *leave)
    assert refused.code == 1
    assert is_one_line(refused.err)
    assert "--force" in refused.err
    assert at.run("sync", away, at.place, "--delete", "--force", *at.knows, *leave).code == 0
    assert dict(at.d) == {("total",): [3]}


def _convert(at: At, path: Path) -> None:
    digest_len = 0 if at.d.digest_len else 8
    away = str(path / "away")
    assert at.run("convert", at.place, away, "--to-digest-len", str(digest_len)).code == 0
    assert (perkey.open(away).digest_len, dict(perkey.open(away))) == (digest_len, BY_KEY)
    target = at.other("pickles")
    assert at.run("convert", at.place, target, "--to-type", "pkl", "--unpickle").code == 0
    assert (perkey.open(target, "r").file_type, dict(perkey.open(target, "r"))) == ("pkl", BY_KEY)
    (path / "notes").mkdir()
    (path / "notes" / "a.md").write_text("text")
    taken = at.run("convert", "--from", "files", str(path / "notes"), at.other("notes"), "--to-type", "txt")
    assert taken.code == 0, taken.err
    assert list(perkey.open(at.other("notes"), "r").values()) == ["text"]
    planned = at.run("convert", at.place, "--to-type", "pkl", "--unpickle", "-n", "--json").json
    assert (planned["copied"], at.d.file_type) == (4, "json")
    done = at.run("convert", at.place, "--to-type", "pkl", "--unpickle", "--json")
    if at.compares:
        assert (done.json["copied"], done.json["deleted"]) == (4, 4)
        assert (at.d.file_type, dict(at.d)) == ("pkl", BY_KEY)
    else:
        assert done.code == 1
        assert is_one_line(done.err)
        assert dict(at.d) == BY_KEY


def _prune(at: At, _: Path) -> None:
    assert at.run("prune", at.place, "--max-items", "1", "-n", "--json").json["removed"] == 3
    assert at.changed("prune", at.place, "--max-items", "1", "--json").json["removed"] == 3
    assert len(at.d) == 1


def _verify(at: At, _: Path) -> None:
    assert at.run("verify", at.place, "--json").json["ok"]
    name = next(name for name in at.d.store.scan() if name[-1].startswith("total"))
    at.d.store.write(name, b"{")
    found = at.run("verify", at.place)
    assert (found.code, found.out.split()[0]) == (1, "damaged")
    moved = at.run("verify", at.place, "--quarantine")
    if not at.compares:
        assert moved.code == 1
        assert is_one_line(moved.err)
        return
    assert "total" not in at.d
    assert at.run("verify", at.place).code == 0
    assert at.run("verify", at.place, "--unquarantine", "--json").json["restored"] == [["total"]]
    assert at.run("verify", at.place, "--json").json["counts"] == {"damaged": 1}


def _claims(at: At, _: Path) -> None:
    with perkey.claim(at.d, ("run1", "loss"), lease=60) as mine:
        assert mine
        (row,) = at.run("claims", at.place, "--json").json
        assert (row["key"], row["state"], row["process"]) == ("run1/loss", "held", os.getpid())
        assert at.run("claims", at.place, "--break", "run1/loss").code == 0
        assert at.run("claims", at.place).out == ""
        assert at.run("claims", at.place, "--break", "run1/loss").code == 1


def _doctor(at: At, _: Path) -> None:
    before = sorted(at.d.store.scan())
    answer = at.run("doctor", at.place, "--json")
    promises = {name: promise["holds"] for name, promise in answer.json["promises"].items()}
    assert (promises["insert if absent"], answer.code) == (True, 0 if at.compares else 3)
    assert promises.get("conditional removal", True) == at.compares
    assert sorted(at.d.store.scan()) == before


COMMANDS: Final[dict[str, Callable[[At, Path], None]]] = {
    "ls": _ls,
    "tree": _tree,
    "get": _get,
    "find": _find,
    "info": _info,
    "du": _du,
    "put": _put,
    "rm": _rm,
    "cp": _cp,
    "sync": _sync,
    "convert": _convert,
    "prune": _prune,
    "verify": _verify,
    "claims": _claims,
    "doctor": _doctor,
}


ALWAYS: Final = [
    *(("s3", name) for name in ("get", "put", "prune", "doctor")),
    *(("folder", name) for name in ("tree", "find", "info", "rm", "sync", "verify", "claims")),
    ("file://", "convert"),
    ("file://", "ls"),
    ("s3, obstore", "cp"),
    ("s3, cached", "du"),
    *(("az", name) for name in COMMANDS if CLOUDS),
]


@pytest.mark.parametrize(
    ("at", "name"), combinations([*PLACES, *CLOUDS], COMMANDS, always=ALWAYS), indirect=["at"]
)
def test_a_command_works_in_every_place_or_says_that_it_does_not(name: str, at: At, tmp_path: Path) -> None:
    COMMANDS[name](at, tmp_path)


def test_every_command_for_dictionaries_is_tried() -> None:
    without_a_place = {"space", "help", "completion"}
    in_a_browser = {"view"}  # see tests/viewer
    every = set(group.list_commands(click.Context(group)))
    assert every - without_a_place - in_a_browser == set(COMMANDS)
