"""What the crash tests stand on: all points are found, failures are told, and no process is left."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import crash_acts
import pytest
from crashes import crash_everywhere
from dataspace import crash_acts as dataspace_acts
from synced import crash_acts as synced_acts

HEAVY = {"pytest", "numpy", "persidict", "boto3", "hypothesis"}


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """An empty folder, to be copied."""
    folder = tmp_path / "template"
    folder.mkdir()
    return folder


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[subprocess.Popen[Any]]]:
    """The processes that are started; they must have ended in the end."""
    started: list[subprocess.Popen[Any]] = []

    class Recorded(subprocess.Popen[Any]):
        def __init__(self, *arguments: Any, **names: Any) -> None:
            super().__init__(*arguments, **names)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Recorded)
    yield started
    (host,) = started
    assert host.returncode in {-signal.SIGKILL, 1}, "killed, or of itself with an error"
    with pytest.raises(ProcessLookupError):
        os.killpg(started[0].pid, 0)


def test_an_operation_is_killed_before_and_after_each_call(
    template: Path, tmp_path: Path, hosts: list[Any]
) -> None:
    folder = tmp_path / "d"
    act = partial(os.makedirs, folder / "a" / "b")
    made = [len(list(folder.rglob("*"))) for _ in crash_everywhere(template, folder, act)]
    assert made == sorted(made)
    assert {0, 1, 2} == set(made)
    assert [path.name for path in folder.rglob("*")] == ["a", "b"]


def test_what_is_imported_at_first_use_has_no_points(template: Path, tmp_path: Path) -> None:
    points = list(crash_everywhere(template, tmp_path / "d", crash_acts.import_something))
    assert 2 <= len(points) < 10, "an import has many"


def test_no_points_are_spent_on_the_preparation(template: Path, tmp_path: Path) -> None:
    prepare = partial(os.path.realpath, tmp_path / "d")
    points = list(crash_everywhere(template, tmp_path / "d", os.path.getmtime, prepare=prepare))
    assert 2 <= len(points) < 5, "there are as many folders above"


def test_an_operation_that_fails_says_how(
    template: Path, tmp_path: Path, hosts: list[Any], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(AssertionError, match="failed by itself"):
        list(crash_everywhere(template, tmp_path / "d", partial(os.makedirs, tmp_path / "d")))
    assert "FileExistsError" in capfd.readouterr().err


def test_a_loop_that_is_left_early_ends_the_process(template: Path, tmp_path: Path, hosts: list[Any]) -> None:
    for _ in crash_everywhere(template, tmp_path / "d", partial(os.makedirs, tmp_path / "d" / "a")):
        assert hosts[0].poll() is None
        break


def test_nothing_heavy_is_there(template: Path, tmp_path: Path) -> None:
    """Or each fork would be slow."""
    act = partial(crash_acts.look_for, HEAVY, [dataspace_acts.sync, synced_acts.update])
    assert len(list(crash_everywhere(template, tmp_path / "d", act))) < 5
