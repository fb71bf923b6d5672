"""A project with jobs, in which the program runs."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from s3.conftest import _guard, bucket, ministack

from perkey.cli import main
from perkey.dataspace import Job, Project, init_project

__all__ = ["_guard", "bucket", "ministack"]


@dataclass(frozen=True)
class Answer:
    """What a run of the program left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def words(self) -> list[str]:
        return self.out.split()


Run = Callable[..., Answer]


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> Iterator[None]:
    """Let programs heed SIGINT, also where the tests were started in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, so that nobody's configuration is read or written."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with three jobs, in which the program runs."""
    project = init_project("study", tmp_path / "study", durability="none")
    for number in range(3):
        job = project.open_job({"a": number, "nested": {"b": [number, 1]}, "constant": -5}).init()
        if number:
            job.doc.result = {"value": number * 1.5}
    monkeypatch.chdir(project.path)
    return project


@pytest.fixture
def jobs(project: Project) -> list[Job]:
    """The jobs of the project, by their number."""
    return sorted(project, key=lambda job: int(job.sp.a))


@pytest.fixture
def other(tmp_path: Path) -> Project:
    """Another, empty project."""
    return init_project("other", tmp_path / "other", durability="none")


@pytest.fixture
def space(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `perkey space` in this process."""

    def run(*words: str, stdin: str = "", options: tuple[str, ...] = ()) -> Answer:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        capsys.readouterr()
        code = main([*options, "space", *words])
        found = capsys.readouterr()
        return Answer(code, found.out, found.err)

    return run


@pytest.fixture
def program() -> Run:
    """Run the installed program `perkey`, as a process of its own."""
    path = Path(sys.executable).parent / "perkey"

    def run(*words: str, stdin: str = "") -> Answer:
        done = subprocess.run([path, *words], input=stdin, capture_output=True, text=True, check=False)
        return Answer(done.returncode, done.stdout, done.stderr)

    assert os.access(path, os.X_OK), "the program is not installed"
    return run


def is_one_line(text: str) -> bool:
    """Tell whether an error is told as it should be."""
    return text.startswith("perkey: ") and text.count("\n") == 1
