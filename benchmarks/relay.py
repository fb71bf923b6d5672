"""python -m benchmarks.relay TARGET_PORT MILLISECONDS: a TCP relay that makes requests arrive late.

It prints its port on its first line, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

_CHUNK = 1 << 16


async def serve(target: int, delay: float) -> None:
    """Relay connections to a port of this machine; what clients send arrives `delay` seconds later."""

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", target)
        with contextlib.suppress(OSError):
            await asyncio.gather(_late(reader, back, delay), _copy(there, writer))

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()


async def _late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Copy each piece after a pause that pieces share: a long way, not a narrow one."""
    pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    async def receive() -> None:
        while True:
            piece = await reader.read(_CHUNK)
            pieces.put_nowait((loop.time() + delay, piece))
            if not piece:
                return

    receiving = asyncio.create_task(receive())
    while True:
        due, piece = await pieces.get()
        await asyncio.sleep(max(0.0, due - loop.time()))
        if not piece:
            break
        writer.write(piece)
        await writer.drain()
    await receiving
    writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(_CHUNK):
        writer.write(piece)
        await writer.drain()
    writer.close()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2]) / 1000))
