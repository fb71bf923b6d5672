"""S3 servers on 127.0.0.1 for tests: each a context manager that starts one and stops it whatever happens."""

import contextlib
import ctypes
import functools
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import boto3
import pytest
from botocore.config import Config
from botocore.loaders import JSONFileLoader
from moto import mock_aws

from s3.atomic_moto import make_atomic
from s3.credentials import ACCESS_KEY, REGION, SECRET_KEY

CEPH_ENDPOINT: Final = os.environ.get("PERKEY_CEPH_ENDPOINT", "")
"""Address of a Ceph RGW that takes `ACCESS_KEY` and `SECRET_KEY`; without it there are no tests over Ceph."""

_START_SECONDS: Final = 60.0
_ATTEMPTS: Final = 5
_LOCAL: Final = "127.0.0.1,localhost"
_NOBODY: Final = "http://127.0.0.1:9"
_PR_SET_PDEATHSIG: Final = 1


@dataclass(frozen=True)
class Server:
    """A running S3 server.

    Attributes:
        name: What it is.
        endpoint: Its address.
        compares_on_removal: Whether it supports conditions of DELETE.
        compares_on_write: Whether it supports those of PUT.
    """

    name: str
    endpoint: str
    compares_on_removal: bool = True
    compares_on_write: bool = True

    def client(self, **config: Any) -> Any:
        """Return a new boto3 client of it, that makes each request once."""
        return client_of(self.endpoint, **config)


def client_of(endpoint: str | None, **config: Any) -> Any:
    """Return a new boto3 client with dummy credentials, that makes each request once."""
    about: dict[str, Any] = {"retries": {"total_max_attempts": 1}, "max_pool_connections": 64, **config}
    return boto3.session.Session(
        aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY, region_name=REGION
    ).client("s3", endpoint_url=endpoint, config=Config(**about))


@contextlib.contextmanager
def guarded_environment(home: Path) -> Iterator[None]:
    """Make it impossible to find real credentials, or to reach anything that is not on this machine."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("AWS_", "BOTO_")) or name.lower().endswith("_proxy"):
                patch.delenv(name)
        for name, value in {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": str(home / "no-config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(home / "no-credentials"),
            # Whatever is not local goes to a port where nobody listens.
            "HTTP_PROXY": _NOBODY,
            "HTTPS_PROXY": _NOBODY,
            "http_proxy": _NOBODY,
            "https_proxy": _NOBODY,
            "NO_PROXY": _LOCAL,
            "no_proxy": _LOCAL,
        }.items():
            patch.setenv(name, value)
        yield


@contextlib.contextmanager
def descriptions_read_once() -> Iterator[None]:
    """Let sessions of boto3 share what they parse of its descriptions of services: a tenth of a second each.

    Clients of one session share it anyway.
    """
    stock = JSONFileLoader.load_file

    @functools.cache
    def load(path: str) -> Any:
        return stock(JSONFileLoader(), path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "load_file", lambda _, path: load(path))
        yield


@contextlib.contextmanager
def moto_in_process() -> Iterator[None]:
    """Let boto3 speak to moto, in this process and atomic; what it held before is gone."""
    make_atomic()
    with mock_aws():
        yield


@contextlib.contextmanager
def moto_server() -> Iterator[Server]:
    """Run moto's server, atomic."""
    program = [sys.executable, "-m", "s3.atomic_moto"]
    with _running(
        program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_with_tests_on_path()
    ) as process:
        assert process.stdout is not None
        yield Server("moto server", f"http://127.0.0.1:{int(process.stdout.readline())}")


@contextlib.contextmanager
def ministack() -> Iterator[Server]:
    """Run ministack, which is atomic, but takes the removal of an absent object for a success."""

    def start(port: int) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
        env = {
            **os.environ,
            "BIND_HOST": "127.0.0.1",
            "MINISTACK_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "SERVICES": "s3",
            # These two would listen on all addresses.
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            "LOG_LEVEL": "WARNING",
        }
        return _running([sys.executable, "-m", "ministack"], stdout=subprocess.DEVNULL, env=env)

    with _on_free_port(start, "/_ministack/health") as port:
        yield Server("ministack", f"http://127.0.0.1:{port}")


@contextlib.contextmanager
def rclone() -> Iterator[Server]:
    """Run rclone's S3 server, which ignores every condition."""
    program = str(Path(sys.executable).with_name("rclone"))
    with tempfile.TemporaryDirectory() as folder:

        def start(port: int) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
            Path(folder, "data").mkdir(exist_ok=True)
            return _running(
                [
                    *(program, "serve", "s3", f"{folder}/data", "--addr", f"127.0.0.1:{port}"),
                    *("--auth-key", f"{ACCESS_KEY},{SECRET_KEY}", "--config", f"{folder}/none"),
                ],
                stderr=subprocess.DEVNULL,
            )

        with _on_free_port(start, "/") as port:
            yield Server(
                "rclone", f"http://127.0.0.1:{port}", compares_on_removal=False, compares_on_write=False
            )


@contextlib.contextmanager
def ceph() -> Iterator[Server]:
    """Use the Ceph RGW that was started elsewhere; it ignores conditions of DELETE."""
    yield Server("ceph", CEPH_ENDPOINT, compares_on_removal=False)


# --- Processes --------------------------------------------------------------------------------------


@contextlib.contextmanager
def _running(program: list[str], **about: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the block is left, or this process is gone."""
    process = subprocess.Popen(program, preexec_fn=_die_with_parent, **about)  # noqa: PLW1509 - one system call
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@contextlib.contextmanager
def _on_free_port(
    start: Callable[[int], contextlib.AbstractContextManager[subprocess.Popen[bytes]]], path: str
) -> Iterator[int]:
    """Start a server on a port of its own and wait until it answers; another port if that one is taken."""
    for _ in range(_ATTEMPTS):
        port = _free_port()
        with start(port) as process:
            if _answers(process, f"http://127.0.0.1:{port}{path}"):
                yield port
                return
    raise RuntimeError("no server could be started")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(process: subprocess.Popen[bytes], url: str) -> bool:
    """Wait until the server answers anything; False if it ended instead."""
    no_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            no_proxy.open(url, timeout=5).close()
        except urllib.error.HTTPError as error:
            error.close()
        except OSError:
            time.sleep(0.02)
            continue
        return process.poll() is None
    return False


def _with_tests_on_path() -> dict[str, str]:
    tests = str(Path(__file__).parent.parent)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")]).strip(":")}
