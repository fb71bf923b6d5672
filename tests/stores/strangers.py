"""Running something as another user, or in a process of its own, and bringing back what came of it."""

import os
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from perkey import FileDirDict

T = TypeVar("T")

NOBODY = 65534
HERE = "/proc/self/cwd"
"""The current folder, reached without rights to those above it, which pytest keeps for its own user."""

CAP_SYS_ADMIN = 1 << 21


def may_mount() -> bool:
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return any(int(line.split()[1], 16) & CAP_SYS_ADMIN for line in lines if line.startswith("CapEff:"))


needs_mount = pytest.mark.skipif(not may_mount(), reason="needs the right to mount a file system")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: the right to act as several users")


def in_child(act: Callable[[], T], prepare: Callable[[], object] = lambda: None) -> T:
    """Return what `act` returns, or raise what it raises, in a forked child that was prepared for it."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        outcome: tuple[Any, BaseException | None]
        try:
            os.close(reader)
            prepare()
            outcome = act(), None
        except BaseException as error:  # noqa: BLE001 - it is raised by the parent
            outcome = None, error
        with open(writer, "wb") as pipe:
            pickle.dump(outcome, pipe)
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    result, raised = pickle.loads(told)
    if raised is not None:
        raise raised
    found: T = result
    return found


def as_user(
    user: int, folder: Path, act: Callable[[str], T], *, groups: Sequence[int] = (), umask: int = 0o022
) -> T:
    """Return what `act` returns when a user runs it on `folder`."""

    def become() -> None:
        os.chdir(folder)
        os.umask(umask)
        os.setgroups(groups)
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)

    return in_child(lambda: act(HERE), become)


def without_rights(folder: Path, act: Callable[[str], T]) -> T:
    """Return what `act` returns when somebody whom permissions bind runs it on `folder`."""
    if os.geteuid() == 0:
        return as_user(NOBODY, folder, act)
    return in_child(lambda: act(HERE), lambda: os.chdir(folder))


def tree(folder: Path) -> dict[str, bytes]:
    """Return everything below a folder: names, and the content of files."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else b"" for p in folder.rglob("*")}


def make_filled(folder: Path) -> FileDirDict[Any]:
    """Return a dictionary of two items, with a stale temporary file as a dead writer leaves it."""
    d = FileDirDict[Any](folder)
    d["a"] = 1
    d["x", "y"] = {"deep": "value"}
    for stale in (folder / ".@perkey-tmp-dead-1", folder / os.listdir(folder)[0]):
        if not stale.exists():
            stale.write_bytes(b"partial")
            os.utime(stale, (1, 1))
    return d
