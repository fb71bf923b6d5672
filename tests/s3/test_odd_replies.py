"""Replies that a proxy has changed, or that are of something else: understood, or an error; never absence."""

import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from perkey.dicts.s3 import BasicS3Dict
from perkey.errors import BackendError, BulkOperationError
from perkey.jokers import ETAG_IS_THE_SAME
from s3.engines import each_engine
from s3.places import EngineName, Place, know_server
from s3.proxy import Exchange, Fault, Proxy, Reply, says

Dict = BasicS3Dict[Any]

pytestmark = pytest.mark.usefixtures("quick_pauses")


@pytest.fixture
def d(proxy: Proxy, bucket: str, engine: EngineName) -> Dict:
    d = Place(proxy.endpoint, bucket, engine).open(retry_for=0.2)
    d["a"] = 1
    know_server(d)
    proxy.forget()
    return d


def plus_one(value: Any) -> Any:
    return value + 1


def swap(d: Dict) -> bool:
    return d.set_item_if(
        "a", value=2, condition=ETAG_IS_THE_SAME, expected_etag=d.etag("a")
    ).condition_was_satisfied


def discard(d: Dict) -> bool:
    return d.discard_if("a", condition=ETAG_IS_THE_SAME, expected_etag=d.etag("a")).condition_was_satisfied


READS: dict[str, Callable[[Dict], object]] = {
    "[]": lambda d: d["a"],
    "get": lambda d: d.get("a", "absent"),
    "in": lambda d: "a" in d,
    "get_many": lambda d: d.get_many(["a"]),
    "setdefault": lambda d: d.setdefault("a", 5),
    "transform": lambda d: d.transform_item("a", transformer=plus_one, default=0),
    "pop": lambda d: d.pop("a", "absent"),
    "etag": lambda d: d.etag("a"),
    "timestamp": lambda d: d.timestamp("a"),
}


# --- Not of an object service -----------------------------------------------------------------------


def logs_in(exchange: Exchange) -> None:
    """Answer with a page, as proxies do that want a password."""
    body = b"<html><body>Please log in</body></html>"
    exchange.answer(Reply(200, [("Content-Type", "text/html")], body))


def fails_with_200(exchange: Exchange) -> None:
    body = b"<Error><Code>InternalError</Code><Message>later</Message></Error>"
    exchange.answer(Reply(200, [("Content-Type", "application/xml")], body))


def without(*names: str) -> Fault:
    """Pass on replies without some headers."""

    def fault(exchange: Exchange) -> None:
        reply = exchange.forward()
        kept = [(name, value) for name, value in reply.headers if name.lower() not in names]
        exchange.answer(Reply(reply.status, kept, reply.body))

    return fault


@each_engine
@pytest.mark.parametrize(
    "fault", [logs_in, fails_with_200, without("etag")], ids=["page", "error", "no ETag"]
)
@pytest.mark.parametrize("name", READS)
def test_a_reply_that_is_not_of_an_object_service_is_not_absence(
    name: str, fault: Fault, d: Dict, proxy: Proxy
) -> None:
    for verb in "get", "head":
        proxy.plan(fault, verb, times=None)
    with pytest.raises((BackendError, BulkOperationError)) as caught:
        READS[name](d)
    raised = caught.value
    for error in raised.failures.values() if isinstance(raised, BulkOperationError) else [raised]:
        assert isinstance(error, BackendError)
        assert "no ETag" in str(error)
        assert "_Unknown" not in str(error)
    proxy.heal()
    assert dict(d.items()) == {("a",): 1}


@pytest.mark.parametrize("engine", ["boto3"])
def test_a_page_is_not_an_empty_listing(d: Dict, proxy: Proxy) -> None:
    """Obstore does not say what it has read."""
    proxy.plan(logs_in, "list", times=None)
    for act in len, list, bool:
        with pytest.raises(BackendError, match="no listing"):
            act(d)


@pytest.mark.parametrize("engine", ["boto3"])
@pytest.mark.parametrize("token", ["", "<NextContinuationToken>same</NextContinuationToken>"])
def test_a_listing_that_does_not_go_on_is_an_error(token: str, d: Dict, proxy: Proxy) -> None:
    def goes_on(exchange: Exchange) -> None:
        body = f"<ListBucketResult><IsTruncated>true</IsTruncated>{token}</ListBucketResult>".encode()
        exchange.answer(Reply(200, [("Content-Type", "application/xml")], body))

    proxy.plan(goes_on, "list", times=None)
    with pytest.raises(BackendError, match="NextContinuationToken"):
        len(d)
    assert proxy.counts["list"] <= 2


@pytest.mark.parametrize("engine", ["boto3"])
@pytest.mark.parametrize("size", [1, 3 << 20])
def test_a_reply_of_unknown_length_is_read(size: int, d: Dict, proxy: Proxy) -> None:
    d["a"] = bytes(size)

    def in_chunks(exchange: Exchange) -> None:
        exchange.answer_in_chunks(exchange.forward())

    proxy.plan(in_chunks, "get", times=None)
    assert d["a"] == bytes(size)


# --- Changed by a proxy -----------------------------------------------------------------------------


def weakens(exchange: Exchange) -> None:
    """Mark ETags as weak, as proxies do that may compress what they pass on."""
    reply = exchange.forward()
    weak = [(name, f"W/{value}" if name.lower() == "etag" else value) for name, value in reply.headers]
    exchange.answer(Reply(reply.status, weak, reply.body))


@each_engine
def test_weak_etags_are_compared_as_the_service_compares_them(d: Dict, proxy: Proxy) -> None:
    strong = d.etag("a")
    for verb in "get", "head", "put", "list":
        proxy.plan(weakens, verb, times=None)
    assert d.etag("a") == strong
    assert swap(d)
    proxy.forget()
    assert d.transform_item("a", transformer=plus_one).new_value == 3
    assert proxy.counts == {"get": 1, "put": 1}
    assert discard(d)


def refuses_conditions(exchange: Exchange) -> None:
    if "if-match" in exchange.request.headers:
        says(412, "PreconditionFailed")(exchange)
    else:
        exchange.answer(exchange.forward())


@each_engine
@pytest.mark.parametrize(
    "act",
    [lambda d: d.transform_item("a", transformer=plus_one), swap, discard],
    ids=["transform", "swap", "discard"],
)
def test_a_condition_that_holds_and_is_refused_for_ever_is_an_error(
    act: Callable[[Dict], object], d: Dict, proxy: Proxy
) -> None:
    for verb in "put", "delete":
        proxy.plan(refuses_conditions, verb, times=None)
    with pytest.raises(BackendError, match="refused 16 times"):
        act(d)
    proxy.heal()
    assert d["a"] == 1


@each_engine
def test_a_caller_that_asks_in_vain_often_gets_its_answer_each_time(d: Dict, proxy: Proxy) -> None:
    """The item is at another version than the caller expects: so the refusal is right."""
    old = d.etag("a")
    d["a"] = 2
    for _ in range(40):
        with contextlib.suppress(KeyError):
            assert not d.discard_if(
                "a", condition=ETAG_IS_THE_SAME, expected_etag=old
            ).condition_was_satisfied
    assert d["a"] == 2


# --- Redirections -----------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["boto3"])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("name", ["[]", "in", "etag"])
def test_a_service_that_has_moved_is_an_error_that_says_where_to(
    name: str, status: int, d: Dict, proxy: Proxy
) -> None:
    def moved(exchange: Exchange) -> None:
        to = f"https://objects.invalid{exchange.request.target}"
        exchange.answer(Reply(status, [("Location", to), ("Content-Type", "text/html")], b"<html></html>"))

    proxy.plan(moved, times=None)
    for verb in "bucket", "head", "get":
        proxy.plan(moved, verb, times=None)
    with pytest.raises(BackendError) as caught:
        READS[name](d)
    assert "moved to 'https://objects.invalid'" in str(caught.value)
    assert len(proxy.requests) < 20
