"""Who works, and who is dead: processes with an identity that is never used twice.

A process id alone will not do: ids are used again, and mean something on their own machine only. With the
time at which the process started, and the place where the id counts, there is no mistake.
"""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from perkey import PersiDict, SafeStrTuple, quote
from sweep.study import Record

BEAT_EVERY = 2.0
"""Seconds between two heartbeats of a worker."""

SILENT_AFTER = 30 * BEAT_EVERY
"""Seconds without a heartbeat after which a worker that cannot be looked at counts as dead."""


@dataclass(frozen=True)
class Owner:
    """A process.

    Attributes:
        place: Where its id counts.
        pid: Its id.
        started: When it started, in any notation that does not change; empty where that cannot be told.
    """

    place: str
    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> Self:
        """Return the identity of a process of this machine."""
        return cls(this_place(), pid, start_of(pid) or "")

    @property
    def key(self) -> SafeStrTuple:
        """The identity as a key."""
        return quote(f"{self.place} {self.pid} {self.started}")

    def record(self) -> Record:
        """Return the identity as plain JSON; ``Owner(**record)`` is the way back."""
        return asdict(self)


@cache
def this_place() -> str:
    """Name the machine, its boot and its space of process ids: two containers may share the rest."""
    boot, pid_space = "", ""
    if Path("/proc/self").exists():
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        pid_space = str(Path("/proc/self/ns/pid").readlink())
    return f"{socket.gethostname()} {boot} {pid_space}".strip()


def start_of(pid: int) -> str | None:
    """Return when a process of this machine started: None if it is dead, empty if that cannot be told."""
    if os.name != "posix":
        return ""  # os.kill would not ask there, it would kill
    try:
        os.kill(pid, 0)  # finds processes of other users, too, which /proc may hide
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return start_by_ps(pid)
    # The second field is a name in parentheses that may contain anything; 3 is the state, 22 the start.
    state, *fields = status.rpartition(")")[2].split()
    return None if state in "ZX" else fields[18]


def start_by_ps(pid: int) -> str | None:
    """As `start_of`, for systems without /proc."""
    command = ["ps", "-o", "stat=", "-o", "lstart=", "-p", str(pid)]
    try:
        answer = subprocess.run(  # noqa: S603 - fixed words and a number
            command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"}
        )
    except FileNotFoundError:
        return ""
    state, _, started = answer.stdout.strip().partition(" ")
    return None if state.startswith("Z") else started.strip()


class Liveness:
    """Tells whether owners are dead.

    Args:
        workers: The heartbeats.
        silent_after: Seconds without a heartbeat after which an owner elsewhere counts as dead. It may live
            all the same, stopped or cut off: then work is done twice, though results are never mixed up.
    """

    def __init__(self, workers: PersiDict[Record], silent_after: float = SILENT_AFTER) -> None:
        self._workers = workers
        self._silent_after = silent_after
        self._last_beats: dict[Owner, tuple[Any, float]] = {}

    def is_dead(self, owner: Owner) -> bool:
        """Tell whether an owner is dead: by looking at the process where possible, else by its silence."""
        if owner.place == this_place():
            started = start_of(owner.pid)
            if started is None:
                return True
            if started and owner.started:
                return started != owner.started  # if not, the id belongs to another process by now
        return self._is_silent(owner)

    def _is_silent(self, owner: Owner) -> bool:
        # Clocks of two machines are never compared: we watch, by our own clock, whether the etag changes.
        beat = self._workers.get_with_etag((owner.key, "heartbeat")).actual_etag
        now = time.monotonic()
        last_beat, seen = self._last_beats.setdefault(owner, (beat, now))
        if beat != last_beat:
            self._last_beats[owner] = beat, now
            return False
        return now - seen > self._silent_after


class Heartbeat:
    """Shows, as long as its ``with`` block runs, that an owner is alive."""

    def __init__(self, workers: PersiDict[Record], owner: Owner) -> None:
        self._workers = workers
        self._owner = owner
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._beat()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._beat()  # so that the audit knows that it was alive up to here

    def _run(self) -> None:
        while not self._stop.wait(BEAT_EVERY):
            self._beat()

    def _beat(self) -> None:
        note_alive(self._workers, self._owner, "heartbeat")


def note_alive(workers: PersiDict[Record], owner: Owner, occasion: str) -> None:
    """Write down that an owner is alive now."""
    workers[owner.key, occasion] = {"owner": owner.record(), "alive_at": time.time()}
