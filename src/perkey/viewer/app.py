"""The application: which places it shows, and under which paths."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from perkey.dataspace import Project, get_project
from perkey.mapping import PersiDict
from perkey.tools import places as opening
from perkey.viewer import dictionaries, spaces
from perkey.viewer.failures import Failures
from perkey.viewer.pages import HERE, Pages, Shown
from perkey.viewer.panels import Panel
from perkey.viewer.security import Guard

Place = str | os.PathLike[str] | PersiDict[Any] | Project


def create_app(
    places: Iterable[Place],
    *,
    token: str,
    unpickle: bool = False,
    panels: Iterable[Panel] = (),
) -> Starlette:
    """Return the application for some places, which are opened read-only.

    Dictionaries are under ``/d/<number>/``, data spaces under ``/s/<number>/``; the number is that of the
    place in the order given.

    Args:
        places: Paths, addresses, dictionaries and projects.
        token: What a request must show, see `perkey.viewer.security`.
        unpickle: Whether pickles are loaded, which runs code that their writers chose.
        panels: Functions that add to the pages of jobs and items, see `perkey.viewer.panels`.

    Raises:
        FileNotFoundError, AmbiguousPlaceError, ValueError: As `perkey.open`.
    """
    opened = [_open(place) for place in places]
    shown = [_shown(number, place) for number, place in enumerate(opened)]
    pages = Pages(shown)
    closing: list[dictionaries.Dictionary | spaces.DataSpace] = []
    panels = list(panels)
    routes: list[BaseRoute] = []
    for place, each in zip(opened, shown, strict=True):
        if isinstance(place, Project):
            space = spaces.DataSpace(place, pages, each, panels)
            closing.append(space)
            routes.append(Mount(each.base, routes=space.routes()))
        else:
            dictionary = dictionaries.Dictionary(place, pages, each, unpickle=unpickle, panels=panels)
            closing.append(dictionary)
            routes.append(Mount(each.base, routes=dictionary.routes()))

    def front(request: Request) -> Response:
        if len(shown) == 1:
            return RedirectResponse(f"{shown[0].base}/", 303)
        return pages.respond(request, "front.html")

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        close(app)

    def not_found(request: Request, _: Exception) -> Response:
        return failed(request, 404, "This page does not exist.")

    def failed(request: Request, status: int, text: str) -> Response:
        return pages.respond(request, "error.html", status=status, message=text)

    app = Starlette(
        routes=[
            Route("/", front),
            Mount("/static", StaticFiles(directory=HERE / "static"), name="static"),
            *routes,
        ],
        middleware=[Middleware(Guard, token=token), Middleware(Failures, respond=failed)],
        exception_handlers={404: not_found},
        lifespan=lifespan,
    )
    app.state.closing = closing
    return app


def close(app: Starlette) -> None:
    """End what an application does in the background."""
    for place in app.state.closing:
        place.close()


def find_project(place: str | os.PathLike[str]) -> Project | None:
    """Return the data space whose folder is a place; None if the place has to be a dictionary."""
    if isinstance(place, str) and "://" in place:
        return None
    try:
        return get_project(Path(place).expanduser(), search=False)
    except LookupError:
        return None


def _open(place: Place) -> PersiDict[Any] | Project:
    if isinstance(place, Project):
        return place
    if isinstance(place, PersiDict):
        return place.read_only()
    return find_project(place) or opening.open(place, "r")


def _shown(number: int, place: PersiDict[Any] | Project) -> Shown:
    if isinstance(place, Project):
        return Shown(str(place.root_directory()), f"/s/{number}")
    return Shown(place.store.describe(), f"/d/{number}")
