"""Which requests the viewer answers, and the headers of its responses.

The viewer listens on loopback. Every user and every web page of this machine can send requests there. So a
request must prove that it comes from the owner of the token, and from a page of the viewer or the address
bar:

- The token is once in the address, then in a cookie that scripts cannot read and other sites do not send.
- The header ``Host`` names loopback and the port of the connection. A page of another name that resolves to
  loopback (DNS rebinding) sends its own name there.
- Requests that a page of another site or another port makes are refused (``Origin``, ``Sec-Fetch-Site``).
- Only GET and HEAD are answered: nothing can be changed.
"""

from __future__ import annotations

import hmac
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")
_METHODS: Final = frozenset(("GET", "HEAD"))
_SITES: Final = frozenset(("same-origin", "none"))
"""What browsers send in ``Sec-Fetch-Site`` for pages of the viewer, and for the address bar."""

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
        "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
"""Of every response. A route that sets one of them itself keeps its own."""


class Guard:
    """Middleware that passes requests of the token's owner, and adds the headers to every response.

    Args:
        app: The application.
        token: The secret. It is compared in constant time.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # a WebSocket, which no page uses
            await send({"type": "websocket.close", "code": 1008})
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        answer = self._refusal(scope) or self._entrance(scope)
        await (answer or self._app)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        """Return the response to a request that comes from elsewhere, or None."""
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in _hosts(scope):
            return _refused(421, "This name or port is not of the viewer: use the address that it printed.")
        own = f"http://{hosts[0].lower()}"
        foreign = any(origin.lower() != own for origin in headers.getlist("origin"))
        if foreign or any(site not in _SITES for site in headers.getlist("sec-fetch-site")):
            return _refused(
                403, "Another site asked for this page. Paste the address of the viewer into the address bar."
            )
        if scope["method"] not in _METHODS:
            return _refused(405, "The viewer only reads.", {"Allow": "GET, HEAD"})
        return None

    def _entrance(self, scope: Scope) -> Response | None:
        """Return the response to a request with a token or without a cookie; None if its cookie is right."""
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        shown = [value for name, value in query if name == "token"]
        cookie = f"perkey-{_port(scope)}"  # cookies are shared by all ports of a host
        if shown:
            if not all(self._is_token(each) for each in shown):
                return _no_token()
            rest = urlencode([pair for pair in query if pair[0] != "token"])
            path = "/" + scope["path"].lstrip("/")  # never the name of a host
            response = RedirectResponse(f"{path}?{rest}" if rest else path, 303)
            response.set_cookie(cookie, self._token.decode(), httponly=True, samesite="strict")
            return response
        sent = _cookies(Headers(scope=scope)).get(cookie)
        return None if sent is not None and self._is_token(sent) else _no_token()

    def _is_token(self, shown: str) -> bool:
        return hmac.compare_digest(shown.encode("utf-8", "surrogatepass"), self._token)


def _hosts(scope: Scope) -> set[str]:
    port = _port(scope)
    named = {f"{host}:{port}" for host in _LOOPBACK}
    return named.union(_LOOPBACK) if port == 80 else named  # noqa: PLR2004 - browsers leave it out


def _port(scope: Scope) -> int | None:
    """Return the port of the connection; None for a socket of the file system."""
    server = scope.get("server")
    return server[1] if server else None


def _cookies(headers: Headers) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in headers.getlist("cookie"):
        for part in line.split(";"):  # a cookie of another program may be one that cannot be parsed
            try:
                found.update((name, morsel.value) for name, morsel in SimpleCookie(part.strip()).items())
            except CookieError:
                continue
    return found


def _no_token() -> Response:
    return _refused(403, "The token is missing or wrong: use the address that `perkey view` printed.")


def _refused(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    return PlainTextResponse(f"{text}\n", status, headers)
