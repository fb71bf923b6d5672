"""Dictionaries in buckets as handles: they travel without secrets, survive forks, keep to their prefix."""

import logging
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from perkey.dicts.s3 import BasicS3Dict, S3Dict
from perkey.errors import WrongParametersWarning
from perkey.jokers import ITEM_NOT_AVAILABLE
from perkey.stores.objects.boto_client import new_client
from s3 import workers
from s3.crews import SIZE, Crew
from s3.engines import any_engine, each_engine
from s3.places import EngineName, Place
from s3.proxy import Proxy
from s3.servers import Server, client_of

Dict = BasicS3Dict[Any]

KEY_ID = "AKIAVERYUNUSUALKEYID"
SECRET = "ThisMustNotBeSeenAnywhere/0123456789+abc"
TOKEN = "NorMayThisSessionTokenBeSeen//////////=="


@pytest.fixture
def place(ministack: Server, bucket: str, engine: EngineName) -> Place:
    return Place(ministack.endpoint, bucket, engine)


# --- Secrets ----------------------------------------------------------------------------------------


def by_environment(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> dict[str, Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    return {"session": None}


def by_session(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> dict[str, Any]:
    session = boto3.session.Session(
        aws_access_key_id=KEY_ID, aws_secret_access_key=SECRET, aws_session_token=TOKEN
    )
    return {"session": session}


def by_client(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> dict[str, Any]:
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=KEY_ID,
        aws_secret_access_key=SECRET,
        aws_session_token=TOKEN,
    )
    return {"client": client, "session": None}


@any_engine
@pytest.mark.parametrize("source", [by_environment, by_session, by_client])
def test_no_secret_is_in_what_leaves_the_process(
    source: Callable[..., dict[str, Any]],
    place: Place,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Neither in pickles, nor representations, parameters, logs of all levels, or the cache.

    (What botocore itself logs when it debugs has the session's token, though not the secret.)
    """
    about = source(monkeypatch, place.endpoint or "")
    caplog.set_level(logging.DEBUG)
    d = place.open_cached(tmp_path / "cache", **about)
    seen: list[bytes] = []
    for handle in (d, d.get_subdict("part"), place.open(**about)):
        for _ in ("before use", "after use"):
            told = [
                repr(handle),
                str(handle),
                repr(handle.get_params()),
                repr(handle.store),
                repr(handle.items()),
            ]
            seen += [pickle.dumps(handle), pickle.dumps(handle.store), "".join(told).encode()]
            handle["a"] = 1
            assert handle["a"] == 1
    seen += [path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert len(caplog.records) > 10
    assert SECRET not in caplog.text
    seen += [record.getMessage().encode() for record in caplog.records if record.name.startswith("perkey")]
    for secret in (SECRET, TOKEN, KEY_ID):
        assert secret.encode() not in b"".join(seen)


# --- Travelling -------------------------------------------------------------------------------------


@any_engine
def test_an_unpickled_handle_works_in_another_process(place: Place, tmp_path: Path, crew: Crew) -> None:
    for d in (place.open(), place.open_cached(tmp_path / "cache"), place.open().get_subdict("part")):
        d["a"] = 1
        assert crew.run(workers.add_to, d) == [1] * SIZE
        assert d.get_many([str(worker) for worker in range(SIZE)]) == {
            (str(worker),): worker for worker in range(SIZE)
        }


@any_engine
def test_an_unpickled_handle_is_like_the_original(place: Place, tmp_path: Path) -> None:
    for d in (place.open(file_type="json", digest_len=3), place.open_cached(tmp_path, immutable_items=True)):
        d["a"] = 1
        twin = pickle.loads(pickle.dumps(d))
        assert twin == d
        assert type(twin) is type(d)
        assert twin.get_params() == d.get_params()
        again = type(d)(**d.get_params())
        assert again == d


@any_engine
def test_a_handle_with_a_client_of_ones_own_still_knows_its_service(place: Place, tmp_path: Path) -> None:
    """The client stays behind, and what is made of pickle or parameters must not turn to another service."""
    client = client_of(place.endpoint)
    for d in (
        BasicS3Dict[int](place.bucket, client=client, engine=place.engine),
        S3Dict[int](place.bucket, base_dir=tmp_path, client=client, engine=place.engine),
    ):
        d["a"] = 1
        assert pickle.loads(pickle.dumps(d))["a"] == 1
        assert type(d)(**d.get_params())["a"] == 1
        assert d.get_params()["endpoint_url"] == place.endpoint
        assert d.get_params()["region"] == "us-east-1"


# --- Forks and threads ------------------------------------------------------------------------------


def use_after_fork(d: Dict, number: int, clients: Any) -> None:
    for turn in range(5):
        d[f"{number}-{turn}"] = number
        assert d[f"{number}-{turn}"] == number
        assert d["shared"] == 0
    assert d.store.engine.client is not clients or number < 0  # type: ignore[attr-defined] # an ObjectStore


@any_engine
def test_a_forked_child_makes_a_client_of_its_own(place: Place) -> None:
    """Both go on at the same time, so that a connection in common would mix up their replies."""
    d = place.open()
    d["shared"] = 0
    parents = d.store.engine.client  # type: ignore[attr-defined] # an ObjectStore
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=use_after_fork, args=(d, number, parents)) for number in range(4)]
    for child in children:
        child.start()
    for turn in range(20):
        d[f"parent-{turn}"] = turn
        assert d[f"parent-{turn}"] == turn
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * 4
    assert d.store.engine.client is parents  # type: ignore[attr-defined] # an ObjectStore
    assert len(d) == 1 + 4 * 5 + 20


@any_engine
def test_a_client_of_ones_own_is_used_after_a_fork_too_on_connections_of_its_own(place: Place) -> None:
    d = place.open(client=client_of(place.endpoint), session=None)
    d["shared"] = 0
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=use_after_fork, args=(d, -number, None)) for number in range(1, 4)]
    for child in children:
        child.start()
    for turn in range(20):
        d[f"parent-{turn}"] = turn
        assert d[f"parent-{turn}"] == turn
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * 3
    assert len(d) == 1 + 3 * 5 + 20


@any_engine
def test_threads_share_one_client(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    make = boto3.session.Session.client

    def count(*args: Any, **kwargs: Any) -> Any:
        made.append(make(*args, **kwargs))
        return made[-1]

    monkeypatch.setattr(boto3.session.Session, "client", count)
    d = place.open()
    start = threading.Barrier(16)

    def work(number: int) -> None:
        start.wait(60)
        d[str(number)] = number
        assert d[str(number)] == number
        d.transform_item("n", transformer=lambda old: 1 if old is ITEM_NOT_AVAILABLE else old + 1)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(16)))
    assert len(made) == 1
    assert d["n"] == 16


# --- Moto -------------------------------------------------------------------------------------------


@any_engine
def test_mock_aws_around_a_users_code_simply_works(engine: EngineName, tmp_path: Path) -> None:
    for _ in range(2):  # the second time the bucket is gone again
        with mock_aws():
            d: Dict = S3Dict("my-bucket", "us-east-1", "data", tmp_path / "cache", engine=engine)
            assert len(d) == 0
            d["a"] = 1
            assert d.setdefault("a", 2) == 1
            assert d.transform_item("a", transformer=lambda old: old + 1).new_value == 2
            assert BasicS3Dict("my-bucket", root_prefix="data", engine=engine) == {"a": 2}
            assert pickle.loads(pickle.dumps(d))["a"] == 2
            assert d.pop("a") == 2


@mock_aws
def test_mock_aws_works_as_a_decorator() -> None:
    d = BasicS3Dict[int]("my-bucket")
    d["a"] = 1
    assert d["a"] == 1


# --- Buckets ----------------------------------------------------------------------------------------


@any_engine
def test_a_bucket_is_made_private(proxy: Proxy, bucket: str, engine: EngineName) -> None:
    Place(proxy.endpoint, bucket, engine).open()["a"] = 1
    (made,) = [request for request in proxy.requests if request.verb == "bucket"]
    assert made.method == "PUT"
    assert made.headers["x-amz-acl"] == "private"


@pytest.mark.usefixtures("moto_in_process")
def test_a_bucket_is_made_in_its_region_for_its_owner_only() -> None:
    for region in ("us-east-1", "eu-west-1"):
        BasicS3Dict[int](f"in-{region}", region)["a"] = 1
        client = boto3.client("s3")
        where = client.get_bucket_location(Bucket=f"in-{region}")["LocationConstraint"]
        assert where == {"us-east-1": None}.get(region, region)
        rights = client.get_bucket_acl(Bucket=f"in-{region}")["Grants"]
        assert [(right["Grantee"]["Type"], right["Permission"]) for right in rights] == [
            ("CanonicalUser", "FULL_CONTROL")
        ]


# --- Within the prefix ------------------------------------------------------------------------------


@any_engine
@pytest.mark.parametrize(
    "key",
    [
        "..",
        ".",
        "../a",
        "a/b",
        "/a",
        "a/",
        "",
        "a\0b",
        "a\\b",
        ("a", ".."),
        ("..", "a"),
        ("a", ""),
        "%2e%2e",
        "a%2fb",
    ],
)
def test_no_key_leads_out_of_the_prefix(key: Any, proxy: Proxy, bucket: str, engine: EngineName) -> None:
    d = Place(proxy.endpoint, bucket, engine).open()
    operations: list[Callable[[], Any]] = [
        lambda: d[key],
        lambda: d.__setitem__(key, 1),
        lambda: d.__delitem__(key),
        lambda: d.get_subdict(key),
        lambda: d.setdefault(key, 1),
        lambda: d.get_many([key]),
        lambda: d.transform_item(key, transformer=lambda _: 1),
    ]
    for operate in operations:
        if not (operate is operations[3] and key in {"", ()}):
            with pytest.raises((ValueError, TypeError)):
                operate()
    assert proxy.requests == []


STRANGERS = [
    *("root/prefix2/a.pkl", "root/prefixa.pkl", "root/a.pkl", "a.pkl", "root/prefix", "other/prefix/a.pkl"),
    *("root/prefix/", "root/prefix//a.pkl", "root/prefix/x/", "root/prefix/x//a.pkl", "root/prefix/a.pkl/"),
    *("root/prefix/a.json", "root/prefix/ü.pkl", "root/prefix/a b.pkl", "root/prefix/a%2fb.pkl"),
    *("root/prefix/a+b&c=d?.pkl", "root/prefix/.pkl", "root/prefix/pkl", "root/prefix/a.pkl.bak"),
]


@any_engine
def test_what_is_no_item_is_neither_listed_nor_removed(place: Place, ministack: Server) -> None:
    client = ministack.client()
    client.create_bucket(Bucket=place.bucket)
    for name in STRANGERS:
        client.put_object(Bucket=place.bucket, Key=name, Body=b"a stranger's")
    d = place.open()
    d.update({"mine": 1, ("x", "mine"): 2})
    assert sorted(tuple(key) for key in d) == [("mine",), ("x", "mine")]
    assert len(d) == 2
    assert set(d.subdicts()) == {"x"}
    assert dict(d.items()) == {("mine",): 1, ("x", "mine"): 2}
    assert d.newest_keys(5)
    d.clear()
    with pytest.warns(WrongParametersWarning, match="json"):  # one of the strangers' names
        assert len(d) == 0
    left = [found["Key"] for found in client.list_objects_v2(Bucket=place.bucket)["Contents"]]
    assert sorted(left) == sorted(STRANGERS)


@any_engine
def test_a_bucket_without_a_prefix_is_a_dictionary_too(place: Place, ministack: Server) -> None:
    d = place.open(root_prefix="")
    d["a"] = 1
    d["b", "c"] = 2
    assert dict(d.items()) == {("a",): 1, ("b", "c"): 2}
    listed = ministack.client().list_objects_v2(Bucket=place.bucket)["Contents"]
    assert [found["Key"] for found in listed] == ["a.pkl", "b/c.pkl"]
    assert d.get_params()["root_prefix"] == ""


@any_engine
@pytest.mark.parametrize(
    "prefix", ["with space", "ü", "a+b", "a%20b", "a&b=c?d#e", "~", "a'b\"c", "a//b", "/a"]
)
def test_a_prefix_is_taken_literally(prefix: str, place: Place, ministack: Server) -> None:
    d = place.open(root_prefix=prefix)
    d["a"] = 1
    d["b", "c"] = 2
    assert d["a"] == 1
    assert "a" in d
    assert sorted(map(tuple, d)) == [("a",), ("b", "c")]
    assert set(d.subdicts()) == {"b"}
    assert d.transform_item("a", transformer=lambda old: old + 1).new_value == 2
    listed = ministack.client().list_objects_v2(Bucket=place.bucket)["Contents"]
    assert [found["Key"] for found in listed] == [f"{prefix}/a.pkl", f"{prefix}/b/c.pkl"]
    del d["a"]
    d.clear()
    assert len(d) == 0


# --- Without the extra ------------------------------------------------------------------------------


def test_without_boto3_the_error_names_the_extra() -> None:
    program = (
        "import sys; sys.modules['boto3'] = None\n"
        "from perkey.dicts.s3 import S3Dict\n"
        "from perkey import MissingExtraError\n"
        "try: S3Dict('bucket', base_dir=None)\n"
        "except MissingExtraError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "pip install 'perkey[aws]'" in done.stdout


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(ValueError, match="engine must be"):
        BasicS3Dict("bucket", engine="curl")  # type: ignore[arg-type] # that is the mistake


def test_no_real_cloud_can_be_reached_by_these_tests() -> None:
    assert os.environ["HTTPS_PROXY"] == "http://127.0.0.1:9"


# --- What cannot be right ---------------------------------------------------------------------------


@any_engine
@pytest.mark.parametrize(
    "wrong",
    [
        {"bucket_name": ""},
        {"bucket_name": "has space"},
        {"bucket_name": "bucket/prefix"},
        {"bucket_name": "s3://bucket"},
        {"bucket_name": ".."},
        {"bucket_name": None},
        {"region": 5},
        {"root_prefix": 5},
        {"root_prefix": "a\x01b"},
        {"endpoint_url": "127.0.0.1:9000"},
        {"endpoint_url": "http://user:THE-SECRET@127.0.0.1:9"},
        {"endpoint_url": "http://127.0.0.1:9?x=THE-SECRET"},
        {"client": "client"},
        {"client": boto3.resource("s3", "us-east-1")},
        {"base_dir": "cache", "max_bytes": "1G"},
    ],
    ids=str,
)
def test_arguments_that_cannot_be_right_are_refused_at_once(
    wrong: dict[str, Any], engine: EngineName
) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        S3Dict(**{"bucket_name": "bucket", "base_dir": None, "engine": engine, **wrong})
    assert "THE-SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    "more",
    [{"endpoint_url": "http://127.0.0.1:9"}, {"region": "eu-west-1"}, {"session": boto3.session.Session()}],
    ids=["endpoint_url", "region", "session"],
)
def test_a_client_is_not_contradicted(more: dict[str, Any]) -> None:
    client = client_of("http://127.0.0.1:1")
    with pytest.raises(ValueError, match="client"):
        BasicS3Dict("bucket", client=client, **more)
    d = BasicS3Dict[int]("bucket", client=client, region="us-east-1", endpoint_url="http://127.0.0.1:1/")
    assert (d.region, d.get_params()["endpoint_url"]) == ("us-east-1", "http://127.0.0.1:1")


def test_a_session_is_followed_to_its_region_and_endpoint(
    ministack: Server, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its profile may name a service of one's own; no other process may ask another one."""
    config = tmp_path / "config"
    config.write_text(
        f"[profile ours]\nregion = eu-west-1\nendpoint_url = {ministack.endpoint}\n"
        "aws_access_key_id = test\naws_secret_access_key = test\n"
    )
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    session = boto3.session.Session(profile_name="ours")
    d = BasicS3Dict[int](bucket, session=session)
    assert d.region == "eu-west-1"
    d["a"] = 1
    pickled = pickle.dumps(d)
    monkeypatch.delenv("AWS_CONFIG_FILE")
    woken = pickle.loads(pickled)
    assert woken["a"] == 1
    assert (
        woken.get_params() | {"endpoint_url": ministack.endpoint, "region": "eu-west-1"} == woken.get_params()
    )


def test_a_session_for_aws_names_no_endpoint_of_its_own(bucket: str) -> None:
    d = BasicS3Dict[int](bucket, session=boto3.session.Session(region_name="eu-west-1"))
    params = pickle.loads(pickle.dumps(d)).get_params()
    assert (params["region"], params["endpoint_url"]) == ("eu-west-1", None)


def test_a_client_whose_endpoint_has_a_secret_is_refused_without_showing_it() -> None:
    client = client_of("http://user:THE-SECRET@127.0.0.1:1")
    with pytest.raises(ValueError, match="credentials") as caught:
        BasicS3Dict("bucket", client=client, endpoint_url="http://127.0.0.1:1")
    assert "THE-SECRET" not in str(caught.value)


def test_where_a_dictionary_is_can_be_asked(tmp_path: Path) -> None:
    d = S3Dict[int]("bucket", "eu-west-1", "root", tmp_path / "cache")
    assert (d.bucket_name, d.region, d.root_prefix) == ("bucket", "eu-west-1", "root/")
    assert d.base_dir == str(tmp_path / "cache")
    assert d.get_subdict("part").root_prefix == "root/part/"
    assert S3Dict[int]("bucket", base_dir=None).base_dir is None


# --- Workers that get their dictionary with each task -------------------------------------------------


@each_engine
def test_a_process_makes_one_client_for_all_handles_that_come_by_pickle(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []

    def counted(*args: Any, **options: Any) -> Any:
        made.append(options)
        return new_client(*args, **options)

    monkeypatch.setattr("perkey.stores.objects.boto.new_client", counted)
    d = place.open(session=None)
    d["a"] = 1
    made.clear()
    task, below = pickle.dumps(d), pickle.dumps(d.get_subdict("below"))
    for n in range(5):
        assert pickle.loads(task)["a"] == 1
        pickle.loads(below)[str(n)] = n
    assert len(made) == 1
    assert len(d.get_subdict("below")) == 5
    other = place.open(session=None, root_prefix="elsewhere")
    assert "a" not in pickle.loads(pickle.dumps(other))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "another")  # as a worker that changes whose requests it sends
    engine = pickle.loads(task).store.engine
    assert engine.client.meta.endpoint_url == place.endpoint
    assert engine.client._request_signer._credentials.access_key == "another"
    assert len(made) == 2
