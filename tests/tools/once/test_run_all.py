"""Many tasks in many processes: each done once, failures kept and retried on request, no waiting for ever."""

from __future__ import annotations

import builtins
import errno
import io
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from s3.places import ENGINES, EngineName, Place, know_server
from s3.proxy import Proxy, drops_request

from perkey import (
    DELETE_CURRENT,
    BusyError,
    CachedDict,
    ComputationFailedError,
    EmptyDict,
    FileDirDict,
    LocalDict,
    MissingExtraError,
    PersiDict,
    WriteOnceDict,
    break_claim,
    claim,
    claims,
    key_of,
    run_all,
)
from perkey.errors import BackendError
from perkey.naming import Name
from perkey.testing.faults import FaultyStore
from perkey.tools.once import Report
from perkey.tools.once.compute import Policy
from perkey.tools.once.leases import Contender
from perkey.tools.once.places import spot_of
from perkey.tools.once.running import _common_prefix, _Run, _tasks_of
from tools.once.programs import said, started
from tools.once.simulated import ScriptedStore, SimulatedClock

MAKERS: dict[str, Callable[[Path], PersiDict[Any]]] = {
    "folder": lambda path: FileDirDict(path, durability="none"),
    "immutable": lambda path: FileDirDict(path, immutable_items=True, durability="none"),
    "sub-dictionary": lambda path: FileDirDict[Any](path, durability="none").get_subdict("below"),
    "no digests": lambda path: FileDirDict(path, digest_len=0, durability="none"),
    "write once": lambda path: WriteOnceDict(FileDirDict(path, immutable_items=True), 1.0),
    "memory": lambda _: LocalDict(),
    "cached": lambda path: CachedDict(FileDirDict(path, durability="none"), LocalDict()),
}


@pytest.fixture(params=MAKERS)
def d(request: pytest.FixtureRequest, tmp_path: Path) -> PersiDict[Any]:
    return MAKERS[request.param](tmp_path / "d")


@pytest.fixture
def folder(tmp_path: Path) -> PersiDict[Any]:
    return FileDirDict(tmp_path / "d", durability="none")


class Counted:
    """A function that counts its calls for each task, and fails for some."""

    def __init__(self, *, bad: tuple[Any, ...] = ()) -> None:
        self.calls: Counter[Any] = Counter()
        self.bad = bad

    def __call__(self, task: Any) -> Any:
        self.calls[str(task)] += 1
        if task in self.bad:
            raise ZeroDivisionError(f"no result for {task}")
        return [task]


# --- Tasks and their keys -----------------------------------------------------------------------------


def test_each_task_is_computed_once_and_reused_afterwards(d: PersiDict[Any]) -> None:
    tasks = {("x", "a"): 1, ("x", "b"): 2, "c": 3, "c" * 200: 4}
    d["c"] = "there"
    function = Counted()
    first = run_all(d, function, tasks)
    assert sorted(first.computed) == sorted([("x", "a"), ("x", "b"), ("c" * 200,)])
    assert first.reused == (("c",),)
    assert (first.failed, first.held, first.takeovers, first.is_complete) == ({}, {}, 0, True)
    first.check()
    second = run_all(d, function, tasks)
    assert (second.computed, len(second.reused)) == ((), 4)
    assert function.calls == {"1": 1, "2": 1, "4": 1}
    assert d["x", "b"] == [2]
    assert d["c"] == "there"
    assert claims(d, free=True) == []


def test_tasks_that_are_keys_have_their_results_under_themselves(folder: PersiDict[Any]) -> None:
    tasks = ["a", ("x", "b"), ["x", "c"], "a"]
    report = run_all(folder, str, iter(tasks))
    assert sorted(report.computed) == sorted([("a",), ("x", "b"), ("x", "c")])
    assert folder["x", "c"] == "['x', 'c']"


def test_other_tasks_have_their_results_under_their_digest(folder: PersiDict[Any]) -> None:
    tasks = [{"lr": 0.1, "layers": [3]}, 5, None, [1, "a"], ()]
    report = run_all(folder, str, tasks)
    assert len(report.computed) == len(tasks)
    for task in tasks:
        assert folder[key_of(task)] == str(task)
    assert run_all(folder, str, [{"layers": (3,), "lr": 0.1}]).computed == ()


def test_arguments_of_a_mapping_are_read_when_it_is_their_turn(folder: PersiDict[Any]) -> None:
    read: list[str] = []

    class Arguments(dict[Any, int]):
        def __getitem__(self, key: Any) -> int:
            read.append(key)
            return super().__getitem__(key)

    folder["a"] = "there"
    report = run_all(folder, lambda number: [*read, number + 1], Arguments(a=1, b=2))
    assert report.computed == (("b",),)
    assert folder["b"] == ["b", 3]
    arguments = LocalDict[int]()
    arguments["c"] = 4
    assert run_all(folder, lambda number: number + 1, arguments).is_complete
    assert folder["c"] == 5


def test_what_is_not_a_task_is_refused_before_anything_is_computed(folder: PersiDict[Any]) -> None:
    function = Counted()
    with pytest.raises(TypeError, match="set"):
        run_all(folder, function, ["a", {1}])
    with pytest.raises(ValueError, match="not a safe key"):
        run_all(folder, function, ["a", "not a safe key!"])
    with pytest.raises(ValueError, match="max_attempts"):
        run_all(folder, function, ["a"], max_attempts=0)
    with pytest.raises(ValueError, match="timeout"):
        run_all(folder, function, ["a"], timeout=-1)
    assert not function.calls
    assert run_all(folder, function, []).is_complete


def test_only_the_part_that_has_the_tasks_is_listed() -> None:
    assert _common_prefix([]) == ()
    cases: list[tuple[list[tuple[str, ...]], tuple[str, ...]]] = [
        ([("a",)], ()),
        ([("x", "a")], ("x",)),
        ([("x", "y", "a"), ("x", "y", "b"), ("x", "y", "b", "c")], ("x", "y")),
        ([("x", "y", "a"), ("x", "y")], ("x",)),
        ([("x", "y", "a"), ("z", "y", "a")], ()),
        ([("x", "a"), ("b",)], ()),
    ]
    for keys, prefix in cases:
        spots = _tasks_of(LocalDict[Any](), str, keys)
        assert _common_prefix(spots) == prefix
        d = LocalDict[Any]()
        d[(*keys[0],)] = "there"
        with claim(d, keys[-1]) if len(keys) > 1 else claim(d, "z"):
            report = run_all(d, str, keys, timeout=0)
        assert report.reused == (keys[0],)
        assert list(report.held) == keys[-1:] * (len(keys) > 1)


def test_a_place_that_keeps_nothing_computes_all() -> None:
    function = Counted(bad=("b",))
    report = run_all(EmptyDict[Any](), function, ["a", "b"])
    assert report.computed == (("a",),)
    assert list(report.failed) == [("b",)]


def test_the_order_is_random_and_leaves_the_common_generator_alone(folder: PersiDict[Any]) -> None:
    orders = set()
    for number in range(4):
        order: list[Any] = []
        random.seed(1)  # as programs do in each of their processes
        before = random.getstate()
        run_all(folder.get_subdict(str(number)), order.append, [str(task) for task in range(20)])
        assert random.getstate() == before
        orders.add(tuple(order))
    assert len(orders) > 1


# --- Failures -----------------------------------------------------------------------------------------


def test_failures_are_in_the_report_and_other_tasks_go_on(d: PersiDict[Any]) -> None:
    function = Counted(bad=("a", "b"))
    report = run_all(d, function, ["a", "b", "c"])
    assert report.computed == (("c",),)
    assert set(report.failed) == {("a",), ("b",)}
    failure = report.failed["a",]  # type: ignore[index] # keys equal tuples
    assert (failure.type, failure.text, failure.count) == ("ZeroDivisionError", "no result for a", 1)
    assert "in __call__" in failure.traceback
    assert not report.is_complete
    assert "3 tasks: 1 computed, 0 reused, 2 failed, 0 held" in str(report)
    assert "ZeroDivisionError: no result for b" in str(report)
    with pytest.raises(ComputationFailedError, match="no result for"):
        report.check()
    assert "a" not in d


def test_a_failure_is_not_tried_again_unless_this_is_requested(folder: PersiDict[Any]) -> None:
    function = Counted(bad=("a",))
    for _ in range(3):
        report = run_all(folder, function, ["a", "c"])
        assert [failure.count for failure in report.failed.values()] == [1]
    assert function.calls == {"a": 1, "c": 1}
    again = run_all(folder, function, ["a", "c"], retry_failed=True)
    assert [failure.count for failure in again.failed.values()] == [2]
    more = run_all(folder, function, ["a", "c"], retry_failed=True, max_attempts=3)
    assert [failure.count for failure in more.failed.values()] == [5]
    function.bad = ()
    assert run_all(folder, function, ["a", "c"]).failed
    assert run_all(folder, function, ["a", "c"], retry_failed=True).computed == (("a",),)
    assert run_all(folder, function, ["a", "c"]).is_complete
    assert claims(folder, free=True) == []


def test_a_task_may_fail_some_times(folder: PersiDict[Any]) -> None:
    calls: list[Any] = []

    def third_time_lucky(task: Any) -> Any:
        calls.append(task)
        if len(calls) < 3:
            raise ValueError(len(calls))
        return task

    report = run_all(folder, third_time_lucky, ["a"], max_attempts=3)
    assert report.computed == (("a",),)
    assert len(calls) == 3


@pytest.mark.parametrize("result", [DELETE_CURRENT, {1, 2}], ids=["joker", "set"])
def test_a_result_that_cannot_be_stored_is_a_failure_of_its_task(result: Any, tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path / "d", "json", base_class_for_values=list)
    report = run_all(d, lambda task: result if task == "a" else [], ["a", "b"])
    assert report.computed == (("b",),)
    assert list(report.failed) == [("a",)]
    assert run_all(d, str, ["a", "b"]).failed


def test_an_interrupt_gives_the_claim_back_and_keeps_the_failures(folder: PersiDict[Any]) -> None:
    run_all(folder, Counted(bad=("a",)), ["a"])

    def interrupted(task: Any) -> Any:
        raise KeyboardInterrupt

    for task in ("a", "b"):
        with pytest.raises(KeyboardInterrupt):
            run_all(folder, interrupted, [task], retry_failed=True)
    assert [(info.key, info.free) for info in claims(folder, free=True)] == [(("a",), True)]
    assert run_all(folder, Counted(), ["a", "b"]).computed == (("b",),)


def test_a_failure_meanwhile_elsewhere_is_not_tried_again(folder: PersiDict[Any]) -> None:
    """It failed between this call's listings and its own attempt."""
    store = FaultyStore(folder.store)
    function = Counted(bad=("a",))
    store.on("exists", lambda: run_all(folder, function, ["a"]), nth=1)
    report = run_all(PersiDict[Any](store), function, ["a"])
    assert [failure.count for failure in report.failed.values()] == [1]
    assert function.calls == {"a": 1}


def test_a_failure_is_not_that_of_the_task_if_another_process_took_over(folder: PersiDict[Any]) -> None:
    others = []

    def taken_over(task: str) -> Any:
        break_claim(folder, task)
        others.append(claim(folder, task).try_enter())
        raise ValueError(task)

    report = run_all(folder, taken_over, ["a"], timeout=0)
    assert (report.failed, list(report.held)) == ({}, [("a",)])
    (other,) = others
    other.check()
    other.release()


def test_each_failure_is_logged(folder: PersiDict[Any], caplog: pytest.LogCaptureFixture) -> None:
    run_all(folder, Counted(bad=("a",)), ["a", "b"])
    assert [record.getMessage() for record in caplog.records] == [
        "task ('a',) failed, its traceback is in the report: ZeroDivisionError: no result for a"
    ]


def test_coroutine_functions_are_refused(folder: PersiDict[Any]) -> None:
    async def function(task: str) -> str:
        return task

    with pytest.raises(TypeError, match="coroutine"):
        run_all(folder, function, ["a"])


# --- Other holders --------------------------------------------------------------------------------------


def test_a_task_that_is_held_elsewhere_past_the_timeout_is_reported(d: PersiDict[Any]) -> None:
    with claim(d, "a") as mine:
        report = run_all(d, Counted(), ["a", "b"], timeout=0.05)
        assert report.computed == (("b",),)
        assert report.held == {("a",): str(mine.holder)}
        assert "2 tasks: 1 computed, 0 reused, 0 failed, 1 held" in str(report)
        with pytest.raises(BusyError):
            report.check()
    assert run_all(d, Counted(), ["a", "b"], timeout=0).computed == (("a",),)


def test_a_killed_holder_of_this_machine_is_replaced_at_once(folder: PersiDict[Any]) -> None:
    with started("hold_until_killed", folder.store.describe(), "a", 600) as process:
        assert said(process) == "True"
        process.send_signal(signal.SIGSTOP)
        assert list(run_all(folder, Counted(), ["a"], timeout=0.05).held) == [("a",)]
        process.kill()
        process.wait()
        report = run_all(folder, Counted(), ["a"], timeout=0)
    assert (report.computed, report.takeovers) == ((("a",),), 1)


def test_threads_of_one_process_share_the_tasks(folder: PersiDict[Any]) -> None:
    function = Counted()
    tasks = [f"k{number}" for number in range(30)]
    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(lambda _: run_all(folder, function, tasks), range(4)))
    assert sum(len(report.computed) for report in reports) == len(tasks)
    assert set(function.calls.values()) == {1}
    assert all(report.is_complete for report in reports)


class ListedStore(ScriptedStore):
    """A place whose listings and questions, too, are in the hands of the test."""

    def scan(self, prefix: Name = ()) -> Iterator[Name]:
        return iter(self._do(prefix, lambda: list(self.inner.scan(prefix)), is_read=True))

    def exists(self, name: Name) -> bool:
        return self._do(name, lambda: self.inner.exists(name), is_read=True)


def simulated(store: ScriptedStore, tasks: list[str]) -> _Run:
    d = PersiDict[Any](store)
    policy = Policy.checked(lease=60.0, timeout=0.0, when_busy="raise", default=None, renewal="thread")
    return _Run(d, _tasks_of(d, str, tasks), policy, 1, retry_failed=False, clock=store.clock)


def test_a_holder_of_another_machine_that_is_silent_for_a_lease_is_replaced() -> None:
    """And no sooner; its date is years away."""
    clock = SimulatedClock()
    store = ScriptedStore(clock)
    lease = Contender(spot_of(PersiDict[Any](store), "a"), 60.0, clock=clock).attempt()
    assert lease is not None
    other = replace(lease.record, holder=replace(lease.record.holder, boot="another"), since=-1e9)
    spot_of(PersiDict[Any](store), "a").write(other.encode(), lease.version)
    before = clock.now
    assert list(simulated(store, ["a"]).until_settled(50.0, progress=False).held) == [("a",)]
    report = simulated(store, ["a"]).until_settled(float("inf"), progress=False)
    assert (report.computed, report.takeovers) == ((("a",),), 1)
    assert 60 <= clock.now - before < 80


def test_an_outage_is_borne_once_the_place_was_reached() -> None:
    clock = SimulatedClock()
    store = ListedStore(clock)

    def fail_from(request: int, until: float) -> Callable[[], None]:
        first = store.requests + request

        def fail() -> None:
            if store.requests >= first and clock.now < until:
                clock.now += 1
                raise BackendError("the service is away", backend="s3", operation="get")

        return fail

    store.before = fail_from(4, clock.now + 100)
    report = simulated(store, ["a", "b", "c"]).until_settled(float("inf"), progress=False)
    assert len(report.computed) == 3
    assert clock.now >= 1100
    began = clock.now
    store.before = fail_from(1, began + 1000)
    with pytest.raises(BackendError):
        simulated(store, ["a"]).until_settled(float("inf"), progress=False)
    assert clock.now - began < 2
    # Two listings, a look, the claim, another look, the insertion.
    for request in range(2, 7):
        began = clock.now
        store.before = fail_from(request, began + 1000)
        with pytest.raises(BackendError):
            simulated(store, [f"z{request}"]).until_settled(float("inf"), progress=False)
        assert (300 < clock.now - began < 400) == (request > 2)


def test_an_error_of_the_place_is_not_a_failure_of_the_task(folder: PersiDict[Any]) -> None:
    store = FaultyStore(folder.store)

    def is_full() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    store.on("write", is_full, nth=2)  # the first write is the claim
    with pytest.raises(OSError, match="No space left"):
        run_all(PersiDict[Any](store), str, ["a"])
    assert claims(folder, free=True) == []
    assert run_all(folder, str, ["a"]).computed == (("a",),)


# --- Requests -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_two_listings_a_pass_and_at_most_six_requests_a_task(
    engine: EngineName, bucket: str, proxy: Proxy
) -> None:
    d = Place(proxy.endpoint, bucket, engine).open()
    d["warm"] = 1
    know_server(d)
    tasks = [f"k{number}" for number in range(20)]
    proxy.forget()
    assert len(run_all(d, Counted(), tasks).computed) == 20
    assert proxy.counts == {"list": 2, "head": 40, "put": 40, "delete": 20}
    proxy.forget()
    assert run_all(d, Counted(), tasks).is_complete
    assert proxy.counts == {"list": 2}

    bad = [f"bad{number}" for number in range(10)]
    assert len(run_all(d, Counted(bad=tuple(bad)), bad).failed) == 10
    proxy.forget()
    assert len(run_all(d, Counted(), bad).failed) == 10
    assert proxy.counts == {"list": 2, "get": 10}
    proxy.forget()
    assert len(run_all(d, Counted(), bad, retry_failed=True).computed) == 10
    assert proxy.counts["list"] == 2
    assert sum(proxy.counts.values()) <= 2 + 6 * 10
    with claim(d, "held"):
        proxy.forget()
        assert run_all(d, Counted(), ["held"], timeout=0).held
        assert proxy.counts == {"list": 2, "get": 1}


def test_tasks_that_others_did_meanwhile_are_listed_anew_and_not_asked_for_one_by_one() -> None:
    store = ListedStore(SimulatedClock())
    d = PersiDict[Any](store)
    tasks = [f"k{number}" for number in range(100)]

    def do_the_rest(task: Any) -> Any:
        if len(d) < 50:
            for other in tasks:
                d.setdefault(other, other)
            store.requests = 0
        return task

    report = run_all(d, do_the_rest, tasks)
    assert report.is_complete
    assert store.requests < 25


@pytest.mark.usefixtures("quick_pauses")
def test_requests_that_are_lost_never_reach_the_caller(bucket: str, proxy: Proxy) -> None:
    d = Place(proxy.endpoint, bucket).open()
    d["warm"] = 1
    function = Counted()
    proxy.plan(drops_request, times=None, every=4)
    report = run_all(d, function, [f"k{number}" for number in range(12)])
    proxy.heal()
    assert len(report.computed) == 12
    assert set(function.calls.values()) == {1}


# --- The progress bar ------------------------------------------------------------------------------------


def test_the_progress_bar_has_a_total_and_counts_all_tasks(folder: PersiDict[Any]) -> None:
    folder["a"] = 1
    shown = io.StringIO()
    with redirect_stderr(shown):
        run_all(folder, Counted(bad=("b",)), ["a", "b", "c"], progress=True)
    assert "3/3" in shown.getvalue()
    assert "run_all: 100%" in shown.getvalue()


def test_a_progress_bar_without_tqdm_names_the_extra(
    folder: PersiDict[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "tqdm"]:
        monkeypatch.delitem(sys.modules, name)
    load = builtins.__import__

    def without(name: str, *more: Any, **options: Any) -> Any:
        if name.startswith("tqdm"):
            raise ImportError(name)
        return load(name, *more, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    function = Counted()
    with pytest.raises(MissingExtraError, match="progress"):
        run_all(folder, function, ["a"], progress=True)
    assert not function.calls


def test_a_report_names_the_first_failures_only(folder: PersiDict[Any]) -> None:
    tasks = [f"k{number}" for number in range(15)]
    report = run_all(folder, Counted(bad=tuple(tasks)), tasks)
    assert isinstance(report, Report)
    assert str(report).count("failed once: ") == 10  # a traceback may have others in it
    assert str(report).endswith("and 5 more")
