"""Object stores through obstore: requests are tasks of the loop."""

import asyncio
import gc
import os
import threading
import time
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest
from s3.places import Place, know_server
from s3.proxy import Proxy, drops_reply, says
from s3.servers import Server

from aio.conftest import IN_THREADS, NATIVE, make_dict
from perkey import (
    ETAG_IS_THE_SAME,
    BasicS3Dict,
    LocalDict,
    ObjectStoreDict,
    PersiDict,
    register_format,
    waiting,
)
from perkey.aio import AsyncDict, driving, wait_for
from perkey.errors import BackendError, MissingExtraError
from perkey.formats import JsonFormat
from perkey.retrying import Attempts, Retry
from perkey.stores import CachedStore, MemoryStore, WrapperStore


@pytest.mark.parametrize("kind", [*NATIVE, *IN_THREADS])
def test_it_says_whether_it_is_native(kind: str, ministack: Server, bucket: str, tmp_path: Path) -> None:
    d = make_dict(kind, ministack, bucket, tmp_path)
    assert AsyncDict(d).is_native is (kind in NATIVE)
    assert AsyncDict(d).get_subdict("a").is_native is (kind in NATIVE)


def test_a_store_or_a_cache_that_may_block_is_used_in_threads(s3_dict: PersiDict[Any]) -> None:
    class Wrapped(WrapperStore):
        pass

    assert not AsyncDict(PersiDict[Any](Wrapped(s3_dict.store))).is_native
    assert AsyncDict(PersiDict[Any](CachedStore(s3_dict.store, MemoryStore()))).is_native
    assert not AsyncDict(PersiDict[Any](CachedStore(s3_dict.store, Wrapped(MemoryStore())))).is_native


def test_a_thousand_reads_in_one_loop_need_no_threads(s3_dict: PersiDict[Any]) -> None:
    s3_dict.set_many({f"k{n}": n for n in range(100)})
    seen = set[str]()

    class Watched(JsonFormat):
        def decode(self, content: Any) -> Any:
            seen.update(thread.name for thread in threading.enumerate())
            return super().decode(content)

    register_format("watched", Watched(), replace=True)
    watched = BasicS3Dict(**{**s3_dict.get_params(), "file_type": "watched"})
    watched.set_many({f"k{n}": n for n in range(100)})
    before = {thread.name for thread in threading.enumerate()}
    seen.clear()

    async def run() -> list[Any]:
        async with AsyncDict(watched, requests=20) as d:
            return await asyncio.gather(*(d[f"k{n % 100}"] for n in range(1000)))

    assert asyncio.run(run()) == [n % 100 for n in range(1000)]
    assert seen <= before


def test_no_more_requests_at_a_time_than_allowed(s3_dict: PersiDict[Any]) -> None:
    s3_dict.set_many({f"k{n}": n for n in range(60)})
    most = 0

    async def run() -> None:
        async with AsyncDict(s3_dict, requests=5) as d:
            gate = d._place.turns().gate

            async def watch() -> None:
                nonlocal most
                while True:
                    most = max(most, 5 - gate._value)
                    await asyncio.sleep(0)

            watching = asyncio.create_task(watch())
            await asyncio.gather(*(d[f"k{n}"] for n in range(60)), d.get_many([f"k{n}" for n in range(60)]))
            watching.cancel()

    asyncio.run(run())
    assert most == 5


def test_requests_are_as_many_as_without_a_loop(proxy: Proxy, bucket: str, tmp_path: Path) -> None:
    """The same code decides what is asked, in a loop or not."""

    def work(d: PersiDict[Any]) -> None:
        d["a"] = 1
        assert d["a"] == 1
        assert d.get("b") is None
        d.setdefault("b", 2)
        d.setdefault_if("b", 3)
        d.transform_item("a", lambda n: n + 1)
        d.set_many({"c": 1, "d": 2})
        assert len(d.get_many(["a", "b", "x"])) == 2
        assert len(d.copy()) == 4
        assert d.pop("b") == 2
        d.discard("a")
        d.clear()

    counts = []
    for number, is_cached in enumerate((False, True)):
        for in_loop in (False, True):
            place = Place(proxy.endpoint, f"{bucket}{number}{in_loop:d}", "obstore")
            d: PersiDict[Any] = place.open_cached(tmp_path / f"{in_loop}") if is_cached else place.open()
            know_server(d)
            d["first"] = 1  # makes the bucket
            del d["first"]
            proxy.forget()
            if in_loop:
                asyncio.run(AsyncDict(d).run(work))
            else:
                work(d)
            counts.append(dict(proxy.counts))
    assert counts[0] == counts[1]
    assert counts[2] == counts[3]
    assert sum(counts[0].values()) > 20


@pytest.mark.usefixtures("quick_pauses")
def test_failures_of_the_service_are_retried_and_lost_replies_settled(proxy: Proxy, bucket: str) -> None:
    d = Place(proxy.endpoint, bucket, "obstore").open()
    know_server(d)
    d["a"] = 1

    async def run() -> None:
        async with AsyncDict(d) as a:
            etag = await a.etag("a")
            proxy.plan(drops_reply, "put")
            result = await a.set_item_if("a", value=2, condition=ETAG_IS_THE_SAME, expected_etag=etag)
            assert result.condition_was_satisfied
            assert await a["a"] == 2
            proxy.plan(drops_reply, "put")
            assert (await a.transform_item("a", lambda n: n + 1)).new_value == 3
            proxy.plan(says(503, "SlowDown"), "get", times=2)
            assert await a["a"] == 3

    asyncio.run(run())


def test_an_error_is_that_of_the_dictionary(bucket: str) -> None:
    d = Place("http://127.0.0.1:9", bucket, "obstore").open(retry_for=0)

    async def run() -> None:
        async with AsyncDict(d) as a:
            with pytest.raises(BackendError, match="cannot read s3://"):
                await a["a"]

    asyncio.run(run())


def test_pauses_between_attempts_do_not_stop_the_loop(
    bucket: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    d = Place("http://127.0.0.1:9", bucket, "obstore").open(retry_for=0.6)
    slept: list[str] = []
    monkeypatch.setattr("perkey.waiting.time.sleep", lambda _: slept.append(threading.current_thread().name))

    async def run() -> None:
        async with AsyncDict(d) as a:
            with pytest.raises(BackendError):
                await a.get("a")

    asyncio.run(run())
    assert "attempt 2 follows" in caplog.text
    assert slept == []


def test_an_operation_s_deadline_is_its_own(ministack: Server, bucket: str) -> None:
    """Operations of one loop share their thread, so a deadline must not belong to the thread."""
    ended: dict[str, tuple[bool, bool]] = {}

    def limited(name: str, timeout: float | None) -> None:
        whole = Retry(timeout=timeout).attempts()
        with whole.shared():
            waiting.sleep(0.05)
            ended[name] = (whole.end < float("inf"), Attempts(Retry()).end < float("inf"))

    async def run() -> None:
        async with AsyncDict(LocalDict()) as d:
            await asyncio.gather(
                d.run(lambda _: limited("limited", 10)), d.run(lambda _: limited("free", None))
            )

    asyncio.run(run())
    assert ended == {"limited": (True, True), "free": (False, False)}


def test_large_values_are_decoded_and_encoded_in_the_pool(s3_dict: PersiDict[Any]) -> None:
    where: list[str] = []

    class Noted(JsonFormat):
        def encode(self, value: Any) -> Any:
            where.append(threading.current_thread().name)
            return super().encode(value)

        def decode(self, content: Any) -> Any:
            where.append(threading.current_thread().name)
            return super().decode(content)

    register_format("noted", Noted(), replace=True)
    noted = BasicS3Dict(**{**s3_dict.get_params(), "file_type": "noted"})
    here = threading.current_thread().name

    async def run() -> None:
        async with AsyncDict(noted, threads=2) as d:
            await d.set("small", [1, "a", {"b": None}])
            await d["small"]
            assert where == [here, here]
            where.clear()
            await d.set("large", list(range(50_000)))
            await d["large"]
            assert len(where) == 2
            assert all(name.startswith("perkey_aio") for name in where)

    asyncio.run(run())


def test_contexts_reach_the_code_that_runs(any_dict: PersiDict[Any]) -> None:
    user: ContextVar[str] = ContextVar("user")

    async def act(d: AsyncDict[Any], name: str) -> None:
        user.set(name)
        await d.transform_item(name, lambda _: user.get(), default="")

    async def run() -> None:
        async with AsyncDict(any_dict, threads=2) as d:
            await asyncio.gather(*(act(d, f"u{n}") for n in range(5)))
            assert {value async for value in d.values()} == {f"u{n}" for n in range(5)}

    asyncio.run(run())


def test_it_works_under_anyio_s_asyncio_backend(s3_dict: PersiDict[Any]) -> None:
    anyio = pytest.importorskip("anyio")

    async def run() -> None:
        async with AsyncDict(s3_dict) as d, anyio.create_task_group() as group:
            for number in range(10):
                group.start_soon(d.set, f"k{number}", number)
        with anyio.move_on_after(0):
            await AsyncDict(s3_dict).get("k1")

    anyio.run(run)
    assert len(s3_dict) == 10


def test_wait_for_is_for_functions_that_are_run_only() -> None:
    async def later() -> int:
        await asyncio.sleep(0)
        return 5

    async def run() -> int:
        async with AsyncDict(LocalDict()) as d:
            return await d.run(lambda _: wait_for(later) + 1)

    assert asyncio.run(run()) == 6
    with pytest.raises(RuntimeError, match=r"AsyncDict\.run"):
        wait_for(later)


def test_without_greenlet_everything_is_done_in_threads(
    s3_dict: PersiDict[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driving, "can_drive", False)
    monkeypatch.setattr("perkey.aio.async_dict.can_drive", False)

    async def slowly(n: int) -> int:
        return n

    async def run() -> None:
        async with AsyncDict(s3_dict, threads=3) as d:
            assert not d.is_native
            await asyncio.gather(*(d.set(f"k{n}", n) for n in range(20)))
            assert await asyncio.gather(*(d[f"k{n}"] for n in range(20))) == list(range(20))
            with pytest.raises(MissingExtraError, match=r"perkey\[aio\]"):
                await d.transform_item("a", slowly)

    asyncio.run(run())


def test_the_loop_goes_on_while_many_operations_begin(s3_dict: PersiDict[Any]) -> None:
    """Another program cannot prolong the processor time of this thread between two turns of a task."""
    s3_dict.set_many({f"k{n}": n for n in range(50)})
    longest = 0.0

    async def run() -> None:
        nonlocal longest
        async with AsyncDict(s3_dict) as d:
            await d["k0"]

            async def beat() -> None:
                nonlocal longest
                while True:
                    began = time.thread_time()
                    await asyncio.sleep(0)
                    longest = max(longest, time.thread_time() - began)

            beating = asyncio.create_task(beat())
            await asyncio.gather(*(d[f"k{n % 50}"] for n in range(1000)))
            beating.cancel()

    gc.collect()
    gc.freeze()
    try:
        asyncio.run(run())
    finally:
        gc.unfreeze()
    assert longest < 0.05


def test_a_process_that_was_forked_says_what_obstore_says(tmp_path: Path) -> None:
    d = ObjectStoreDict[int](
        "s3://bucket", options={"endpoint": "http://127.0.0.1:9", "region": "r"}, retry_for=0
    )

    async def ask() -> str:
        async with AsyncDict(d) as a:
            try:
                await a["a"]
            except BackendError as error:
                return str(error)
        return ""

    assert "forked" not in asyncio.run(ask())
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, asyncio.run(ask()).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as said:
        assert "forked" in said.read()
    os.waitpid(child, 0)
