"""Tools over buckets: opening by address, usage, pruning by the service's clock, checking."""

from __future__ import annotations

import pickle
import random
import secrets
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import boto3
import pytest

import perkey
from perkey import AmbiguousPlaceError, PersiDict, ReadOnlyError, S3Dict, UnsupportedConditionError
from perkey.dicts.object_store_dict import ObjectStoreDict
from perkey.naming import naming
from perkey.tools import pruning
from s3.places import ENGINES, EngineName, Place, shared_session
from s3.proxy import Proxy
from s3.servers import Server


def opened(server: Server, bucket: str, mode: Any = "a", **params: Any) -> PersiDict[Any]:
    about = {"endpoint_url": server.endpoint, "region": "us-east-1", "session": shared_session()}
    return perkey.open(f"s3://{bucket}/pre/fix", mode, **about, **params)


def requests_of(d: PersiDict[Any]) -> Counter[str]:
    """Return a count of the requests of a handle's client from now on."""
    counted: Counter[str] = Counter()
    d._bucket.client.meta.events.register(  # type: ignore[attr-defined] # of an S3Dict
        "before-call.s3", lambda model, **_: counted.update([model.name])
    )
    return counted


@pytest.mark.parametrize("digest_len", [0, 8])
@pytest.mark.parametrize("file_type", ["json", "txt"])
def test_a_bucket_is_opened_with_its_parameters(
    file_type: str, digest_len: int, ministack: Server, bucket: str
) -> None:
    with pytest.raises(FileNotFoundError):
        opened(ministack, bucket, "r")
    d = opened(ministack, bucket, file_type=file_type, digest_len=digest_len)
    assert (type(d), d.get_params()["base_dir"], d.get_params()["root_prefix"]) == (S3Dict, None, "pre/fix/")
    with pytest.raises(FileNotFoundError):
        opened(ministack, bucket, "r+")
    d.update({f"k{n}": "text" for n in range(3)} | {("x", "y"): "text"})
    for mode in ("r", "r+", "a"):
        again = opened(ministack, bucket, mode)
        assert (again.file_type, again.digest_len) == (file_type, digest_len)
        assert dict(again) == dict(d)
    reader: Any = opened(ministack, bucket, "r")
    assert perkey.prune(reader, max_items=0, dry_run=True).removed == 4
    assert not reader.store.supports("write", "version")
    for handle in (reader, reader.get_subdict("x")):
        for act in (lambda h=handle: h.__setitem__("a", "b"), handle.clear, handle.sweep):
            with pytest.raises(ReadOnlyError):
                act()
    assert reader.get_subdict("x").get_params()["root_prefix"].startswith("pre/fix/x")
    assert reader.url(("x", "y")).startswith(f"s3://{bucket}/pre/fix/x")


def test_a_cache_is_used_if_it_is_asked_for(ministack: Server, bucket: str, tmp_path: Path) -> None:
    d: Any = opened(ministack, bucket, cache=tmp_path / "cache", max_bytes=1000, max_age=60)
    assert (d.base_dir, d.get_params()["max_age"]) == (str(tmp_path / "cache"), 60)
    d["a"] = 1
    assert d["a"] == 1
    assert list((tmp_path / "cache").rglob("*"))
    unpickled = pickle.loads(
        pickle.dumps(opened(ministack, bucket, "r", cache=tmp_path / "cache").read_only())
    )
    with pytest.raises(ReadOnlyError):
        unpickled["a"] = 2


def test_parameters_of_the_address(ministack: Server, bucket: str) -> None:
    place = f"s3://{bucket}/x?endpoint_url={ministack.endpoint}&region=us-east-1&file_type=json&retry_for=1.5"
    d = perkey.open(place)
    d["a"] = 1
    assert (d.file_type, d.get_params()["retry_for"]) == ("json", 1.5)
    assert perkey.open(place.replace("file_type=json&", ""), "r").file_type == "json"
    with pytest.raises(ValueError, match="endpoint"):
        perkey.open(f"s3://{bucket}?endpoint_url=http://user:hush@127.0.0.1")


def test_several_types_in_a_bucket(ministack: Server, bucket: str) -> None:
    opened(ministack, bucket, file_type="json")["a"] = 1
    opened(ministack, bucket, file_type="pkl", digest_len=0)["b"] = 1
    with pytest.raises(AmbiguousPlaceError, match="file_type='pkl', digest_len=0"):
        opened(ministack, bucket)
    assert dict(opened(ministack, bucket, "r", file_type="pkl")) == {("b",): 1}


def test_other_services_are_object_store_dicts() -> None:
    d = perkey.open("az://container/prefix?account_name=me", file_type="json", digest_len=0)
    assert type(d) is ObjectStoreDict
    assert d.get_params()["options"] == {"account_name": "me"}
    assert d.url("a") == "az://container/prefix/a.json"
    assert type(perkey.open("gs://bucket/prefix", file_type="json", digest_len=0)) is ObjectStoreDict


@pytest.mark.parametrize("engine", ENGINES)
def test_usage_and_pruning(engine: EngineName, server: Server, bucket: str) -> None:
    d = Place(server.endpoint, bucket, engine).open(file_type="txt")
    d.update({("x", f"k{n}"): "0123456789" for n in range(5)} | {"a": "x"})
    found = perkey.usage(d)
    assert (found.items, found.bytes, found.by_prefix["x",].items) == (6, 51, 5)
    assert d.size("a") == 1
    assert perkey.prune(d, max_items=2, dry_run=True).removed == 4
    report = perkey.prune(d, max_items=2)
    assert (report.removed, report.kept, len(d)) == (4, 2, 2)
    assert perkey.prune(d, max_bytes=0).removed == 2


def test_usage_is_one_listing(moto_in_process: None, bucket: str) -> None:
    d = Place(None, bucket).open()
    d.update({f"k{n}": n for n in range(10)})
    counted = requests_of(d)
    assert perkey.usage(d).items == 10
    assert counted == {"ListObjectsV2": 1}


@pytest.mark.parametrize("hours", [-1, 1])
def test_ages_are_by_the_clock_of_the_service(
    hours: int, ministack: Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pruner, or a writer, whose own clock is an hour off."""
    real = time.time
    monkeypatch.setattr("perkey.tools.pruning.time.time", lambda: real() + 3600 * hours)
    d = opened(ministack, bucket, file_type="txt")
    d["a"] = "x"
    report = perkey.prune(d, older_than=1800)
    assert (report.removed, report.clock) == (0, "place")
    assert list(d.store.scan()) == [naming(d.digest_len, d.file_type).name_of("a")]
    assert perkey.verify(d).ok, "the question about the time has left nothing"


def test_a_page_is_enough_to_open(moto_in_process: None, bucket: str) -> None:
    Place(None, bucket).open(file_type="json").update({f"k{n}": n for n in range(1100)})
    listed: list[str] = []
    session = boto3.session.Session()
    session.events.register("before-call.s3.ListObjectsV2", lambda **_: listed.append("a page"))
    d = perkey.open(f"s3://{bucket}/root/prefix", "r", session=session)
    assert (d.file_type, len(listed)) == ("json", 1)


def test_where_the_client_library_cannot_compare() -> None:
    """As on Azure and Google."""
    d = ObjectStoreDict[Any](f"memory://{secrets.token_hex(4)}", file_type="txt")
    d.update({f"k{n}": "x" for n in range(5)})
    assert perkey.usage(d).items == 5
    assert perkey.verify(d).ok
    with pytest.raises(UnsupportedConditionError, match="unconditional=True"):
        perkey.prune(d, max_items=2)
    with pytest.raises(UnsupportedConditionError):
        perkey.verify(d, "quarantine")
    assert len(d) == 5
    assert perkey.prune(d, max_items=2, unconditional=True).removed == 3
    assert perkey.prune(d, older_than=3600, unconditional=True).clock == "place"
    assert len(d) == 2


def test_where_removals_are_not_compared(servers_that_do_not_compare_removals: Server, bucket: str) -> None:
    d = opened(servers_that_do_not_compare_removals, bucket, file_type="txt")
    d.update({f"k{n}": "x" for n in range(5)})
    with pytest.raises(UnsupportedConditionError, match="unconditional=True"):
        perkey.prune(d, max_items=2)
    with pytest.raises(UnsupportedConditionError):
        perkey.verify(d, "quarantine")
    assert len(d) == 5
    assert perkey.prune(d, max_items=2, dry_run=True).removed == 3
    assert perkey.prune(d, max_items=2, unconditional=True).removed == 3
    assert len(d) == 2


def test_among_four_writers_nothing_that_was_written_again_is_removed(
    server: Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Items are old as the pruner's clock sees it, until they are written again."""
    d = Place(server.endpoint, bucket).open(file_type="txt")
    d.update({f"k{n}": "old" for n in range(120)})
    old = max(dict(d.keys_and_timestamps()).values())
    while time.time() < old + 2.5:
        time.sleep(0.1)
    stop = threading.Event()
    written: list[dict[str, str]] = [{} for _ in range(4)]

    def write(number: int) -> None:
        chosen = random.Random(number)
        handle = Place(server.endpoint, bucket).open(file_type="txt")
        count = 0
        while not stop.is_set() and count < 40:
            key = f"k{4 * chosen.randrange(30) + number}"
            handle[key] = written[number][key] = f"{number}-{count}"
            count += 1

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    # The limit stays at a moment between the old values and the new ones.
    monkeypatch.setattr(pruning._Pruning, "_now", lambda _: old + 1)
    removed = 0
    while any(writer.is_alive() for writer in writers):
        removed += perkey.prune(d, older_than=0).removed
    stop.set()
    removed += perkey.prune(d, older_than=0).removed
    assert {key[0]: value for key, value in d.items()} == {k: v for mine in written for k, v in mine.items()}
    assert removed >= 120 - len(d)
    perkey.prune(d, max_items=10)
    assert len(d) == 10


@pytest.mark.parametrize("engine", ENGINES)
def test_checking_and_quarantine(engine: EngineName, server: Server, bucket: str) -> None:
    d = Place(server.endpoint, bucket, engine).open()
    d.update({("x", f"k{n}"): n for n in range(20)} | {"a": "x" * (3 << 20)})
    assert perkey.verify(d).ok
    client = server.client()
    client.put_object(Bucket=bucket, Key="root/prefix/x/k3.pkl", Body=b"damaged \0")
    client.put_object(Bucket=bucket, Key="root/prefix/notes.md", Body=b"x")
    client.put_object(
        Bucket=bucket,
        Key="root/prefix/x/K4.pkl",
        Body=client.get_object(Bucket=bucket, Key="root/prefix/x/k4.pkl")["Body"].read(),
    )
    client.put_object(Bucket=bucket, Key="root/prefix/folder/", Body=b"")
    client.create_multipart_upload(Bucket=bucket, Key="root/prefix/large.pkl")
    expected = {"damaged": 1, "foreign": 1, "collision": 2, "empty_folder": 1, "leftover": 1}
    if engine == "obstore":  # it takes the slash from the name
        expected = {"damaged": 1, "foreign": 2, "collision": 2, "leftover": 1}
    found = perkey.verify(d)
    assert found.counts == expected
    moved = perkey.verify(d, "quarantine")
    assert moved.counts == expected
    assert moved.quarantine is not None
    assert moved.quarantine == f"s3://{bucket}/root/prefix/.@perkey-quarantine/{moved.quarantine[-25:]}"
    assert "damaged" not in perkey.verify(d).counts
    assert ("x", "k3") not in d
    assert len(d) == len(list(d)) == 21
    assert perkey.unquarantine(d, moved.quarantine).restored == [("x", "k3")]
    assert perkey.verify(d).counts == expected


def test_a_cached_dictionary_is_checked_in_its_bucket(ministack: Server, bucket: str, tmp_path: Path) -> None:
    d: Any = opened(ministack, bucket, cache=tmp_path, immutable_items=True, file_type="json")
    d["a"] = 1
    ministack.client().put_object(Bucket=bucket, Key="pre/fix/a.json", Body=b"{")
    assert d["a"] == 1
    assert perkey.verify(d).counts == {"damaged": 1}


def test_what_is_cached_expires(ministack: Server, bucket: str, tmp_path: Path, monkeypatch: Any) -> None:
    d: Any = opened(ministack, bucket, cache=tmp_path, immutable_items=True, max_age=60)
    d["a"] = 1
    ministack.client().delete_object(Bucket=bucket, Key="pre/fix/a.pkl")
    assert d["a"] == 1
    real = time.time
    monkeypatch.setattr("perkey.stores.cached.time.time", lambda: real() + 61)
    with pytest.raises(KeyError):
        d["a"]


def test_by_last_use_as_the_cache_notes_it(ministack: Server, bucket: str, tmp_path: Path) -> None:
    d = opened(ministack, bucket, cache=tmp_path, file_type="txt")
    opened(ministack, bucket, file_type="txt").update({"used": "x", "unused": "x"})
    time.sleep(1.1)
    assert d["used"] == "x"
    assert perkey.prune(d, max_items=1, by="use").removed == 1
    assert list(d) == [("used",)]


# --- Notebooks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("engine", "cached"),
    [
        ("boto3", False),
        ("obstore", True),
        pytest.param("boto3", True, marks=pytest.mark.long),
        pytest.param("obstore", False, marks=pytest.mark.long),
    ],
)
def test_a_notebook_shows_a_bucket_by_one_request(  # noqa: PLR0917 - fixtures and parameters
    engine: EngineName, cached: bool, proxy: Proxy, ministack: Server, bucket: str, tmp_path: Path
) -> None:
    place = Place(proxy.endpoint, bucket, engine)
    d: PersiDict[Any] = (
        place.open_cached(tmp_path, file_type="json") if cached else place.open(file_type="json")
    )
    assert "0 items" in d._repr_html_()  # there is no bucket yet
    writer = Place(ministack.endpoint, bucket, "obstore").open(file_type="json")  # the fastest way there
    writer.set_many({("a", f"k{number:04}"): number for number in range(1010)})
    handle: PersiDict[Any]
    for handle in (d, d.read_only(), d.get_subdict("a")):
        proxy.forget()
        assert "at least 1,000 items, of which 20 are shown" in handle._repr_html_()
        assert proxy.counts == {"list": 1}
    other: PersiDict[Any] = place.open(file_type="txt")
    proxy.forget()
    assert "no item on the first page of the listing" in other._repr_html_()
    assert proxy.counts == {"list": 1}
