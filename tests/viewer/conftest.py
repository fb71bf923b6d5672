"""The viewer without a server, and the ways to it."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jinja2.debug  # noqa: F401 - loaded when a template fails; tests without rights may not read it then
import pytest

from perkey.viewer import create_app

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its advice about the package that it sends requests with
    from starlette.testclient import TestClient

__all__ = ["TestClient"]

NOBODY = 65534
TOKEN = "the-token"
ADDRESS = "http://127.0.0.1:8123"

Viewer = Callable[..., TestClient]

CHROMIUM = os.environ.get("PERKEY_CHROMIUM", "")

collect_ignore = [] if CHROMIUM else ["test_browser.py"]
"""Tests in a browser, which only a step of its own starts: ``tests/viewer/browser.sh``."""


def pytest_report_header() -> str:
    """Report whether the tests in a browser run."""
    how = f"RUN, in {CHROMIUM}" if CHROMIUM else "DO NOT RUN (PERKEY_CHROMIUM is not set)"
    return f"Viewer: tests in a browser {how}"


@pytest.fixture
def viewer() -> Iterator[Viewer]:
    """Return a function that makes a client of a viewer of places; the client has the cookie."""
    with clients() as make:
        yield make


@contextmanager
def clients() -> Iterator[Viewer]:
    """As the fixture, for a block."""
    made: list[TestClient] = []

    def make(*places: Any, **options: Any) -> TestClient:
        client = TestClient(create_app(places, token=TOKEN, **options), base_url=ADDRESS)
        made.append(client.__enter__())
        assert client.get("/static/style.css", params={"token": TOKEN}).status_code == 200
        return client

    yield make
    for client in made:
        client.__exit__(None, None, None)


def until(condition: Callable[[], bool], timeout: float = 20) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not become true"
        time.sleep(0.02)


@contextmanager
def without_rights() -> Iterator[None]:
    """Act as a user without rights in a block, if the tests run as root."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.fixture
def open_viewer() -> Callable[..., TestClient]:
    """Return a function that makes a client without the token."""

    def make(*places: Any, **options: Any) -> TestClient:
        return TestClient(create_app(places, token=TOKEN, **options), base_url=ADDRESS)

    return make
