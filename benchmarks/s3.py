"""Dictionaries in S3: against bare clients and peers, on a local server, without latency and with 20 ms.

The server is rclone's, in a process of its own: of those that pip installs it takes the least of the machine,
and what is measured are clients. Latency comes from a relay in another process.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from typing import Any

from benchmarks.measuring import FLOOR, Act, Contest, Outcome, Settings
from benchmarks.values import keys, small_dict
from perkey import BasicS3Dict
from perkey.formats import format_of

LATENCY = 20
"""Milliseconds by which each request comes late."""

_THREADS = 48


def run(settings: Settings) -> Iterator[Outcome]:
    """Measure single operations at once, and many objects with latency."""
    with environment(), server(f"{settings.folder}/s3") as port:
        yield from _single(settings, f"http://127.0.0.1:{port}")
        with relay(port) as late:
            late_places = _Late(settings, f"http://127.0.0.1:{late}")
            yield from late_places.contests(f"S3, many, {LATENCY} ms away")
            if hasattr(os, "sched_setaffinity"):
                with _on_one_cpu():
                    yield from late_places.contests(f"S3, many, {LATENCY} ms away, on one processor")


@contextlib.contextmanager
def _on_one_cpu() -> Iterator[None]:
    """Keep this thread, and those that it starts, on one processor.

    Threads that share Python's lock hand it over faster there than from one processor to another; and the
    client has a processor that server and relay need not share, as if they were other machines.
    """
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


# --- Servers ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def environment() -> Iterator[None]:
    """Let no real credentials be found, nor a way to a real cloud."""
    before = dict(os.environ)
    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            del os.environ[name]
    os.environ.update(
        AWS_ACCESS_KEY_ID="test",
        AWS_SECRET_ACCESS_KEY="test",
        AWS_DEFAULT_REGION="us-east-1",
        AWS_EC2_METADATA_DISABLED="true",
    )
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def server(folder: str) -> Iterator[int]:
    """Serve what is in a folder; its files stay till the end of the command, see `benchmarks.rewrites`."""
    os.makedirs(folder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = [
        *(os.path.join(os.path.dirname(sys.executable), "rclone"), "serve", "s3", ":memory:"),
        *("--addr", f"127.0.0.1:{port}", "--auth-key", "test,test", "--config", f"{folder}/none"),
    ]
    with _running(program, stderr=subprocess.DEVNULL):
        for _ in range(600):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
                break
            time.sleep(0.1)
        yield port


@contextlib.contextmanager
def relay(port: int) -> Iterator[int]:
    program = [sys.executable, "-m", "benchmarks.relay", str(port), str(LATENCY)]
    with _running(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())


@contextlib.contextmanager
def _running(program: list[str], **about: Any) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(program, **about) as process:
        try:
            yield process
        finally:
            process.terminate()


# --- Contenders -------------------------------------------------------------------------------------


def open_perkey(endpoint: str, engine: Any) -> Any:
    bucket = f"perkey-{engine}-{secrets.token_hex(4)}"
    return BasicS3Dict[Any](bucket, region="us-east-1", endpoint_url=endpoint, engine=engine)


def _persidict(endpoint: str) -> Any:
    from persidict import BasicS3Dict as Peer

    os.environ["AWS_ENDPOINT_URL"] = endpoint  # it has no parameter for that
    try:
        return Peer(bucket_name=f"persidict-{secrets.token_hex(4)}", region="us-east-1")
    finally:
        del os.environ["AWS_ENDPOINT_URL"]


class BareBoto:
    """boto3's own calls, moving bytes."""

    def __init__(self, endpoint: str) -> None:
        import boto3
        from botocore.config import Config

        config = Config(max_pool_connections=_THREADS)
        self._client = boto3.client("s3", endpoint_url=endpoint, config=config)
        self._bucket = f"bare-{secrets.token_hex(4)}"
        self._client.create_bucket(Bucket=self._bucket)

    def __getitem__(self, key: str) -> bytes:
        body: bytes = self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        return body

    def __setitem__(self, key: str, value: bytes) -> None:
        self._client.put_object(Bucket=self._bucket, Key=key, Body=value)

    def __contains__(self, key: str) -> bool:
        return bool(self._client.head_object(Bucket=self._bucket, Key=key))


class BareObstore:
    """obstore's own calls, moving bytes."""

    def __init__(self, endpoint: str) -> None:
        from obstore.store import S3Store

        bucket = BareBoto(endpoint)._bucket  # noqa: SLF001 - it makes one
        options: Any = {"endpoint": endpoint, "region": "us-east-1", "virtual_hosted_style_request": False}
        self._store = S3Store(bucket, **options, client_options={"allow_http": True})

    def __getitem__(self, key: str) -> bytes:
        return bytes(self._store.get(key).bytes())

    def __setitem__(self, key: str, value: bytes) -> None:
        self._store.put(key, value)

    def __contains__(self, key: str) -> bool:
        return bool(self._store.head(key))


def _s3fs(endpoint: str) -> Any:
    from s3fs import S3FileSystem

    bucket = BareBoto(endpoint)._bucket  # noqa: SLF001 - it makes one
    return S3FileSystem(endpoint_url=endpoint, use_listings_cache=False).get_mapper(bucket)


def _single(settings: Settings, endpoint: str) -> Iterator[Outcome]:
    names = keys(settings.pick(30, 200))
    values = {name: small_dict(number) for number, name in enumerate(names)}
    encode = format_of("pkl").encode
    data = {name: encode(value) for name, value in values.items()}
    content: dict[str, tuple[Any, dict[str, Any]]] = {
        "perkey": (open_perkey(endpoint, "boto3"), values),
        "perkey obstore": (open_perkey(endpoint, "obstore"), values),
        FLOOR: (BareBoto(endpoint), data),
        "bare obstore": (BareObstore(endpoint), data),
    }
    if find_spec("persidict"):
        content["persidict"] = (_persidict(endpoint), values)
    if find_spec("s3fs"):
        content["s3fs"] = (_s3fs(endpoint), data)

    def put(place: Any, items: dict[str, Any]) -> None:
        for name, value in items.items():
            place[name] = value

    def get(place: Any, items: dict[str, Any]) -> None:
        for name in items:
            place[name]

    def ask(place: Any, items: dict[str, Any]) -> None:
        for name in items:
            assert name in place

    for name, act in (("set", put), ("get", get), ("in", ask)):
        acts: dict[str, Act] = {who: partial(act, *place) for who, place in content.items()}
        yield Contest(name, len(names), acts, rounds=settings.pick(3, 9)).hold("S3, one by one")


class _Late:
    """Dictionaries in a bucket that is far away, each with the same items."""

    def __init__(self, settings: Settings, endpoint: str) -> None:
        self._names = keys(settings.pick(50, 1_000))
        self._rounds = settings.pick(1, 2)
        self._values = {name: small_dict(number) for number, name in enumerate(self._names)}
        self._bare = BareBoto(endpoint)
        self._places = {
            "perkey": open_perkey(endpoint, "boto3"),
            "perkey obstore": open_perkey(endpoint, "obstore"),
        }
        if find_spec("persidict"):
            self._places["persidict"] = _persidict(endpoint)

    def contests(self, suite: str) -> Iterator[Outcome]:
        """Write all items, then read them."""
        places, count = self._places.items(), len(self._names)
        encode = format_of("pkl").encode
        data = [(name, encode(value)) for name, value in self._values.items()]
        updates: dict[str, Act] = {who: partial(place.update, self._values) for who, place in places}
        updates[FLOOR] = partial(_at_once, self._bare.__setitem__, data)
        yield Contest("update", count, updates, rounds=self._rounds).hold(suite)
        reads: dict[str, Act] = {who: partial(_read_all, place, count) for who, place in places}
        reads[FLOOR] = partial(_at_once, self._bare.__getitem__, [(name,) for name in self._names])
        yield Contest("items", count, reads, rounds=self._rounds).hold(suite)


def _at_once(request: Callable[..., object], arguments: Iterable[tuple[Any, ...]]) -> None:
    """Let as many threads make requests of the bare client as perkey uses."""
    with ThreadPoolExecutor(_THREADS) as pool:
        for done in [pool.submit(request, *each) for each in arguments]:
            done.result()


def _read_all(place: Any, count: int) -> None:
    assert sum(1 for _ in place.items()) == count
