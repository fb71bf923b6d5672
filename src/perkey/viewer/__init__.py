"""The viewer: a small web application that shows dictionaries and data spaces, and changes nothing.

It needs the extra ``view``. `create_app` makes the application, `serve` runs it on this machine, and the
command ``perkey view`` does both. The page `viewer` of the documentation describes
what it shows and what it costs.
"""

from perkey.errors import MissingExtraError

try:
    from perkey.viewer.app import create_app, find_project
    from perkey.viewer.panels import load as load_panels
    from perkey.viewer.serving import serve
except ModuleNotFoundError as error:
    if error.name not in {"jinja2", "markupsafe", "starlette", "uvicorn"}:
        raise
    raise MissingExtraError("perkey view", "view", error.name) from error

__all__ = ["create_app", "find_project", "load_panels", "serve"]
