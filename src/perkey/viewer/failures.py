"""What a request gets that fails: a page of one line, and the details on standard error.

A page never has a traceback or a path of the program.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from perkey.errors import PerkeyError

_LOG: Final = logging.getLogger("perkey.viewer")

Respond = Callable[[Request, int, str], Response]
"""Makes a page of a request, a status and a text."""


class Failures:
    """Middleware that answers requests whose pages raise an exception.

    Args:
        app: The application.
        respond: Makes the page.
    """

    def __init__(self, app: ASGIApp, respond: Respond) -> None:
        self._app = app
        self._respond = respond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on. If an exception comes back, log it, and send a page unless a response began."""
        has_begun = False

        async def send_noting(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, send_noting)
        except Exception as error:  # noqa: BLE001 - an error of one page does not end the viewer
            status, text = _described(error)
            _LOG.error("%s: %s", scope.get("path"), text, exc_info=error)
            if not has_begun:  # the server cuts a response that ends early
                await self._page(Request(scope), status, text)(scope, receive, send)

    def _page(self, request: Request, status: int, text: str) -> Response:
        try:
            return self._respond(request, status, text)
        except Exception:  # noqa: BLE001 - a template may be what failed
            return PlainTextResponse(f"{text}\n", status)


def _described(error: Exception) -> tuple[int, str]:
    """Return the status and the text of an exception's page."""
    if isinstance(error, PerkeyError):
        return 502, f"The place cannot be read: {error}"
    if isinstance(error, OSError):  # its text may have a path of the program
        why = error.strerror or type(error).__name__
        return 502, f"The place cannot be read: {why}. The terminal of the viewer has the details."
    return 500, (
        f"The viewer failed to make this page ({type(error).__name__}). "
        "Load it again; if that does not help, the terminal of the viewer has the details."
    )
