"""Many writers: threads, processes started either way, and none of their edits is lost."""

import asyncio
import copy
import json
import os
import pickle
import secrets
import threading
from pathlib import Path
from typing import Any

import pytest
from crews import METHODS, Method, run_crew, same, times
from s3.servers import Server

from perkey import ConcurrencyConflictError, FileDirDict, LocalDict
from perkey.synced import JSONDict, synced
from perkey.synced.document import Document, State
from synced.places import Place
from synced.workers import append, count_up, count_up_in_blocks, open_place, set_keys

KEYS, COUNTS = times(50, 200), times(60, 250)


def check_counts(place: tuple[str, ...], method: Method, keys: int, counts: int) -> None:
    run_crew(method, same(4, set_keys, place, keys))
    assert sorted(open_place(place)) == sorted(f"{worker}-{n}" for worker in range(4) for n in range(keys))
    open_place(place).clear()
    run_crew(method, same(4, count_up, place, counts))
    assert open_place(place) == {"n": 4 * counts}


def check_races(place: tuple[str, ...], method: Method, keys: int, counts: int) -> None:
    check_counts(place, method, keys, counts)
    run_crew(method, same(2, count_up_in_blocks, place, counts // 4))
    assert open_place(place) == {"n": 4 * counts + 2 * (counts // 4)}
    run_crew(method, same(4, append, place, counts // 4))
    items = open_place(place)["items"]()
    assert sorted(items) == sorted([worker, n] for worker in range(4) for n in range(counts // 4))
    for worker in range(4):
        assert [n for w, n in items if w == worker] == list(range(counts // 4))


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_lost_in_a_file(tmp_path: Path, method: Method) -> None:
    check_races(("file", str(tmp_path / "data.json")), method, KEYS, COUNTS)
    assert os.listdir(tmp_path) == ["data.json"]


def test_nothing_is_lost_in_a_dictionary_of_files(tmp_path: Path) -> None:
    check_races(("items", str(tmp_path)), "fork", KEYS, COUNTS)


@pytest.mark.backends("Redis")
def test_nothing_is_lost_in_redis(place: Place, redis_socket: str) -> None:
    check_races(("redis", redis_socket, secrets.token_hex(8)), "forkserver", KEYS, COUNTS)


def test_nothing_is_lost_in_s3(moto_server: Server) -> None:
    where = ("s3", moto_server.endpoint, f"synced-{secrets.token_hex(8)}")
    check_counts(where, "forkserver", times(5, 200), times(8, 250))


def test_threads_lose_nothing_anywhere(place: Place) -> None:
    """On one handle, and on one each; also where there is no compare-and-swap between processes."""
    shared = place.dict(data={"n": 0})

    def work(number: int) -> None:
        own = place.dict(data={"n": 0})
        for n in range(5):
            shared[f"{number}-{n}"] = n
            own.transform(lambda data: {**data, "n": data["n"] + 1})

    run_crew("thread", same(4, work))
    assert len(shared) == 21
    assert shared["n"] == 20


def test_an_edit_that_is_overtaken_begins_again(place: Place) -> None:
    """Each time between its reading and its writing another writer comes."""
    d, rival = place.dict(), place.dict()
    attempts = []

    def slow(data: Any) -> Any:
        attempts.append(data)
        if len(attempts) <= 3:
            rival[f"rival {len(attempts)}"] = 1
        return {**data, "mine": len(attempts)}

    d.transform(slow)
    assert place.get() == {"rival 1": 1, "rival 2": 1, "rival 3": 1, "mine": 4}
    assert [len(seen) for seen in attempts] == [0, 1, 2, 3]


def test_a_block_that_is_overtaken_is_an_error_and_writes_nothing(place: Place) -> None:
    d, rival = place.dict(), place.dict()
    with pytest.raises(ConcurrencyConflictError, match="overtaken"), d.editing():
        d["n"] = 1
        rival["theirs"] = 1
    assert place.get() == d == {"theirs": 1}
    with d.editing():
        d["n"] = 1
    assert place.get() == {"theirs": 1, "n": 1}


def test_a_block_that_only_reads_is_never_overtaken(place: Place) -> None:
    d, rival = place.dict(data={"n": 0}), place.dict()
    with d.editing():
        rival["theirs"] = 1
        assert d == {"n": 0}
    assert d == {"theirs": 1}


def test_a_block_is_of_one_thread(tmp_path: Path) -> None:
    d = JSONDict(tmp_path / "data.json")
    seen = []
    with d.editing():
        d["a"] = 1
        thread = threading.Thread(target=lambda: seen.append(d()))
        thread.start()
        thread.join()
    assert seen == [{}]
    assert d == {"a": 1}


def test_a_task_that_outlives_a_block_edits_the_document(tmp_path: Path) -> None:
    d = JSONDict(tmp_path / "data.json")

    async def later() -> None:
        d["inside"] = 1
        await asyncio.sleep(0)
        await left.wait()
        d["outside"] = 1

    async def main() -> None:
        with d.editing():
            task = asyncio.create_task(later())
            await asyncio.sleep(0)
            d["main"] = 1
        left.set()
        await task

    left = asyncio.Event()
    asyncio.run(main())
    assert JSONDict(tmp_path / "data.json") == {"inside": 1, "main": 1, "outside": 1}


def test_augmented_assignment_of_a_list_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`d["l"] += [1]` ends with an assignment of the list to itself, which must not write what it read."""
    d, rival = JSONDict(tmp_path / "data.json"), JSONDict(tmp_path / "data.json")
    d["l"] = [[0]]
    attempts, theirs = [], []
    commit = Document.commit

    def after_a_rival(self: Document, old: State, data: Any) -> None:
        if self is d.__perkey_access__.document:
            attempts.append(data)
            if len(attempts) % 2:
                theirs.append(len(attempts))
                rival["l"].append(theirs[-1])
        commit(self, old, data)

    monkeypatch.setattr(Document, "commit", after_a_rival)
    d["l"] += ["mine"]
    d["l"][0] += [1]
    assert d["l"][0] == [0, 1]
    assert [item for item in d["l"][1:] if item != "mine"] == theirs
    assert len(attempts) == 4


def test_handles_travel(tmp_path: Path) -> None:
    d = JSONDict(tmp_path / "data.json", data={"a": {"b": [1]}}, allow_nan=False)
    there = pickle.loads(pickle.dumps(d["a"]["b"]))
    there.append(2)
    with pytest.raises(ValueError, match="not a number"):
        there.append(float("nan"))
    assert d == pickle.loads(pickle.dumps(d)) == copy.deepcopy(d) == {"a": {"b": [1, 2]}}
    items = FileDirDict(tmp_path / "items")
    item = pickle.loads(pickle.dumps(synced(items, "key")))
    item["x"] = 1
    assert items["key"] == {"x": 1}


def test_a_handle_that_is_buffered_travels_unbuffered(tmp_path: Path) -> None:
    d = JSONDict(tmp_path / "data.json")
    with d.buffered:
        d["a"] = 1
        assert pickle.loads(pickle.dumps(d)) == {}
    assert d == {"a": 1}


def test_forked_children_use_their_parents_handle(tmp_path: Path) -> None:
    d = JSONDict(tmp_path / "data.json")
    d["parent"] = 1

    def work(number: int) -> None:
        d[str(number)] = number

    run_crew("fork", same(3, work))
    assert d == {"parent": 1, "0": 0, "1": 1, "2": 2}


def test_readers_never_see_a_part(tmp_path: Path) -> None:
    d = JSONDict(tmp_path / "data.json", data={"a": 0, "b": [0] * 100})
    stop = threading.Event()

    def write() -> None:
        for n in range(times(100, 1000)):
            d.reset({"a": n, "b": [n] * 100})
        stop.set()

    def read() -> None:
        own = JSONDict(tmp_path / "data.json", data=d())
        while not stop.is_set():
            for reader in (own, d):
                data = reader()
                assert data["b"] == [data["a"]] * 100

    run_crew("thread", [write, read, read])


def test_what_is_put_into_memory_is_nobody_elses() -> None:
    items = LocalDict(file_type="json")
    d = synced(items, "a")
    d["x"] = [1]
    items["a"]["x"].append(2)
    assert d == {"x": [1]}
    assert json.dumps(items["a"]) == '{"x": [1]}'
