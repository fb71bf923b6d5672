"""Which process holds a claim, and whether that process is provably gone.

A process id alone proves nothing: ids are used again, and count within one pid namespace of one boot only.
With the boot, the namespace and the time at which the process started, a mistake is impossible.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from threading import Condition
from typing import Any, Final, Self

from perkey.answers import answer, system_answer

_PROC: Final = "/proc"


@dataclass(frozen=True)
class Holder:
    """A process that holds a claim.

    Attributes:
        host: The name of its machine.
        pid: Its process id.
        boot: The id of the boot of its machine; empty if the system has no such id.
        namespace: Where its process id counts; empty if unknown.
        started: When it started, in clock ticks since the boot; empty if unknown.
    """

    host: str
    pid: int
    boot: str = ""
    namespace: str = ""
    started: str = ""

    @classmethod
    def parse(cls, fields: Any) -> Self:
        """Return a holder from what `plain` returned; unknown fields are left out."""
        known = {name: fields.get(name, "") for name in ("boot", "namespace", "started")}
        return cls(str(fields["host"]), int(fields["pid"]), **{n: str(value) for n, value in known.items()})

    def plain(self) -> dict[str, Any]:
        """Return the fields for JSON."""
        return asdict(self)

    def is_gone(self) -> bool:
        """Return True only if the process has provably ended; False also if that is unknown."""
        boot, namespace = _boot_and_namespace()
        if not (self.boot and self.namespace and self.started):
            return False
        if (self.boot, self.namespace) != (boot, namespace):
            return False
        started = started_at(self.pid)
        return started is None or started not in {"", self.started}

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def this_process() -> Holder:
    """Return the process that calls."""
    return _this(process_token())


@lru_cache(1)
def _this(token: object) -> Holder:
    del token
    pid = os.getpid()
    boot, namespace = _boot_and_namespace()
    return Holder(socket.gethostname(), pid, boot, namespace, started_at(pid) or "")


def started_at(pid: int) -> str | None:
    """Return when a process of this machine started; None if it has ended, "" if that is unknown."""
    if os.name != "posix":
        return ""  # os.kill does not ask there, it ends the process
    try:
        os.kill(pid, 0)  # finds also processes of other users, which /proc may hide
    except system_answer(ProcessLookupError):
        return None
    except system_answer(OSError):
        pass
    fields = _status(pid)
    if not fields:
        return ""
    return None if fields[0] in {"Z", "X"} else fields[19]


def is_stopped(pid: int) -> bool:
    """Return whether a process is stopped by a signal or a debugger; False if that is unknown."""
    return _status(pid)[:1] in (["T"], ["t"])


def _status(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on; empty without it."""
    text = _text(f"{_PROC}/{pid}/stat")
    # The second field is the program's name in parentheses, which may contain anything.
    return text.rpartition(")")[2].split()


def _boot_and_namespace() -> tuple[str, str]:
    """Return the boot of this machine, and where process ids of this process count."""
    return _found(process_token())


@lru_cache(1)
def _found(token: object) -> tuple[str, str]:
    del token  # a process may enter another namespace only by a fork
    try:
        namespaces = [os.readlink(f"{_PROC}/self/ns/{kind}") for kind in ("pid", "time")]
    except system_answer(OSError):
        return "", ""
    return _text(f"{_PROC}/sys/kernel/random/boot_id").strip(), " ".join(namespaces)


def _text(path: str) -> str:
    """Return the text of a file of the kernel; empty if it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except system_answer(OSError):
        return ""


# --- Forks ----------------------------------------------------------------------------------------


class _Process:
    """What identifies this process within its own memory: a fork has another one."""

    token: object = object()


def process_token() -> object:
    """Return an object that is another one in each fork; ids of processes are used again, this is not."""
    return _Process.token


def at_fork_in_child(act: Callable[[], object]) -> None:
    """Call a function in each fork of this process, where the system has forks."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=act)


def _renew_token() -> None:
    _Process.token = object()


at_fork_in_child(_renew_token)


# --- Clocks ---------------------------------------------------------------------------------------


class Clock:
    """The clocks of this machine; tests use others."""

    def monotonic(self) -> float:
        """Return the time by which a contender counts; it may stand still while the machine sleeps."""
        return time.monotonic()

    def running(self) -> float:
        """Return the time by which a holder counts; where possible it goes on while the machine sleeps."""
        return _running()

    def wall(self) -> float:
        """Return the date, which is shown to people and never compared."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def wait(self, condition: Condition, seconds: float) -> None:
        """Wait for a condition, at most so long."""
        condition.wait(seconds)


def _find_running() -> Callable[[], float]:
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    if clock is None:
        return time.monotonic
    try:
        time.clock_gettime(clock)
    except answer(OSError):
        return time.monotonic
    return lambda: time.clock_gettime(clock)


_running: Final = _find_running()
CLOCK: Final = Clock()
