"""What is denied is not tried again: the request is sent once, and no line about a retry is logged."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from perkey import ETAG_IS_THE_SAME, ITEM_NOT_AVAILABLE, ObjectStoreDict, S3Dict
from perkey.dicts.s3 import BasicS3Dict
from perkey.errors import AccessDeniedError, BackendError
from perkey.mapping.persi_dict import PersiDict
from s3.credentials import SECRET_KEY
from s3.engines import each_engine
from s3.places import EngineName, Place

Dict = PersiDict[Any]

XML = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>no</Message></Error>"
PAGE = b"<html><body>Forbidden by the proxy</body></html>"

OPERATIONS: dict[str, Callable[[Dict], object]] = {
    "get": lambda d: d["a"],
    "in": lambda d: "a" in d,
    "set": lambda d: d.__setitem__("a", 1),
    "del": lambda d: d.__delitem__("a"),
    "len": len,
    "insert": lambda d: d.set_item_if(
        "a", value=1, condition=ETAG_IS_THE_SAME, expected_etag=ITEM_NOT_AVAILABLE
    ),
}


class Denying:
    """A server, or a proxy, that denies everything with the same status and body, and counts requests."""

    def __init__(self) -> None:
        self.status = 403
        self.body = b""
        self.requests: list[str] = []
        denying = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                denying.requests.append(f"{self.command} {self.path}")
                self.send_response(denying.status)
                self.send_header("Content-Length", str(len(denying.body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(denying.body)

            def __getattr__(self, name: str) -> Any:
                if name.startswith("do_"):
                    return self.answer
                raise AttributeError(name)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def denying() -> Iterator[Denying]:
    made = Denying()
    threading.Thread(target=made.server.serve_forever, daemon=True).start()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def caplog(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.WARNING)
    return caplog


@each_engine
@pytest.mark.parametrize("body", [b"", XML, PAGE], ids=["empty", "xml", "html"])
@pytest.mark.parametrize("status", [401, 403])
def test_a_denied_request_is_sent_once(  # noqa: PLR0917 - fixtures
    status: int,
    body: bytes,
    engine: EngineName,
    denying: Denying,
    bucket: str,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Any,
) -> None:
    place = Place(denying.address, bucket, engine)
    denying.status, denying.body = status, body
    for d in (place.open(), place.open_cached(tmp_path)):
        for name, act in OPERATIONS.items():
            denying.requests.clear()
            with pytest.raises(AccessDeniedError):
                act(d)
            assert len(denying.requests) == len(set(denying.requests)), name
        denying.requests.clear()
        assert "AccessDeniedError" in d._repr_html_()
        assert len(denying.requests) == 1
    assert not caplog.records


@pytest.mark.parametrize("status", [403, 407])
@pytest.mark.parametrize("kind", ["boto3", "obstore", "url"])
def test_a_proxy_that_refuses_a_connection_is_asked_once(
    kind: str,
    status: int,
    denying: Denying,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Networks with a list of allowed hosts answer so."""
    denying.status = status
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, denying.address)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    endpoint = "https://s3.example"
    d: Dict
    if kind == "url":
        d = ObjectStoreDict("s3://bucket/x", options={"endpoint": endpoint, "region": "us-east-1"})
    else:
        engine: Any = kind
        d = BasicS3Dict("bucket", region="us-east-1", endpoint_url=endpoint, engine=engine)
    for act in (OPERATIONS["get"], OPERATIONS["set"], OPERATIONS["len"]):
        denying.requests.clear()
        with pytest.raises(BackendError, match=r"(?i)proxy"):
            act(d)
        assert denying.requests == ["CONNECT s3.example:443"]
    denying.requests.clear()
    page = d._repr_html_()
    assert "cannot be shown" in page
    assert SECRET_KEY not in page
    assert denying.requests == ["CONNECT s3.example:443"]
    assert not caplog.records


@each_engine
def test_a_look_at_a_place_that_does_not_answer_is_short_and_quiet(
    engine: EngineName, caplog: pytest.LogCaptureFixture, bucket: str, tmp_path: Any
) -> None:
    service: Any = {"region": "us-east-1", "endpoint_url": "http://127.0.0.1:9", "engine": engine}
    for d in (BasicS3Dict[Any](bucket, **service), S3Dict[Any](bucket, base_dir=tmp_path, **service)):
        began = time.monotonic()
        page = d._repr_html_()
        assert time.monotonic() - began < 4
        assert re.search("cannot be shown: BackendError", page)
    assert not caplog.records
