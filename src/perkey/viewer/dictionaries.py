"""Pages of dictionaries."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from perkey.mapping import PersiDict
from perkey.viewer.pages import Pages, Shown


class Dictionary:
    """The pages of a dictionary.

    Args:
        d: The dictionary, read-only.
        pages: Makes responses.
        shown: Its title and path.
        unpickle: Whether pickles are loaded.
    """

    def __init__(self, d: PersiDict[Any], pages: Pages, shown: Shown, *, unpickle: bool) -> None:
        self.d = d
        self.pages = pages
        self.shown = shown
        self.unpickle = unpickle

    def routes(self) -> list[BaseRoute]:
        """Return the routes, relative to the path of the dictionary."""
        return [Route("/", self._front)]

    def close(self) -> None:
        """End what works in the background."""

    def _front(self, request: Request) -> Response:
        return self.pages.respond(request, "error.html", message=self.shown.title)
