"""Each verb does what the verb of the dictionary does."""

import asyncio
import inspect
import pickle
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from s3.servers import Server

from aio.conftest import IN_THREADS, NATIVE, make_dict
from perkey import (
    ALWAYS_RETRIEVE,
    DELETE_CURRENT,
    ETAG_HAS_CHANGED,
    ETAG_IS_THE_SAME,
    ITEM_NOT_AVAILABLE,
    KEEP_CURRENT,
    LocalDict,
    ObjectStoreDict,
    PersiDict,
    UnsupportedConditionError,
)
from perkey.aio import AsyncDict

NOT_AWAITED = {
    "base_class_for_values": "a property: d.dictionary has it",
    "digest_len": "the same",
    "file_type": "the same",
    "immutable_items": "the same",
    "store": "the same",
    "path": "asks nothing of the place: d.dictionary has it",
    "url": "the same",
    "get_params": "asks nothing of the place: d.dictionary has it",
}


def test_every_public_verb_of_a_dictionary_is_there_with_its_parameters() -> None:
    for name, verb in inspect.getmembers(PersiDict):
        if name.startswith("_") or name in NOT_AWAITED:
            continue
        mine = inspect.signature(getattr(AsyncDict, name)).parameters
        theirs = inspect.signature(verb).parameters
        assert [(p.name, p.kind) for p in mine.values()] == [(p.name, p.kind) for p in theirs.values()], name


def result_of(verb: Callable[[], Any]) -> tuple[str, Any]:
    try:
        return "returned", plain(verb())
    except Exception as error:  # noqa: BLE001 - it is compared
        return type(error).__name__, str(error)


async def awaited_result_of(verb: Callable[[], Awaitable[Any]]) -> tuple[str, Any]:
    try:
        return "returned", plain(await verb())
    except Exception as error:  # noqa: BLE001 - it is compared
        return type(error).__name__, str(error)


def plain(result: Any) -> Any:
    """Return a result without what differs from dictionary to dictionary."""
    if hasattr(result, "_replace"):
        fields = {name for name in ("actual_etag", "resulting_etag") if hasattr(result, name)}
        return result._replace(**{name: bool(getattr(result, name)) for name in fields})
    return sorted(result) if isinstance(result, list) else result


async def length_is_positive(text: Awaitable[str]) -> bool:
    return len(await text) > 0


async def is_recent(seconds: Awaitable[float]) -> bool:
    return await seconds > 1e9


async def collected(found: Any, made: Callable[[Any], Any] = lambda each: each) -> list[Any]:
    return sorted([made(each) async for each in found])


async def firsts(found: Any) -> list[Any]:
    return await collected(found, lambda each: each[0])


async def texts(values: Awaitable[list[Any]]) -> list[str]:
    return list(map(str, await values))


async def has_random_key(d: AsyncDict[Any]) -> bool:
    key = await d.random_key()
    return key is not None and await d.contains(key)


async def sorted_names(d: AsyncDict[Any]) -> list[str]:
    return sorted(await d.subdicts())


NO_KEY: Any = 5

# Each step: a verb of a dictionary, and the same one awaited.
STEPS: list[tuple[Callable[[PersiDict[Any]], Any], Callable[[AsyncDict[Any]], Awaitable[Any]]]] = [
    (lambda d: d.get("a"), lambda d: d.get("a")),
    (lambda d: d["a"], lambda d: d["a"]),
    (lambda d: d.get("a", 7), lambda d: d.get("a", 7)),
    (lambda d: d.__delitem__("a"), lambda d: d.delete("a")),
    (lambda d: d.__setitem__(("a", "b"), [1]), lambda d: d.set(("a", "b"), [1])),
    (lambda d: d["a"], lambda d: d["a"]),  # the message names the longer key
    (lambda d: ("a", "b") in d, lambda d: d.contains(("a", "b"))),
    (lambda d: d.setdefault("c", 3), lambda d: d.setdefault("c", 3)),
    (lambda d: d.setdefault("c", 4), lambda d: d.setdefault("c", 4)),
    (lambda d: d.setdefault("c", KEEP_CURRENT), lambda d: d.setdefault("c", KEEP_CURRENT)),
    (lambda d: d.__setitem__("c", lambda: 0), lambda d: d.set("c", lambda: 0)),
    (lambda d: d.__setitem__(NO_KEY, 0), lambda d: d.set(NO_KEY, 0)),
    (lambda d: d.get_with_etag("c"), lambda d: d.get_with_etag("c")),
    (lambda d: len(d.etag("c")) > 0, lambda d: length_is_positive(d.etag("c"))),
    (lambda d: d.etag("x"), lambda d: d.etag("x")),
    (
        lambda d: d.set_item_if(
            "c", value=5, condition=ETAG_IS_THE_SAME, expected_etag="0", retrieve_value=ALWAYS_RETRIEVE
        ),
        lambda d: d.set_item_if(
            "c", value=5, condition=ETAG_IS_THE_SAME, expected_etag="0", retrieve_value=ALWAYS_RETRIEVE
        ),
    ),
    (
        lambda d: d.set_item_if("n", value=5, condition=ETAG_IS_THE_SAME, expected_etag=ITEM_NOT_AVAILABLE),
        lambda d: d.set_item_if("n", value=5, condition=ETAG_IS_THE_SAME, expected_etag=ITEM_NOT_AVAILABLE),
    ),
    (
        lambda d: d.get_item_if("n", condition=ETAG_HAS_CHANGED, expected_etag=ITEM_NOT_AVAILABLE),
        lambda d: d.get_item_if("n", condition=ETAG_HAS_CHANGED, expected_etag=ITEM_NOT_AVAILABLE),
    ),
    (lambda d: d.setdefault_if("n", 6), lambda d: d.setdefault_if("n", 6)),
    (lambda d: d.setdefault_if("m", 6), lambda d: d.setdefault_if("m", 6)),
    (
        lambda d: d.transform_item("n", lambda n: n + 1, n_retries=3),
        lambda d: d.transform_item("n", lambda n: n + 1, n_retries=3),
    ),
    (
        lambda d: d.transform_item("n", lambda n: n / 0),
        lambda d: d.transform_item("n", lambda n: n / 0),
    ),
    (lambda d: d.set_many({"p": 1, "q": 2}), lambda d: d.set_many({"p": 1, "q": 2})),
    (lambda d: d.update({"r": 1}, s=2), lambda d: d.update({"r": 1}, s=2)),
    (lambda d: d.update(q=DELETE_CURRENT), lambda d: d.update(q=DELETE_CURRENT)),
    (lambda d: d.set_many([("t", 1), ("u", lambda: 0)]), lambda d: d.set_many([("t", 1), ("u", lambda: 0)])),
    (lambda d: d.get_many(["p", "q", "c"]), lambda d: d.get_many(["p", "q", "c"])),
    (sorted, collected),
    (lambda d: sorted(d.keys()), lambda d: collected(d.keys())),
    (lambda d: sorted(map(str, d.values())), lambda d: collected(d.values(), str)),
    (lambda d: sorted(map(str, d.items())), lambda d: collected(d.items(), str)),
    (lambda d: sorted(k for k, _ in d.keys_and_timestamps()), lambda d: firsts(d.keys_and_timestamps())),
    (lambda d: sorted(i[0] for i in d.items_and_timestamps()), lambda d: firsts(d.items_and_timestamps())),
    (
        lambda d: sorted(str(v) for v, _ in d.values_and_timestamps()),
        lambda d: collected(d.values_and_timestamps(), lambda found: str(found[0])),
    ),
    (lambda d: d.copy(), lambda d: d.copy()),
    (len, lambda d: d.len()),
    (lambda d: not d, lambda d: d.is_empty()),
    (lambda d: d.timestamp("c") > 1e9, lambda d: is_recent(d.timestamp("c"))),
    (lambda d: d.timestamp("x"), lambda d: d.timestamp("x")),
    (lambda d: d.oldest_keys(), lambda d: d.oldest_keys()),
    (lambda d: d.newest_keys(100), lambda d: d.newest_keys(100)),
    (lambda d: list(map(str, d.oldest_values())), lambda d: texts(d.oldest_values())),
    (lambda d: list(map(str, d.newest_values(100))), lambda d: texts(d.newest_values(100))),
    (lambda d: d.random_key() in d, has_random_key),
    (lambda d: sorted(d.subdicts()), sorted_names),
    (lambda d: d.get_subdict("a")["b"], lambda d: d.get_subdict("a")["b"]),
    (lambda d: len(d.get_subdict("a")), lambda d: d.get_subdict("a").len()),
    (lambda d: d.delete_many(["p", "x"]), lambda d: d.delete_many(["p", "x"])),
    (lambda d: d.discard("r"), lambda d: d.discard("r")),
    (lambda d: d.delete_if_exists("r"), lambda d: d.delete_if_exists("r")),
    (len, lambda d: d.len()),
    (lambda d: d.clear(), lambda d: d.clear()),
    (lambda d: d.random_key(), lambda d: d.random_key()),
    (lambda d: d.popitem(), lambda d: d.popitem()),
    (lambda d: d.pop("x", 4), lambda d: d.pop("x", 4)),
    (lambda d: d.pop("x"), lambda d: d.pop("x")),
]


def test_each_verb_has_the_result_or_the_error_of_the_dictionary(any_dict: PersiDict[Any]) -> None:
    expected = LocalDict(digest_len=any_dict.digest_len)

    async def run() -> None:
        async with AsyncDict(any_dict) as d:
            for number, (verb, awaited) in enumerate(STEPS):
                found = await awaited_result_of(partial(awaited, d))
                wanted = result_of(partial(verb, expected))
                # Places are named in some messages.
                assert found[0] == wanted[0], (number, found, wanted)
                if wanted[0] == "returned":
                    assert found == wanted, (number, found, wanted)
                elif wanted[0] in {"MissingItemError", "TypeError", "ZeroDivisionError"}:
                    assert found[1] == wanted[1], (number, found, wanted)

    asyncio.run(run())


@pytest.mark.parametrize("kind", [*NATIVE, *IN_THREADS])
def test_popping_gives_an_item_to_one_caller(
    kind: str, moto_server: Server, bucket: str, tmp_path: Path
) -> None:
    # Not on ministack, for which the removal of an absent object is a success.
    any_dict = make_dict(kind, moto_server, bucket, tmp_path)
    any_dict["a"] = 1

    async def run() -> list[Any]:
        async with AsyncDict(any_dict) as d:
            return await asyncio.gather(*(d.pop("a", None) for _ in range(8)), return_exceptions=True)

    popped = asyncio.run(run())
    if isinstance(any_dict, ObjectStoreDict):  # it refuses: obstore cannot express the condition
        assert {type(each) for each in popped} == {UnsupportedConditionError}
    else:
        assert sorted(popped, key=str) == [1, *[None] * 7]


@pytest.mark.parametrize("is_coroutine", [False, True])
def test_no_transformation_is_lost(any_dict: PersiDict[Any], is_coroutine: bool) -> None:
    async def slowly(n: int) -> int:
        await asyncio.sleep(0.001)
        return n + 1

    async def run() -> None:
        async with AsyncDict(any_dict, threads=3) as d:
            transformer = slowly if is_coroutine else lambda n: n + 1
            await asyncio.gather(*(d.transform_item("n", transformer, default=0) for _ in range(12)))
            assert await d["n"] == 12

    asyncio.run(run())


def test_coroutines_that_use_the_dictionary_hold_no_thread(any_dict: PersiDict[Any]) -> None:
    """More of them than threads would wait for each other for ever."""

    async def run() -> None:
        async with AsyncDict(any_dict, threads=1, requests=1) as d:

            async def count(n: int) -> int:
                await d.set("other", n)
                other: int = await d["other"]
                return n + other + 1

            async with asyncio.timeout(30):
                await asyncio.gather(*(d.transform_item(f"k{i}", count, default=0) for i in range(5)))
            assert await d.get_many([f"k{i}" for i in range(5)]) == {(f"k{i}",): 1 for i in range(5)}

    asyncio.run(run())


def test_values_that_are_large_come_back_whole(any_dict: PersiDict[Any]) -> None:
    values = {f"k{n}": bytes([n]) * (n * 700_000) for n in range(4)}

    async def run() -> None:
        async with AsyncDict(any_dict, threads=2) as d:
            await d.set_many(values)
            await asyncio.gather(*(d.set(key, value) for key, value in values.items()))
            for key, value in values.items():
                assert await d[key] == value
            assert {key[0]: value async for key, value in d.items()} == values

    asyncio.run(run())


def test_an_iteration_may_be_left_early(any_dict: PersiDict[Any]) -> None:
    any_dict.update({f"k{n}": n for n in range(60)})

    async def run() -> None:
        async with AsyncDict(any_dict, threads=2) as d:
            for iterate in (d.keys, d.values, d.items, d.items_and_timestamps):
                async with aclosing(iterate()) as found:  # type: ignore[type-var] # it is a generator
                    async for _ in found:
                        break
            assert await d.len() == 60

    asyncio.run(run())


def test_a_user_s_stop_iteration_does_not_hang(any_dict: PersiDict[Any]) -> None:
    """A future cannot carry it, and a coroutine cannot raise it."""

    def stop(_: Any) -> Any:
        raise StopIteration

    async def run() -> None:
        async with AsyncDict(any_dict) as d, asyncio.timeout(30):
            with pytest.raises(RuntimeError, match="StopIteration"):
                await d.transform_item("a", stop)

    asyncio.run(run())


def test_wrong_arguments_are_refused_and_named() -> None:
    wrong: Any = {}
    with pytest.raises(TypeError, match="dictionary must be a PersiDict"):
        AsyncDict(wrong)
    values: list[Any] = ["3", 1.5, None]
    for name in ("threads", "requests"):
        for value in values:
            with pytest.raises(TypeError, match=name):
                AsyncDict(LocalDict(), **{name: value})
        with pytest.raises(ValueError, match=name):
            AsyncDict(LocalDict(), **{name: 0})


def test_what_cannot_be_awaited_is_refused_and_does_not_go_on_for_ever() -> None:
    d: Any = AsyncDict(LocalDict())
    with pytest.raises(TypeError, match=r"await d\.contains\(key\)"):
        "a" in d  # noqa: B015
    with pytest.raises(TypeError, match="not iterable"):
        list(d)


def test_it_is_not_pickled() -> None:
    with pytest.raises(TypeError, match="dictionary"):
        pickle.dumps(AsyncDict(LocalDict()))


def test_run_refuses_coroutine_functions_and_names_the_ways() -> None:
    async def length(d: PersiDict[Any]) -> int:
        return len(d)

    async def main() -> None:
        async with AsyncDict(LocalDict[Any]()) as d:
            for function in (length, Lengths()):
                with pytest.raises(TypeError, match=r"function must be a plain function.*wait_for"):
                    _ = await d.run(function)

    asyncio.run(main())


class Lengths:
    async def __call__(self, d: PersiDict[Any]) -> int:
        return len(d)


def test_without_an_event_loop_of_asyncio_the_error_names_it() -> None:
    call = AsyncDict(LocalDict[Any]()).get("a")
    with pytest.raises(RuntimeError, match="AsyncDict needs a running event loop of asyncio"):
        call.send(None)
