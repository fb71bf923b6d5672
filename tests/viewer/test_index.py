"""The index: the first keys at once, the same answers as the dictionary, changes while a page is open."""

from __future__ import annotations

import fnmatch
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perkey import FileDirDict, LocalDict, PersiDict
from perkey.naming import Name
from perkey.stores import MemoryStore, Stat
from perkey.viewer import index as module
from perkey.viewer.index import Index
from viewer.conftest import until

PARTS = st.sampled_from(["a", "b", "A", "ab", "a-b", "a.b", "a_b", "0", "~", "a=20b"])
KEYS = st.lists(st.lists(PARTS, min_size=1, max_size=4).map(tuple), max_size=30, unique=True)


@pytest.fixture
def index_of() -> Iterator[Callable[[PersiDict[Any]], Index]]:
    """Return a function that makes an index, which is closed at the end."""
    made: list[Index] = []

    def make(d: PersiDict[Any]) -> Index:
        made.append(Index(d))
        return made[-1]

    yield make
    for each in made:
        each.close()


def complete(index: Index) -> Index:
    until(lambda: index.progress().complete)
    return index


@given(KEYS)
def test_it_answers_as_the_dictionary(keys: list[tuple[str, ...]]) -> None:
    d = LocalDict[Any](file_type="json")
    for number, key in enumerate(keys):
        d[key] = "x" * number
    index = Index(d)
    try:
        complete(index)
        texts = sorted("/".join(key) for key in d)
        assert [row.key for row in index.rows(order="key")] == texts
        assert [row.key for row in index.rows(order="key", descending=True)] == texts[::-1]
        sizes = [row.size for row in index.rows(order="size")]
        assert sizes == sorted(sizes)
        assert index.count() == len(texts) == index.progress().items
        assert sum(row.size for row in index.rows()) == index.progress().size
        for prefix in ("a", "a/b", "zz"):
            below = [text for text in texts if text == prefix or text.startswith(f"{prefix}/")]
            assert [row.key for row in index.rows(prefix=prefix, order="key")] == below
            assert index.count(prefix) == len(below)
        for search in ("a", "B", "a b", "_", "%", "a*b", "?", "\\", "a/"):
            words = [f"*{word.lower()}*" for word in search.split()]
            found = [text for text in texts if all(fnmatch.fnmatchcase(text.lower(), w) for w in words)]
            assert [row.key for row in index.rows(search=search, order="key")] == found, search
        assert walked(index, "", 2) == walked(index, "", 100) == texts
        assert sum(index.times(7)[2]) == sum(count for _, count in index.sizes()) == len(texts)
    finally:
        index.close()


def walked(index: Index, prefix: str, page: int) -> list[str]:
    """Return all keys of the tree, by pages of branches."""
    found, after = [], ""
    while branches := index.branches(prefix, after, page):
        for branch in branches:
            after = f"{branch.name}/" if branch.items else branch.name
            below = walked(index, branch.prefix, page) if branch.items else [branch.prefix]
            assert len(below) == max(1, branch.items)
            found += below
    return sorted(found)


class SlowStore(MemoryStore):
    """Lists 128 items at once, and waits before the rest."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()
        self.listings = 0

    def scan_sizes(self, prefix: Name = ()) -> Iterator[tuple[Name, Stat]]:
        self.listings += 1
        for number, item in enumerate(super().scan_sizes(prefix)):
            if number == 128:
                self.go_on.wait(20)
            yield item


def test_the_first_page_does_not_wait_for_the_listing(index_of: Callable[[PersiDict[Any]], Index]) -> None:
    store = SlowStore()
    d = PersiDict[Any](store, file_type="json")
    d.update({f"k{n}": n for n in range(1000)})
    index = index_of(d)
    progress = index.progress(101, timeout=20)
    assert (progress.items, progress.complete) == (128, False)
    assert len(index.rows(limit=100)) == 100
    store.go_on.set()
    assert complete(index).progress().items == 1000


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE", 0.05)


@pytest.mark.usefixtures("_quick")
def test_it_follows_changes(index_of: Callable[[PersiDict[Any]], Index], tmp_path: Path) -> None:
    d = FileDirDict[Any](tmp_path, file_type="json")
    d.update({"kept": 1, "changed": 1, "removed": 1})
    index = complete(index_of(d))
    state = index.progress().state
    numbers = {row.key: row.id for row in index.rows()}
    d["changed"], d["new"] = 22, 3
    del d["removed"]
    until(lambda: index.progress().items == 3 and {r.key for r in index.rows()} == {"kept", "changed", "new"})
    until(lambda: {row.key for row in index.rows() if row.changed > state} == {"changed", "new"})
    assert index.progress().state > state
    assert {row.key: row.id for row in index.rows()}["kept"] == numbers["kept"]
    now = index.progress().state
    time.sleep(0.3)
    assert index.progress().state == now, "without changes, pages stay as they are"


@pytest.mark.usefixtures("_quick")
def test_nothing_is_listed_while_no_page_is_open(
    index_of: Callable[[PersiDict[Any]], Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WATCHED", 0.2)
    store = SlowStore()
    index = index_of(PersiDict[Any](store, file_type="json"))
    time.sleep(0.1)
    assert store.listings == 0, "before the first page"
    complete(index)
    time.sleep(0.5)
    before = store.listings
    time.sleep(0.3)
    assert store.listings == before
    index.progress()
    until(lambda: store.listings > before)


class FailingStore(MemoryStore):
    """Fails in its first listing, after an item."""

    def __init__(self) -> None:
        super().__init__()
        self.fails = True

    def scan_sizes(self, prefix: Name = ()) -> Iterator[tuple[Name, Stat]]:
        for item in super().scan_sizes(prefix):
            yield item
            if self.fails:
                raise OSError("the network is down")


@pytest.mark.usefixtures("_quick")
def test_a_listing_that_fails_is_reported_and_tried_again(
    index_of: Callable[[PersiDict[Any]], Index],
) -> None:
    store = FailingStore()
    d = PersiDict[Any](store, file_type="json")
    d["a"] = 1
    index = index_of(d)
    until(lambda: index.progress().error == "the network is down")
    store.fails = False
    complete(index)
    assert (index.progress().error, index.progress().items) == ("", 1)


def test_memory_stays_flat(index_of: Callable[[PersiDict[Any]], Index]) -> None:
    class Endless(MemoryStore):
        def scan_sizes(self, prefix: Name = ()) -> Iterator[tuple[Name, Stat]]:
            return ((("part", f"item{n}.json"), Stat("1", float(n), n)) for n in range(60_000))

    d = PersiDict[Any](Endless(), file_type="json", digest_len=0)
    tracemalloc.start()
    try:
        complete(index_of(d))
        assert tracemalloc.get_traced_memory()[1] < 8 << 20  # names are cached: 16,384 of them
    finally:
        tracemalloc.stop()


def test_after_its_end_it_answers_with_nothing() -> None:
    index = Index(LocalDict[Any]())
    index.progress()
    index.close()
    index.close()
    assert (index.rows(), index.count(), index.branches()) == ([], 0, [])
    assert (index.times(3), index.sizes()) == ((0.0, 0.0, []), [])
