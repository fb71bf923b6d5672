"""For how long an operation tries again: by time, with growing pauses, and not far past its deadline."""

import contextlib
import logging
import pickle
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Literal, TypeAlias

import pytest

from perkey import retrying
from perkey.dicts.object_store_dict import ObjectStoreDict
from perkey.errors import BackendError, OperationTimeoutError, OutcomeUnknownError
from perkey.jokers import ITEM_NOT_AVAILABLE
from perkey.mapping.persi_dict import PersiDict
from perkey.retrying import Retry
from s3.places import Place, know_server
from s3.proxy import Proxy, asks_to_wait, says, stalls
from s3.servers import Server
from s3.test_object_store_dict import options_for

Dict: TypeAlias = PersiDict[Any]
Client: TypeAlias = Literal["boto3", "obstore", "address"]

MIB = 1 << 20


@pytest.fixture(params=["boto3", "obstore", "address"])
def client(request: pytest.FixtureRequest) -> Client:
    found: Client = request.param
    return found


@pytest.fixture
def open_it(client: Client, proxy: Proxy, ministack: Server, bucket: str) -> Callable[..., Dict]:
    """Open a dictionary with an item "a" of 1, with parameters of the test."""
    Place(ministack.endpoint, bucket).open()["a"] = 1

    def opened(**params: Any) -> Dict:
        d: Dict
        if client == "address":
            d = ObjectStoreDict(f"s3://{bucket}/root/prefix", options=options_for(proxy.endpoint), **params)
        else:
            d = Place(proxy.endpoint, bucket, client).open(**params)
        know_server(d)
        return d

    return opened


def plus_one(value: Any) -> Any:
    return 1 if value is ITEM_NOT_AVAILABLE else value + 1


def test_an_outage_shorter_than_retry_for_is_survived_by_every_operation(
    open_it: Callable[..., Dict], proxy: Proxy
) -> None:
    d = open_it()
    until = time.monotonic() + 2

    def is_down(exchange: Any) -> None:
        if time.monotonic() < until:
            says(503, "SlowDown")(exchange)
        else:
            exchange.answer(exchange.forward())

    proxy.plan(is_down, times=None)
    d.set_many({f"k{number}": number for number in range(60)})
    d.transform_item("a", transformer=plus_one)
    proxy.heal()
    assert (len(d), d["a"]) == (61, 2)


@pytest.mark.parametrize("verb", ["get", "put"])
def test_an_outage_longer_than_retry_for_is_an_error_without_a_pause_after_the_last_attempt(
    verb: str, open_it: Callable[..., Dict], proxy: Proxy
) -> None:
    d = open_it(retry_for=0.6)
    proxy.plan(says(503, "SlowDown"), verb, times=None)
    began = time.monotonic()
    with pytest.raises(BackendError, match="SlowDown"):
        d.__setitem__("a", 1) if verb == "put" else d["a"]
    took = time.monotonic() - began
    assert 0.6 <= took < 6
    assert 3 <= proxy.counts[verb] <= 8


def test_without_time_there_is_one_attempt(open_it: Callable[..., Dict], proxy: Proxy) -> None:
    d = open_it(retry_for=0)
    proxy.plan(says(503, "SlowDown"), times=None)
    with pytest.raises(BackendError):
        d["a"]
    assert proxy.counts == {"get": 1}


def test_each_retry_is_logged_with_place_reason_and_pause(
    open_it: Callable[..., Dict], proxy: Proxy, caplog: pytest.LogCaptureFixture, bucket: str
) -> None:
    d = open_it()
    proxy.plan(says(503, "SlowDown"), "get", times=3)
    assert d["a"] == 1
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(lines) == 3
    for number, line in enumerate(lines, 2):
        assert f"s3://{bucket}/root/prefix/a.pkl" in line
        assert "SlowDown" in line
        assert f"attempt {number} follows in " in line


@pytest.mark.parametrize("client", ["boto3", "obstore"])
@pytest.mark.parametrize("form", ["seconds", "date"])
@pytest.mark.parametrize("status", [503, 429, 500])
def test_a_service_that_asks_to_wait_is_not_asked_before(
    status: int, form: str, open_it: Callable[..., Dict], proxy: Proxy, client: Client
) -> None:
    d = open_it()
    code = "InternalError" if status == 500 else "SlowDown"

    def names_a_moment(exchange: Any) -> None:
        now = datetime.now(UTC)
        said, until = (format_datetime(at, usegmt=True) for at in (now, now + timedelta(seconds=2)))
        exchange.answer = _with(exchange.answer, [("Date", said), ("Retry-After", until)])
        says(status, code)(exchange)

    # A date has whole seconds only, so that of two a moment more than one is left.
    fault = names_a_moment if form == "date" else asks_to_wait(status, code, "1")
    # obstore does not tell: what was put off is asked again by boto3, which does.
    proxy.plan(fault, "get", times=1 if client == "boto3" else 2)
    began = time.monotonic()
    assert d["a"] == 1
    assert time.monotonic() - began > 0.9


def _with(answer: Callable[[Any], None], headers: list[tuple[str, str]]) -> Callable[[Any], None]:
    return lambda reply: answer(type(reply)(reply.status, [*reply.headers, *headers], reply.body))


@pytest.mark.parametrize("client", ["boto3"])
def test_a_service_that_asks_to_wait_for_longer_than_there_is_time_is_an_error_at_once(
    open_it: Callable[..., Dict], proxy: Proxy
) -> None:
    d = open_it(retry_for=5)
    proxy.plan(asks_to_wait(503, "SlowDown", "3600"), times=None)
    began = time.monotonic()
    with pytest.raises(BackendError):
        d["a"]
    assert time.monotonic() - began < 4
    assert proxy.counts == {"get": 1}


ACTS: dict[str, Callable[[Dict], object]] = {
    "get": lambda d: d["a"],
    "in": lambda d: "a" in d,
    "len": len,
    "set": lambda d: d.__setitem__("a", 2),
    "insert": lambda d: d.setdefault_if("new", default_value=1),
    "del": lambda d: d.__delitem__("a"),
    "clear": lambda d: d.clear(),
}


@pytest.mark.parametrize("name", ACTS)
def test_a_service_that_never_answers_ends_an_operation_soon_after_its_timeout(
    name: str, open_it: Callable[..., Dict], proxy: Proxy
) -> None:
    d = open_it(timeout=0.7)
    proxy.plan(stalls, times=None)
    began = time.monotonic()
    with pytest.raises((OperationTimeoutError, OutcomeUnknownError)) as caught:
        ACTS[name](d)
    assert time.monotonic() - began < 0.7 + 0.7 + 5
    assert isinstance(caught.value, TimeoutError) or name == "insert"


def test_a_service_that_never_answers_ends_an_operation_without_a_timeout_too(
    open_it: Callable[..., Dict], proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Retry, "idle", lambda *_: 0.5)
    d = open_it(retry_for=0.8)
    proxy.plan(stalls, times=None)
    began = time.monotonic()
    with pytest.raises(BackendError):
        d["a"]
    assert time.monotonic() - began < 0.8 + 0.5 + 5
    assert proxy.counts == {"get": 2}, "after a time without a byte another attempt follows"


@pytest.fixture
def slow_service() -> Iterator[str]:
    """A service that takes 2 MiB a second, and says yes."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            answer(connection)

    def answer(connection: socket.socket) -> None:
        received = b""
        while b"\r\n\r\n" not in received:
            piece = connection.recv(1 << 16)
            if not piece:
                return
            received += piece
        head, _, body = received.partition(b"\r\n\r\n")
        if b"100-continue" in head.lower():
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        length = int(fields[b"content-length"])
        left = length - len(body)
        while left > 0 and (size := len(connection.recv(1 << 16))):
            left -= size
            time.sleep(size / (2 * MIB))
        connection.sendall(b'HTTP/1.1 200 OK\r\nETag: "x"\r\nContent-Length: 0\r\n\r\n')

    def listen() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=listen, daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.close()


@pytest.mark.parametrize("engine", ["boto3", "obstore", "address"])
def test_a_large_upload_over_a_slow_way_lives(
    engine: str, slow_service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attempt ends after a time without a byte, not because all of it takes long."""
    monkeypatch.setattr(Retry, "idle", lambda _, most=retrying.IDLE_SECONDS: most / 12)
    d: Dict
    if engine == "address":
        d = ObjectStoreDict("s3://bucket/p", options=options_for(slow_service), retry_for=0)
    else:
        d = Place(slow_service, "bucket", engine).open(retry_for=0)  # type: ignore[arg-type] # it is one
    d["a"] = random.Random(1).randbytes(8 * MIB)


def test_the_parameters_travel_with_the_handle(open_it: Callable[..., Dict]) -> None:
    d = open_it(retry_for=12.5, timeout=99)
    for other in (pickle.loads(pickle.dumps(d)), type(d)(**d.get_params()), d.get_subdict("sub")):
        params = other.get_params()
        assert (params["retry_for"], params["timeout"]) == (12.5, 99)
    engine = pickle.loads(pickle.dumps(d)).store.engine
    assert engine.retry == Retry(12.5, 99)


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"retry_for": -1}, ValueError),
        ({"retry_for": float("nan")}, ValueError),
        ({"retry_for": "30"}, TypeError),
        ({"retry_for": None}, TypeError),
        ({"timeout": 0}, ValueError),
        ({"timeout": -1}, ValueError),
        ({"timeout": True}, TypeError),
    ],
)
def test_wrong_times_are_refused_by_name(
    params: dict[str, Any], error: type[Exception], open_it: Callable[..., Dict]
) -> None:
    with pytest.raises(error, match=next(iter(params))):
        open_it(**params)
