"""An exception that a signal handler raises, at whatever bytecode, leaves nothing behind."""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest
from crews import LONG
from holders import is_locked, lock_of
from tracing import at_opcode
from workers import LockKind, with_locks

from perkey.content import close
from perkey.stores import ABSENT, DirectoryStore
from perkey.stores.bounded import CacheFolder
from perkey.stores.directory import Durability
from perkey.stores.temporaries import TEMPORARY
from perkey.synced import JSONDict

Act: TypeAlias = Callable[[DirectoryStore, Path], Any]

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)

FLAT: Final = ("a.pkl",)
DEEP: Final = ("x", "y", "a.pkl")
NEW: Final = ("x", "new.pkl")
MANY: Final = [((f"{n}.pkl",), b"many") for n in range(20)]

ACTS: Final[dict[str, Act]] = {
    "read": lambda store, _: store.read(DEEP),
    "large content": lambda store, _: close(store.content(FLAT, limit=0)),
    "stat": lambda store, _: store.stat(DEEP),
    "write": lambda store, _: store.write(DEEP, b"new"),
    "write a version": lambda store, _: store.write(FLAT, b"new", expect=store.stat(FLAT).version),
    "insert": lambda store, _: store.write(NEW, b"new", expect=ABSENT),
    "put where nothing is": lambda store, _: store.put(NEW, b"new"),
    "put into new folders": lambda store, _: store.put(("p", "q", "r.pkl"), b"new"),
    "remove": lambda store, _: store.remove(DEEP),
    "write many": lambda store, _: list(store.write_many(MANY)),
    "remove many": lambda store, _: list(store.remove_many([FLAT, DEEP])),
    "list": lambda store, _: [list(store.scan()), list(store.scan_stats()), list(store.folders())],
    "look for locks": lambda store, _: store.honours("write", "version"),
    "document": lambda _, folder: JSONDict(folder / "d.json").update(a=1),
    "cache": lambda _, folder: CacheFolder(folder / "cache", max_bytes=10_000).write(FLAT, b"new"),
}


class Interrupt(BaseException):
    """As KeyboardInterrupt, but pytest does not stop for it."""


def interrupt() -> None:
    raise Interrupt


def descriptors() -> dict[str, str]:
    found = {}
    for number in os.listdir("/proc/self/fd"):
        try:
            found[number] = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:
            continue  # that of the listing itself
    return found


def leftovers(folder: Path) -> list[str]:
    return [name for _, _, names in os.walk(folder) for name in names if name.startswith(TEMPORARY)]


@pytest.mark.parametrize("kind", ["folder", "file"])
@pytest.mark.parametrize("durability", ["none", "sync"])
@pytest.mark.parametrize("name", ACTS)
def test_an_interrupt_at_any_bytecode_leaves_no_descriptor_lock_or_temporary_file(
    tmp_path: Path, name: str, durability: Durability, kind: LockKind
) -> None:
    step = 1 if LONG else 37
    with_locks(kind, interrupt_everywhere, tmp_path, ACTS[name], durability, kind, step)


def interrupt_everywhere(folder: Path, act: Act, durability: Durability, kind: LockKind, step: int) -> None:
    store = DirectoryStore(folder, durability=durability)
    gc.collect()
    reached, number = True, 0
    while reached:
        for name in (FLAT, DEEP, ("x", "b.pkl")):
            store.write(name, b"old")
        list(store.remove_many([NEW, ("p", "q", "r.pkl")]))
        before = descriptors()
        with suppress(Interrupt):
            reached = at_opcode(number, interrupt, lambda: act(store, folder))
        assert descriptors() == before, number
        assert leftovers(folder) == [], number
        for place in (folder, folder / "x", folder / "x" / "y", folder / "cache"):
            if lock_of(place, kind).exists():
                assert not is_locked(lock_of(place, kind)), number
        number += step
    assert number > 99


def test_real_alarms_leave_nothing(tmp_path: Path) -> None:
    """Signals come also within system calls, where no tracing comes."""
    store = DirectoryStore(tmp_path, durability="none")
    store.write(FLAT, b"old")
    before = descriptors()
    end = time.monotonic() + (20 if LONG else 2)
    pause, hits = 0.0002, 0
    old = signal.signal(signal.SIGALRM, lambda *_: interrupt())
    try:
        while time.monotonic() < end:
            pause = 0.0002 if pause > 0.002 else pause * 1.07
            try:
                signal.setitimer(signal.ITIMER_REAL, pause)
                while True:
                    store.write(FLAT, b"x" * 1000)
                    store.put(NEW, b"new")
                    store.read(NEW)
                    store.remove(NEW)
            except Interrupt:
                hits += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert hits > 100
    assert descriptors() == before
    assert leftovers(tmp_path) == []
    assert not is_locked(tmp_path)
