"""Large values go up in parts: nothing shows before the last request, nothing stays if one fails."""

from typing import Any

import pytest

from perkey.dicts.s3 import BasicS3Dict
from perkey.errors import BackendError, OutcomeUnknownError
from perkey.jokers import ETAG_IS_THE_SAME, ITEM_NOT_AVAILABLE
from perkey.stores.objects.engine import Engine
from perkey.stores.objects.probes import Probes
from perkey.stores.objects.store import ObjectStore
from s3.engines import any_engine
from s3.places import EngineName, Place
from s3.proxy import Exchange, Fault, Proxy, Reply, drops_reply, drops_request, says, says_after
from s3.servers import Server

Dict = BasicS3Dict[Any]

pytestmark = pytest.mark.usefixtures("quick_pauses", "small_parts")

MIB = 1 << 20


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of 1 MiB, where a server takes them."""
    monkeypatch.setattr(Engine, "part_size", MIB)


@pytest.fixture
def retry_for() -> float:
    """Seconds; long enough for a busy machine."""
    return 30.0


@pytest.fixture
def d(proxy: Proxy, bucket: str, engine: EngineName, retry_for: float) -> Dict:
    """A dictionary with a small item "a"; values above 1 MiB go up in parts."""
    d = with_small_parts(Place(proxy.endpoint, bucket, engine).open(retry_for=retry_for))
    d["a"] = b"small"
    for parts in (False, True):
        assert questions(d).ask("write", "absent", parts=parts)
        assert questions(d).ask("write", "version", parts=parts)
    proxy.forget()
    return d


def questions(d: Dict) -> Probes:
    assert isinstance(d.store, ObjectStore)
    return d.store._probes


def with_small_parts(d: Dict) -> Dict:
    assert isinstance(d.store, ObjectStore)
    d.store.engine.multipart_above = MIB
    return d


def large(seed: int, size: int = 3 * MIB) -> bytes:
    """A value that does not compress."""
    import random

    return random.Random(seed).randbytes(size)


def insert(d: Dict, key: str, value: Any) -> bool:
    return d.set_item_if(
        key, value=value, condition=ETAG_IS_THE_SAME, expected_etag=ITEM_NOT_AVAILABLE
    ).condition_was_satisfied


def swap(d: Dict, key: str, etag: str, value: Any) -> bool:
    return d.set_item_if(
        key, value=value, condition=ETAG_IS_THE_SAME, expected_etag=etag
    ).condition_was_satisfied


def unfinished(server: Server, bucket: str) -> list[str]:
    found = server.client().list_multipart_uploads(Bucket=bucket)
    return [upload["Key"] for upload in found.get("Uploads", [])]


@any_engine
def test_a_large_value_takes_several_requests_and_is_read_by_one(d: Dict, proxy: Proxy) -> None:
    d["a"] = large(1)
    counts = dict(proxy.counts)
    assert counts.pop("part") >= 3
    assert counts == {"begin": 1, "complete": 1}
    proxy.forget()
    assert d["a"] == large(1)
    assert proxy.counts == {"get": 1}


@any_engine
def test_a_large_value_does_not_show_before_it_is_complete(d: Dict, proxy: Proxy) -> None:
    seen = []

    def looks_first(exchange: Exchange) -> None:
        seen.append(d["a"])
        exchange.answer(exchange.forward())

    proxy.plan(looks_first, "part")
    proxy.plan(looks_first, "complete")
    d["a"] = large(1)
    assert seen == [b"small", b"small"]
    assert d["a"] == large(1)


@any_engine
@pytest.mark.parametrize("verb", ["begin", "part", "complete"])
@pytest.mark.parametrize(
    "fault",
    [
        says(503, "SlowDown"),
        says(500, "InternalError"),
        says_after(500, "InternalError"),
        drops_request,
        drops_reply,
    ],
    ids=["503", "500", "500 after", "request dropped", "reply dropped"],
)
def test_a_fault_on_the_way_is_another_attempt(verb: str, fault: Fault, d: Dict, proxy: Proxy) -> None:
    proxy.plan(fault, verb)
    d["a"] = large(1)
    assert d["a"] == large(1)
    # After the last request the object itself tells whether it is there.
    assert proxy.counts[verb] >= 2 or (verb == "complete" and proxy.counts["head"] == 1)
    assert "abort" not in proxy.counts or verb == "complete"


@any_engine
@pytest.mark.parametrize(
    "fault",
    [says(503, "SlowDown"), says_after(500, "InternalError"), drops_reply],
    ids=["503", "500 after", "reply dropped"],
)
def test_a_large_swap_or_insertion_whose_completion_is_in_doubt_is_done_once(
    fault: Fault, d: Dict, proxy: Proxy
) -> None:
    proxy.plan(fault, "complete")
    assert swap(d, "a", d.etag("a"), large(1))
    proxy.plan(fault, "complete")
    assert insert(d, "b", large(2))
    assert (d["a"], d["b"]) == (large(1), large(2))


@any_engine
def test_success_with_an_error_inside_is_an_error(d: Dict, proxy: Proxy) -> None:
    """S3 may answer 200 to a completion and find out then that it fails."""
    body = b"<?xml version='1.0'?><Error><Code>InternalError</Code><Message>sorry</Message></Error>"
    says_yes_and_no: Fault = lambda exchange: exchange.answer(Reply(200, [], body))  # noqa: E731 - a fault is a function
    proxy.plan(says_yes_and_no, "complete")
    d["a"] = large(1)
    assert d["a"] == large(1)
    assert proxy.counts["complete"] == 2


@any_engine
@pytest.mark.parametrize("retry_for", [1.0])
@pytest.mark.parametrize("verb", ["part", "complete"])
def test_an_upload_that_fails_leaves_the_old_value_and_nothing_else(
    verb: str, d: Dict, proxy: Proxy, ministack: Server, bucket: str
) -> None:
    proxy.plan(says(500, "InternalError", "we are sorry"), verb, times=None)
    with pytest.raises(BackendError, match=f"s3://{bucket}/root/prefix/a"):
        d["a"] = large(1)
    assert unfinished(ministack, bucket) == []
    assert d["a"] == b"small"
    assert len(d) == 1


@any_engine
def test_an_insertion_in_doubt_of_which_nothing_is_found_has_an_unknown_outcome(
    d: Dict, proxy: Proxy
) -> None:
    proxy.plan(says(500, "InternalError"), "complete")
    with pytest.raises(OutcomeUnknownError):
        insert(d, "b", large(1))
    assert "b" not in d


@any_engine
@pytest.mark.parametrize("server_name", ["ministack", "moto_server"])
def test_conditions_hold_for_large_values_and_refused_ones_leave_nothing(
    server_name: str,
    engine: EngineName,
    bucket: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Moto ignores `If-Match` of a completion, and takes no parts below 5 MiB."""
    monkeypatch.setattr(Engine, "part_size", 5 * MIB)
    server: Server = request.getfixturevalue(server_name)
    d = with_small_parts(Place(server.endpoint, bucket, engine).open())
    one, two, three = (large(seed, 6 * MIB) for seed in (1, 2, 3))
    assert insert(d, "a", one)
    first = d.etag("a")
    assert not insert(d, "a", two)
    assert d["a"] == one
    assert swap(d, "a", first, two)
    assert not swap(d, "a", first, three)
    assert d["a"] == two
    second = d.etag("a")
    del d["a"]
    assert not swap(d, "a", second, three)
    assert "a" not in d
    assert unfinished(server, bucket) == []
    assert list(server.client().list_objects_v2(Bucket=bucket).get("Contents", [])) == []
