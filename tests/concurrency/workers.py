"""What the workers of the races do; plain functions of a module, so that other processes find them."""

from __future__ import annotations

import os
import random
import shutil
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias
from unittest import mock

from crews import Job, Method, run_crew

from perkey import (
    ANY_ETAG,
    DELETE_CURRENT,
    ITEM_NOT_AVAILABLE,
    ConsistencyCheckError,
    FileDirDict,
    MutationPolicyError,
    PersiDict,
    WriteOnceDict,
)
from perkey.files import folder as folders
from perkey.files import syscalls as libc
from perkey.files.folder import temporary_name
from perkey.stores.folder import tmpfile

Key: TypeAlias = str | tuple[str, ...]
Marked: TypeAlias = tuple[int, list[tuple[int, int]]]
"""A count, and who counted when: two independent ways to notice a lost update."""

LockKind: TypeAlias = Literal["folder", "file", "none"]


def with_locks(kind: LockKind, work: Callable[..., Any], *arguments: Any) -> Any:
    """Do some work where folders can be locked, or only files, or nothing.

    File systems that do not lock folders, such as NFS, also know neither files without names nor a rename
    that refuses a name that is taken.
    """
    if kind == "folder":
        return work(*arguments)
    original = folders.lock

    def lock(fd: int) -> bool:
        return kind == "file" and not stat.S_ISDIR(os.fstat(fd).st_mode) and original(fd)

    with (
        mock.patch.object(folders, "lock", lock),
        mock.patch.object(tmpfile, "POSSIBLE", False),
        mock.patch.object(libc, "_renameat2", return_value=None),
        mock.patch.object(folders.Folder, "may_have_unnamed", return_value=False),
    ):
        return work(*arguments)


@contextmanager
def hesitating() -> Iterator[None]:
    """Let whoever is about to give, replace or take a name wait a moment first, every other time.

    Others come between where they can: of writers without any locks that look first and write then, a few
    in a hundred meet by themselves, and most with this.
    """
    with ExitStack() as patches:
        for module, name in (
            (os, "replace"),
            (os, "link"),
            (os, "unlink"),
            (libc, "rename_new"),
            (libc, "rename_first_new"),
        ):
            patches.enter_context(mock.patch.object(module, name, _after_hesitation(getattr(module, name))))
        yield


def _after_hesitation(act: Callable[..., Any]) -> Callable[..., Any]:
    def hesitate_and_act(*arguments: Any, **names: Any) -> Any:
        if random.random() < 0.5:
            time.sleep(0.00005)
        return act(*arguments, **names)

    return hesitate_and_act


def race(method: Method, jobs: list[Job], *, locks: LockKind = "folder") -> list[Any]:
    """Run a crew that hesitates, where locks are of some kind; processes have to be told one by one."""
    if method == "thread":
        found: list[Any] = _racing(locks, run_crew, method, jobs)
        return found
    return run_crew(method, [partial(_racing, locks, job) for job in jobs])


def _racing(kind: LockKind, work: Callable[..., Any], *arguments: Any) -> Any:
    with hesitating():
        return with_locks(kind, work, *arguments)


def increment(me: int, target: PersiDict[Marked], key: Key, count: int) -> list[int]:
    """Count up one item; return how often the function ran for each of the operations."""
    attempts = []
    for number in range(count):
        runs = 0

        def step(found: Any, number: int = number) -> Marked:
            nonlocal runs
            runs += 1
            total, marks = (0, []) if found is ITEM_NOT_AVAILABLE else found
            return total + 1, [*marks, (me, number)]

        target.transform_item(key, transformer=step)
        attempts.append(runs)
    return attempts


def increment_through(me: int, routes: list[tuple[PersiDict[Marked], Key]], count: int) -> list[int]:
    """Count up one item through the route that is this worker's."""
    target, key = routes[me % len(routes)]
    return increment(me, target, key, count)


def claim(me: int, routes: list[tuple[PersiDict[int], Key]], names: Iterable[str]) -> list[str]:
    """Insert this worker's number under each name; return those that were won."""
    target, prefix = routes[me % len(routes)]
    won = []
    for name in names:
        result = target.setdefault_if(
            (*prefix, name), default_value=me, condition=ANY_ETAG, expected_etag=ITEM_NOT_AVAILABLE
        )
        if result.actual_etag is ITEM_NOT_AVAILABLE:
            won.append(name)
    return won


def claim_with_and_without_lock(
    me: int, target: PersiDict[int], locking: FileDirDict[int], names: Iterable[str]
) -> list[str]:
    """The same by workers of which every second one takes the place for one where files need a name."""
    tmpfile._able[locking.store.base] = False  # type: ignore[attr-defined] # of this store
    return claim_by_setdefault(me, locking if me % 2 else target, names)


def claim_by_setdefault(me: int, target: PersiDict[int], names: Iterable[str]) -> list[str]:
    """The same by plain `setdefault`."""
    return [name for name in names if target.setdefault(name, me) == me]


def assign_immutable(me: int, target: PersiDict[int], names: Iterable[str]) -> list[str]:
    """Assign under each name; return those where the assignment was not refused."""
    won = []
    for name in names:
        try:
            target[name] = me
        except MutationPolicyError:
            continue
        won.append(name)
    return won


def write_once(me: int, target: WriteOnceDict[int], names: Iterable[str]) -> tuple[list[str], dict[str, int]]:
    """Assign under each name, every later write being checked; return those won, and what is read then."""
    won, read = [], {}
    for name in names:
        try:
            target[name] = me
        except ConsistencyCheckError:
            pass
        else:
            won.append(name)
        read[name] = target[name]
    return won, read


def pop_all(me: int, target: PersiDict[Any], names: Iterable[str]) -> dict[str, Any]:
    """Pop each item; return those that this worker got."""
    popped = {name: target.pop(name, None) for name in names}
    return {name: value for name, value in popped.items() if value is not None}


def popitem_all(me: int, target: PersiDict[Any]) -> dict[str, Any]:
    """Pop arbitrary items until there are none."""
    got: dict[str, Any] = {}
    while True:
        try:
            key, value = target.popitem()
        except KeyError:
            return got
        got[key[0]] = value


@contextmanager
def saying(target: PersiDict[Any], what: Key) -> Iterator[None]:
    """Say at the end that something was done, also if it failed, so that nobody waits for it in vain."""
    try:
        yield
    finally:
        target[what] = ""


def finishing(target: PersiDict[Any], me: int) -> AbstractContextManager[None]:
    """Say when this worker is done."""
    return saying(target, ("finished", str(me)))


def all_finished(target: PersiDict[Any], workers: int) -> bool:
    """Tell whether that many workers are done."""
    return len(target.get_subdict("finished")) == workers


def at_least(count: int, target: PersiDict[Any], until: Key) -> Iterator[int]:
    """Count that far, and further until somebody else said that something was done meanwhile."""
    number = 0
    while number < count or until not in target:
        assert number < 1000 * count, f"nobody said {until!r}"
        yield number
        number += 1


def count_up_then_finish(me: int, target: PersiDict[Any], key: Key, count: int) -> int:
    """Count up one item until some of it was taken away, and say when done; return how often."""
    done = 0
    with finishing(target, me):
        for _ in at_least(count, target, "taken"):
            target.transform_item(
                key, transformer=lambda found: 1 if found is ITEM_NOT_AVAILABLE else found + 1
            )
            done += 1
    return done


def take_away(me: int, target: PersiDict[Any], key: Key, counters: int) -> int:
    """Delete the item again and again, in either way, until the counters finish; return the sum deleted."""
    taken = 0
    with saying(target, "taken"):
        while not all_finished(target, counters):
            found = _take(target, key)
            if found and not taken:
                target["taken"] = ""
            taken += found
    return taken


def _take(target: PersiDict[Any], key: Key) -> int:
    if random.random() < 0.5:
        return int(target.pop(key, 0))
    last = 0

    def delete(found: Any) -> Any:
        nonlocal last
        last = 0 if found is ITEM_NOT_AVAILABLE else found
        return DELETE_CURRENT

    target.transform_item(key, transformer=delete)
    return last


def temporary_names(me: int, count: int) -> list[str]:
    """Make names of temporary files, as a process on a host of its own, with threads and a forked child."""
    with mock.patch("os.getpid", return_value=4711):
        temporary_name()
        readable, writable = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writable, "\n".join(_names(count)).encode())
            os._exit(0)
        with ThreadPoolExecutor(2) as pool:
            found = _names(count) + [name for names in pool.map(_names, [count] * 2) for name in names]
        os.close(writable)
        with open(readable) as pipe:
            found += pipe.read().split()
        os.waitpid(child, 0)
    return found


def _names(count: int) -> list[str]:
    return [temporary_name() for _ in range(count)]


def write_checked(me: int, target: PersiDict[Any], key: Key, values: int, size: int) -> None:
    """Rewrite one item with values that show whether they are whole, and say when done."""
    with finishing(target, me):
        for number in range(values):
            target[key] = checked(me, number, size + number % 7)


def checked(me: int, number: int, size: int) -> str:
    """Return a text whose every part tells which text it belongs to."""
    mark = f"{me}:{number}:{size}:"
    return mark + chr(97 + number % 26) * size + mark


def read_checked(me: int, target: PersiDict[Any], key: Key, writers: int) -> list[tuple[int, int]]:
    """Read one item until all writers finish; return writer and number of each value seen, in order."""
    seen = []
    while True:
        last = all_finished(target, writers)
        value = target[key]
        writer, number, size = map(int, value.split(":")[:3])
        assert value == checked(writer, number, size), "torn"
        seen.append((writer, number))
        if last:
            return seen


DELETIONS: Final = 3
"""How often a folder is deleted at least while there are writers."""


def write_under_deletion(me: int, target: PersiDict[Any], count: int) -> None:
    """Write items of one's own in a folder that is deleted meanwhile; nothing may fail."""
    with finishing(target, me):
        for number in at_least(count, target, "deleted"):
            target["a", "b", str(me)] = number
            target.transform_item(("a", "c", str(me)), transformer=lambda _: 0)
            target.discard(("a", "b", str(me)))
            if number % 5 == 0:  # enough of them to be written as one batch
                target.update({("a", "d", "e", f"{me}-{which}"): number for which in range(20)})
            target.pop(("a", "d", "e", f"{me}-1"), None)


def write_where_all_is_deleted(me: int, target: PersiDict[int], told: PersiDict[Any], count: int) -> None:
    """Write items on two levels below a base folder that is deleted meanwhile; nothing may fail."""
    with finishing(told, me):
        for number in at_least(count, told, "deleted"):
            target["a", str(me)] = number
            target[str(me)] = number


def delete_folder(target: PersiDict[Any], folder: Path, writers: int) -> int:
    """Delete a folder with all that is in it, until the writers finish; return how often it was there."""
    deletions = 0
    with saying(target, "deleted"):
        while not all_finished(target, writers):
            deletions += folder.exists()
            shutil.rmtree(folder, ignore_errors=True)
            if deletions >= DELETIONS:
                target["deleted"] = ""
            time.sleep(random.uniform(0, 0.02))
    return deletions
