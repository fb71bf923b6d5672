"""python -m benchmarks.relay TARGET_PORT MILLISECONDS: a TCP relay that makes requests arrive late.

It prints its port on its first line, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from functools import partial
from typing import Final, cast


class Service(asyncio.Protocol):
    """The way to the service; what it says is handed to the client at once."""

    def __init__(self, client: asyncio.Transport) -> None:
        self._client = client

    def data_received(self, data: bytes) -> None:
        self._client.write(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._client.close()


class Client(asyncio.Protocol):
    """A client. What it sends goes on after a pause that pieces share: a long way, not a narrow one."""

    def __init__(self, target: int, delay: float) -> None:
        self._target: Final = target
        self._delay: Final = delay
        self._loop: Final = asyncio.get_running_loop()
        self._pieces: Final = deque[bytes]()  # an empty one is the end

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._client = cast("asyncio.Transport", transport)
        connect = self._loop.create_connection(partial(Service, self._client), "127.0.0.1", self._target)
        self._connection = self._loop.create_task(connect)

    def data_received(self, data: bytes) -> None:
        self._pieces.append(data)
        self._loop.call_later(self._delay, self._hand_on)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.data_received(b"")

    def _hand_on(self) -> None:
        if not self._connection.done():
            self._connection.add_done_callback(lambda _: self._hand_on())
            return
        if self._connection.exception() is not None:
            self._client.close()
            return
        service, _ = self._connection.result()
        piece = self._pieces.popleft()
        if piece:
            service.write(piece)
        else:
            service.close()


async def serve(target: int, delay: float) -> None:
    """Relay connections to a port of this machine; what clients send arrives `delay` seconds later."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Client(target, delay), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2]) / 1000))
