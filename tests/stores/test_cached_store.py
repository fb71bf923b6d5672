"""A cache that fails, lies or is damaged is a miss, and nobody is the wiser."""

from __future__ import annotations

import errno
import os

import pytest

from perkey.errors import BackendError
from perkey.stores import CachedStore, DirectoryStore, MemoryStore
from perkey.testing import FaultyStore
from perkey.testing.stores.suite import A, content_and_version, drained

LARGE = os.urandom(5000)


class Places:
    """A main store in a folder, and caches in front of it that can be disturbed."""

    def __init__(self, base: str) -> None:
        self.main = FaultyStore(DirectoryStore(base, durability="none"))
        self.cache = FaultyStore(MemoryStore())
        self.store = CachedStore(self.main, self.cache)


@pytest.fixture
def places(tmp_path: os.PathLike[str]) -> Places:
    return Places(os.fspath(tmp_path))


@pytest.fixture(params=["disk", "service"])
def failure(request: pytest.FixtureRequest) -> Exception:
    """What a cache in a folder fails with, or one in a bucket."""
    if request.param == "disk":
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return BackendError("not to be reached", backend="s3", operation="any")


def test_an_unchanged_item_costs_the_main_store_one_read_without_transfer(places: Places) -> None:
    version = places.store.write(A, LARGE)
    before = places.main.calls.copy()
    assert content_and_version(places.store, A) == (LARGE, version)
    assert places.main.calls - before == {"read": 1}
    assert places.main.inner.read(A, unless=version) is None


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("limit", [None, 100])
def test_a_cache_that_takes_nothing_changes_no_content(
    places: Places, failure: Exception, when: str, limit: int | None
) -> None:
    """Also where the cache has taken all of it before it fails: what is returned is at its start."""
    version = places.main.inner.write(A, LARGE)
    places.cache.fail("write", failure, nth=None, when="after" if when == "after" else "before")
    for _ in range(2):
        assert drained(places.store.read(A, limit=limit)) == (LARGE, version)


def test_a_cache_that_cannot_be_read_is_a_miss(places: Places, failure: Exception) -> None:
    version = places.store.write(A, LARGE)
    places.cache.fail("read", failure, nth=None)
    assert content_and_version(places.store, A) == (LARGE, version)


def test_a_cache_that_forgets_nothing_hides_no_removal(places: Places, failure: Exception) -> None:
    places.store.write(A, b"one")
    places.cache.fail("remove", failure, nth=None)
    places.store.remove(A)
    with pytest.raises(KeyError):
        places.store.read(A)
    version = places.main.inner.write(A, b"two")
    assert content_and_version(places.store, A) == (b"two", version)


@pytest.mark.parametrize("limit", [None, 100])
def test_a_damaged_entry_is_a_miss_at_every_length(places: Places, limit: int | None) -> None:
    version = places.store.write(A, b"content")
    entry = content_and_version(places.cache.inner, A)[0]
    for length in range(len(entry)):
        places.cache.inner.write(A, entry[:length])
        assert drained(places.store.read(A, limit=limit)) == (b"content", version)


@pytest.mark.parametrize("limit", [None, 1])
def test_a_damaged_entry_is_a_miss_whichever_byte_is_changed(places: Places, limit: int | None) -> None:
    version = places.store.write(A, b"content")
    entry = content_and_version(places.cache.inner, A)[0]
    for position in range(len(entry)):
        places.cache.inner.write(
            A, entry[:position] + bytes([entry[position] ^ 0x55]) + entry[position + 1 :]
        )
        assert drained(places.store.read(A, limit=limit)) == (b"content", version)


def test_a_cache_in_files_heals_itself(tmp_path: os.PathLike[str]) -> None:
    """As the one in memory, but its entries come as open files."""
    main = MemoryStore()
    cache = DirectoryStore(os.path.join(tmp_path, "cache"), durability="none")
    store = CachedStore(main, cache)
    version = store.write(A, LARGE)
    entry = content_and_version(cache, A)[0]
    for length in range(0, len(entry), 97):
        cache.write(A, entry[:length])
        assert drained(store.read(A, limit=10)) == (LARGE, version)
        healed = content_and_version(cache, A)[0]  # but for its time
        assert (len(healed), healed[-len(LARGE) :]) == (len(entry), entry[-len(LARGE) :])


def test_an_older_entry_that_a_slow_reader_puts_back_is_not_believed(places: Places) -> None:
    """1. reader: read the old content   2. writer: writes anew, caches   3. reader: caches the old."""
    other = CachedStore(places.main.inner, places.cache.inner)
    places.main.inner.write(A, b"old")
    newer: list[str] = []
    places.cache.on("write", lambda: newer.append(other.write(A, b"new")), nth=1)
    assert content_and_version(places.store, A)[0] == b"old"
    assert content_and_version(places.store, A) == (b"new", newer[0])


def test_a_trusting_store_asks_the_main_one_only_once(places: Places) -> None:
    version = places.main.inner.write(A, LARGE)
    trusting = CachedStore(places.main, places.cache, trusting=True)
    for _ in range(3):
        assert content_and_version(trusting, A) == (LARGE, version)
        assert trusting.exists(A)
        assert trusting.read(A, unless=version) is None
    assert places.main.calls == {"read": 1}
