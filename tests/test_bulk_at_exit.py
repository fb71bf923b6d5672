"""Bulk verbs at the end of a program, and when Ctrl-C ends them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path

import pytest

from perkey.parallel import map_unordered

AT_EXIT = """\
import atexit, sys, threading, time
from perkey import FileDirDict, PersiDict
from perkey.stores import MemoryStore
from perkey.stores.folder import batches

if sys.argv[2] == "no syncfs":
    batches.sync_file_system = lambda folder: False

class Remote(MemoryStore):
    workers = 8  # as a bucket

def use(d):
    state = {f"k{n}": n for n in range(40)}
    d.update(state)
    assert len(d.get_many(state)) == 40
    d.delete_many(["k0"])
    assert len(d) == 39
    d.clear()
    d.set_many({"epoch": 7})
    print(d["epoch"])

def act():
    use(FileDirDict(sys.argv[1]))
    use(FileDirDict(sys.argv[1] + "-none", durability="none"))
    use(PersiDict(Remote()))

def late():
    threading.main_thread().join()
    act()

if sys.argv[3] == "atexit":
    atexit.register(act)
else:
    threading.Thread(target=late).start()
"""


@pytest.mark.parametrize("moment", ["atexit", "thread"])
@pytest.mark.parametrize("syncing", ["syncfs", "no syncfs"])
def test_bulk_verbs_work_as_the_first_ones_when_the_program_ends(
    tmp_path: Path, moment: str, syncing: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", AT_EXIT, str(tmp_path / "d"), syncing, moment],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout.split(), done.stderr) == (["7"] * 3, "")


class Stop(BaseException):
    """As KeyboardInterrupt, but pytest does not stop for it."""


def stop(*_: object) -> None:
    raise Stop


@pytest.mark.parametrize("consuming", [False, True])
def test_ctrl_c_ends_calls_that_never_return_within_a_second(consuming: bool) -> None:
    """Whether it arrives in the wait for a result or in what is done with one."""
    never = threading.Event()

    def wait(_: object) -> None:
        never.wait(30)

    old = signal.signal(signal.SIGALRM, stop)

    def call(number: int) -> None:
        if number or not consuming:
            never.wait()

    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        began = time.monotonic()
        with pytest.raises(Stop):
            deque(map(wait, map_unordered(call, range(100), workers=8, discard=lambda _: None)))
        assert time.monotonic() - began < 1.3
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
        never.set()


def test_calls_left_alone_do_not_keep_the_program_from_ending() -> None:
    code = """if True:
        import os, signal, threading
        from perkey.parallel import map_unordered
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        list(map_unordered(lambda _: threading.Event().wait(), range(9), workers=8, discard=print))
    """
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)
    assert done.returncode in {1, -signal.SIGINT}
    assert b"KeyboardInterrupt" in done.stderr
    assert time.monotonic() - began < (30 if os.environ.get("CI") else 10)


def test_where_no_thread_can_be_started_calls_are_made_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    called: list[int] = []

    def call(number: int) -> int:
        called.append(number)
        if number == 5:
            raise ValueError(number)
        return number

    told = dict(map_unordered(call, range(20), workers=4, discard=lambda _: None))
    assert called == list(range(20))
    assert isinstance(told.pop(5), ValueError)
    assert told == {n: n for n in range(20) if n != 5}


def test_a_finaliser_may_use_a_dictionary_as_the_interpreter_ends(tmp_path: Path) -> None:
    program = """if True:
        import sys
        from perkey import FileDirDict

        class Last:
            def __init__(self):
                self.d = FileDirDict(sys.argv[1])
                self.d["a"] = 1

            def __del__(self):
                self.d.update({"u": 1, "v": 2})
                print(len(self.d), len(list(self.d)))
                self.d.delete_many(["a"])
                print(len(self.d))

        last = Last()
    """
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (done.stdout.split(), done.stderr) == (["3", "3", "2"], "")


@pytest.mark.parametrize("used", [True, False])
def test_a_finaliser_may_store_json_as_the_interpreter_ends_or_hears_why_not(
    tmp_path: Path, used: bool
) -> None:
    """Python imports nothing then; that is not a fault of the value."""
    program = """if True:
        import sys
        from perkey import FileDirDict

        class Last:
            def __init__(self):
                self.d = FileDirDict(sys.argv[1], file_type="json")
                if sys.argv[2] == "True":
                    self.d["a"] = (1, {2: 3})

            def __del__(self):
                try:
                    self.d["b"] = (1, {2: 3})
                    print(self.d["b"] == (1, {2: 3}))
                except ImportError:
                    print("ImportError")

        last = Last()
    """
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), str(used)], capture_output=True, text=True, check=False
    )
    assert (done.stdout.split(), done.stderr) == (["True" if used else "ImportError"], "")
