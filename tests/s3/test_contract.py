"""The contract of stores in buckets, and a smoke of that of dictionaries, below prefixes.

By default every server, each engine and the cache are met, among other items; with PERKEY_LONG=1 all
combinations, and in places that are empty at first, too. `test_without_boto.py` has the contract on the moto
server, and `test_object_store_dict.py` on ministack without conditions of removals.
"""

import random
import secrets
from typing import Any

import pytest
from contracts.dicts import PLAIN, TEXTS, AddOnlySmoke, DictSmoke, DictSuite, PolicySmoke

from perkey.expectations import ABSENT, ANY, Expectation
from perkey.mapping.persi_dict import PersiDict
from perkey.stores import CachedStore, Store
from perkey.stores.folder.cache import CacheFolder
from perkey.stores.objects import make_engine
from perkey.stores.objects.store import ObjectStore
from perkey.testing import StoreContract, WritingStoreContract
from perkey.testing.stores.conditions import RemovalClauses
from perkey.testing.stores.suite import NESTED, A, B, StoreSuite
from s3.places import EngineName, Place
from s3.servers import CEPH_ENDPOINT, Server

BUCKET = f"perkey-{secrets.token_hex(8)}"
"""One for all, because a bucket's endpoint is asked once what it supports; prefixes keep tests apart."""


class OverS3:
    """Where the tests of a class run."""

    empty_places_take_long = True

    server = ""
    engine: EngineName = "boto3"
    cached = False

    @pytest.fixture(autouse=True)
    def _server(self, request: pytest.FixtureRequest) -> None:
        found: Server | None = request.getfixturevalue(self.server)
        self.endpoint = found.endpoint if found else None

    def new_place(self) -> Place:
        return Place(self.endpoint, BUCKET, self.engine, f"{secrets.token_hex(8)}/pre/fix")


class ByBoto(OverS3):
    engine: EngineName = "boto3"


class ByObstore(OverS3):
    engine: EngineName = "obstore"


class Cached(OverS3):
    cached = True


class InMoto(ByBoto):
    """In this process, which obstore does not reach."""

    server = "moto_in_process"


class OnMoto(OverS3):
    server = "moto_server"


class OnMinistack(OverS3):
    server = "ministack"


class OnCeph(OverS3):
    server = "ceph"


# --- Stores -----------------------------------------------------------------------------------------


class S3Store(OverS3, StoreSuite):
    rounds = 2
    threads = 3

    def make_store(self) -> Store:
        return self._over(self.new_place().prefix)

    def reopen(self, store: Store) -> Store:
        objects = store.main if isinstance(store, CachedStore) else store
        assert isinstance(objects, ObjectStore)
        return self._over(objects.root_prefix)

    def _over(self, prefix: str) -> Store:
        engine = make_engine(
            self.engine,
            BUCKET,
            region="us-east-1",
            endpoint_url=self.endpoint,
            client=None,
            session=None,  # as most users have it
        )
        objects = ObjectStore(engine, prefix)
        folder = CacheFolder(self.tmp_path / "cache", max_bytes=1 << 25, owner=prefix)
        return CachedStore(objects, folder) if self.cached else objects

    def test_absent_items_are_told_as_key_errors_and_hold_nothing_up(self, store: Store) -> None:
        """One request removes many objects, and says the same of those that were absent."""
        names = [(f"{number}.pkl",) for number in range(20)]
        for name in names[::2]:
            store.write(name, b"x")
        read = dict(store.read_many(names))
        assert [isinstance(read[name], KeyError) for name in names] == [False, True] * 10
        assert dict(store.remove_many(names)) == dict.fromkeys(names)
        assert self.names(store) == []


class HonestStore(S3Store, StoreContract):
    """On a server that supports all conditions."""


class TestStoreInMoto(HonestStore, InMoto):
    pass


@pytest.mark.long
class TestCachedStoreInMoto(HonestStore, InMoto, Cached):
    pass


@pytest.mark.long
class TestStoreOnMotoByBoto(HonestStore, OnMoto, ByBoto):
    pass


@pytest.mark.long
class TestCachedStoreOnMotoByBoto(HonestStore, OnMoto, ByBoto, Cached):
    pass


@pytest.mark.long
class TestStoreOnMotoByObstore(HonestStore, OnMoto, ByObstore):
    pass


@pytest.mark.long
class TestCachedStoreOnMotoByObstore(HonestStore, OnMoto, ByObstore, Cached):
    pass


class GenerousStore(S3Store, WritingStoreContract):
    """Of several that remove one item at once more than one may believe that it was them."""

    verbs = ("read", "write", "write")

    def test_of_many_that_remove_an_item_one_does(self, store: Store, handles: list[Store]) -> None:
        for turn in range(self.rounds):
            name = (f"{turn}.pkl",)
            store.write(name, b"one")
            results = self.race(handles, lambda _, handle, name=name: handle.remove(name))  # type: ignore[misc]
            assert {type(result) for result in results} <= {type(None), KeyError}
            assert None in results
            assert not store.exists(name)


class MinistackStore(GenerousStore, RemovalClauses, OnMinistack):
    """Ministack compares removals, but takes that of an absent object for a success."""

    def test_to_remove_a_version_of_an_absent_item_is_a_conflict(self, store: Store) -> None:
        version = store.write(A, b"one")
        store.remove(A)
        for name in (A, B, NESTED):
            store.remove(name, expect=version)
        assert self.names(store) == []


@pytest.mark.long
class TestStoreOnMinistackByBoto(MinistackStore, ByBoto):
    pass


@pytest.mark.long
class TestCachedStoreOnMinistackByBoto(MinistackStore, ByBoto, Cached):
    pass


@pytest.mark.long
class TestStoreOnMinistackByObstore(MinistackStore, ByObstore):
    pass


@pytest.mark.slow
class TestCachedStoreOnMinistackByObstore(MinistackStore, ByObstore, Cached):
    pass


if CEPH_ENDPOINT:

    class CephStore(GenerousStore, OnCeph):
        """Ceph ignores conditions of DELETE; so they are refused.

        An unconditional write that loses a race against a conditional one is told that it succeeded: as if it
        had come first, but the other one was not told of that. So the two are not mixed here.
        """

        def _choose(self, verb: str, known: Expectation, plan: random.Random) -> Expectation:
            return ABSENT if known is ANY else known

    class TestStoreOnCephByBoto(CephStore, ByBoto):
        pass

    class TestCachedStoreOnCephByBoto(CephStore, ByBoto, Cached):
        pass

    class TestStoreOnCephByObstore(CephStore, ByObstore):
        pass

    class TestCachedStoreOnCephByObstore(CephStore, ByObstore, Cached):
        pass


# --- Dictionaries -----------------------------------------------------------------------------------


class S3Dictionary(OverS3, DictSuite):
    rounds = 2
    threads = 3
    time_resolution = 1.1
    settings: dict[str, Any] = {}  # noqa: RUF012 - never changed

    def make_dict(self, **params: Any) -> PersiDict[Any]:
        place = self.new_place()
        settings = {"session": None, **self.settings, **params}  # as most users have it
        return (
            place.open_cached(self.tmp_path / "cache", **settings) if self.cached else place.open(**settings)
        )

    def reopen(self, d: PersiDict[Any]) -> PersiDict[Any]:
        return type(d)(**d.get_params())


class Json(S3Dictionary):
    values = PLAIN
    settings = {"file_type": "json"}  # noqa: RUF012 - never changed


class Texts(S3Dictionary):
    values = TEXTS
    settings = {"file_type": "txt", "digest_len": 8}  # noqa: RUF012 - never changed


class TestDictInMoto(S3Dictionary, DictSmoke, InMoto):
    pass


@pytest.mark.long
class TestCachedDictInMoto(Json, DictSmoke, InMoto, Cached):
    pass


@pytest.mark.long
class TestDictOnMotoByBoto(Texts, DictSmoke, OnMoto, ByBoto):
    pass


@pytest.mark.long
class TestCachedDictOnMotoByBoto(S3Dictionary, DictSmoke, OnMoto, ByBoto, Cached):
    pass


@pytest.mark.long
class TestDictOnMotoByObstore(Json, DictSmoke, OnMoto, ByObstore):
    pass


@pytest.mark.slow
class TestCachedDictOnMotoByObstore(Texts, DictSmoke, OnMoto, ByObstore, Cached):
    pass


@pytest.mark.slow
class TestDictOnMinistackByBoto(Json, DictSmoke, OnMinistack, ByBoto):
    pass


@pytest.mark.long
class TestCachedDictOnMinistackByObstore(Json, DictSmoke, OnMinistack, ByObstore, Cached):
    pass


if CEPH_ENDPOINT:

    class CephDict(S3Dictionary, AddOnlySmoke, PolicySmoke, OnCeph):
        """Without what removes under a condition: Ceph would ignore it."""

    class TestDictOnCephByBoto(CephDict, ByBoto):
        pass

    class TestCachedDictOnCephByBoto(Json, CephDict, ByBoto, Cached):
        pass

    class TestDictOnCephByObstore(Texts, CephDict, ByObstore):
        pass

    class TestCachedDictOnCephByObstore(CephDict, ByObstore, Cached):
        pass
