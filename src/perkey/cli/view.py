"""Show places in a browser."""

from __future__ import annotations

import os
import threading
from importlib.util import find_spec

import click

from perkey import MissingExtraError
from perkey.cli.output import line
from perkey.cli.places import PLACE, open_place, place_command, unpickle_option


@place_command(
    "view",
    ("view results", "a folder, in the browser"),
    ("view results study s3://bucket/prefix", "several places: dictionaries and data spaces"),
    ("view --no-browser --port 8123 results", "print the address only; for `ssh -L 8123:127.0.0.1:8123`"),
)
@click.argument("places", nargs=-1, required=True, type=PLACE)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="The port; by default any free one.")
@click.option("--no-browser", is_flag=True, help="Print the address, and do not open it.")
@unpickle_option
@click.option(
    "--panels",
    multiple=True,
    metavar="MODULE[:FUNCTION]",
    help="Add what a Python function returns to the page of each job or item; may be given several times.",
)
def command(
    *, places: tuple[str, ...], port: int, no_browser: bool, unpickle: bool, panels: tuple[str, ...]
) -> None:
    """Show PLACES, dictionaries and data spaces, in a browser. Nothing is changed.

    The first line printed is the address. It has a token: do not share it. Ctrl-C ends the viewer.
    """
    missing = next((each for each in ("starlette", "uvicorn", "jinja2") if find_spec(each) is None), None)
    if missing is not None:
        raise MissingExtraError("perkey view", "view", missing)
    from perkey.viewer import find_project, load_panels, serve  # noqa: PLC0415 - needs the extra

    try:
        functions = load_panels(panels, folder=os.getcwd())  # noqa: PTH109 - a part of sys.path is text
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--panels") from error

    opened = [find_project(place) or open_place(place) for place in places]
    serve(opened, port=port, unpickle=unpickle, panels=functions, browser=not no_browser, announce=line)
    _leave()


def _leave() -> None:
    """End the process although threads wait for a place that does not answer."""
    if any(each is not threading.main_thread() and not each.daemon for each in threading.enumerate()):
        os._exit(0)
