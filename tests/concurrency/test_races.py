"""Many workers on one item: no update is lost, of many inserters one wins."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from crews import METHODS, Method, same, times
from workers import (
    Key,
    LockKind,
    Marked,
    assign_immutable,
    claim,
    claim_by_setdefault,
    claim_with_and_without_lock,
    count_up_then_finish,
    increment,
    increment_through,
    pop_all,
    popitem_all,
    race,
    take_away,
    write_once,
)

from perkey import (
    ANY_ETAG,
    ETAG_IS_THE_SAME,
    ITEM_NOT_AVAILABLE,
    FileDirDict,
    LocalDict,
    PersiDict,
    UnsupportedConditionError,
    WriteOnceDict,
)
from perkey.files.folder import LOCK_FILE
from perkey.stores.folder.store import Durability

WORKERS = 4
EACH = times(100, 2500)
CLAIMANTS = 8
NAMES = [f"task-{number}" for number in range(times(100, 5000))]

every_method = pytest.mark.parametrize("method", METHODS)


def check_count(found: Marked, workers: int, each: int) -> None:
    """No update is lost, told by the count and, independently, by the marks that all workers left."""
    count, marks = found
    assert count == workers * each
    assert len(marks) == workers * each
    for worker in range(workers):
        assert [number for who, number in marks if who == worker] == list(range(each))


def check_winners(won: list[list[str]], stored: dict[Any, int]) -> None:
    """Each name was won exactly once, and what is stored is the winner's value."""
    winners = {(name,): worker for worker, names in enumerate(won) for name in names}
    assert Counter(name for names in won for name in names) == Counter(NAMES)
    assert stored == winners


@pytest.mark.parametrize(
    ("method", "durability"),
    [*((method, durability) for method in METHODS for durability in ("sync", "none")), ("spawn", "none")],
)
def test_increments_by_many_workers_all_count(tmp_path: Path, method: Method, durability: Durability) -> None:
    target = FileDirDict[Marked](tmp_path / "d", durability=durability)
    race(method, same(WORKERS, increment, target, "counter", EACH))
    check_count(target["counter"], WORKERS, EACH)
    assert list(target) == [("counter",)]


def test_increments_by_threads_in_memory_all_count() -> None:
    target = LocalDict[Marked]()
    race("thread", same(WORKERS, increment, target, "counter", EACH))
    check_count(target["counter"], WORKERS, EACH)


@every_method
def test_increments_under_a_lock_file_all_count(tmp_path: Path, method: Method) -> None:
    """Where the folder itself cannot be locked, a file in it can, and it is never a key."""
    target = FileDirDict[Marked](tmp_path, durability="none")
    race(method, same(WORKERS, increment, target, ("a", "counter"), EACH), locks="file")
    check_count(target["a", "counter"], WORKERS, EACH)
    assert [path.name for path in tmp_path.rglob(LOCK_FILE)] == [LOCK_FILE]
    assert list(target) == [("a", "counter")]
    assert len(target) == 1


def routes_to_one_item(base: Path) -> list[tuple[PersiDict[Any], Key]]:
    """Return ways to the same file: dictionary, subdict, and a dictionary in the folder of the subdict."""
    whole = FileDirDict[Any](base, digest_len=0, durability="none")
    return [
        (whole, ("a", "b")),
        (whole.get_subdict("a"), "b"),
        (FileDirDict[Any](base / "a", digest_len=0, durability="none"), "b"),
        (whole.get_subdict("a").get_subdict(), "b"),
    ]


@every_method
def test_increments_through_a_dictionary_and_its_subdict_all_count(tmp_path: Path, method: Method) -> None:
    routes = routes_to_one_item(tmp_path)
    race(method, same(WORKERS, increment_through, routes, EACH))
    for target, key in routes:
        check_count(target[key], WORKERS, EACH)


@every_method
def test_of_many_conditional_inserters_one_wins(tmp_path: Path, method: Method) -> None:
    target = FileDirDict[int](tmp_path, durability="none")
    won = race(method, same(CLAIMANTS, claim, [(target, ())], NAMES))
    check_winners(won, dict(target.items()))


def test_of_many_conditional_inserters_one_wins_durably(tmp_path: Path) -> None:
    target = FileDirDict[int](tmp_path)
    won = race("fork", same(CLAIMANTS, claim, [(target, ())], NAMES))
    check_winners(won, dict(target.items()))


@every_method
def test_of_inserters_with_and_without_a_lock_one_wins(tmp_path: Path, method: Method) -> None:
    """Some rename under the lock, as durable ones do; some link, without it, a file that had no name."""
    target = FileDirDict[int](tmp_path / "d", durability="none")
    (tmp_path / "link").symlink_to("d")
    locking = FileDirDict[int](tmp_path / "link", durability="none")
    won = race(method, same(CLAIMANTS, claim_with_and_without_lock, target, locking, NAMES))
    check_winners(won, dict(target.items()))


@every_method
def test_of_many_inserters_without_any_locks_one_wins(tmp_path: Path, method: Method) -> None:
    """Where no lock can be had, insertion is by link(2), and as exclusive."""
    target = FileDirDict[int](tmp_path, durability="none")
    won = race(method, same(CLAIMANTS, claim, [(target, ())], NAMES), locks="none")
    check_winners(won, dict(target.items()))
    left = {path.name for path in tmp_path.iterdir() if not path.name.startswith("task-")}
    assert left <= {LOCK_FILE}


@pytest.mark.parametrize("locks", ["folder", "file", "none"])
def test_of_many_that_setdefault_one_wins(tmp_path: Path, locks: LockKind) -> None:
    target = FileDirDict[int](tmp_path, durability="none")
    won = race("fork", same(CLAIMANTS, claim_by_setdefault, target, NAMES), locks=locks)
    check_winners(won, dict(target.items()))


@every_method
def test_of_inserters_into_a_dictionary_and_its_subdict_one_wins(tmp_path: Path, method: Method) -> None:
    whole, _, inner, _ = (target for target, _ in routes_to_one_item(tmp_path))
    routes = [(whole, ("a",)), (whole.get_subdict("a"), ()), (inner, ())]
    won = race(method, same(CLAIMANTS, claim, routes, NAMES))
    check_winners(won, dict(inner.items()))


@pytest.mark.parametrize(
    ("method", "locks"),
    [("thread", "folder"), ("fork", "folder"), ("forkserver", "folder"), ("fork", "none")],
)
def test_of_many_assignments_of_an_immutable_item_one_succeeds(
    tmp_path: Path, method: Method, locks: LockKind
) -> None:
    """All others are refused, and what is read is what was accepted."""
    target = FileDirDict[int](tmp_path, immutable_items=True, durability="none")
    won = race(method, same(CLAIMANTS, assign_immutable, target, NAMES), locks=locks)
    check_winners(won, dict(target.items()))


@every_method
def test_the_first_write_into_a_write_once_dict_wins_for_all(tmp_path: Path, method: Method) -> None:
    """Every later write is checked, so exactly one write of each key finds no difference."""
    target = WriteOnceDict(FileDirDict[int](tmp_path, durability="none"), p_consistency_checks=1)
    results = race(method, same(CLAIMANTS, write_once, target, NAMES))
    stored = dict(target.items())
    check_winners([won for won, _ in results], stored)
    for _, read in results:
        assert {(name,): value for name, value in read.items()} == stored


def test_without_locks_conditions_on_a_version_are_refused(tmp_path: Path) -> None:
    """They could not be supported, so they must not pretend; the item stays as it is."""
    target = FileDirDict[int](tmp_path)
    target["a"] = 1

    def compare_and_swap() -> None:
        target.set_item_if("a", value=2, condition=ETAG_IS_THE_SAME, expected_etag=target.etag("a"))

    def compare_and_delete() -> None:
        target.discard_if("a", condition=ETAG_IS_THE_SAME, expected_etag=target.etag("a"))

    def insert() -> None:
        target.setdefault_if("b", default_value=3, condition=ANY_ETAG, expected_etag=ITEM_NOT_AVAILABLE)

    for refused in (compare_and_swap, compare_and_delete, partial(target.pop, "a")):
        with pytest.raises(UnsupportedConditionError):
            race("thread", [refused], locks="none")
    race("thread", [insert], locks="none")
    assert dict(target.items()) == {("a",): 1, ("b",): 3}


@every_method
def test_of_many_that_pop_an_item_one_gets_it(tmp_path: Path, method: Method) -> None:
    target = FileDirDict[str](tmp_path, durability="none")
    target.update({name: name for name in NAMES})
    got = race(method, same(CLAIMANTS, pop_all, target, NAMES))
    assert Counter(name for popped in got for name in popped) == Counter(NAMES)
    assert all(value == name for popped in got for name, value in popped.items())
    assert not target


def test_of_many_that_popitem_each_item_goes_to_one(tmp_path: Path) -> None:
    names = NAMES[:100]
    target = FileDirDict[str](tmp_path, durability="none")
    target.update({name: name for name in names})
    got = race("fork", same(WORKERS, popitem_all, target))
    assert Counter(name for popped in got for name in popped) == Counter(names)
    assert not target


@pytest.mark.parametrize(
    ("method", "locks"),
    [("thread", "folder"), ("fork", "folder"), ("forkserver", "folder"), ("fork", "file")],
)
def test_what_is_deleted_and_what_is_left_is_all_that_was_counted(
    tmp_path: Path, method: Method, locks: LockKind
) -> None:
    """Deletions and re-creations lose no update: each increment is either taken away once, or still there."""
    target = FileDirDict[int](tmp_path, durability="none")
    each = times(60, 2500)
    counters = same(WORKERS, count_up_then_finish, target, "counter", each)
    takers = same(2, take_away, target, "counter", WORKERS)
    *counted, taken_by_one, taken_by_other = race(method, counters + takers, locks=locks)
    assert taken_by_one + taken_by_other + target.get("counter", 0) == sum(counted) >= WORKERS * each
    assert taken_by_one + taken_by_other > 0
