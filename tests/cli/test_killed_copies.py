"""`perkey cp` killed again and again: nothing torn, nothing copied twice, and equal at the end."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import pytest

from perkey import FileDirDict

PROGRAM: Final = Path(sys.executable).parent / "perkey"
LONG: Final = bool(os.environ.get("PERKEY_LONG"))
ITEMS: Final = 20_000 if LONG else 4000
KILLS: Final = 5 if LONG else 3
BATCH: Final = 2000
"""So many items are written together at most."""
_SECONDS: Final = 120 if LONG else 20


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*.json")
    }


def inodes(folder: Path) -> dict[str, tuple[int, int]]:
    found = {path: path.stat() for path in folder.rglob("*.json")}
    return {str(path): (stat.st_ino, stat.st_ctime_ns) for path, stat in found.items()}


def count(folder: Path) -> int:
    """Return the number of items, at once: the copy goes on meanwhile."""
    return sum(name.endswith(".json") for _, _, names in os.walk(folder) for name in names)


def in_flight(folder: Path) -> int:
    return sum(1 for _ in folder.rglob(".@perkey-tmp-*"))


@pytest.mark.parametrize("shape", ["flat", "nested"])
def test_what_was_complete_before_a_kill_is_not_written_again(shape: str, tmp_path: Path) -> None:
    source, target = tmp_path / "src", tmp_path / "dst"
    src = FileDirDict[Any](source, "json", durability="none")
    keys = [(f"k{n}",) if shape == "flat" else (f"p{n % 7}", f"k{n}") for n in range(ITEMS)]
    src.update({key: {"n": n, "text": "x" * 100} for n, key in enumerate(keys)})
    wanted = digests(source)
    command = [str(PROGRAM), "cp", str(source), str(target), "--json", "-q"]
    complete: dict[str, tuple[int, int]] = {}
    leftovers = 0
    for _ in range(KILLS):
        least = len(complete) + 1
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as program:
            end = time.monotonic() + _SECONDS
            while time.monotonic() < end and program.poll() is None:
                if count(target) >= least:
                    break
                time.sleep(0.001)
            program.send_signal(signal.SIGKILL)
        there = inodes(target)
        assert complete.items() <= there.items()  # the same files, not even touched
        assert digests(target).items() <= wanted.items()  # none is torn
        assert in_flight(target) - leftovers <= BATCH
        leftovers, complete = in_flight(target), there
    assert len(complete) > 0
    finished = subprocess.run(command, check=True, capture_output=True, text=True)
    report = json.loads(finished.stdout)
    assert (report["copied"], report["skipped"]) == (ITEMS - len(complete), len(complete))
    assert complete.items() <= inodes(target).items()
    assert digests(target) == wanted
    if LONG:
        print(f"{shape}: {len(complete)} complete after {KILLS} kills, {leftovers} in flight")
