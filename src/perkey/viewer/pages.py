"""Pages from templates: what all pages of the viewer have in common.

Every text that a template prints is escaped, and its hidden characters are made visible (`text.finalize`).
Only `Markup` passes as it is: plots, which the viewer draws itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from perkey.errors import counted
from perkey.showing import size_text
from perkey.viewer import text

HERE: Final = Path(__file__).parent


class Shown(NamedTuple):
    """A place that the viewer shows.

    Attributes:
        title: Its path or address, without secrets.
        base: What the paths of its pages begin with: ``/d/0`` for a dictionary, ``/s/1`` for a data space.
    """

    title: str
    base: str


class Pages:
    """Makes responses of templates.

    Args:
        places: All places, for the navigation on each page.
    """

    def __init__(self, places: list[Shown]) -> None:
        self.places = places
        self._environment = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=text.finalize,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(
            size=size_text,
            count=text.count_text,
            counted=counted,
            time=text.time_text,
            shortened=text.shortened,
        )

    def render(self, template: str, /, **context: Any) -> str:
        """Return the text of a template."""
        return self._environment.get_template(template).render(**context)

    def respond(
        self, request: Request, template: str, /, *, status: int = 200, **context: Any
    ) -> HTMLResponse:
        """Return the page, or the part of a page, that a template makes.

        Args:
            request: What is answered; templates see it as `request`.
            template: The file in ``templates/``.
            status: The status of the response.
            **context: The names that the template uses. `places` is there for all.
        """
        content = self.render(template, request=request, places=self.places, **context)
        return HTMLResponse(content, status)
