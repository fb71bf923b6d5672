"""A server that ignores every condition: they are refused by a clear error, and everything else works."""

import secrets
from collections.abc import Callable
from typing import Any

import pytest

from perkey.dicts.s3 import BasicS3Dict
from perkey.errors import UnsupportedConditionError
from perkey.jokers import (
    ANY_ETAG,
    DELETE_CURRENT,
    ETAG_HAS_CHANGED,
    ETAG_IS_THE_SAME,
    ITEM_NOT_AVAILABLE,
    KEEP_CURRENT,
)
from perkey.stores import Store
from perkey.stores.objects.store import ObjectStore
from perkey.testing.stores.bulk import BulkClauses
from perkey.testing.stores.contents import ContentClauses
from perkey.testing.stores.handles import HandleClauses
from perkey.testing.stores.items import ItemClauses
from perkey.testing.stores.listing import ListingClauses
from s3.engines import each_engine
from s3.places import EngineName, Place
from s3.servers import Server

Dict = BasicS3Dict[Any]


@pytest.fixture
def d(rclone: Server, bucket: str, engine: EngineName) -> Dict:
    d = Place(rclone.endpoint, bucket, engine).open()
    d["a"] = 1
    return d


def plus_one(value: Any) -> Any:
    return 1 if value is ITEM_NOT_AVAILABLE else value + 1


CONDITIONAL: dict[str, Callable[[Dict], object]] = {
    "insert": lambda d: d.set_item_if(
        "new", value=2, condition=ETAG_IS_THE_SAME, expected_etag=ITEM_NOT_AVAILABLE
    ),
    "swap": lambda d: d.set_item_if("a", value=2, condition=ETAG_IS_THE_SAME, expected_etag=d.etag("a")),
    "swap if changed": lambda d: d.set_item_if(
        "a", value=2, condition=ETAG_HAS_CHANGED, expected_etag="another"
    ),
    "setdefault": lambda d: d.setdefault("new", 2),
    "setdefault_if": lambda d: d.setdefault_if("new", default_value=2),
    "compared removal": lambda d: d.discard_if("a", condition=ETAG_IS_THE_SAME, expected_etag=d.etag("a")),
    "pop": lambda d: d.pop("a"),
    "popitem": lambda d: d.popitem(),
    "transform": lambda d: d.transform_item("a", transformer=plus_one),
    "transform absent": lambda d: d.transform_item("new", transformer=plus_one),
    "transform to nothing": lambda d: d.transform_item("a", transformer=lambda _: DELETE_CURRENT),
}


@each_engine
@pytest.mark.parametrize("name", CONDITIONAL)
def test_a_conditional_operation_is_refused_and_says_why_and_changes_nothing(
    name: str, d: Dict, rclone: Server, bucket: str
) -> None:
    for _ in range(2):  # found out, and remembered
        with pytest.raises(UnsupportedConditionError) as caught:
            CONDITIONAL[name](d)
        assert f"s3://{bucket}/" in str(caught.value)
        assert f"the endpoint {rclone.endpoint} ignores such conditions" in str(caught.value)
        assert "unconditional operations work" in str(caught.value)
    assert dict(d.items()) == {("a",): 1}


@each_engine
def test_questions_leave_nothing_behind(d: Dict, rclone: Server, bucket: str) -> None:
    for act in CONDITIONAL.values():
        with pytest.raises(UnsupportedConditionError):
            act(d)
    listed = rclone.client().list_objects_v2(Bucket=bucket)
    assert [found["Key"] for found in listed["Contents"]] == ["root/prefix/a.pkl"]


@each_engine
def test_immutable_items_cannot_be_promised(rclone: Server, bucket: str, engine: EngineName) -> None:
    d = Place(rclone.endpoint, bucket, engine).open(immutable_items=True)
    with pytest.raises(UnsupportedConditionError):
        d["a"] = 1
    assert len(d) == 0


@each_engine
def test_operations_without_a_condition_work(d: Dict) -> None:
    d["a"] = 2
    d["b", "c"] = 3
    d.update(e=4, f=5)
    assert d["a"] == 2
    assert "a" in d
    assert "none" not in d
    assert d.get("none") is None
    assert len(d) == 4
    assert dict(d.items()) == {("a",): 2, ("b", "c"): 3, ("e",): 4, ("f",): 5}
    assert set(d.subdicts()) == {"b"}
    assert d.setdefault("a", 7) == 2
    assert d.get_with_etag("a").new_value == 2
    assert d.get_item_if("a", condition=ETAG_IS_THE_SAME, expected_etag=d.etag("a")).condition_was_satisfied
    written = d.set_item_if("a", value=8, condition=ANY_ETAG, expected_etag=ITEM_NOT_AVAILABLE)
    assert (written.condition_was_satisfied, d["a"]) == (True, 8)
    assert d.transform_item("a", transformer=lambda _: KEEP_CURRENT).new_value == 8
    del d["a"]
    assert d.discard(("b", "c"))
    assert not d.discard("a")
    d.delete_many(["e"])
    d.clear()
    assert len(d) == 0


@pytest.mark.parametrize("large", [False, True])
def test_the_cache_works_where_versions_are_only_told(
    large: bool, rclone: Server, bucket: str, tmp_path: Any
) -> None:
    d = Place(rclone.endpoint, bucket).open_cached(tmp_path / "cache")
    value = b"x" * ((3 << 20) if large else 10)
    d["a"] = value
    assert [d["a"], d["a"]] == [value, value]
    d["a"] = 2
    assert [d["a"], d["a"]] == [2, 2]


class PlainStore(ItemClauses, ContentClauses, ListingClauses, BulkClauses, HandleClauses):
    """The contract of a store, but for conditions; and for races, because rclone is not atomic."""

    empty_places_take_long = True
    engine: EngineName = "boto3"
    threads = 3

    @pytest.fixture(autouse=True)
    def _server(self, rclone: Server) -> None:
        self.endpoint = rclone.endpoint

    def make_store(self) -> Store:
        place = Place(self.endpoint, "plain-contract", self.engine, f"{secrets.token_hex(8)}/root")
        return place.open().store

    def test_absent_items_are_told_as_key_errors_and_hold_nothing_up(self, store: Store) -> None:
        """One request removes many objects, and says the same of those that were absent."""
        store.write(("a.pkl",), b"x")
        names = [("a.pkl",), ("b.pkl",)]
        assert isinstance(dict(store.read_many(names))["b.pkl",], KeyError)
        assert dict(store.remove_many(names)) == dict.fromkeys(names)
        assert self.names(store) == []


@pytest.mark.long
class TestPlainStoreByBoto(PlainStore):
    pass


class TestPlainStoreByObstore(PlainStore):
    engine: EngineName = "obstore"


def test_a_store_of_the_contract_is_one_in_a_bucket(rclone: Server) -> None:
    assert isinstance(Place(rclone.endpoint, "plain-contract").open().store, ObjectStore)
