"""How many requests each operation of a dictionary sends: counted by a proxy, so that hidden ones count, too.

The dictionary has been used before, so that the questions to the endpoint, once per bucket, are answered.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from perkey.dicts.s3 import BasicS3Dict
from perkey.dicts.write_once import WriteOnceDict
from perkey.jokers import (
    ALWAYS_RETRIEVE,
    ANY_ETAG,
    DELETE_CURRENT,
    ETAG_HAS_CHANGED,
    ETAG_IS_THE_SAME,
    ITEM_NOT_AVAILABLE,
    KEEP_CURRENT,
    NEVER_RETRIEVE,
)
from s3.engines import each_engine
from s3.places import ENGINES, EngineName, Place, know_server
from s3.proxy import Proxy
from s3.servers import Server

Dict = BasicS3Dict[Any]

MANY = 2500


@pytest.fixture
def place(proxy: Proxy, bucket: str, engine: EngineName) -> Place:
    return Place(proxy.endpoint, bucket, engine)


@pytest.fixture
def d(place: Place, proxy: Proxy) -> Dict:
    """A dictionary with one item "old" and one in a subdict."""
    return used(place.open(), proxy)


def used(fresh: Dict, proxy: Proxy) -> Dict:
    fresh.update({"old": 1, ("sub", "old"): 2})
    know_server(fresh)
    proxy.forget()
    return fresh


class Cost:
    """What an operation is to cost, and the operation."""

    def __init__(self, act: Callable[[Dict], object], **requests: int) -> None:
        self.act = act
        self.requests = requests


def plus_one(value: Any) -> Any:
    return 1 if value is ITEM_NOT_AVAILABLE else value + 1


SAME: dict[str, Any] = {"condition": ETAG_IS_THE_SAME}
CHANGED: dict[str, Any] = {"condition": ETAG_HAS_CHANGED, "expected_etag": "0" * 32}
ABSENT: dict[str, Any] = {"condition": ETAG_IS_THE_SAME, "expected_etag": ITEM_NOT_AVAILABLE}
ANY: dict[str, Any] = {"condition": ANY_ETAG, "expected_etag": ITEM_NOT_AVAILABLE}

COSTS = {
    "set": Cost(lambda d: d.__setitem__("new", 1), put=1),
    "overwrite": Cost(lambda d: d.__setitem__("old", 2), put=1),
    "set nested": Cost(lambda d: d.__setitem__(("x", "y", "z"), 2), put=1),
    "set KEEP_CURRENT": Cost(lambda d: d.__setitem__("old", KEEP_CURRENT)),
    "set DELETE_CURRENT": Cost(lambda d: d.__setitem__("old", DELETE_CURRENT), head=1, delete=1),
    "[]": Cost(lambda d: d["old"], get=1),
    "get": Cost(lambda d: d.get("old"), get=1),
    "get absent": Cost(lambda d: d.get("none"), get=1),
    "in": Cost(lambda d: "old" in d, head=1),
    "in absent": Cost(lambda d: "none" in d, head=1),
    "del": Cost(lambda d: d.__delitem__("old"), head=1, delete=1),
    "discard": Cost(lambda d: d.discard("old"), head=1, delete=1),
    "discard absent": Cost(lambda d: d.discard("none"), head=1),
    "delete_if_exists": Cost(lambda d: d.delete_if_exists("old"), head=1, delete=1),
    "pop": Cost(lambda d: d.pop("old"), get=1, delete=1),
    "pop absent": Cost(lambda d: d.pop("none", None), get=1),
    "popitem": Cost(lambda d: d.popitem(), list=1, get=1, delete=1),
    "setdefault old": Cost(lambda d: d.setdefault("old", 5), get=1),
    "setdefault new": Cost(lambda d: d.setdefault("new", 5), get=1, put=1),
    "write once": Cost(lambda d: WriteOnceDict(d).__setitem__("new", 1), put=1),
    "write once over old": Cost(lambda d: WriteOnceDict(d, 0).__setitem__("old", 1), put=1),
    "write once over old, checked": Cost(lambda d: WriteOnceDict(d, 1).__setitem__("old", 1), put=1, get=1),
    "write many once": Cost(lambda d: WriteOnceDict(d, 0).set_many({"new": 1, "old": 1}), put=2),
    "etag": Cost(lambda d: d.etag("old"), head=1),
    "timestamp": Cost(lambda d: d.timestamp("old"), head=1),
    "get_with_etag": Cost(lambda d: d.get_with_etag("old"), get=1),
    "get_item_if": Cost(lambda d: d.get_item_if("old", **CHANGED), get=1),
    "get_item_if never": Cost(
        lambda d: d.get_item_if("old", **CHANGED, retrieve_value=NEVER_RETRIEVE), head=1
    ),
    "insert": Cost(lambda d: d.set_item_if("new", value=1, **ABSENT), put=1),
    "insert over old": Cost(lambda d: d.set_item_if("old", value=1, **ABSENT), put=1, get=1),
    "insert over old, value unwanted": Cost(
        lambda d: d.set_item_if("old", value=1, **ABSENT, retrieve_value=NEVER_RETRIEVE), put=1, head=1
    ),
    "set if changed": Cost(lambda d: d.set_item_if("old", value=1, **CHANGED), head=1, put=1),
    "set if any": Cost(lambda d: d.set_item_if("old", value=1, **ANY), head=1, put=1),
    "setdefault_if new": Cost(lambda d: d.setdefault_if("new", default_value=1, **ABSENT), put=1),
    "setdefault_if old": Cost(
        lambda d: d.setdefault_if("old", default_value=1, **ABSENT, retrieve_value=ALWAYS_RETRIEVE),
        put=1,
        get=1,
    ),
    "discard_if changed": Cost(lambda d: d.discard_if("old", **CHANGED), head=1, delete=1),
    "transform": Cost(lambda d: d.transform_item("old", transformer=plus_one), get=1, put=1),
    "transform absent": Cost(lambda d: d.transform_item("new", transformer=plus_one), get=1, put=1),
    "transform to nothing": Cost(
        lambda d: d.transform_item("old", transformer=lambda _: DELETE_CURRENT), get=1, delete=1
    ),
    "transform and keep": Cost(lambda d: d.transform_item("old", transformer=lambda _: KEEP_CURRENT), get=1),
    "len": Cost(len, list=1),
    "bool": Cost(bool, list=1),
    "iteration": Cost(lambda d: all(True for _ in d), list=1),
    "iteration over keys": Cost(lambda d: next(iter(d.keys())), list=1),
    "iteration over values": Cost(lambda d: all(True for _ in d.values()), list=1, get=2),
    "iteration over items": Cost(lambda d: all(True for _ in d.items()), list=1, get=2),
    # list() asks everything that has a length for it, before it iterates.
    "list()": Cost(list, list=2),
    "list(items())": Cost(lambda d: list(d.items()), list=2, get=2),
    "list(iter())": Cost(lambda d: list(iter(d)), list=1),
    "copy": Cost(lambda d: d.copy(), list=1, get=2),
    "==": Cost(lambda d: d == {"old": 1}, list=1, get=2),
    "random_key": Cost(lambda d: d.random_key(), list=1),
    "newest_keys": Cost(lambda d: d.newest_keys(1), list=1),
    "oldest_keys": Cost(lambda d: d.oldest_keys(), list=1),
    "newest_values": Cost(lambda d: d.newest_values(1), list=1, get=1),
    "keys_and_timestamps": Cost(lambda d: list(d.keys_and_timestamps()), list=1),
    "get_many": Cost(lambda d: d.get_many(["old", "none", ("sub", "old")]), get=3),
    "set_many": Cost(lambda d: d.set_many({"a": 1, "b": 2, "c": 3}), put=3),
    "update": Cost(lambda d: d.update(a=1, b=2), put=2),
    "|=": Cost(lambda d: d.__ior__({"a": 1}), put=1),
    "delete_many": Cost(lambda d: d.delete_many(["old", "none", ("sub", "old")]), delete_many=1),
    "clear": Cost(lambda d: d.clear(), list=1, delete_many=1),
    "get_subdict": Cost(lambda d: d.get_subdict(("a", "b"))),
    "subdict item": Cost(lambda d: d.get_subdict("sub")["old"], get=1),
    "subdict clear": Cost(lambda d: d.get_subdict("sub").clear(), list=1, delete_many=1),
    "subdict len": Cost(lambda d: len(d.get_subdict("sub")), list=1),
    # One listing of folders, and a look into each: an empty one is none.
    "subdicts": Cost(lambda d: d.subdicts(), list=2),
    "construction": Cost(lambda d: type(d)(**d.get_params())),
    "repr and parameters": Cost(lambda d: (repr(d), d.get_params())),
}


@each_engine
@pytest.mark.parametrize("operation", COSTS)
def test_an_operation_sends_as_many_requests_as_is_said(operation: str, d: Dict, proxy: Proxy) -> None:
    COSTS[operation].act(d)
    assert proxy.counts == COSTS[operation].requests


@each_engine
def test_a_compare_and_swap_sends_one_request_if_it_succeeds_and_two_if_not(d: Dict, proxy: Proxy) -> None:
    etag = d.etag("old")
    proxy.forget()
    assert d.set_item_if("old", value=2, expected_etag=etag, **SAME).condition_was_satisfied
    assert proxy.counts == {"put": 1}
    assert not d.set_item_if("old", value=3, expected_etag=etag, **SAME).condition_was_satisfied
    assert proxy.counts == {"put": 2, "get": 1}


@each_engine
def test_a_compared_removal_sends_one_request(d: Dict, proxy: Proxy) -> None:
    etag = d.etag("old")
    proxy.forget()
    assert d.discard_if("old", expected_etag=etag, **SAME).condition_was_satisfied
    assert proxy.counts == {"delete": 1}


@each_engine
def test_an_unchanged_value_is_not_transferred_again(d: Dict, proxy: Proxy) -> None:
    etag = d.etag("old")
    proxy.forget()
    d.get_item_if("old", expected_etag=etag, **SAME)
    assert proxy.counts == {"get": 1}
    assert statuses(proxy) == [304]


@each_engine
def test_immutable_items_are_inserted_by_one_request(place: Place, proxy: Proxy) -> None:
    d = used(place.open(immutable_items=True), proxy)
    d["new"] = 1
    assert proxy.counts == {"put": 1}
    assert proxy.requests[0].headers["if-none-match"] == "*"


@each_engine
def test_the_first_write_of_all_makes_the_bucket(place: Place, proxy: Proxy) -> None:
    place.open()["a"] = 1
    assert proxy.counts == {"put": 2, "bucket": 1}


@each_engine
def test_questions_to_the_endpoint_are_asked_once_and_need_few_requests(place: Place, proxy: Proxy) -> None:
    place.open()["old"] = 1
    proxy.forget()
    place.open().transform_item("old", transformer=plus_one)
    first = sum(proxy.counts.values())
    assert 2 < first <= 2 + 4
    proxy.forget()
    place.open().transform_item("old", transformer=plus_one)
    assert proxy.counts == {"get": 1, "put": 1}


# --- With a cache -----------------------------------------------------------------------------------


@each_engine
def test_an_unchanged_cached_value_costs_one_request_without_a_body(
    place: Place, proxy: Proxy, tmp_path: Path
) -> None:
    d = used(place.open_cached(tmp_path / "cache"), proxy)
    assert d["old"] == 1
    assert proxy.counts == {"get": 1}
    assert statuses(proxy) == [304]
    assert proxy.replies[0].body == b""


@each_engine
def test_a_value_is_cached_by_the_first_get(place: Place, proxy: Proxy, tmp_path: Path) -> None:
    used(place.open(), proxy)
    d = place.open_cached(tmp_path / "cache")
    assert [d["old"], d["old"]] == [1, 1]
    assert proxy.counts == {"get": 2}
    assert statuses(proxy) == [200, 304]


@each_engine
def test_cached_immutable_values_cost_no_request(place: Place, proxy: Proxy, tmp_path: Path) -> None:
    d = used(place.open_cached(tmp_path / "cache", immutable_items=True), proxy)
    assert d["old"] == 1
    assert "old" in d
    assert proxy.counts == {}


@each_engine
@pytest.mark.parametrize(
    "operation",
    [
        "set",
        "del",
        "in",
        "pop",
        "transform",
        "setdefault old",
        "setdefault new",
        "clear",
        "subdict clear",
        "len",
    ],
)
def test_a_cache_adds_no_request(operation: str, place: Place, proxy: Proxy, tmp_path: Path) -> None:
    d = used(place.open_cached(tmp_path / "cache"), proxy)
    COSTS[operation].act(d)
    assert proxy.counts == COSTS[operation].requests


def statuses(proxy: Proxy) -> list[int]:
    return [reply.status for reply in proxy.replies]


# --- Many items -------------------------------------------------------------------------------------


@pytest.fixture(params=ENGINES)
def many(request: pytest.FixtureRequest, ministack: Server, bucket: str) -> Iterator[tuple[Dict, Proxy]]:
    """A dictionary of 2,500 items."""
    filling = Place(ministack.endpoint, bucket, "obstore").open(file_type="json")
    filling.update({str(number): number for number in range(MANY)})
    with Proxy(ministack.endpoint).running() as proxy:
        yield Place(proxy.endpoint, bucket, request.param).open(file_type="json"), proxy


def test_listings_and_removals_take_one_request_for_1000_items(many: tuple[Dict, Proxy]) -> None:
    d, proxy = many
    for listing in (len, lambda d: len(list(iter(d))), lambda d: d.random_key(), lambda d: d.newest_keys(2)):
        proxy.forget()
        listing(d)
        assert proxy.counts == {"list": 3}
    proxy.forget()
    assert len(d) == MANY
    proxy.forget()
    d.clear()
    assert proxy.counts == {"list": 3, "delete_many": 3}
    assert len(d) == 0
