"""What a service refuses is told as what it is, with key and bucket; never as absence or with secrets."""

import pickle
import socket
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from perkey.dicts.s3 import BasicS3Dict
from perkey.errors import AccessDeniedError, BackendError
from perkey.jokers import ETAG_IS_THE_SAME, ITEM_NOT_AVAILABLE
from s3.credentials import SECRET_KEY
from s3.engines import each_engine
from s3.places import EngineName, Place, know_server, shared_session
from s3.proxy import Exchange, Proxy, Reply, error, says
from s3.servers import Server, client_of

Dict = BasicS3Dict[Any]

pytestmark = pytest.mark.usefixtures("quick_pauses")


@pytest.fixture
def d(proxy: Proxy, bucket: str, engine: EngineName) -> Dict:
    d = Place(proxy.endpoint, bucket, engine).open(retry_for=0.2)
    d["a"] = 1
    know_server(d)
    proxy.forget()
    return d


OPERATIONS: dict[str, tuple[str, Callable[[Dict], object]]] = {
    "[]": ("get", lambda d: d["a"]),
    "get": ("get", lambda d: d.get("a", "absent")),
    "get_many": ("get", lambda d: d.get_many(["a"])),
    "setdefault": ("get", lambda d: d.setdefault("a", 5)),
    "in": ("head", lambda d: "a" in d),
    "etag": ("head", lambda d: d.etag("a")),
    "del": ("head", lambda d: d.__delitem__("a")),
    "discard": ("delete", lambda d: d.discard("a")),
    "set": ("put", lambda d: d.__setitem__("a", 2)),
    "set_many": ("put", lambda d: d.set_many({"a": 2})),
    "insert": ("put", lambda d: insert(d, "a")),
}

LISTINGS: dict[str, tuple[str, Callable[[Dict], object]]] = {
    "len": ("list", len),
    "iteration": ("list", list),
    "bool": ("list", bool),
    "clear": ("list", lambda d: d.clear()),
    "subdicts": ("list", lambda d: d.subdicts()),
}


def insert(d: Dict, key: str) -> bool:
    return d.set_item_if(
        key, value=1, condition=ETAG_IS_THE_SAME, expected_etag=ITEM_NOT_AVAILABLE
    ).condition_was_satisfied


def refused(
    act: Callable[[Dict], object], d: Dict, kind: type[BackendError] = AccessDeniedError
) -> BackendError:
    """Do what is refused, and return the error after a look at what all of them must have."""
    with pytest.raises(BackendError) as caught:
        act(d)
    told = caught.value
    assert type(told) is kind
    assert told.backend == "s3"
    assert str(told) == str(pickle.loads(pickle.dumps(told)))
    assert SECRET_KEY not in "".join(traceback.format_exception(told))
    return told


@each_engine
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_refusal_names_key_and_bucket_and_is_not_absence(
    name: str, d: Dict, proxy: Proxy, bucket: str
) -> None:
    verb, act = OPERATIONS[name]
    proxy.plan(says(403, "AccessDenied", "no"), verb, times=None)
    told = refused(act, d)
    assert isinstance(told, PermissionError)
    assert f"s3://{bucket}/root/prefix/a.pkl: access denied" in str(told)
    assert told.key == "root/prefix/a.pkl"
    assert proxy.counts == {verb: 1} or name == "discard"
    proxy.heal()
    assert dict(d.items()) == {("a",): 1}


@each_engine
@pytest.mark.parametrize("name", LISTINGS)
def test_a_refused_listing_is_not_emptiness(name: str, d: Dict, proxy: Proxy, bucket: str) -> None:
    proxy.plan(says(403, "AccessDenied", "no"), "list", times=None)
    told = refused(LISTINGS[name][1], d)
    assert f"cannot list s3://{bucket}/root/prefix/: access denied" in str(told)


@each_engine
@pytest.mark.parametrize("name", ["[]", "in"])
def test_without_the_right_to_list_it_is_told_that_403_may_mean_absence(
    name: str, d: Dict, proxy: Proxy
) -> None:
    verb, act = OPERATIONS[name]
    proxy.plan(says(403, "AccessDenied", "no"), verb)
    assert "s3:ListBucket" in str(refused(act, d))


@each_engine
@pytest.mark.parametrize("reply", [(403, "AccessDenied"), (301, "PermanentRedirect")], ids=str)
@pytest.mark.parametrize("name", ["[]", "in", "set", "len"])
def test_without_a_bucket_name_an_error_says_that_none_was_given(
    name: str, reply: tuple[int, str], proxy: Proxy, bucket: str, engine: EngineName
) -> None:
    verb, act = (OPERATIONS | LISTINGS)[name]
    proxy.plan(says(*reply), verb, times=None)
    service: dict[str, Any] = {"endpoint_url": proxy.endpoint, "engine": engine, "session": shared_session()}
    named: dict[str, Any] = {"bucket_name": bucket}
    for given in ({}, named):
        d: Dict = BasicS3Dict(**given, **service, region="us-east-1", retry_for=0.2)
        with pytest.raises(BackendError) as caught:
            act(d)
        assert ("no bucket_name is given" in str(caught.value)) is not bool(given)


@each_engine
@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "ExpiredToken"),
        (403, "InvalidAccessKeyId"),
        (400, "InvalidToken"),
        (403, "SignatureDoesNotMatch"),
    ],
)
@pytest.mark.parametrize("name", ["[]", "set", "insert", "len"])
def test_bad_credentials_are_told_as_such(name: str, status: int, code: str, d: Dict, proxy: Proxy) -> None:
    verb, act = (OPERATIONS | LISTINGS)[name]
    proxy.plan(says(status, code), verb, times=None)
    told = refused(act, d)
    assert "the credentials are expired or not valid" in str(told)
    assert "renew them, or check AWS_ACCESS_KEY_ID" in str(told)
    assert code in str(told)


@each_engine
def test_a_wrong_clock_is_told_as_such(d: Dict, proxy: Proxy) -> None:
    verb, act = OPERATIONS["set"]
    proxy.plan(says(403, "RequestTimeTooSkewed"), verb, times=None)
    assert "the clocks" in str(refused(act, d))


@each_engine
def test_what_lies_in_an_archive_is_not_a_matter_of_rights(d: Dict, proxy: Proxy) -> None:
    proxy.plan(says(403, "InvalidObjectState"), "get")
    with pytest.raises(BackendError, match="InvalidObjectState") as caught:
        d["a"]
    assert not isinstance(caught.value, PermissionError)


@each_engine
def test_expired_credentials_are_told_where_s3_says_no_word(d: Dict, proxy: Proxy) -> None:
    """The answer to a HEAD has no body, and so no code."""
    proxy.plan(says(400, "ExpiredToken"), "head", times=None)
    assert "the credentials are expired or not valid" in str(refused(lambda d: "a" in d, d))


@each_engine
@pytest.mark.parametrize("name", ["[]", "in", "set", "len"])
@pytest.mark.parametrize(
    "how", [(301, "PermanentRedirect"), (400, "AuthorizationHeaderMalformed")], ids=["301", "400"]
)
def test_another_region_is_told_as_such(
    name: str, how: tuple[int, str], d: Dict, proxy: Proxy, bucket: str
) -> None:
    def is_elsewhere(exchange: Exchange) -> None:
        reply = error(exchange.request, *how, "the bucket is in eu-west-1")
        exchange.answer(
            Reply(reply.status, [*reply.headers, ("x-amz-bucket-region", "eu-west-1")], reply.body)
        )

    verb, act = (OPERATIONS | LISTINGS)[name]
    proxy.plan(is_elsewhere, verb, times=None)
    proxy.plan(is_elsewhere, "bucket", times=None)
    told = refused(act, d, BackendError)
    assert f"s3://{bucket}/root/prefix/" in str(told)
    assert "another region than 'us-east-1'; pass its region, 'eu-west-1'" in str(told)


@each_engine
def test_a_bucket_that_is_missing_is_empty(proxy: Proxy, bucket: str, engine: EngineName) -> None:
    d = Place(proxy.endpoint, bucket, engine).open()
    assert len(d) == 0
    assert list(d) == []
    assert d.subdicts() == {}
    assert d.get("a") is None
    assert "a" not in d
    assert not d.discard("a")
    d.clear()
    d.delete_many(["a"])
    with pytest.raises(KeyError, match="a"):
        d["a"]
    with pytest.raises(KeyError, match="a"):
        del d["a"]
    assert "bucket" not in proxy.counts


@each_engine
@pytest.mark.parametrize("name", ["set", "set_many", "insert"])
def test_a_missing_bucket_that_may_not_be_made_is_told_as_such(
    name: str, proxy: Proxy, bucket: str, engine: EngineName
) -> None:
    d = Place(proxy.endpoint, bucket, engine).open()
    proxy.plan(says(403, "AccessDenied"), "bucket", times=None)
    told = refused(OPERATIONS[name][1], d)
    assert f"cannot create the bucket for s3://{bucket}/" in str(told)


@each_engine
def test_a_bucket_of_somebody_else_is_told_as_such(proxy: Proxy, bucket: str, engine: EngineName) -> None:
    d = Place(proxy.endpoint, bucket, engine).open()
    proxy.plan(says(409, "BucketAlreadyExists", "it is not yours"), "bucket", times=None)
    told = refused(OPERATIONS["set"][1], d, BackendError)
    assert f"s3://{bucket}/" in str(told)
    assert "BucketAlreadyExists" in str(told)


@each_engine
def test_a_bucket_that_another_one_makes_at_the_same_moment_is_made(
    proxy: Proxy, bucket: str, engine: EngineName
) -> None:
    """Not every server tells that it is one's own."""

    def is_overtaken(exchange: Exchange) -> None:
        exchange.forward()
        exchange.answer(error(exchange.request, 409, "BucketAlreadyExists", "somebody was faster"))

    d = Place(proxy.endpoint, bucket, engine).open(retry_for=0.2)
    proxy.plan(is_overtaken, "bucket")
    d["a"] = 1
    assert d["a"] == 1


@each_engine
def test_what_is_not_known_is_passed_on_in_the_services_own_words(d: Dict, proxy: Proxy, bucket: str) -> None:
    proxy.plan(says(400, "EntityTooLarge", "more than 5 GiB"), "put")
    told = refused(OPERATIONS["set"][1], d, BackendError)
    assert f"cannot write s3://{bucket}/root/prefix/a.pkl: EntityTooLarge: more than 5 GiB" in str(told)
    assert proxy.counts == {"put": 1}


@each_engine
def test_a_service_that_does_not_know_conditions_refuses_them(
    proxy: Proxy, bucket: str, engine: EngineName
) -> None:
    d = Place(proxy.endpoint, bucket, engine).open(retry_for=0.2)
    d["a"] = 1
    proxy.plan(says(501, "NotImplemented"), "put", times=None)
    with pytest.raises(NotImplementedError, match=f"s3://{bucket}/.*ignores such conditions"):
        insert(d, "b")
    proxy.heal()
    assert dict(d.items()) == {("a",): 1}


@each_engine
def test_whoever_may_not_ask_about_conditions_may_still_remove(
    proxy: Proxy, bucket: str, engine: EngineName
) -> None:
    d = Place(proxy.endpoint, bucket, engine).open(retry_for=0.2)
    d["a"] = 1
    proxy.plan(says(403, "AccessDenied"), "put", times=None)
    del d["a"]
    assert "a" not in d
    refused(lambda d: insert(d, "a"), d)


@each_engine
def test_an_address_where_nobody_listens_is_an_error_that_names_it(
    ministack: Server, bucket: str, engine: EngineName
) -> None:
    with Proxy(ministack.endpoint).running() as gone:
        d = Place(gone.endpoint, bucket, engine).open(retry_for=0.2)
    told = refused(OPERATIONS["[]"][1], d, BackendError)
    assert f"s3://{bucket}/root/prefix/a.pkl" in str(told)
    told = refused(OPERATIONS["set"][1], d, BackendError)
    assert f"s3://{bucket}/root/prefix/a.pkl" in str(told)


@each_engine
@pytest.mark.parametrize("name", ["[]", "in", "set", "len", "insert"])
def test_without_any_credentials_nothing_is_sent_and_the_error_says_what_to_set(
    name: str, proxy: Proxy, bucket: str, engine: EngineName, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    d = Place(proxy.endpoint, bucket, engine).open(session=None)
    told = refused((OPERATIONS | LISTINGS)[name][1], d)
    assert f"s3://{bucket}/" in str(told)
    assert "AWS_ACCESS_KEY_ID" in str(told)
    assert proxy.counts == {}


def test_an_error_of_boto_is_not_hidden(proxy: Proxy, bucket: str) -> None:
    """It is the cause of ours, for whoever wants to know more."""
    d = Place(None, bucket).open(client=client_of(proxy.endpoint))
    proxy.plan(says(403, "AccessDenied"), "get")
    assert isinstance(refused(OPERATIONS["[]"][1], d).__cause__, ClientError)


@pytest.mark.parametrize("engine", ["boto3", "obstore"])
def test_an_endpoint_that_cannot_be_reached_is_an_error_that_says_what_to_do(
    engine: EngineName, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with socket.socket() as closed:  # bound, and not listening
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        d = BasicS3Dict[int]("bucket", "us-east-1", endpoint_url=address, retry_for=0, engine=engine)
        with pytest.raises(BackendError, match=r"check the network, and .* pass endpoint_url= or set AWS_"):
            d["a"]
