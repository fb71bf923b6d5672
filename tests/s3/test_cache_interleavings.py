"""Two processes on one cache folder: every order of their steps, on the bucket and on the cache."""

import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from perkey.content import Content, Data
from perkey.expectations import Version
from perkey.naming import Name
from perkey.stores import CachedStore, MemoryStore, Store
from perkey.stores.folder.cache import CacheFolder
from perkey.testing import FaultyStore
from s3.places import Place

HANG = 60.0


class GatedCache:
    """A cache whose every use is a step."""

    def __init__(self, folder: Path, gate: Callable[[], object]) -> None:
        self._folder = CacheFolder(folder, max_bytes=1 << 22)
        self._gate = gate

    def read(self, name: Name, *, limit: int | None = None) -> tuple[Content, Version] | None:
        self._gate()
        return self._folder.read(name, limit=limit)

    def write(self, name: Name, data: Data) -> None:
        self._gate()
        self._folder.write(name, data)

    def remove(self, name: Name) -> None:
        self._gate()
        self._folder.remove(name)

    def describe(self) -> str:
        return self._folder.describe()


class Process:
    """Acts on handles of its own; before each step it waits for its turn.

    Attributes:
        validated: What was in the bucket at each look of this one.
        results: What its reads returned.
    """

    def __init__(self, objects: Store, folder: Path, name: Name, act: Callable[["Process"], object]) -> None:
        self._turn = threading.Semaphore(0)
        self._rest = threading.Semaphore(0)
        self._done = False
        self.name = name
        self.validated: list[bytes | None] = []
        self.results: list[bytes | None] = []
        main = FaultyStore(objects)
        main.on("write", self._gate)
        main.on("remove", self._gate)
        main.on("read", self._gate)
        # Nobody else moves between these two.
        main.on("read", lambda: self.validated.append(content_of(objects, name)))
        self.store = CachedStore(main, GatedCache(folder, self._gate))
        self._errors: list[Exception] = []
        threading.Thread(target=self._run, args=(act,), daemon=True).start()
        assert self._rest.acquire(timeout=HANG)

    def _run(self, act: Callable[["Process"], object]) -> None:
        try:
            act(self)
        except Exception as error:  # noqa: BLE001 - looked at when it has finished
            self._errors.append(error)
        self._done = True
        self._rest.release()

    def _gate(self) -> None:
        self._rest.release()
        assert self._turn.acquire(timeout=HANG)

    def step(self) -> None:
        """Let it do one step, if there is one left."""
        if not self._done:
            self._turn.release()
            assert self._rest.acquire(timeout=HANG), "a process hangs"

    def finish(self) -> None:
        """Let it do all that is left."""
        while not self._done:
            self.step()
        assert self._errors == []

    def read(self) -> None:
        self.results.append(content_of(self.store, self.name))


def content_of(store: Store, name: Name) -> bytes | None:
    try:
        found = store.read(name)
    except KeyError:
        return None
    assert found is not None
    assert isinstance(found[0], bytes)
    return found[0]


def writes(content: bytes) -> Callable[[Process], object]:
    return lambda process: process.store.write(process.name, content)


def reads(process: Process) -> None:
    process.read()


def reads_twice(process: Process) -> None:
    process.read()
    process.read()


def removes(process: Process) -> None:
    process.store.remove(process.name)


def orders(steps: dict[int, int]) -> Iterator[tuple[int, ...]]:
    """Return every order of so many steps of each process."""
    everything = [number for number, count in steps.items() for _ in range(count)]
    return iter(sorted(set(itertools.permutations(everything))))


SCENES: dict[str, list[tuple[Callable[[Process], object], int]]] = {
    # The step counts are those of the longest way: with writing what was read to the cache.
    "a writer and a reader": [(writes(b"new"), 2), (reads, 3)],
    "a writer and a reader that reads twice": [(writes(b"new"), 2), (reads_twice, 5)],
    "two writers and a reader": [(writes(b"one"), 2), (writes(b"two"), 2), (reads, 3)],
    "a writer, a remover and a reader": [(writes(b"new"), 2), (removes, 2), (reads, 3)],
}


@pytest.mark.usefixtures("moto_in_process")
@pytest.mark.parametrize("cached", [False, True], ids=["nothing cached", "cached at first"])
@pytest.mark.parametrize("scene", ["a writer and a reader", "a writer and a reader that reads twice"])
def test_a_read_is_never_older_than_what_it_validated(scene: str, cached: bool, tmp_path: Path) -> None:
    play_all_orders(Place(None, "interleavings").open().store, scene, cached, tmp_path)


@pytest.mark.parametrize("cached", [False, True], ids=["nothing cached", "cached at first"])
@pytest.mark.parametrize("scene", SCENES)
def test_the_same_is_true_in_front_of_any_store(scene: str, cached: bool, tmp_path: Path) -> None:
    play_all_orders(MemoryStore(), scene, cached, tmp_path)


@pytest.mark.long
@pytest.mark.usefixtures("moto_in_process")
@pytest.mark.parametrize("cached", [False, True], ids=["nothing cached", "cached at first"])
@pytest.mark.parametrize("scene", SCENES)
def test_the_same_is_true_of_all_scenes_in_a_bucket(scene: str, cached: bool, tmp_path: Path) -> None:
    play_all_orders(Place(None, "interleavings").open().store, scene, cached, tmp_path)


def play_all_orders(objects: Store, scene: str, cached: bool, folder: Path) -> None:
    tried = 0
    steps = {number: count for number, (_, count) in enumerate(SCENES[scene])}
    for tried, order in enumerate(orders(steps), 1):
        name = (f"{tried}.pkl",)
        (CachedStore(objects, CacheFolder(folder, max_bytes=1 << 22)) if cached else objects).write(
            name, b"old"
        )
        processes = [Process(objects, folder, name, act) for act, _ in SCENES[scene]]
        for number in order:
            processes[number].step()
        for process in processes:
            process.finish()
        for process in processes:
            assert process.results == process.validated[: len(process.results)], order
        fresh = CachedStore(objects, CacheFolder(folder, max_bytes=1 << 22))
        last = content_of(objects, name)
        assert [content_of(fresh, name), content_of(fresh, name)] == [last, last], order
    print(f"{scene}: {tried} orders")
    assert tried >= 10
