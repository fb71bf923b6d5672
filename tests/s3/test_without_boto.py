"""`engine="obstore"` without boto3: all of a dictionary, and the settings that need the extra."""

import json
import pickle
import signal
import subprocess
import sys
import threading
import time
from types import FrameType
from typing import Any, Final

import pytest

from perkey.errors import (
    AccessDeniedError,
    BackendError,
    MissingExtraError,
    OutcomeUnknownError,
    UnsupportedConditionError,
)
from perkey.expectations import ABSENT, ANY
from perkey.stores import Store
from perkey.stores.objects import ObjectStore
from perkey.stores.objects.engine import NoSuchBucket, PreconditionFailed, TryAgain, Unclear
from perkey.stores.objects.obstore_url import S3UrlEngine
from perkey.testing import StoreContract
from s3.credentials import REGION, SECRET_KEY
from s3.proxy import Exchange, Proxy, drops_reply, drops_request, says
from s3.servers import Server
from s3.test_contract import BUCKET, OnMoto, S3Store

pytestmark = pytest.mark.usefixtures("quick_pauses")


class TestStore(S3Store, StoreContract, OnMoto):
    """The whole contract, conditional removals included, on a server that supports them."""

    def _over(self, prefix: str) -> Store:
        return ObjectStore(S3UrlEngine(BUCKET, region=REGION, endpoint_url=self.endpoint), prefix)


# --- A program without boto3 ------------------------------------------------------------------------

PROGRAM: Final = """
import json, os, pickle, sys
for name in ("boto3", "botocore"):
    sys.modules[name] = None
import perkey
from perkey import BasicS3Dict, ObjectStoreDict, S3Dict

said = []
endpoint, bucket, cache = sys.argv[1:]
where = {"region": "us-east-1", "endpoint_url": endpoint, "engine": "obstore"}
for make in (
    lambda: S3Dict(bucket, base_dir=None),
    lambda: S3Dict(bucket, base_dir=None, client=object(), **where),
    lambda: BasicS3Dict(bucket, session=object(), **where),
    lambda: BasicS3Dict("arn:aws:s3:us-east-1:123456789012:accesspoint/x", **where),
    lambda: BasicS3Dict(bucket, **where).sweep(),
):
    try:
        make()
    except perkey.MissingExtraError as error:
        said.append(error.extra)

d = S3Dict(bucket, base_dir=cache, **where)  # the bucket does not exist yet
d["a"] = 1
d["large"] = os.urandom(2 << 20)
assert len(d["large"]) == 2 << 20
d["b", "c"] = 3
assert d.setdefault("a", 2) == 1 and d.setdefault("n", 5) == 5
assert d.transform_item("a", transformer=lambda n: n + 1).new_value == 2
d.transform_item("n", transformer=lambda n: perkey.DELETE_CURRENT)
assert "n" not in d
same = {"condition": perkey.ETAG_IS_THE_SAME, "expected_etag": d.etag("a")}
assert d.set_item_if("a", value=7, **same).condition_was_satisfied
assert not d.discard_if("a", **same).condition_was_satisfied
assert sorted(d) == [("a",), ("b", "c"), ("large",)] and list(d.subdicts()) == ["b"]
assert pickle.loads(pickle.dumps(d))["a"] == 7 and S3Dict(**d.get_params())["a"] == 7
assert d.pop("a") == 7 and "a" not in d
d.set_many({"x": 1, "y": 2})
d.delete_many(["x", "y"])
del d["large"]
d.clear()
assert len(d) == 0
other = ObjectStoreDict(f"s3://{bucket}/p", options={"endpoint": endpoint, "region": "us-east-1"})
other["a"] = 1
said.append([other["a"], other.setdefault("a", 2), len(other)])
assert not any(sys.modules.get(name) for name in ("boto3", "botocore"))
print(json.dumps(said))
"""


@pytest.mark.parametrize("server", ["moto_server", "ministack"], indirect=True)
def test_a_program_has_all_of_a_dictionary(server: Server, bucket: str, tmp_path: Any) -> None:
    program = [sys.executable, "-c", PROGRAM, server.endpoint, bucket, str(tmp_path / "cache")]
    done = subprocess.run(program, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["aws"] * 5 + [[1, 1, 1]]


@pytest.mark.parametrize(
    "settings",
    [{"client": object()}, {"session": object()}, {"bucket": "arn:aws:s3:eu-west-1:1:accesspoint/x"}],
)
def test_what_needs_boto3_is_named_with_the_extra(settings: dict[str, Any]) -> None:
    with pytest.raises(MissingExtraError, match=r"perkey\[aws\]"):
        S3UrlEngine(**{"bucket": "bucket", **settings})


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"bucket": "no bucket"}, ValueError),
        ({"bucket": 7}, TypeError),
        ({"region": 7}, TypeError),
        ({"endpoint_url": "http://user:secret@host"}, ValueError),
        ({"endpoint_url": "host"}, ValueError),
        ({"unsigned": "yes"}, TypeError),
        ({"requester_pays": 1}, TypeError),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        S3UrlEngine(**{"bucket": "bucket", **settings})


# --- Requests that obstore has no verb for ----------------------------------------------------------


@pytest.fixture
def engine(proxy: Proxy, bucket: str) -> S3UrlEngine:
    """An engine on a bucket with the object "a"."""
    engine = S3UrlEngine(bucket, region=REGION, endpoint_url=proxy.endpoint)
    engine.create_bucket()
    engine.put("a", b"one", expect=ANY, write_id="w")
    proxy.forget()
    return engine


def test_a_removal_under_a_condition_is_one_request(engine: S3UrlEngine, proxy: Proxy) -> None:
    version = engine.head("a").version
    proxy.forget()
    with pytest.raises(PreconditionFailed):
        engine.delete("a", version="0" * 32)
    engine.delete("a", version=version)
    assert proxy.counts == {"delete": 2}
    assert list(engine.list("")) == []


@pytest.mark.parametrize("key", ["a b+c&d=e.pkl", "ü/ß%20.pkl", "x/~y.pkl"])
def test_names_are_signed_as_they_are(engine: S3UrlEngine, key: str) -> None:
    version = engine.put(key, b"x", expect=ANY, write_id="w")
    engine.delete(key, version=version)
    assert [name for name, _ in engine.list("")] == ["a"]


def test_a_bucket_that_is_there_is_made_again_without_an_error(engine: S3UrlEngine) -> None:
    engine.create_bucket()
    assert engine.head("a").size == 3


def test_a_bucket_that_exists_and_can_be_read_is_taken(engine: S3UrlEngine, proxy: Proxy) -> None:
    proxy.plan(says(409, "BucketAlreadyExists"), "bucket")
    engine.create_bucket()


def test_a_bucket_of_another_account_is_not(proxy: Proxy, bucket: str) -> None:
    engine = S3UrlEngine(bucket, region=REGION, endpoint_url=proxy.endpoint)
    proxy.plan(says(409, "BucketAlreadyExists"), "bucket", times=None)
    with pytest.raises((BackendError, TryAgain), match="BucketAlreadyExists"):
        engine.create_bucket()


def test_a_bucket_is_made_in_its_region(proxy: Proxy, ministack: Server, bucket: str) -> None:
    engine = S3UrlEngine(bucket, region="eu-central-1", endpoint_url=proxy.endpoint)
    engine.create_bucket()
    assert b"<LocationConstraint>eu-central-1<" in proxy.requests[0].body
    ministack.client().head_bucket(Bucket=bucket)


@pytest.mark.parametrize(
    ("fault", "signal_kind"),
    [
        (says(412, "PreconditionFailed"), PreconditionFailed),
        (says(404, "NoSuchBucket"), NoSuchBucket),
        (says(503, "SlowDown"), TryAgain),
        (says(500, "InternalError"), Unclear),
        (drops_request, Unclear),
        (drops_reply, Unclear),
        (says(403, "AccessDenied"), AccessDeniedError),
        (says(400, "Surprise"), BackendError),
    ],
)
def test_failures_are_the_same_signals_as_by_obstore(
    fault: Any, signal_kind: type[Exception], engine: S3UrlEngine, proxy: Proxy
) -> None:
    proxy.plan(fault, "delete", times=None)
    with pytest.raises(signal_kind) as caught:
        engine.delete("a", version="0" * 32)
    assert type(caught.value) is signal_kind


def test_a_service_that_is_not_there_did_nothing(bucket: str) -> None:
    engine = S3UrlEngine(bucket, region=REGION, endpoint_url="http://127.0.0.1:9")
    with pytest.raises(TryAgain):
        engine.delete("a", version="0" * 32)


def test_a_removal_whose_reply_is_lost_is_not_taken_for_a_conflict(engine: S3UrlEngine, proxy: Proxy) -> None:
    store = ObjectStore(engine, "p")
    version = store.write(("a.pkl",), b"x")
    store.supports("remove", "version")
    proxy.plan(drops_reply, "delete")
    with pytest.raises(OutcomeUnknownError):
        store.remove(("a.pkl",), expect=version)
    assert not store.exists(("a.pkl",))


def test_unsigned_requests_cannot_remove_a_certain_version(bucket: str) -> None:
    store = ObjectStore(S3UrlEngine(bucket, region=REGION, unsigned=True))
    assert not store.supports("remove", "version")
    with pytest.raises(UnsupportedConditionError):
        store.remove(("a.pkl",), expect="0" * 32)


def test_the_account_that_pays_is_named_in_signed_addresses_too(
    proxy: Proxy, ministack: Server, bucket: str
) -> None:
    ministack.client().create_bucket(Bucket=bucket)
    engine = S3UrlEngine(bucket, region=REGION, endpoint_url=proxy.endpoint, requester_pays=True)
    version = engine.put("a", b"x", expect=ABSENT, write_id="w")
    engine.delete("a", version=version)
    assert "request-payer" in proxy.requests[-1].target


def test_what_a_signal_handler_raises_is_raised(engine: S3UrlEngine, proxy: Proxy) -> None:
    def stalls(exchange: Exchange) -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
        time.sleep(1)
        exchange.hang_up()

    def handler(number: int, frame: FrameType | None) -> None:
        raise TimeoutError("of the handler")

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        proxy.plan(stalls, "delete")
        with pytest.raises(TimeoutError, match="of the handler"):
            engine.delete("a", version="0" * 32)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_pickles_have_no_credentials(engine: S3UrlEngine) -> None:
    again = pickle.loads(pickle.dumps(engine))
    assert vars(again).keys() == vars(engine).keys()
    assert again.head("a").size == 3
    assert SECRET_KEY.encode() not in pickle.dumps(engine)
