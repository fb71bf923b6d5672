"""What is the obstore engine's own: which client sends what, how replies are read, what a fork does to it."""

import io
import json
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.credentials import Credentials, RefreshableCredentials

from perkey.content import close, read_all
from perkey.dicts.s3 import BasicS3Dict
from perkey.errors import AccessDeniedError, BackendError
from perkey.expectations import ABSENT, ANY
from perkey.stores.objects import responses as obstores
from perkey.stores.objects.boto import BotoEngine
from perkey.stores.objects.boto_client import provider_of
from perkey.stores.objects.engine import (
    NoSuchBucket,
    NoSuchObject,
    PreconditionFailed,
    TryAgain,
    Unclear,
    Unsupported,
)
from perkey.stores.objects.obstore_s3 import ObstoreEngine
from perkey.stores.objects.store import ObjectStore
from s3.credentials import SECRET_KEY
from s3.places import ENGINES, shared_session
from s3.proxy import Exchange, Proxy, Reply, cuts_body, drops_reply, drops_request, says, stalls
from s3.servers import Server, client_of

pytestmark = pytest.mark.usefixtures("quick_pauses")

RUST = "object_store"
BOTO = "Boto3"

KIB = b"x" * 1024


@pytest.fixture
def engine(proxy: Proxy, bucket: str) -> ObstoreEngine:
    """An engine on a bucket with the object "a"."""
    engine = ObstoreEngine(bucket, region="us-east-1", endpoint_url=proxy.endpoint, session=shared_session())
    engine.create_bucket()
    engine.put("a", b"one", expect=ANY, write_id="first")
    proxy.forget()
    return engine


def boto(engine: BotoEngine) -> BotoEngine:
    """Another engine on the same bucket, by boto3."""
    return BotoEngine(
        engine.bucket, region=engine.region, endpoint_url=engine.endpoint_url, session=shared_session()
    )


def senders(proxy: Proxy) -> list[tuple[str, str]]:
    """Return what was asked, and by which client."""
    return [
        (request.verb, RUST if request.headers["user-agent"].startswith(RUST) else BOTO)
        for request in proxy.requests
    ]


def content_of(engine: BotoEngine, key: str) -> bytes:
    found = engine.get(key, unless=None, limit=None)
    assert found is not None
    return read_all(found[0])


# --- Who does what ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "sent"),
    [
        (lambda e: e.get("a", unless=None, limit=None), [("get", RUST)]),
        (lambda e: e.head("a"), [("head", RUST)]),
        (lambda e: e.put("b", KIB, expect=ANY, write_id="w"), [("put", RUST)]),
        (lambda e: e.put("b", KIB, expect=ABSENT, write_id="w"), [("put", RUST)]),
        (lambda e: list(e.list("")), [("list", RUST)]),
        (lambda e: e.delete("a"), [("delete", RUST)]),
        (lambda e: e.delete("a", version=e.head("a").version), [("head", RUST), ("delete", BOTO)]),
        (lambda e: e.delete_many(["a", "b"]), [("delete_many", BOTO)]),
        (lambda e: list(e.list_folders("")), [("list", BOTO)]),
        (lambda e: e.create_bucket(), [("bucket", BOTO)]),
        (lambda e: e.put("b", io.BytesIO(KIB), expect=ANY, write_id="w"), [("put", BOTO)]),
        (
            lambda e: e.put("b", KIB, expect=ANY, write_id="w", parts=True),
            [("begin", BOTO), ("part", BOTO), ("complete", BOTO)],
        ),
    ],
    ids=lambda it: "-".join(verb for verb, _ in it) if isinstance(it, list) else None,
)
def test_obstore_sends_what_it_can_and_boto3_the_rest(
    act: Callable[[ObstoreEngine], object], sent: list[tuple[str, str]], engine: ObstoreEngine, proxy: Proxy
) -> None:
    act(engine)
    assert senders(proxy) == sent


def test_conditions_are_sent_as_all_servers_take_them(engine: ObstoreEngine, proxy: Proxy) -> None:
    """Ceph compares `If-Match` with its quotes and all."""
    version = engine.put("a", b"two", expect=engine.head("a").version, write_id="w")
    assert engine.get("a", unless=version, limit=None) is None
    with pytest.raises(PreconditionFailed):
        engine.put("a", b"two", expect=ABSENT, write_id="w")
    head, put, get, insert = (request.headers for request in proxy.requests)
    assert "if-match" not in head
    assert put["if-match"].strip('"') == put["if-match"] != version
    assert get["if-none-match"] == f'"{version}"'
    assert insert["if-none-match"] == "*"
    assert [reply.status for reply in proxy.replies] == [200, 200, 304, 412]


def test_both_engines_see_the_same_of_an_object(engine: ObstoreEngine) -> None:
    other = boto(engine)
    for writer, reader in ((engine, other), (other, engine)):
        for key in ("b.json", "b.pkl"):
            version = writer.put(key, KIB, expect=ANY, write_id=f"{type(writer).__name__}-{key}")
            head = reader.head(key)
            assert head == writer.head(key)
            assert (head.version, head.size) == (version, 1024)
            assert head.write_id == f"{type(writer).__name__}-{key}"
            assert reader.get(key, unless=None, limit=None) == (KIB, version)
    assert list(engine.list("")) == list(other.list(""))


def test_both_engines_say_the_same_of_the_kind_of_content(engine: ObstoreEngine) -> None:
    said = {}
    for writer in (engine, boto(engine)):
        for key in ("b.json", "b.pkl"):
            writer.put(key, b"1", expect=ANY, write_id="w")
            said[type(writer), key] = writer.client.head_object(Bucket=engine.bucket, Key=key)["ContentType"]
    assert [said[ObstoreEngine, key] for key in ("b.json", "b.pkl")] == [
        said[BotoEngine, key] for key in ("b.json", "b.pkl")
    ]


def test_large_content_comes_as_a_file_and_small_as_bytes(engine: ObstoreEngine) -> None:
    version = engine.put("a", KIB, expect=ANY, write_id="w")
    assert engine.get("a", unless=None, limit=1024) == (KIB, version)
    found = engine.get("a", unless=None, limit=1023)
    assert found is not None
    content, told = found
    assert not isinstance(content, bytes)
    assert (content.tell(), read_all(content), told) == (0, KIB, version)
    close(content)


def test_a_large_body_goes_by_boto3_without_a_copy_in_memory(engine: ObstoreEngine, proxy: Proxy) -> None:
    engine.put("a", b"x" * (17 << 20), expect=ANY, write_id="w")
    assert senders(proxy) == [("put", BOTO)]
    assert engine.head("a").size == 17 << 20


# --- Names ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["/x", "x//y", "x/../y", ".", "x/./y", "x\ty", "ä b%20c+d", "x*?#y", "~"])
def test_objects_are_named_as_by_boto3_whatever_the_prefix(
    prefix: str, engine: ObstoreEngine, proxy: Proxy
) -> None:
    one, other = ObjectStore(engine, prefix), ObjectStore(boto(engine), prefix)
    one.write(("x", "a=b~(c).pkl"), b"one")
    assert sorted(other.scan()) == sorted(one.scan()) == [("x", "a=b~(c).pkl")]
    assert other.read(("x", "a=b~(c).pkl")) == one.read(("x", "a=b~(c).pkl"))
    assert list(one.folders()) == list(other.folders()) == ["x"]
    other.write(("b.pkl",), b"two")
    one.remove(("b.pkl",))
    one.remove(("x", "a=b~(c).pkl"))
    assert list(other.scan()) == []


@pytest.mark.parametrize("name", ["p/a//b", "p/../b", "p/c\nd", "p/."])
def test_a_foreign_object_that_obstore_cannot_name_spoils_no_listing(
    name: str, engine: ObstoreEngine, proxy: Proxy
) -> None:
    engine.client.put_object(Bucket=engine.bucket, Key=name, Body=b"")
    mine = [f"p/{number}.pkl" for number in range(5)] + ["p/z.pkl", "p/a/b.pkl"]
    for key in mine:
        engine.put(key, b"x", expect=ANY, write_id="w")
    listed = list(ObjectStore(engine, "p").scan())
    assert sorted(listed) == sorted(ObjectStore(boto(engine), "p").scan())
    assert {"/".join(("p", *found)) for found in listed} >= set(mine)
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize("marker", ["p/", "p/sub/", "p"])
def test_markers_of_folders_as_other_programs_make_them_are_no_keys(
    marker: str, engine: ObstoreEngine, proxy: Proxy
) -> None:
    """Obstore lists them without their slash."""
    engine.client.put_object(Bucket=engine.bucket, Key=marker, Body=b"")
    about: dict[str, Any] = {"root_prefix": "p", "endpoint_url": proxy.endpoint, "region": "us-east-1"}
    dicts = [BasicS3Dict[int](engine.bucket, **about, engine=name) for name in ENGINES]
    dicts[0].update({"b": 1, ("sub", "c"): 2})
    for d in dicts:
        assert dict(d.items()) == {("b",): 1, ("sub", "c"): 2}
        assert list(d.subdicts()) == ["sub"]
        assert len(d) == 2


class IgnoresOffsets:
    """Lists all objects whatever the offset, as Azurite does, a page for each object."""

    def list(self, prefix: str | None, **_: object) -> Iterator[list[dict[str, Any]]]:
        names = [f"{prefix}{letter}" for letter in "abcde"]
        about = {"last_modified": datetime.now(UTC), "size": 1, "e_tag": "x"}
        return iter([[{"path": name, **about}] for name in names])


def test_a_listing_that_goes_on_by_another_client_repeats_nothing_where_offsets_are_ignored() -> None:
    clients = [IgnoresOffsets(), IgnoresOffsets(), *[IgnoresOffsets()] * 9]
    listing = obstores.Listing("p/", "")
    found = [name for name, _ in listing.objects(lambda read: read(clients.pop(0)))]
    assert found == ["p/a", "p/b", "p/c", "p/d", "p/e"]
    later = obstores.Listing("p/", "p/c").objects(lambda read: read(clients[-1]))
    assert [name for name, _ in later] == ["p/d", "p/e"]


def test_a_listing_goes_on_by_boto3_where_obstore_cannot(engine: ObstoreEngine) -> None:
    """Its first pages have been told by then."""
    keys = [f"p/{number:04}" for number in range(1100)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: engine.put(key, b"", expect=ANY, write_id="w"), keys))
    engine.client.put_object(Bucket=engine.bucket, Key="p/z\n", Body=b"")
    assert [key for key, _ in engine.list("p/")] == [*keys, "p/z\n"]
    assert [key for key, _ in engine.list("p/", start_after="p/1097")] == ["p/1098", "p/1099", "p/z\n"]


# --- What replies mean ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ((404, "NoSuchKey"), NoSuchObject),
        ((404, "NoSuchBucket"), NoSuchBucket),
        ((412, "PreconditionFailed"), PreconditionFailed),
        ((409, "ConditionalRequestConflict"), TryAgain),
        ((409, "OperationAborted"), TryAgain),
        ((429, "TooManyRequests"), TryAgain),
        ((503, "SlowDown"), TryAgain),
        ((503, "ServiceUnavailable"), TryAgain),
        ((500, "InternalError"), Unclear),
        ((502, "BadGateway"), Unclear),
        ((501, "NotImplemented"), Unsupported),
        ((403, "AccessDenied"), AccessDeniedError),
        ((400, "ExpiredToken"), AccessDeniedError),
        ((400, "EntityTooLarge"), BackendError),
        ((418, "Teapot"), BackendError),
    ],
)
@pytest.mark.parametrize("verb", ["get", "put", "insert", "swap", "list", "delete"])
def test_a_reply_means_the_same_by_either_engine(
    verb: str, said: tuple[int, str], kind: type[Exception], engine: ObstoreEngine, proxy: Proxy
) -> None:
    """Obstore has classes of its own for some, which depend on the condition that was sent."""
    acts: dict[str, Callable[[BotoEngine], object]] = {
        "get": lambda e: e.get("a", unless=None, limit=None),
        "put": lambda e: e.put("a", b"two", expect=ANY, write_id="w"),
        "insert": lambda e: e.put("a", b"two", expect=ABSENT, write_id="w"),
        "swap": lambda e: e.put("a", b"two", expect="0" * 32, write_id="w"),
        "list": lambda e: list(e.list("")),
        "delete": lambda e: e.delete("a"),
    }
    told = []
    for each in (engine, boto(engine)):
        proxy.plan(says(*said, 'of "quotes" \\ and ä'), times=2)
        with pytest.raises(kind) as caught:
            acts[verb](each)
        assert type(caught.value) is kind
        told.append(str(getattr(caught.value, "cause", caught.value)))
        proxy.heal()
    assert told[0] == told[1]
    assert {sender for _, sender in senders(proxy)} == {RUST, BOTO}


@pytest.mark.parametrize(
    ("fault", "kind"), [(drops_request, Unclear), (drops_reply, Unclear), (cuts_body, Unclear)]
)
def test_a_connection_that_breaks_leaves_it_unclear(
    fault: Callable[[Exchange], None], kind: type[Exception], engine: ObstoreEngine, proxy: Proxy
) -> None:
    proxy.plan(fault)
    with pytest.raises(kind):
        engine.get("a", unless=None, limit=None)
    proxy.plan(fault)
    with pytest.raises(kind):
        engine.get("a", unless=None, limit=1)  # as a file
    assert content_of(engine, "a") == b"one"


def test_where_nobody_listens_nothing_was_done(ministack: Server, bucket: str) -> None:
    with Proxy(ministack.endpoint).running() as gone:
        engine = ObstoreEngine(
            bucket, region="us-east-1", endpoint_url=gone.endpoint, session=shared_session()
        )
    with pytest.raises(TryAgain) as caught:
        engine.head("a")
    assert gone.endpoint in str(caught.value.cause)
    assert f"s3://{bucket}/a" in str(caught.value.cause)


def test_the_time_outs_of_a_client_hold_for_obstore_too(proxy: Proxy, bucket: str) -> None:
    engine = ObstoreEngine(bucket, client=client_of(proxy.endpoint, read_timeout=0.3))
    engine.create_bucket()
    proxy.plan(stalls)
    with pytest.raises(Unclear) as caught:
        engine.put("a", b"one", expect=ANY, write_id="w")
    assert "Read timeout" in str(caught.value.cause)
    assert ("put", RUST) in senders(proxy)


def test_a_redirection_is_followed_by_boto3_which_knows_where(engine: ObstoreEngine, proxy: Proxy) -> None:
    proxy.plan(says(301, "PermanentRedirect"), "get", times=None)
    with pytest.raises(BackendError, match="another region"):
        engine.get("a", unless=None, limit=None)
    assert senders(proxy)[:2] == [("get", RUST), ("get", BOTO)]


@pytest.mark.parametrize(
    ("text", "status", "code", "trouble"),
    [
        ("Generic S3 error: something", 0, "", ""),
        ("Object at location a not found: ... non-2xx status code: 404 Not Found: ", 404, "", ""),
        (
            "Error ... status code: 412 Precondition Failed: <Error><Code>PreconditionFailed</Code></Error>",
            412,
            "PreconditionFailed",
            "",
        ),
        (
            'HTTP error\n\nDebug source:\nsource: HttpError {\n    kind: Connect,\n message: "refused"',
            0,
            "",
            "Connect",
        ),
        (
            "said 'status code: 200'\n\nDebug source:\n    inner: Status {\n        status: 503,\n",
            503,
            "",
            "",
        ),
        ("", 0, "", ""),
    ],
)
def test_an_error_is_read_as_far_as_it_can_be(text: str, status: int, code: str, trouble: str) -> None:
    said = obstores.parse_error(Exception(text))
    assert (said.status, said.code, said.trouble) == (status, code, trouble)


def test_an_error_that_nobody_understands_is_passed_on_in_its_own_words(
    engine: ObstoreEngine, proxy: Proxy
) -> None:
    proxy.plan(lambda exchange: exchange.answer(Reply(200, [], b"this is no XML")), "list")
    with pytest.raises(BackendError, match=f"cannot list s3://{engine.bucket}/p/: .*invalid list response"):
        list(engine.list("p/"))


# --- Credentials ------------------------------------------------------------------------------------


def test_credentials_that_expire_are_asked_for_again_before_they_do() -> None:
    keys = iter("ABC")

    def renew() -> dict[str, str]:
        name = next(keys)
        later = datetime.now(UTC) + timedelta(minutes=5)  # so soon that botocore renews them each time
        return {"access_key": name, "secret_key": name, "token": name, "expiry_time": later.isoformat()}

    renewed = provider_of(RefreshableCredentials.create_from_metadata(renew(), renew, "test"))
    given = [renewed(), renewed()]
    assert [each["access_key_id"] for each in given] == ["B", "C"]
    assert all(each["expires_at"] - datetime.now(UTC) < timedelta(minutes=10) for each in given)


def test_credentials_that_stay_are_asked_for_once() -> None:
    given = provider_of(Credentials("key", "secret"))()
    assert given == {"access_key_id": "key", "secret_access_key": "secret", "token": None, "expires_at": None}


def test_credentials_are_those_of_the_client_or_session_given(proxy: Proxy, bucket: str) -> None:
    session = boto3.session.Session("of-session", SECRET_KEY, region_name="us-east-1")
    client = boto3.session.Session("of-client", SECRET_KEY, region_name="us-east-1").client(
        "s3", endpoint_url=proxy.endpoint
    )
    by_session = ObstoreEngine(bucket, endpoint_url=proxy.endpoint, session=session)
    by_client = ObstoreEngine(bucket, client=client)
    for engine, name in ((by_session, "of-session"), (by_client, "of-client")):
        proxy.forget()
        with pytest.raises((NoSuchObject, NoSuchBucket)):
            engine.get("a", unless=None, limit=None)
        assert f"Credential={name}/" in proxy.requests[0].headers["authorization"]


def test_credentials_that_cannot_be_renewed_are_told_as_such(
    proxy: Proxy, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = ObstoreEngine(bucket, endpoint_url=proxy.endpoint, session=shared_session())
    credentials = engine.client._request_signer._credentials

    def fail() -> None:
        raise RuntimeError("the identity provider is asleep")

    monkeypatch.setattr(credentials, "get_frozen_credentials", fail)
    with pytest.raises(AccessDeniedError, match=f"s3://{bucket}/a: no usable AWS credentials"):
        engine.head("a")
    assert proxy.counts == {}


def test_requests_can_go_unsigned(proxy: Proxy, bucket: str) -> None:
    client = boto3.client(
        "s3", endpoint_url=proxy.endpoint, region_name="us-east-1", config=Config(signature_version=UNSIGNED)
    )
    with pytest.raises((NoSuchObject, NoSuchBucket)):
        ObstoreEngine(bucket, client=client).get("a", unless=None, limit=None)
    assert senders(proxy) == [("get", RUST)]
    assert "authorization" not in proxy.requests[0].headers


def test_neither_pickle_nor_text_has_a_secret(engine: ObstoreEngine) -> None:
    content_of(engine, "a")
    shown = [
        pickle.dumps(engine),
        repr(engine).encode(),
        repr(vars(engine)).encode(),
        str(engine._made[1]).encode(),
    ]
    assert not [text for text in shown if SECRET_KEY.encode() in text]
    woken: ObstoreEngine = pickle.loads(shown[0])
    assert content_of(woken, "a") == b"one"


# --- Places -----------------------------------------------------------------------------------------


def config_of(engine: ObstoreEngine) -> Any:
    store = engine._able("a")[1]
    assert store is not None
    return store.config


def test_place_and_region_are_boto3s(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made only, and asked for nothing: these are real places."""
    here = config_of(ObstoreEngine("b", endpoint_url=proxy.endpoint, region="eu-west-1"))
    assert (here["endpoint"], here["region"]) == (proxy.endpoint, "eu-west-1")
    china = config_of(ObstoreEngine("b", region="cn-north-1"))
    assert china["endpoint"] == "https://s3.cn-north-1.amazonaws.com.cn"
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    nowhere = config_of(ObstoreEngine("b"))
    assert (nowhere["endpoint"], nowhere["region"]) == ("https://s3.amazonaws.com", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://elsewhere.invalid")
    assert config_of(ObstoreEngine("b", region="us-east-1"))["endpoint"] == "https://elsewhere.invalid"


def test_a_bucket_may_be_a_part_of_the_hosts_name() -> None:
    config = Config(s3={"addressing_style": "virtual"})
    client = boto3.client("s3", region_name="us-east-1", endpoint_url="http://s3.invalid:80", config=config)
    about = config_of(ObstoreEngine("bucket", client=client))
    assert (about["endpoint"], about["virtual_hosted_style_request"]) == (
        "http://bucket.s3.invalid:80",
        "true",
    )


def test_an_access_point_is_left_to_boto3() -> None:
    arn = "arn:aws:s3:us-east-1:123456789012:accesspoint/name"
    assert ObstoreEngine(arn, region="us-east-1")._able("a")[1] is None


def test_mock_aws_around_a_users_code_simply_works(moto_in_process: None, bucket: str) -> None:
    """And nothing goes to the real cloud, of which obstore alone would know."""
    d: BasicS3Dict[int] = BasicS3Dict(bucket, "us-east-1", engine="obstore")
    d["a"] = 1
    assert dict(d.items()) == {("a",): 1}
    found = boto3.client("s3", region_name="us-east-1").list_objects_v2(Bucket=bucket)
    assert [each["Key"] for each in found["Contents"]] == ["a.pkl"]


def test_threads_share_an_engine(engine: ObstoreEngine, proxy: Proxy) -> None:
    engine = pickle.loads(pickle.dumps(engine))  # that has not been used yet
    meeting = threading.Barrier(8)

    def work(number: int) -> list[bytes]:
        meeting.wait(30)
        for turn in range(10):
            engine.put(f"{number}", b"%d" % turn, expect=ANY, write_id="w")
        return [content_of(engine, f"{number}")]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [[b"9"]] * 8
    assert {sender for _, sender in senders(proxy)} == {RUST}


# --- Forks ------------------------------------------------------------------------------------------

PROGRAM = """
import os, signal, sys
import boto3
from perkey.expectations import ANY
from perkey.stores.objects.obstore_s3 import ObstoreEngine

endpoint, bucket, before = sys.argv[1:]
engine = ObstoreEngine(bucket, region="us-east-1", endpoint_url=endpoint)
if before == "this engine":
    engine.head("a")
elif before == "obstore itself":
    from obstore.store import S3Store
    S3Store(bucket, endpoint=endpoint, region="us-east-1", client_options={"allow_http": True}).head("a")
elif before == "boto3":
    engine.create_bucket()

def work(generations):
    signal.alarm(60)  # what hangs is killed
    assert engine.get("a", unless=None, limit=None)[0] == b"one"
    engine.put(f"by-{generations}", b"two", expect=ANY, write_id="w")
    assert [key for key, _ in engine.list("by-")] or engine.head("a")
    if generations > 1:
        fork(generations - 1)

def fork(generations):
    child = os.fork()
    if not child:
        code = 1
        try:
            work(generations)
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0

fork(2)
work(0)
"""


@pytest.fixture
def forks(engine: ObstoreEngine, proxy: Proxy) -> Callable[[str], list[tuple[str, str]]]:
    """Runs a program that forks after a use of something, and returns which client put what."""

    def run(before: str) -> list[tuple[str, str]]:
        program = [sys.executable, "-W", "ignore", "-c", PROGRAM, proxy.endpoint, engine.bucket, before]
        subprocess.run(program, check=True, timeout=250)
        sent = zip(proxy.requests, senders(proxy), strict=True)
        return [(request.key, sender) for request, (verb, sender) in sent if verb == "put"]

    return run


def test_a_process_forked_before_any_use_has_obstore_of_its_own(
    forks: Callable[[str], list[tuple[str, str]]],
) -> None:
    """And its own children have boto3."""
    assert forks("boto3") == [("by-2", RUST), ("by-1", BOTO), ("by-0", RUST)]


@pytest.mark.parametrize("used", ["this engine", "obstore itself"])
def test_a_process_forked_after_a_use_of_obstore_goes_by_boto3_and_does_not_hang(
    used: str, forks: Callable[[str], list[tuple[str, str]]]
) -> None:
    assert forks(used) == [("by-2", BOTO), ("by-1", BOTO), ("by-0", RUST)]


# --- Without it -------------------------------------------------------------------------------------

WITHOUT = """
import json, sys, tempfile
sys.modules["obstore"] = None
from perkey.dicts.object_store_dict import ObjectStoreDict
from perkey.dicts.s3 import BasicS3Dict
told = []
for make in (
    lambda: BasicS3Dict("bucket", engine="obstore"),
    lambda: ObjectStoreDict("memory://"),
    lambda: ObjectStoreDict("file://" + tempfile.gettempdir()),
    lambda: BasicS3Dict("bucket"),
):
    try:
        made = make()
    except ImportError as error:
        told.append(f"{type(error).__name__}: {error}")
    else:
        told.append("made")
print(json.dumps(told))
"""


def test_without_obstore_the_error_names_the_extra_and_all_else_works() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) == [
        "MissingExtraError: engine='obstore' needs obstore: pip install 'perkey[obstore]'",
        "MissingExtraError: ObjectStoreDict needs obstore: pip install 'perkey[obstore]'",
        "made",
        "made",
    ]
