"""Servers and buckets for the tests of S3; nothing here can reach a real cloud."""

import secrets
from collections.abc import Iterator

import pytest

from perkey.retrying import Attempts
from s3 import azurite, crews, servers
from s3.credentials import ACCESS_KEY
from s3.crews import Crew
from s3.places import shared_session
from s3.proxy import Proxy
from s3.servers import CEPH_ENDPOINT, Server

ATOMIC_SERVERS = ["ministack", "moto_server", *(["ceph"] if CEPH_ENDPOINT else [])]
"""Names of the fixtures of servers that support conditions."""


collect_ignore = [] if azurite.ENDPOINT else ["test_azurite.py"]
"""Tests of a service that only a step of its own starts."""


def pytest_report_header() -> list[str]:
    """Say loudly whether the tests over services that are not Python packages run."""
    places = [
        ("S3: tests over Ceph RGW", CEPH_ENDPOINT, "PERKEY_CEPH_ENDPOINT"),
        ("Azure: tests over Azurite", azurite.ENDPOINT, "PERKEY_AZURITE_ENDPOINT"),
    ]
    return [
        f"{what} RUN, at {endpoint}" if endpoint else f"{what} DO NOT RUN ({variable} is not set)"
        for what, endpoint, variable in places
    ]


@pytest.fixture(scope="session", autouse=True)
def _guard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with servers.guarded_environment(tmp_path_factory.mktemp("home")), servers.descriptions_read_once():
        # A session remembers the credentials that it finds first; `mock_aws` would offer others.
        assert shared_session().get_credentials().access_key == ACCESS_KEY
        yield


@pytest.fixture
def bucket() -> str:
    """The name of a bucket that does not exist yet."""
    return f"perkey-{secrets.token_hex(8)}"


@pytest.fixture
def moto_in_process() -> Iterator[None]:
    """Moto in this process, atomic, empty at first."""
    with servers.moto_in_process():
        yield


@pytest.fixture(scope="session")
def ministack(_guard: None) -> Iterator[Server]:
    """A ministack for the whole session."""
    with servers.ministack() as server:
        yield server


@pytest.fixture(scope="session")
def moto_server(_guard: None) -> Iterator[Server]:
    """A moto server for the whole session, atomic."""
    with servers.moto_server() as server:
        yield server


@pytest.fixture(scope="session")
def rclone(_guard: None) -> Iterator[Server]:
    """A server that ignores conditions, for the whole session."""
    with servers.rclone() as server:
        yield server


@pytest.fixture(scope="session")
def ceph(_guard: None) -> Iterator[Server]:
    """The Ceph RGW of the environment."""
    with servers.ceph() as server:
        yield server


@pytest.fixture(params=ATOMIC_SERVERS)
def server(request: pytest.FixtureRequest) -> Server:
    """Each server that supports conditions, one after the other."""
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def proxy(ministack: Server) -> Iterator[Proxy]:
    """A proxy of the test's own, in front of a server that supports conditions."""
    with Proxy(ministack.endpoint).running() as running:
        yield running


@pytest.fixture
def quick_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let attempts follow each other at once."""
    monkeypatch.setattr(Attempts, "first_pause", 0.0001)


@pytest.fixture(scope="session")
def crew(_guard: None) -> Iterator[Crew]:
    """Eight processes."""
    with crews.crew() as started:
        yield started


@pytest.fixture(params=["rclone", *(["ceph"] if CEPH_ENDPOINT else [])])
def servers_that_do_not_compare_removals(request: pytest.FixtureRequest) -> Server:
    """Servers that ignore conditions of DELETE."""
    found: Server = request.getfixturevalue(request.param)
    return found
