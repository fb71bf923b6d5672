"""An exception that a signal handler raises, at whatever bytecode, leaves nothing behind."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import sys
from _thread import interrupt_main
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any, Final, TypeAlias
from unittest import mock

import pytest
from combinations import combinations
from crews import HANG, sample, times
from holders import is_locked, lock_of
from tracing import at_opcode
from workers import LockKind, with_locks

from perkey.content import close
from perkey.errors import ConflictError
from perkey.expectations import ABSENT
from perkey.files.folder import TEMPORARY
from perkey.stores import DirectoryStore, MemoryStore, memory
from perkey.stores.folder import batches
from perkey.stores.folder.cache import CacheFolder
from perkey.stores.folder.store import Durability
from perkey.synced import JSONDict

Act: TypeAlias = Callable[[DirectoryStore, Path], Any]

# A listing that is left by an interrupt is closed by its finaliser.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

FLAT: Final = ("a.pkl",)
DEEP: Final = ("x", "y", "a.pkl")
NEW: Final = ("x", "new.pkl")
MANY: Final = [((f"{n}.pkl",), b"many") for n in range(6)]

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
    "write many together": lambda store, _: together(lambda: list(store.write_many([*MANY, (NEW, b"new")]))),
    "insert many together": lambda store, _: together(
        lambda: list(store.write_many([(NEW, b"new"), (("x", "b.pkl"), b"new")], expect=ABSENT))
    ),
    "read ahead": lambda store, _: list(store.read_ahead([FLAT, DEEP, ("x", "b.pkl")], limit=10)),
    "remove many": lambda store, _: list(store.remove_many([FLAT, DEEP])),
    "list": lambda store, _: [list(store.scan()), list(store.scan_stats()), list(store.folders())],
    "look for locks": lambda store, _: store.supports("write", "version"),
    "document": lambda _, folder: JSONDict(folder / "d.json").update(a=1),
    "cache": lambda _, folder: CacheFolder(folder / "cache", max_bytes=10_000).write(FLAT, b"new"),
}


def together(act: Callable[[], Any]) -> None:
    """Let all items be written together, however few they are."""
    with mock.patch.object(batches, "_FEW", 1):
        act()


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


@contextmanager
def finalisers_may_swallow_interrupts() -> Iterator[None]:
    """Drop exceptions that are raised in finalisers, as Python does; pytest keeps them with their frames."""
    others: list[BaseException | None] = []

    def note(unraisable: sys.UnraisableHookArgs) -> None:
        if not isinstance(unraisable.exc_value, Interrupt):
            others.append(unraisable.exc_value)

    with mock.patch.object(sys, "unraisablehook", note):
        yield
        gc.collect()
    assert others == []


LOCK_KINDS: Final = ("folder", "file")
DURABILITIES: Final = ("none", "sync")


ALWAYS: Final = [
    ("large content", "none", "folder"),
    ("write a version", "sync", "folder"),
    ("put into new folders", "none", "file"),
    ("remove", "none", "folder"),
    ("write many together", "none", "folder"),
    ("remove many", "sync", "file"),
    ("document", "none", "folder"),
]


@pytest.mark.parametrize(
    ("name", "durability", "kind"), combinations(ACTS, DURABILITIES, LOCK_KINDS, always=ALWAYS)
)
def test_an_interrupt_at_any_bytecode_leaves_no_descriptor_lock_or_temporary_file(
    tmp_path: Path, name: str, durability: Durability, kind: LockKind
) -> None:
    numbers = sample(47, (ACTS, name), (DURABILITIES, durability), (LOCK_KINDS, kind))
    with finalisers_may_swallow_interrupts():
        with_locks(kind, interrupt_everywhere, tmp_path, ACTS[name], durability, kind, numbers)


def interrupt_everywhere(
    folder: Path, act: Act, durability: Durability, kind: LockKind, numbers: Iterator[int]
) -> None:
    store = DirectoryStore(folder, durability=durability)
    gc.collect()
    for number in numbers:
        for name in (FLAT, DEEP, ("x", "b.pkl")):
            store.write(name, b"old")
        list(store.remove_many([NEW, ("p", "q", "r.pkl")]))
        before = descriptors()
        reached = True
        with suppress(Interrupt):
            reached = at_opcode(number, interrupt, lambda: act(store, folder))
        assert descriptors() == before, number
        assert leftovers(folder) == [], number
        for place in (folder, folder / "x", folder / "x" / "y", folder / "cache"):
            if lock_of(place, kind).exists():
                assert not is_locked(lock_of(place, kind)), number
        if not reached:
            assert number > 99
            return


MEMORY_ACTS: Final[dict[str, Callable[[MemoryStore], Any]]] = {
    "write": lambda store: store.write(FLAT, b"new"),
    "write a version": lambda store: store.write(FLAT, b"new", expect=store.stat(FLAT).version),
    "insert": lambda store: store.write(NEW, b"new", expect=ABSENT),
    "conflict": lambda store: suppressed(ConflictError, lambda: store.write(FLAT, b"new", expect=ABSENT)),
    "remove": lambda store: store.remove(FLAT),
    "list": lambda store: list(store.scan()),
    "pickle": pickle.dumps,
}


def suppressed(error: type[Exception], act: Callable[[], Any]) -> None:
    with suppress(error):
        act()


def let_a_signal_arrive() -> None:
    """Let Python note a signal, by an operation after which it does not look for signals.

    Its handler runs where Python looks next. That is not before each bytecode: a ``with`` block whose
    ``__enter__`` and ``__exit__`` are C functions has no gap, but tracing would find some.
    """
    _ = [*map(interrupt_main, (signal.SIGUSR1,))]


@contextmanager
def interrupting(number: signal.Signals) -> Iterator[None]:
    old = signal.signal(number, lambda *_: interrupt())
    try:
        yield
    finally:
        signal.signal(number, old)


@pytest.mark.parametrize("name", MEMORY_ACTS)
def test_a_signal_that_arrives_at_any_bytecode_leaves_the_memory_unlocked(name: str) -> None:
    tried = 0
    with interrupting(signal.SIGUSR1):
        for number in count():
            store = MemoryStore()
            version = store.write(FLAT, b"old")
            reached = True
            with suppress(Interrupt):
                reached = at_opcode(number, let_a_signal_arrive, lambda: MEMORY_ACTS[name](store))  # noqa: B023 - called at once
            assert not memory._lock._is_owned(), number  # type: ignore[attr-defined]
            assert memory._turns == [], number
            assert gc.isenabled(), number
            for item in store.scan():
                content, found = store.read(item) or pytest.fail("no item")
                assert (content == b"old") == (found == version)
            if not reached:
                break
            tried += 1
    assert tried > 20
    in_another_thread(partial(MemoryStore().write, FLAT, b"new"))


def in_another_thread(act: Callable[[], Any]) -> None:
    thread = Thread(target=act, daemon=True)
    thread.start()
    thread.join(HANG)
    assert not thread.is_alive()


def test_real_alarms_leave_nothing(tmp_path: Path) -> None:
    """Signals come also within system calls, where no tracing comes."""
    store = DirectoryStore(tmp_path, durability="none")
    kept = MemoryStore()
    store.write(FLAT, b"old")
    before = descriptors()
    pause = 0.0002
    with finalisers_may_swallow_interrupts(), interrupting(signal.SIGALRM):
        for _ in range(times(300, 10_000)):
            pause = 0.0002 if pause > 0.002 else pause * 1.07
            with suppress(Interrupt):
                signal.setitimer(signal.ITIMER_REAL, pause)
                while signal.getitimer(signal.ITIMER_REAL)[0]:  # a finaliser may have swallowed the interrupt
                    for place in (store, kept):
                        place.write(FLAT, b"x" * 1000)
                        place.put(NEW, b"new")
                        place.read(NEW)
                        place.remove(NEW)
            assert not memory._lock._is_owned()  # type: ignore[attr-defined]
    assert descriptors() == before
    assert leftovers(tmp_path) == []
    assert not is_locked(tmp_path)
    in_another_thread(partial(kept.write, FLAT, b"new"))
