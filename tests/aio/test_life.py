"""Cancelling, closing, several loops, forks: values stay whole, and threads are bounded and end."""

import asyncio
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from perkey import FileDirDict, LocalDict, PersiDict, compute_once, waiting
from perkey.aio import AsyncDict
from perkey.formats import JsonFormat, register_format

THREADS = 4
HANG = 30.0


def pool_threads() -> int:
    return sum(thread.name.startswith("perkey_aio") for thread in threading.enumerate())


def value_of(writer: int) -> list[int]:
    """Return a value that shows if it is torn: its parts are all the same."""
    return [writer] * (20_000 if writer % 3 == 0 else 50)


def test_cancelled_operations_tear_nothing_and_leave_no_threads(any_dict: PersiDict[Any]) -> None:
    keys = [f"k{n}" for n in range(10)]
    any_dict.update({key: value_of(0) for key in keys})
    most = 0
    rng = random.Random(5)

    async def act(d: AsyncDict[Any], number: int) -> None:
        key = rng.choice(keys)
        match number % 4:
            case 0:
                await d.set(key, value_of(number))
            case 1:
                await d.transform_item(key, lambda old: value_of(old[0] + 1))
            case 2:
                await d.set_many({key: value_of(number) for key in rng.sample(keys, 3)})
            case _:
                found = await d[key]
                assert len(set(found)) == 1

    async def run() -> None:
        nonlocal most
        async with AsyncDict(any_dict, threads=THREADS) as d:
            tasks = [asyncio.create_task(act(d, number)) for number in range(1, 201)]
            for task in rng.sample(tasks, len(tasks)):
                task.cancel()
                if rng.random() < 0.3:
                    await asyncio.sleep(rng.random() * 0.01)
                most = max(most, pool_threads())
            done = await asyncio.gather(*tasks, return_exceptions=True)
            assert {type(each) for each in done} <= {type(None), asyncio.CancelledError}
            assert any(isinstance(each, asyncio.CancelledError) for each in done)
        assert pool_threads() == 0
        found = {key: any_dict[key] for key in keys}
        assert all(len(set(value)) == 1 for value in found.values())
        assert all(value == value_of(value[0]) for value in found.values())
        await asyncio.sleep(0.1)
        assert {key: any_dict[key] for key in keys} == found  # nothing goes on after aclose

    asyncio.run(run())
    assert most <= THREADS


def test_a_timeout_leaves_the_old_or_the_new_value(any_dict: PersiDict[Any]) -> None:
    any_dict["a"] = value_of(0)

    async def run() -> None:
        async with AsyncDict(any_dict, threads=2) as d:
            for number in range(1, 30):
                try:
                    async with asyncio.timeout(random.random() * 0.01):
                        await d.set("a", value_of(number))
                except TimeoutError:
                    pass
        left = any_dict["a"]
        assert left == value_of(left[0])

    asyncio.run(run())


def test_a_call_that_has_not_begun_is_not_made_after_a_cancel() -> None:
    entered, go = threading.Event(), threading.Event()
    written = LocalDict[int]()

    async def run() -> None:
        async with AsyncDict(written, threads=1) as d:

            def hold(_: Any) -> int:
                entered.set()
                go.wait(30)
                return 1

            first = asyncio.create_task(d.transform_item("first", hold))
            await asyncio.to_thread(entered.wait, 30)
            second = asyncio.create_task(d.set("second", 2))
            await asyncio.sleep(0.01)
            second.cancel()
            with pytest.raises(asyncio.CancelledError):
                await second
            go.set()
            await first

    asyncio.run(run())
    assert dict(written) == {("first",): 1}


def test_closing_waits_for_what_was_cancelled_and_ends_the_threads() -> None:
    entered, go = threading.Event(), threading.Event()
    d = LocalDict[int]()

    async def run() -> None:
        a = AsyncDict(d, threads=2)

        def hold(_: Any) -> int:
            entered.set()
            go.wait(30)
            return 1

        task = asyncio.create_task(a.transform_item("a", hold))
        await asyncio.to_thread(entered.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        closing = asyncio.create_task(a.aclose())
        await asyncio.sleep(0.05)
        assert not closing.done()
        go.set()
        await closing
        assert pool_threads() == 0
        assert d["a"] == 1
        await a.aclose()

    asyncio.run(run())


def test_closing_waits_for_operations_under_way(s3_dict: PersiDict[Any]) -> None:
    async def run() -> None:
        a = AsyncDict(s3_dict)
        tasks = [asyncio.create_task(a.set(f"k{n}", n)) for n in range(50)]
        await asyncio.sleep(0)
        await a.aclose()
        assert all(task.done() for task in tasks)
        assert await asyncio.to_thread(len, s3_dict) == 50

    asyncio.run(run())


def test_nothing_begins_after_closing(any_dict: PersiDict[Any]) -> None:
    any_dict.update({f"k{n}": n for n in range(40)})

    async def run() -> None:
        a = AsyncDict(any_dict)
        below = a.get_subdict("x")
        found = a.values()
        await anext(found)
        await below.aclose()  # which leaves the others alone
        assert await a["k1"] == 1
        await a.aclose()
        for verb in (a.get("k1"), a.set("k1", 2), below.get("k1"), a.len(), a.run(len)):
            with pytest.raises(RuntimeError, match="closed"):
                await verb
        with pytest.raises(RuntimeError, match="closed"):
            [key async for key in a]
        del found
        await asyncio.sleep(0.01)
        assert pool_threads() == 0

    asyncio.run(run())
    assert any_dict["k1"] == 1


def test_it_works_in_one_loop_after_the_other_and_in_two_at_once(any_dict: PersiDict[Any]) -> None:
    d = AsyncDict(any_dict, threads=3, requests=3)

    async def work(name: str) -> None:
        await asyncio.gather(*(d.set(f"{name}{n}", n) for n in range(10)))
        assert await asyncio.gather(*(d[f"{name}{n}"] for n in range(10))) == list(range(10))

    for name in ("a", "b"):
        asyncio.run(work(name))
    threads = [threading.Thread(target=lambda name=name: asyncio.run(work(name))) for name in ("c", "d")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    async def close() -> None:
        assert await d.len() == 40
        await d.aclose()

    asyncio.run(close())
    assert pool_threads() == 0


def test_it_works_in_a_process_that_was_forked_after_use(tmp_path: Path) -> None:
    d = AsyncDict(FileDirDict[int](tmp_path, durability="none"), threads=2)
    asyncio.run(d.set("parent", 1))
    child = os.fork()
    if child == 0:

        async def work() -> None:
            await d.set("child", await d["parent"] + 1)
            await d.aclose()

        asyncio.run(asyncio.wait_for(work(), 30))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert asyncio.run(d.get("child")) == 2
    asyncio.run(d.aclose())


def test_a_cancelled_call_repeats_no_failed_request(bucket: str) -> None:
    """Else closing would wait for as long as requests are repeated."""
    from s3.places import Place

    d = Place("http://127.0.0.1:9", bucket, "boto3").open(retry_for=60)

    async def run() -> float:
        began = time.monotonic()
        async with AsyncDict(d) as a:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(a.get("a"), 0.3)
        return time.monotonic() - began

    assert asyncio.run(run()) < 15


def test_cancelling_while_a_large_value_is_encoded(any_dict: PersiDict[Any]) -> None:
    class Slow(JsonFormat):
        def encode(self, value: Any) -> Any:
            time.sleep(0.1)
            return super().encode(value)

    register_format("slow", Slow(), replace=True)
    slow = type(any_dict)(**{**any_dict.get_params(), "file_type": "slow"})

    async def run() -> None:
        async with AsyncDict(slow, threads=2) as d:
            await d.set("a", value_of(1))
            task = asyncio.create_task(d.set("a", value_of(3)))
            await asyncio.sleep(0.03)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert pool_threads() <= 2
        assert slow["a"] in (value_of(1), value_of(3))

    asyncio.run(run())


def test_an_iteration_that_is_cancelled_ends(any_dict: PersiDict[Any]) -> None:
    any_dict.update({f"k{n}": value_of(n) for n in range(30)})

    async def run() -> None:
        async with AsyncDict(any_dict, threads=2) as d:

            async def read() -> None:
                while True:
                    async for _ in d.items():
                        pass

            task = asyncio.create_task(read())
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert pool_threads() == 0

    asyncio.run(run())


def test_a_loop_that_ends_abandons_its_operations_quietly(any_dict: PersiDict[Any]) -> None:
    d = AsyncDict(any_dict, threads=2)

    async def leave() -> None:
        asyncio.create_task(d.set("a", value_of(3)))  # noqa: RUF006 - it is abandoned
        await asyncio.sleep(0.001)

    for _ in range(5):
        asyncio.run(leave())

    async def look() -> Any:
        found = await d.get("a")
        await d.aclose()
        return found

    assert asyncio.run(look()) in (None, value_of(3))


def test_computing_once_in_an_event_loop_waits_without_blocking_it(any_dict: PersiDict[Any]) -> None:
    calls: list[int] = []

    def compute() -> int:
        calls.append(1)
        waiting.sleep(0.2)  # the loop runs the other calls meanwhile, which wait for this one
        return 7

    async def run() -> list[Any]:
        async with AsyncDict(any_dict, threads=THREADS) as d:
            once = [d.run(lambda plain: compute_once(plain, "k", compute)) for _ in range(5)]
            return await asyncio.wait_for(asyncio.gather(*once), HANG)

    assert asyncio.run(run()) == [7] * 5
    assert calls == [1]


AT_EXIT = """if True:
    import asyncio, atexit, sys, threading
    from perkey import FileDirDict, memoize
    from perkey.aio import AsyncDict

    d = FileDirDict(sys.argv[1])

    @memoize(d, name="twice")
    async def twice(x):
        await asyncio.sleep(0)
        return 2 * x

    async def use(number):
        async with AsyncDict(d) as a:
            await a.set_many({"k": number, "other": list(range(100_000))})
            await asyncio.gather(a.get("k"), a.get("other"))
            found = [key async for key in a]
            again = await asyncio.gather(twice(number), twice(number), twice(1))
            print(await a["k"], len(found), again, await twice.forget(number))

    def act(number):
        asyncio.run(use(number))

    def late():
        threading.main_thread().join()
        act(2)

    if sys.argv[2] == "used before":
        act(1)
    atexit.register(act, 3)
    threading.Thread(target=late).start()
"""


@pytest.mark.parametrize("used", ["used before", "new"])
def test_exit_handlers_and_threads_that_outlive_the_main_thread_may_use_it(tmp_path: Path, used: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", AT_EXIT, str(tmp_path / "d"), used],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    lines = ["2 2 [4, 4, 2] True", "3 3 [6, 6, 2] True"]
    first = ["1 2 [2, 2, 2] True"] if used == "used before" else []
    assert (done.stdout.splitlines(), done.stderr) == ([*first, *lines], "")
