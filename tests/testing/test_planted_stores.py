"""The contract of stores finds out what is planted: stores that check and then act, and others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from clauses import Caught, check
from planted import PLANTED, ChecksThenActs, suite_for

from perkey.stores import MemoryStore, Store
from perkey.testing import StoreContract

pytest_plugins = ["pytester"]

CASES = [(make, clause) for make, clauses in PLANTED for clause in clauses]


def check_store(suite: type[StoreContract], clause: str, folder: Path) -> None:
    def prepare(bound: StoreContract) -> dict[str, Any]:
        store = bound.make_store()
        return {"store": store, "handles": [bound.reopen(store) for _ in range(bound.threads)]}

    check(suite, clause, folder, prepare)


@pytest.mark.parametrize(("make", "clause"), CASES, ids=[f"{m.__name__}-{c}" for m, c in CASES])
def test_a_wrong_store_is_found_out(make: Callable[[], Store], clause: str, tmp_path: Path) -> None:
    with pytest.raises(Caught):
        check_store(suite_for(make), clause, tmp_path)


@pytest.mark.parametrize("clause", sorted({clause for _, clause in CASES}))
def test_a_right_store_is_not(clause: str, tmp_path: Path) -> None:
    check_store(suite_for(MemoryStore), clause, tmp_path)


def test_every_wrong_store_has_a_fault_of_its_own() -> None:
    assert len({make for make, _ in PLANTED}) == len(PLANTED) > 20
    assert ChecksThenActs in {make for make, _ in PLANTED}


def test_an_author_who_inherits_the_suite_sees_the_fault(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from perkey.stores import MemoryStore
        from perkey.testing import StoreContract
        from planted import ChecksThenActs

        class TestMine(StoreContract):
            pickles_share_the_place = False

            def make_store(self):
                return ChecksThenActs()

            def reopen(self, store):
                return store
        """
    )
    options = [part for name in ("randomly", "cacheprovider", "zarr") for part in ("-p", f"no:{name}")]
    result = pytester.runpytest_inprocess(*options, "-k", "one_wins")
    result.stdout.fnmatch_lines(
        ["*AssertionError: * winners: *", "FAILED*TestMine::test_of_many_that_insert_one_wins*"]
    )
    assert result.ret == pytest.ExitCode.TESTS_FAILED
