"""Uploads of large values: what is looked at before, and what becomes of those that were never finished."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import pytest

from perkey.dicts.s3 import BasicS3Dict, S3Dict
from perkey.dicts.write_once import WriteOnceDict
from perkey.errors import BackendError, MutationPolicyError
from perkey.jokers import ETAG_IS_THE_SAME, ITEM_NOT_AVAILABLE
from perkey.stores.base import Store
from perkey.stores.memory import MemoryStore
from perkey.stores.objects.engine import Engine
from perkey.testing.faults import FaultyStore
from s3.engines import any_engine
from s3.places import EngineName, Place
from s3.proxy import Exchange, Fault, Proxy, Reply, says
from s3.servers import Server
from s3.test_settings import each_way, opened

pytestmark = pytest.mark.usefixtures("quick_pauses")

MIB: Final = 1 << 20
DAY: Final = 86_400
UPLOADING: Final = ("put", "begin", "part", "complete")


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values above 1 MiB are large, and go up in parts of that size."""
    monkeypatch.setattr(Engine, "part_size", MIB)
    monkeypatch.setattr(Engine, "multipart_above", MIB)


@pytest.fixture
def made_bucket(ministack: Server, bucket: str) -> str:
    ministack.client().create_bucket(Bucket=bucket)
    return bucket


def large() -> bytes:
    return os.urandom(2 * MIB)


# --- A look before ----------------------------------------------------------------------------------


def know(d: Any) -> None:
    """Ask the service what it compares, in parts and not."""
    d.setdefault_if("asked", default_value=large())
    d.set_item_if("asked", value=large(), condition=ETAG_IS_THE_SAME, expected_etag=d.etag("asked"))


def assert_nothing_uploaded(proxy: Proxy) -> None:
    assert [verb for verb in proxy.counts if verb in UPLOADING] == []
    assert proxy.counts["head"] == 1
    proxy.forget()


@each_way
@pytest.mark.usefixtures("small_parts")
def test_a_large_value_whose_condition_does_not_hold_is_not_uploaded(
    way: str, proxy: Proxy, made_bucket: str
) -> None:
    d: Any = opened(proxy.endpoint, made_bucket, way)
    d["a"] = 1
    know(d)
    proxy.forget()
    assert not d.setdefault_if("a", default_value=large()).condition_was_satisfied
    assert_nothing_uploaded(proxy)
    for etag in (ITEM_NOT_AVAILABLE, "0" * 32):
        found = d.set_item_if("a", value=large(), condition=ETAG_IS_THE_SAME, expected_etag=etag)
        assert not found.condition_was_satisfied
        assert_nothing_uploaded(proxy)
    missing = d.set_item_if("b", value=large(), condition=ETAG_IS_THE_SAME, expected_etag="0" * 32)
    assert not missing.condition_was_satisfied
    assert [verb for verb in proxy.counts if verb in UPLOADING] == []
    assert d["a"] == 1
    assert "b" not in d


@any_engine
@pytest.mark.usefixtures("small_parts")
def test_immutable_and_write_once_items_are_not_uploaded_again(
    engine: EngineName, proxy: Proxy, made_bucket: str
) -> None:
    d: Any = Place(proxy.endpoint, made_bucket, engine).open(immutable_items=True)
    value = large()
    d["a"] = value
    once: Any = WriteOnceDict(Place(proxy.endpoint, made_bucket, engine).open(immutable_items=True))
    proxy.forget()
    with pytest.raises(MutationPolicyError):
        d["a"] = large()
    once["a"] = value
    assert [verb for verb in proxy.counts if verb in UPLOADING] == []


@each_way
@pytest.mark.usefixtures("small_parts")
def test_a_large_value_whose_condition_holds_costs_one_look_more(
    way: str, proxy: Proxy, made_bucket: str
) -> None:
    d: Any = opened(proxy.endpoint, made_bucket, way)
    know(d)
    proxy.forget()
    value = large()
    assert d.setdefault_if("a", default_value=value).condition_was_satisfied
    assert proxy.counts["head"] == 1
    proxy.forget()
    d["a"] = value  # unconditional
    assert "head" not in proxy.counts
    d.setdefault_if("small", default_value=1)
    assert "head" not in proxy.counts
    assert d["a"] == value
    other: Any = opened(proxy.endpoint, made_bucket, way)
    other["a"] = large()
    etag = other.etag("a")
    proxy.forget()
    # The look also brings the marks of a version that this handle has not read.
    replaced = d.set_item_if("a", value=value, condition=ETAG_IS_THE_SAME, expected_etag=etag)
    assert replaced.condition_was_satisfied
    assert proxy.counts["head"] == 1


@each_way
@pytest.mark.usefixtures("small_parts")
def test_a_writer_that_may_not_look_may_still_insert(way: str, proxy: Proxy, made_bucket: str) -> None:
    d: Any = opened(proxy.endpoint, made_bucket, way)
    know(d)
    proxy.plan(says(403, "AccessDenied"), "head", times=None)
    assert d.setdefault_if("a", default_value=large()).condition_was_satisfied
    proxy.heal()
    assert len(d["a"]) == 2 * MIB


# --- Uploads that were never finished ---------------------------------------------------------------


def begin(server: Server, bucket: str, *keys: str) -> None:
    client = server.client()
    for key in keys:
        upload = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        client.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=b"part")


def unfinished(server: Server, bucket: str) -> list[str]:
    found = server.client().list_multipart_uploads(Bucket=bucket)
    return sorted(upload["Key"] for upload in found.get("Uploads", []))


OURS: Final = ["p/a.pkl", "p/sub/b.pkl", "p/.@perkey-probe", "p/.@perkey-probe-1f"]
OF_ANOTHER_TYPE: Final = ["p/a.json", "p/film.mp4"]
FOREIGN: Final = [
    "a.pkl",
    "p2/a.pkl",
    "q/p/a.pkl",
    "p/with space.pkl",
    "p/sub//a.pkl",
    "p/../a.pkl",
    "p/ümlaut.pkl",
    "p/",
    "p/.@other.pkl",
]


@pytest.fixture
def in_two_days(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is begun now be old."""
    now = time.time
    monkeypatch.setattr("perkey.stores.objects.store.time.time", lambda: now() + 2 * DAY)


@any_engine
@pytest.mark.usefixtures("in_two_days")
def test_sweeping_aborts_the_old_uploads_of_a_dictionarys_own_items(
    engine: EngineName, ministack: Server, made_bucket: str, tmp_path: Path
) -> None:
    about: dict[str, Any] = {"root_prefix": "p", "endpoint_url": ministack.endpoint, "engine": engine}
    for d in (BasicS3Dict[Any](made_bucket, **about), S3Dict[Any](made_bucket, base_dir=tmp_path, **about)):
        begin(ministack, made_bucket, *OURS, *OF_ANOTHER_TYPE, *FOREIGN)
        assert d.get_subdict("sub").sweep() == 1
        assert "p/sub/b.pkl" not in unfinished(ministack, made_bucket)
        assert d.sweep() == len(OURS) - 1
        assert unfinished(ministack, made_bucket) == sorted(OF_ANOTHER_TYPE + FOREIGN)
        # A store knows no types.
        assert d.store.sweep() == len(OF_ANOTHER_TYPE)
        assert unfinished(ministack, made_bucket) == sorted(FOREIGN)
        assert d.sweep() == 0
        for upload in ministack.client().list_multipart_uploads(Bucket=made_bucket)["Uploads"]:
            whose = {"Key": upload["Key"], "UploadId": upload["UploadId"]}
            ministack.client().abort_multipart_upload(Bucket=made_bucket, **whose)


@any_engine
def test_sweeping_leaves_young_uploads_alone_unless_it_is_asked_not_to(
    engine: EngineName, ministack: Server, made_bucket: str
) -> None:
    d = opened(ministack.endpoint, made_bucket, engine)
    assert isinstance(d, BasicS3Dict)
    begin(ministack, made_bucket, *OURS)
    assert d.sweep() == d.store.sweep() == d.sweep(min_age=3600) == 0
    assert unfinished(ministack, made_bucket) == sorted(OURS)
    assert d.sweep(min_age=-60) == len(OURS)  # clocks differ
    assert unfinished(ministack, made_bucket) == []


@any_engine
def test_sweeping_an_absent_bucket_does_nothing(engine: EngineName, proxy: Proxy, bucket: str) -> None:
    assert opened(proxy.endpoint, bucket, engine).store.sweep() == 0
    assert proxy.counts == {"bucket": 1}


@pytest.mark.usefixtures("in_two_days")
def test_many_uploads_are_listed_page_by_page(proxy: Proxy, made_bucket: str) -> None:
    def page(number: int) -> Fault:
        uploads = "".join(
            f"<Upload><Key>p/{number}-{n}.pkl</Key><UploadId>id-{n}</UploadId>"
            "<Initiated>2026-11-01T00:00:00.000Z</Initiated></Upload>"
            for n in range(3)
        )
        more = (
            ""
            if number
            else "<NextKeyMarker>p/0-2.pkl</NextKeyMarker><NextUploadIdMarker>id-2</NextUploadIdMarker>"
        )
        body = (
            f"<ListMultipartUploadsResult><IsTruncated>{'false' if number else 'true'}</IsTruncated>"
            f"{more}{uploads}</ListMultipartUploadsResult>"
        )
        return lambda exchange: exchange.answer(
            Reply(200, [("Content-Type", "application/xml")], body.encode())
        )

    proxy.plan(page(0), "bucket")
    proxy.plan(page(1), "bucket")
    # They do not exist, which is as good as aborted.
    proxy.plan(says(404, "NoSuchUpload"), "abort", times=None)
    assert opened(proxy.endpoint, made_bucket, "boto3").store.sweep() == 6
    assert proxy.counts == {"bucket": 2, "abort": 6}
    assert "key-marker=p%2F0-2.pkl" in proxy.requests[1].target
    assert "upload-id-marker=id-2" in proxy.requests[1].target


KILLED: Final = """
import os, sys
from perkey import BasicS3Dict
from perkey.stores.objects.engine import Engine
Engine.multipart_above = 1 << 20
Engine.part_size = 1 << 20
d = BasicS3Dict(sys.argv[2], root_prefix="p", endpoint_url=sys.argv[1], region="us-east-1")
d["v"] = os.urandom(6 << 20)
"""


def test_what_a_killed_process_left_is_swept(proxy: Proxy, ministack: Server, made_bucket: str) -> None:
    def kills(exchange: Exchange) -> None:
        exchange.forward()
        process.send_signal(signal.SIGKILL)
        exchange.hang_up()

    proxy.plan(lambda exchange: exchange.answer(exchange.forward()), "part", times=2)
    proxy.plan(kills, "part")
    with subprocess.Popen([sys.executable, "-c", KILLED, proxy.endpoint, made_bucket]) as process:
        assert process.wait(60) == -signal.SIGKILL
    proxy.heal()
    d = opened(ministack.endpoint, made_bucket, "boto3")
    assert isinstance(d, BasicS3Dict)
    assert unfinished(ministack, made_bucket) == ["p/v.pkl"]
    assert (len(d), d.sweep(min_age=-60)) == (0, 1)
    assert unfinished(ministack, made_bucket) == []


def test_a_refused_sweep_says_so(proxy: Proxy, made_bucket: str) -> None:
    proxy.plan(says(403, "AccessDenied"), "bucket", times=None)
    with pytest.raises(BackendError, match=f"cannot list s3://{made_bucket}/p/: access denied"):
        opened(proxy.endpoint, made_bucket, "boto3").store.sweep()
    with pytest.raises(BackendError, match="obstore has no such request; use S3Dict"):
        opened(proxy.endpoint, made_bucket, "url").store.sweep()


@any_engine
@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("verb", ["part", "complete"])
@pytest.mark.parametrize("conditional", [True, False])
def test_a_living_upload_that_is_aborted_begins_again(  # noqa: PLR0917 - fixtures and parameters
    engine: EngineName, verb: str, conditional: bool, proxy: Proxy, ministack: Server, made_bucket: str
) -> None:
    """By a sweep of no minimal age, or by a rule of the bucket."""
    d = opened(proxy.endpoint, made_bucket, engine)
    assert isinstance(d, BasicS3Dict)
    know(d)
    proxy.forget()

    def sweeps(exchange: Exchange) -> None:
        assert d.sweep(min_age=-60) == 1
        exchange.answer(exchange.forward())

    proxy.plan(sweeps, verb)
    value = large()
    if conditional and verb == "complete":
        # Absence does not prove that the completion had no effect.
        with pytest.raises(RuntimeError):
            d.setdefault_if("a", default_value=value)
    elif conditional:
        assert d.setdefault_if("a", default_value=value).condition_was_satisfied
        assert d["a"] == value
    else:
        d["a"] = value
        assert d["a"] == value
    assert unfinished(ministack, made_bucket) == []


@any_engine
@pytest.mark.usefixtures("small_parts")
def test_a_completion_that_is_repeated_on_its_way_is_recognised(
    engine: EngineName, proxy: Proxy, made_bucket: str
) -> None:
    """The second one meets the end of the upload."""
    d = opened(proxy.endpoint, made_bucket, engine)
    know(d)

    def repeats(exchange: Exchange) -> None:
        exchange.forward()
        exchange.answer(says_no_such_upload(exchange))

    proxy.plan(repeats, "complete", times=2)
    value = large()
    assert d.setdefault_if("a", default_value=value).condition_was_satisfied
    d["b"] = value
    assert (d["a"], d["b"]) == (value, value)


def says_no_such_upload(exchange: Exchange) -> Reply:
    body = b"<Error><Code>NoSuchUpload</Code><Message>gone</Message></Error>"
    return Reply(404, [("Content-Type", "application/xml")], body)


def test_every_store_can_be_swept_and_wrappers_pass_it_on(tmp_path: Path) -> None:
    from perkey.stores import DirectoryStore, PrefixStore

    class Noting(MemoryStore):
        asked: Final[list[Any]] = []

        def sweep(self, prefix: Any = (), *, min_age: float | None = None) -> int:
            self.asked.append((prefix, min_age))
            return 7

    store: Store = PrefixStore(FaultyStore(Noting()), ("sub",))
    assert store.sweep(("x",), min_age=5) == 7
    assert Noting.asked == [(("sub", "x"), 5)]
    assert MemoryStore().sweep() == 0
    folder = DirectoryStore(str(tmp_path))
    for name in (("a",), ("sub", "a")):
        folder.write(name, b"")
    for place in (tmp_path, tmp_path / "sub"):
        (place / ".@perkey-tmp-x").write_bytes(b"")
    assert folder.sweep(("sub",), min_age=-60) == 1
    assert folder.sweep(min_age=-60) == 1
    assert folder.sweep(min_age=-60) == 0
