"""Moto with one lock around each request, so that it keeps conditions in a race; in process or as a server.

Stock moto looks first and writes then: of several writers that expect the same, more than one may win.
Run as a program it serves on 127.0.0.1, and prints the port on its first line.
"""

import functools
import logging
import sys
import threading
from typing import Any

from moto.s3.responses import S3Response

_one_at_a_time = threading.RLock()


def make_atomic() -> None:
    """Put the lock around moto's handling of requests for objects, once in a process."""
    stock = S3Response.key_response
    if getattr(stock, "is_atomic", False):
        return

    @functools.wraps(stock)
    def atomic(*args: Any, **kwargs: Any) -> Any:
        with _one_at_a_time:
            return stock(*args, **kwargs)

    atomic.is_atomic = True  # type: ignore[attr-defined] # a mark of ours
    S3Response.key_response = atomic  # type: ignore[method-assign] # that is what this module is for


def serve() -> None:
    """Serve until the input ends: that is when whoever started this program is gone."""
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer

    make_atomic()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    print(server.get_host_and_port()[1], flush=True)
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    serve()
