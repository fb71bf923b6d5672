"""Pages of data spaces."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from perkey.dataspace import Project
from perkey.viewer.pages import Pages, Shown


def routes(project: Project, pages: Pages, shown: Shown) -> list[BaseRoute]:
    """Return the routes of a data space, relative to ``/s/<number>``; the first is its front page, at ``/``.

    Functions that are not coroutines run in a thread, so they may read files.

    Args:
        project: The data space.
        pages: Makes responses: ``pages.respond(request, "space_jobs.html", shown=shown, ...)``.
        shown: Its title, and what the paths of its pages begin with.
    """

    def front(request: Request) -> Response:
        return pages.respond(request, "space_front.html", shown=shown, project=project)

    return [Route("/", front)]
