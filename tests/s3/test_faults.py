"""What a service or the way to it may spoil, and what becomes of the operation: done once, or an error."""

import contextlib
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from perkey.dicts.s3 import BasicS3Dict
from perkey.errors import (
    AccessDeniedError,
    BackendError,
    BulkOperationError,
    OutcomeUnknownError,
    PerkeyError,
)
from perkey.jokers import ANY_ETAG, ETAG_IS_THE_SAME, ITEM_NOT_AVAILABLE
from s3.engines import each_engine
from s3.places import EngineName, Place, know_server
from s3.proxy import (
    Exchange,
    Fault,
    Proxy,
    Reply,
    cuts_body,
    drops_reply,
    drops_request,
    ends_body_early,
    error,
    is_slow,
    says,
    says_after,
    stalls,
    stalls_after,
)
from s3.servers import client_of

Dict = BasicS3Dict[Any]

pytestmark = pytest.mark.usefixtures("quick_pauses")


@pytest.fixture
def d(proxy: Proxy, bucket: str, engine: EngineName) -> Dict:
    """A dictionary with an item "a" of 1, whose endpoint has been asked all questions."""
    return prepared(Place(proxy.endpoint, bucket, engine).open(), proxy)


@pytest.fixture
def hasty(proxy: Proxy, bucket: str) -> Dict:
    """The same, through a client that waits for half a second only."""
    client = client_of(proxy.endpoint, read_timeout=0.5, connect_timeout=5)
    return prepared(Place(None, bucket).open(client=client), proxy)


def prepared(fresh: Dict, proxy: Proxy) -> Dict:
    fresh["a"] = 1
    know_server(fresh)
    proxy.forget()
    return fresh


@dataclass(frozen=True)
class Operation:
    """Something that a user does.

    Attributes:
        verb: The request that is spoilt.
        act: What is done.
        left: The items afterwards.
    """

    verb: str
    act: Callable[[Dict], Any]
    left: dict[str, Any]
    key: str = "a.pkl"


def plus_one(value: Any) -> Any:
    return 1 if value is ITEM_NOT_AVAILABLE else value + 1


def swap(d: Dict) -> Any:
    result = d.set_item_if(
        "a", value=2, condition=ETAG_IS_THE_SAME, expected_etag=d.get_with_etag("a").actual_etag
    )
    assert result.condition_was_satisfied
    return result


def insert(d: Dict) -> Any:
    result = d.set_item_if("new", value=2, condition=ETAG_IS_THE_SAME, expected_etag=ITEM_NOT_AVAILABLE)
    assert result.condition_was_satisfied
    return result


def discard_compared(d: Dict) -> Any:
    etag = d.get_with_etag("a").actual_etag
    result = d.discard_if("a", condition=ETAG_IS_THE_SAME, expected_etag=etag)
    assert result.condition_was_satisfied
    return result


def check(result: object, expected: object) -> None:
    assert result == expected


OPERATIONS = {
    "set": Operation("put", lambda d: d.__setitem__("a", 2), {"a": 2}),
    "set new": Operation("put", lambda d: d.__setitem__("new", 2), {"a": 1, "new": 2}, "new.pkl"),
    "swap": Operation("put", swap, {"a": 2}),
    "transform": Operation("put", lambda d: d.transform_item("a", transformer=plus_one), {"a": 2}),
    "insert": Operation("put", insert, {"a": 1, "new": 2}, "new.pkl"),
    "get": Operation("get", lambda d: check(d["a"], 1), {"a": 1}),
    "get absent": Operation("get", lambda d: check(d.get("none"), None), {"a": 1}, "none.pkl"),
    "get_many": Operation("get", lambda d: check(d.get_many(["a"]), {("a",): 1}), {"a": 1}),
    "in": Operation("head", lambda d: check("a" in d, True), {"a": 1}),
    "not in": Operation("head", lambda d: check("none" in d, False), {"a": 1}, "none.pkl"),
    "len": Operation("list", lambda d: check(len(d), 1), {"a": 1}, ""),
    "items": Operation("list", lambda d: check(dict(d.items()), {("a",): 1}), {"a": 1}, ""),
    "subdicts": Operation("list", lambda d: check(d.subdicts(), {}), {"a": 1}, ""),
    "newest_keys": Operation("list", lambda d: check(d.newest_keys(), [("a",)]), {"a": 1}, ""),
    "del": Operation("delete", lambda d: d.__delitem__("a"), {}),
    "pop": Operation("delete", lambda d: check(d.pop("a"), 1), {}),
    "compared removal": Operation("delete", discard_compared, {}),
    "clear": Operation("delete_many", lambda d: d.clear(), {}, ""),
}

DID_NOTHING = {
    "409": says(409, "ConditionalRequestConflict"),
    "503": says(503, "SlowDown", "reduce your request rate"),
    "429": says(429, "TooManyRequests"),
}
"""The service says that it did nothing."""

UNCLEAR_BEFORE = {
    "500": says(500, "InternalError"),
    "502 of a gateway": lambda exchange: exchange.answer(Reply(502, [], b"<html>bad gateway</html>")),
    "request dropped": drops_request,
}
"""It cannot be told whether the service did anything; it did not."""

UNCLEAR_AFTER = {
    "500 after it was done": says_after(500, "InternalError"),
    "504 after it was done": says_after(504, "GatewayTimeout"),
    "reply dropped": drops_reply,
}
"""It cannot be told whether the service did anything; it did."""

REMOVALS = {"del", "pop", "compared removal"}
INSERTIONS = {"insert"}


def items(d: Dict) -> dict[str, Any]:
    return {key[0]: value for key, value in d.items()}


@each_engine
@pytest.mark.parametrize("fault", [*DID_NOTHING.values(), is_slow], ids=[*DID_NOTHING, "slow"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_what_did_not_happen_is_done_by_another_attempt(
    name: str, fault: Fault, d: Dict, proxy: Proxy
) -> None:
    operation = OPERATIONS[name]
    proxy.plan(fault, operation.verb)
    operation.act(d)
    proxy.heal()
    assert items(d) == operation.left


@each_engine
@pytest.mark.parametrize("fault", UNCLEAR_BEFORE.values(), ids=list(UNCLEAR_BEFORE))
@pytest.mark.parametrize("name", sorted(OPERATIONS.keys() - INSERTIONS))
def test_what_may_have_happened_and_did_not_is_done_by_another_attempt(
    name: str, fault: Fault, d: Dict, proxy: Proxy
) -> None:
    test_what_did_not_happen_is_done_by_another_attempt(name, fault, d, proxy)


@each_engine
@pytest.mark.parametrize("fault", UNCLEAR_AFTER.values(), ids=list(UNCLEAR_AFTER))
@pytest.mark.parametrize("name", sorted(OPERATIONS.keys() - REMOVALS))
def test_what_may_have_happened_and_did_is_not_done_twice(
    name: str, fault: Fault, d: Dict, proxy: Proxy
) -> None:
    test_what_did_not_happen_is_done_by_another_attempt(name, fault, d, proxy)


@each_engine
@pytest.mark.parametrize("fault", UNCLEAR_BEFORE.values(), ids=list(UNCLEAR_BEFORE))
def test_an_insertion_of_which_nothing_is_found_has_an_unknown_outcome(
    fault: Fault, d: Dict, proxy: Proxy
) -> None:
    """It may have been inserted and removed by another one since."""
    proxy.plan(fault, "put")
    with pytest.raises(OutcomeUnknownError, match=r"root/prefix/new\.pkl"):
        insert(d)
    assert items(d) == {"a": 1}


@each_engine
@pytest.mark.parametrize("fault", UNCLEAR_AFTER.values(), ids=list(UNCLEAR_AFTER))
@pytest.mark.parametrize("name", sorted(REMOVALS))
def test_a_removal_whose_reply_is_lost_has_an_unknown_outcome_if_the_item_is_gone(
    name: str, fault: Fault, d: Dict, proxy: Proxy
) -> None:
    """Somebody else may have removed it."""
    proxy.plan(fault, "delete")
    with pytest.raises(OutcomeUnknownError, match=r"root/prefix/a\.pkl"):
        OPERATIONS[name].act(d)
    assert items(d) == {}


@pytest.mark.parametrize("name", sorted(OPERATIONS.keys() - INSERTIONS))
def test_a_time_out_before_anything_happened_is_another_attempt(name: str, hasty: Dict, proxy: Proxy) -> None:
    test_what_did_not_happen_is_done_by_another_attempt(name, stalls, hasty, proxy)


@pytest.mark.parametrize("name", sorted(OPERATIONS.keys() - REMOVALS))
def test_a_time_out_after_it_happened_does_it_once(name: str, hasty: Dict, proxy: Proxy) -> None:
    test_what_did_not_happen_is_done_by_another_attempt(name, stalls_after, hasty, proxy)


# --- Replies cut short ------------------------------------------------------------------------------


CUTS = pytest.mark.parametrize("cut", [cuts_body, ends_body_early], ids=["reset", "ended"])


@each_engine
@CUTS
@pytest.mark.parametrize("name", ["get", "get_many", "len", "items", "subdicts"])
def test_a_reply_cut_in_its_middle_is_asked_for_again(name: str, cut: Fault, d: Dict, proxy: Proxy) -> None:
    test_what_did_not_happen_is_done_by_another_attempt(name, cut, d, proxy)


@each_engine
@CUTS
def test_a_large_value_cut_in_its_middle_is_read_again_from_its_start(
    cut: Fault, d: Dict, proxy: Proxy
) -> None:
    value = random.Random(1).randbytes(3 << 20)
    d["large"] = value
    proxy.plan(cut, "get", times=2)
    assert d["large"] == value
    assert proxy.counts["get"] == 3


# --- Faults that stay -------------------------------------------------------------------------------


STAYING = {
    "500": says(500, "InternalError", "we are sorry"),
    "503": says(503, "SlowDown", "we are sorry"),
    "409": says(409, "OperationAborted", "we are sorry"),
    "dropped": drops_request,
}


BRIEF = 0.05


@pytest.fixture
def brief(proxy: Proxy, bucket: str, engine: EngineName) -> Dict:
    """A dictionary whose operations go on for a moment."""
    return prepared(Place(proxy.endpoint, bucket, engine).open(retry_for=BRIEF), proxy)


@each_engine
@pytest.mark.parametrize("fault", STAYING.values(), ids=list(STAYING))
@pytest.mark.parametrize("name", sorted(OPERATIONS.keys() - INSERTIONS))
def test_a_fault_that_stays_is_an_error_after_some_attempts_that_names_bucket_and_key(
    name: str, fault: Fault, brief: Dict, proxy: Proxy, bucket: str
) -> None:
    d = brief
    operation = OPERATIONS[name]
    proxy.plan(fault, operation.verb, times=None)
    began = time.monotonic()
    with pytest.raises(BackendError, match=f"s3://{bucket}/") as caught:
        operation.act(d)
    took = time.monotonic() - began
    assert operation.key in str(caught.value)
    assert (caught.value.backend, caught.value.key or "")[0] == "s3"
    assert (caught.value.key or "").endswith(operation.key)
    # On a busy machine one attempt may take all the time that there is.
    assert proxy.counts[operation.verb] > 1 or took > BRIEF
    proxy.heal()
    assert items(d) == {"a": 1}


# --- Unasked answers --------------------------------------------------------------------------------


@each_engine
@pytest.mark.parametrize("name", ["swap", "insert", "transform"])
def test_a_conflict_that_is_none_is_looked_into(name: str, d: Dict, proxy: Proxy) -> None:
    """412, and the item is as expected: it was otherwise for a moment only."""
    test_what_did_not_happen_is_done_by_another_attempt(name, says(412, "PreconditionFailed"), d, proxy)


@each_engine
@pytest.mark.parametrize("name", ["swap", "insert", "transform"])
def test_ceph_tells_a_lost_race_by_500(name: str, d: Dict, proxy: Proxy) -> None:
    """It did nothing; what is there then decides."""
    test_what_did_not_happen_is_done_by_another_attempt(name, says(500, "UnknownError"), d, proxy)


@each_engine
def test_a_race_lost_on_ceph_is_a_conflict_with_the_winner(d: Dict, proxy: Proxy, bucket: str) -> None:
    def is_overtaken(exchange: Exchange) -> None:
        Place(None, bucket).open(client=client_of(proxy.endpoint))["a"] = 10
        exchange.answer(error(exchange.request, 500, "UnknownError", ""))

    proxy.plan(is_overtaken, "put")
    d.transform_item("a", transformer=plus_one)
    assert items(d) == {"a": 11}


@each_engine
@pytest.mark.parametrize("name", ["swap", "transform"])
def test_that_an_item_was_gone_for_a_moment_is_a_conflict(name: str, d: Dict, proxy: Proxy) -> None:
    """404 under a condition."""
    test_what_did_not_happen_is_done_by_another_attempt(name, says(404, "NoSuchKey"), d, proxy)


@each_engine
def test_404_of_a_get_means_that_there_is_no_item(d: Dict, proxy: Proxy) -> None:
    proxy.plan(says(404, "NoSuchKey"), "get")
    with pytest.raises(KeyError) as caught:
        d["a"]
    assert proxy.counts == {"get": 1}
    assert caught.value.args == (("a",),)


@each_engine
def test_one_item_of_a_batch_that_cannot_be_removed_is_named_and_the_rest_is_gone(
    d: Dict, proxy: Proxy, bucket: str
) -> None:
    d["b"] = 2

    def refuses_one(exchange: Exchange) -> None:
        Place(None, bucket).open(client=client_of(proxy.endpoint)).discard("a")
        body = (
            "<DeleteResult><Error><Key>root/prefix/b.pkl</Key><Code>AccessDenied</Code>"
            "<Message>locked</Message></Error></DeleteResult>"
        )
        exchange.answer(Reply(200, [("Content-Type", "application/xml")], body.encode()))

    proxy.plan(refuses_one, "delete_many")
    with pytest.raises(BackendError, match=f"s3://{bucket}/root/prefix/b.pkl: access denied") as caught:
        d.clear()
    assert caught.value.key == "root/prefix/b.pkl"
    assert items(d) == {"b": 2}


# --- Late arrivals ----------------------------------------------------------------------------------


class Late:
    """A request that reaches the server only after it was believed to be lost."""

    def __init__(self) -> None:
        self._held: Exchange | None = None

    def is_held_back(self, exchange: Exchange) -> None:
        self._held = exchange
        exchange.hang_up()

    def arrives_before(self, exchange: Exchange) -> None:
        assert self._held is not None
        self._held.forward()
        exchange.answer(exchange.forward())

    def arrives_and_is_refused_again(self, exchange: Exchange) -> None:
        assert self._held is not None
        self._held.forward()
        exchange.answer(error(exchange.request, 412, "PreconditionFailed", ""))


@each_engine
@pytest.mark.parametrize("name", ["set", "swap", "transform"])
def test_a_request_that_arrives_late_is_not_taken_for_another_writers(
    name: str, d: Dict, proxy: Proxy
) -> None:
    """The second attempt conflicts with the first one."""
    late = Late()
    proxy.plan(late.is_held_back, "put")
    proxy.plan(late.arrives_before, "put")
    OPERATIONS[name].act(d)
    assert proxy.counts["put"] == 2
    assert items(d) == {"a": 2}


@each_engine
def test_a_removal_that_arrives_late_has_an_unknown_outcome(d: Dict, proxy: Proxy) -> None:
    late = Late()
    proxy.plan(late.is_held_back, "delete")
    # This server would take the removal of an absent item for a success.
    proxy.plan(late.arrives_and_is_refused_again, "delete")
    with pytest.raises(OutcomeUnknownError):
        discard_compared(d)


@each_engine
def test_a_lost_reply_to_a_swap_that_was_overwritten_since_has_an_unknown_outcome(
    d: Dict, proxy: Proxy, bucket: str
) -> None:
    def is_overwritten(exchange: Exchange) -> None:
        exchange.forward()
        Place(None, bucket).open(client=client_of(proxy.endpoint))["a"] = "another one's"
        exchange.hang_up()

    proxy.plan(is_overwritten, "put")
    with pytest.raises(OutcomeUnknownError, match=f"s3://{bucket}/root/prefix/a.pkl"):
        d.transform_item("a", transformer=plus_one)
    assert items(d) == {"a": "another one's"}


@each_engine
def test_a_lost_reply_to_a_plain_write_is_looked_for_before_it_is_sent_again(d: Dict, proxy: Proxy) -> None:
    proxy.plan(drops_reply, "put")
    d["a"] = 7
    assert proxy.counts == {"put": 1, "head": 1}
    proxy.plan(drops_request, "put", times=3)
    proxy.forget()
    d["a"] = 8
    assert proxy.counts == {"put": 4, "head": 3}
    d["a"] = 7
    assert d.get_item_if("a", condition=ANY_ETAG, expected_etag=ITEM_NOT_AVAILABLE).new_value == 7


@each_engine
def test_a_plain_write_whose_reply_is_lost_overwrites_nothing_that_was_built_upon_it(
    d: Dict, proxy: Proxy, bucket: str
) -> None:
    """It is done once: whoever saw it may have gone on from there, if only by writing the same again."""

    def is_seen(exchange: Exchange) -> None:
        exchange.forward()
        assert Place(None, bucket).open(client=client_of(proxy.endpoint))["a"] == 100
        exchange.hang_up()

    proxy.plan(is_seen, "put")
    d["a"] = 100
    assert proxy.counts["put"] == 1


@each_engine
def test_whoever_may_write_but_not_read_has_a_plain_write_sent_again(d: Dict, proxy: Proxy) -> None:
    proxy.plan(says(403, "AccessDenied"), "head", times=None)
    proxy.plan(drops_reply, "put")
    d["a"] = 7
    assert proxy.counts == {"put": 2, "head": 1}


@each_engine
@pytest.mark.parametrize(
    "said",
    [(501, "NotImplemented"), (404, "NotFound"), (412, "PreconditionFailed")],
    ids=["501", "404", "412"],
)
@pytest.mark.parametrize(
    ("verb", "act"),
    [
        ("put", lambda d: d.update(a=2)),
        ("get", lambda d: d["a"]),
        ("head", lambda d: "a" in d),
        ("list", len),
        ("list", lambda d: list(d.subdicts())),
        ("delete_many", lambda d: d.clear()),
        ("delete", lambda d: d.discard("a")),
    ],
    ids=["set", "get", "in", "len", "subdicts", "clear", "discard"],
)
def test_what_a_service_should_not_say_is_an_error_that_names_the_bucket(
    verb: str, act: Callable[[Dict], object], said: tuple[int, str], d: Dict, proxy: Proxy
) -> None:
    proxy.plan(says(*said), verb, times=None)
    if said[0] == 404 and verb in {"get", "head", "delete"}:
        with contextlib.suppress(KeyError):
            act(d)
        return
    with pytest.raises(PerkeyError, match="s3://perkey-") as caught:
        act(d)
    assert type(caught.value).__module__ == "perkey.errors"


@each_engine
def test_an_item_of_a_batch_that_is_put_off_is_removed_later(d: Dict, proxy: Proxy) -> None:
    def puts_off(exchange: Exchange) -> None:
        body = (
            "<DeleteResult><Error><Key>root/prefix/a.pkl</Key><Code>SlowDown</Code><Message>m</Message>"
            "</Error></DeleteResult>"
        )
        exchange.answer(Reply(200, [("Content-Type", "application/xml")], body.encode()))

    proxy.plan(puts_off, "delete_many", times=2)
    d.clear()
    assert items(d) == {}
    assert proxy.counts["delete_many"] == 3


@each_engine
def test_an_item_of_a_batch_that_is_gone_already_is_no_failure(d: Dict, proxy: Proxy) -> None:
    def has_gone(exchange: Exchange) -> None:
        exchange.forward()
        body = (
            "<DeleteResult><Error><Key>root/prefix/a.pkl</Key><Code>NoSuchKey</Code><Message>m</Message>"
            "</Error></DeleteResult>"
        )
        exchange.answer(Reply(200, [("Content-Type", "application/xml")], body.encode()))

    proxy.plan(has_gone, "delete_many")
    d.clear()
    assert items(d) == {}


@each_engine
def test_a_batch_that_fails_keeps_no_other_from_being_removed_and_all_is_told(d: Dict, proxy: Proxy) -> None:
    d.update({f"k{number}": number for number in range(1100)})
    proxy.plan(says(403, "AccessDenied"), "delete_many")
    with pytest.raises(BulkOperationError) as caught:
        d.delete_many(f"k{number}" for number in range(1100))
    assert len(caught.value.failures) == 1000
    assert all(isinstance(why, AccessDeniedError) for why in caught.value.failures.values())
    assert len(d) == 1001


@each_engine
def test_a_lost_reply_to_a_probe_harms_nobody(proxy: Proxy, bucket: str, engine: EngineName) -> None:
    d = Place(proxy.endpoint, bucket, engine).open()
    d["a"] = 1
    proxy.plan(drops_reply, "put")
    del d["a"]
    assert items(d) == {}


@each_engine
def test_threads_that_need_the_same_answer_ask_once(proxy: Proxy, bucket: str, engine: EngineName) -> None:
    place = Place(proxy.endpoint, bucket, engine)
    place.open()["first"] = 1
    d = place.open(immutable_items=True)
    d.update({f"k{number}": number for number in range(60)})
    assert 0 < sum(".@perkey-probe" in request.key for request in proxy.requests) <= 4


# --- A client that repeats by itself ----------------------------------------------------------------


@pytest.fixture
def stubborn(proxy: Proxy, bucket: str) -> Dict:
    """A dictionary with a client of the user's own, which sends each request up to four times."""
    client = client_of(proxy.endpoint, retries={"total_max_attempts": 4, "mode": "standard"})
    return prepared(Place(None, bucket).open(client=client), proxy)


@pytest.mark.parametrize("name", ["set", "swap", "transform", "insert"])
def test_a_client_that_repeats_does_not_meet_its_own_write_as_a_conflict(
    name: str, stubborn: Dict, proxy: Proxy
) -> None:
    proxy.plan(drops_reply, "put")
    OPERATIONS[name].act(stubborn)
    assert proxy.counts["put"] == 2
    assert items(stubborn) == OPERATIONS[name].left


def test_a_client_that_repeats_and_meets_another_writer_says_that_it_does_not_know(
    stubborn: Dict, proxy: Proxy, bucket: str
) -> None:
    def is_overwritten(exchange: Exchange) -> None:
        exchange.forward()
        Place(None, bucket).open(client=client_of(proxy.endpoint))["a"] = "another one's"
        exchange.hang_up()

    proxy.plan(is_overwritten, "put")
    with pytest.raises(OutcomeUnknownError):
        stubborn.transform_item("a", transformer=plus_one)
    assert items(stubborn) == {"a": "another one's"}


def test_a_client_that_repeats_a_removal_says_that_it_does_not_know(stubborn: Dict, proxy: Proxy) -> None:
    """Where the server takes the removal of an absent object for a conflict."""
    proxy.plan(drops_reply, "delete")
    proxy.plan(says(412, "PreconditionFailed"), "delete")
    with pytest.raises(OutcomeUnknownError):
        discard_compared(stubborn)
