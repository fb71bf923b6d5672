"""A proxy in front of an S3 server, that counts requests and spoils some of them."""

import contextlib
import http.client
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

HANG: Final = 60.0
"""Seconds after which something is taken to hang."""

_HOP_BY_HOP: Final = frozenset(("connection", "keep-alive", "transfer-encoding", "expect", "content-length"))


@dataclass(frozen=True)
class Request:
    """What a client asked.

    Attributes:
        verb: What it means to S3: put, get, head, delete, list, delete_many, begin, part, complete, abort,
            or bucket.
        key: The object.
        headers: By names in lower case.
        body: What was sent.
    """

    verb: str
    method: str
    target: str
    key: str
    headers: dict[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class Reply:
    """What the server answered."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = field(repr=False)


class Exchange:
    """One request, for a fault to deal with as it likes."""

    def __init__(self, request: Request, handler: "_Handler", upstream: tuple[str, int]) -> None:
        self.request = request
        self._handler = handler
        self._upstream = upstream

    def forward(self) -> Reply:
        """Let the server do what was asked."""
        return _ask(self._upstream, self.request)

    def answer(self, reply: Reply) -> None:
        """Send a reply to the client."""
        self._handler.send(reply)

    def answer_part(self, reply: Reply, length: int) -> None:
        """Send the first bytes of a reply that is announced in full."""
        self._handler.send(reply, reply.body[:length])

    def answer_in_chunks(self, reply: Reply) -> None:
        """Send a reply whose length is not announced."""
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(reply.body), reply.body)
        self._handler.send(reply, body, in_chunks=True)

    def hang_up(self) -> None:
        """Reset the connection."""
        self._handler.reset()

    def close(self) -> None:
        """Close the connection as if all had been said."""
        self._handler.close_connection = True

    def wait_for_client_to_give_up(self) -> None:
        """Return when the client has closed the connection."""
        self._handler.connection.settimeout(HANG)
        with contextlib.suppress(OSError):
            self._handler.connection.recv(1)


Fault = Callable[[Exchange], None]


# --- Faults -----------------------------------------------------------------------------------------


def says(status: int, code: str, message: str = "as planned") -> Fault:
    """Answer with an error; the server never hears of the request."""
    return lambda exchange: exchange.answer(error(exchange.request, status, code, message))


def says_after(status: int, code: str) -> Fault:
    """Let the server do it, and answer with an error."""

    def act(exchange: Exchange) -> None:
        exchange.forward()
        exchange.answer(error(exchange.request, status, code, "as planned"))

    return act


def drops_request(exchange: Exchange) -> None:
    """Hang up before the server hears of the request."""
    exchange.hang_up()


def drops_reply(exchange: Exchange) -> None:
    """Hang up after the server has done it."""
    exchange.forward()
    exchange.hang_up()


def stalls(exchange: Exchange) -> None:
    """Never answer, and never ask the server."""
    exchange.wait_for_client_to_give_up()
    exchange.hang_up()


def stalls_after(exchange: Exchange) -> None:
    """Let the server do it, and never answer."""
    exchange.forward()
    exchange.wait_for_client_to_give_up()
    exchange.hang_up()


def cuts_body(exchange: Exchange) -> None:
    """Reset the connection in the middle of the answer's body."""
    reply = exchange.forward()
    exchange.answer_part(reply, len(reply.body) // 2)
    exchange.hang_up()


def ends_body_early(exchange: Exchange) -> None:
    """Close the connection in good order in the middle of the answer's body."""
    reply = exchange.forward()
    exchange.answer_part(reply, len(reply.body) // 2)
    exchange.close()


def is_slow(exchange: Exchange) -> None:
    """Be slow, but do it."""
    time.sleep(0.3)
    exchange.answer(exchange.forward())


def repeats(exchange: Exchange) -> None:
    """Send the request twice, and pass on the second reply, as a load balancer does after a time-out."""
    exchange.forward()
    exchange.answer(exchange.forward())


def repeats_after(act: Callable[[], object]) -> Fault:
    """Do the same, and let something happen in between."""

    def fault(exchange: Exchange) -> None:
        exchange.forward()
        act()
        exchange.answer(exchange.forward())

    return fault


def asks_to_wait(status: int, code: str, retry_after: str) -> Fault:
    """Answer with an error that says when to come again."""

    def fault(exchange: Exchange) -> None:
        said = error(exchange.request, status, code, "as planned")
        exchange.answer(Reply(status, [*said.headers, ("Retry-After", retry_after)], said.body))

    return fault


def error(request: Request, status: int, code: str, message: str) -> Reply:
    """Return an error as S3 says it: of a HEAD without a word."""
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
    return Reply(status, [("Content-Type", "application/xml")], b"" if request.method == "HEAD" else body)


# --- The proxy --------------------------------------------------------------------------------------


class Proxy:
    """Listens on 127.0.0.1 and passes requests on, but for those that a plan is for.

    Attributes:
        requests: What was asked, in order.
        replies: What clients were told.
        endpoint: The address to give to clients.
    """

    def __init__(self, upstream: str) -> None:
        place = urlsplit(upstream)
        self._upstream = (str(place.hostname), int(place.port or 80))
        self._lock = threading.Lock()
        self._plans: list[_Plan] = []
        self.requests: list[Request] = []
        self.replies: list[Reply] = []
        self._server = _listener_at_new_address()
        self._server.proxy = self
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"

    def plan(self, fault: Fault, verb: str | None = None, *, times: int | None = 1, every: int = 1) -> None:
        """Spoil the next requests of a verb, or of all but those of buckets.

        Args:
            fault: What to do instead of passing it on.
            verb: Of which requests.
            times: How many are spoilt; None for all.
            every: Only each request of this number.
        """
        with self._lock:
            self._plans.append(_Plan(fault, verb, times, every))

    def heal(self) -> None:
        """Forget all plans."""
        with self._lock:
            self._plans.clear()

    def forget(self) -> None:
        """Count from zero."""
        with self._lock:
            self.requests.clear()
            self.replies.clear()

    @property
    def counts(self) -> dict[str, int]:
        """How many requests there were, by verb."""
        with self._lock:
            return dict(Counter(request.verb for request in self.requests))

    def handle(self, request: Request, handler: "_Handler") -> None:
        """Do with one request what is planned."""
        exchange = Exchange(request, handler, self._upstream)
        with self._lock:
            self.requests.append(request)
            fault = next((plan.fault for plan in self._plans if plan.is_due(request)), None)
        if fault is None:
            exchange.answer(exchange.forward())
        else:
            fault(exchange)

    @contextlib.contextmanager
    def running(self) -> Iterator["Proxy"]:
        """Serve until the block is left."""
        thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.close_all()


@dataclass
class _Plan:
    fault: Fault
    verb: str | None
    times: int | None
    every: int
    seen: int = 0

    def is_due(self, request: Request) -> bool:
        if self.times == 0 or (request.verb != self.verb if self.verb else request.verb == "bucket"):
            return False
        self.seen += 1
        if self.seen % self.every:
            return False
        if self.times is not None:
            self.times -= 1
        return True


class _Listener(ThreadingHTTPServer):
    proxy: Proxy
    request_queue_size = 128

    def __init__(self, *args: object) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(*args)  # type: ignore[arg-type] # passed on

    def process_request(self, request: object, client_address: object) -> None:
        self._open.add(request)  # type: ignore[arg-type] # it is a socket
        super().process_request(request, client_address)  # type: ignore[arg-type] # passed on

    def shutdown_request(self, request: object) -> None:
        self._open.discard(request)
        super().shutdown_request(request)  # type: ignore[arg-type] # passed on

    def close_all(self) -> None:
        """End the listening, and the connections that clients keep for later."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()


_addresses: set[int] = set()


def _listener_at_new_address() -> _Listener:
    """Return a listener at a port that no proxy of this process had: perkey remembers what endpoints do."""
    while True:
        listener = _Listener(("127.0.0.1", 0), _Handler)
        port = listener.server_address[1]
        if port not in _addresses:
            _addresses.add(port)
            return listener
        listener.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def handle_one_request(self) -> None:
        try:
            self._handle_one()
        except (OSError, ValueError):
            self.close_connection = True  # the client has gone, or a fault has closed what is read from

    def _handle_one(self) -> None:
        self.raw_requestline = self.rfile.readline(1 << 17)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        self.server.proxy.handle(self._request(), self)

    def _request(self) -> Request:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self._chunks() if "chunked" in headers.get("transfer-encoding", "") else self._plain(headers)
        verb, key = _meaning(self.command, self.path)
        return Request(verb, self.command, self.path, key, headers, body)

    def _plain(self, headers: dict[str, str]) -> bytes:
        return self.rfile.read(int(headers.get("content-length", 0)))

    def _chunks(self) -> bytes:
        pieces = []
        while length := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(length))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers
        return b"".join(pieces)

    def send(self, reply: Reply, body: bytes | None = None, *, in_chunks: bool = False) -> None:
        """Send a reply; its length is announced unless the body is in chunks."""
        self.server.proxy.replies.append(reply)
        lines = [f"HTTP/1.1 {reply.status} {http.client.responses.get(reply.status, '-')}"]
        lines += [f"{name}: {value}" for name, value in reply.headers if name.lower() not in _HOP_BY_HOP]
        lengths = [value for name, value in reply.headers if name.lower() == "content-length"]
        if in_chunks:
            lines.append("Transfer-Encoding: chunked")
        elif reply.status not in {204, 304}:
            # Of a HEAD, the length is that of the object.
            announced = lengths[0] if self.command == "HEAD" and lengths else str(len(reply.body))
            lines.append(f"Content-Length: {announced}")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        self.wfile.write(head + (reply.body if body is None else body))
        self.wfile.flush()

    def reset(self) -> None:
        """Close the connection so that the client's kernel says that it was reset."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # The readers of http.server hold the socket, too.
        self.rfile.close()
        self.connection.close()
        self.connection.detach()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base's
        """Keep quiet."""


def _ask(upstream: tuple[str, int], request: Request) -> Reply:
    connection = http.client.HTTPConnection(*upstream, timeout=HANG)
    try:
        connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
        for name, value in request.headers.items():
            if name not in _HOP_BY_HOP:
                connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(request.body)))
        connection.putheader("Connection", "close")
        connection.endheaders(request.body)
        reply = connection.getresponse()
        return Reply(reply.status, reply.getheaders(), reply.read())
    finally:
        connection.close()


def _meaning(method: str, target: str) -> tuple[str, str]:
    """Return what a request means to S3, and the key of which object."""
    parts = urlsplit(target)
    asked = parse_qs(parts.query, keep_blank_values=True)
    key = unquote(parts.path.lstrip("/").partition("/")[2])
    if "delete" in asked:
        return "delete_many", ""
    if "list-type" in asked:
        return "list", asked.get("prefix", [""])[0]
    if not key:
        return "bucket", ""
    if "uploads" in asked:
        return "begin", key
    if "uploadId" in asked:
        return {"PUT": "part", "POST": "complete", "DELETE": "abort"}.get(method, "parts"), key
    return method.lower(), key
