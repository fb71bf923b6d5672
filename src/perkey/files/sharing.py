"""Whether the folders below a base folder are used by several machines, and how programs agree on that.

The first program that uses a base folder in this way leaves a text in its lock file. Programs on the server
itself, which see a local file system, look for it before they write.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from dataclasses import dataclass
from typing import Final, get_args

from perkey.answers import ignore_system_answer, system_answer
from perkey.arguments import check_kind
from perkey.errors import UnknownFileSystemWarning
from perkey.files.file_systems import FileSystem, Locking, file_system_of
from perkey.files.folder import LOCK_FILE, READ, sync
from perkey.files.locks import Handle
from perkey.pages import page

VARIABLE: Final = "PERKEY_LOCKING"
"""The environment variable that replaces ``locking="auto"``."""

SETTLING_SECONDS: Final = 2.5
LOOK_AGAIN_SECONDS: Final = 1.0
"""So often a writer on a local file system looks whether other machines have begun to use the folder. The
first of those waits for longer before its first write."""
_MOST_WAYS: Final = 10_000
_SETTLING: Final = b"perkey begins to use this folder from several machines.\n"
SETTLED: Final = (
    b"perkey locks this file when it writes to this folder. Do not remove it while programs run.\n"
)
SETTLED_SMB: Final = SETTLED + b"This folder is shared by SMB.\n"
_MOST_TEXT: Final = 1000
_BY_SMB: Final = (
    "other machines use it by SMB, whose server may keep their locks to itself; "
    "open it by the same share on this machine, too"
)


@dataclass(slots=True)
class Way:
    """How the folders below a base folder are used.

    Args:
        base: The base folder.
        shared: Whether by the path for several machines.
        file_system: What the base folder is on; None where the caller has chosen that it does not matter.
        no_locks: Why no locks exclude other writers; empty if locks do.
    """

    base: str
    shared: bool
    file_system: FileSystem | None
    no_locks: str = ""
    looked: float = 0.0
    settled: bool = False

    @property
    def is_smb(self) -> bool:
        """Whether the folders are used by way of an SMB client."""
        return self.file_system is not None and self.file_system.is_smb


_ways: dict[tuple[str, Locking], Way] = {}
shared_ways: Final[dict[tuple[str, Locking], Way]] = {}
"""The ways for several machines that are known so far: for readers, which do not decide."""


def check_locking(locking: str, name: str = "locking") -> Locking:
    """Return a value of `locking`.

    Args:
        locking: The value.
        name: The name of the argument or variable that has it, for an error.

    Raises:
        TypeError: It is not a str.
        ValueError: It is another str.
    """
    allowed = ", ".join(map(repr, get_args(Locking)))
    check_kind(name, locking, str, f"one of {allowed}")
    if locking not in get_args(Locking):
        raise ValueError(f"{name} must be one of {allowed}, not {locking!r}")
    return locking  # type: ignore[return-value]


def way_of(base: str, locking: Locking = "auto", *, writing: bool = False) -> Way:
    """Return how a base folder is used; decided once in a process.

    Cost: one system call for a folder on a local file system, and one to look for the lock file.

    Args:
        base: The base folder, absolute.
        locking: What the caller has chosen.
        writing: Whether something is about to be written. That must not miss the lock file of other machines.
    """
    way = _ways.get((base, locking))
    if way is None:
        way = _decide(base, locking)
        if way is None:
            return _MISSING
        if len(_ways) >= _MOST_WAYS:
            _ways.clear()
        _ways[base, locking] = way
    elif (
        writing
        and not way.shared
        and locking == "auto"
        and time.monotonic() - way.looked > LOOK_AGAIN_SECONDS
    ):
        look_for_others(base, way)
    if way.shared:
        shared_ways[base, locking] = way
    return way


_MISSING: Final = Way("", shared=False, file_system=None)


def _decide(base: str, locking: Locking) -> Way | None:
    if locking == "auto":
        locking = check_locking(os.environ.get(VARIABLE) or "auto", VARIABLE)
    if locking == "local":
        return Way(base, shared=False, file_system=None)
    if locking == "none":
        return Way(base, shared=True, file_system=None, no_locks='locking="none" was chosen')
    if sys.platform == "win32":
        return Way(base, shared=locking == "shared", file_system=None)
    try:
        with Handle() as file:
            found = file_system_of(file.open(base, os.O_RDONLY | os.O_DIRECTORY))
    except system_answer(OSError):
        return None  # it does not exist yet, or cannot be listed: the operation raises the error
    if locking == "shared":
        return Way(base, shared=True, file_system=found)
    if found.kind == "other" and not found.no_locks:
        warnings.warn(
            f"{base} is on a file system of type {found.type}; perkey does not know whether writers on "
            f"several machines exclude each other there. Run: perkey doctor {base} --with-others 2, "
            f"and see {page('concurrency')}",
            UnknownFileSystemWarning,
            stacklevel=2,
        )
    way = Way(base, found.kind != "local", found, found.no_locks)
    if not way.shared:
        look_for_others(base, way)
    return way


def look_for_others(base: str, way: Way) -> None:
    """Change to the path for several machines if another machine has left its mark in the lock file.

    An empty lock file is one of this machine, where folders themselves cannot be locked.
    """
    way.looked = time.monotonic()
    if not os.access(f"{base}/{LOCK_FILE}", os.F_OK, follow_symlinks=False):
        return
    with ignore_system_answer(OSError), Handle() as file:
        text = os.read(file.open(f"{base}/{LOCK_FILE}", READ), _MOST_TEXT)
        way.shared = text != b""
        if text == SETTLED_SMB:
            way.no_locks = _BY_SMB


def settle(way: Way) -> None:
    """Before the first write of a process, leave a mark in the base folder and wait until it was seen.

    Programs that use the base folder as a local one, on the server, look for it once in a second.
    """
    if way.settled:
        return
    settled = SETTLED_SMB if way.is_smb else SETTLED
    with (
        ignore_system_answer(PermissionError),
        Handle() as file,
    ):  # a reader of the base folder, who writes below it
        path = f"{way.base}/{LOCK_FILE}"
        fd = file.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        text = os.pread(fd, _MOST_TEXT, 0)
        if text == SETTLED_SMB and not way.is_smb:
            way.no_locks = _BY_SMB
        elif text != settled:
            if os.fstat(fd).st_uid == os.geteuid():
                os.fchmod(fd, 0o666)
            # A client would keep it for itself without being asked to write it out.
            os.pwrite(fd, _SETTLING, 0)
            sync(fd, path)
            time.sleep(SETTLING_SECONDS)
            os.pwrite(fd, settled, 0)
    way.settled = True
