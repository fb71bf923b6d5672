"""What clients of our own do otherwise than boto3's would by themselves."""

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import botocore.utils
import pytest

from perkey.stores import boto_client
from perkey.stores.base import ANY
from perkey.stores.s3_boto import BotoEngine
from s3.proxy import Proxy

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
