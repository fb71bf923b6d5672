"""Claims on every kind of dictionary: one holder, however the item is reached."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import perkey
from perkey import (
    BusyError,
    CachedDict,
    ClaimLostError,
    ComputationFailedError,
    EmptyDict,
    FileDirDict,
    LocalDict,
    OverlappingMultiDict,
    PersiDict,
    UnsupportedConditionError,
    WriteOnceDict,
    break_claim,
    claim,
    claims,
    compute_once,
    run_all,
)
from perkey.errors import BackendError
from perkey.mapping import items_of
from perkey.stores import ABSENT, CachedStore, MemoryStore, PrefixStore
from perkey.testing.faults import FaultyStore
from perkey.tools.once.claims import Claim, pause_after
from perkey.tools.once.holders import Holder, started_at, this_process
from perkey.tools.once.leases import Contender, Lease, Reading, Watch, is_passing
from perkey.tools.once.places import claim_leaf, spot_of
from perkey.tools.once.records import Failure, Record
from tools.once.programs import said, started
from tools.once.simulated import ScriptedStore, SimulatedClock


@pytest.fixture
def d(tmp_path: Path) -> PersiDict[Any]:
    return FileDirDict(tmp_path / "d", durability="none")


def is_free(d: PersiDict[Any], key: Any) -> bool:
    with claim(d, key) as mine:
        return bool(mine)


# --- One holder ---------------------------------------------------------------------------------------


def test_a_claim_is_true_in_one_holder_and_free_afterwards(d: PersiDict[Any]) -> None:
    with claim(d, "a") as mine:
        assert mine
        assert not mine.lost
        assert mine.token == 0
        assert mine.holder == this_process()
        mine.check()
        with claim(d, "a") as other:
            assert not other
            assert not other.lost
            assert other.holder == this_process()
            with pytest.raises(ClaimLostError, match=rf"process {os.getpid()} on .* holds it"):
                other.check()
            with pytest.raises(ClaimLostError):
                _ = other.token
        assert is_free(d, "b")
    assert not mine
    assert not mine.lost
    with pytest.raises(ClaimLostError, match="it was released"):
        mine.check()
    assert is_free(d, "a")
    assert list(Path(d.store.describe()).iterdir()) == []


def test_an_error_within_the_block_gives_the_claim_back(d: PersiDict[Any]) -> None:
    with pytest.raises(KeyError), claim(d, "a"):
        raise KeyError("the block's own")
    assert is_free(d, "a")


def test_one_claim_is_for_one_block_at_a_time(d: PersiDict[Any]) -> None:
    mine = claim(d, "a")
    assert not mine
    with mine, pytest.raises(RuntimeError, match="held already"), mine:
        pass
    with mine:
        assert mine


def TrustingCache(path: Path) -> CachedStore:  # noqa: N802 - as the class
    return CachedStore(FileDirDict[Any](path).store, MemoryStore(), trusting=True)


HANDLES: dict[str, Callable[[Path], list[tuple[PersiDict[Any], Any]]]] = {
    "sub-dictionaries": lambda path: [
        (FileDirDict[Any](path), ("x", "y", "z")),
        (FileDirDict[Any](path).get_subdict("x"), ("y", "z")),
        (FileDirDict[Any](path).get_subdict("x").get_subdict("y"), "z"),
        (FileDirDict[Any](path).get_subdict(("x", "y")), "z"),
    ],
    "an OverlappingMultiDict": lambda path: [
        (FileDirDict[Any](path, "json"), ("x", "y")),
        (OverlappingMultiDict(FileDirDict, {"base_dir": path}, pkl={}, json={}).json, ("x", "y")),
        (OverlappingMultiDict(FileDirDict, {"base_dir": path}, json={}).json.get_subdict("x"), "y"),
    ],
    "a WriteOnceDict": lambda path: [
        (FileDirDict[Any](path, immutable_items=True), "x"),
        (WriteOnceDict(FileDirDict[Any](path, immutable_items=True)), "x"),
    ],
    "a CachedDict": lambda path: [
        (FileDirDict[Any](path), ("x", "y")),
        (CachedDict(FileDirDict(path), LocalDict()), ("x", "y")),
        (CachedDict(FileDirDict(path), LocalDict()).get_subdict("x"), "y"),
        (CachedDict(FileDirDict(path, immutable_items=True), LocalDict()), ("x", "y")),
        (CachedDict(CachedDict(FileDirDict(path), LocalDict()), LocalDict()), ("x", "y")),
        (
            PersiDict(FaultyStore(CachedStore(FileDirDict(path).store, MemoryStore(), trusting=True))),
            ("x", "y"),
        ),
    ],
    "no digests": lambda path: [
        (FileDirDict[Any](path, digest_len=0), ("x", "y")),
        (FileDirDict[Any](path / "x", digest_len=0), "y"),
    ],
    "long keys": lambda path: [
        (FileDirDict[Any](path), ("x", "y" * 240)),
        (FileDirDict[Any](path).get_subdict("x"), "y" * 240),
    ],
    "the longest keys": lambda path: [
        (PersiDict[Any](FileDirDict(path).store), ("x" * 240, "y" * 240, "z" * 240, "u" * 135)),
        (PersiDict[Any](FileDirDict(path).store).get_subdict(("x" * 240, "y" * 240)), ("z" * 240, "u" * 135)),
    ],
}


@pytest.mark.parametrize("kind", HANDLES)
def test_all_handles_of_an_item_share_one_claim(kind: str, tmp_path: Path) -> None:
    handles = HANDLES[kind](tmp_path)
    identities = {spot_of(d, key).identity for d, key in handles}
    assert len(identities) == 1
    for d, key in handles:
        with claim(d, key) as mine:
            assert mine
            assert not any(is_free(*other) for other in handles)
            for other, its_key in handles:
                assert [info.key for info in claims(other)] == [
                    items_of(other).key_of(items_of(other).name_of(its_key))
                ]


def test_claims_of_two_types_in_one_place_are_two(tmp_path: Path) -> None:
    both = OverlappingMultiDict(FileDirDict, {"base_dir": tmp_path}, pkl={}, json={})
    with claim(both.pkl, "a") as first, claim(both.json, "a") as second:
        assert first
        assert second
        assert [len(claims(each)) for each in (both.pkl, both.json)] == [1, 1]


def test_handles_of_one_memory_share_claims_and_others_do_not() -> None:
    first = LocalDict[int]()
    with claim(first, "a"):
        assert not is_free(LocalDict(backend=first.store), "a")  # type: ignore[arg-type] # it is one
        assert is_free(LocalDict(), "a")


def test_memories_below_wrappers_are_told_apart() -> None:
    first, second = (PersiDict[int](FaultyStore(MemoryStore())) for _ in range(2))
    assert spot_of(first, "a").identity != spot_of(second, "a").identity
    assert spot_of(first, "a").identity == spot_of(first.get_subdict(()), "a").identity
    gone = spot_of(LocalDict(), "a").identity
    assert all(spot_of(LocalDict(), "a").identity != gone for _ in range(100))


def test_a_place_that_keeps_nothing_has_no_claims() -> None:
    with pytest.raises(UnsupportedConditionError, match="keeps nothing"), claim(EmptyDict(), "a"):
        pass


# --- What does not see claims -------------------------------------------------------------------------


@pytest.mark.parametrize("digest_len", [0, 8])
@pytest.mark.parametrize("file_type", ["pkl", "json", "txt"])
def test_nothing_that_looks_at_items_sees_claims(file_type: str, digest_len: int, tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path, file_type, digest_len=digest_len)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with claim(d, "a"), claim(d, ("x", "y")):
            assert (len(d), list(d), d.copy(), d.random_key(), d.newest_keys()) == (0, [], {}, None, [])
            assert not d
            assert d.subdicts() == {}
            assert list(d.keys_and_timestamps()) == []
            with pytest.raises(KeyError):
                d.popitem()
            d["b"] = "1"
            assert (len(d), list(d), list(d.items())) == (1, [("b",)], [(("b",), "1")])
            for other in ("pkl", "json", "txt"):
                if other != file_type:
                    assert (
                        list(
                            items_of(FileDirDict[Any](tmp_path, other, digest_len=digest_len)).keys_among(
                                d.store.scan()
                            )
                        )
                        == []
                    )


def test_no_dictionary_has_the_file_type_of_claims(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="kept for claims"):
        FileDirDict(tmp_path, "pkl-claim")


def test_clear_leaves_claims_that_are_held_and_removes_the_others(d: PersiDict[Any], tmp_path: Path) -> None:
    with started("hold_until_killed", d.store.describe(), "gone", 600) as dead:
        assert said(dead) == "True"
    leave_free(d, "free")
    leave_free(d, ("x", "free"))
    d["item"] = 1
    with claim(d, "held") as mine:
        assert [info.key for info in claims(d)] == [("gone",), ("held",)]
        assert [info.gone for info in claims(d)] == [True, False]
        assert len(claims(d, free=True)) == 4
        d.clear()
        assert [info.key for info in claims(d, free=True)] == [("held",)]
        mine.check()
    assert len(d) == 0
    leave_free(d, ("x", "free"))
    leave_free(d, ("y", "free"))
    d.get_subdict("x").clear()
    assert [info.key for info in claims(d, free=True)] == [("y", "free")]


def leave_free(d: PersiDict[Any], key: Any) -> None:
    """Leave a claim that is kept for its failure."""
    contender = Contender(spot_of(d, key), 60.0)
    lease = contender.attempt()
    assert lease is not None
    lease.release(Failure.of(ValueError("no"), lease.record))


def test_a_claim_that_changes_while_it_is_cleared_stays(d: PersiDict[Any]) -> None:
    store = FaultyStore(d.store)
    seen = PersiDict[Any](store)
    leave_free(d, "a")
    store.on("remove", lambda: held.append(Contender(spot_of(d, "a"), 60.0).attempt()), nth=1)
    held: list[Any] = []
    seen.clear()
    assert held[0] is not None
    held[0].check()
    assert not is_free(d, "a")


# --- Listing and breaking -----------------------------------------------------------------------------


def test_claims_are_listed_with_their_holders(d: PersiDict[Any]) -> None:
    with claim(d, ("x", "y"), lease=7), claim(d, "a" * 230):
        first, second = sorted(claims(d), key=lambda info: len(info.key))
    assert first.key == ("a" * 230,)
    assert (second.key, second.lease, second.token, second.free, second.gone) == (
        ("x", "y"),
        7,
        0,
        False,
        False,
    )
    assert (second.host, second.process) == (this_process().host, os.getpid())
    assert second.failure is None
    assert claims(d) == []


def test_a_claim_can_be_broken(d: PersiDict[Any]) -> None:
    with claim(d, "a") as mine:
        assert break_claim(d, "a")
        assert not break_claim(d, "a")
        with claim(d, "a") as other:
            assert other
            assert other.token == 1
            assert mine._lease is not None
            assert not mine._lease.renew()
            assert not mine
            assert mine.lost
            with pytest.raises(ClaimLostError, match="took it over"):
                mine.check()
        assert mine.lost
    assert not break_claim(d, "b")
    assert is_free(d, "a")


def test_a_broken_claim_is_kept_as_a_free_one_for_its_token_until_the_item_is_computed(
    d: PersiDict[Any],
) -> None:
    with claim(d, "a"):
        assert break_claim(d, "a")
        assert claims(d) == []
        assert [(info.free, info.token) for info in claims(d, free=True)] == [(True, 1)]
        assert compute_once(d, "a", int) == 0
    assert claims(d, free=True) == []


def test_a_broken_claim_says_so(d: PersiDict[Any]) -> None:
    with claim(d, "a") as mine:
        break_claim(d, "a")
        assert mine._lease is not None
        assert not mine._lease.renew()
        with pytest.raises(ClaimLostError, match="it was broken"):
            mine.check()
        with claim(d, "b") as second:
            spot_of(d, "b").store.remove(spot_of(d, "b").name)
            assert second._lease is not None
            assert not second._lease.renew()
            with pytest.raises(ClaimLostError, match="it was removed"):
                second.check()


def test_tokens_grow_with_each_holder_that_lost_the_claim() -> None:
    clock = SimulatedClock()
    d = PersiDict[int](ScriptedStore(clock))
    leases: list[Lease] = []
    for _ in range(3):
        contender = Contender(spot_of(d, "a"), 10.0, watch=Watch(), clock=clock)
        while (lease := contender.attempt()) is None:
            clock.now += 3
        leases.append(lease)
    leases[-1].release()
    tokens = [lease.token for lease in leases]
    after = Contender(spot_of(d, "a"), 10.0, watch=Watch(), clock=clock).attempt()
    assert after is not None
    assert [*tokens, after.token] == [0, 1, 2, 2]


# --- Holders ------------------------------------------------------------------------------------------


def test_a_killed_holder_of_this_machine_is_replaced_at_once(d: PersiDict[Any]) -> None:
    with started("hold_until_killed", d.store.describe(), "a", 600) as process:
        assert said(process) == "True"
        assert not is_free(d, "a")
        process.send_signal(signal.SIGSTOP)
        assert not is_free(d, "a")
        process.send_signal(signal.SIGCONT)
        process.kill()
        with claim(d, "a", wait=60) as mine:  # the process ends a moment after the signal
            assert mine
            assert mine.token == 1


def test_only_what_is_proved_makes_a_holder_gone() -> None:
    me = this_process()
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    assert not me.is_gone()
    assert replace(me, pid=dead.pid).is_gone()
    assert replace(me, started="1").is_gone()  # the id belongs to another process by now
    for unknown in (
        {"boot": "another"},
        {"boot": ""},
        {"namespace": "other"},
        {"namespace": ""},
        {"started": ""},
    ):
        assert not replace(me, pid=dead.pid, **unknown).is_gone()
    assert Holder.parse(me.plain()) == me


def test_a_process_that_nobody_has_waited_for_is_gone() -> None:
    zombie = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    assert zombie.stdout is not None
    zombie.stdout.read()
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    assert started_at(zombie.pid) is None
    zombie.communicate()


def test_a_claim_belongs_to_the_process_that_made_it_and_not_to_its_forks(d: PersiDict[Any]) -> None:
    with claim(d, "a") as mine:
        before = spot_of(d, "a").read()
        child = os.fork()
        if not child:
            code = 9
            try:
                with pytest.raises(ClaimLostError, match="not to a fork"):
                    mine.check()
                assert mine.lost
                assert not mine
                assert not is_free(d, "a")
                mine.__exit__(None, None, None)  # as leaving the block does
                assert claim(d, "b").try_enter()
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert spot_of(d, "a").read() == before
        mine.check()
        assert is_free(d, "b")  # its process is gone


def test_a_claim_that_was_dropped_is_not_renewed_for_ever(d: PersiDict[Any]) -> None:
    dropped = claim(d, "a", lease=0.2).try_enter()
    assert dropped
    del dropped
    with claim(d, "a", wait=60) as mine:
        assert mine


# --- Renewal ------------------------------------------------------------------------------------------


def test_a_claim_is_renewed_for_longer_than_a_lease(d: PersiDict[Any]) -> None:
    with claim(d, "a", lease=2) as mine, claim(d, "a", lease=2, wait=5) as other:
        assert mine
        assert not other
        assert mine._lease is not None
        assert mine._lease.record.counter > 2


@pytest.mark.parametrize("renewal", ["thread", "process"])
def test_a_lease_of_ages_is_renewed_without_an_error(
    tmp_path: Path, renewal: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    with claim(perkey.FileDirDict(tmp_path), "a", lease=1e300, renewal=renewal) as mine:
        threading.Event().wait(0.3)
        mine.check()
        assert mine
    assert "Error" not in capfd.readouterr().err


def test_a_renewal_that_fails_is_tried_again(d: PersiDict[Any], caplog: pytest.LogCaptureFixture) -> None:
    store = FaultyStore(d.store)
    for nth in (2, 3, 4):
        store.fail("write", BackendError("outage", backend="x", operation="write"), nth=nth)
    with claim(PersiDict[Any](store), "a", lease=0.4) as mine:
        first = threading.Event()
        while mine._lease is not None and not mine._lease.record.counter:
            first.wait(0.01)
        mine.check()
    assert "could not be renewed" in caplog.text


@pytest.mark.parametrize("renewal", ["thread", "process"])
def test_code_that_holds_the_interpreter_for_three_leases(d: PersiDict[Any], renewal: str) -> None:
    """A helper process renews meanwhile; without it the claim is taken over, and its holder sees it."""
    path = d.store.describe()
    with started("hold_interpreter", path, "a", 1.0, renewal) as process:
        assert said(process) == "True"
        with claim(d, "a", wait=True) as mine:
            assert mine
            token = mine.token
            ending = said(process) if renewal == "thread" else None
        if renewal == "thread":
            assert token == 1
            assert ending is not None
            assert ending.startswith("ClaimLostError")
        else:
            assert said(process) == "held"
            assert token == 0


@pytest.mark.parametrize("renewal", ["thread", "process"])
def test_a_stopped_holder_is_replaced_after_a_lease(d: PersiDict[Any], renewal: str) -> None:
    """Also if a helper renews for it: that looks whether its parent is stopped."""
    with started("hold_until_killed", d.store.describe(), "a", 1.0, renewal) as process:
        assert said(process) == "True"
        process.send_signal(signal.SIGSTOP)
        with claim(d, "a", wait=True) as mine:
            assert mine
            assert mine.token == 1


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM])
def test_a_helper_ends_with_its_parent(d: PersiDict[Any], sign: signal.Signals) -> None:
    with started("hold_until_killed", d.store.describe(), "a", 600, "process") as process:
        assert said(process) == "True"
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(children) == 1
        process.send_signal(sign)
        process.wait()
        while started_at(int(children[0])) is not None:
            threading.Event().wait(0.02)  # the test's own time limit ends this


def test_a_helper_needs_a_place_that_processes_share() -> None:
    with pytest.raises(ValueError, match="needs a dictionary that other processes see"):
        claim(LocalDict(), "a", renewal="process")


def test_a_helper_ends_with_its_claim(d: PersiDict[Any]) -> None:
    def children_now() -> set[str]:
        return set(Path(f"/proc/{os.getpid()}/task/{threading.get_native_id()}/children").read_text().split())

    others = children_now()  # a server that another test has started
    with claim(d, "a", renewal="process") as mine:
        children = children_now() - others
        assert children
        assert mine._renewer is not None
    for child in children:
        assert started_at(int(child)) is None


# --- Interruptions ------------------------------------------------------------------------------------


class Interruption(Exception):  # noqa: N818 - as a handler may raise it
    """What a signal handler raises, to end what takes too long."""


def raised_by_a_handler() -> None:
    """Raise an error in a signal handler, as an alarm does within a request."""

    def handler(_: int, __: object) -> None:
        raise Interruption

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)


def raised_by_the_keyboard() -> None:
    raise KeyboardInterrupt


USES: dict[str, Callable[[PersiDict[Any]], object]] = {
    "claim": lambda d: claim(d, "a").__enter__().release(),
    "compute_once": lambda d: compute_once(d, "a", int),
    "run_all": lambda d: run_all(d, str, ["a"]),
}
INTERRUPTIONS = pytest.mark.parametrize("interrupt", [raised_by_a_handler, raised_by_the_keyboard])


@INTERRUPTIONS
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("request_", [1, 2])
@pytest.mark.parametrize("use", USES)
def test_an_interruption_leaves_no_claim_for_which_the_next_call_would_wait(
    interrupt: Callable[[], None], moment: str, request_: int, use: str
) -> None:
    """Whether it comes while the claim is taken, or while it is given back."""
    clock = SimulatedClock()
    store = ScriptedStore(clock)
    d = PersiDict[Any](store)
    left = [request_]

    def act() -> None:
        if not store.is_claim:
            return
        left[0] -= 1
        if not left[0]:
            interrupt()

    setattr(store, moment, act)
    with pytest.raises((KeyboardInterrupt, Interruption)):
        USES[use](d)
    setattr(store, moment, lambda: None)
    assert left[0] <= 0
    assert claims(d) == []


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("anything"), ValueError("a reply that cannot be read")]
)
def test_a_claim_is_renewed_after_any_error(error: Exception, d: PersiDict[Any]) -> None:
    store = FaultyStore(d.store)
    store.fail("write", error, nth=2)
    with claim(PersiDict[Any](store), "a", lease=0.4) as mine:
        while mine.record is not None and not mine.record.counter:
            threading.Event().wait(0.01)
        mine.check()


def test_a_handler_may_use_the_claim_that_it_interrupts() -> None:
    """It runs while the claim is renewed, in the same thread."""
    clock = SimulatedClock()
    store = ScriptedStore(clock)
    d = PersiDict[int](store)

    def once(moment: str, act: Callable[[], object]) -> None:
        def handler() -> None:
            store.before = store.after = lambda: None
            act()

        setattr(store, moment, handler)

    for moment in ("before", "after"):
        lease = Contender(spot_of(d, "a"), 10.0, clock=clock).attempt()
        assert lease is not None
        once(moment, lease.renew)
        assert lease.renew()
        assert lease.renew()
        lease.check()
        once(moment, lease.release)
        lease.renew()
        assert is_free(d, "a")


def test_a_fork_does_not_wait_for_threads_that_it_does_not_have(d: PersiDict[Any]) -> None:
    """It leaves a block though a thread of its parent held what the block's end would lock."""
    with claim(d, "a") as mine:
        assert mine._lease is not None
        assert mine._renewer is not None
        stop: Any = mine._renewer.stop
        held = [mine._lease._lock, stop.__self__._cond]
        ready, end = threading.Event(), threading.Event()

        def hold() -> None:
            for lock in held:
                lock.acquire()
            ready.set()
            end.wait(60)
            for lock in held:
                lock.release()

        thread = threading.Thread(target=hold)
        thread.start()
        assert ready.wait(60)
        child = os.fork()
        if not child:
            signal.alarm(20)
            mine.__exit__(None, None, None)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        end.set()
        thread.join()


# --- What the place does ------------------------------------------------------------------------------


def test_a_lost_reply_to_the_insertion_is_settled_by_reading() -> None:
    clock = SimulatedClock()
    store = ScriptedStore(clock)
    d = PersiDict[int](store)

    def once() -> None:
        store.after = lambda: None
        raise BackendError("the reply is lost", backend="x", operation="write")

    store.after = once
    lease = Contender(spot_of(d, "a"), 10.0, clock=clock).attempt()
    assert lease is not None
    store.after = once
    assert lease.renew()
    store.after = once
    with pytest.raises(BackendError):
        lease.release()
    assert store.inner.count(items_of(d).naming.shape) == 0


def test_a_place_that_refuses_conditional_removals_keeps_a_free_claim(d: PersiDict[Any]) -> None:
    store = FaultyStore(d.store)
    store.fail("remove", UnsupportedConditionError("not here"), nth=None)
    seen = PersiDict[Any](store)
    for _ in range(2):
        with claim(seen, "a") as mine:
            assert mine
            assert mine.token == 0
            assert not is_free(seen, "a")
    assert [info.free for info in claims(seen, free=True)] == [True]
    seen.clear()
    assert len(claims(seen, free=True)) == 1


def test_a_place_that_cannot_compare_has_no_claims(d: PersiDict[Any]) -> None:
    store = FaultyStore(d.store)
    store.fail("write", UnsupportedConditionError("not here"), nth=None)
    with pytest.raises(UnsupportedConditionError), claim(PersiDict[Any](store), "a"):
        pass


def test_a_release_that_fails_does_not_hide_the_result_of_the_block(
    d: PersiDict[Any], caplog: pytest.LogCaptureFixture
) -> None:
    store = FaultyStore(d.store)
    store.fail("remove", BackendError("outage", backend="x", operation="remove"))
    with claim(PersiDict[Any](store), "a"):
        pass
    assert "ends with its lease" in caplog.text


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"nonce": 1}', b"\xff\x00", b'"held"'])
def test_damaged_claims_are_taken_over_after_a_lease(content: bytes) -> None:
    clock = SimulatedClock()
    store = ScriptedStore(clock)
    d = PersiDict[int](store)
    spot = spot_of(d, "a")
    store.inner.write(spot.name, content, expect=ABSENT)
    contender = Contender(spot, 10.0, watch=Watch(), clock=clock)
    attempts = 0
    while contender.attempt() is None:
        clock.now += 3
        attempts += 1
    assert attempts >= 4
    assert [info.key for info in claims(d)] == [("a",)]


def test_a_record_survives_its_encoding() -> None:
    failure = Failure("n", "ValueError", "Gr\u00f6\u00dfe \ud800", "trace", "process 1 on x", 3)
    record = Record("n", 4, 2, 0.1, this_process(), 1795913490.0587225, "a.pkl", free=True, failure=failure)
    assert Record.decode(record.encode(), 1.0) == record


def test_names_of_claims_are_legal_and_differ() -> None:
    leaves = ["a.pkl", "b.pkl", "x" * 251 + ".pkl", "y" * 251 + ".pkl", "a.json"]
    names = {claim_leaf(leaf, leaf.rpartition(".")[2]) for leaf in leaves}
    assert len(names) == len(leaves)
    assert all(len(name) <= 255 and name.endswith("-claim") for name in names)


def test_threads_that_share_what_they_know_do_not_take_what_another_one_has() -> None:
    """What one reads between another's look and its write must not become that write's condition."""
    clock = SimulatedClock()
    store = ScriptedStore(clock)
    d = PersiDict[int](store)
    leave_free(d, "a")
    spot = spot_of(d, "a")
    got: list[Lease | None] = []

    class Shared(Watch):
        """What the first and the third know; once, the others act between two bytecodes of the first."""

        def note(self, reading: Reading) -> None:
            super().note(reading)
            if not got:
                got.append(Contender(spot, 60.0, watch=Watch(), clock=clock).attempt())
                third.look()

    shared = Shared()
    first, third = (Contender(spot, 60.0, watch=shared, clock=clock) for _ in range(2))
    lease = first.attempt()
    assert got[0] is not None
    assert lease is None
    got[0].check()
    assert got[0].renew()


# --- Waiting ------------------------------------------------------------------------------------------


def test_waiting_ends_with_the_time_or_with_the_claim() -> None:
    clock = SimulatedClock()
    d = PersiDict[int](ScriptedStore(clock))
    lease = Contender(spot_of(d, "a"), 60.0, clock=clock).attempt()
    assert lease is not None

    def waiter(seconds: float) -> Claim:
        return Claim(spot_of(d, "a"), 60.0, seconds, clock=clock)

    began = clock.now
    with waiter(7.0) as other:
        assert not other
    assert clock.now == pytest.approx(began + 7.0)

    def renew_and_end() -> None:
        lease.renew()
        if clock.now > began + 100:
            lease.release()

    clock.while_asleep = renew_and_end
    with waiter(float("inf")) as other:
        assert other
    assert began + 100 < clock.now <= began + 106


def test_a_waiter_survives_an_outage() -> None:
    clock = SimulatedClock()
    store = ScriptedStore(clock)
    d = PersiDict[int](store)
    lease = Contender(spot_of(d, "a"), 60.0, clock=clock).attempt()
    assert lease is not None
    began = clock.now

    def outage() -> None:
        if began + 10 < clock.now < began + 70:
            clock.now += 1
            raise BackendError("outage", backend="x", operation="read")

    def end() -> None:
        if clock.now > began + 80:
            clock.while_asleep = lambda: None
            lease.release()

    store.before, clock.while_asleep = outage, end
    with Claim(spot_of(d, "a"), 60.0, float("inf"), clock=clock) as mine:
        assert mine
        assert mine.token == 0


@pytest.mark.parametrize(
    ("waited", "lease", "pause"), [(0, 60, 0.01), (1, 60, 0.1), (30, 60, 3), (3600, 60, 5), (3600, 8, 2)]
)
def test_pauses_grow_with_the_time_waited(waited: float, lease: float, pause: float) -> None:
    assert pause_after(waited, lease) == pytest.approx(pause)


# --- Requests -----------------------------------------------------------------------------------------


def test_requests_of_a_claim() -> None:
    clock = SimulatedClock()
    store = ScriptedStore(clock)
    d = PersiDict[int](store)

    def requests(act: Callable[[], object]) -> int:
        before = store.requests
        act()
        return store.requests - before

    leases: list[Lease] = []
    contender = Contender(spot_of(d, "a"), 10.0, watch=Watch(), clock=clock)
    assert requests(lambda: leases.append(contender.attempt())) == 1  # type: ignore[arg-type] # it is one
    assert requests(leases[0].check) == 0
    assert requests(leases[0].renew) == 1
    other = Contender(spot_of(d, "a"), 10.0, watch=Watch(), clock=clock)
    assert requests(other.attempt) == 3  # the insertion, what it found, and the first look
    assert requests(other.attempt) == 1
    assert requests(leases[0].release) == 1


# --- Arguments ----------------------------------------------------------------------------------------


def test_wrong_values_are_refused() -> None:
    d = LocalDict[int]()
    for lease in (0, -1, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="lease must be"):
            claim(d, "a", lease)
    for wait in (-1, float("nan")):
        with pytest.raises(ValueError, match="wait must be"):
            claim(d, "a", wait=wait)
    with pytest.raises(ValueError, match="'thread' or 'process'"):
        claim(d, "a", renewal="none")  # type: ignore[arg-type] # that is tested
    with pytest.raises(ValueError, match="not safe"):
        claim(d, "a/b")


@pytest.mark.parametrize(
    "error",
    [
        BusyError(("a",), "process 1 on x", 2.5),
        ClaimLostError(("a",), "it was removed"),
        ComputationFailedError(("a",), type="E", text="t", traceback="tb", count=2, holder="process 1 on x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_survive_pickling(error: Exception) -> None:
    import pickle

    twin = pickle.loads(pickle.dumps(error))
    assert type(twin) is type(error)
    assert (str(twin), twin.__dict__) == (str(error), error.__dict__)
    assert "('a',)" in str(error)


def test_errors_that_may_pass_by_themselves() -> None:
    import errno

    assert is_passing(OSError(errno.ESTALE, "x"))
    assert not is_passing(OSError(errno.ENOSPC, "x"))
    assert not is_passing(perkey.AccessDeniedError("x", backend="x", operation="x"))
    assert is_passing(perkey.OperationTimeoutError("x", backend="x", operation="x"))
    assert not is_passing(ValueError("x"))


def test_prefixes_below_caches_are_looked_through() -> None:
    main = MemoryStore()
    inside = CachedStore(PrefixStore(main, ("p",)), MemoryStore())
    spots = [spot_of(PersiDict(store), "a") for store in (inside, PrefixStore(main, ("p",)))]
    assert spots[0].identity == spots[1].identity
    assert spots[0].name[0] == "p"
