"""Settings of services: parameters that travel with a handle, profiles, rotated credentials, true causes."""

import inspect
import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config

from perkey.dicts.object_store_dict import ObjectStoreDict
from perkey.dicts.s3 import BasicS3Dict, S3Dict
from perkey.errors import AccessDeniedError, BackendError
from perkey.jokers import ITEM_NOT_AVAILABLE
from perkey.mapping.persi_dict import PersiDict
from perkey.stores.objects.engine import Engine
from s3.credentials import ACCESS_KEY, REGION, SECRET_KEY
from s3.engines import each_engine
from s3.places import EngineName
from s3.proxy import Exchange, Fault, Proxy, error
from s3.servers import Server

pytestmark = pytest.mark.usefixtures("quick_pauses")

OF_OBJECTS: Final = ("get", "head", "put", "delete", "delete_many", "list", "begin", "part", "complete")


def do_everything(d: PersiDict[Any]) -> None:
    """Send each kind of request about objects."""
    d["a"] = 1
    assert d["a"] == 1
    assert "a" in d
    d.setdefault("b", 2)
    d.transform_item("b", transformer=lambda value: 0 if value is ITEM_NOT_AVAILABLE else value + 1)
    d["large"] = os.urandom(2 << 20)
    assert len(d) == 3
    assert d.subdicts() == {}
    assert d.pop("b") == 3 if isinstance(d, BasicS3Dict) else d.discard("b")
    del d["a"]
    d.clear()


def opened(url: str | None, bucket: str, engine: str, **about: Any) -> PersiDict[Any]:
    """Return a dictionary of one of the three ways to a bucket."""
    if engine == "url":
        return ObjectStoreDict(f"s3://{bucket}/p", options={"endpoint": url, **about} if url else about)
    # The endpoint may be left to the environment.
    return BasicS3Dict(bucket, root_prefix="p", endpoint_url=url, engine=engine, **about)  # type: ignore[arg-type]


WAYS: Final = ("boto3", "obstore", "url")
each_way = pytest.mark.parametrize("way", WAYS)


# --- Parameters that travel -------------------------------------------------------------------------


def copies_of(d: PersiDict[Any]) -> list[PersiDict[Any]]:
    """Return what a handle becomes elsewhere."""
    return [d, pickle.loads(pickle.dumps(d)), type(d)(**d.get_params()), d.get_subdict("sub")]


@each_way
def test_requester_pays_is_said_with_each_request_about_objects(
    way: str, proxy: Proxy, ministack: Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Engine, "multipart_above", 1 << 20)
    ministack.client().create_bucket(Bucket=bucket)
    about = {"request_payer": True} if way == "url" else {"requester_pays": True}
    for d in copies_of(opened(proxy.endpoint, bucket, way, **about)):
        proxy.forget()
        do_everything(d)
        asked = {request.verb for request in proxy.requests}
        # Obstore alone deletes by requests for many.
        assert asked >= set(OF_OBJECTS) - ({"delete"} if way == "url" else set())
        silent = [it.verb for it in proxy.requests if it.headers.get("x-amz-request-payer") != "requester"]
        assert silent == []
    proxy.forget()
    do_everything(opened(proxy.endpoint, bucket, way))
    assert not [it for it in proxy.requests if "x-amz-request-payer" in it.headers]


def public(way: str, endpoint: str, bucket: str, source: str) -> PersiDict[Any]:
    if way == "url":
        return opened(endpoint, bucket, way, skip_signature=True)
    config = Config(signature_version=UNSIGNED)
    if source == "client":
        client = boto3.client("s3", endpoint_url=endpoint, region_name=REGION, config=config)
        return opened(None, bucket, way, client=client)
    if source == "session":
        session = boto3.session.Session(region_name=REGION)
        session._session.set_default_client_config(config)
        return opened(endpoint, bucket, way, session=session)
    return opened(endpoint, bucket, way, unsigned=True)


@each_way
@pytest.mark.parametrize("source", ["parameter", "client", "session"])
@pytest.mark.parametrize("has_credentials", [True, False])
def test_unsigned_handles_stay_unsigned_wherever_they_go(  # noqa: PLR0917 - fixtures and parameters
    way: str,
    source: str,
    has_credentials: bool,
    proxy: Proxy,
    ministack: Server,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ministack.client().create_bucket(Bucket=bucket)
    d = public(way, proxy.endpoint, bucket, source)
    if not has_credentials:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    for handle in copies_of(d):
        proxy.forget()
        do_everything(handle)
        assert len(proxy.requests) > 8
        assert not [it.verb for it in proxy.requests if "authorization" in it.headers]


def test_a_client_that_signs_and_unsigned_contradict_each_other(ministack: Server, bucket: str) -> None:
    with pytest.raises(ValueError, match="unsigned is True, but the client signs"):
        BasicS3Dict(bucket, client=ministack.client(), unsigned=True)


@each_engine
def test_a_refusal_of_an_unsigned_request_says_that_it_was_unsigned(
    engine: EngineName, proxy: Proxy, bucket: str
) -> None:
    d = opened(proxy.endpoint, bucket, engine, unsigned=True)
    proxy.plan(lambda it: it.answer(error(it.request, 403, "AccessDenied", "no")), "get", times=None)
    with pytest.raises(AccessDeniedError, match="without a signature"):
        d["a"]


@pytest.mark.parametrize("name", ["unsigned", "requester_pays", "trust_service"])
def test_flags_are_bools(name: str) -> None:
    with pytest.raises(TypeError, match=f"{name} must be a bool, not str"):
        S3Dict("bucket", base_dir=None, **{name: "no"})  # type: ignore[arg-type]


def test_the_cached_dictionary_knows_each_parameter_by_name() -> None:
    """So that an error about an unknown one is about the class that was called."""
    inner, outer = (inspect.signature(it).parameters for it in (BasicS3Dict, S3Dict))
    assert not [it for it in outer.values() if it.kind is inspect.Parameter.VAR_KEYWORD]
    assert set(inner) <= set(outer)
    assert {name: inner[name].default for name in inner} == {name: outer[name].default for name in inner}
    with pytest.raises(
        TypeError, match=r"S3Dict\.__init__\(\) got an unexpected keyword argument 'endpoint'"
    ) as told:
        S3Dict("bucket", base_dir=None, endpoint="http://127.0.0.1:9")  # type: ignore[call-arg]
    assert "Basic" not in str(told.value)


# --- Trust ------------------------------------------------------------------------------------------


@each_way
def test_a_service_that_is_trusted_is_asked_nothing(
    way: str, proxy: Proxy, ministack: Server, bucket: str
) -> None:
    ministack.client().create_bucket(Bucket=bucket)
    d: Any = (
        ObjectStoreDict(f"s3://{bucket}/p", options={"endpoint": proxy.endpoint}, trust_service=True)
        if way == "url"
        else opened(proxy.endpoint, bucket, way, trust_service=True)
    )
    d["a"] = 1
    for handle in copies_of(d)[:3]:
        proxy.forget()
        assert not handle.setdefault_if("a", default_value=2).condition_was_satisfied
        assert proxy.counts == {"put": 1, "get": 1}
        handle.transform_item("a", transformer=lambda value: value + 1)
        assert handle["a"] == 2
        if way != "url":
            assert handle.pop("a") == 2
        assert {it.key for it in proxy.requests} == {"p/a.pkl"}
        handle["a"] = 1


@each_engine
def test_probes_leave_nothing_in_a_bucket_with_versions(
    engine: EngineName, moto_server: Server, bucket: str
) -> None:
    """Neither objects, nor versions, nor markers of deletions."""
    client = moto_server.client()
    client.create_bucket(Bucket=bucket)
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    d = opened(moto_server.endpoint, bucket, engine)
    d.setdefault_if("a", default_value=1)
    d.transform_item("a", transformer=lambda value: value + 1)
    assert d.pop("a") == 2
    found = client.list_object_versions(Bucket=bucket)
    kept = [it["Key"] for kind in ("Versions", "DeleteMarkers") for it in found.get(kind, [])]
    assert sorted(kept) == ["p/a.pkl"] * 3  # two values and the marker of their end


# --- Profiles ---------------------------------------------------------------------------------------

KEY: Final = "AKIAOFTHEPROFILE"
STATIC: Final = f"aws_access_key_id = {KEY}\naws_secret_access_key = {SECRET_KEY}\n"

SETTINGS: Final[dict[str, dict[str, str]]] = {
    # Names of variables, and `config` and `credentials` for the two files; @ is the endpoint.
    "environment": {"AWS_ENDPOINT_URL": "@", "AWS_DEFAULT_REGION": "eu-west-1"},
    "endpoint of S3 before all": {"AWS_ENDPOINT_URL_S3": "@", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"},
    "token": {"AWS_SESSION_TOKEN": "token", "AWS_ENDPOINT_URL": "@"},
    "default profile": {
        "keys": "",
        "config": "[default]\nregion = eu-north-1\nendpoint_url = @\n",
        "credentials": f"[default]\n{STATIC}",
    },
    "named profile": {
        "keys": "",
        "AWS_PROFILE": "work",
        "config": "[profile work]\nregion = eu-north-1\nendpoint_url = @\n",
        "credentials": f"[default]\naws_access_key_id = x\naws_secret_access_key = y\n[work]\n{STATIC}",
    },
    "the other variable for a profile": {
        "keys": "",
        "AWS_DEFAULT_PROFILE": "work",
        "AWS_PROFILE": "play",
        "config": f"[profile 'work']\nendpoint_url = @\n{STATIC}[profile play]\nregion = eu-west-3\n",
    },
    "keys of the environment, place of the profile": {
        "AWS_PROFILE": "work",
        "config": "[profile work]\nregion = eu-north-1\nendpoint_url = @\n",
        "credentials": f"[work]\n{STATIC}",
        "no region": "",
    },
    "services of a profile": {
        "config": "[default]\nservices = mine\nendpoint_url = http://127.0.0.1:9\nregion = eu-north-1\n"
        "[services mine]\ns3 =\n  endpoint_url = @\n",
    },
    "environment before profile": {
        "AWS_ENDPOINT_URL": "@",
        "config": "[default]\nendpoint_url = http://127.0.0.1:9\nregion = eu-north-1\n",
    },
    "a process that prints credentials": {
        "keys": "",
        "config": "[default]\nendpoint_url = @\ncredential_process = /bin/echo "
        f'\'{{"Version": 1, "AccessKeyId": "{KEY}", "SecretAccessKey": "{SECRET_KEY}"}}\'\n',
    },
}


@pytest.fixture
def settle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str], str], None]:
    def act(settings: dict[str, str], endpoint: str) -> None:
        for name, value in settings.items():
            said = value.replace("@", endpoint)
            if name == "keys":
                monkeypatch.delenv("AWS_ACCESS_KEY_ID")
                monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
            elif name == "no region":
                monkeypatch.delenv("AWS_DEFAULT_REGION")
            elif name in {"config", "credentials"}:
                path = tmp_path / name
                path.write_text(said)
                variable = "AWS_CONFIG_FILE" if name == "config" else "AWS_SHARED_CREDENTIALS_FILE"
                monkeypatch.setenv(variable, str(path))
            else:
                monkeypatch.setenv(name, said)

    return act


def asked_as(request: Any) -> tuple[str, str, str]:
    """Return key, region and token of a request."""
    key, _, region = request.headers["authorization"].partition("Credential=")[2].split("/")[:3]
    return key, region, request.headers.get("x-amz-security-token", "")


@pytest.mark.parametrize("name", SETTINGS)
def test_all_ways_to_a_bucket_take_the_same_settings(
    name: str,
    settle: Callable[[dict[str, str], str], None],
    proxy: Proxy,
    ministack: Server,
    bucket: str,
) -> None:
    ministack.client().create_bucket(Bucket=bucket)
    settle(SETTINGS[name], proxy.endpoint)
    seen = []
    for way in WAYS:
        proxy.forget()
        d = opened(None, bucket, way)
        d["a"] = 1
        seen.append([asked_as(request) for request in proxy.requests])
        assert proxy.counts == {"put": 1}
    assert seen[0] == seen[1] == seen[2]
    assert seen[0][0][0] == (KEY if "keys" in SETTINGS[name] else ACCESS_KEY)


BROKEN: Final[dict[str, tuple[dict[str, str], str]]] = {
    "a profile that does not exist": (
        {"AWS_PROFILE": "prod"},
        r"The config profile \(prod\) could not be found",
    ),
    "half a pair of keys": (
        {"keys": "", "AWS_ACCESS_KEY_ID": "x"},
        "(?i)partial credentials|AWS_SECRET_ACCESS_KEY is not",
    ),
    "no keys": ({"keys": ""}, "no AWS credentials were found; set AWS_ACCESS_KEY_ID"),
    "a file that is not one of settings": ({"config": "region = x"}, "(?i)config"),
    "an endpoint that is not an address": ({"AWS_ENDPOINT_URL": "localhost:9000"}, "localhost:9000"),
}


@each_way
@pytest.mark.parametrize("name", BROKEN)
def test_errors_about_settings_name_the_setting(
    name: str, way: str, settle: Callable[[dict[str, str], str], None], bucket: str
) -> None:
    settings, words = BROKEN[name]
    settle(settings, "")
    d = opened(None, bucket, way)
    acts: list[Callable[[], object]] = [
        lambda: d["a"],
        lambda: "a" in d,
        lambda: len(d),
        lambda: d.__setitem__("a", 1),
        lambda: d.setdefault_if("a", default_value=1),
    ]
    for act in acts:
        with pytest.raises(BackendError, match=words) as told:
            act()
        assert f"s3://{bucket}" in str(told.value)
    assert repr(d)
    assert pickle.loads(pickle.dumps(d)).get_params() == d.get_params()


def test_credentials_that_only_the_client_of_aws_can_fetch_are_said_to_be(
    settle: Callable[[dict[str, str], str], None], monkeypatch: pytest.MonkeyPatch, bucket: str
) -> None:
    settle({"keys": "", "config": "[default]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = x\n"}, "")
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(
        AccessDeniedError, match=r"'role_arn', which needs boto3: pip install 'perkey\[aws\]'"
    ):
        opened(None, bucket, "url")["a"]


# --- Rotated credentials ----------------------------------------------------------------------------


def knows_only(key: str, status: int = 403, code: str = "InvalidAccessKeyId") -> Fault:
    """Reject requests that are signed with another key."""

    def act(exchange: Exchange) -> None:
        if f"Credential={key}/" in exchange.request.headers.get("authorization", ""):
            exchange.answer(exchange.forward())
        else:
            exchange.answer(error(exchange.request, status, code, "as planned"))

    return act


REJECTED: Final[dict[str, Callable[[PersiDict[Any]], object]]] = {
    "get": lambda d: d["a"],
    "put": lambda d: d.__setitem__("a", 2),
    "head": lambda d: "a" in d,
    "list": len,
    "insert": lambda d: d.setdefault_if("b", default_value=1),
    "many": lambda d: d.get_many(["a", "c"]),
    "large": lambda d: d.__setitem__("large", os.urandom(3 << 20)),
    "clear": lambda d: d.clear(),
    "subdicts": lambda d: d.subdicts(),
}


SAID: Final = [(403, "InvalidAccessKeyId"), (400, "ExpiredToken"), (403, "SignatureDoesNotMatch")]

ROTATIONS: Final = [
    *(("profile", name, *SAID[0]) for name in REJECTED),
    *((where, "get", *SAID[0]) for where in ("environment", "session")),
    *(("profile", "put", *said) for said in SAID[1:]),
    # Where the credentials are found and which request meets the rejection do not depend on each other.
    *(
        pytest.param(where, name, *SAID[0], marks=pytest.mark.long)
        for where in ("environment", "session")
        for name in REJECTED
        if name != "get"
    ),
    *(
        pytest.param("profile", name, *said, marks=pytest.mark.long)
        for said in SAID[1:]
        for name in ("get", "head", "list")
    ),
]


@each_way
@pytest.mark.parametrize(("where", "name", "status", "code"), ROTATIONS)
def test_credentials_that_were_rotated_are_looked_for_once_more(  # noqa: PLR0917 - fixtures and parameters
    way: str,
    where: str,
    name: str,
    status: int,
    code: str,
    settle: Callable[[dict[str, str], str], None],
    proxy: Proxy,
    ministack: Server,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Engine, "multipart_above", 1 << 20)
    ministack.client().create_bucket(Bucket=bucket)
    if where != "environment":
        settle({**SETTINGS["named profile"], "credentials": f"[work]\n{STATIC.replace(KEY, 'OLD')}"}, "")
    else:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "OLD")
    by_session = where == "session" and way != "url"
    about = {"session": boto3.session.Session(profile_name="work")} if by_session else {}
    d = opened(proxy.endpoint, bucket, way, **about)
    d["a"] = 1
    d.setdefault_if("a", default_value=1)
    if where != "environment":
        settle({"credentials": f"[work]\n{STATIC}"}, "")
    else:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    proxy.plan(knows_only(KEY, status, code), times=None)
    proxy.forget()
    REJECTED[name](d)
    rejected = [reply for reply in proxy.replies if reply.status in {400, 403}]
    # boto3 asks for the region of a bucket after each 400 to a HEAD, whose reply has no words.
    assert len(rejected) == 1 or name in {"many", "head"}
    before = len(rejected)
    d["z"] = 1
    assert d["z"] == 1
    assert len([reply for reply in proxy.replies if reply.status in {400, 403}]) == before


@each_way
def test_credentials_that_stay_rejected_are_tried_once_more_only(
    way: str, proxy: Proxy, ministack: Server, bucket: str
) -> None:
    ministack.client().create_bucket(Bucket=bucket)
    d = opened(proxy.endpoint, bucket, way)
    d["a"] = 1
    proxy.plan(knows_only("another"), times=None)
    for verb, act in (
        ("get", lambda: d["a"]),
        ("put", lambda: d.__setitem__("a", 1)),
        ("list", lambda: len(d)),
    ):
        proxy.forget()
        with pytest.raises(AccessDeniedError, match="InvalidAccessKeyId"):
            act()
        assert proxy.counts == {verb: 2}
    proxy.forget()
    with pytest.raises(AccessDeniedError):
        "a" in d  # noqa: B015 - a reply to HEAD has no words, and there are no other credentials
    assert proxy.counts == {"head": 1}


@each_engine
def test_credentials_that_a_session_was_given_stay(
    engine: EngineName, proxy: Proxy, ministack: Server, bucket: str
) -> None:
    """It is not for us to look for others."""
    ministack.client().create_bucket(Bucket=bucket)
    session = boto3.session.Session(aws_access_key_id="GIVEN", aws_secret_access_key=SECRET_KEY)
    d = opened(proxy.endpoint, bucket, engine, session=session, region=REGION)
    proxy.plan(knows_only(ACCESS_KEY), times=None)
    for act in (lambda: d["a"], lambda: "a" in d):
        with pytest.raises(AccessDeniedError):
            act()
    assert {asked_as(request)[0] for request in proxy.requests} == {"GIVEN"}


def test_what_is_given_needs_no_profile(
    ministack: Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ministack.client().create_bucket(Bucket=bucket)
    monkeypatch.setenv("AWS_PROFILE", "prod")
    keys = {"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY, "region": REGION}
    d = opened(ministack.endpoint, bucket, "url", **keys)
    d["a"] = 1
    assert d["a"] == 1


# --- Checksums --------------------------------------------------------------------------------------


def has_checksum(headers: dict[str, str]) -> bool:
    trailers = headers.get("x-amz-trailer", "")
    return any(it == "content-md5" or it.startswith("x-amz-checksum-") for it in (*headers, trailers))


@each_way
def test_whatever_is_uploaded_has_a_checksum(
    way: str, proxy: Proxy, ministack: Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Buckets with Object Lock refuse writes without any."""
    monkeypatch.setattr(Engine, "multipart_above", 1 << 20)
    ministack.client().create_bucket(Bucket=bucket)
    d = opened(proxy.endpoint, bucket, way)
    do_everything(d)
    uploads = [it for it in proxy.requests if it.verb in {"put", "part", "delete_many"}]
    assert {it.verb for it in uploads} == {"put", "part", "delete_many"}
    assert [it.verb for it in uploads if not has_checksum(it.headers)] == []
    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
    proxy.forget()
    opened(proxy.endpoint, bucket, way)["a"] = 1
    assert not has_checksum(proxy.requests[-1].headers)
