"""What clients of our own do otherwise than boto3's would by themselves."""

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import botocore.utils
import pytest

from perkey.errors import BackendError
from perkey.expectations import ANY
from perkey.stores.objects import boto_client
from perkey.stores.objects.boto import BotoEngine
from s3.proxy import Exchange, Proxy, Reply

MIB = 1 << 20


@pytest.fixture
def engine(proxy: Proxy, bucket: str) -> Iterator[BotoEngine]:
    """An engine that makes its client, and its session, itself."""
    engine = BotoEngine(bucket, region="us-east-1", endpoint_url=proxy.endpoint)
    engine.create_bucket()
    proxy.forget()
    yield engine
    engine.client.close()


def expectations(proxy: Proxy) -> list[str | None]:
    return [request.headers.get("expect") for request in proxy.requests]


def test_a_short_value_travels_with_its_request(engine: BotoEngine, proxy: Proxy) -> None:
    engine.put("a", b"x" * MIB, expect=ANY, write_id="w")
    assert expectations(proxy) == [None]


def test_a_long_value_waits_to_be_asked_for(engine: BotoEngine, proxy: Proxy) -> None:
    engine.put("a", b"x" * (MIB + 1), expect=ANY, write_id="w")
    assert expectations(proxy) == ["100-continue"]


def test_what_a_user_puts_by_a_client_of_hers_goes_as_boto3_sends_it(proxy: Proxy, bucket: str) -> None:
    client = boto3.client("s3", region_name="us-east-1", endpoint_url=proxy.endpoint)
    engine = BotoEngine(bucket, client=client)
    engine.create_bucket()
    proxy.forget()
    engine.put("a", b"x", expect=ANY, write_id="w")
    assert expectations(proxy) == ["100-continue"]
    client.close()


@pytest.mark.parametrize(
    "said",
    [
        "2026-11-21T14:10:07.000Z",
        "2026-11-21T14:10:07Z",
        "2026-11-21T14:10:07.123456+00:00",
        "2026-11-21T15:10:07+01:00",
        "2026-11-21T14:10:07",
        "20261121T141007Z",
        "Sat, 21 Nov 2026 14:10:07 GMT",
        "Sat, 21 Nov 2026 14:10:07 -0000",
        "Sat, 21 Nov 2026 14:10:07 +0000",
        "Saturday, 21-Nov-26 14:10:07 GMT",
        "1795270207",
        "1795270207.5",
        1795270207,
        1795270207.5,
        "0",
    ],
)
def test_times_are_read_as_botocore_reads_them(said: Any) -> None:
    assert boto_client._parse_time(said) == botocore.utils.parse_timestamp(said)


@pytest.mark.parametrize("said", ["", "yesterday", "2026-13-45T00:00:00Z"])
def test_what_is_no_time_fails_as_with_botocore(said: str) -> None:
    def failure(parse: Callable[[str], object]) -> str:
        with pytest.raises(ValueError) as caught:
            parse(said)
        return str(caught.value)

    assert failure(boto_client._parse_time) == failure(botocore.utils.parse_timestamp)


def test_a_listing_tells_times_as_a_look_does(engine: BotoEngine) -> None:
    engine.put("a", b"x", expect=ANY, write_id="w")
    ((_, listed),) = engine.list("")
    assert int(listed.mtime) == int(engine.head("a").mtime)


def test_a_reply_is_read_as_far_as_the_engine_wants_it(engine: BotoEngine) -> None:
    """And no further: botocore would look for forty headers one by one."""
    engine.put("a", b"x", expect=ANY, write_id="w")
    reply = engine.client.get_object(Bucket=engine.bucket, Key="a")
    reply["Body"].close()
    wanted = {"Body", "ContentLength", "ETag", "LastModified", "Metadata"}
    assert reply.keys() - {"ResponseMetadata"} == wanted
    assert engine.head("a").write_id == "w"


def test_a_client_of_a_users_session_reads_all(proxy: Proxy, bucket: str) -> None:
    """Hooks of the session may want it."""
    engine = BotoEngine(bucket, endpoint_url=proxy.endpoint, session=boto3.Session(region_name="us-east-1"))
    engine.create_bucket()
    engine.put("a", b"x", expect=ANY, write_id="w")
    assert "ContentType" in engine.client.head_object(Bucket=bucket, Key="a")
    engine.client.close()


def test_a_body_that_was_changed_on_its_way_is_refused(engine: BotoEngine, proxy: Proxy) -> None:
    """By the checksum that the service sends with it."""
    engine.put("a", b"the value", expect=ANY, write_id="w")

    def change(exchange: Exchange) -> None:
        reply = exchange.forward()
        assert any(name.lower().startswith("x-amz-checksum-") for name, _ in reply.headers)
        exchange.answer(Reply(reply.status, reply.headers, b"The value"))

    proxy.plan(change, "get")
    with pytest.raises(BackendError, match=r"a.*checksum"):
        engine.get("a", unless=None, limit=None)
