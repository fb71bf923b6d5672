"""The local cache of a dictionary in a bucket: never older than the bucket, bounded, healing itself."""

import errno
import os
import pickle
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Self

import pytest
from crews import times
from moto import mock_aws

from perkey import FileDirDict
from perkey.content import STREAM_ABOVE, close
from perkey.dicts.s3 import S3Dict
from perkey.stores import CachedStore, DirectoryStore
from perkey.stores.folder.cache import CacheFolder
from s3 import workers
from s3.crews import Crew
from s3.engines import any_engine
from s3.places import EngineName, Place
from s3.proxy import Proxy
from s3.servers import Server, client_of

Dict = S3Dict[Any]
OWN = ".@perkey-cache"


@pytest.fixture
def place(proxy: Proxy, bucket: str, engine: EngineName) -> Place:
    return Place(proxy.endpoint, bucket, engine)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def entries(folder: Path) -> list[Path]:
    return [path for path in (folder / OWN).iterdir() if path.name != ".@perkey-ledger"]


def statuses(proxy: Proxy) -> list[int]:
    return [reply.status for reply in proxy.replies]


# --- Damage -----------------------------------------------------------------------------------------

SMALL = {"some": "value", "list": list(range(50))}
LARGE = workers.noise(1, 3 << 20)


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def cut_in_its_header(path: Path) -> None:
    os.truncate(path, 7)


def shortened_by_a_byte(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def lengthened(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x")


def garbled(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-20] + bytes(byte ^ 1 for byte in content[-20:]))


def filled_with_zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def filled_with_something_else(path: Path) -> None:
    path.write_bytes(b"something else altogether" * 1000)


def deleted(path: Path) -> None:
    path.unlink()


DAMAGES = [
    *(truncated, emptied, cut_in_its_header, shortened_by_a_byte, lengthened),
    *(garbled, filled_with_zeros, filled_with_something_else, deleted),
]


@any_engine
@pytest.mark.parametrize("value", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_entry_is_fetched_again_and_mended(
    damage: Callable[[Path], None], value: Any, place: Place, proxy: Proxy, folder: Path
) -> None:
    place.open()["a"] = value
    d = place.open_cached(folder)
    assert d["a"] == value
    (entry,) = entries(folder)
    damage(entry)
    proxy.forget()
    assert [d["a"], d["a"]] == [value, value]
    assert statuses(proxy) == [200, 304]


def test_every_byte_of_an_entry_counts(ministack: Server, bucket: str, folder: Path) -> None:
    """Whichever one changes, no other value is read."""
    place = Place(ministack.endpoint, bucket)
    d = place.open_cached(folder)
    d["a"] = "value"
    (entry,) = entries(folder)
    sound = entry.read_bytes()
    for position in range(len(sound)):
        damaged = bytearray(sound)
        damaged[position] ^= 0x55
        entry.write_bytes(damaged)
        assert d["a"] == "value"
    for position in range(21, 21 + 32):  # of the version: what no header of a request may have in it
        for byte in b"\0\n\r":
            entry.write_bytes(sound[:position] + bytes([byte]) + sound[position + 1 :])
            assert d["a"] == "value"


@any_engine
def test_a_cache_deleted_under_a_dictionary_is_made_anew(place: Place, proxy: Proxy, folder: Path) -> None:
    import shutil

    d = place.open_cached(folder)
    d["a"] = 1
    shutil.rmtree(folder)
    assert d["a"] == 1
    proxy.forget()
    assert d["a"] == 1
    assert statuses(proxy) == [304]
    shutil.rmtree(folder)
    d["a"] = 2
    assert d["a"] == 2


@any_engine
def test_trusted_values_are_fetched_again_if_their_entries_are_gone_or_damaged(
    place: Place, proxy: Proxy, folder: Path
) -> None:
    d = place.open_cached(folder, immutable_items=True)
    d.update({"a": 1, "b": 2})
    for damage in (garbled, deleted):
        for entry in entries(folder):
            damage(entry)
        proxy.forget()
        assert d.get_many(["a", "b"]) == {("a",): 1, ("b",): 2}
        assert proxy.counts == {"get": 2}


# --- Others change what is cached -------------------------------------------------------------------


@any_engine
def test_what_others_change_is_seen_at_once(place: Place, folder: Path) -> None:
    d, other = place.open_cached(folder), place.open()
    for number in range(3):
        other["a"] = number
        assert d["a"] == number
    del other["a"]
    assert "a" not in d
    with pytest.raises(KeyError):
        d["a"]
    other["a"] = 7
    assert d["a"] == 7


@any_engine
def test_an_old_entry_put_back_into_the_cache_is_not_used(place: Place, folder: Path) -> None:
    """As by a slow process that writes to the cache what it read long ago."""
    d = place.open_cached(folder)
    d["a"] = "old"
    (entry,) = entries(folder)
    old = entry.read_bytes()
    d["a"] = "new"
    entry.write_bytes(old)
    assert [d["a"], d["a"]] == ["new", "new"]


def test_rising_numbers_never_fall_for_processes_with_one_cache(
    server: Server, bucket: str, folder: Path, crew: Crew
) -> None:
    place = Place(server.endpoint, bucket)
    place.open()["rising"] = -1
    crew.run(workers.read_cached, place, str(folder), times(40, 1000))
    d = place.open_cached(folder)
    assert [d["rising"], d["rising"]] == [times(40, 1000) - 1] * 2


# --- Whose entries ----------------------------------------------------------------------------------


@pytest.mark.parametrize("immutable_items", [False, True])
def test_dictionaries_in_different_places_do_not_meet_in_one_cache(
    immutable_items: bool, ministack: Server, moto_server: Server, bucket: str, folder: Path
) -> None:
    """Not those in other buckets, prefixes or types, and not those reached by a client of one's own."""
    places: list[Callable[[], Dict]] = [
        lambda: Place(ministack.endpoint, bucket).open_cached(folder, immutable_items=immutable_items),
        lambda: Place(ministack.endpoint, bucket + "2").open_cached(folder, immutable_items=immutable_items),
        lambda: Place(ministack.endpoint, bucket, prefix="other").open_cached(
            folder, immutable_items=immutable_items
        ),
        lambda: Place(ministack.endpoint, bucket).open_cached(
            folder, file_type="json", immutable_items=immutable_items
        ),
        *(
            lambda endpoint=endpoint: Place(None, bucket + "3").open_cached(
                folder, client=client_of(endpoint), immutable_items=immutable_items
            )
            for endpoint in (ministack.endpoint, moto_server.endpoint)
        ),
    ]
    for number, make in enumerate(places):
        make()["a"] = number
    for _ in range(2):
        assert [make()["a"] for make in places] == list(range(len(places)))


def test_what_was_cached_while_items_could_change_is_not_trusted(
    ministack: Server, bucket: str, folder: Path
) -> None:
    place = Place(ministack.endpoint, bucket)
    place.open_cached(folder)["a"] = "old"
    place.open()["a"] = "new"
    assert place.open_cached(folder, immutable_items=True)["a"] == "new"


def test_services_named_by_the_environment_do_not_meet_in_one_cache(
    ministack: Server, moto_server: Server, bucket: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for server in (ministack, moto_server):
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
        d = S3Dict[str](bucket, "us-east-1", base_dir=folder, immutable_items=True)
        assert "a" not in d
        assert d.get("a") is None
        d["a"] = server.endpoint
        assert pickle.loads(pickle.dumps(d))["a"] == server.endpoint


def test_what_moto_said_is_forgotten_with_it(bucket: str, folder: Path) -> None:
    for number in range(2):
        with mock_aws():
            d = S3Dict[int](bucket, "us-east-1", base_dir=folder, immutable_items=True)
            assert "a" not in d
            assert d.setdefault("a", number) == number


@any_engine
def test_another_users_cache_can_be_read(
    place: Place, proxy: Proxy, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when it is time to note that it was used, which only its owner may."""

    def not_ours(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    d = place.open_cached(folder, immutable_items=True)
    d["a"] = 1
    make_older(folder)
    monkeypatch.setattr("os.utime", not_ours)
    proxy.forget()
    assert [d["a"], d["a"]] == [1, 1]
    assert statuses(proxy) == []


@any_engine
def test_a_part_and_the_whole_share_their_entries(place: Place, proxy: Proxy, folder: Path) -> None:
    d = place.open_cached(folder)
    d["part", "a"] = 1
    proxy.forget()
    assert d.get_subdict("part")["a"] == 1
    assert statuses(proxy) == [304]


def test_by_choice_there_is_no_cache(ministack: Server, bucket: str, tmp_path: Path) -> None:
    d: Dict = S3Dict(bucket, "us-east-1", "pre", None, endpoint_url=ministack.endpoint)
    d["a"] = 1
    assert d["a"] == 1
    assert d.get_params()["base_dir"] is None
    assert list(tmp_path.iterdir()) == []


# --- Size -------------------------------------------------------------------------------------------


class Sampler:
    """Measures a cache folder again and again, each time while nobody may add to it."""

    def __init__(self, cache: CacheFolder, folder: Path) -> None:
        self._cache, self._folder = cache, folder
        self.samples: list[int] = []

    def measure(self) -> None:
        with self._cache._ledger():
            self.samples.append(sum(size_if_there(path) for path in entries(self._folder)))

    def __enter__(self) -> Self:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def _run(self) -> None:
        while not self._over.wait(0.005):
            self.measure()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self.measure()


def size_if_there(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def test_the_bound_holds_under_eight_writers(
    ministack: Server, bucket: str, folder: Path, crew: Crew
) -> None:
    bound = 300_000
    place = Place(ministack.endpoint, bucket)
    place.open()["first"] = 1
    with Sampler(CacheFolder(folder, max_bytes=bound), folder) as sampler:
        for _ in range(20):
            crew.run(workers.fill_cache, place, str(folder), bound, times(20, 300))
            if len(sampler.samples) > 10:
                break
    assert len(sampler.samples) > 10
    assert max(sampler.samples) <= bound
    assert max(sampler.samples) > bound / 2, "the cache was not used"


@pytest.fixture
def cache(folder: Path) -> CacheFolder:
    return CacheFolder(folder, max_bytes=100_000)


def name(number: int) -> tuple[str]:
    return (f"{number}.pkl",)


def kept(cache: CacheFolder, count: int) -> list[int]:
    def is_there(number: int) -> bool:
        try:
            return cache.read(name(number)) is not None
        except KeyError:
            return False

    return [number for number in range(count) if is_there(number)]


def make_older(folder: Path) -> None:
    """Let an hour pass."""
    for path in entries(folder):
        found = path.stat()
        os.utime(path, (found.st_atime - 3600, found.st_mtime - 3600))


def test_the_least_recently_used_go_first(cache: CacheFolder, folder: Path) -> None:
    for number in range(9):
        cache.write(name(number), bytes(10_000))
        make_older(folder)
    cache.read(name(0))
    cache.read(name(3))
    for number in range(9, 12):
        cache.write(name(number), bytes(10_000))
    left = kept(cache, 12)
    assert {0, 3, 9, 10, 11} <= set(left)
    assert set(left) < set(range(12))
    gone = sorted(set(range(12)) - set(left))
    assert gone == [number for number in (1, 2, 4, 5, 6, 7, 8) if number <= max(gone)]


def test_what_is_larger_than_the_cache_is_not_kept_and_pushes_nothing_out(cache: CacheFolder) -> None:
    cache.write(name(0), bytes(10_000))
    cache.write(name(1), bytes(100_001))
    assert kept(cache, 2) == [0]


def test_a_large_value_is_kept_and_read_a_piece_at_a_time(folder: Path, tmp_path: Path) -> None:
    size = 32 << 20
    main = DirectoryStore(tmp_path / "main", durability="none")
    version = main.write(name(0), os.urandom(size))
    store = CachedStore(main, CacheFolder(folder, max_bytes=2 * size))
    tracemalloc.start()
    try:
        for _ in range(2):  # from the main store, and from the cache
            found = store.read(name(0), limit=STREAM_ABOVE)
            assert found is not None
            assert found[1] == version
            close(found[0])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < size / 4
    assert sum(map(size_if_there, entries(folder))) > size


def test_a_large_value_that_is_too_large_for_the_cache_is_not_even_read(cache: CacheFolder) -> None:
    class Unread:
        def __len__(self) -> int:
            return 100_001

        def write_to(self, file: BinaryIO) -> None:
            raise AssertionError(file)

    cache.write(name(0), Unread())
    assert kept(cache, 1) == []


def test_what_grows_too_large_is_no_longer_kept(cache: CacheFolder) -> None:
    """The old entry would be of no use to anybody."""
    cache.write(name(0), bytes(10_000))
    cache.write(name(0), bytes(100_001))
    assert kept(cache, 1) == []


@pytest.mark.parametrize("entry", [None, b"", b"\0", b"\0" * 8, b"\xff" * 8, b"\xff" * 100])
def test_the_bound_holds_whatever_became_of_the_ledger(
    entry: bytes | None, cache: CacheFolder, folder: Path
) -> None:
    ledger = folder / OWN / ".@perkey-ledger"
    for number in range(30):
        if entry is None:
            ledger.unlink(missing_ok=True)
        elif number == 15:
            ledger.write_bytes(entry)
        cache.write(name(number), bytes(10_000))
    cache.write(name(30), bytes(30_000))
    for number in range(31, 50):
        cache.write(name(number), bytes(10_000))
    assert sum(map(size_if_there, entries(folder))) <= 100_000


def test_leftovers_of_dead_writers_are_counted_and_go(cache: CacheFolder, folder: Path) -> None:
    cache.write(name(0), bytes(10))
    (folder / OWN / ".@perkey-left-by-a-dead-writer").write_bytes(bytes(80_000))
    make_older(folder)
    for number in range(1, 30):
        cache.write(name(number), bytes(10_000))
    assert sum(map(size_if_there, entries(folder))) <= 100_000


def test_what_others_keep_in_the_folder_is_neither_counted_nor_removed(folder: Path) -> None:
    """A cache was once made in a folder of results, and made room for itself."""
    others = FileDirDict[int](folder, durability="none")
    others.update({f"key{number}": number for number in range(20)})
    (folder / "dataset.h5").write_bytes(bytes(200_000))
    before = dict(others)
    cache = CacheFolder(folder, max_bytes=100_000)
    for number in range(30):
        cache.write(name(number), bytes(10_000))
    assert len(kept(cache, 30)) >= 5
    assert dict(others) == before
    assert len(others) == 20
    assert list(others.subdicts()) == []
    others.clear()
    assert sorted(path.name for path in folder.iterdir()) == [OWN, "dataset.h5"]
    assert len(kept(cache, 30)) >= 5


def test_a_bound_must_be_positive(folder: Path) -> None:
    with pytest.raises(ValueError, match="max_bytes"):
        CacheFolder(folder, max_bytes=0)
    with pytest.raises(ValueError, match="max_bytes"):
        Place(None, "b").open_cached(folder, max_bytes=-1)


def test_reading_marks_an_entry_as_used_once_a_minute_only(cache: CacheFolder, folder: Path) -> None:
    cache.write(name(0), b"x")
    (entry,) = entries(folder)
    before = time.time() - 30
    os.utime(entry, (before, before))
    cache.read(name(0))
    assert abs(entry.stat().st_mtime - before) < 1
    os.utime(entry, (before - 60, before - 60))
    cache.read(name(0))
    assert entry.stat().st_mtime > before
