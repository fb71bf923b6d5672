"""Places and dictionaries that refuse something: each says so at once, and nothing is left behind."""

from __future__ import annotations

import errno
import inspect
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import perkey.jokers
from perkey import (
    CachedDict,
    ClaimLostError,
    FileDirDict,
    LocalDict,
    PersiDict,
    ReadOnlyError,
    UnsupportedConditionError,
    break_claim,
    claim,
    claims,
    compute_once,
    memoize,
    run_all,
)
from perkey.expectations import ConditionKind, Verb
from perkey.stores import WrapperStore, read_only
from perkey.testing.faults import FaultyStore
from tools.once.simulated import ScriptedStore, SimulatedClock

FULL = [errno.ENOSPC, errno.EDQUOT, errno.EFBIG]
LEASE = 0.4


@pytest.fixture
def folder(tmp_path: Path) -> PersiDict[Any]:
    return FileDirDict(tmp_path / "d", durability="none")


def never(*_: object) -> Any:
    raise AssertionError("it was called")


# --- Handles that only read ---------------------------------------------------------------------------


@pytest.mark.parametrize("is_held", [False, True], ids=["free", "held"])
def test_a_handle_that_only_reads_returns_what_is_there_and_else_says_so_at_once(
    is_held: bool, folder: PersiDict[Any]
) -> None:
    folder["there"] = 1
    reading = PersiDict[Any](read_only(folder.store))
    with claim(folder, "missing" if is_held else "another"):
        assert compute_once(reading, "there", never) == 1
        began = time.monotonic()
        with pytest.raises(ReadOnlyError, match="only reads"):
            compute_once(reading, "missing", never)
        with pytest.raises(ReadOnlyError, match="only reads"), claim(reading, "missing", wait=True):
            pass
        with pytest.raises(ReadOnlyError, match="only reads"):
            memoize(reading, name="f")(never)()
        assert time.monotonic() - began < 5
        assert len(claims(reading)) == 1
    assert run_all(reading, never, ["there"]).reused == (("there",),)
    with pytest.raises(ReadOnlyError, match="only reads"):
        run_all(reading, never, ["there", "missing"])
    assert list(folder) == [("there",)]
    assert claims(folder, free=True) == []


# --- Places that compare less -------------------------------------------------------------------------


class Half(WrapperStore):
    """A place that lacks one kind of condition."""

    def __init__(self, inner: Any, verb: Verb, kind: ConditionKind) -> None:
        super().__init__(inner)
        self.lacks = verb, kind
        self.asked = 0

    def supports(self, verb: Verb, kind: ConditionKind) -> bool:
        self.asked += 1
        return (verb, kind) != self.lacks


def test_a_place_that_compares_no_versions_is_refused_before_anything_is_claimed(
    folder: PersiDict[Any],
) -> None:
    """Else a claim could be got there, but neither renewed nor taken over nor given back."""
    d = PersiDict[Any](Half(folder.store, "write", "version"))
    with pytest.raises(UnsupportedConditionError, match="does not compare versions"), claim(d, "a"):
        pass
    with pytest.raises(UnsupportedConditionError, match="does not compare versions"):
        compute_once(d, "a", never)
    with pytest.raises(UnsupportedConditionError, match="does not compare versions"):
        run_all(d, never, ["a"])
    assert list(folder.store.scan()) == []
    d["a"] = 1
    assert compute_once(d, "a", never) == 1


def test_a_place_is_asked_once_whether_it_compares(folder: PersiDict[Any]) -> None:
    store = Half(folder.store, "remove", "version")
    d = PersiDict[Any](store)
    for number in range(3):
        assert compute_once(d, f"k{number}", int) == 0
        assert compute_once(d.get_subdict("x"), f"k{number}", int) == 0
    assert store.asked == 1


# --- Full disks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", FULL)
def test_a_result_for_which_there_is_no_space_is_its_callers_error_and_the_claim_is_free(
    code: int, folder: PersiDict[Any]
) -> None:
    store = FaultyStore(folder.store)

    def function() -> int:
        store.fail("write", OSError(code, "full"), nth=None)
        return 5

    began = time.monotonic()
    with pytest.raises(OSError, match="full"):
        compute_once(PersiDict[Any](store), "a", function)
    assert time.monotonic() - began < 5
    assert claims(folder, free=True) == []
    store.heal()
    assert compute_once(PersiDict[Any](store), "a", lambda: 6) == 6


@pytest.mark.parametrize("code", FULL)
def test_a_failure_for_which_there_is_no_space_lets_others_try_at_once(
    code: int, folder: PersiDict[Any]
) -> None:
    store = FaultyStore(folder.store)

    def function() -> int:
        store.fail("write", OSError(code, "full"), nth=None)
        return 1 // 0

    with pytest.raises(ZeroDivisionError):
        compute_once(PersiDict[Any](store), "a", function)
    assert claims(folder, free=True) == []
    assert compute_once(folder, "a", lambda: 6, timeout=0) == 6


@pytest.mark.parametrize("code", FULL)
def test_a_claim_that_cannot_be_renewed_for_lack_of_space_is_lost_and_comes_back(
    code: int, folder: PersiDict[Any]
) -> None:
    store = FaultyStore(folder.store)
    with claim(PersiDict[Any](store), "a", lease=LEASE) as mine:
        store.fail("write", OSError(code, "full"), nth=None)
        until(lambda: mine.lost)
        with pytest.raises(ClaimLostError, match=r"its lease is over, and .*full"):
            mine.check()
        store.heal()
        until(lambda: not mine.lost)
        mine.check()
        assert mine.token == 0
    assert claims(folder, free=True) == []


def until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


LIMITED = """
import os, resource
from perkey import FileDirDict, claims, compute_once

def limit(most):
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))

d = FileDirDict({base!r}, durability={durability!r})
shown = []
for most, name in ((8192, "large"), (0, "claim")):
    limit(most)
    try:
        compute_once(d, name, os.urandom, args=(100_000,))
    except OSError as error:
        shown.append(error.errno)
    shown.append((len(claims(d, free=True)), len(d)))
limit(resource.RLIM_INFINITY)
shown.append(len(compute_once(d, "large", os.urandom, args=(100_000,))))
print(shown)
"""


@pytest.mark.skipif(os.name != "posix", reason="limits")
@pytest.mark.parametrize("durability", ["none", "sync"])
def test_files_that_may_not_grow(durability: str, tmp_path: Path) -> None:
    base = tmp_path / "d"
    program = LIMITED.format(base=str(base), durability=durability)
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == f"[{errno.EFBIG}, (0, 0), {errno.EFBIG}, (0, 0), 100000]"
    assert [path.name.partition("_")[0] for path in base.rglob("*") if path.is_file()] == ["large"]


# --- Machines that sleep ------------------------------------------------------------------------------


def claimed(d: PersiDict[Any], clock: SimulatedClock) -> Any:
    from perkey.tools.once.leases import Contender, Watch
    from perkey.tools.once.places import spot_of

    return Contender(spot_of(d, "a"), 60.0, watch=Watch(), clock=clock)


def test_a_holder_whose_machine_slept_asks_before_it_goes_on() -> None:
    here, there = SimulatedClock(), SimulatedClock()
    d = PersiDict[Any](ScriptedStore(here))
    lease = claimed(d, here).attempt()
    assert not lease.lost
    here.slept += 3600
    assert lease.lost
    lease.check()  # no other process took it: it is renewed
    assert not lease.lost
    here.slept += 3600
    other = claimed(d, there)
    while other.attempt() is None:
        there.now += 5
    with pytest.raises(ClaimLostError, match="took it over"):
        lease.check()
    assert lease.lost


@pytest.mark.parametrize("counts", [False, True], ids=["CLOCK_MONOTONIC", "a clock that counts it"])
def test_a_waiter_whose_machine_slept_takes_nothing_over(counts: bool) -> None:
    here, there = SimulatedClock(), SimulatedClock()
    d = PersiDict[Any](ScriptedStore(here))
    lease = claimed(d, here).attempt()
    other = claimed(d, there)
    assert other.attempt() is None
    there.now += 5
    assert other.attempt() is None
    if counts:
        there.now += 3600
    else:
        there.slept += 3600
    for _ in range(5):
        assert other.attempt() is None
        there.now += 5
    assert not lease.lost
    assert lease.renew()


# --- Dictionaries whose items stay, and what is no value ----------------------------------------------

SENTINELS = [
    member
    for kind in vars(perkey.jokers).values()
    if inspect.isclass(kind) and kind.__module__ == perkey.jokers.__name__
    for member in (kind, *getattr(kind, "__members__", {}).values())
]


@pytest.mark.parametrize("value", SENTINELS, ids=repr)
def test_exactly_what_assignment_stores_can_be_a_result(value: Any, folder: PersiDict[Any]) -> None:
    stores = True
    try:
        folder["assigned"] = value
    except TypeError:
        stores = False
    stores = stores and "assigned" in folder

    left: list[Any] = [value, 1]

    @memoize(folder, name="f")
    def changing() -> Any:
        return left.pop()

    changing()
    ways: list[Callable[[], Any]] = [
        lambda: compute_once(folder, "a", lambda: value),
        memoize(folder, name="g")(lambda: value),
        changing.recompute,
        lambda: run_all(folder, lambda _: value, ["t"]).check(),
        lambda: compute_once(CachedDict(folder, LocalDict()), "c", lambda: value),
    ]
    for way in ways:
        if stores:
            way()
        else:
            with pytest.raises((TypeError, perkey.ComputationFailedError), match="is not a value"):
                way()
    computed = [folder.get(key, 1) for key in ("a", "c", "t", changing.key())]
    assert computed == ([value] * 4 if stores else [1] * 4)


def test_results_in_a_dictionary_whose_items_stay(tmp_path: Path) -> None:
    calls: list[int] = []

    def function() -> int:
        calls.append(1)
        return 5

    def fails() -> int:
        raise ZeroDivisionError

    kept = FileDirDict[Any](tmp_path / "d", immutable_items=True)
    for d in (kept, CachedDict(kept, LocalDict(immutable_items=True))):
        calls.clear()
        name = type(d).__name__
        for _ in range(2):
            assert compute_once(d, (name, "once"), function) == 5
            with pytest.raises(ZeroDivisionError):
                compute_once(d, (name, "failed"), fails)
            assert memoize(d, name=name)(function)() == 5
        assert run_all(d, lambda _: function(), [(name, "once"), (name, "all")]).reused == ((name, "once"),)
        assert len(calls) == 3
        assert claims(d) == []
        assert not break_claim(d, (name, "once"))
        assert compute_once(d, (name, "failed"), function) == 5
        assert claims(d, free=True) == []
