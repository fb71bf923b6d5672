"""The program at a terminal: progress, prompts, typed Python."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from perkey.dataspace import Job, Project

PROGRAM = str(Path(sys.executable).parent / "perkey")


class Terminal:
    """A terminal with a program in it."""

    def __init__(self, words: tuple[str, ...], ours: int, theirs: int, *, with_input: bool) -> None:
        self._ours = ours
        self.process = subprocess.Popen(
            [PROGRAM, *words],
            stdin=theirs if with_input else subprocess.DEVNULL,
            stdout=theirs if with_input else subprocess.PIPE,
            stderr=theirs,
            text=True,
            env={**os.environ, "TERM": "xterm", "PYTHON_BASIC_REPL": "1"},
        )
        os.close(theirs)
        self.seen = ""

    def wait_for(self, text: str) -> None:
        """Read until a text appears; fails if the program ends before."""
        while text not in self.seen:
            assert self._read(), f"{text!r} never appeared in {self.seen!r}"

    def _read(self) -> bool:
        try:
            found = os.read(self._ours, 4096)
        except OSError:  # Linux' way to say that nobody has the other side open
            return False
        self.seen += found.decode()
        return bool(found)

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def interrupt(self) -> None:
        """Interrupt until it is noticed: Python's input() misses what comes just before it waits."""
        while self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=1)

    def end(self) -> int:
        """Read all that is left, and return the exit code."""
        while self._read():
            pass
        return self.process.wait(timeout=60)


@contextmanager
def terminal(*words: str, with_input: bool = True) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    found = Terminal(words, ours, theirs, with_input=with_input)
    try:
        yield found
    finally:
        found.process.kill()
        found.process.communicate()
        os.close(ours)


@pytest.mark.parametrize(
    ("words", "label"),
    [(["space", "rm"], "Removing"), (["space", "rm", "-c"], "Clearing")],
    ids=str,
)
def test_long_work_shows_how_far_it_is(
    project: Project, jobs: list[Job], words: list[str], label: str
) -> None:
    with terminal(*words, *(job.id for job in jobs), with_input=False) as screen:
        assert screen.end() == 0
        assert label in screen.seen
        assert "100%" in screen.seen
        assert screen.process.stdout is not None
        assert screen.process.stdout.read() == ""


def test_work_of_unknown_length_says_what_it_is(project: Project) -> None:
    with terminal("space", "update-cache", with_input=False) as screen:
        assert screen.end() == 0
        assert "Updating cache..." in screen.seen


def test_questions_are_not_hidden_by_progress(project: Project, jobs: list[Job]) -> None:
    with terminal("space", "rm", "-i", *(job.id for job in jobs)) as screen:
        for number, job in enumerate(jobs):
            screen.wait_for(f"remove job {job.id}? [y/N]: ")
            screen.type("y\n" if number else "n\n")
        assert screen.end() == 0
    assert list(project) == [jobs[0]]


def test_an_interruption_at_a_question_changes_nothing(project: Project, jobs: list[Job]) -> None:
    with terminal("space", "rm", "-i", jobs[0].id) as screen:
        screen.wait_for("[y/N]: ")
        screen.interrupt()
        assert screen.end() == 130
        assert "Traceback" not in screen.seen
    assert len(project) == 3


def test_what_is_typed_in_the_shell_is_kept_in_the_project(project: Project) -> None:
    with terminal("space", "shell") as screen:
        screen.wait_for(">>> ")
        screen.type("print('jobs:', len(jobs))\n")
        screen.wait_for("jobs: 3")
        screen.type("exit()\n")
        screen.end()
    assert "print('jobs:', len(jobs))" in Path(project.path, ".signac", "shell_history").read_text()
