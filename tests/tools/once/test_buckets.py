"""Claims and computations in buckets: below every cache, by the requests that the page says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from s3.places import ENGINES, EngineName, Place, know_server
from s3.proxy import Proxy, drops_reply
from s3.servers import Server

from perkey import PersiDict, UnsupportedConditionError, break_claim, claim, claims, compute_once, memoize
from tools.once.places_of_tests import refuse_conditional_removals

engines = pytest.mark.parametrize("engine", ENGINES)


def is_free(d: PersiDict[Any], key: Any) -> bool:
    with claim(d, key) as mine:
        return bool(mine)


@engines
def test_a_claim_in_a_bucket(engine: EngineName, bucket: str, ministack: Server, tmp_path: Path) -> None:
    """Through handles with a cache, also of items that are trusted once they are cached."""
    place = Place(ministack.endpoint, bucket, engine)
    handles: list[tuple[PersiDict[Any], Any]] = [
        (place.open(), ("x", "y")),
        (place.open().get_subdict("x"), "y"),
        (place.open_cached(tmp_path / "cache"), ("x", "y")),
        (place.open_cached(tmp_path / "cache", immutable_items=True).get_subdict("x"), "y"),
    ]
    for d, key in handles:
        for _ in range(2):
            with claim(d, key) as mine:
                assert mine
                assert not any(is_free(*other) for other in handles)
                assert [len(claims(other)) for other, _ in handles] == [1] * len(handles)
                assert len(d) == 0
    first, key = handles[3]
    with claim(first, key) as mine:
        assert break_claim(handles[0][0], ("x", "y"))
        with claim(first, key) as other:
            assert other.token == 1
            assert mine._lease is not None
            assert not mine._lease.renew()
    assert [info.token for info in claims(handles[0][0], free=True)] == [1]
    handles[0][0].clear()
    assert list(handles[0][0].store.scan()) == []
    assert not any(path.name.endswith("-claim") for path in (tmp_path / "cache").rglob("*"))


@engines
def test_requests_of_a_task(engine: EngineName, bucket: str, proxy: Proxy) -> None:
    d = Place(proxy.endpoint, bucket, engine).open()
    d["warm"] = 1
    know_server(d)
    proxy.forget()
    assert compute_once(d, "a", lambda: 1) == 1
    assert proxy.counts == {"get": 2, "put": 2, "delete": 1}
    proxy.forget()
    assert compute_once(d, "a", lambda: 2) == 1
    assert proxy.counts == {"get": 1}

    @memoize(d, name="f")
    def memoized(x: int) -> int:
        return x

    memoized(3)
    proxy.forget()
    assert memoized(3) == 3
    assert proxy.counts == {"get": 1}


@engines
@pytest.mark.usefixtures("quick_pauses")
def test_lost_replies_never_reach_the_caller(engine: EngineName, bucket: str, proxy: Proxy) -> None:
    d = Place(proxy.endpoint, bucket, engine).open()
    d["warm"] = 1
    calls: list[int] = []

    def function(number: int) -> int:
        calls.append(number)
        return number

    proxy.plan(drops_reply, times=None, every=3)
    for number in range(12):
        assert compute_once(d, f"k{number}", function, args=(number,)) == number
        with pytest.raises(ZeroDivisionError):
            compute_once(d, f"bad{number}", lambda: 1 // 0)
    proxy.heal()
    assert calls == list(range(12))
    assert claims(d) == []
    assert all(info.failure is not None for info in claims(d, free=True))


@engines
def test_a_service_without_conditional_removals_keeps_free_claims(
    engine: EngineName, bucket: str, ministack: Server
) -> None:
    d = Place(ministack.endpoint, bucket, engine).open()
    with refuse_conditional_removals():
        for number in range(2):
            assert compute_once(d, f"k{number}", lambda: 1) == 1
            with claim(d, "a") as mine:
                assert mine
                assert not is_free(d, "a")
        assert len(claims(d, free=True)) == 3
        assert claims(d) == []
        d.clear()
        assert len(d) == 0
        assert len(claims(d, free=True)) == 3


@engines
def test_a_service_that_does_not_compare_has_no_claims(
    engine: EngineName, bucket: str, rclone: Server
) -> None:
    d = Place(rclone.endpoint, bucket, engine).open()
    with pytest.raises(UnsupportedConditionError), claim(d, "a"):
        pass
    with pytest.raises(UnsupportedConditionError):
        compute_once(d, "a", int)
